"""Convolutions: a matmul over a view of windows, in 1 and 2 dimensions."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..errors import ArgumentError, DTypeError, ShapeError
from ..ops.core import Shape, Value
from .arguments import SettingError, each_dimension, need_values


def conv1d(
    input: Value, weight: Value, bias: Value | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Value:  # fmt: skip
    """y[b, o, i] = bias[o] + sum_ck weight[o, c, k] x[b, c, i stride + k dilation - padding].

    x (B, C, L) or (C, L), weight (O, C / groups, k), bias (O), y (B, O, L'); see conv2d.
    """
    return _convolution("conv1d", input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Value, weight: Value, bias: Value | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Value:  # fmt: skip
    """y[b, o, i] = bias[o] + sum_ck weight[o, c, k] x[b, c, i stride + k dilation - padding].

    x (B, C, H, W) or (C, H, W), weight (O, C / groups, kh, kw), bias (O), y (B, O, H', W'); i and k
    are pairs, and x is 0 outside.  stride, padding, dilation: a number, or one a dimension; padding
    also 'valid' (none) or 'same' (y keeps the sizes of x; stride 1 only).  With groups, output
    channels see the input channels of their own group only.

    >>> import chainrule
    >>> x, w = chainrule.ones(1, 1, 3, 3), chainrule.ones(1, 1, 2, 2)
    >>> chainrule.nn.functional.conv2d(x, w)
    tensor([[[[4., 4.],
              [4., 4.]]]])

    Raises where channels, sizes or dtypes do not fit.  As in PyTorch.
    """
    return _convolution("conv2d", input, weight, bias, stride, padding, dilation, groups)


def _convolution(
    name: str, x: Value, weight: Value, bias: Value | None, stride: Any, padding: Any,
    dilation: Any, groups: int,
) -> Value:  # fmt: skip
    n = 1 if name == "conv1d" else 2
    need_values(name, input=x, weight=weight)
    _check(name, n, x, weight, bias, groups)
    single = len(x.shape) == n + 1
    if single:
        x = ops.reshape(x, shape=(1, *x.shape))
    kernel = weight.shape[2:]
    stride = each_dimension(name, "stride", stride, n, 1)
    dilation = each_dimension(name, "dilation", dilation, n, 1)
    if isinstance(padding, str):
        x, padding = _worded(name, x, padding, kernel, stride, dilation)
    else:
        padding = each_dimension(name, "padding", padding, n, 0)
    grid = ops.Grid(kernel, stride, padding, dilation)
    if any(c < 1 for c in grid.counts(x.shape[2:])):
        raise ShapeError(
            f"{name}: the kernel is larger than the padded input",
            expected="sizes of at least dilation * (kernel - 1) + 1",
            got=f"sizes {x.shape[2:]}, kernel {kernel}, padding {padding}, dilation {dilation}",
            fix="a larger padding, a smaller kernel, or fewer layers that shrink the input",
        )
    y = _product(x, weight, grid, groups)
    if bias is not None:
        wide = ops.reshape(bias, shape=(1, bias.shape[0], *(1,) * n))
        y = ops.add(y, ops.expand(wide, shape=y.shape))
    return ops.reshape(y, shape=y.shape[1:]) if single else y


def _product(x: Value, weight: Value, grid: ops.Grid, groups: int) -> Value:
    """The weights as rows times the windows as columns: one matmul for the whole batch.

    A column is what one output sees, the taps before the channels: as `windows` lays them.
    """
    n = len(grid.kernel)
    batch = x.shape[0]
    out, seen, *_ = weight.shape
    counts = grid.counts(x.shape[2:])
    by_channel = ops.permute(x, axes=(1, 0, *range(2, n + 2)))
    w = ops.windows(by_channel, grid=grid)  # (C, B, counts, kernel)
    taps, places = range(n + 2, 2 * n + 2), range(1, n + 2)
    size, columns = seen * math.prod(grid.kernel), batch * math.prod(counts)
    rows = ops.permute(weight, axes=(0, *range(2, n + 2), 1))
    if groups == 1:
        w = ops.reshape(ops.permute(w, axes=(*taps, 0, *places)), shape=(size, columns))
        y = ops.matmul(ops.reshape(rows, shape=(out, size)), w)
    else:
        w = ops.reshape(w, shape=(groups, seen, *w.shape[1:]))
        order = (0, *(a + 1 for a in taps), 1, *(a + 1 for a in places))
        w = ops.reshape(ops.permute(w, axes=order), shape=(groups, size, columns))
        y = ops.matmul(ops.reshape(rows, shape=(groups, out // groups, size)), w)
    y = ops.reshape(y, shape=(out, batch, *counts))
    return ops.permute(y, axes=(1, 0, *range(2, n + 2)))


def _worded(
    name: str, x: Value, padding: str, kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[Value, Shape]:
    """x and the padding that 'same' or 'valid' stands for; x is padded where sides differ."""
    if padding == "valid":
        return x, (0,) * len(kernel)
    if padding != "same":
        raise ArgumentError(
            f"{name}: unknown padding {padding!r}", expected="'same', 'valid', or numbers >= 0"
        )
    if any(s != 1 for s in stride):
        raise SameStrideError(
            f"{name}: padding='same' is for stride 1",
            got=f"stride {stride}",
            fix="padding=(kernel_size - 1) // 2, which gives ceil(size / stride)",
        )
    total = tuple(d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
    if any(t % 2 for t in total):  # one more at the end
        widths = ((0, 0), (0, 0), *((0, t % 2) for t in total))
        x = ops.pad(x, widths=widths, value=0.0)
    return x, tuple(t // 2 for t in total)


class SameStrideError(ShapeError, ValueError):
    """padding='same' with a stride: the function raises one type in PyTorch, the layer another."""


def _check(name: str, n: int, x: Value, weight: Value, bias: Value | None, groups: int) -> None:
    """Raises unless ranks, types, channels and groups fit."""
    if len(weight.shape) != n + 2:
        raise ShapeError(
            f"{name}: the weight must have {n + 2} dimensions",
            expected=f"(out, in / groups, {', '.join(['kernel'] * n)})",
            got=str(weight.shape),
        )
    if len(x.shape) not in (n + 1, n + 2):
        sizes = "L" if n == 1 else "H, W"
        raise ShapeError(
            f"{name}: the input must have {n + 1} or {n + 2} dimensions",
            expected=f"(batch, channels, {sizes}) or (channels, {sizes})",
            got=str(x.shape),
            fix="x.unsqueeze(1): a dimension for the one channel"
            if len(x.shape) == n and weight.shape[1] * groups == 1
            else None,
        )
    if x.dtype != weight.dtype:
        raise DTypeError(
            f"{name}: input and weight have different dtypes",
            expected=f"x {weight.dtype.name}, as the weight",
            got=f"x {x.dtype.name}",
            fix=f"x.to(chainrule.{weight.dtype.name})",
        )
    out, seen = weight.shape[:2]
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1 or out % groups:
        raise SettingError(
            f"{name}: groups must divide the output channels",
            expected=f"a divisor of {out}",
            got=repr(groups),
        )
    if x.shape[-1 - n] != seen * groups:
        raise _channels(name, n, x.shape, weight.shape, groups)
    if bias is not None and bias.shape != (out,):
        raise ShapeError(
            f"{name}: needs one bias an output channel", expected=f"({out},)", got=str(bias.shape)
        )


def _channels(name: str, n: int, shape: Shape, wshape: Shape, groups: int) -> ShapeError:
    wanted = wshape[1] * groups
    fix = None
    if shape[-1] == wanted and len(shape) > 2:
        order = [*range(len(shape) - n - 1), len(shape) - 1]
        order += range(len(shape) - n - 1, len(shape) - 1)
        fix = f"x.permute{tuple(order)}: the channels stand last"
    elif len(shape) == n + 1 and wanted == 1:
        fix = "x.unsqueeze(1): a dimension for the one channel"
    return ShapeError(
        f"{name}: the input has other channels than the weight",
        expected=f"x (*, {wanted}, {'L' if n == 1 else 'H, W'}) for "
        f"weight {wshape}" + (f" in {groups} groups" if groups > 1 else ""),
        got=f"x {shape}, with {shape[-1 - n]} channels",
        fix=fix,
    )
