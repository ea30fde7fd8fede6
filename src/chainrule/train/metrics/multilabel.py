"""Metrics of several labels a row: of each label by itself, then the mean over the labels."""

from __future__ import annotations

import numpy as np

from ...errors import ArgumentError, StateError
from .measured import Array
from .probabilities import ROCAUC

OF_COUNTS = ("f1", "precision", "recall")


def over_labels(name: str, scores: Array, wanted: Array, threshold: float = 0.0) -> float:
    """The mean of a metric over labels: scores (N, L) against 0 and 1, or true and false (N, L).

    name: 'accuracy', the share of all labels of all rows that is right; 'f1', 'precision' or
    'recall' of the rows that have the label, a quotient 0/0 counting as 0; 'roc_auc', over the
    labels that some rows have and some have not.  threshold: a label is predicted above it (0, for
    logits; 0.5 for probabilities).  Raises StateError where no label has an area.

    >>> import numpy as np
    >>> from chainrule.train.metrics import over_labels
    >>> over_labels("f1", np.array([[2.0, -1.0], [1.0, -3.0]]), np.array([[1, 0], [0, 0]]))
    0.3333333333333333
    """
    y, found = np.asarray(wanted) > 0.5, np.asarray(scores) > threshold
    if name == "accuracy":
        return float((found == y).mean())
    if name == ROCAUC.name:
        return _mean_area(np.asarray(scores), y)
    if name not in OF_COUNTS:
        raise ArgumentError(f"over_labels: {name!r} is no metric of labels",
                            expected=", ".join(("accuracy", *OF_COUNTS, ROCAUC.name)))  # fmt: skip
    right, real, taken = (found & y).sum(0), y.sum(0), found.sum(0)
    above, below = {
        "f1": (2 * right, taken + real), "precision": (right, taken), "recall": (right, real),
    }[name]  # fmt: skip
    return float(np.mean(above / np.maximum(below, 1)))


def label_area(scores: Array, wanted: Array) -> float | None:
    """The ROC area of one label: scores (N,) against true and false (N,); None where all rows have
    it or none has."""
    if wanted.all() or not wanted.any():
        return None
    metric = ROCAUC()
    metric.update(scores, wanted.astype(np.int64))
    return float(metric.compute())


def _mean_area(scores: Array, y: Array) -> float:
    found = (label_area(scores[:, k], y[:, k]) for k in range(y.shape[1]))
    areas = [area for area in found if area is not None]
    if not areas:
        raise StateError(
            "roc_auc: a label needs rows that have it, and rows that have it not",
            got=f"none of {y.shape[1]} labels has both", line="",
        )  # fmt: skip
    return float(np.mean(areas))
