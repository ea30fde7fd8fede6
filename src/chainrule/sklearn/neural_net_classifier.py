"""NeuralNetClassifier."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import type_of_target

from .. import nn
from .classes import check_classes, check_known, check_two
from .neural_net import CONSTRAINTS, BaseNeuralNet
from .parameters import CLASS_WEIGHT


class NeuralNetClassifier(ClassifierMixin, BaseNeuralNet):  # type: ignore[misc]
    """Any Module as a classifier of scikit-learn's: p = softmax(f(x)), trained by a Trainer.

    module: a class or a function that makes the network f (B, ...) -> (B, K); it is given
    in_features and out_features, where it has arguments of these names, and module__... of yours.
    Or a Module, which is copied (and, as models are not pickled, can't go to another process).
    criterion: a loss of chainrule.nn by name or class, an instance, or a function of (outputs,
    targets); 'auto' is CrossEntropyLoss with class numbers (B,), or BCEWithLogitsLoss with 0 and 1
    (B, L) where a row has several labels.  optimizer ('Adam'), scheduler (None): by name, class or
    function.  criterion__..., optimizer__..., scheduler__...: their arguments.
    lr (0.005), max_epochs (100), batch_size (32), shuffle, schedule_by ('epoch'), metrics,
    callbacks, clip_grad_norm, accumulate, ema: as in Trainer.  early_stopping: on the loss of
    validation_fraction (0.1) of the rows, or of fit(..., X_val=, y_val=), once it has not improved
    by tol (0.0) for n_iter_no_change (10) epochs; the best weights are kept.
    class_weight: None, 'balanced' or {class: weight}.  predict_nonlinearity: from outputs (rows, K)
    in NumPy to probabilities; 'auto' is that of the criterion, None takes them as they are.

    Fitted: classes_, state_ (arrays by name), history_ (a row an epoch), n_iter_, n_outputs_,
    stopped_early_.
    Differs from skorch: the module gives logits, and sizes are handed to it.

    >>> from sklearn.datasets import load_iris
    >>> from chainrule import nn
    >>> from chainrule.sklearn import NeuralNetClassifier
    >>> x, y = load_iris(return_X_y=True)
    >>> model = NeuralNetClassifier(nn.Linear, lr=0.1, max_epochs=20, random_state=0)
    >>> model.fit(x, y).score(x, y) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS, "class_weight": CLASS_WEIGHT,
        "predict_nonlinearity": [StrOptions({"auto"}), callable, None],
    }  # fmt: skip

    def __init__(
        self, module: Any, *, criterion: Any = "auto", optimizer: Any = "Adam",
        lr: float = 0.005, max_epochs: int = 100, batch_size: int = 32, shuffle: bool = True,
        scheduler: Any = None, schedule_by: str = "epoch", early_stopping: bool = False,
        validation_fraction: float = 0.1, n_iter_no_change: int = 10, tol: float = 0.0,
        metrics: Any = (), callbacks: Any = None, clip_grad_norm: float | None = None,
        accumulate: int = 1, ema: float | None = None, warm_start: bool = False,
        verbose: Any = False, random_state: Any = None, dtype: Any = None,
        class_weight: Any = None, predict_nonlinearity: Any = "auto", **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            module, criterion=criterion, optimizer=optimizer, lr=lr, max_epochs=max_epochs,
            batch_size=batch_size, shuffle=shuffle, scheduler=scheduler, schedule_by=schedule_by,
            early_stopping=early_stopping, validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change, tol=tol, metrics=metrics, callbacks=callbacks,
            clip_grad_norm=clip_grad_norm, accumulate=accumulate, ema=ema, warm_start=warm_start,
            verbose=verbose, random_state=random_state, dtype=dtype, **options,
        )  # fmt: skip
        self.class_weight = class_weight
        self.predict_nonlinearity = predict_nonlinearity

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None
    ) -> NeuralNetClassifier:
        """Learns from X (rows, ...) and y (rows,), or 0 and 1 (rows, labels).

        sample_weight: of every row.  X_val, y_val: rows held out.
        """
        self._fit(X, y, sample_weight, (X_val, y_val), False)
        return self

    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None, X_val: Any = None,
        y_val: Any = None,
    ) -> NeuralNetClassifier:  # fmt: skip
        """One epoch over X and y, from where the model stands; classes: all, at the first call.

        With early_stopping, once the loss of X_val (or of a share of X) has not improved for
        n_iter_no_change calls, the best weights are put back, `stopped_early_` is True, and later
        calls change nothing.
        """
        if not hasattr(self, "classes_") and classes is not None:
            self.classes_ = np.unique(classes)
        self._fit(X, y, sample_weight, (X_val, y_val), True)
        return self

    def _read(self, x: Any, y: Any, reset: bool, keep: bool) -> tuple[Any, Any]:
        x, y = self._inputs(x, y, reset=reset, multi_output=True)
        check_classes(y)
        several = type_of_target(y).startswith("multilabel")
        y = y if several else column_or_1d(y, warn=True)
        if reset and not (keep and hasattr(self, "classes_")):
            classes = np.arange(y.shape[1]) if several else np.unique(y)
            check_two(self, classes, y)
            self.classes_ = classes
        if reset:
            self.multilabel_ = several
        if several:
            return x, np.ascontiguousarray(y, x.dtype)
        check_known(y, self.classes_)
        numbers = np.searchsorted(self.classes_, y)
        if self._by_logits():
            return x, numbers.astype(x.dtype)[:, np.newaxis]
        return x, numbers

    def _by_logits(self) -> bool:
        """Whether the criterion takes 0 and 1 of the outputs' shape."""
        kind = self._criterion_name() if self.criterion == "auto" else self.criterion
        name = kind if isinstance(kind, str) else getattr(kind, "__name__", type(kind).__name__)
        return name.startswith("BCE")

    def _criterion_name(self) -> str:
        return "BCEWithLogitsLoss" if self.multilabel_ else "CrossEntropyLoss"

    def _width(self, y: Any) -> int:
        return len(self.classes_) if y.ndim == 1 else int(y.shape[1])

    def _weighted(self, y: Any, w: Any) -> Any:
        if self.class_weight is None:
            return w
        labels = y if self.multilabel_ else self.classes_[y.astype(np.int64).reshape(-1)]
        return w * compute_sample_weight(self.class_weight, labels).astype(w.dtype)

    def predict_proba(self, X: Any) -> Any:
        """The probability of every class in `classes_` (rows, classes), or of every label."""
        p = self._probabilities(self._outputs(X))
        return np.hstack([1 - p, p]) if p.shape[1] == 1 and not self.multilabel_ else p

    def predict_log_proba(self, X: Any) -> Any:
        """ln predict_proba(X)."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _probabilities(self, z: Any) -> Any:
        wanted = self.predict_nonlinearity
        if wanted is None:
            return z
        if wanted != "auto":
            return wanted(z)
        kind = self.criterion if isinstance(self.criterion, type) else type(self.criterion)
        if self.criterion == "NLLLoss" or kind is nn.NLLLoss:
            return np.exp(z)
        if self.criterion == "BCELoss" or kind is nn.BCELoss:
            return z
        return expit(z) if self._by_logits() or z.shape[1] == 1 else softmax(z, axis=1)

    def predict(self, X: Any) -> Any:
        """The class of every row, or 0 and 1 (rows, labels)."""
        p = self.predict_proba(X)
        if self.multilabel_:
            return (p > 0.5).astype(np.int64)
        return self.classes_[np.argmax(p, axis=1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
