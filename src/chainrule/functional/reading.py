"""Reading and writing along a dimension, triangles, one-hot codes, embeddings."""

from __future__ import annotations

from .. import dtypes, ops
from ..errors import ArgumentError, ShapeError
from ..ops.core import Value, current
from .arguments import axis_of, need_values


def gather(x: Value, dim: int, index: Value) -> Value:
    """y[.., i, ..] = x[.., index[.., i, ..], ..] along `dim`."""
    return ops.gather(x, index, axis=axis_of("gather", x, dim))


def index_select(x: Value, dim: int, index: Value) -> Value:
    """The rows of x along `dim` that a list of numbers names."""
    if len(index.shape) != 1:
        raise ShapeError("index_select: index must have one dimension", got=str(index.shape))
    return ops.index_select(x, index, axis=axis_of("index_select", x, dim))


def scatter_add(x: Value, dim: int, index: Value, src: Value) -> Value:
    """x with src[.., i, ..] added at index[.., i, ..] along `dim`."""
    axis = axis_of("scatter_add", x, dim)
    if src.shape != index.shape:
        raise ShapeError(
            "scatter_add: index and src must have the same shape",
            got=f"{index.shape} and {src.shape}",
        )
    return x + ops.scatter_add(src, index, axis=axis, shape=x.shape)


def embedding(input: Value, weight: Value, padding_idx: int | None = None) -> Value:
    """Row i of the table weight (N, D) for every entry i of input (...): (..., D).

    Row padding_idx (counted from the end if below 0) gets no gradient.  Raises for an entry
    outside [0, N), or of a float type.

    Differs from PyTorch: no max_norm, scale_grad_by_freq or sparse.
    """
    need_values("embedding", input=input, weight=weight)
    if len(weight.shape) != 2:
        raise ShapeError("embedding: the table is no matrix", expected="(N, D)",
                         got=str(weight.shape))  # fmt: skip
    rows = ops.index_select(weight, input, axis=0)
    if padding_idx is None:
        return rows
    place = padding_place("embedding", padding_idx, weight.shape[0])
    learned = ops.reshape(ops.ne(input, place), shape=(*input.shape, 1))
    learned = ops.expand(learned, shape=rows.shape)
    return ops.where(learned, rows, ops.detach(rows))


def padding_place(name: str, padding_idx: int, rows: int) -> int:
    """The row that stands for padding, counted from the front."""
    if not -rows <= padding_idx < rows:
        raise ArgumentError(
            f"{name}: padding_idx is out of range",
            expected=f"{-rows} to {rows - 1} (the table has {rows} rows)",
            got=str(padding_idx),
        )
    return padding_idx % rows


def one_hot(tensor: Value, num_classes: int = -1) -> Value:
    """1 where the class number is, 0 elsewhere, along a new last dimension; int64 as in PyTorch."""
    if num_classes == -1:
        trace = current.trace
        if trace is not None:
            values = trace.refuse(tensor, "one_hot without num_classes")
        else:
            values = getattr(tensor, "_value", None)
        if values is None or not values.size:
            raise ArgumentError("one_hot: num_classes can't be told from an empty index")
        num_classes = int(values.max()) + 1
    return ops.one_hot(tensor, classes=num_classes, dtype=dtypes.int64)


def _triangle(x: Value, diagonal: int, lower: bool) -> Value:
    if len(x.shape) < 2:
        raise ShapeError(
            f"{'tril' if lower else 'triu'}: a triangle needs at least 2 dimensions",
            got=f"shape {x.shape}",
        )
    rows, columns = x.shape[-2:]
    down = ops.reshape(ops.iota(size=rows, dtype=dtypes.int64), shape=(rows, 1))
    across = ops.iota(size=columns, dtype=dtypes.int64) - diagonal
    return ops.where(ops.ge(down, across) if lower else ops.le(down, across), x, 0)


def tril(x: Value, diagonal: int = 0) -> Value:
    """The lower triangle of the last two dimensions, 0 above."""
    return _triangle(x, diagonal, True)


def triu(x: Value, diagonal: int = 0) -> Value:
    """The upper triangle of the last two dimensions, 0 below."""
    return _triangle(x, diagonal, False)
