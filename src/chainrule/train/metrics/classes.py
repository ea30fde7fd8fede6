"""Metrics of classes: how many are right, and which are taken for which."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ArgumentError, IndexRangeError
from .base import Metric
from .measured import Array, check_scores, classes_of, finite_array, labels_of, width_of

MAX_CLASSES = 10_000
"""The largest number of classes of a confusion matrix (its cells take 800 MB)."""


class Accuracy(Metric):
    """The share of right classes: (1/N) sum [class_i = y_i].

    >>> from chainrule.train.metrics import Accuracy
    >>> metric = Accuracy()
    >>> metric.update([[0.1, 2.0], [3.0, 0.5]], [1, 1])
    >>> metric.compute()
    0.5
    """

    name = "accuracy"
    share = True

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = threshold
        super().__init__()

    def reset(self) -> None:
        """Forgets all batches."""
        self._right = self._count = 0

    def update(self, prediction: Any, target: Any) -> None:
        """Takes a batch in."""
        found, wanted = classes_of(self.name, prediction, target, self.threshold)
        self._right += int((found == wanted).sum())
        self._count += wanted.size

    def compute(self) -> float:
        """The share of right classes so far."""
        return self._right / self._need(self._count)


class TopK(Metric):
    """The share of examples whose class is among the k largest scores (B, C).

    Of equal scores, those of higher classes come first.
    """

    name = "top_k"
    share = True

    def __init__(self, k: int = 5) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ArgumentError("top_k: k must be a whole number >= 1", got=repr(k))
        self.k = k
        super().__init__()

    def reset(self) -> None:
        """Forgets all batches."""
        self._right = self._count = 0

    def update(self, prediction: Any, target: Any) -> None:
        """Takes a batch in."""
        scores, wanted = finite_array(self.name, prediction), labels_of(self.name, target)
        check_scores(self.name, scores, wanted)
        if self.k >= scores.shape[1]:
            raise ArgumentError(
                "top_k: k must be smaller than the number of classes",
                expected=f"k < {scores.shape[1]}",
                got=f"k = {self.k}",
            )
        best = np.argsort(scores, axis=1, kind="stable")[:, -self.k :]
        self._right += int((best == wanted[:, None]).sum())
        self._count += len(wanted)

    def compute(self) -> float:
        """The share so far."""
        return self._right / self._need(self._count)

    def __repr__(self) -> str:
        return f"TopK(k={self.k})"


class ConfusionMatrix(Metric):
    """How often class i (row) was taken for class j (column): counts (C, C), int64.

    num_classes: C; without it, as many as predictions and targets show so far.
    """

    name = "confusion_matrix"

    def __init__(self, num_classes: int | None = None, threshold: float = 0.0) -> None:
        if num_classes is not None and not 1 <= num_classes <= MAX_CLASSES:
            raise ArgumentError(
                f"{self.name}: num_classes is out of range", expected=f"1 to {MAX_CLASSES}",
                got=repr(num_classes),
            )  # fmt: skip
        self.num_classes = num_classes
        self.threshold = threshold
        super().__init__()

    def reset(self) -> None:
        """Forgets all batches."""
        size = self.num_classes or 0
        self._counts = np.zeros((size, size), np.int64)

    def update(self, prediction: Any, target: Any) -> None:
        """Takes a batch in."""
        found, wanted = classes_of(self.name, prediction, target, self.threshold)
        top = 1 + int(max(found.max(), wanted.max()))
        limit = self.num_classes or MAX_CLASSES
        low = int(min(found.min(), wanted.min()))
        if top > limit or low < 0:
            raise IndexRangeError(
                f"{self.name}: a class is out of range",
                expected=f"0 to {limit - 1}",
                got=str(top - 1 if top > limit else low),
                fix="do the labels start at 0?",
            )
        size = max(len(self._counts), top, 1 if self.num_classes else width_of(prediction))
        grow = size - len(self._counts)
        counts = np.pad(self._counts, (0, grow))
        self._counts = counts + np.bincount(wanted * size + found, minlength=size * size).reshape(
            size, size
        )

    def compute(self) -> Array:
        """The counts so far."""
        self._need(int(self._counts.sum()))
        return self._counts.copy()


class _PerClass(ConfusionMatrix):
    """Base of what is computed for each class and averaged, each class with the same weight.

    Classes that occur neither among the targets nor among the predictions are left out; a quotient
    0/0 counts as 0.
    """

    def compute(self) -> float:
        """The mean over the classes so far."""
        counts = super().compute()
        right, found, real = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
        seen = (found + real) > 0
        above, below = self._quotient(right[seen], found[seen], real[seen])
        return float(np.mean(above / np.maximum(below, 1)))

    def _quotient(self, right: Array, found: Array, real: Array) -> tuple[Array, Array]:
        raise NotImplementedError


class Precision(_PerClass):
    """Of what was taken for a class, the share that was of it: right / found; mean over classes."""

    name = "precision"
    share = True

    def _quotient(self, right: Array, found: Array, real: Array) -> tuple[Array, Array]:
        return right, found


class Recall(_PerClass):
    """Of what is of a class, the share that was found: right / real; mean over classes."""

    name = "recall"
    share = True

    def _quotient(self, right: Array, found: Array, real: Array) -> tuple[Array, Array]:
        return right, real


class F1(_PerClass):
    """The harmonic mean of precision and recall: 2 right / (found + real); mean over classes."""

    name = "f1"
    share = True

    def _quotient(self, right: Array, found: Array, real: Array) -> tuple[Array, Array]:
        return 2 * right, found + real
