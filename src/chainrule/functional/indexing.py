"""x[...] and x[...] = v, with NumPy's and PyTorch's meaning.

Numbers, slices, None and ... become slice and reshape ops, which are views.  Integer arrays and
masks become reads and writes at a list of places.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..errors import ArgumentTypeError, IndexRangeError
from ..ops.core import Value


def basic(x: Value, key: Any) -> Value | None:
    """x[key] as a view, or None where key holds arrays."""
    parts = expand_key(key, len(x.shape))
    if any(isinstance(p, np.ndarray) for p in parts):
        return None
    ranges: list[tuple[int, int, int]] = []
    shape: list[int] = []
    axis = 0
    for p in parts:
        if p is None:
            shape.append(1)
            continue
        n = x.shape[axis]
        if isinstance(p, slice):
            start, stop, step = p.indices(n)
            if step < 0:
                raise ArgumentTypeError(
                    "index: a step must be > 0", got=str(p), fix="x.flip(dim) to reverse"
                )
            stop = max(stop, start)
            ranges.append((start, stop, step))
            shape.append(len(range(start, stop, step)))
        else:
            if not -n <= p < n:
                raise IndexRangeError(
                    f"index {p} is out of range at dimension {axis}",
                    expected=f"{-n} to {n - 1}",
                    got=f"a tensor of shape {x.shape}",
                )
            place = p % n
            ranges.append((place, place + 1, 1))
        axis += 1
    whole = all(r == (0, n, 1) for r, n in zip(ranges, x.shape, strict=True))
    y = x if whole else ops.slice_(x, ranges=tuple(ranges))
    target = tuple(shape)
    return ops.reshape(y, shape=target) if target != y.shape or y is x else y


def expand_key(key: Any, ndim: int) -> list[Any]:
    """A key as a list of numbers, slices, None and arrays that covers every dimension."""
    parts = [_part(p) for p in (key if isinstance(key, tuple) else (key,))]
    used = sum(_dims_of(p) for p in parts)
    if used > ndim:
        raise IndexRangeError(
            "index: too many indices", expected=f"at most {ndim}", got=f"{used} in {key!r}"[:80]
        )
    dots = [i for i, p in enumerate(parts) if p is Ellipsis]
    if len(dots) > 1:
        raise IndexRangeError("index: only one ... can stand in an index")
    fill = [slice(None)] * (ndim - used)
    if dots:
        return parts[: dots[0]] + fill + parts[dots[0] + 1 :]
    return parts + fill


def _part(p: Any) -> Any:
    if p is None or p is Ellipsis or hasattr(p, "tensor"):  # known later
        return p
    if isinstance(p, slice):
        return slice(_whole(p.start), _whole(p.stop), _whole(p.step))
    value = getattr(p, "_value", p)
    if isinstance(value, (list, tuple, np.ndarray, bool, np.bool_)):
        array = np.asarray(value)
        if array.size == 0 and not isinstance(value, np.ndarray):
            array = array.astype(np.int64)
        if array.dtype.kind in "iu" and array.ndim == 0:
            return int(array)
        if array.dtype.kind in "iub":
            return array
    elif hasattr(value, "__index__"):
        return int(value)
    raise ArgumentTypeError(
        "index: can't index with this",
        expected="numbers, slices, ..., None, integer or bool tensors",
        got=f"{type(p).__name__}" + (f" of {value.dtype}" if hasattr(value, "dtype") else ""),
    )


def _whole(n: Any) -> int | None:
    if n is None or isinstance(n, int):
        return n
    if hasattr(n, "__index__"):
        return int(n.__index__())
    raise ArgumentTypeError("index: a slice needs whole numbers", got=repr(n)[:40])


def _dims_of(p: Any) -> int:
    if p is None or p is Ellipsis:
        return 0
    return p.ndim if isinstance(p, np.ndarray) and p.dtype.kind == "b" else 1


def places(x: Value, key: Any) -> Any:
    """For a key with arrays: the places, counted through x in row-major order, that it lists."""
    parts = expand_key(key, len(x.shape))
    axis = 0
    for p in parts:
        if isinstance(p, np.ndarray) and p.dtype.kind == "b":
            wanted = tuple(x.shape[axis : axis + p.ndim])
            if p.shape != wanted:
                raise IndexRangeError(
                    "index: the mask does not fit the tensor",
                    expected=str(wanted),
                    got=str(p.shape),
                )
        axis += _dims_of(p)
    # As in PyTorch, and unlike NumPy, a number picks its slice before the arrays are looked at.
    numbers = tuple(
        p if isinstance(p, int) else slice(None)
        for part in parts
        if part is not None
        for p in ([part] if not isinstance(part, np.ndarray) else [slice(None)] * _dims_of(part))
    )
    rest = tuple(p for p in parts if not isinstance(p, int))
    try:
        return _places(tuple(x.shape), numbers, rest)
    except IndexError as error:
        raise IndexRangeError(f"index: {error}", got=f"a tensor of shape {x.shape}") from None


def _places(shape: tuple[int, ...], numbers: tuple[Any, ...], rest: tuple[Any, ...]) -> Any:
    """The places that an index lists, from the coordinate along each dimension.

    The table of all coordinates takes no memory: it is repeated along the other dimensions.
    """
    total: Any = 0 if shape else np.zeros((), np.int64)[numbers][rest]  # a mask can pick nothing
    stride = 1
    for axis in reversed(range(len(shape))):
        line = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
        total = np.broadcast_to(line, shape)[numbers][rest] * stride + total
        stride *= shape[axis]
    return np.asarray(total)


def row_index(x: Value, key: Any) -> Any:
    """The integer array of `x[array]`, made non-negative, or None for other keys."""
    value = getattr(key, "_value", key)
    if isinstance(value, list):
        value = np.asarray(value)
        if value.size == 0:
            value = value.astype(np.int64)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
        return None
    if not value.shape or not x.shape:  # one number is a view, as it is for Python's numbers
        return None
    if value.dtype.kind == "i" and value.size and value.min() < 0:
        n = x.shape[0]
        if value.min() < -n:
            return value  # the op says what is out of range
        value = np.where(value < 0, value + n, value)
    return value
