"""Sliding windows: what convolution and pooling are made of, in 1 to 3 dimensions.

A convolution is a matmul over a windows view and a pooling is a reduction of one, so neither
needs a rule of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ShapeError
from .core import NOTHING, VALUE_X, Op, Sample, Shape, Spec, Value


class Grid(NamedTuple):
    """How windows lie on the last n dimensions; every field has n entries."""

    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape

    def check(self, name: str) -> None:
        """Raises unless all sizes and steps are at least 1, and the padding at least 0."""
        least = (1, 1, 0, 1)
        for what, sizes, low in zip(self._fields, self, least, strict=True):
            if any(n < low for n in sizes):
                raise ArgumentError(
                    f"{name}: {what} must be >= {low} in every dimension", got=str(sizes)
                )

    def counts(self, sizes: Shape) -> Shape:
        """How many windows fit along each dimension."""
        axes = zip(sizes, *self, strict=True)
        return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)

    def padded(self, sizes: Shape) -> Shape:
        """The sizes with the padding on both sides."""
        return tuple(n + 2 * p for n, p in zip(sizes, self.padding, strict=True))

    def inside(self, sizes: Shape) -> Any:
        """Where the input stands in the padded input."""
        return (..., *(slice(p, p + n) for n, p in zip(sizes, self.padding, strict=True)))

    def places(self, axis: int, offset: int, count: int) -> slice:
        """Where the elements at `offset` of all windows stand in the padded input."""
        start = offset * self.dilation[axis]
        return slice(start, start + (count - 1) * self.stride[axis] + 1, self.stride[axis])


class Windows(Op):
    """y[.., o, k] = x[.., o * stride + k * dilation - padding], 0 outside;  dx = g folded back.

    x (.., sizes) becomes y (.., window counts, kernel sizes); x has any leading dimensions.
    """

    math = "windows({x})"
    saves = NOTHING
    warns = False
    shapes = VALUE_X

    def spec(self, x: Any, *, grid: Grid) -> Spec:
        grid.check(self.name)
        n = len(grid.kernel)
        counts = grid.counts(x.shape[-n:]) if x.ndim >= n else (0,)
        if any(c < 1 for c in counts):
            raise ShapeError(
                "windows: the kernel is larger than the padded input",
                expected=f"at least {n} dimensions, each >= dilation * (kernel - 1) + 1",
                got=f"input {x.shape}, kernel {grid.kernel}, padding {grid.padding}",
            )
        return Spec((*x.shape[:-n], *counts, *grid.kernel), x.dtype)

    def forward(self, x: Any, *, grid: Grid) -> Any:
        self.spec(x, grid=grid)
        n = len(grid.kernel)
        counts, lead = grid.counts(x.shape[-n:]), x.shape[:-n]
        if any(grid.padding):
            padded = np.zeros((*lead, *grid.padded(x.shape[-n:])), x.dtype)
            padded[grid.inside(x.shape[-n:])] = x
            x = padded
        outer, inner = x.strides[:-n], x.strides[-n:]
        steps = [s * t for s, t in zip(inner, grid.stride, strict=True)]
        taps = [s * t for s, t in zip(inner, grid.dilation, strict=True)]
        view = np.lib.stride_tricks.as_strided(
            x, (*grid.kernel, *lead, *counts), (*taps, *outer, *steps), writeable=False
        )
        # Windows overlap: a view would let a write through one change others.  In memory the taps
        # stand outermost, so that the copy goes along rows, and reshaping taps x rest is free.
        return view.copy().transpose((*range(n, view.ndim), *range(n)))

    def element(self, make: Any, i: Any, x: Any, *, grid: Grid) -> Any:
        n = len(grid.kernel)
        lead = i[: len(i) - 2 * n]
        own = tuple(
            o * s + k * d - p
            for o, k, s, d, p in zip(
                i[-2 * n : -n], i[-n:], grid.stride, grid.dilation, grid.padding, strict=True
            )
        )
        with make.within_all(own, x.shape[-n:]) as inside:
            return make.select(inside, x((*lead, *own)), make.const(0, x.dtype))

    def vjp(self, g: Value, y: Value, x: Value, *, grid: Grid) -> tuple[Value, ...]:
        return (fold(g, grid=grid, sizes=x.shape[-len(grid.kernel) :]),)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        for shape, grid in _GRIDS:
            yield Sample((rng.normal(size=shape),), {"grid": grid})


class Fold(Op):
    """y = windows added back to where they were read, the padding cut off;  dx = windows of g."""

    math = "fold({x})"
    saves = NOTHING
    combines = True

    def spec(self, x: Any, *, grid: Grid, sizes: Shape) -> Spec:
        return Spec((*x.shape[: x.ndim - 2 * len(sizes)], *sizes), x.dtype)

    def forward(self, x: Any, *, grid: Grid, sizes: Shape) -> Any:
        n = len(sizes)
        counts = grid.counts(sizes)
        lead = x.shape[: x.ndim - 2 * n]
        y = np.zeros((*lead, *grid.padded(sizes)), x.dtype)
        for tap in np.ndindex(*grid.kernel):
            places = tuple(grid.places(i, t, counts[i]) for i, t in enumerate(tap))
            into: Any = (..., *places)
            y[into] += x[(..., *tap)]
        return np.ascontiguousarray(y[grid.inside(sizes)])

    def element(self, make: Any, i: Any, x: Any, *, grid: Grid, sizes: Shape) -> Any:
        n = len(sizes)
        counts = grid.counts(sizes)
        lead = i[: len(i) - n]

        def contribution(taps: Any) -> Any:
            """What the window that has this tap here adds, if there is one."""
            own, on_it = [], make.const(True, dtypes.bool_)
            for j, k, s, d, p in zip(
                i[len(i) - n :], taps, grid.stride, grid.dilation, grid.padding, strict=True
            ):
                shifted = j + p - k * d
                own.append(shifted // s)
                if s != 1:
                    rest = make.whole(shifted % s)
                    on_it = make.both(on_it, make.eq(rest, make.const(0, dtypes.int64)))
            with make.within_all(own, counts) as inside:
                here = make.both(inside, on_it)
                return make.select(here, x((*lead, *own, *taps)), make.const(0, x.dtype))

        return make.reduce("sum", grid.kernel, contribution)

    def vjp(self, g: Value, y: Value, x: Value, *, grid: Grid, sizes: Shape) -> tuple[Value, ...]:
        return (windows(g, grid=grid),)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        for shape, grid in _GRIDS:
            n = len(grid.kernel)
            counts = grid.counts(shape[-n:])
            x = rng.normal(size=(*shape[:-n], *counts, *grid.kernel))
            yield Sample((x,), {"grid": grid, "sizes": shape[-n:]})


_GRIDS = (
    ((6,), Grid((3,), (1,), (0,), (1,))),
    ((2, 7), Grid((2,), (2,), (1,), (2,))),
    ((2, 5, 4), Grid((3, 2), (2, 1), (1, 0), (1, 2))),
    ((1, 3, 3, 4), Grid((2, 2, 3), (1, 2, 1), (0, 1, 1), (1, 1, 1))),
)

windows, fold = Windows(), Fold()
