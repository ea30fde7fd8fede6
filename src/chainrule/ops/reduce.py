"""Ops that gather many elements into one, always in the same order: the same bits every time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import dtypes
from .arithmetic import mul
from .broadcast import Axis, EmptyReductionError, Reduction, expand, spread, sum
from .core import NOTHING, VALUE_X, VALUE_Y, Op, Sample, Scatter, Spec, Value
from .elementary import abs, exp, log
from .logic import eq, lt, ne, where
from .pointwise import cast
from .shape import flip, full, iota, pad, reshape, slice_

# typed Any: the stubs know no positional keepdims, which saves a keyword on a hot path
_add_reduce: Any = np.add.reduce
_maximum_reduce: Any = np.maximum.reduce
_minimum_reduce: Any = np.minimum.reduce
_multiply_reduce: Any = np.multiply.reduce


class Extremum(Reduction):
    """Base of max and min: the gradient is shared evenly among ties."""

    saves = frozenset({"x", "y"})
    nonempty = True

    def vjp(self, g: Value, y: Value, x: Value, *, axis: Axis, keepdim: bool) -> tuple[Value, ...]:
        hit = eq(x, spread(y, x.shape, axis, keepdim))
        ties = sum(cast(hit, dtype=g.dtype), axis=axis, keepdim=keepdim)
        return (mul(hit, spread(g / ties, x.shape, axis, keepdim)),)


class Max(Extremum):
    """y = the greatest x;  dy/dx = 1/n at each of n equal greatest ones (as torch.amax), else 0."""

    math = "max({x})"

    def forward(self, x: Any, *, axis: Axis, keepdim: bool) -> Any:
        return _maximum_reduce(x, axis, None, None, keepdim)

    def combine(self, make: Any, x: Any) -> tuple[str, Any]:
        return "max", x


class Min(Extremum):
    """y = the smallest x;  dy/dx = 1/n at each of n equal smallest ones (as torch.amin), else 0."""

    math = "min({x})"

    def forward(self, x: Any, *, axis: Axis, keepdim: bool) -> Any:
        return _minimum_reduce(x, axis, None, None, keepdim)

    def combine(self, make: Any, x: Any) -> tuple[str, Any]:
        return "min", x


class Prod(Reduction):
    """y = product of x;  dy/dx_i = product of the others (right at zeros, to any order)."""

    math = "prod({x})"
    saves = VALUE_X

    def result_dtype(self, dtype: Any) -> Any:
        return dtype if dtype.kind == "f" else dtypes.int64

    def forward(self, x: Any, *, axis: Axis, keepdim: bool) -> Any:
        dtype = None if x.dtype.kind == "f" else np.int64
        return _multiply_reduce(x, axis, dtype, None, keepdim)

    def combine(self, make: Any, x: Any) -> tuple[str, Any]:
        return "prod", make.cast(x, self.result_dtype(x.dtype))

    def vjp(self, g: Value, y: Value, x: Value, *, axis: Axis, keepdim: bool) -> tuple[Value, ...]:
        others = _product_of_others(x, axis) if axis else 1.0
        return (spread(g, x.shape, axis, keepdim) * others,)


def _product_of_others(x: Value, axis: Axis) -> Value:
    """For every element the product of all others along `axis`, by a tree: no division.

    Going up, pairs are multiplied; going down, each half takes what its parent lacked times its
    sibling.
    """
    if len(axis) > 1:
        inner = prod(x, axis=axis[:1], keepdim=True)
        above = expand(_product_of_others(inner, axis[1:]), shape=x.shape)
        return _product_of_others(x, axis[:1]) * above
    (a,) = axis
    shape, n = x.shape, x.shape[a]
    size = 1 << (n - 1).bit_length() if n else 1
    widths = tuple((0, size - n if i == a else 0) for i in range(len(shape)))
    level = pad(x, widths=widths, value=1.0)
    pairs = []
    while size > 1:
        size //= 2
        pair = reshape(level, shape=(*shape[:a], size, 2, *shape[a + 1 :]))
        pairs.append(pair)
        level = prod(pair, axis=(a + 1,), keepdim=False)
    others = full(shape=(*shape[:a], 1, *shape[a + 1 :]), value=1.0, dtype=x.dtype)
    for pair in reversed(pairs):
        below = (*shape[:a], pair.shape[a], 1, *shape[a + 1 :])
        both = expand(reshape(others, shape=below), shape=pair.shape) * flip(pair, axis=(a + 1,))
        others = reshape(both, shape=(*shape[:a], 2 * pair.shape[a], *shape[a + 1 :]))
    ranges = tuple((0, m, 1) for m in shape)
    return slice_(others, ranges=ranges)


class Logsumexp(Reduction):
    """y = ln sum e^x, without overflow;  dy/dx = e^(x - y) = softmax(x)."""

    math = "ln(sum(exp({x})))"
    saves = frozenset({"x", "y"})

    def forward(self, x: Any, *, axis: Axis, keepdim: bool) -> Any:
        if x.size == 0:
            return np.log(_add_reduce(np.exp(x), axis, None, None, keepdim))
        top = _maximum_reduce(x, axis, None, None, True)
        top = np.where(np.isfinite(top), top, top.dtype.type(0))
        total = np.log(_add_reduce(np.exp(x - top), axis, None, None, True)) + top
        return total if keepdim else total.reshape(
            tuple(n for i, n in enumerate(x.shape) if i not in axis))  # fmt: skip

    def spell(self, x: Value, *, axis: Axis, keepdim: bool) -> Value:
        if not math.prod(x.shape):
            return log(sum(exp(x), axis=axis, keepdim=keepdim))
        top = max(x, axis=axis, keepdim=True)
        top = where(lt(abs(top), float("inf")), top, 0.0)
        total = log(sum(exp(x - expand(top, shape=x.shape)), axis=axis, keepdim=True)) + top
        kept = tuple(n for i, n in enumerate(x.shape) if i not in axis)
        return total if keepdim else reshape(total, shape=kept)

    def vjp(self, g: Value, y: Value, x: Value, *, axis: Axis, keepdim: bool) -> tuple[Value, ...]:
        weights = exp(x - spread(y, x.shape, axis, keepdim))
        return (spread(g, x.shape, axis, keepdim) * weights,)


class Softmax(Op):
    """y_i = e^x_i / sum_j e^x_j along `axis`;  dx = y (g - sum(g y))."""

    math = "softmax({x})"
    saves = VALUE_Y

    def spec(self, x: Any, *, axis: int) -> Spec:
        return Spec(x.shape, x.dtype)

    def forward(self, x: Any, *, axis: int) -> Any:
        if x.size == 0:
            return x.copy()
        e = np.exp(x - _maximum_reduce(x, axis, None, None, True))
        e /= _add_reduce(e, axis, None, None, True)
        return e

    def spell(self, x: Value, *, axis: int) -> Value:
        if not math.prod(x.shape):
            return x
        e = exp(x - expand(max(x, axis=(axis,), keepdim=True), shape=x.shape))
        return e / expand(sum(e, axis=(axis,), keepdim=True), shape=x.shape)

    def vjp(self, g: Value, y: Value, x: Value, *, axis: int) -> tuple[Value, ...]:
        dot = sum(g * y, axis=(axis,), keepdim=True)
        return (y * (g - expand(dot, shape=y.shape)),)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((rng.normal(size=(4,)),), {"axis": 0})
        yield Sample((rng.normal(size=(2, 3, 2)),), {"axis": 1})


class LogSoftmax(Softmax):
    """y_i = x_i - ln sum_j e^x_j along `axis`;  dx = g - e^y sum(g)."""

    math = "ln(softmax({x}))"
    saves = VALUE_Y

    def forward(self, x: Any, *, axis: int) -> Any:
        if x.size == 0:
            return x.copy()
        z = x - _maximum_reduce(x, axis, None, None, True)
        z -= np.log(_add_reduce(np.exp(z), axis, None, None, True))
        return z

    def spell(self, x: Value, *, axis: int) -> Value:
        if not math.prod(x.shape):
            return x
        z = x - expand(max(x, axis=(axis,), keepdim=True), shape=x.shape)
        return z - expand(log(sum(exp(z), axis=(axis,), keepdim=True)), shape=x.shape)

    def vjp(self, g: Value, y: Value, x: Value, *, axis: int) -> tuple[Value, ...]:
        total = sum(g, axis=(axis,), keepdim=True)
        return (g - exp(y) * expand(total, shape=y.shape),)


class Cumsum(Op):
    """y_i = x_0 + ... + x_i along `axis`;  dx_i = g_i + ... + g_n."""

    math = "cumsum({x})"
    saves = NOTHING

    def spec(self, x: Any, *, axis: int) -> Spec:
        return Spec(x.shape, x.dtype if x.dtype.kind == "f" else dtypes.int64)

    def forward(self, x: Any, *, axis: int) -> Any:
        return np.add.accumulate(x, axis, None if x.dtype.kind == "f" else np.int64)

    def scatter(self, make: Any, y: Any, x: Any, *, axis: int) -> list[Scatter]:
        axes = [make.axis("i", n) for n in x.shape]
        i = tuple(make.along(a) for a in axes)
        before = (*i[:axis], i[axis] - 1, *i[axis + 1 :])
        with make.within(before[axis], 0, x.shape[axis]) as inside:
            left = make.select(inside, y(before), make.const(0, y.dtype))
        order = (*axes[:axis], *axes[axis + 1 :], axes[axis])
        return [Scatter(order, i, make.add(left, make.cast(x(i), y.dtype)))]

    def vjp(self, g: Value, y: Value, x: Value, *, axis: int) -> tuple[Value, ...]:
        return (flip(cumsum(flip(g, axis=(axis,)), axis=axis), axis=(axis,)),)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((rng.normal(size=(4,)),), {"axis": 0})
        yield Sample((rng.normal(size=(2, 3)),), {"axis": 1})


class ArgExtremum(Op):
    """Base of argmax and argmin: the first index among ties, along one dimension, which drops."""

    saves = NOTHING
    differentiable = False

    def spec(self, x: Any, *, axis: int) -> Spec:
        if x.shape[axis] == 0:
            raise EmptyReductionError(
                f"{self.name}: nothing to choose from along a dimension of size 0",
                expected="at least one element",
                got=f"shape {x.shape}, dimension {axis}",
            )
        return Spec((*x.shape[:axis], *x.shape[axis + 1 :]), dtypes.int64)

    def bound(self, x: Any, *, axis: int) -> int | None:
        return int(x.shape[axis])

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((rng.normal(size=(4,)),), {"axis": 0})
        yield Sample((rng.normal(size=(2, 3, 2)),), {"axis": 1})


def _first_place(x: Value, found: Value, axis: int) -> Value:
    """The first index along a dimension where x is `found`, or nan where that is nan."""
    n = x.shape[axis]
    short = dtypes.uint8 if n < 256 else dtypes.int64  # more of them in a vector
    places = reshape(iota(size=n, dtype=short),
                     shape=tuple(n if i == axis else 1 for i in range(len(x.shape))))  # fmt: skip
    hit = eq(x, expand(found, shape=x.shape)) | ne(x, x)
    first = min(where(hit, expand(places, shape=x.shape), n), axis=(axis,), keepdim=False)
    return cast(first, dtype=dtypes.int64)


class Argmax(ArgExtremum):
    """y = the index of the greatest x, the first among ties;  no derivative."""

    math = "argmax({x})"

    def forward(self, x: Any, *, axis: int) -> Any:
        return np.argmax(x, axis)

    def spell(self, x: Value, *, axis: int) -> Value:
        return _first_place(x, max(x, axis=(axis,), keepdim=True), axis)


class Argmin(ArgExtremum):
    """y = the index of the smallest x, the first among ties;  no derivative."""

    math = "argmin({x})"

    def forward(self, x: Any, *, axis: int) -> Any:
        return np.argmin(x, axis)

    def spell(self, x: Value, *, axis: int) -> Value:
        return _first_place(x, min(x, axis=(axis,), keepdim=True), axis)


max, min, prod = Max(), Min(), Prod()
logsumexp, softmax, log_softmax = Logsumexp(), Softmax(), LogSoftmax()
cumsum, argmax, argmin = Cumsum(), Argmax(), Argmin()
