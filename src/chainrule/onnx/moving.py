"""Entries of the ops that move, choose or repeat elements, of windows and of the matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from .growth import Dim, Size, product
from .pointwise import COMPUTED
from .writer import ENTRIES, Line, Writer, entry

LAST = np.iinfo(np.int64).max
RANDOM = "it draws random numbers, whose bits no other program gives: evaluation mode draws none"
ENTRIES.update(dict.fromkeys(("uniform", "normal", "permutation"), RANDOM))

Range = tuple[Size, Size, int]


@entry("full")
def full(w: Writer, line: Line) -> str:
    """One number everywhere."""
    return w.filled(line.p["value"], line.shape, line.dtype)


@entry("iota")
def iota(w: Writer, line: Line) -> str:
    """0 .. size - 1."""
    return w.counted(line.shape[0], line.dtype)


@entry("reshape")
def reshape(w: Writer, line: Line) -> str:
    """Another shape."""
    return line.x[0] if line.shape == line.ins[0].shape else w.reshape(line.x[0], line.shape)


@entry("permute")
def permute(w: Writer, line: Line) -> str:
    """Another order of the dimensions."""
    return w.permute(line.x[0], line.p["axes"])


@entry("expand")
def expand(w: Writer, line: Line) -> str:
    """Repeated; a size that is there already is told as 1, which leaves it as it is."""
    (spec,) = line.ins
    if spec.shape == line.shape:
        return line.x[0]
    lead = len(line.shape) - len(spec.shape)
    told = [1 if i >= lead and spec.shape[i - lead] == n else n for i, n in enumerate(line.shape)]
    return w.put("Expand", line.x[0], w.shape(told))


def _cut(w: Writer, x: str, axis: int, at: Range) -> str:
    start, stop, step = at
    end = w.whole(LAST) if stop is None else w.size(stop)
    return w.put("Slice", x, w.size(start), end, w.whole(axis), w.whole(step))


@entry("slice")
def slice_(w: Writer, line: Line) -> str:
    """Parts of the dimensions that are cut."""
    x = line.x[0]
    for axis, (at, n) in enumerate(zip(line.p["ranges"], line.ins[0].shape, strict=True)):
        x = x if at == (0, n, 1) else _cut(w, x, axis, at)
    return x


@entry("put_slice")
def put_slice(w: Writer, line: Line) -> str:
    """A part replaced: dimension after dimension, what stands before and behind it joined to it."""
    pairs = enumerate(zip(line.p["ranges"], line.ins[0].shape, strict=True))
    cuts = [(axis, at) for axis, (at, n) in pairs if at != (0, n, 1)]
    x, v = line.x
    return _replaced(w, x, v, cuts, list(line.ins[0].shape), list(line.ins[1].shape))


def _replaced(
    w: Writer, x: str, v: str, cuts: list[tuple[int, Range]], sizes: list[Size], part: list[Size]
) -> str:
    if not cuts:
        return v
    (axis, at), *rest = cuts
    start, stop, step = at
    inner = [*sizes[:axis], part[axis], *sizes[axis + 1 :]]
    new = _replaced(w, _cut(w, x, axis, at), v, rest, inner, part) if rest else v
    if step == 1:
        before, behind = _cut(w, x, axis, (0, start, 1)), _cut(w, x, axis, (stop, sizes[axis], 1))
        return w.put("Concat", before, new, behind, axis=axis)
    places = w.counted(part[axis])
    places = w.put("Mul", places, w.like(step, dtypes.int64))
    places = w.put("Add", places, w.number(start, dtypes.int64))
    return w.put("ScatterElements", x, _along(w, places, axis, inner), new, axis=axis)


def _along(w: Writer, index: str, axis: int, sizes: Sequence[Size]) -> str:
    """An index (n,) for every place of the other dimensions."""
    shaped = w.reshape(index, [sizes[axis] if i == axis else 1 for i in range(len(sizes))])
    return w.put("Expand", shaped, w.shape([1 if i == axis else n for i, n in enumerate(sizes)]))


@entry("pad")
def pad(w: Writer, line: Line) -> str:
    """A border of one number."""
    pairs = line.p["widths"]
    if not pairs:
        return line.x[0]
    widths = w.shape([*(a for a, _ in pairs), *(b for _, b in pairs)])
    return w.put("Pad", line.x[0], widths, w.like(line.p["value"], line.dtype))


@entry("concat")
def concat(w: Writer, line: Line) -> str:
    """One behind the other."""
    return w.put("Concat", *line.x, axis=line.p["axis"])


@entry("flip")
def flip(w: Writer, line: Line) -> str:
    """Dimensions from their end to their beginning."""
    axes = line.p["axis"]
    if not axes:
        return line.x[0]
    n = len(axes)
    return w.put("Slice", line.x[0], w.whole(*[-1] * n), w.whole(*[-LAST] * n), w.whole(*axes),
                 w.whole(*[-1] * n))  # fmt: skip


@entry("matmul")
def matmul(w: Writer, line: Line) -> str:
    """A product; operands of two dimensions may lie transposed."""
    ta, tb = (line.p.get(k, False) for k in ("ta", "tb"))
    ndim = len(line.shape)
    if ndim == 2 and line.dtype.kind == "f" and (ta or tb):
        return w.put("Gemm", *line.x, transA=int(ta), transB=int(tb))
    turned = [*range(ndim - 2), ndim - 1, ndim - 2]
    xs = [w.permute(x, turned) if t else x for x, t in zip(line.x, (ta, tb), strict=True)]
    return w.put("MatMul", *xs)


# ---------------------------------------------------------------- places that are read


@entry("index_select")
def index_select(w: Writer, line: Line) -> str:
    """Rows that an index lists."""
    index = w.index(line.x[1], line.ins[1].dtype)
    return w.put("Gather", line.x[0], index, axis=line.p["axis"])


@entry("gather")
def gather(w: Writer, line: Line) -> str:
    """Elements along a dimension."""
    index = w.index(line.x[1], line.ins[1].dtype)
    return w.put("GatherElements", line.x[0], index, axis=line.p["axis"])


@entry("index_add")
def index_add(w: Writer, line: Line) -> str:
    """Rows added where an index says, which is laid out for every element of a row."""
    axis, (v, index) = line.p["axis"], line.ins
    several = len(index.shape) != 1
    count = product(index.shape)
    flat = [*v.shape[:axis], count, *v.shape[axis + len(index.shape) :]]
    values = w.reshape(line.x[0], flat) if several else line.x[0]
    rows = w.reshape(w.index(line.x[1], index.dtype), [count])
    zeros = w.filled(0, line.shape, line.dtype)
    return w.put("ScatterElements", zeros, _along(w, rows, axis, flat), values, axis=axis,
                 reduction="add")  # fmt: skip


@entry("scatter_add")
def scatter_add(w: Writer, line: Line) -> str:
    """Elements added along a dimension."""
    zeros = w.filled(0, line.shape, line.dtype)
    index = w.index(line.x[1], line.ins[1].dtype)
    return w.put("ScatterElements", zeros, index, line.x[0], axis=line.p["axis"], reduction="add")


@entry("index_put")
def index_put(w: Writer, line: Line) -> str:
    """Elements replaced."""
    x, v, index = line.x
    return w.put("ScatterElements", x, w.index(index, line.ins[2].dtype), v, axis=0)


@entry("one_hot")
def one_hot(w: Writer, line: Line) -> str:
    """1 at the place that the index names."""
    index = w.cast(line.x[0], dtypes.int64, line.ins[0].dtype)
    index = w.put("Unsqueeze", index, w.whole(-1))
    hit = w.put("Equal", index, w.counted(line.p["classes"]))
    return w.cast(hit, line.dtype, dtypes.bool_)


@entry("argsort")
def argsort(w: Writer, line: Line) -> str:
    """The order that sorts; of equal elements the first comes first."""
    axis, dtype = line.p["axis"], line.ins[0].dtype
    x = line.x[0] if dtype in COMPUTED else w.cast(line.x[0], dtypes.int64, dtype)
    return w.sorted(x, w.size(line.shape[axis]), axis, line.p["descending"])


# ---------------------------------------------------------------- windows


@entry("windows")
def windows(w: Writer, line: Line) -> str:
    """Each dimension read through a table of places: (count, kernel) in place of its size."""
    grid, x, (spec,) = line.p["grid"], line.x[0], line.ins
    n = len(grid.kernel)
    lead = len(spec.shape) - n
    if any(grid.padding):
        widths = [*(0,) * lead, *grid.padding] * 2
        x = w.put("Pad", x, w.whole(*widths), w.like(0, line.dtype))
    for d in reversed(range(n)):
        places = _places(w, line.shape[lead + d], grid.stride[d],
                         np.arange(grid.kernel[d]) * grid.dilation[d])  # fmt: skip
        x = w.put("Gather", x, places, axis=lead + d)
    order = [*range(lead), *range(lead, lead + 2 * n, 2), *range(lead + 1, lead + 2 * n, 2)]
    return w.permute(x, order)


def _places(w: Writer, count: Size, stride: int, taps: Any) -> str:
    """(count, taps): what each window reads along a dimension."""
    if not isinstance(count, Dim):
        return w.const(np.arange(count)[:, None] * stride + taps, np.int64)
    first = w.put("Mul", w.counted(count), w.like(stride, dtypes.int64))
    return w.put("Add", w.put("Unsqueeze", first, w.whole(1)), w.const(taps, np.int64))


@entry("fold")
def fold(w: Writer, line: Line) -> str:
    """Windows added back: each dimension times a table of which window and tap go where."""
    grid, x, shape = line.p["grid"], line.x[0], list(line.ins[0].shape)
    n = len(grid.kernel)
    lead = len(shape) - 2 * n
    counts, sizes = shape[lead : lead + n], line.p["sizes"]
    if any(isinstance(size, Dim) for size in sizes):
        raise w.refused(line, "windows are added along a dimension that grows")
    pairs = [a for d in range(n) for a in (lead + d, lead + n + d)]
    x = w.permute(x, [*range(lead), *pairs])
    for d in range(n):  # the first pair of dimensions becomes the last one
        count, kernel, size = grid.counts(sizes)[d], grid.kernel[d], sizes[d]
        at = np.arange(count)[:, None] * grid.stride[d] + np.arange(kernel) * grid.dilation[d]
        table = (at - grid.padding[d])[..., None] == np.arange(size)
        left = [k for e in range(d + 1, n) for k in (counts[e], grid.kernel[e])]
        have = [*shape[:lead], *left, *sizes[:d]]
        ndim = len(have) + 2
        x = w.permute(x, [*range(lead), *range(lead + 2, ndim), lead, lead + 1])
        x = w.reshape(x, [*have, count * kernel])
        x = w.put("MatMul", x, w.const(table.reshape(count * kernel, size), line.dtype))
    return x
