"""What a batch weighs in the mean over several batches, and rows that weigh differently."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import functional as F
from .. import ops
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..nn import Module
from ..tensor.core import Tensor
from .inputs import Batch, as_input, flat

TINY = 1e-30
"""A batch whose weights are all 0 has the loss 0."""


class RowWeighted:
    """L = sum_i w_i l_i / sum_i w_i: the mean of a loss in which row i counts w_i times.

    loss: whose terms l_i of the rows i it takes; what a row's terms are is their mean where it has
    several.  Its batches are (x1, ..., w, y), with w (B,) before the target.
    Raises where the loss has no terms by row, or weighs rows itself.
    """

    def __init__(self, loss: Callable[..., Tensor]) -> None:
        self.loss = loss
        self.terms = _by_row(loss)

    def __call__(self, prediction: Tensor, target: Tensor, w: Tensor) -> Tensor:
        """The weighted mean."""
        each = self.terms(prediction, target)
        if not isinstance(each, Tensor) or not each.ndim or each.shape[0] != w.shape[0]:
            raise ShapeError(
                "sample_weight: the loss must give one term or more for each row",
                expected=f"shape ({w.shape[0]}, ..)",
                got=f"shape {each.shape}" if isinstance(each, Tensor) else type(each).__name__,
            )
        if each.ndim > 1:
            each = each.reshape(each.shape[0], -1).mean(1)
        w = w.to(each.dtype)
        return F.sum(each * w) / ops.maximum(F.sum(w), TINY)


def _by_row(loss: Any) -> Callable[..., Any]:
    """The loss before its mean; raises where there is no such thing."""
    if isinstance(loss, Module) and getattr(loss, "reduction", None) == "mean":
        held = [n for n in ("weight", "pos_weight") if getattr(loss, n, None) is not None]
        left_out = int(getattr(loss, "ignore_index", -1))
        if held or left_out >= 0:
            raise ArgumentError(
                f"sample_weight: {type(loss).__name__} leaves rows out or weighs them itself",
                got=", ".join(held) or f"ignore_index={left_out}",
                fix="sample_weight with both weights multiplied, 0 for what is not to count",
            )
        twin: Any = copy.deepcopy(loss)
        twin.__dict__["reduction"] = "none"
        return twin
    if not isinstance(loss, Module) and _takes_reduction(loss):
        return lambda prediction, target: loss(prediction, target, reduction="none")
    raise ArgumentTypeError(
        "sample_weight: this loss has no terms by row",
        expected="reduction='mean', as the losses of nn have, or a function with reduction=",
        got=getattr(loss, "__name__", None) or repr(loss)[:60],
    )


def _takes_reduction(loss: Any) -> bool:
    try:
        return "reduction" in inspect.signature(loss).parameters
    except (TypeError, ValueError):
        return False


def with_weights(data: Any, sample_weight: Any, model: Module) -> tuple[Any, ...]:
    """Arrays (x1, ..., y) with the weights before the target; raises where they do not fit."""
    data = flat(data)
    if not isinstance(data, (tuple, list)) or len(data) < 2:
        raise ArgumentTypeError(
            "sample_weight goes with arrays", expected="fit((x, y), sample_weight=w)",
            got=type(data).__name__,
        )  # fmt: skip
    w = as_input(sample_weight, model, "sample_weight")
    held = w._value
    rows = len(data[-1])
    if held.shape != (rows,) or held.dtype.kind not in "biuf":
        raise ShapeError(
            "sample_weight must be one number for each row", expected=f"shape ({rows},)",
            got=f"{held.dtype.name} of shape {held.shape}",
        )  # fmt: skip
    bad = np.flatnonzero(~(np.isfinite(held) & (held >= 0)))
    if bad.size or not held.any():
        raise ArgumentError(
            "sample_weight must hold finite numbers >= 0, not all of them 0",
            got=f"{held[bad[0]]} in row {bad[0]}, {bad.size} such rows" if bad.size else "only 0",
        )
    return (*data[:-1], w, data[-1])


def weight_of(loss: Any, batch: Batch) -> float:
    """The number by which a loss divides: examples, or the weights of those that count.

    With it the mean over the union of batches is the weighted mean of their means.
    """
    target = batch[-1]._value
    if isinstance(loss, RowWeighted):
        return float(batch[-2]._value.sum(dtype=np.float64))
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


def row_weights(loss: Any, arrays: Sequence[Any]) -> Any:
    """What each row of the arrays (x1, ..., y) adds to `weight_of` a batch; None: 1 each."""
    if isinstance(loss, RowWeighted):
        return arrays[-2].astype(np.float64)
    targets = arrays[-1]
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
