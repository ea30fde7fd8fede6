"""What a batch weighs in the mean over several batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .inputs import Batch


def weight_of(loss: Any, batch: Batch) -> float:
    """The number by which a loss divides: examples, or the weights of the classes that count.

    With it the mean over the union of batches is the weighted mean of their means.
    """
    target = batch[-1]._value
    count = float(target.shape[0]) if target.ndim else 1.0
    ignored = getattr(loss, "ignore_index", None)
    per_class = getattr(loss, "weight", None)
    if ignored is None or target.dtype.kind not in "iu":
        return count
    counted = target != ignored
    if per_class is None:
        return float(np.count_nonzero(counted))
    return float(per_class._value[target[counted]].sum(dtype=np.float64))


def shares(loss: Any, group: Sequence[Batch]) -> list[float]:
    """By what each batch's loss is multiplied so that they add up to the loss of the union."""
    if len(group) == 1 or getattr(loss, "reduction", "mean") == "sum":
        return [1.0] * len(group)
    weights = [weight_of(loss, batch) for batch in group]
    total = sum(weights)
    return [w / total for w in weights] if total else [1.0 / len(group)] * len(group)


def row_weights(loss: Any, targets: Any) -> Any:
    """What each row of an array of targets adds to `weight_of` a batch; None: 1 each."""
    ignored = getattr(loss, "ignore_index", None)
    if ignored is None or targets.dtype.kind not in "iu":
        return None
    counted = targets != ignored
    per_class = getattr(loss, "weight", None)
    if per_class is None:
        if counted.all() and targets.ndim == 1:
            return None
        weights = counted.astype(np.float64)
    else:
        weights = np.zeros(targets.shape)
        weights[counted] = per_class._value[targets[counted]]
    return weights.reshape(len(targets), -1).sum(1)
