"""MLPRegressor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from .inputs import checked
from .mlp import BaseMLP
from .objective import LOSSES, Loss, custom
from .parameters import MLP


class MLPRegressor(MultiOutputMixin, RegressorMixin, BaseMLP):  # type: ignore[misc]
    """A dense network that predicts numbers: scikit-learn's MLPRegressor, compiled.

    Minimizes 1/s sum_i w_i l(z_i, y_i) + alpha / (2 s) sum_l ||W_l||^2 with s = sum_i w_i, over the
    rows i of a batch: z (B, K) the outputs, y (B, K) the targets, W_l (n, m) the weights of layer
    l; l is sum_k (z_k - y_k)^2 / 2, or that of Poisson with the prediction e^z.

    The arguments up to max_fun, the fitted attributes and the drawing of random numbers are
    scikit-learn's: with the same random_state, the same `loss_curve_` but for rounding.  What there
    is more is described with MLPClassifier; loss: 'squared_error', 'poisson', or a function of
    (outputs, targets), both (B, K), that gives a value for each row, or one where all count alike.

    Differs from scikit-learn: with several outputs, lbfgs minimizes the loss whose gradient it
    follows (the sum over outputs; `loss_` is still the mean), and a loss that is not finite is an
    error, as are weights of rows below 0; partial_fit may stop early.

    >>> import numpy as np
    >>> from chainrule.sklearn import MLPRegressor
    >>> x = np.linspace(-1, 1, 100)[:, None]
    >>> model = MLPRegressor(hidden_layer_sizes=(20,), activation="tanh", solver="lbfgs")
    >>> model.fit(x, x[:, 0] ** 2).score(x, x[:, 0] ** 2) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MLP,
        "loss": [StrOptions({"squared_error", "poisson"}), callable],
    }

    def __init__(
        self, loss: Any = "squared_error", hidden_layer_sizes: Any = (100,),
        activation: Any = "relu", *, solver: Any = "adam", alpha: float = 0.0001,
        batch_size: Any = "auto", learning_rate: Any = "constant",
        learning_rate_init: float = 0.001, power_t: float = 0.5, max_iter: int = 200,
        shuffle: bool = True, random_state: Any = None, tol: float = 1e-4, verbose: Any = False,
        warm_start: bool = False, momentum: float = 0.9, nesterovs_momentum: bool = True,
        early_stopping: bool = False, validation_fraction: float = 0.1, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-8, n_iter_no_change: float = 10,
        max_fun: int = 15000, dropout: Any = 0.0, batch_norm: bool = False,
        solver_params: Any = None, learning_rate_params: Any = None,
        early_stopping_metric: str = "score", callbacks: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        self.loss = loss
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
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.solver_params = solver_params
        self.learning_rate_params = learning_rate_params
        self.early_stopping_metric = early_stopping_metric
        self.callbacks = callbacks
        self.dtype = dtype

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None
    ) -> MLPRegressor:
        """Learns from X (rows, features) and y (rows,) or (rows, outputs).

        X: array, DataFrame or sparse matrix.  sample_weight: of every row.  X_val, y_val: rows held
        out, in place of a share of X, for early stopping and `validation_loss_curve_`.
        """
        self._fit(X, y, sample_weight, self._held(X_val, y_val), False)
        return self

    @available_if(lambda est: est._has_epochs())  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None
    ) -> MLPRegressor:
        """One epoch over X and y, from where the model stands.

        With early_stopping, once the score of X_val (or of a share of X) has not improved for
        n_iter_no_change calls, the best weights are put back, `stopped_early_` is True, and later
        calls change nothing.
        """
        self._fit(X, y, sample_weight, self._held(X_val, y_val), True)
        return self

    def _read(self, x: Any, y: Any, reset: bool, keep: bool) -> tuple[Any, Any]:
        x, y = checked(
            self, x, y, dtype=self._floats(), reset=reset, multi_output=True, y_numeric=True
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(
                f"loss='poisson' needs y >= 0, but {int((y < 0).sum())} values are negative, "
                f"down to {y.min():g}."
            )
        return x, y.reshape(len(y), -1)

    def _loss(self, weighted: bool) -> Loss:
        if isinstance(self.loss, str):
            return LOSSES[self.loss]
        return custom(self.loss, LOSSES["squared_error"], weighted)

    def _scored(self, loss: Loss, y: Any, w: Any) -> Callable[[Any], float]:
        def score(z: Any) -> float:
            found = loss.link(z)
            return (
                float(r2_score(y, found, sample_weight=w)) if np.isfinite(found).all() else np.nan
            )

        return score

    def predict(self, X: Any) -> Any:
        """The prediction for every row: (rows,), or (rows, outputs) for several."""
        found = self._predictions(X)
        return found.ravel() if found.shape[1] == 1 else found
