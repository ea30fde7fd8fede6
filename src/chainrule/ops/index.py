"""Ops that read or write where an array of integers says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..errors import DTypeError, IndexRangeError, ShapeError
from .arithmetic import nowhere
from .core import NOTHING, Op, Sample, Scatter, Shape, Spec, Value
from .logic import ge, logical_or, lt
from .shape import full

INDEX = frozenset({"index"})
AND_X = frozenset({"x"})


def _check_index(op_name: str, index: Any, size: int) -> None:
    """Raises unless every entry is a whole number in [0, size)."""
    if index.dtype.kind not in "iu":
        raise DTypeError(
            f"{op_name}: an index must be of an integer type",
            expected="int64",
            got=index.dtype.name,
            fix="index.long()",
        )
    if not isinstance(index, np.ndarray) or not index.size:
        return
    # seen as unsigned a negative number is huge: one pass finds both ends of the range
    if index.view(f"u{index.itemsize}").max() >= size:
        low, high = int(index.min()), int(index.max())
        bad = high if high >= size else low
        where = tuple(int(i) for i in np.argwhere(index == bad)[0])
        raise IndexRangeError(
            f"{op_name}: index {bad} is out of range",
            expected=f"0 to {size - 1} (the table has {size} rows)",
            got=f"{bad} at position {where} of the index",
        )


class Indexing(Op):
    """Base of ops that read or write where an index of whole numbers in [0, rows) says."""

    def rows(self, *inputs: Any, **params: Any) -> int:
        """How many rows there are to choose from."""
        raise NotImplementedError(f"{self.name} does not say how many rows it has")

    def looks_at(self, inputs: Sequence[Any]) -> int | None:
        return self.input_names.index("index")

    def admit(self, value: Any, *inputs: Any, **params: Any) -> None:
        _check_index(self.name, value, self.rows(*inputs, **params))

    def admissible(self, value: Value, *inputs: Value, **params: Any) -> Value:
        rows, root = self.rows(*inputs, **params), value
        while root.op is not None and root.op.view:
            root = root.inputs[0]
        bound = None if root.op is None else root.op.bound(*root.inputs, **root.params)
        if bound is not None and bound <= rows:
            return None  # places that argmax found: there is nothing to look at
        outside = logical_or(lt(value, 0), ge(value, rows))
        return nowhere(outside)


class IndexSelect(Indexing):
    """y = the rows of x along `axis` that `index` (of any shape) lists;  dx = g added up there."""

    math = "{x}[{index}]"
    saves = INDEX
    moves = True
    warns = False
    shapes = AND_X

    def rows(self, x: Any, index: Any, *, axis: int) -> int:
        return int(x.shape[axis])

    def spec(self, x: Any, index: Any, *, axis: int) -> Spec:
        _check_index(self.name, index, x.shape[axis])
        return Spec((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]), x.dtype)

    def forward(self, x: Any, index: Any, *, axis: int) -> Any:
        _check_index(self.name, index, x.shape[axis])
        return np.take(x, index, axis)

    def element(self, make: Any, i: Any, x: Any, index: Any, *, axis: int) -> Any:
        end = axis + len(index.shape)
        row = make.read(index(i[axis:end]), x.shape[axis])
        return x((*i[:axis], row, *i[end:]))

    def vjp(self, g: Value, y: Value, x: Value, index: Value, *, axis: int) -> tuple[Value, ...]:
        return lambda: index_add(g, index, axis=axis, size=x.shape[axis]), None

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((rng.normal(size=(4, 3)), np.array([[0, 2], [2, 1]])), {"axis": 0})
        yield Sample((rng.normal(size=(2, 3)), np.array([2, 2, 0, 1])), {"axis": 1})


class IndexAdd(Indexing):
    """y = zeros with `size` rows along `axis`, row index[i] getting v's row i added;  dv = g there.

    Rows that are listed twice add up, in the order of the index.
    """

    math = "add_rows({v}, {index})"
    saves = INDEX

    def rows(self, v: Any, index: Any, *, axis: int, size: int) -> int:
        return size

    def spec(self, v: Any, index: Any, *, axis: int, size: int) -> Spec:
        _check_index(self.name, index, size)
        rest = v.shape[axis + index.ndim :]
        return Spec((*v.shape[:axis], size, *rest), v.dtype)

    def forward(self, v: Any, index: Any, *, axis: int, size: int) -> Any:
        shape = self.spec(v, index, axis=axis, size=size).shape
        y = np.zeros(shape, v.dtype)
        np.add.at(y, (*[slice(None)] * axis, index), v)
        return y

    def scatter(
        self, make: Any, y: Any, v: Any, index: Any, *, axis: int, size: int
    ) -> list[Scatter]:
        axes = tuple(make.axis("i", n) for n in v.shape)
        i = tuple(make.along(a) for a in axes)
        end = axis + len(index.shape)
        row = make.read(index(i[axis:end]), size)
        return [Scatter(axes, (*i[:axis], row, *i[end:]), v(i), True, make.zero(y.dtype))]

    def vjp(self, g: Value, y: Value, v: Value, index: Value, **params: Any) -> tuple[Value, ...]:
        return lambda: index_select(g, index, axis=params["axis"]), None

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        index = np.array([[0, 2], [2, 1]])
        yield Sample((rng.normal(size=(2, 2, 3)), index), {"axis": 0, "size": 4})


class Gather(Indexing):
    """y[.., i, ..] = x[.., index[.., i, ..], ..] along `axis`;  dx = g added up there."""

    math = "{x}[{index}]"
    saves = INDEX
    moves = True
    warns = False
    shapes = AND_X

    def rows(self, x: Any, index: Any, *, axis: int) -> int:
        return int(x.shape[axis])

    def spec(self, x: Any, index: Any, *, axis: int) -> Spec:
        _check_index(self.name, index, x.shape[axis])
        fits = x.ndim == index.ndim and all(
            n <= m for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)) if i != axis
        )
        if not fits:
            raise ShapeError(
                f"gather: the index does not fit into the input along dimension {axis}",
                expected=f"{x.ndim} dimensions, none but {axis} larger than in {x.shape}",
                got=str(index.shape),
            )
        return Spec(index.shape, x.dtype)

    def forward(self, x: Any, index: Any, *, axis: int) -> Any:
        self.spec(x, index, axis=axis)
        return x[_along(index, axis)]

    def element(self, make: Any, i: Any, x: Any, index: Any, *, axis: int) -> Any:
        return x((*i[:axis], make.read(index(i), x.shape[axis]), *i[axis + 1 :]))

    def vjp(self, g: Value, y: Value, x: Value, index: Value, *, axis: int) -> tuple[Value, ...]:
        return lambda: scatter_add(g, index, axis=axis, shape=x.shape), None

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((rng.normal(size=(3, 4)), np.array([[0, 1], [3, 3], [2, 0]])), {"axis": 1})
        yield Sample((rng.normal(size=(3, 2)), np.array([[2, 0]])), {"axis": 0})


class ScatterAdd(Indexing):
    """y = zeros, with v[.., i, ..] added at index[.., i, ..] along `axis`;  dv = g there."""

    math = "scatter({v}, {index})"
    saves = INDEX

    def rows(self, v: Any, index: Any, *, axis: int, shape: tuple[int, ...]) -> int:
        return shape[axis]

    def spec(self, v: Any, index: Any, *, axis: int, shape: tuple[int, ...]) -> Spec:
        _check_index(self.name, index, shape[axis])
        return Spec(shape, v.dtype)

    def forward(self, v: Any, index: Any, *, axis: int, shape: tuple[int, ...]) -> Any:
        self.spec(v, index, axis=axis, shape=shape)
        y = np.zeros(shape, v.dtype)
        if index.shape[axis] == 1:  # one target a row, as in cross-entropy: nothing can collide
            y[_along(index, axis)] = v
        else:
            np.add.at(y, _along(index, axis), v)
        return y

    def scatter(
        self, make: Any, y: Any, v: Any, index: Any, *, axis: int, shape: tuple[int, ...]
    ) -> list[Scatter]:
        if index.shape[axis] == 1 and _same_but(index.shape, shape, axis):
            return []  # at most one element meets each place: `element` can ask for it
        axes = tuple(make.axis("i", n) for n in index.shape)
        i = tuple(make.along(a) for a in axes)
        row = make.read(index(i), shape[axis])
        return [Scatter(axes, (*i[:axis], row, *i[axis + 1 :]), v(i), True, make.zero(y.dtype))]

    def element(
        self, make: Any, i: Any, v: Any, index: Any, *, axis: int, shape: tuple[int, ...]
    ) -> Any:
        own = (*i[:axis], i[axis] * 0, *i[axis + 1 :])
        hit = make.eq(make.cast(index(own), dtypes.int64), make.whole(i[axis]))
        return make.select(hit, v(own), make.const(0, v.dtype))

    def vjp(self, g: Value, y: Value, v: Value, index: Value, **params: Any) -> tuple[Value, ...]:
        return lambda: gather(g, index, axis=params["axis"]), None

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        index = np.array([[0, 1], [3, 3], [2, 0]])
        yield Sample((rng.normal(size=(3, 2)), index), {"axis": 1, "shape": (3, 4)})


def _same_but(a: Shape, b: Shape, axis: int) -> bool:
    """Whether two shapes differ along one dimension at most."""
    return a[:axis] == b[:axis] and a[axis + 1 :] == b[axis + 1 :]


def _along(index: Any, axis: int) -> tuple[Any, ...]:
    """NumPy's index for reading along one axis and straight through the others."""
    if index.ndim == 2:
        along = np.arange(index.shape[1 - axis])
        return (along[:, None], index) if axis else (index, along)
    ndim = index.ndim
    places = []
    for i, n in enumerate(index.shape):
        places.append(
            index if i == axis else np.arange(n).reshape([-1 if j == i else 1 for j in range(ndim)])
        )
    return tuple(places)


class IndexPut(Indexing):
    """y = x (flat), but y[index[i]] = v[i], the last one where places repeat;  dv = g there."""

    math = "{x} with [{index}] = {v}"
    saves = INDEX
    warns = False
    shapes = frozenset({"v"})

    def rows(self, x: Any, v: Any, index: Any) -> int:
        return int(x.shape[0])

    def spec(self, x: Any, v: Any, index: Any) -> Spec:
        _check_index(self.name, index, x.shape[0])
        return Spec(x.shape, x.dtype)

    def forward(self, x: Any, v: Any, index: Any) -> Any:
        _check_index(self.name, index, x.shape[0])
        y = x.copy()
        y[index] = v
        return y

    def scatter(self, make: Any, y: Any, x: Any, v: Any, index: Any) -> list[Scatter]:
        axes = tuple(make.axis("i", n) for n in v.shape)
        i = tuple(make.along(a) for a in axes)
        return [Scatter(axes, (make.read(index(i), x.shape[0]),), v(i), False, x)]

    def vjp(self, g: Value, y: Value, x: Value, v: Value, index: Value) -> tuple[Value, ...]:
        return (
            lambda: index_put(g, full(shape=v.shape, value=0.0, dtype=g.dtype), index),
            lambda: index_select(g, index, axis=0),
            None,
        )

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        index = np.array([4, 0, 3])
        yield Sample((rng.normal(size=(6,)), rng.normal(size=(3,)), index), {})


class Argsort(Op):
    """y = the order that sorts x along `axis`; equal elements keep theirs;  no derivative."""

    math = "argsort({x})"
    saves = NOTHING
    warns = False
    differentiable = False

    def spec(self, x: Any, *, axis: int, descending: bool) -> Spec:
        return Spec(x.shape, dtypes.int64)

    def bound(self, x: Any, *, axis: int, descending: bool) -> int | None:
        return int(x.shape[axis])

    def forward(self, x: Any, *, axis: int, descending: bool) -> Any:
        if not descending:
            return np.argsort(x, axis, kind="stable")
        back = np.argsort(np.flip(x, axis), axis, kind="stable")
        return np.flip(x.shape[axis] - 1 - back, axis).copy()

    def scatter(self, make: Any, y: Any, x: Any, *, axis: int, descending: bool) -> list[Scatter]:
        """Each element goes to its rank: the number of those that come before it."""
        axes = tuple(make.axis("i", n) for n in x.shape)
        i = tuple(make.along(a) for a in axes)
        mine = x(i)

        def comes_before(k: Any) -> Any:
            other = x((*i[:axis], *k, *i[axis + 1 :]))
            small, large = (mine, other) if descending else (other, mine)
            less = make.lt(small, large)
            same = make.eq(small, large)
            if x.dtype.kind == "f":  # nan counts as the greatest
                is_nan = make.ne(large, large)
                less = make.either(less, make.both(is_nan, make.eq(small, small)))
                same = make.either(same, make.both(is_nan, make.ne(small, small)))
            earlier = make.lt(make.whole(k[0]), make.whole(i[axis]))
            return make.cast(make.either(less, make.both(same, earlier)), dtypes.int64)

        rank = make.reduce("sum", [x.shape[axis]], comes_before)
        place = make.read(rank, x.shape[axis])
        return [Scatter(axes, (*i[:axis], place, *i[axis + 1 :]), make.whole(i[axis]))]

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((rng.normal(size=(5,)),), {"axis": 0, "descending": False})
        yield Sample((rng.integers(0, 3, (2, 6)),), {"axis": 1, "descending": True})


class OneHot(Indexing):
    """y[.., c] = 1 where c = index, else 0;  no derivative."""

    math = "onehot({index})"
    saves = NOTHING
    warns = False
    differentiable = False

    def rows(self, index: Any, *, classes: int, dtype: DType) -> int:
        return classes

    def spec(self, index: Any, *, classes: int, dtype: DType) -> Spec:
        _check_index(self.name, index, classes)
        return Spec((*index.shape, classes), dtype)

    def forward(self, index: Any, *, classes: int, dtype: DType) -> Any:
        _check_index(self.name, index, classes)
        return (index[..., None] == np.arange(classes)).astype(dtype)

    def element(self, make: Any, i: Any, index: Any, *, classes: int, dtype: DType) -> Any:
        hit = make.eq(make.cast(index(i[:-1]), dtypes.int64), make.whole(i[-1]))
        return make.select(hit, make.const(1, dtype), make.const(0, dtype))

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((np.array([[0, 2], [1, 1]]),), {"classes": 3, "dtype": dtypes.float64})


def take_sorted(x: Value, axis: int, descending: bool) -> tuple[Value, Value]:
    """x sorted along `axis` and the order that does it; the gradient flows through the values."""
    order = argsort(x, axis=axis, descending=descending)
    return gather(x, order, axis=axis), order


index_select, index_add, gather, scatter_add = IndexSelect(), IndexAdd(), Gather(), ScatterAdd()
index_put, argsort, one_hot = IndexPut(), Argsort(), OneHot()
