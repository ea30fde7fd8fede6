"""Element by element, spelled from ops: no rules here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from ..errors import ArgumentError
from ..ops import floor, mul, where
from ..ops import remainder as remainder
from ..ops.core import Value, is_number
from .arguments import choice
from .shaping import broadcast_tensors, stack


def add(x: Value, other: Value, *, alpha: float = 1) -> Value:
    """x + alpha other."""
    return ops.add(x, other if alpha == 1 else mul(other, alpha))


def sub(x: Value, other: Value, *, alpha: float = 1) -> Value:
    """x - alpha other."""
    return ops.sub(x, other if alpha == 1 else mul(other, alpha))


def div(x: Value, other: Value, *, rounding_mode: str | None = None) -> Value:
    """x / other; rounded down with rounding_mode "floor", towards 0 with "trunc"."""
    if rounding_mode is None:
        return ops.div(x, other)
    choice("div", "rounding_mode", rounding_mode, ("floor", "trunc"))
    y = ops.floor_div(x, other)
    if rounding_mode == "floor":
        return y
    if y.dtype.kind == "f":
        return trunc(ops.div(x, other))
    return y + ops.cast(ops.lt(y, 0) & ops.ne(y * other, x), dtype=y.dtype)


def round(x: Value, *, decimals: int = 0) -> Value:
    """x rounded to so many digits after the point, halves to even; gradient 0."""
    scale = 10.0 ** abs(decimals)
    if not decimals:
        return ops.round(x)
    return ops.round(x * scale) / scale if decimals > 0 else ops.round(x / scale) * scale


def square(x: Value) -> Value:
    """x^2."""
    return ops.pow(x, 2)


def reciprocal(x: Value) -> Value:
    """1 / x."""
    return div(1.0, x)


def ceil(x: Value) -> Value:
    """The smallest whole number >= x; gradient 0."""
    return -floor(-x) if x.dtype.kind == "f" else x


def trunc(x: Value) -> Value:
    """x without its fraction; gradient 0."""
    return where(ops.lt(x, 0), ceil(x), floor(x)) if x.dtype.kind == "f" else x


def frac(x: Value) -> Value:
    """The fraction of x, with its sign: x - trunc(x)."""
    return x - trunc(x)


def tan(x: Value) -> Value:
    """sin x / cos x."""
    return ops.sin(x) / ops.cos(x)


def exp2(x: Value) -> Value:
    """2^x."""
    return ops.exp(x * math.log(2.0))


def log2(x: Value) -> Value:
    """The logarithm to base 2."""
    return ops.log(x) * (1 / math.log(2.0))


def log10(x: Value) -> Value:
    """The logarithm to base 10."""
    return ops.log(x) * (1 / math.log(10.0))


def logaddexp(a: Value, b: Value) -> Value:
    """ln(e^a + e^b), without overflow; -inf where both are."""
    a, b = broadcast_tensors(a, b)
    return ops.logsumexp(stack([a, b]), axis=(0,), keepdim=False)


class MissingLimitError(ArgumentError, RuntimeError):
    """A clamp without any limit."""


def clamp(x: Value, min: Any = None, max: Any = None) -> Value:
    """x limited to [min, max]; the gradient is 1 inside and at the limits, 0 outside."""
    if min is None and max is None:
        raise MissingLimitError("clamp: needs min, max or both")
    if is_number(min) and is_number(max) and min > max:
        return where(ops.ne(x, x), x, max)
    y = x
    if min is not None:
        y = where(_beyond(ops.lt(y, min), min), min, y)
    if max is not None:
        y = where(_beyond(ops.gt(y, max), max), max, y)
    return y


def _beyond(outside: Value, limit: Value) -> Value:
    """Where a limit holds: outside it, and where the limit is nan, which no number hides."""
    return outside if is_number(limit) else ops.logical_or(outside, isnan(limit))


def addcmul(x: Value, a: Value, b: Value, *, value: float = 1) -> Value:
    """x + value a b."""
    return add(x, mul(mul(a, b), value))


def addcdiv(x: Value, a: Value, b: Value, *, value: float = 1) -> Value:
    """x + value a / b."""
    return add(x, mul(div(a, b), value))


def lerp(a: Value, b: Value, weight: Value) -> Value:
    """a + weight (b - a)."""
    return add(a, mul(weight, sub(b, a)))


def isnan(x: Value) -> Value:
    """Whether each element is nan."""
    return ops.ne(x, x)


def isinf(x: Value) -> Value:
    """Whether each element is infinite."""
    return ops.eq(ops.abs(x), math.inf)


def isfinite(x: Value) -> Value:
    """Whether each element is a number that is neither infinite nor nan."""
    return ops.lt(ops.abs(x), math.inf)


def nan_to_num(
    x: Value, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Value:
    """x with every nan replaced, and infinities by the greatest finite numbers or those given."""
    if x.dtype.kind != "f":
        return x
    limit = float(np.finfo(x.dtype).max)
    y = where(isnan(x), nan, x)
    y = where(ops.eq(y, math.inf), limit if posinf is None else posinf, y)
    return where(ops.eq(y, -math.inf), -limit if neginf is None else neginf, y)


def fmin(a: Value, b: Value) -> Value:
    """The smaller, and the other one where one is nan; a tie's gradient goes to a."""
    return where(ops.logical_or(ops.le(a, b), isnan(b)), a, b)


def fmax(a: Value, b: Value) -> Value:
    """The greater, and the other one where one is nan; a tie's gradient goes to a."""
    return where(ops.logical_or(ops.ge(a, b), isnan(b)), a, b)
