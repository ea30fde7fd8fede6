"""Metrics: how good predictions are, batch by batch, in float64.

A metric is told batches by `update(prediction, target)`, says what it found by `compute()`, and
begins afresh after `reset()`.  The result does not depend on how the examples lay in batches.

Classes are read from predictions as models give them: the largest of C scores (B, C, ...) with
C > 1; for one score an example, (B,) or (B, 1), class 1 where it is above `threshold` (0, for
logits; 0.5 for probabilities); whole numbers are classes already.  Targets are class numbers, or
scores of the predictions' shape.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, IndexRangeError, ShapeError, StateError
from .measured import (
    Array,
    check_scores,
    classes_of,
    finite_array,
    labels_of,
    pair_of,
    width_of,
)

MAX_CLASSES = 10_000
"""The largest number of classes of a confusion matrix (its cells take 800 MB)."""


class Metric:
    """Base of metrics: write `reset`, `update` and `compute`.

    `name` is how it is asked for and logged; `higher_is_better` says in which direction it is good.
    """

    name: ClassVar[str] = ""
    higher_is_better: ClassVar[bool] = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets all batches."""
        raise NotImplementedError(f"{type(self).__name__} has no reset(): write one")

    def update(self, prediction: Any, target: Any) -> None:
        """Takes a batch in."""
        raise NotImplementedError(f"{type(self).__name__} has no update(): write one")

    def compute(self) -> Any:
        """The value over all batches since the last reset."""
        raise NotImplementedError(f"{type(self).__name__} has no compute(): write one")

    def _need(self, count: int, least: int = 1) -> int:
        if count < least:
            raise StateError(
                f"{self.name}: too few examples for a value",
                expected=f"at least {least}",
                got=str(count),
                fix="update(prediction, target) before compute()",
            )
        return count

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


# ---------------------------------------------------------------- classes


class Accuracy(Metric):
    """The share of right classes: (1/N) sum [class_i = y_i].

    >>> from chainrule.train.metrics import Accuracy
    >>> metric = Accuracy()
    >>> metric.update([[0.1, 2.0], [3.0, 0.5]], [1, 1])
    >>> metric.compute()
    0.5
    """

    name = "accuracy"

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

    def _quotient(self, right: Array, found: Array, real: Array) -> tuple[Array, Array]:
        return right, found


class Recall(_PerClass):
    """Of what is of a class, the share that was found: right / real; mean over classes."""

    name = "recall"

    def _quotient(self, right: Array, found: Array, real: Array) -> tuple[Array, Array]:
        return right, real


class F1(_PerClass):
    """The harmonic mean of precision and recall: 2 right / (found + real); mean over classes."""

    name = "f1"

    def _quotient(self, right: Array, found: Array, real: Array) -> tuple[Array, Array]:
        return 2 * right, found + real


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


# ---------------------------------------------------------------- numbers


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
        self._mean: Array = 0.0
        self._error: Array = 0.0
        self._spread: Array = 0.0

    def update(self, prediction: Any, target: Any) -> None:
        """Takes a batch in; the spread is carried over by Chan's formula, without cancellation."""
        p, y = pair_of(self.name, prediction, target)
        p, y = p.reshape(len(p), -1), y.reshape(len(y), -1)
        if self._count and np.shape(self._mean) != y.shape[1:]:
            raise ShapeError(
                "r2: a batch has another number of columns than those before",
                expected=str(np.size(self._mean)),
                got=str(y.shape[1]),
            )
        mean, count = y.mean(axis=0), len(y)
        total = self._count + count
        shift = mean - self._mean
        self._spread = (
            self._spread + ((y - mean) ** 2).sum(axis=0) + shift**2 * (self._count * count / total)
        )
        self._mean = self._mean + shift * (count / total)
        self._error = self._error + ((p - y) ** 2).sum(axis=0)
        self._count = total

    def compute(self) -> float:
        """The share so far."""
        self._need(self._count, 2)
        flat = self._spread == 0
        share = 1 - self._error / np.where(flat, 1, self._spread)
        return float(np.mean(np.where(flat, self._error == 0, share)))


# ---------------------------------------------------------------- by name, and as functions

METRICS: dict[str, type[Metric]] = {
    m.name: m
    for m in (
        Accuracy, TopK, ConfusionMatrix, Precision, Recall, F1, LogLoss, MAE, MSE, RMSE, R2,
    )
}  # fmt: skip


def as_metric(metric: Any) -> Metric:
    """A metric by its name, or the one that is given; an unknown name suggests the nearest."""
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if isinstance(metric, str) and metric in METRICS:
        return METRICS[metric]()
    if not isinstance(metric, str):
        raise ArgumentTypeError(
            "a metric is given by its name or as a Metric", got=type(metric).__name__
        )
    near = difflib.get_close_matches(metric.lower().replace("-", "_"), METRICS, 1)
    raise ArgumentError(
        f"unknown metric {metric!r}",
        expected=", ".join(METRICS),
        fix=f"did you mean {near[0]!r}?" if near else None,
    )


def _function(kind: type[Metric]) -> Callable[..., Any]:
    def function(prediction: Any, target: Any, **settings: Any) -> Any:
        metric = kind(**settings)
        metric.update(prediction, target)
        return metric.compute()

    function.__name__ = function.__qualname__ = kind.name
    function.__doc__ = f"{kind.__name__} of one batch: {kind.__doc__}".split("\n\n")[0]
    return function


accuracy = _function(Accuracy)
top_k = _function(TopK)
confusion_matrix = _function(ConfusionMatrix)
precision = _function(Precision)
recall = _function(Recall)
f1 = _function(F1)
log_loss = _function(LogLoss)
mae = _function(MAE)
mse = _function(MSE)
rmse = _function(RMSE)
r2 = _function(R2)
