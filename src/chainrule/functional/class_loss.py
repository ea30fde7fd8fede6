"""Losses of classes: cross-entropy and negative log-likelihood, with all of PyTorch's options."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from .. import ops
from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..ops.arithmetic import nowhere
from ..ops.core import Value, current
from .arguments import choice, later, need_values, trust
from .loss import REDUCTIONS, empty_mean, reduce
from .shaping import unsqueeze


def nll_loss(
    input: Value,
    target: Value,
    weight: Value | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Value:
    """-input[i, target[i]]: input (B, C, ...) log-probabilities, target (B, ...) class numbers.

    With class weights w (C,) each term counts w[target[i]] times and the mean divides by their sum;
    targets equal to ignore_index do not count.  Raises where every target is ignored, or a class
    number lies outside [0, C).
    """
    return _class_loss("nll_loss", input, input, target, weight, ignore_index, reduction, 0.0)


def cross_entropy(
    input: Value,
    target: Value,
    weight: Value | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Value:
    """-ln softmax(input)[target], for logits (B, C, ...).

    target holds class numbers (B, ...) of int64, or probabilities of input's shape.
    label_smoothing e in [0, 1] mixes e/C into the target of each class.  Weights as in nll_loss.
    """
    name = "cross_entropy"
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            f"{name}: label_smoothing is out of range", expected="0 to 1", got=str(label_smoothing)
        )
    need_values(name, input=input, target=target)
    _check_logits(name, input)
    axis = 1 if len(input.shape) > 1 else 0
    log_p = ops.log_softmax(input, axis=axis)
    if target.shape == input.shape and target.dtype.kind == "f":
        if ignore_index >= 0:
            raise DTypeError(
                f"{name}: ignore_index is for class numbers, not for probabilities",
                got=f"ignore_index={ignore_index}, target {target.dtype.name} {target.shape}",
                fix="probabilities of 0 for what is not to count",
            )
        return _soft_cross_entropy(name, log_p, target, weight, reduction, label_smoothing, axis)
    return _class_loss(name, input, log_p, target, weight, ignore_index, reduction, label_smoothing)


def _check_logits(name: str, x: Value) -> None:
    if not x.shape:
        raise ShapeError(f"{name}: needs a dimension of classes", got="a 0-d input")
    if x.dtype.kind != "f":
        raise DTypeError(
            f"{name}: the input must be of a float type", got=x.dtype.name, fix="input.float()"
        )


def _soft_cross_entropy(
    name: str, log_p: Value, target: Value, weight: Value | None, reduction: str,
    smoothing: float, axis: int,
) -> Value:  # fmt: skip
    classes = log_p.shape[axis]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    terms = log_p * target
    if weight is not None:
        terms = terms * _along_classes(name, weight, log_p, axis)
    loss = -ops.sum(terms, axis=(axis,), keepdim=False)
    if reduction == "mean":  # PyTorch divides by the number of examples, weights or not
        count = math.prod(loss.shape)
        if not count:
            raise empty_mean(name, log_p.shape)
        return ops.sum(loss, axis=tuple(range(len(loss.shape))), keepdim=False) / count
    return reduce(name, loss, reduction)


def _along_classes(name: str, weight: Value, x: Value, axis: int) -> Value:
    classes = x.shape[axis]
    need_values(name, weight=weight)
    if weight.dtype != x.dtype:
        raise DTypeError(
            f"{name}: the weights have another dtype than the input",
            expected=x.dtype.name,
            got=weight.dtype.name,
            fix=f"weight.to(chainrule.{x.dtype.name})",
        )
    if weight.shape != (classes,):
        raise ShapeError(
            f"{name}: needs one weight a class", expected=f"({classes},)", got=str(weight.shape)
        )
    shape = [1] * len(x.shape)
    shape[axis] = classes
    return ops.reshape(weight, shape=tuple(shape))


def _class_loss(
    name: str, x: Value, log_p: Value, target: Value, weight: Value | None, ignore_index: int,
    reduction: str, smoothing: float,
) -> Value:  # fmt: skip
    choice(name, "reduction", reduction, REDUCTIONS)
    need_values(name, input=x, target=target)
    _check_logits(name, x)
    axis = 1 if len(x.shape) > 1 else 0
    classes = x.shape[axis]
    ignoring = _check_classes(name, x, target, classes, axis, ignore_index)
    if reduction == "mean":
        _check_counted(name, x, target, ignore_index, ignoring)
    counted = ops.ne(target, ignore_index) if ignoring else None
    safe = target if counted is None else ops.where(counted, target, 0)
    trust(safe)
    picked = ops.gather(log_p, unsqueeze(safe, axis), axis=axis)
    if reduction == "mean" and weight is None and not smoothing and not ignoring:
        everything = tuple(range(len(picked.shape)))  # the usual case, in two ops
        return ops.sum(picked, axis=everything, keepdim=False) / -math.prod(target.shape)
    loss = -ops.reshape(picked, shape=target.shape)
    scale = None
    if weight is not None:
        per_class = _along_classes(name, weight, log_p, axis)
        scale = ops.index_select(weight, safe, axis=0)
        loss = loss * scale
    if smoothing:
        spread = log_p if weight is None else log_p * per_class
        smooth = -ops.sum(spread, axis=(axis,), keepdim=False)
        loss = loss * (1 - smoothing) + smooth * (smoothing / classes)
    if counted is not None:
        loss = ops.where(counted, loss, 0.0)
        scale = ops.where(counted, 1.0 if scale is None else scale, 0.0)
    everything = tuple(range(len(loss.shape)))
    if reduction == "mean" and scale is not None:
        scale = ops.cast(scale, dtype=loss.dtype)
        total = ops.sum(scale, axis=everything, keepdim=False)
        if weight is not None:
            later(total, partial(_check_total, name, x.shape), lambda t: ops.ne(t, 0))
        return ops.sum(loss, axis=everything, keepdim=False) / total
    return reduce(name, loss, reduction)


def _check_counted(name: str, x: Value, target: Value, ignore_index: int, ignoring: bool) -> None:
    """Raises where a mean would be over no targets: PyTorch gives nan, and the weights follow."""
    if not math.prod(target.shape):
        raise empty_mean(name, x.shape)
    if ignoring:
        later(
            target,
            partial(_check_not_all, name, x.shape, ignore_index),
            lambda t: ops.logical_not(nowhere(ops.ne(t, ignore_index))),
        )


def _check_not_all(name: str, shape: tuple[int, ...], ignore_index: int, values: Any) -> None:
    if values.flat[0] == ignore_index and bool((values == ignore_index).all()):
        raise empty_mean(name, shape, f"all {values.size} targets are ignore_index {ignore_index}")


def _check_total(name: str, shape: tuple[int, ...], total: Any) -> None:
    if total == 0:
        raise empty_mean(name, shape, "the weights of all targets are 0")


def _check_classes(
    name: str, x: Value, target: Value, classes: int, axis: int, ignore_index: int
) -> bool:
    """Class numbers: the right type and shape, within [0, classes); whether some are ignored."""
    wanted = x.shape[:axis] + x.shape[axis + 1 :]
    if target.dtype.kind not in "iu":
        raise _not_classes(name, x, target, wanted)
    if target.shape != wanted:
        if target.shape[:1] != wanted[:1] and axis:
            raise BatchSizeError(
                f"{name}: input and target hold different numbers of examples",
                expected=f"target {wanted} for input {x.shape}",
                got=f"target {target.shape}",
                fix="take both from the same batch of the loader",
            )
        raise ShapeError(
            f"{name}: the target does not fit the input",
            expected=f"{wanted} for input {x.shape}",
            got=str(target.shape),
            fix="target.squeeze(-1)" if target.shape == (*wanted, 1) else None,
        )
    trace = current.trace
    if trace is not None:
        trace.demand(
            target, partial(_look_at_classes, name, classes, ignore_index),
            partial(_are_classes, classes, ignore_index),
        )  # fmt: skip
        return True
    values = getattr(target, "_value", None)
    return True if values is None else _look_at_classes(name, classes, ignore_index, values)


def _are_classes(classes: int, ignore_index: int, target: Value) -> Value:
    outside = ops.lt(target, 0) | ops.ge(target, classes)
    return nowhere(outside & ops.ne(target, ignore_index))


def _look_at_classes(name: str, classes: int, ignore_index: int, values: Any) -> bool:
    """Whether some class numbers are ignored; raises where one is out of range."""
    if not values.size:
        return False
    # seen as unsigned a negative number is huge: one pass, and mostly all is in range
    unsigned = values.view(f"u{values.itemsize}")
    if not 0 <= ignore_index < classes and np.maximum.reduce(unsigned, axis=None) < classes:
        return False
    low, high = values.min(), values.max()
    if low < 0 or high >= classes:
        bad = (values != ignore_index) & ((values < 0) | (values >= classes))
        if bad.any():
            raise _class_out_of_range(name, values, bad, classes)
    return bool(low <= ignore_index <= high and (values == ignore_index).any())


def _not_classes(name: str, x: Value, target: Value, wanted: tuple[int, ...]) -> DTypeError:
    fix = "target.long() for class numbers"
    if target.shape == (*wanted, 1):
        fix = "target.squeeze(-1).long() for class numbers"
    elif len(target.shape) == len(x.shape) and target.dtype.kind == "f":
        fix = "probabilities of the input's shape"
    return DTypeError(
        f"{name}: the target is neither class numbers nor probabilities",
        expected=f"int64 {wanted}, or float {x.shape}",
        got=f"{target.dtype.name} {target.shape}",
        fix=fix,
    )


def _class_out_of_range(name: str, values: Any, bad: Any, classes: int) -> IndexRangeError:
    low, high = int(values[bad].min()), int(values[bad].max())
    rows = [int(r) for r in bad.reshape(-1).nonzero()[0][:5]]
    if low == high == classes and not (values == 0).any():
        fix = "labels start at 0: target - 1"
    elif low < 0:
        fix = f"ignore_index={low} if it marks what to leave out, or mend the labels"
    else:
        fix = f"an output of {high + 1} classes, or mend the labels"
    return IndexRangeError(
        f"{name}: a class number is out of range",
        expected=f"0 to {classes - 1} for {classes} classes",
        got=f"targets from {values.min()} to {values.max()}, first at rows {rows}",
        fix=fix,
    )


class BatchSizeError(ShapeError, ValueError):
    """Two things of a batch that hold different numbers of examples."""
