"""x[...] and x[...] = v while a compiled function is recorded, where an index is not known yet.

The places that an index lists, counted through x in row-major order, become part of the program.
How many they are must not depend on values, so a mask can be written through but not read.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes, ops
from ..errors import IndexRangeError, ShapeError, TraceError
from ..ops.arithmetic import nowhere
from ..ops.core import Value, broadcast_shapes, current
from .arguments import later, trust
from .indexing import expand_key
from .shaping import expand


def with_constants(key: Any) -> Any:
    """A key with arrays in place of those tensors whose values are the same at every call."""
    if isinstance(key, tuple):
        return tuple(with_constants(p) for p in key)
    if not hasattr(key, "_value"):
        return key
    array = current.trace.known(key)
    return key if array is None else array


def has_values(key: Any) -> bool:
    """Whether a key holds tensors whose values are not known yet."""
    return any(hasattr(p, "_value") for p in (key if isinstance(key, tuple) else (key,)))


def read_places(x: Value, key: Any) -> Value:
    """x[key]."""
    parts = key if isinstance(key, tuple) else (key,)
    for p in parts:
        if hasattr(p, "_value") and p.dtype.kind == "b":
            raise TraceError(
                "x[mask]: how many elements a mask picks is not known while a compiled function "
                "is recorded",
                expected="shapes that do not depend on values",
                got=f"a mask of shape {p.shape}",
                fix="chainrule.where(mask, x, 0.0), and divide by mask.sum() for a mean",
            )
    if len(parts) == 1 and x.shape:
        y = ops.index_select(x, _counted(parts[0], x.shape[0], 0), axis=0)
    else:
        flat = ops.reshape(x, shape=(math.prod(x.shape),))
        y = ops.index_select(flat, _places(x, parts), axis=0)
    if not any(isinstance(p, (list, np.ndarray)) or getattr(p, "shape", ()) for p in parts):
        current.trace.loosen(y, x)  # numbers and slices: elsewhere a view
    return y


def written_places(x: Value, key: Any, value: Any) -> Value:
    """x with x[key] = value."""
    parts = key if isinstance(key, tuple) else (key,)
    for p in parts:
        if hasattr(p, "_value") and p.dtype.kind == "b":
            if len(parts) > 1:
                raise _masked(p)
            return _where_mask(x, p, value)
    places = _places(x, parts)
    if hasattr(value, "_value"):
        v = value if value.dtype == x.dtype else ops.cast(value, dtype=x.dtype)
    else:
        v = ops.full(shape=(), value=x.dtype.type(value).item(), dtype=x.dtype)
    extra = len(v.shape) - len(places.shape)
    if extra > 0 and all(n == 1 for n in v.shape[:extra]):
        v = ops.reshape(v, shape=v.shape[extra:])
    size = math.prod(places.shape)
    v = ops.reshape(expand(v, places.shape), shape=(size,))
    flat = ops.reshape(x, shape=(math.prod(x.shape),))
    new = ops.index_put(flat, v, ops.reshape(places, shape=(size,)))
    return ops.reshape(new, shape=x.shape)


def _where_mask(x: Value, mask: Value, value: Any) -> Value:
    lead = len(mask.shape)
    if x.shape[:lead] != mask.shape:
        raise IndexRangeError(
            "index: the mask does not fit the tensor",
            expected=str(x.shape[:lead]),
            got=str(mask.shape),
        )
    rest = x.shape[lead:]
    if hasattr(value, "_value"):
        extra = len(value.shape) - len(rest)
        if extra > 0 and any(n != 1 for n in value.shape[:extra]):
            raise _masked(mask)
        if extra > 0:
            value = ops.reshape(value, shape=value.shape[extra:])
        value = ops.cast(value, dtype=x.dtype) if value.dtype != x.dtype else value
    else:
        value = ops.full(shape=(), value=x.dtype.type(value).item(), dtype=x.dtype)
    wide = ops.reshape(mask, shape=(*mask.shape, *[1] * len(rest)))
    return ops.where(expand(wide, x.shape), expand(value, x.shape), x)


def _masked(mask: Value) -> TraceError:
    return TraceError(
        "x[mask] = v: how many elements a mask picks is not known while a compiled function is "
        "recorded",
        expected="a number, or values shaped as one picked element",
        got=f"a mask of shape {mask.shape}",
        fix="chainrule.where(mask, values, x)",
    )


class _Item(NamedTuple):
    """What stands for one dimension of the result: an index, or a range."""

    index: Any
    length: int
    start: int
    step: int


def _counted(index: Value, n: int, axis: int) -> Value:
    """An index with numbers below 0 counted from the end; out of range raises."""

    def check(values: Any) -> None:
        bad = (values < -n) | (values >= n)
        if bad.any():
            raise IndexRangeError(
                f"index {values[bad].reshape(-1)[0]} is out of range at dimension {axis}",
                expected=f"{-n} to {n - 1}",
                got=f"{int(bad.sum())} of {values.size} indices are",
            )

    later(index, check, lambda v: nowhere(ops.logical_or(ops.lt(v, -n), ops.ge(v, n))))
    index = ops.cast(index, dtype=dtypes.int64)
    counted = ops.where(ops.lt(index, 0), index + n, index)
    trust(counted)
    return counted


def _places(x: Value, key: tuple[Any, ...]) -> Value:
    """The places that a key lists, as one integer tensor of the result's shape."""
    parts = expand_key(tuple(_Known(p) if hasattr(p, "_value") else p for p in key), len(x.shape))
    strides = [math.prod(x.shape[i + 1 :]) for i in range(len(x.shape))]
    items: list[_Item] = []
    offset: Any = 0
    axis = 0
    for p in parts:
        if p is None:
            items.append(_Item(None, 1, 0, 0))
            continue
        n, stride = x.shape[axis], strides[axis]
        if isinstance(p, slice):
            start, stop, step = p.indices(n)
            items.append(_Item(None, len(range(start, stop, step)), start * stride, step * stride))
        elif isinstance(p, np.ndarray) and p.dtype.kind == "b":
            for i, where in enumerate(p.nonzero()):
                items.append(_Item(current.trace.tensor(where), 0, 0, strides[axis + i]))
            axis += p.ndim - 1
        elif isinstance(p, _Known) and not p.tensor.shape:  # as a number: it takes no part in
            offset = _counted(p.tensor, n, axis) * stride + offset  # where the arrays go
        elif isinstance(p, (np.ndarray, _Known)):
            index = p.tensor if isinstance(p, _Known) else current.trace.tensor(p)
            items.append(_Item(_counted(index, n, axis), 0, 0, stride))
        else:
            if not -n <= p < n:
                raise IndexRangeError(f"index {p} is out of range at dimension {axis}",
                                      expected=f"{-n} to {n - 1}")  # fmt: skip
            offset += p % n * stride
        axis += 1
    return _summed(items, offset)


def _summed(items: list[_Item], offset: Any) -> Value:
    """The places, from what each dimension adds to them; arrays meet as NumPy says."""
    chosen = [i for i, item in enumerate(items) if item.index is not None]
    together = broadcast_shapes("index", (), *(items[i].index.shape for i in chosen))
    adjacent = bool(chosen) and chosen == list(range(chosen[0], chosen[-1] + 1))
    front = chosen[0] if adjacent else 0
    plain = [i for i in range(len(items)) if i not in chosen]
    ndim = len(plain) + len(together)
    total: Any = offset
    for i, item in enumerate(items):
        shape = [1] * ndim
        if item.index is None:
            place = plain.index(i)
            shape[place if place < front else place + len(together)] = item.length
            line = ops.iota(size=item.length, dtype=dtypes.int64) * item.step + item.start
        else:
            own = item.index.shape
            end = front + len(together)
            shape[end - len(own) : end] = own
            line = item.index * item.step
        total = ops.reshape(line, shape=tuple(shape)) + total
    trust(total)
    return total


class _Known:
    """Stands for a tensor of whole numbers while a key is laid out over the dimensions."""

    def __init__(self, tensor: Value) -> None:
        if tensor.dtype.kind not in "iu":
            raise ShapeError(
                "index: can't index with this",
                expected="numbers, slices, ..., None, integer or bool tensors",
                got=f"Tensor of {tensor.dtype}",
            )
        self.tensor = tensor
