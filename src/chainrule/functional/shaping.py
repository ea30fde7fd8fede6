"""Shapes with PyTorch's arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import dtypes, ops
from ..errors import ArgumentError, ArgumentTypeError, IndexRangeError, ShapeError
from ..ops.core import Shape, Value, broadcast_shapes
from .arguments import axis_of, sizes_of


class NoDimensionError(IndexRangeError, RuntimeError):
    """A part asked of a 0-d tensor, for which PyTorch raises one or the other."""


def _cut_axis(name: str, x: Value, dim: int) -> int:
    """The dimension along which x is cut; a 0-d tensor has none."""
    if not x.shape:
        raise NoDimensionError(f"{name}: a 0-d tensor has no dimension to cut", got=f"dim {dim}")
    return axis_of(name, x, dim)


def reshape(x: Value, *shape: Any) -> Value:
    """x under another shape; one size may be -1 and is worked out."""
    sizes = list(sizes_of(shape))
    if -1 in sizes:
        known = 1
        for n in sizes:
            known *= n if n != -1 else 1
        total = math.prod(x.shape)
        if sizes.count(-1) > 1 or known == 0 or total % known:
            raise ShapeError(
                f"reshape: {x.shape} does not fit into {tuple(sizes)}",
                expected="at most one -1, and sizes whose product divides the rest",
                got=f"{total} elements",
            )
        sizes[sizes.index(-1)] = total // known
    target = tuple(sizes)
    return x if target == x.shape else ops.reshape(x, shape=target)


def flatten(x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """x with the dimensions from start_dim to end_dim joined into one."""
    start, end = axis_of("flatten", x, start_dim), axis_of("flatten", x, end_dim)
    if not x.shape:
        return ops.reshape(x, shape=(1,))
    if start > end:
        raise ShapeError("flatten: start_dim comes after end_dim", got=f"{start_dim}, {end_dim}")
    joined = 1
    for n in x.shape[start : end + 1]:
        joined *= n
    return reshape(x, (*x.shape[:start], joined, *x.shape[end + 1 :]))


def unflatten(x: Value, dim: int, sizes: Sequence[int]) -> Value:
    """x with one dimension split into several."""
    axis = axis_of("unflatten", x, dim)
    split = list(sizes)
    if -1 in split:
        known = 1
        for n in split:
            known *= n if n != -1 else 1
        split[split.index(-1)] = x.shape[axis] // known
    return reshape(x, (*x.shape[:axis], *split, *x.shape[axis + 1 :]))


def squeeze(x: Value, dim: int | tuple[int, ...] | None = None) -> Value:
    """x without its dimensions of size 1, or without those listed."""
    if dim is None:
        drop = {i for i, n in enumerate(x.shape) if n == 1}
    else:
        listed = (dim,) if isinstance(dim, int) else dim
        drop = {axis_of("squeeze", x, d) for d in listed}
        drop = {i for i in drop if i < len(x.shape) and x.shape[i] == 1}
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in drop))


def unsqueeze(x: Value, dim: int) -> Value:
    """x with a new dimension of size 1."""
    ndim = len(x.shape) + 1
    axis = dim + ndim if dim < 0 else dim
    if not 0 <= axis < ndim:
        raise IndexRangeError(
            "unsqueeze: dimension out of range", expected=f"[{-ndim}, {ndim - 1}]", got=str(dim)
        )
    return ops.reshape(x, shape=(*x.shape[:axis], 1, *x.shape[axis:]))


def permute(x: Value, *dims: Any) -> Value:
    """x with its dimensions in another order."""
    axes = tuple(axis_of("permute", x, d) for d in sizes_of(dims))
    if sorted(axes) != list(range(len(x.shape))):
        raise ShapeError(
            "permute: every dimension must be listed once",
            expected=f"an order of {tuple(range(len(x.shape)))}",
            got=str(dims),
        )
    return ops.permute(x, axes=axes)


def transpose(x: Value, dim0: int, dim1: int) -> Value:
    """x with two dimensions swapped."""
    a, b = axis_of("transpose", x, dim0), axis_of("transpose", x, dim1)
    axes = list(range(len(x.shape)))
    if a == b:
        return x
    axes[a], axes[b] = b, a
    return ops.permute(x, axes=tuple(axes))


def movedim(x: Value, source: int, destination: int) -> Value:
    """x with one dimension moved to another place."""
    a, b = axis_of("movedim", x, source), axis_of("movedim", x, destination)
    if a == b:
        return x
    axes = [i for i in range(len(x.shape)) if i != a]
    axes.insert(b, a)
    return ops.permute(x, axes=tuple(axes))


def expand(x: Value, *sizes: Any) -> Value:
    """x repeated along dimensions of size 1 and new leading ones, without a copy; -1 keeps one."""
    target = list(sizes_of(sizes))
    lead = len(target) - len(x.shape)
    for i, n in enumerate(target):
        if n == -1:
            if i < lead:
                raise ShapeError("expand: -1 can't stand for a new dimension", got=str(target))
            target[i] = x.shape[i - lead]
    shape = tuple(target)
    return x if shape == x.shape else ops.expand(x, shape=shape)


def broadcast_to(x: Value, shape: Sequence[int]) -> Value:
    """x repeated to a shape."""
    return expand(x, tuple(shape))


def broadcast_tensors(*xs: Value) -> tuple[Value, ...]:
    """The inputs, each repeated to their common shape."""
    shape = broadcast_shapes("broadcast_tensors", *(x.shape for x in xs))
    return tuple(expand(x, shape) for x in xs)


def repeat(x: Value, *sizes: Any) -> Value:
    """x copied along dimensions: size i says how often."""
    counts = sizes_of(sizes)
    lead = len(counts) - len(x.shape)
    if lead < 0:
        raise ShapeError(
            "repeat: needs a count for every dimension",
            expected=f"at least {len(x.shape)} counts",
            got=str(counts),
        )
    shape: Shape = (1,) * lead + tuple(x.shape)
    between: list[int] = []
    for n, c in zip(shape, counts, strict=True):
        between += [c, n]
    single = [m for n in shape for m in (1, n)]
    spread = ops.expand(ops.reshape(x, shape=tuple(single)), shape=tuple(between))
    return ops.reshape(spread, shape=tuple(n * c for n, c in zip(shape, counts, strict=True)))


def cat(tensors: Sequence[Value], dim: int = 0) -> Value:
    """The tensors behind one another along a dimension that they have."""
    parts = _several("cat", tensors)
    axis = axis_of("cat", parts[0], dim)
    dtype = dtypes.result_type(*parts)
    parts = [p if p.dtype == dtype else ops.cast(p, dtype=dtype) for p in parts]
    return ops.concat(*parts, axis=axis)


def stack(tensors: Sequence[Value], dim: int = 0) -> Value:
    """The tensors behind one another along a new dimension."""
    parts = _several("stack", tensors)
    for i, p in enumerate(parts):
        if p.shape != parts[0].shape:
            raise ShapeError(
                "stack: every tensor must have the same shape",
                expected=f"{parts[0].shape} as tensor 0",
                got=f"{p.shape} at tensor {i}",
            )
    return cat([unsqueeze(p, dim) for p in parts], dim)


def _several(name: str, tensors: Sequence[Value]) -> list[Value]:
    parts = list(tensors)
    if not parts:
        raise ArgumentError(f"{name}: needs at least one tensor", got="an empty list")
    for i, p in enumerate(parts):
        if not hasattr(p, "shape"):
            raise ArgumentTypeError(
                f"{name}: works on Tensors", got=f"{type(p).__name__} at place {i}"
            )
    return parts


def narrow(x: Value, dim: int, start: int, length: int) -> Value:
    """`length` elements of a dimension, from `start`."""
    axis = _cut_axis("narrow", x, dim)
    n = x.shape[axis]
    start = start + n if start < 0 else start
    if not 0 <= start <= n or length < 0 or start + length > n:
        raise ShapeError(
            "narrow: the range leaves the dimension",
            expected=f"a part of [0, {n})",
            got=f"start {start}, length {length}",
        )
    ranges = tuple((start, start + length, 1) if i == axis else (0, m, 1) for i, m in
                   enumerate(x.shape))  # fmt: skip
    return ops.slice_(x, ranges=ranges)


def split(x: Value, split_size: int | Sequence[int], dim: int = 0) -> tuple[Value, ...]:
    """x in parts of a size (the last may be smaller), or of the sizes listed."""
    axis = _cut_axis("split", x, dim)
    n = x.shape[axis]
    if isinstance(split_size, int):
        if split_size < 1:
            raise ArgumentError("split: split_size must be >= 1", got=str(split_size))
        sizes = [min(split_size, n - i) for i in range(0, n, split_size)] or [0]
    else:
        sizes = list(split_size)
        if sum(sizes) != n:
            raise ShapeError(
                "split: the sizes must add up to the dimension", expected=str(n), got=str(sizes)
            )
    parts, start = [], 0
    for s in sizes:
        parts.append(narrow(x, axis, start, s))
        start += s
    return tuple(parts)


def chunk(x: Value, chunks: int, dim: int = 0) -> tuple[Value, ...]:
    """x in at most `chunks` parts of equal size (the last may be smaller)."""
    if chunks < 1:
        raise ArgumentError("chunk: chunks must be >= 1", got=str(chunks))
    n = x.shape[_cut_axis("chunk", x, dim)]
    return split(x, -(-n // chunks) if n else [0] * chunks, dim)


def unbind(x: Value, dim: int = 0) -> tuple[Value, ...]:
    """The slices of x along a dimension, without that dimension."""
    axis = _cut_axis("unbind", x, dim)
    return tuple(select(x, axis, i) for i in range(x.shape[axis]))


def select(x: Value, dim: int, index: int) -> Value:
    """One slice of x along a dimension, without that dimension."""
    axis = _cut_axis("select", x, dim)
    n = x.shape[axis]
    if not -n <= index < n:
        raise IndexRangeError(
            f"select: index {index} is out of range at dimension {axis}",
            expected=f"{-n} to {n - 1}",
            got=f"a tensor of shape {x.shape}",
        )
    part = narrow(x, axis, index, 1)
    return ops.reshape(part, shape=(*x.shape[:axis], *x.shape[axis + 1 :]))


def flip(x: Value, *dims: Any) -> Value:
    """x with dimensions reversed (a copy)."""
    axes = tuple(sorted(axis_of("flip", x, d) for d in sizes_of(dims)))
    return ops.flip(x, axis=axes if x.shape else ())


def roll(x: Value, shifts: int, dims: int | None = None) -> Value:
    """x moved along a dimension, what leaves at the end coming in at the front."""
    if dims is None:
        return reshape(roll(reshape(x, -1), shifts, 0), x.shape)
    axis = _cut_axis("roll", x, dims)
    n = x.shape[axis]
    shift = shifts % n if n else 0
    if not shift:
        return x
    return cat([narrow(x, axis, n - shift, shift), narrow(x, axis, 0, n - shift)], axis)
