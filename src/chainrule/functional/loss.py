"""Losses of numbers and of probabilities, spelled from ops, with PyTorch's arguments.

Every loss takes `reduction`: 'mean' (default), 'sum' or 'none'.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from .. import ops
from ..errors import ArgumentError, DTypeError, ShapeError
from ..ops.arithmetic import nowhere
from ..ops.core import Value
from .arguments import choice, later, need_values

REDUCTIONS = ("mean", "sum", "none")


def reduce(name: str, loss: Value, reduction: str) -> Value:
    """The mean, the sum, or the losses as they are; an empty mean raises instead of giving nan."""
    choice(name, "reduction", reduction, REDUCTIONS)
    if reduction == "none":
        return loss
    axis = tuple(range(len(loss.shape)))
    if reduction == "sum":
        return ops.sum(loss, axis=axis, keepdim=False)
    count = math.prod(loss.shape)
    if not count:
        raise empty_mean(name, loss.shape)
    return ops.sum(loss, axis=axis, keepdim=False) / count


def empty_mean(name: str, shape: tuple[int, ...], why: str = "") -> ShapeError:
    """The error for a mean that is over nothing."""
    return ShapeError(
        f"{name}: the mean over no elements does not exist",
        expected="at least one example",
        got=f"input {shape}" + (f", {why}" if why else ""),
        fix="skip empty batches, or check what was filtered out before",
    )


def match_target(name: str, x: Value, target: Value, what: str = "target") -> Value:
    """The target expanded to the input's shape; raises where the *input* would be repeated."""
    if target.shape == x.shape:
        return target
    wide = _broadcast_or_none(x.shape, target.shape)
    if wide == x.shape:
        return ops.expand(target, shape=x.shape)
    fix = None
    if len(x.shape) == len(target.shape) + 1 and x.shape[-1] == 1:
        fix = f"{what}.unsqueeze(-1), or input.squeeze(-1)"
    elif len(target.shape) == len(x.shape) + 1 and target.shape[-1] == 1:
        fix = f"{what}.squeeze(-1), or input.unsqueeze(-1)"
    elif math.prod(x.shape) == math.prod(target.shape):
        fix = f"{what}.reshape(input.shape), if the order of the elements is the same"
    raise ShapeError(
        f"{name}: input and {what} have different shapes",
        expected=f"{what} {x.shape}, as the input",
        got=f"input {x.shape}, {what} {target.shape}"
        + (f", which together would make {wide}" if wide else ""),
        fix=fix,
    )


def _broadcast_or_none(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return ops.core.broadcast_shapes("loss", a, b)
    except ShapeError:
        return None


def _pair(name: str, x: Value, target: Value) -> tuple[Value, Value]:
    need_values(name, input=x, target=target)
    if x.dtype.kind != "f":
        raise DTypeError(
            f"{name}: the input must be of a float type", got=x.dtype.name, fix="input.float()"
        )
    return x, match_target(name, x, target)


def _weighted(name: str, loss: Value, weight: Value | None) -> Value:
    return loss if weight is None else loss * match_target(name, loss, weight, "weight")


def mse_loss(input: Value, target: Value, reduction: str = "mean") -> Value:
    """The mean of (input - target)^2.

    Differs from PyTorch: a target that would repeat the input, such as (N,) against (N, 1), raises.
    """
    input, target = _pair("mse_loss", input, target)
    return reduce("mse_loss", ops.pow(input - target, 2), reduction)


def quadratic_cost(a: Value, y: Value) -> Value:
    """C = 1/(2n) sum_x |y(x) - a(x)|^2 over n examples in rows: the cost of the third article.

    Nielsen, Neural Networks and Deep Learning, equation 6. mse_loss is 2/outputs times this.
    """
    a, y = _pair("quadratic_cost", a, y)
    rows = a.shape[0] if len(a.shape) > 1 else 1
    if not rows:
        raise empty_mean("quadratic_cost", a.shape)
    axis = tuple(range(len(a.shape)))
    return ops.sum(ops.pow(a - y, 2), axis=axis, keepdim=False) / (2 * rows)


def l1_loss(input: Value, target: Value, reduction: str = "mean") -> Value:
    """The mean of |input - target|; the slope at 0 is 0."""
    input, target = _pair("l1_loss", input, target)
    return reduce("l1_loss", ops.abs(input - target), reduction)


def huber_loss(input: Value, target: Value, reduction: str = "mean", delta: float = 1.0) -> Value:
    """d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), with d = input - target."""
    if not delta > 0:
        raise ArgumentError("huber_loss: delta must be > 0", got=str(delta))
    input, target = _pair("huber_loss", input, target)
    d = input - target
    size = ops.abs(d)  # not squared below: |d| has no second derivative at 0, d^2 has one
    loss = ops.where(ops.lt(size, delta), ops.pow(d, 2) * 0.5, (size - 0.5 * delta) * delta)
    return reduce("huber_loss", loss, reduction)


def smooth_l1_loss(
    input: Value, target: Value, reduction: str = "mean", beta: float = 1.0
) -> Value:
    """huber_loss / beta; l1_loss for beta = 0."""
    if beta == 0:
        return l1_loss(input, target, reduction)
    return huber_loss(input, target, reduction, beta) / beta


def binary_cross_entropy(
    input: Value, target: Value, weight: Value | None = None, reduction: str = "mean"
) -> Value:
    """-(t ln p + (1 - t) ln(1 - p)), p = input; logarithms stay >= -100, as in PyTorch."""
    name = "binary_cross_entropy"
    input, target = _pair(name, input, target)
    later(input, partial(_check_probabilities, name), _are_probabilities)
    spread = input * (1 - input)
    edge = ops.lt(spread, 1e-12)  # there the slope is (x - t) / 1e-12, again as in PyTorch
    inner = ops.where(edge, 0.5, input)
    loss = -(target * ops.log(inner) + (1 - target) * ops.log1p(-inner))
    fixed = ops.detach(input)
    log_p, log_q = ops.maximum(ops.log(fixed), -100.0), ops.maximum(ops.log1p(-fixed), -100.0)
    outer = -(target * log_p + (1 - target) * log_q)
    line = outer + (input - fixed) * ops.detach((input - target) * 1e12)
    return reduce(name, _weighted(name, ops.where(edge, line, loss), weight), reduction)


def _check_probabilities(name: str, values: Any) -> None:
    if values.size and not bool(((values >= 0) & (values <= 1)).all()):
        raise _no_probabilities(name, values)


def _are_probabilities(x: Value) -> Value:
    return nowhere(ops.logical_not(ops.ge(x, 0) & ops.le(x, 1)))


def _no_probabilities(name: str, values: Any) -> ProbabilityError:
    missing = int((values != values).sum())
    got = f"{missing} of {values.size} values are nan"
    fix = "find the layer that made the first nan"
    if not missing:
        got = f"values from {float(values.min()):.6g} to {float(values.max()):.6g}"
        fix = "binary_cross_entropy_with_logits(input, target), or sigmoid first"
    return ProbabilityError(
        f"{name}: the input must hold probabilities", expected="values in [0, 1]", got=got, fix=fix
    )


class ProbabilityError(ArgumentError, RuntimeError):
    """Values outside [0, 1] where probabilities are needed."""


def binary_cross_entropy_with_logits(
    input: Value,
    target: Value,
    weight: Value | None = None,
    reduction: str = "mean",
    pos_weight: Value | None = None,
) -> Value:
    """binary_cross_entropy of sigmoid(x), x = input, without overflow: softplus(x) - t x.

    pos_weight p counts positive targets p times: (1 - t) x + (1 + (p - 1) t) softplus(-x).
    """
    name = "binary_cross_entropy_with_logits"
    input, target = _pair(name, input, target)
    # softplus(x) - t x cancels where x is large and the guess is right.  With up = 1 where x > 0,
    # softplus(-|x|) + (up - t) x is the same number to the last digit, and so is its slope.
    up = ops.where(ops.gt(input, 0), 1.0, 0.0)
    small = ops.softplus(input * (1 - up * 2))
    if pos_weight is None:
        loss = (up - target) * input + small
    else:
        scale = (match_target(name, input, pos_weight, "pos_weight") - 1) * target + 1
        loss = (1 - target - scale * (1 - up)) * input + scale * small
    return reduce(name, _weighted(name, loss, weight), reduction)


def kl_div(input: Value, target: Value, reduction: str = "mean", log_target: bool = False) -> Value:
    """t (ln t - input), input log-probabilities; 0 where t = 0.  'batchmean' is by row."""
    input, target = _pair("kl_div", input, target)
    if log_target:
        loss = ops.exp(target) * (target - input)
    else:
        zero = ops.eq(target, 0)
        log_t = ops.log(ops.where(zero, 1.0, target))
        loss = ops.where(zero, 0.0, target * (log_t - input))
    if reduction == "batchmean":
        axis = tuple(range(len(loss.shape)))
        return ops.sum(loss, axis=axis, keepdim=False) / max(
            input.shape[0] if input.shape else 1, 1
        )
    return reduce("kl_div", loss, reduction)


def gaussian_nll_loss(
    input: Value, target: Value, var: Value, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> Value:  # fmt: skip
    """(ln v + (input - t)^2 / v) / 2 with v = max(var, eps); `full` adds ln(2 pi) / 2."""
    input, target = _pair("gaussian_nll_loss", input, target)
    v: Any = var + ops.detach(ops.maximum(var, eps) - var)
    loss = (ops.log(v) + ops.pow(input - target, 2) / v) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduce("gaussian_nll_loss", loss, reduction)
