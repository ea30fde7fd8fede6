"""Pooling: the greatest or the mean of every window, in 1 and 2 dimensions.

The windows become one more dimension, the taps, which stands first and is then reduced.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes, ops
from ..errors import DTypeError, ShapeError
from ..ops.core import Shape, Value
from .arguments import SettingError, each_dimension, need_values


class _Windows(NamedTuple):
    """How windows lie on an input: sizes and steps for each dimension."""

    name: str
    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    counts: Shape
    extra: Shape  # what the last windows reach beyond the padding, with ceil_mode

    def rows(self, x: Value, value: float) -> Value:
        """(taps, .., window counts): the windows, filled up with `value` beyond the edges."""
        n, lead = len(self.kernel), x.shape[: -len(self.kernel)]
        if any(self.padding) or any(self.extra):
            sides = zip(self.padding, self.extra, strict=True)
            widths = (*((0, 0) for _ in lead), *((p, p + e) for p, e in sides))
            x = ops.pad(x, widths=widths, value=value)
        if self.stride == self.kernel and self.dilation == (1,) * n:
            tiles = self._tiles(x, lead)
        else:
            grid = ops.Grid(self.kernel, self.stride, (0,) * n, self.dilation)
            tiles = ops.windows(x, grid=grid)
            first = range(len(lead) + n, len(lead) + 2 * n)
            tiles = ops.permute(tiles, axes=(*first, *range(len(lead) + n)))
        return ops.reshape(tiles, shape=(math.prod(self.kernel), *lead, *self.counts))

    def _tiles(self, x: Value, lead: Shape) -> Value:
        """Windows that do not overlap: only another shape.  The taps come first."""
        axis = len(lead)
        sizes = tuple(c * k for c, k in zip(self.counts, self.kernel, strict=True))
        if x.shape[axis:] != sizes:
            x = ops.slice_(x, ranges=tuple((0, m, 1) for m in (*lead, *sizes)))
        split = (m for pair in zip(self.counts, self.kernel, strict=True) for m in pair)
        x = ops.reshape(x, shape=(*lead, *split))
        taps, places = range(axis + 1, len(x.shape), 2), range(axis, len(x.shape), 2)
        return ops.permute(x, axes=(*taps, *range(axis), *places))


def _layout(
    name: str, n: int, x: Value, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool,
) -> _Windows:  # fmt: skip
    """Where the windows lie; raises for settings and inputs that do not fit."""
    need_values(name, input=x)
    if len(x.shape) not in (n + 1, n + 2):
        sizes = "L" if n == 1 else "H, W"
        raise ShapeError(
            f"{name}: the input must have {n + 1} or {n + 2} dimensions",
            expected=f"(batch, channels, {sizes}) or (channels, {sizes})",
            got=str(x.shape),
        )
    kernel = each_dimension(name, "kernel_size", kernel_size, n, 1)
    step = kernel if stride is None else each_dimension(name, "stride", stride, n, 1)
    border = each_dimension(name, "padding", padding, n, 0)
    spread = each_dimension(name, "dilation", dilation, n, 1)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, spread, strict=True))
    if any(2 * p > r for p, r in zip(border, reach, strict=True)):
        raise SettingError(
            f"{name}: padding must be at most half of the kernel",
            expected=f"at most {tuple(r // 2 for r in reach)}",
            got=str(border),
        )
    counts, extra = [], []
    for m, r, s, p in zip(x.shape[-n:], reach, step, border, strict=True):
        room = m + 2 * p - r
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= m + p:
            count -= 1  # a window must start in the input or in the padding before it
        counts.append(count)
        extra.append(max((count - 1) * s - room, 0))
    if any(c < 1 for c in counts):
        raise ShapeError(
            f"{name}: the kernel is larger than the padded input",
            got=f"sizes {x.shape[-n:]}, kernel {kernel}, padding {border}, dilation {spread}",
            fix="a smaller kernel, or fewer layers that shrink the input",
        )
    return _Windows(name, kernel, step, border, spread, tuple(counts), tuple(extra))


# ---------------------------------------------------------------- the greatest


def max_pool1d(
    input: Value, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The greatest of every window: x (B, C, L) or (C, L); see max_pool2d."""
    layout = _layout("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool(input, layout, return_indices)


def max_pool2d(
    input: Value, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The greatest of every window: x (B, C, H, W) or (C, H, W), y (B, C, H', W').

    kernel_size, stride (the kernel's unless said), padding, dilation: a number, or one a dimension.
    ceil_mode: windows at the end may reach beyond.  return_indices: also the place of each greatest
    element in its channel, row by row.  The first of equal ones gets the gradient, as in PyTorch.
    """
    layout = _layout("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool(input, layout, return_indices)


def _max_pool(x: Value, layout: _Windows, return_indices: bool) -> Any:
    least = -math.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype).min)
    rows = layout.rows(x, least)
    chosen = ops.argmax(rows, axis=0)
    shape = chosen.shape
    y = ops.gather(rows, ops.reshape(chosen, shape=(1, *shape)), axis=0)
    y = ops.reshape(y, shape=shape)
    return (y, _places(chosen, x.shape, layout)) if return_indices else y


def _places(chosen: Value, shape: Shape, layout: _Windows) -> Value:
    """The place in the channel of each chosen tap."""
    n = len(layout.kernel)
    place: Value = 0
    for i in range(n):
        within = math.prod(layout.kernel[i + 1 :])
        tap = ops.remainder(ops.floor_div(chosen, within), layout.kernel[i])
        start = ops.iota(size=layout.counts[i], dtype=dtypes.int64) * layout.stride[i]
        start = ops.reshape(start, shape=(layout.counts[i], *(1,) * (n - 1 - i)))
        here = tap * layout.dilation[i] + (start - layout.padding[i])
        place = place * shape[i - n] + here
    return place


# ---------------------------------------------------------------- the mean


def avg_pool1d(
    input: Value, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Value:  # fmt: skip
    """The mean of every window: x (B, C, L) or (C, L); see avg_pool2d."""
    layout = _layout("avg_pool1d", 1, input, kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool(input, layout, count_include_pad, None)


def avg_pool2d(
    input: Value, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Value:  # fmt: skip
    """The mean of every window: x (B, C, H, W) or (C, H, W), y (B, C, H', W').

    kernel_size, stride (the kernel's unless said), padding: a number, or one a dimension.
    ceil_mode: windows at the end may reach beyond.  count_include_pad: whether the zeros of the
    padding count.  divisor_override: a number to divide the sums by instead.
    """
    layout = _layout("avg_pool2d", 2, input, kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool(input, layout, count_include_pad, divisor_override)


def _avg_pool(x: Value, layout: _Windows, include: bool, divisor: int | None) -> Value:
    if x.dtype.kind != "f":
        raise DTypeError(f"{layout.name}: needs a float type", got=x.dtype.name, fix="x.float()")
    if divisor is not None and not divisor:
        raise SettingError(f"{layout.name}: divisor_override must not be 0")
    total = ops.sum(layout.rows(x, 0.0), axis=(0,), keepdim=False)
    if divisor is not None:
        return total / divisor
    if any(layout.extra) or (any(layout.padding) and not include):
        return total / _counted(x, layout, include)
    return total / math.prod(layout.kernel)


def _counted(x: Value, layout: _Windows, include: bool) -> Value:
    """How many elements each window holds, (H', W'): the same windows over ones."""
    sizes = x.shape[-len(layout.kernel) :]
    if include:
        sizes = tuple(m + 2 * p for m, p in zip(sizes, layout.padding, strict=True))
        layout = layout._replace(padding=(0,) * len(sizes))
    ones = ops.full(shape=sizes, value=1.0, dtype=x.dtype)
    return ops.sum(layout.rows(ones, 0.0), axis=(0,), keepdim=False)


def adaptive_avg_pool2d(input: Value, output_size: Any) -> Value:
    """Means over as many equal parts as asked for: x (B, C, H, W) or (C, H, W), y (B, C, H', W').

    output_size: H' and W', or one number for both; None keeps a size.  Part i of n elements goes
    from floor(i n / n') up to ceil((i + 1) n / n'), so parts overlap where n' does not divide n.
    """
    name = "adaptive_avg_pool2d"
    need_values(name, input=input)
    asked = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * 2
    if len(input.shape) not in (3, 4) or len(asked) != 2:
        raise ShapeError(
            f"{name}: needs an input (batch, channels, H, W) or (channels, H, W), and two sizes",
            got=f"{input.shape} and output_size {output_size!r}",
        )
    sizes = input.shape[-2:]
    wanted = tuple(m if w is None else w for m, w in zip(sizes, asked, strict=True))
    wanted = each_dimension(name, "output_size", wanted, 2, 1)
    if not all(sizes):
        raise ShapeError(f"{name}: nothing to average", got=f"an input of {input.shape}")
    if all(m % w == 0 for m, w in zip(sizes, wanted, strict=True)):
        kernel = tuple(m // w for m, w in zip(sizes, wanted, strict=True))
        return avg_pool2d(input, kernel)
    for axis, w in zip((-2, -1), wanted, strict=True):
        input = _averaged(input, len(input.shape) + axis, w)
    return input


def _averaged(x: Value, axis: int, parts: int) -> Value:
    """Means over parts of one dimension, of unequal size where that must be."""
    n = x.shape[axis]
    means = []
    for i in range(parts):
        start, stop = i * n // parts, -(-(i + 1) * n // parts)
        ranges = tuple((start, stop, 1) if a == axis else (0, m, 1) for a, m in enumerate(x.shape))
        total = ops.sum(ops.slice_(x, ranges=ranges), axis=(axis,), keepdim=True)
        means.append(total / (stop - start))
    return ops.concat(*means, axis=axis)
