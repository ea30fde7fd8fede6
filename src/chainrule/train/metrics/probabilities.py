"""Metrics of probabilities: how sure predictions are, and whether rightly."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...errors import ArgumentError, ShapeError, StateError
from .base import Metric
from .measured import Array, check_scores, finite_array, labels_of


class LogLoss(Metric):
    """Mean negative log-likelihood of the classes under the softmax of logits (B, C).

    -(1/N) sum (x_iy - log sum_c exp x_ic): what CrossEntropyLoss gives, over all batches.
    """

    name = "log_loss"
    higher_is_better = False

    def reset(self) -> None:
        """Forgets all batches."""
        self._sum, self._count = 0.0, 0

    def update(self, prediction: Any, target: Any) -> None:
        """Takes a batch in."""
        x, wanted = finite_array(self.name, prediction), labels_of(self.name, target)
        check_scores(self.name, x, wanted)
        x = x - x.max(axis=1, keepdims=True)
        right = np.take_along_axis(x, wanted[:, None], axis=1)[:, 0]
        self._sum += float((np.log(np.exp(x).sum(axis=1)) - right).sum())
        self._count += len(wanted)

    def compute(self) -> float:
        """The mean so far."""
        return self._sum / self._need(self._count)


class _Kept(Metric):
    """Base of what needs all examples at once: scores (N, C) and classes (N,)."""

    def reset(self) -> None:
        """Forgets all batches."""
        self._scores: list[Array] = []
        self._classes: list[Array] = []

    def update(self, prediction: Any, target: Any) -> None:
        """Takes a batch in; one score an example, of class 1, is (B,) or (B, 1)."""
        x, wanted = finite_array(self.name, prediction), labels_of(self.name, target)
        if x.ndim == 1 or (x.ndim == 2 and x.shape[1] == 1):
            one = x.reshape(-1)
            x = np.stack([np.zeros(len(one)), one], 1)
            wanted = wanted.reshape(-1)
        check_scores(self.name, x, wanted)
        if self._scores and x.shape[1] != self._scores[0].shape[1]:
            raise ShapeError(
                f"{self.name}: a batch has another number of classes than those before",
                expected=str(self._scores[0].shape[1]), got=str(x.shape[1]),
            )  # fmt: skip
        self._scores.append(x)
        self._classes.append(wanted)

    def _all(self) -> tuple[Array, Array]:
        self._need(sum(map(len, self._classes)))
        return np.concatenate(self._scores), np.concatenate(self._classes)


class ROCAUC(_Kept):
    """P that a row of a class has a higher score for it than a row that is not: the area under ROC.

    (R - n (n + 1) / 2) / (n m), for the n rows of the class with ranks that sum to R among all n +
    m; equal scores share a rank, which counts half.  For more than two classes the mean over them,
    each against the rest.  Scores are logits or probabilities.  Raises where a class has no row, or
    every row.  Hanley and McNeil 1982.

    >>> from chainrule.train.metrics import roc_auc
    >>> roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """

    name = "roc_auc"
    share = True

    def compute(self) -> float:
        """The mean area over the classes so far."""
        x, wanted = self._all()
        counts = np.bincount(wanted, minlength=x.shape[1])
        if (counts == 0).any() or len(wanted) in counts:
            raise StateError(
                "roc_auc: every class needs rows, and rows that are not of it",
                got=f"{int((counts == 0).sum())} of {len(counts)} classes have none", line="",
            )  # fmt: skip
        if x.shape[1] == 2:
            return _area(x[:, 1] - x[:, 0], wanted == 1)
        p = _softmax(x)
        return float(np.mean([_area(p[:, c], wanted == c) for c in range(x.shape[1])]))


def _area(score: Array, own: Array) -> float:
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place.reshape(-1)]
    n = int(own.sum())
    return float((ranks[own].sum() - n * (n + 1) / 2) / (n * (len(own) - n)))


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Reliability(NamedTuple):
    """Rows in equally wide bins of confidence, the largest probability: (bins,) each.

    rows: how many lie in a bin.  sure: the sum of their confidence.  right: how many are classified
    right.  error: sum_k |right_k - sure_k| / N.
    """

    rows: Array
    sure: Array
    right: Array
    error: float


def reliability(p: Array, wanted: Array, bins: int = 10) -> Reliability:
    """How often probabilities (N, C) are right about classes (N,), by how sure they are."""
    sure, right = p.max(axis=1), p.argmax(axis=1) == wanted
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)

    def total(weights: Array) -> Array:
        return np.bincount(place, weights=weights, minlength=bins)

    error = float(np.abs(total(right - sure)).sum() / len(wanted))
    return Reliability(np.bincount(place, minlength=bins), total(sure), total(right), error)


class CalibrationError(_Kept):
    """sum_k (n_k / N) |share right in k - mean confidence in k|, over bins k of confidence.

    Confidence is the largest probability, by the softmax of logits (B, C).  bins: equally wide
    intervals of [0, 1] (10).  0 is best.  Naeini, Cooper and Hauskrecht 2015.

    >>> from chainrule.train.metrics import calibration_error
    >>> calibration_error([[0.0, 0.0], [0.0, 0.0]], [0, 1])
    0.0
    """

    name = "calibration_error"
    share = True
    higher_is_better = False

    def __init__(self, bins: int = 10) -> None:
        if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
            raise ArgumentError("calibration_error: bins must be a whole number >= 1",
                                got=repr(bins))  # fmt: skip
        self.bins = bins
        super().__init__()

    def compute(self) -> float:
        """The error so far."""
        x, wanted = self._all()
        return reliability(_softmax(x), wanted, self.bins).error
