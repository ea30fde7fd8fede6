"""Layers that multiply, and layers that only reshape."""

from __future__ import annotations

import math
from typing import Any

from .. import functional as F
from ..errors import ArgumentTypeError
from ..tensor.core import Tensor
from ..tensor.create import empty
from . import init
from .module import Module
from .parameter import Parameter


class Identity(Module):
    """y = x; takes and ignores any arguments, to stand in for another layer.  As in PyTorch.

    >>> from chainrule import nn, tensor
    >>> nn.Identity(54, unused=True)(tensor([1.0]))
    tensor([1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """x itself."""
        return x


class Flatten(Module):
    """y = x with the dimensions from start_dim to end_dim joined: (B, C, H, W) -> (B, C H W).

    start_dim: 1.  end_dim: -1.  Raises IndexRangeError for dimensions that x lacks.  As in PyTorch.

    >>> from chainrule import nn, ones
    >>> nn.Flatten()(ones(32, 28, 28)).shape
    (32, 784)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """x flattened."""
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """y = x with one dimension split: (B, C H W) -> (B, C, H, W) for dim 1 and sizes (C, H, W).

    dim: which one.  unflattened_size: the new sizes; one may be -1 and is worked out.  Raises a
    ShapeError where they do not multiply to the old size.  As in PyTorch, without named dimensions.

    >>> from chainrule import nn, ones
    >>> nn.Unflatten(1, (1, 28, 28))(ones(32, 784)).shape
    (32, 1, 28, 28)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        """x with the dimension split."""
        return F.unflatten(x, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Linear(Module):
    """y = x W^T + b, with x (.., in), W (out, in), b (out), y (.., out).

    in_features, out_features: sizes, whole numbers >= 0.  bias: whether b exists (True).
    W and b start uniform in +-1/sqrt(in) (PyTorch's default).  Raises a ShapeError that names the
    layer where x's last size is not `in`.  As in PyTorch.

    >>> import chainrule
    >>> layer = chainrule.nn.Linear(3, 2)
    >>> layer(chainrule.ones(4, 3)).shape
    (4, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: Any = None
    ) -> None:
        super().__init__()
        for name, n in (("in_features", in_features), ("out_features", out_features)):
            if isinstance(n, bool) or not isinstance(n, int) or n < 0:
                raise ArgumentTypeError(f"Linear: {name} must be a whole number >= 0", got=repr(n))
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype))
        self.bias = Parameter(empty(out_features, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """x W^T + b."""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
