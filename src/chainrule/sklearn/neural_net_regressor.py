"""NeuralNetRegressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from .neural_net import BaseNeuralNet


class NeuralNetRegressor(MultiOutputMixin, RegressorMixin, BaseNeuralNet):  # type: ignore[misc]
    """Any Module as a regressor of scikit-learn's: y = f(x), trained by a Trainer.

    The network f gives (B, K) for K targets, (B, 1) for one.  criterion: 'auto' is MSELoss; its
    targets are (B, K).  The other arguments are those of NeuralNetClassifier.

    Fitted: state_ (arrays by name), history_ (a row an epoch), n_iter_, n_outputs_.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> from chainrule.sklearn import NeuralNetRegressor
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> model = NeuralNetRegressor(nn.Linear, lr=0.1, max_epochs=50, random_state=0)
    >>> model.fit(x, 2 * x[:, 0] + 1).score(x, 2 * x[:, 0] + 1) > 0.99
    True
    """

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None
    ) -> NeuralNetRegressor:
        """Learns from X (rows, ...) and y (rows,) or (rows, outputs).

        sample_weight: of every row.  X_val, y_val: rows held out.
        """
        self._fit(X, y, sample_weight, (X_val, y_val), False)
        return self

    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, X_val: Any = None, y_val: Any = None
    ) -> NeuralNetRegressor:
        """One epoch over X and y, from where the model stands.

        With early_stopping, once the loss of X_val (or of a share of X) has not improved for
        n_iter_no_change calls, the best weights are put back, `stopped_early_` is True, and later
        calls change nothing.
        """
        self._fit(X, y, sample_weight, (X_val, y_val), True)
        return self

    def _read(self, x: Any, y: Any, reset: bool, keep: bool) -> tuple[Any, Any]:
        x, y = self._inputs(x, y, reset=reset, multi_output=True, y_numeric=True)
        if reset:
            self.one_ = y.ndim == 1
        return x, np.ascontiguousarray(y.reshape(len(y), -1), x.dtype)

    def _criterion_name(self) -> str:
        return "MSELoss"

    def _width(self, y: Any) -> int:
        return int(y.shape[1])

    def predict(self, X: Any) -> Any:
        """The prediction for every row: (rows,), or (rows, outputs) as y was."""
        found = self._outputs(X)
        return found.ravel() if self.one_ else found
