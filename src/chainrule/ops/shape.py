"""Ops that move values and compute nothing: in compiled code they are index maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..errors import ShapeError
from .core import NOTHING, VALUE_X, Op, Sample, Scatter, Shape, Spec, Value

Ranges = tuple[tuple[int, int, int], ...]
"""(start, stop, step) for every dimension, step > 0, stop exclusive."""


FEW = 2
"""So many parts of a `concat` are chosen from place by place; more are copied one by one."""


class Full(Op):
    """y[i] = value;  no inputs."""

    math = "{value}"
    saves = NOTHING
    moves = True
    warns = False
    differentiable = False

    def spec(self, *, shape: Shape, value: float, dtype: DType) -> Spec:
        return Spec(shape, dtype)

    def forward(self, *, shape: Shape, value: float, dtype: DType) -> Any:
        return np.full(shape, value, dtype)

    def element(self, make: Any, i: Any, *, shape: Shape, value: float, dtype: DType) -> Any:
        return make.const(value, dtype)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((), {"shape": (2, 3), "value": 1.5, "dtype": np.dtype(np.float64)})


class Iota(Op):
    """y[i] = i for i in 0 .. size - 1;  no inputs."""

    math = "0..{size}"
    saves = NOTHING
    moves = True
    warns = False
    differentiable = False

    def spec(self, *, size: int, dtype: DType) -> Spec:
        return Spec((size,), dtype)

    def forward(self, *, size: int, dtype: DType) -> Any:
        return np.arange(size, dtype=dtype)

    def element(self, make: Any, i: Any, *, size: int, dtype: DType) -> Any:
        return make.whole(i[0], dtype)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((), {"size": 5, "dtype": np.dtype(np.int64)})


class Reshape(Op):
    """y = x in row-major order under another shape;  dx = g under the shape of x."""

    math = "{x}"
    saves = NOTHING
    moves = True
    warns = False
    shapes = VALUE_X
    view = True

    def spec(self, x: Any, *, shape: Shape) -> Spec:
        if int(np.prod(x.shape, dtype=np.int64)) != int(np.prod(shape, dtype=np.int64)):
            raise ShapeError(
                f"reshape: {x.shape} does not fit into {shape}",
                expected=f"{int(np.prod(x.shape, dtype=np.int64))} elements",
                got=f"{int(np.prod(shape, dtype=np.int64))}",
            )
        return Spec(shape, x.dtype)

    def forward(self, x: Any, *, shape: Shape) -> Any:
        return x.reshape(shape)

    def element(self, make: Any, i: Any, x: Any, *, shape: Shape) -> Any:
        wide = [n for n in shape if n != 1]
        if wide == [n for n in x.shape if n != 1]:  # the same dimensions: nothing to compute
            own = iter([j for j, n in zip(i, shape, strict=True) if n != 1])
            return x(tuple([make.index(0) if n == 1 else next(own) for n in x.shape]))
        return x(make.unflatten(make.flatten(i, shape), x.shape))

    def vjp(self, g: Value, y: Value, x: Value, *, shape: Shape) -> tuple[Value, ...]:
        return (reshape(g, shape=x.shape),)

    def put(self, x: Value, v: Value, **params: Any) -> Value:
        return reshape(v, shape=x.shape)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        for old, new in (((6,), (2, 3)), ((2, 3), (3, 2)), ((), (1, 1)), ((2, 1, 2), (4,))):
            yield Sample((rng.normal(size=old),), {"shape": new})


class Permute(Op):
    """y's dimension i is x's dimension axes[i];  dx = g with the dimensions put back."""

    math = "transpose({x})"
    saves = NOTHING
    moves = True
    warns = False
    view = True

    def spec(self, x: Any, *, axes: tuple[int, ...]) -> Spec:
        if sorted(axes) != list(range(x.ndim)):
            raise ShapeError(
                "permute: every dimension must be listed once",
                expected=f"an order of {tuple(range(x.ndim))}",
                got=str(axes),
            )
        return Spec(tuple(x.shape[i] for i in axes), x.dtype)

    def forward(self, x: Any, *, axes: tuple[int, ...]) -> Any:
        return x.transpose(axes)

    def element(self, make: Any, i: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        return x(tuple(i[a] for a in _inverse(axes)))

    def vjp(self, g: Value, y: Value, x: Value, *, axes: tuple[int, ...]) -> tuple[Value, ...]:
        return (permute(g, axes=_inverse(axes)),)

    def put(self, x: Value, v: Value, **params: Any) -> Value:
        return permute(v, axes=_inverse(params["axes"]))

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        for shape, axes in (((2, 3), (1, 0)), ((2, 3, 4), (1, 2, 0)), ((), ())):
            yield Sample((rng.normal(size=shape),), {"axes": axes})


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    back = [0] * len(axes)
    for i, a in enumerate(axes):
        back[a] = i
    return tuple(back)


class Slice(Op):
    """y = x[start:stop:step, ...];  dx = g in those places, 0 elsewhere."""

    math = "{x}[{ranges}]"
    saves = NOTHING
    moves = True
    warns = False
    shapes = VALUE_X
    view = True

    def spec(self, x: Any, *, ranges: Ranges) -> Spec:
        return Spec(tuple(len(range(*r)) for r in ranges), x.dtype)

    def forward(self, x: Any, *, ranges: Ranges) -> Any:
        return x[tuple(slice_of(r) for r in ranges)]

    def element(self, make: Any, i: Any, x: Any, *, ranges: Ranges) -> Any:
        return x(tuple(j * step + start for j, (start, _, step) in zip(i, ranges, strict=True)))

    def vjp(self, g: Value, y: Value, x: Value, *, ranges: Ranges) -> tuple[Value, ...]:
        return (whole_of({ranges: g}, x.shape),)

    def put(self, x: Value, v: Value, **params: Any) -> Value:
        return put_slice(x, v, ranges=params["ranges"])

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        for shape, ranges in (
            ((5,), ((1, 4, 2),)),
            ((3, 4), ((0, 3, 1), (1, 4, 1))),
            ((3, 4), ((2, 2, 1), (0, 4, 3))),
        ):
            yield Sample((rng.normal(size=shape),), {"ranges": ranges})


def slice_of(r: tuple[int, int, int]) -> slice:
    """A Python slice of a range."""
    return slice(*r)


class PutSlice(Op):
    """y = x, but y[start:stop:step, ...] = v;  dx = g with 0 in those places, dv = g there."""

    math = "{x} with [{ranges}] = {v}"
    saves = NOTHING
    warns = False
    shapes = frozenset({"v"})

    def spec(self, x: Any, v: Any, *, ranges: Ranges) -> Spec:
        shape = tuple(len(range(*r)) for r in ranges)
        if v.shape != shape:
            raise ShapeError("put_slice: the part has another shape", expected=str(shape),
                             got=str(v.shape))  # fmt: skip
        return Spec(x.shape, x.dtype)

    def forward(self, x: Any, v: Any, *, ranges: Ranges) -> Any:
        y = np.array(x)
        y[tuple(slice_of(r) for r in ranges)] = v
        return y

    def element(self, make: Any, i: Any, x: Any, v: Any, *, ranges: Ranges) -> Any:
        own: list[Any] = []
        inside = make.const(True, dtypes.bool_)
        with ExitStack() as guards:
            for j, r, n in zip(i, ranges, x.shape, strict=True):
                start, _, step = r
                count = len(range(*r))
                if r == (0, n, 1):
                    own.append(j)
                    continue
                place = (j - start) // step
                here = guards.enter_context(make.within(place, 0, count))
                inside = make.both(inside, here)
                if step != 1:
                    on_it = make.eq(make.whole((j - start) % step), make.const(0, dtypes.int64))
                    inside = make.both(inside, on_it)
                own.append(place)
            part = v(tuple(own))
        return make.select(inside, part, x(i))

    def vjp(self, g: Value, y: Value, x: Value, v: Value, *, ranges: Ranges) -> tuple[Value, ...]:
        return (
            lambda: put_slice(g, full(shape=v.shape, value=0.0, dtype=g.dtype), ranges=ranges),
            lambda: slice_(g, ranges=ranges),
        )

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        x = rng.normal(size=(3, 4))
        yield Sample((x, rng.normal(size=(2, 2))), {"ranges": ((0, 3, 2), (1, 3, 1))})
        yield Sample((np.asarray(1.0), np.asarray(2.0)), {"ranges": ()})


class Pad(Op):
    """y = x with `value` added before and after each dimension;  dx = g without the border."""

    math = "pad({x})"
    saves = NOTHING
    warns = False
    shapes = VALUE_X

    def spec(self, x: Any, *, widths: tuple[tuple[int, int], ...], value: float) -> Spec:
        if len(widths) != x.ndim or any(w < 0 for pair in widths for w in pair):
            raise ShapeError(
                "pad: needs two widths >= 0 for every dimension",
                expected=f"{x.ndim} pairs",
                got=str(widths),
            )
        return Spec(tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)), x.dtype)

    def forward(self, x: Any, *, widths: tuple[tuple[int, int], ...], value: float) -> Any:
        return np.pad(x, widths, constant_values=value) if widths else np.array(x)

    def element(self, make: Any, i: Any, x: Any, *, widths: Any, value: float) -> Any:
        own = tuple(j - before for j, (before, _) in zip(i, widths, strict=True))
        with make.within_all(own, x.shape) as inside:
            return make.select(inside, x(own), make.const(value, x.dtype))

    def vjp(self, g: Value, y: Value, x: Value, **params: Any) -> tuple[Value, ...]:
        pairs = zip(x.shape, params["widths"], strict=True)
        return (slice_(g, ranges=tuple((a, a + n, 1) for n, (a, _) in pairs)),)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((rng.normal(size=(2, 3)),), {"widths": ((1, 0), (2, 1)), "value": 0.5})


class Concat(Op):
    """y = the inputs behind one another along a dimension;  each dx = its part of g."""

    math = "concat"
    saves = NOTHING
    warns = False
    shapes = frozenset({"*"})

    def spec(self, *xs: Any, axis: int) -> Spec:
        first = xs[0]
        rest = first.shape[:axis] + first.shape[axis + 1 :]
        for i, x in enumerate(xs):
            if x.ndim != first.ndim or x.shape[:axis] + x.shape[axis + 1 :] != rest:
                raise ShapeError(
                    f"concat: tensor {i} does not fit behind tensor 0 along dimension {axis}",
                    expected=f"the sizes of {first.shape} everywhere but at dimension {axis}",
                    got=str(x.shape),
                )
        total = sum(x.shape[axis] for x in xs)
        return Spec((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)

    def forward(self, *xs: Any, axis: int) -> Any:
        return np.concatenate(xs, axis)

    def scatter(self, make: Any, y: Any, *xs: Any, axis: int) -> list[Scatter]:
        """Every part by itself, where there are too many to ask each place which one is its."""
        parts: list[Scatter] = []
        start = 0
        for x in xs if len(xs) > FEW else ():
            axes = tuple(make.axis("i", n) for n in x.shape)
            i = tuple(make.along(a) for a in axes)
            place = (*i[:axis], i[axis] + start, *i[axis + 1 :])
            parts.append(Scatter(axes, place, x(i), apart=True))
            start += x.shape[axis]
        return parts

    def element(self, make: Any, i: Any, *xs: Any, axis: int) -> Any:
        y, start = None, 0
        for x in xs:
            place = i[axis] - start
            start += x.shape[axis]
            if not x.shape[axis]:
                continue
            with make.within(place, 0, x.shape[axis]):
                part = x((*i[:axis], place, *i[axis + 1 :]))
            if y is None:
                y = part
            else:
                behind = make.ge(make.whole(place), make.const(0, dtypes.int64))
                y = make.select(behind, part, y)
        return make.const(0, xs[0].dtype) if y is None else y

    def vjp(self, g: Value, y: Value, *xs: Value, axis: int) -> tuple[Value, ...]:
        def part(ranges: Ranges) -> Any:
            return lambda: slice_(g, ranges=ranges)

        parts = []
        start = 0
        for x in xs:
            ranges = [(0, n, 1) for n in x.shape]
            ranges[axis] = (start, start + x.shape[axis], 1)
            start += x.shape[axis]
            parts.append(part(tuple(ranges)))
        return tuple(parts)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((rng.normal(size=(2, 3)), rng.normal(size=(1, 3))), {"axis": 0})
        yield Sample(tuple(rng.normal(size=(2, n)) for n in (1, 0, 2)), {"axis": 1})


class Flip(Op):
    """y = x with dimensions reversed;  dx = g reversed.  A copy, as in PyTorch."""

    math = "flip({x})"
    saves = NOTHING
    moves = True
    warns = False

    def spec(self, x: Any, *, axis: tuple[int, ...]) -> Spec:
        return Spec(x.shape, x.dtype)

    def forward(self, x: Any, *, axis: tuple[int, ...]) -> Any:
        return np.flip(x, axis).copy()

    def element(self, make: Any, i: Any, x: Any, *, axis: tuple[int, ...]) -> Any:
        return x(tuple(j * -1 + (n - 1) if d in axis else j
                       for d, (j, n) in enumerate(zip(i, x.shape, strict=True))))  # fmt: skip

    def vjp(self, g: Value, y: Value, x: Value, *, axis: tuple[int, ...]) -> tuple[Value, ...]:
        return (flip(g, axis=axis),)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((rng.normal(size=(2, 3)),), {"axis": (1,)})
        yield Sample((rng.normal(size=(2, 3, 2)),), {"axis": (0, 2)})


def whole_of(parts: dict[Ranges, Value], shape: Shape) -> Value:
    """An array of zeros with every part added where its ranges say.

    Parts that lie behind one another along one dimension, as those of a split or of a loop over
    time, are joined by a single `concat`: nothing of the whole size is made for each of them.
    """
    (first, g), *others = parts.items()
    row = _in_a_row(list(parts), shape) if others else None
    if row is None:
        total = put_slice(full(shape=shape, value=0.0, dtype=g.dtype), g, ranges=first)
        for ranges, v in others:
            total = total + put_slice(full(shape=shape, value=0.0, dtype=g.dtype), v, ranges=ranges)
        return total
    axis, order = row
    ends = [0, *(ranges[axis][1] for ranges in order)]
    starts = [*(ranges[axis][0] for ranges in order), shape[axis]]
    joined = []
    for v, end, start in zip([*(parts[r] for r in order), None], ends, starts, strict=True):
        if start > end:  # nobody read there
            gap = (*shape[:axis], start - end, *shape[axis + 1 :])
            joined.append(full(shape=gap, value=0.0, dtype=g.dtype))
        if v is not None:
            joined.append(v)
    return concat(*joined, axis=axis)


def _in_a_row(parts: list[Ranges], shape: Shape) -> tuple[int, list[Ranges]] | None:
    """The one dimension along which parts lie apart, and their order there; None if they do not."""
    cut = {i for ranges in parts for i, n in enumerate(shape) if ranges[i] != (0, n, 1)}
    if len(cut) != 1:
        return None
    (axis,) = cut
    order = sorted(parts, key=lambda ranges: ranges[axis])
    at = 0
    for start, stop, step in (ranges[axis] for ranges in order):
        if step != 1 or start < at or stop < start:
            return None
        at = stop
    return axis, order


full, iota, reshape, permute = Full(), Iota(), Reshape(), Permute()
slice_, put_slice, pad, concat, flip = Slice(), PutSlice(), Pad(), Concat(), Flip()
