"""Pooling layers: each calls the function of the same name."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..functional.arguments import each_dimension
from ..tensor.core import Tensor
from .module import Module


class _MaxPool(Module):
    """What the layers of maxima share."""

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode
        name, n = type(self).__name__, 1 if isinstance(self, MaxPool1d) else 2
        for what, low in (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
            each_dimension(name, what, getattr(self, what), n, low)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """y[b, c, i] = max_k x[b, c, i stride + k dilation - padding]: x (B, C, L) or (C, L).

    Settings and the relation to PyTorch are those of MaxPool2d.

    >>> from chainrule import nn, tensor
    >>> nn.MaxPool1d(2)(tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[3., 2.]])
    """

    def forward(self, x: Tensor) -> Any:
        """The greatest of every window."""
        return F.max_pool1d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip


class MaxPool2d(_MaxPool):
    """y[b, c, i] = max_k x[b, c, i stride + k dilation - padding], i and k pairs.

    x (B, C, H, W) or (C, H, W).  kernel_size, stride (kernel_size), padding (0), dilation (1):
    whole numbers, or one a dimension; what is padded never wins.  return_indices (False): also the
    place of each greatest element in its channel, row by row.  ceil_mode (False): windows at the
    end may reach beyond.  The first of equal elements gets the gradient.  Raises a ShapeError
    where no window fits.  As in PyTorch.

    >>> from chainrule import nn, tensor
    >>> nn.MaxPool2d(2)(tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    tensor([[[3.]]])
    """

    def forward(self, x: Tensor) -> Any:
        """The greatest of every window."""
        return F.max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip


class _AvgPool(Module):
    """What the layers of means share."""

    kernel_size: Any
    stride: Any
    padding: Any

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """y[b, c, i] = mean_k x[b, c, i stride + k - padding]: x (B, C, L) or (C, L).

    Settings and the relation to PyTorch are those of AvgPool2d, without divisor_override.

    >>> from chainrule import nn, tensor
    >>> nn.AvgPool1d(2)(tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[2., 1.]])
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = each_dimension("AvgPool1d", "kernel_size", kernel_size, 1, 1)
        step = kernel_size if stride is None else stride
        self.stride = each_dimension("AvgPool1d", "stride", step, 1, 1)
        self.padding = each_dimension("AvgPool1d", "padding", padding, 1, 0)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """The mean of every window."""
        return F.avg_pool1d(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class AvgPool2d(_AvgPool):
    """y[b, c, i] = mean_k x[b, c, i stride + k - padding], i and k pairs, x = 0 outside.

    x (B, C, H, W) or (C, H, W).  kernel_size, stride (kernel_size), padding (0): whole numbers, or
    one a dimension.  ceil_mode (False): windows at the end may reach beyond.  count_include_pad
    (True): whether the padding counts.  divisor_override (None): a number to divide the sums by
    instead.  Raises a ShapeError where no window fits.  As in PyTorch.

    >>> from chainrule import nn, tensor
    >>> nn.AvgPool2d(2)(tensor([[[1.0, 3.0], [2.0, 0.0]]]))
    tensor([[[1.5000]]])
    """

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        for what, low in (("kernel_size", 1), ("stride", 1), ("padding", 0)):
            each_dimension("AvgPool2d", what, getattr(self, what), 2, low)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Tensor) -> Tensor:
        """The mean of every window."""
        return F.avg_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class AdaptiveAvgPool2d(Module):
    """y[b, c, i] = mean of part i of x[b, c], cut into output_size parts as equal as can be.

    x (B, C, H, W) or (C, H, W).  output_size: H' and W', or one number for both; None keeps a size.
    Parts overlap where their number does not divide the size.  As in PyTorch.

    >>> from chainrule import nn, ones
    >>> nn.AdaptiveAvgPool2d(1)(ones(2, 8, 7, 7)).shape
    (2, 8, 1, 1)
    """

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """The mean of every part."""
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
