"""Reductions with PyTorch's arguments."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import dtypes, ops
from ..errors import ArgumentError, DTypeError, ShapeError
from ..ops.core import Value, is_number
from .arguments import at_least_1d, axes_of, axis_of
from .shaping import squeeze, unsqueeze


class ValuesAndIndices(NamedTuple):
    """What max, min, sort, topk along a dimension give: the values and where they stood."""

    values: Any
    indices: Any


def _cast(x: Value, dtype: Any) -> Value:
    return x if dtype is None or x.dtype == dtype else ops.cast(x, dtype=dtypes.as_dtype(dtype))


def sum(x: Value, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """The sum over dimensions (all by default); integers add up in int64."""
    x = _cast(x, dtype)
    return ops.sum(x, axis=axes_of("sum", x, dim), keepdim=keepdim)


def mean(x: Value, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """The mean over dimensions (all by default), for float types."""
    x = _cast(x, dtype)
    if x.dtype.kind != "f":
        raise DTypeError(
            "mean: needs a float type", expected="float32 or float64", got=x.dtype.name,
            fix="x.float().mean()",
        )  # fmt: skip
    axis = axes_of("mean", x, dim)
    return ops.sum(x, axis=axis, keepdim=keepdim) / _count(x, axis)


def _count(x: Value, axis: tuple[int, ...]) -> int:
    count = math.prod([x.shape[a] for a in axis])
    # 0 elements give 0 / 0 = nan, as in PyTorch
    return count if count else float("nan")  # type: ignore[return-value]


def var(
    x: Value, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: int = 1
) -> Value:
    """The mean squared distance from the mean, divided by n - correction.

    `unbiased=False` stands for correction 0; var(x, False) is over all of x, as in PyTorch.
    """
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if x.dtype.kind != "f":
        raise DTypeError("var: needs a float type", got=x.dtype.name, fix="x.float()")
    axis = axes_of("var", x, dim)
    n = _count(x, axis)
    d = x - ops.sum(x, axis=axis, keepdim=True) / n
    divisor = n - (correction if unbiased else 0)
    total = ops.sum(ops.pow(d, 2), axis=axis, keepdim=keepdim)
    return total / divisor if divisor > 0 else total * float("nan")


def std(
    x: Value, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: int = 1
) -> Value:
    """The square root of `var`; the gradient where it is 0 is 0, as in PyTorch."""
    return _root(var(x, dim, unbiased, keepdim, correction=correction))


def _root(total: Value, p: float = 2) -> Value:
    """total^(1/p) with the gradient 0, and not infinity, where total is 0."""
    zero = ops.eq(total, 0)
    safe = ops.where(zero, 1.0, total)
    return ops.where(zero, 0.0, ops.sqrt(safe) if p == 2 else ops.pow(safe, 1 / p))


def norm(x: Value, p: float = 2, dim: Any = None, keepdim: bool = False) -> Value:
    """(sum |x|^p)^(1/p), p > 0; the gradient where all is 0 is 0, as in PyTorch."""
    if not is_number(p) or not p > 0:
        raise ArgumentError("norm: p must be a number > 0", got=repr(p))
    axis = axes_of("norm", x, dim)
    if p == 1:
        return ops.sum(ops.abs(x), axis=axis, keepdim=keepdim)
    if p == float("inf"):
        return ops.max(ops.abs(x), axis=axis, keepdim=keepdim)
    if p == 2:
        return _root(ops.sum(ops.pow(x, 2), axis=axis, keepdim=keepdim))
    size = ops.abs(x)
    if p < 1:  # the slope of |x|^p is infinite at 0: PyTorch takes it to be 0
        zero = ops.eq(x, 0)
        powers = ops.where(zero, 0.0, ops.pow(ops.where(zero, 1.0, size), p))
    else:
        powers = ops.pow(size, p)
    return _root(ops.sum(powers, axis=axis, keepdim=keepdim), p)


def amax(x: Value, dim: Any = None, keepdim: bool = False) -> Value:
    """The greatest over dimensions; ties share the gradient evenly."""
    return ops.max(x, axis=axes_of("amax", x, dim), keepdim=keepdim)


def amin(x: Value, dim: Any = None, keepdim: bool = False) -> Value:
    """The smallest over dimensions; ties share the gradient evenly."""
    return ops.min(x, axis=axes_of("amin", x, dim), keepdim=keepdim)


def max(x: Value, dim: Any = None, keepdim: bool = False) -> Any:
    """The greatest of all; with `dim` (values, indices); with a second tensor, elementwise."""
    if dim is None:
        return amax(x)
    if hasattr(dim, "shape"):
        return ops.maximum(x, dim)
    return _with_indices("max", ops.argmax, x, dim, keepdim)


def min(x: Value, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest of all; with `dim` (values, indices); with a second tensor, elementwise."""
    if dim is None:
        return amin(x)
    if hasattr(dim, "shape"):
        return ops.minimum(x, dim)
    return _with_indices("min", ops.argmin, x, dim, keepdim)


def _with_indices(name: str, choose: Any, x: Value, dim: int, keepdim: bool) -> ValuesAndIndices:
    axis = axis_of(name, x, dim)
    row = at_least_1d(x)
    return _chosen(x, row, unsqueeze(choose(row, axis=axis), axis), axis, keepdim)


def _chosen(x: Value, row: Value, index: Value, axis: int, keepdim: bool) -> ValuesAndIndices:
    values = ops.gather(row, index, axis=axis)
    if keepdim and x.shape:
        return ValuesAndIndices(values, index)
    return ValuesAndIndices(squeeze(values, axis), squeeze(index, axis))


def argmax(x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    """The index of the greatest, the first among ties; of the flat tensor by default."""
    return _arg("argmax", ops.argmax, x, dim, keepdim)


def argmin(x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    """The index of the smallest, the first among ties; of the flat tensor by default."""
    return _arg("argmin", ops.argmin, x, dim, keepdim)


def _arg(name: str, choose: Any, x: Value, dim: int | None, keepdim: bool) -> Value:
    if dim is None:
        flat = ops.reshape(x, shape=(math.prod(x.shape),))
        index = choose(flat, axis=0)
        return ops.reshape(index, shape=(1,) * len(x.shape)) if keepdim else index
    axis = axis_of(name, x, dim)
    index = choose(at_least_1d(x), axis=axis)
    return unsqueeze(index, axis) if keepdim and x.shape else index


def prod(x: Value, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """The product over a dimension (all by default); right at zeros, to any order."""
    x = _cast(x, dtype)
    axis = axes_of("prod", x, dim)
    return ops.prod(x, axis=axis, keepdim=keepdim)


def logsumexp(x: Value, dim: Any, keepdim: bool = False) -> Value:
    """ln sum e^x, without overflow."""
    return ops.logsumexp(x, axis=axes_of("logsumexp", x, dim), keepdim=keepdim)


def cumsum(x: Value, dim: int) -> Value:
    """Running sums along a dimension."""
    axis = axis_of("cumsum", x, dim)
    return ops.cumsum(x, axis=axis) if x.shape else x


def any(x: Value, dim: Any = None, keepdim: bool = False) -> Value:
    """Whether any element counts as true."""
    truth = ops.cast(ops.ne(x, 0), dtype=dtypes.int64)
    return ops.gt(ops.sum(truth, axis=axes_of("any", x, dim), keepdim=keepdim), 0)


def all(x: Value, dim: Any = None, keepdim: bool = False) -> Value:
    """Whether all elements count as true."""
    falsehood = ops.cast(ops.eq(x, 0), dtype=dtypes.int64)
    return ops.eq(ops.sum(falsehood, axis=axes_of("all", x, dim), keepdim=keepdim), 0)


def sort(x: Value, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """(sorted values, their places before); equal elements keep their order."""
    axis = axis_of("sort", x, dim)
    values, order = ops.take_sorted(at_least_1d(x), axis, descending)
    shape = x.shape
    return ValuesAndIndices(ops.reshape(values, shape=shape), ops.reshape(order, shape=shape))


def argsort(x: Value, dim: int = -1, descending: bool = False, stable: bool = True) -> Value:
    """The order that sorts x; equal elements keep their order."""
    return sort(x, dim, descending).indices


def topk(x: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The k greatest (or smallest) along a dimension, in order, and their places."""
    axis = axis_of("topk", x, dim)
    n = x.shape[axis] if x.shape else 1
    if not 0 <= k <= n:
        raise ShapeError("topk: k is out of range", expected=f"0 to {n}", got=str(k))
    values, order = sort(x, dim, descending=largest)
    if not x.shape:
        return ValuesAndIndices(values, order)
    ranges = tuple((0, k if i == axis else m, 1) for i, m in enumerate(x.shape))
    return ValuesAndIndices(ops.slice_(values, ranges=ranges), ops.slice_(order, ranges=ranges))


def median(x: Value, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle one of all elements, the lower one of two, nan if there is one; ties share.

    With `dim`: (values, indices) along it.
    """
    if dim is not None:
        axis = axis_of("median", x, dim)
        row = at_least_1d(x)
        _, order = ops.take_sorted(row, axis, False)
        n = row.shape[axis]
        last, middle = _part(order, axis, n - 1), _part(order, axis, (n - 1) // 2)
        index = ops.where(ops.ne(*[ops.gather(row, last, axis=axis)] * 2), last, middle)
        return _chosen(x, row, index, axis, keepdim)
    flat = ops.reshape(x, shape=(math.prod(x.shape),))
    n = math.prod(x.shape)
    values, _ = ops.take_sorted(flat, 0, False)
    middle, last = _part(values, 0, (n - 1) // 2), _part(values, 0, n - 1)
    if x.dtype.kind != "f":
        return ops.reshape(middle, shape=())
    # the greatest of those up to the middle: max shares the gradient among ties
    top = ops.max(ops.where(ops.le(flat, middle), flat, -float("inf")), axis=(0,), keepdim=True)
    return ops.reshape(ops.where(ops.ne(last, last), last, top), shape=())


def _part(x: Value, axis: int, place: int) -> Value:
    if place < 0:
        raise ShapeError("median: nothing to choose from", got=f"shape {x.shape}")
    return ops.slice_(
        x, ranges=tuple((place, place + 1, 1) if i == axis else (0, m, 1)
                        for i, m in enumerate(x.shape))
    )  # fmt: skip
