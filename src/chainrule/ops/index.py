"""Ops that read or write where an array of integers says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..errors import DTypeError, IndexRangeError, ShapeError
from .arithmetic import nowhere
from .core import NOTHING, Op, Sample, Spec, Value
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
        outside = logical_or(lt(value, 0), ge(value, self.rows(*inputs, **params)))
        return nowhere(outside)


class IndexSelect(Indexing):
    """y = the rows of x along `axis` that `index` (of any shape) lists;  dx = g added up there."""

    math = "{x}[{index}]"
    saves = INDEX
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

    def vjp(self, g: Value, y: Value, v: Value, index: Value, **params: Any) -> tuple[Value, ...]:
        return lambda: index_select(g, index, axis=params["axis"]), None

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        index = np.array([[0, 2], [2, 1]])
        yield Sample((rng.normal(size=(2, 2, 3)), index), {"axis": 0, "size": 4})


class Gather(Indexing):
    """y[.., i, ..] = x[.., index[.., i, ..], ..] along `axis`;  dx = g added up there."""

    math = "{x}[{index}]"
    saves = INDEX
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

    def vjp(self, g: Value, y: Value, v: Value, index: Value, **params: Any) -> tuple[Value, ...]:
        return lambda: gather(g, index, axis=params["axis"]), None

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        index = np.array([[0, 1], [3, 3], [2, 0]])
        yield Sample((rng.normal(size=(3, 2)), index), {"axis": 1, "shape": (3, 4)})


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

    def forward(self, x: Any, *, axis: int, descending: bool) -> Any:
        if not descending:
            return np.argsort(x, axis, kind="stable")
        back = np.argsort(np.flip(x, axis), axis, kind="stable")
        return np.flip(x.shape[axis] - 1 - back, axis).copy()

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

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((np.array([[0, 2], [1, 1]]),), {"classes": 3, "dtype": dtypes.float64})


def take_sorted(x: Value, axis: int, descending: bool) -> tuple[Value, Value]:
    """x sorted along `axis` and the order that does it; the gradient flows through the values."""
    order = argsort(x, axis=axis, descending=descending)
    return gather(x, order, axis=axis), order


index_select, index_add, gather, scatter_add = IndexSelect(), IndexAdd(), Gather(), ScatterAdd()
index_put, argsort, one_hot = IndexPut(), Argsort(), OneHot()
