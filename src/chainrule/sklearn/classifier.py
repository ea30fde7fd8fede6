"""MLPClassifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
)
from sklearn.utils.validation import check_is_fitted

from .classes import check_classes, check_known, check_two
from .inputs import checked
from .mlp import BaseMLP
from .objective import LOSSES, Loss, custom
from .parameters import CLASS_WEIGHT, MLP


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """A dense network that tells classes apart: scikit-learn's MLPClassifier, compiled.

    Minimizes 1/s sum_i w_i l(z_i, y_i) + alpha / (2 s) sum_l ||W_l||^2 with s = sum_i w_i, over the
    rows i of a batch: z (B, K) the outputs, l the log-loss, W_l (n, m) the weights of layer l.

    The arguments up to max_fun, the fitted attributes and the drawing of random numbers are
    scikit-learn's: with the same random_state, the same `loss_curve_` but for rounding.  More:

    activation: also the name of a layer of chainrule.nn ('gelu', 'leaky_relu'), a Module, a class
    of one or a function of Tensors; a list has one for each hidden layer.
    solver: also an optimizer of chainrule.optim by name ('AdamW') or class, made with
    (parameters, lr=learning_rate_init, **solver_params); or a function of named parameters.
    learning_rate: also a schedule by name or class, made with (optimizer, **learning_rate_params)
    and stepped every epoch; or a function of the optimizer.
    class_weight: None, 'balanced' or {class: weight}.  loss: 'log_loss', or a function of (outputs,
    targets): logits (B, K) and class numbers (B,), or 0 and 1 (B, K) for two classes (K = 1) and
    several labels; it gives a value for each row, or one where all rows count alike.
    dropout: the share of hidden activations dropped, or a list by layer (0.0); lbfgs takes none.
    batch_norm: between weights and activation (False).  dtype: 'float32' or 'float64'; None: that
    of X.  early_stopping_metric: 'score' or 'loss' of the held-out data.  callbacks: Callbacks told
    of epochs.  `fit(..., X_val=, y_val=)` holds out data of your own; `validation_loss_curve_`,
    `validation_scores_` then tell of them.  `module_state_`: what layers other than Linear hold.

    Differs from scikit-learn: one class only, weights of rows below 0 and an lbfgs whose loss is
    not finite are errors; partial_fit may stop early.

    >>> from sklearn.datasets import load_iris
    >>> from chainrule.sklearn import MLPClassifier
    >>> x, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((20,), solver="lbfgs", max_iter=500, random_state=1)
    >>> model.fit(x, y).score(x, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MLP,
        "loss": [StrOptions({"log_loss"}), callable],
        "class_weight": CLASS_WEIGHT,
    }

    def __init__(
        self, hidden_layer_sizes: Any = (100,), activation: Any = "relu", *, solver: Any = "adam",
        alpha: float = 0.0001, batch_size: Any = "auto", learning_rate: Any = "constant",
        learning_rate_init: float = 0.001, power_t: float = 0.5, max_iter: int = 200,
        shuffle: bool = True, random_state: Any = None, tol: float = 1e-4, verbose: Any = False,
        warm_start: bool = False, momentum: float = 0.9, nesterovs_momentum: bool = True,
        early_stopping: bool = False, validation_fraction: float = 0.1, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-8, n_iter_no_change: float = 10,
        max_fun: int = 15000, loss: Any = "log_loss", class_weight: Any = None,
        dropout: Any = 0.0, batch_norm: bool = False, solver_params: Any = None,
        learning_rate_params: Any = None, early_stopping_metric: str = "score",
        callbacks: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.class_weight = class_weight
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.solver_params = solver_params
        self.learning_rate_params = learning_rate_params
        self.early_stopping_metric = early_stopping_metric
        self.callbacks = callbacks
        self.dtype = dtype

    # ------------------------------------------------------------ learning

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None
    ) -> MLPClassifier:
        """Learns from X (rows, features) and y (rows,), or 0 and 1 (rows, labels).

        X: array, DataFrame or sparse matrix.  sample_weight: of every row.  X_val, y_val: rows held
        out, in place of a share of X, for early stopping and `validation_loss_curve_`.
        """
        self._fit(X, y, sample_weight, self._held(X_val, y_val), False)
        return self

    @available_if(lambda est: est._has_epochs())  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None, X_val: Any = None,
        y_val: Any = None,
    ) -> MLPClassifier:  # fmt: skip
        """One epoch over X and y, from where the model stands.

        classes: all that there will be; needed at the first call.  With early_stopping, once the
        score of X_val (or of a share of X) has not improved for n_iter_no_change calls, the best
        weights are put back, `stopped_early_` is True, and later calls change nothing.
        """
        told = classes is not None or not hasattr(self, "classes_")
        if told and _check_partial_fit_first_call(self, classes):
            labels = y if type_of_target(y).startswith("multilabel") else classes
            self._label_binarizer = LabelBinarizer().fit(labels)
        self._fit(X, y, sample_weight, self._held(X_val, y_val), True)
        return self

    def _read(self, x: Any, y: Any, reset: bool, keep: bool) -> tuple[Any, Any]:
        x, y = checked(self, x, y, dtype=self._floats(), reset=reset, multi_output=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        check_classes(y)
        if reset and not (keep and hasattr(self, "classes_")):
            self._learn_classes(y)
        else:
            check_known(y, self.classes_)
        return x, self._coded(y)

    def _coded(self, y: Any) -> Any:
        """Known classes as truth values (rows, classes), or (rows, 1) where there are two."""
        kind = self._label_binarizer.y_type_
        if y.ndim > 1 or kind not in ("binary", "multiclass"):
            return self._label_binarizer.transform(y).astype(bool)
        numbers = np.searchsorted(self.classes_, y)[:, np.newaxis]
        return numbers == (1 if kind == "binary" else np.arange(len(self.classes_)))

    def _learn_classes(self, y: Any) -> None:
        binarizer = LabelBinarizer().fit(y)
        check_two(self, binarizer.classes_, y)
        self._label_binarizer, self.classes_ = binarizer, binarizer.classes_

    def _weighted(self, y: Any, w: Any, incremental: bool) -> Any:
        if self.class_weight is None:
            return w
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit, which does not know how "
                "many rows of each class there will be. Use compute_class_weight('balanced', "
                "classes=classes, y=y) on data like those to come, and pass the weights as a dict."
            )
        labels = self._label_binarizer.inverse_transform(y.astype(np.int64))
        return w * compute_sample_weight(self.class_weight, labels).astype(w.dtype)

    # ------------------------------------------------------------ the loss

    def _loss(self, weighted: bool) -> Loss:
        several = self._label_binarizer.y_type_ == "multiclass"
        own = LOSSES["log_loss" if several else "binary_log_loss"]
        return own if isinstance(self.loss, str) else custom(self.loss, own, weighted)

    def _labels(self, z: Any) -> Any:
        """Classes from outputs."""
        p = z.ravel() if z.shape[1] == 1 else z
        return self._label_binarizer.inverse_transform(p)

    def _scored(self, loss: Loss, y: Any, w: Any) -> Callable[[Any], float]:
        labels = self._label_binarizer.inverse_transform(y.astype(np.int64))
        return lambda z: float(accuracy_score(labels, self._labels(loss.link(z)), sample_weight=w))

    # ------------------------------------------------------------ predicting

    def predict(self, X: Any) -> Any:
        """The class of every row, or 0 and 1 (rows, labels)."""
        return self._labels(self._predictions(X))

    def predict_proba(self, X: Any) -> Any:
        """The probability of every class in `classes_` (rows, classes), or of every label."""
        check_is_fitted(self)
        p = self._predictions(X)
        return np.hstack([1 - p, p]) if self.n_outputs_ == 1 else p

    def predict_log_proba(self, X: Any) -> Any:
        """ln predict_proba(X)."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
