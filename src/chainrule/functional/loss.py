"""Losses, spelled from ops, with PyTorch's arguments and checks that PyTorch only warns of.

Every loss takes `reduction`: 'mean' (default), 'sum' or 'none'.
"""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..ops.core import Value
from .arguments import choice
from .linear_algebra import _product
from .shaping import unsqueeze

REDUCTIONS = ("mean", "sum", "none")


def reduce(name: str, loss: Value, reduction: str) -> Value:
    """The mean, the sum, or the losses as they are; an empty mean raises instead of giving nan."""
    choice(name, "reduction", reduction, REDUCTIONS)
    if reduction == "none":
        return loss
    axis = tuple(range(len(loss.shape)))
    if reduction == "sum":
        return ops.sum(loss, axis=axis, keepdim=False)
    count = _product(loss.shape)
    if not count:
        raise _empty(name, loss.shape)
    return ops.sum(loss, axis=axis, keepdim=False) / count


def _empty(name: str, shape: tuple[int, ...], why: str = "") -> ShapeError:
    return ShapeError(
        f"{name}: the mean over no elements does not exist",
        expected="at least one example",
        got=f"input {shape}" + (f", {why}" if why else ""),
        fix="skip empty batches, or check what was filtered out before",
    )


def match_target(name: str, x: Value, target: Value) -> Value:
    """The target expanded to the input's shape; raises where the *input* would be repeated."""
    if target.shape == x.shape:
        return target
    wide = _broadcast_or_none(x.shape, target.shape)
    if wide == x.shape:
        return ops.expand(target, shape=x.shape)
    fix = "target.reshape(input.shape)"
    if len(x.shape) == len(target.shape) + 1 and x.shape[-1] == 1:
        fix = "target.unsqueeze(-1), or input.squeeze(-1)"
    elif len(target.shape) == len(x.shape) + 1 and target.shape[-1] == 1:
        fix = "target.squeeze(-1), or input.unsqueeze(-1)"
    raise ShapeError(
        f"{name}: input and target have different shapes",
        expected=f"target {x.shape}, as the input",
        got=f"input {x.shape}, target {target.shape}"
        + (f", which together would make {wide}" if wide else ""),
        fix=fix,
    )


def _broadcast_or_none(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return ops.core.broadcast_shapes("loss", a, b)
    except ShapeError:
        return None


def _pair(name: str, x: Value, target: Value) -> tuple[Value, Value]:
    if x.dtype.kind != "f":
        raise DTypeError(
            f"{name}: the input must be of a float type", got=x.dtype.name, fix="input.float()"
        )
    return x, match_target(name, x, target)


def _weighted(name: str, loss: Value, weight: Value | None) -> Value:
    return loss if weight is None else loss * match_target(name, loss, weight)


def mse_loss(x: Value, target: Value, reduction: str = "mean") -> Value:
    """The mean of (x - target)^2.

    Differs from PyTorch: a target that would repeat the input, such as (N,) against (N, 1), raises.
    """
    x, target = _pair("mse_loss", x, target)
    return reduce("mse_loss", ops.pow(x - target, 2), reduction)


def quadratic_cost(a: Value, y: Value) -> Value:
    """C = 1/(2n) sum_x |y(x) - a(x)|^2 over n examples in rows: the cost of the third article.

    Nielsen, Neural Networks and Deep Learning, equation 6. mse_loss is 2/outputs times this.
    """
    a, y = _pair("quadratic_cost", a, y)
    rows = a.shape[0] if len(a.shape) > 1 else 1
    if not rows:
        raise _empty("quadratic_cost", a.shape)
    axis = tuple(range(len(a.shape)))
    return ops.sum(ops.pow(a - y, 2), axis=axis, keepdim=False) / (2 * rows)


def l1_loss(x: Value, target: Value, reduction: str = "mean") -> Value:
    """The mean of |x - target|; the slope at 0 is 0."""
    x, target = _pair("l1_loss", x, target)
    return reduce("l1_loss", ops.abs(x - target), reduction)


def huber_loss(x: Value, target: Value, reduction: str = "mean", delta: float = 1.0) -> Value:
    """d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), with d = x - target."""
    if not delta > 0:
        raise ArgumentError("huber_loss: delta must be > 0", got=str(delta))
    x, target = _pair("huber_loss", x, target)
    size = ops.abs(x - target)
    loss = ops.where(ops.lt(size, delta), ops.pow(size, 2) * 0.5, (size - 0.5 * delta) * delta)
    return reduce("huber_loss", loss, reduction)


def smooth_l1_loss(x: Value, target: Value, reduction: str = "mean", beta: float = 1.0) -> Value:
    """huber_loss / beta; l1_loss for beta = 0."""
    if beta == 0:
        return l1_loss(x, target, reduction)
    return huber_loss(x, target, reduction, beta) / beta


def nll_loss(
    x: Value,
    target: Value,
    weight: Value | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Value:
    """-x[i, target[i]] for log-probabilities x (B, C, ...) and class numbers target (B, ...).

    With class weights w (C,) each term counts w[target[i]] times and the mean divides by their sum;
    targets equal to ignore_index do not count.  Raises where every target is ignored, or a class
    number lies outside [0, C).
    """
    return _class_loss("nll_loss", x, x, target, weight, ignore_index, reduction, 0.0)


def cross_entropy(
    x: Value,
    target: Value,
    weight: Value | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Value:
    """-ln softmax(x)[target], for logits x (B, C, ...).

    target holds class numbers (B, ...) of int64, or probabilities of x's shape.  label_smoothing e
    in [0, 1] mixes e/C into the target of each class.  With weights as in nll_loss.
    """
    name = "cross_entropy"
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            f"{name}: label_smoothing is out of range", expected="0 to 1", got=str(label_smoothing)
        )
    _check_logits(name, x)
    axis = 1 if len(x.shape) > 1 else 0
    log_p = ops.log_softmax(x, axis=axis)
    if target.shape == x.shape and target.dtype.kind == "f":
        return _soft_cross_entropy(name, log_p, target, weight, reduction, label_smoothing, axis)
    return _class_loss(name, x, log_p, target, weight, ignore_index, reduction, label_smoothing)


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
        count = _product(loss.shape)
        if not count:
            raise _empty(name, log_p.shape)
        return ops.sum(loss, axis=tuple(range(len(loss.shape))), keepdim=False) / count
    return reduce(name, loss, reduction)


def _along_classes(name: str, weight: Value, x: Value, axis: int) -> Value:
    classes = x.shape[axis]
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
    _check_logits(name, x)
    axis = 1 if len(x.shape) > 1 else 0
    classes = x.shape[axis]
    _check_classes(name, x, target, classes, axis, ignore_index)
    if reduction == "mean":
        _check_counted(name, x, target, ignore_index)
    counted = ops.ne(target, ignore_index) if _holds(target, ignore_index) else None
    safe = target if counted is None else ops.where(counted, target, 0)
    loss = -_pick(log_p, safe, axis)
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
        return ops.sum(loss, axis=everything, keepdim=False) / total
    return reduce(name, loss, reduction)


def _check_counted(name: str, x: Value, target: Value, ignore_index: int) -> None:
    """Raises where a mean would be over no targets: PyTorch gives nan, and the weights follow."""
    if not _product(target.shape):
        raise _empty(name, x.shape)
    values = getattr(target, "_value", None)
    if values is not None and bool((values == ignore_index).all()):
        raise _empty(name, x.shape, f"all {values.size} targets are ignore_index {ignore_index}")


def _pick(log_p: Value, target: Value, axis: int) -> Value:
    picked = ops.gather(log_p, unsqueeze(target, axis), axis=axis)
    return ops.reshape(picked, shape=target.shape)


def _holds(target: Value, number: int) -> bool:
    values = getattr(target, "_value", None)
    return values is None or bool((values == number).any())


def _check_classes(
    name: str, x: Value, target: Value, classes: int, axis: int, ignore_index: int
) -> None:
    """Class numbers: the right type, the right shape, within [0, classes)."""
    if target.dtype.kind not in "iu":
        raise DTypeError(
            f"{name}: the target is neither class numbers nor probabilities",
            expected=f"int64 {x.shape[:axis] + x.shape[axis + 1 :]}, or float {x.shape}",
            got=f"{target.dtype.name} {target.shape}",
            fix="target.long() for class numbers",
        )
    wanted = x.shape[:axis] + x.shape[axis + 1 :]
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
    values = getattr(target, "_value", None)
    if values is not None and values.size:
        bad = (values != ignore_index) & ((values < 0) | (values >= classes))
        if bad.any():
            rows = [int(r) for r in bad.reshape(-1).nonzero()[0][:5]]
            raise IndexRangeError(
                f"{name}: a class number is out of range",
                expected=f"0 to {classes - 1} for {classes} classes",
                got=f"targets from {values.min()} to {values.max()}, first at rows {rows}",
                fix="labels start at 0: target - 1"
                if values.min() == 1 and values.max() == classes
                else f"an output of {int(values.max()) + 1} classes, or mend the labels",
            )


class BatchSizeError(ShapeError, ValueError):
    """Two things of a batch that hold different numbers of examples."""


def binary_cross_entropy(
    x: Value, target: Value, weight: Value | None = None, reduction: str = "mean"
) -> Value:
    """-(t ln x + (1 - t) ln(1 - x)) for probabilities x; logarithms stay >= -100, as in PyTorch."""
    name = "binary_cross_entropy"
    x, target = _pair(name, x, target)
    values = getattr(x, "_value", None)
    if values is not None and values.size and not bool(((values >= 0) & (values <= 1)).all()):
        raise ProbabilityError(
            f"{name}: the input must hold probabilities",
            expected="values in [0, 1]",
            got=f"values from {float(values.min()):.6g} to {float(values.max()):.6g}",
            fix="binary_cross_entropy_with_logits(input, target), or sigmoid first",
        )
    spread = x * (1 - x)
    edge = ops.lt(spread, 1e-12)  # there the slope is (x - t) / 1e-12, again as in PyTorch
    inner = ops.where(edge, 0.5, x)
    loss = -(target * ops.log(inner) + (1 - target) * ops.log1p(-inner))
    fixed = ops.detach(x)
    log_p, log_q = ops.maximum(ops.log(fixed), -100.0), ops.maximum(ops.log1p(-fixed), -100.0)
    outer = -(target * log_p + (1 - target) * log_q)
    line = outer + (x - fixed) * ops.detach((x - target) * 1e12)
    return reduce(name, _weighted(name, ops.where(edge, line, loss), weight), reduction)


class ProbabilityError(ArgumentError, RuntimeError):
    """Values outside [0, 1] where probabilities are needed."""


def binary_cross_entropy_with_logits(
    x: Value,
    target: Value,
    weight: Value | None = None,
    reduction: str = "mean",
    pos_weight: Value | None = None,
) -> Value:
    """binary_cross_entropy of sigmoid(x), without overflow: softplus(x) - t x.

    pos_weight p counts positive targets p times: (1 - t) x + (1 + (p - 1) t) softplus(-x).
    """
    name = "binary_cross_entropy_with_logits"
    x, target = _pair(name, x, target)
    # softplus(x) - t x cancels where x is large and the guess is right.  With up = 1 where x > 0,
    # softplus(-|x|) + (up - t) x is the same number to the last digit, and so is its slope.
    up = ops.where(ops.gt(x, 0), 1.0, 0.0)
    small = ops.softplus(x * (1 - up * 2))
    if pos_weight is None:
        loss = (up - target) * x + small
    else:
        scale = (match_target(name, x, pos_weight) - 1) * target + 1
        loss = (1 - target - scale * (1 - up)) * x + scale * small
    return reduce(name, _weighted(name, loss, weight), reduction)


def kl_div(x: Value, target: Value, reduction: str = "mean", log_target: bool = False) -> Value:
    """t (ln t - x) for log-probabilities x; 0 where t = 0.  'batchmean' divides by the rows."""
    x, target = _pair("kl_div", x, target)
    if log_target:
        loss = ops.exp(target) * (target - x)
    else:
        zero = ops.eq(target, 0)
        log_t = ops.log(ops.where(zero, 1.0, target))
        loss = ops.where(zero, 0.0, target * (log_t - x))
    if reduction == "batchmean":
        axis = tuple(range(len(loss.shape)))
        return ops.sum(loss, axis=axis, keepdim=False) / max(x.shape[0] if x.shape else 1, 1)
    return reduce("kl_div", loss, reduction)


def gaussian_nll_loss(
    x: Value, target: Value, var: Value, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> Value:  # fmt: skip
    """(ln v + (x - t)^2 / v) / 2 with v = max(var, eps); `full` adds ln(2 pi) / 2."""
    x, target = _pair("gaussian_nll_loss", x, target)
    v: Any = var + ops.detach(ops.maximum(var, eps) - var)
    loss = (ops.log(v) + ops.pow(x - target, 2) / v) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduce("gaussian_nll_loss", loss, reduction)
