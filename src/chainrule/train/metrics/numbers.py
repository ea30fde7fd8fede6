"""Metrics of numbers: how far predictions are from their targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ShapeError
from .base import Metric
from .measured import Array, pair_of


class MAE(Metric):
    """Mean absolute error: (1/N) sum |p_i - y_i|, over all elements."""

    name = "mae"
    higher_is_better = False

    def reset(self) -> None:
        """Forgets all batches."""
        self._sum, self._count = 0.0, 0

    def update(self, prediction: Any, target: Any) -> None:
        """Takes a batch in."""
        p, y = pair_of(self.name, prediction, target)
        self._sum += float(self._error(p - y).sum())
        self._count += y.size

    def _error(self, difference: Array) -> Array:
        return np.abs(difference)

    def compute(self) -> float:
        """The mean so far."""
        return self._sum / self._need(self._count)


class MSE(MAE):
    """Mean squared error: (1/N) sum (p_i - y_i)^2, over all elements."""

    name = "mse"

    def _error(self, difference: Array) -> Array:
        return difference**2


class RMSE(MSE):
    """Root of the mean squared error: sqrt((1/N) sum (p_i - y_i)^2), in the unit of y."""

    name = "rmse"

    def compute(self) -> float:
        """The root of the mean so far."""
        return float(np.sqrt(super().compute()))


class R2(Metric):
    """The share of the variance that is explained: 1 - sum (p_i - y_i)^2 / sum (y_i - mean y)^2.

    For several columns, the mean of theirs.  A column of targets without variance gives 1 if it is
    met exactly, else 0.  Needs two examples.
    """

    name = "r2"

    def reset(self) -> None:
        """Forgets all batches."""
        self._count = 0
        self._origin: Array = 0.0
        self._mean: Array = 0.0
        self._error: Array = 0.0
        self._spread: Array = 0.0

    def update(self, prediction: Any, target: Any) -> None:
        """Takes a batch in; the spread is carried over by Chan's formula, without cancellation.

        It is that of the differences from the first targets: 0, not nearly, where all are alike.
        """
        p, y = pair_of(self.name, prediction, target)
        p, y = p.reshape(len(p), -1), y.reshape(len(y), -1)
        if self._count and np.shape(self._mean) != y.shape[1:]:
            raise ShapeError(
                "r2: a batch has another number of columns than those before",
                expected=str(np.size(self._mean)),
                got=str(y.shape[1]),
            )
        error = ((p - y) ** 2).sum(axis=0)
        if not self._count:
            self._origin = y[0].astype(np.float64)
        y = y.astype(np.float64) - self._origin
        mean, count = y.mean(axis=0), len(y)
        total = self._count + count
        shift = mean - self._mean
        self._spread = (
            self._spread + ((y - mean) ** 2).sum(axis=0) + shift**2 * (self._count * count / total)
        )
        self._mean = self._mean + shift * (count / total)
        self._error = self._error + error
        self._count = total

    def compute(self) -> float:
        """The share so far."""
        self._need(self._count, 2)
        flat = self._spread == 0
        share = 1 - self._error / np.where(flat, 1, self._spread)
        return float(np.mean(np.where(flat, self._error == 0, share)))
