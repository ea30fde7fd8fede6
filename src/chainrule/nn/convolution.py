"""Convolutional layers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import functional as F
from ..errors import ArgumentError, ArgumentTypeError
from ..functional.arguments import choice, each_dimension
from ..tensor.core import Tensor
from ..tensor.create import empty
from . import init
from .module import Module
from .parameter import Parameter

MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What convolutions of every rank share: settings, weights and how they start."""

    dimensions: ClassVar[int]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        name, n = type(self).__name__, self.dimensions
        counts = {"in_channels": in_channels, "out_channels": out_channels, "groups": groups}
        for what, value in counts.items():
            if isinstance(value, bool) or not isinstance(value, int):
                raise ArgumentTypeError(f"{name}: {what} must be a whole number", got=repr(value))
            if value < 1:
                raise ArgumentError(f"{name}: {what} must be >= 1", got=str(value))
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name}: groups must divide in_channels and out_channels",
                got=f"groups {groups}, channels {in_channels} and {out_channels}",
            )
        choice(name, "padding_mode", padding_mode, MODES)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = each_dimension(name, "kernel_size", kernel_size, n, 1)
        self.stride = each_dimension(name, "stride", stride, n, 1)
        self.dilation = each_dimension(name, "dilation", dilation, n, 1)
        self.padding: Any = padding
        if isinstance(padding, str):
            choice(name, "padding", padding, ("valid", "same"))
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ArgumentError(
                    f"{name}: padding='same' is for stride 1",
                    got=f"stride {stride}",
                    fix="padding=(kernel_size - 1) // 2, which gives ceil(size / stride)",
                )
        else:
            self.padding = each_dimension(name, "padding", padding, n, 0)
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, dtype=dtype))
        self.bias = Parameter(empty(out_channels, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(init.fans(self.weight)[0])
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of x."""
        convolve: Any = F.conv1d if self.dimensions == 1 else F.conv2d
        padding = self.padding
        if self.padding_mode != "zeros":
            x = F.pad(x, self._borders(), mode=self.padding_mode)
            padding = 0
        return convolve(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _borders(self) -> list[int]:
        """The padding as `pad` takes it: pairs, the last dimension first."""
        if self.padding == "valid":
            pairs = [(0, 0)] * self.dimensions
        elif self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            pairs = [(t // 2, t - t // 2) for t in totals]
        else:
            pairs = [(p, p) for p in self.padding]
        return [width for pair in reversed(pairs) for width in pair]

    def extra_repr(self) -> str:
        n = self.dimensions
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        text += f", padding={self.padding}" if self.padding != (0,) * n else ""
        text += f", dilation={self.dilation}" if self.dilation != (1,) * n else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        text += ", bias=False" if self.bias is None else ""
        return text + (
            f", padding_mode={self.padding_mode}" if self.padding_mode != "zeros" else ""
        )


class Conv1d(_Convolution):
    """y[b, o, i] = bias[o] + sum_ck W[o, c, k] x[b, c, i stride + k dilation - padding].

    x (B, C, L) or (C, L), W (O, C / groups, kernel), y (B, O, L') with
    L' = floor((L + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.

    Settings, start values, errors and the relation to PyTorch are those of Conv2d.

    >>> from chainrule import nn, ones
    >>> nn.Conv1d(3, 8, 5, padding="same")(ones(2, 3, 20)).shape
    (2, 8, 20)
    """

    dimensions = 1


class Conv2d(_Convolution):
    """y[b, o, i] = bias[o] + sum_ck W[o, c, k] x[b, c, i stride + k dilation - padding].

    x (B, C, H, W) or (C, H, W), W (O, C / groups, kh, kw), y (B, O, H', W'); i and k are pairs.
    Every size n becomes floor((n + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.

    in_channels, out_channels: C and O.  kernel_size, stride (1), padding (0), dilation (1): whole
    numbers, or one a dimension; padding also 'valid' (0) or 'same' (sizes stay, stride 1 only).
    groups (1): channels in that many parts which do not see each other.  bias (True).
    padding_mode: 'zeros', 'reflect', 'replicate' or 'circular': what stands outside.

    W and bias start uniform in +-1/sqrt(C / groups kh kw).  Raises a ShapeError that names the
    layer where x has other channels.  As in PyTorch.

    >>> from chainrule import nn, ones
    >>> nn.Conv2d(3, 8, 3, stride=2, padding=1)(ones(2, 3, 28, 28)).shape
    (2, 8, 14, 14)
    """

    dimensions = 2
