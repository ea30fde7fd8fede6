"""Repeating values and adding them up: each of `expand` and `sum` is the other's derivative."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from .. import dtypes
from ..errors import ShapeError
from .core import NOTHING, VALUE_X, Op, Sample, Shape, Spec, Value, broadcast_shapes
from .shape import reshape

Axis = tuple[int, ...]

# typed Any: the stubs know no positional keepdims, which saves a keyword on a hot path
_add_reduce: Any = np.add.reduce


def kept_shape(shape: Shape, axis: Axis) -> Shape:
    """The shape with the reduced dimensions kept as 1."""
    return tuple(1 if i in axis else n for i, n in enumerate(shape))


class Expand(Op):
    """y = x repeated along new leading dimensions and those of size 1;  dx = g summed over them."""

    math = "{x}"
    saves = NOTHING
    moves = True
    warns = False
    shapes = VALUE_X
    view = True

    def spec(self, x: Any, *, shape: Shape) -> Spec:
        fits = x.ndim <= len(shape) and broadcast_shapes("expand", x.shape, shape) == shape
        if not fits:
            raise ShapeError(
                f"expand: {x.shape} does not expand to {shape}",
                expected="the same sizes from the right, where only a 1 may grow",
            )
        return Spec(shape, x.dtype)

    def forward(self, x: Any, *, shape: Shape) -> Any:
        # np.broadcast_to takes ten times as long as the two cases that every step has
        if type(x) is not np.ndarray:
            x = np.asarray(x)
        old = x.shape
        if not old:  # the gradient of a sum
            return np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
        if len(old) == 1 and len(shape) == 2 and old[0] == shape[1] and x.flags.c_contiguous:
            return np.ndarray(shape, x.dtype, x, 0, (0, x.itemsize))  # a bias
        lead = len(shape) - len(old)
        if lead < 0 or shape[lead:] != old or x.size != math.prod(shape):
            self.spec(x, shape=shape)
            return np.broadcast_to(x, shape)
        return x.reshape(shape)  # nothing is repeated: an ordinary view

    def element(self, make: Any, i: Any, x: Any, *, shape: Shape) -> Any:
        own = i[len(shape) - len(x.shape) :]
        return x(tuple(j * 0 if n == 1 else j for j, n in zip(own, x.shape, strict=True)))

    def vjp(self, g: Value, y: Value, x: Value, *, shape: Shape) -> tuple[Value, ...]:
        lead = len(shape) - len(x.shape)
        grown = (i for i, n in enumerate(x.shape) if n == 1 and shape[lead + i] != 1)
        axis = (*range(lead), *(lead + i for i in grown))
        reduced = sum(g, axis=axis, keepdim=False) if axis else g
        return (reduced if reduced.shape == x.shape else reshape(reduced, shape=x.shape),)

    def put(self, x: Value, v: Value, **params: Any) -> Value:
        raise ShapeError(
            "in-place write to an expanded tensor: several elements share one place in memory",
            fix=".clone() before the write",
        )

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        for old, new in (((3,), (2, 3)), ((2, 1), (2, 4)), ((), (2,)), ((1, 3), (2, 1, 3))):
            yield Sample((rng.normal(size=old),), {"shape": new})


class EmptyReductionError(ShapeError, IndexError):
    """A choice among no elements, for which PyTorch raises one or the other."""


class Reduction(Op):
    """y over the dimensions `axis` (sorted, counted from the front), kept as 1 or dropped."""

    nonempty: ClassVar[bool] = False
    combines = True

    def spec(self, x: Any, *, axis: Axis, keepdim: bool) -> Spec:
        if self.nonempty and any(x.shape[a] == 0 for a in axis):
            raise EmptyReductionError(
                f"{self.name}: nothing to reduce along a dimension of size 0",
                expected="at least one element",
                got=f"shape {x.shape}, dimensions {axis}",
            )
        kept = kept_shape(x.shape, axis)
        shape = kept if keepdim else tuple(n for i, n in enumerate(x.shape) if i not in axis)
        return Spec(shape, self.result_dtype(x.dtype))

    def result_dtype(self, dtype: Any) -> Any:
        return dtype

    def element(self, make: Any, i: Any, x: Any, *, axis: Axis, keepdim: bool) -> Any:
        left = iter(i)
        kept = [next(left) if keepdim or d not in axis else None for d in range(len(x.shape))]

        def inner(k: Any) -> Any:
            own = iter(k)
            return self.combine(
                make, x(tuple(next(own) if d in axis else j for d, j in enumerate(kept)))
            )[1]

        kind = self.combine(make, make.const(0, x.dtype))[0]
        return make.reduce(kind, [x.shape[d] for d in axis], inner)

    def combine(self, make: Any, x: Any) -> tuple[str, Any]:
        """How elements are combined in compiled code, and what is made of each before."""
        raise NotImplementedError(f"{self.name} has no combine: add it in {type(self).__module__}")

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        for shape, axis in (((3,), (0,)), ((2, 3), (1,)), ((2, 3, 4), (0, 2)), ((2, 3), (0, 1))):
            for keepdim in (False, True):
                yield Sample((rng.normal(size=shape),), {"axis": axis, "keepdim": keepdim})


def spread(v: Value, shape: Shape, axis: Axis, keepdim: bool) -> Value:
    """A reduced value repeated over the dimensions that were reduced."""
    if not keepdim and 0 < len(axis) < len(shape):  # a 0-d value fits everywhere as it is
        v = reshape(v, shape=kept_shape(shape, axis))
    return expand(v, shape=shape)


class Sum(Reduction):
    """y = sum of x over dimensions;  dy/dx = 1."""

    math = "sum({x})"
    saves = NOTHING
    shapes = VALUE_X

    def result_dtype(self, dtype: Any) -> Any:
        return dtype if dtype.kind == "f" else dtypes.int64

    def forward(self, x: Any, *, axis: Axis, keepdim: bool) -> Any:
        dtype = None if x.dtype.kind == "f" else np.int64
        return _add_reduce(x, axis, dtype, None, keepdim)

    def combine(self, make: Any, x: Any) -> Any:
        return "sum", make.cast(x, self.result_dtype(x.dtype))

    def vjp(self, g: Value, y: Value, x: Value, *, axis: Axis, keepdim: bool) -> tuple[Value, ...]:
        return (spread(g, x.shape, axis, keepdim),)


expand, sum = Expand(), Sum()
