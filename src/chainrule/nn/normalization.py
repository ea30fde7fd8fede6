"""Normalization layers."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import dtypes
from .. import functional as F
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..functional.arguments import shape_of
from ..tensor.core import Tensor
from ..tensor.create import ones, zeros
from .module import Module
from .parameter import Parameter


class _Affine(Module):
    """What the layers share: a weight that starts at 1 and a bias that starts at 0, or neither."""

    weight: Any
    bias: Any

    def _make(self, shape: Any, weight: bool, bias: bool, dtype: Any) -> None:
        self.weight = Parameter(ones(shape, dtype=dtype)) if weight else None
        self.bias = Parameter(zeros(shape, dtype=dtype)) if weight and bias else None

    def reset_parameters(self) -> None:
        """Sets the weight to 1 and the bias to 0."""
        for p, value in ((self.weight, 1.0), (self.bias, 0.0)):
            if p is not None:
                p.detach().fill_(value)


class LayerNorm(_Affine):
    """y = (x - mean) / sqrt(var + eps) w + b, over the last dimensions of every example.

    normalized_shape: the sizes of those dimensions, or the one size; w and b have them too.
    eps: 1e-5.  elementwise_affine (True): whether w and b exist; bias (True): whether b does.
    var divides by the number of elements.  Raises a ShapeError where x ends with other sizes.
    As in PyTorch.  Ba, Kiros and Hinton 2016.

    >>> from chainrule import nn, tensor
    >>> nn.LayerNorm(3)(tensor([[1.0, 2.0, 3.0]]))
    tensor([[-1.2247, 0.0000, 1.2247]], grad_fn=<add>)
    """

    def __init__(
        self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalized_shape = shape_of((normalized_shape,))
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make(self.normalized_shape, elementwise_affine, bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """x normalized."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(_Affine):
    """y = x / sqrt(mean(x^2) + eps) w, over the last dimensions of every example.

    normalized_shape: the sizes of those dimensions, or the one size; w has them too.  eps: None for
    the spacing of the numbers at 1 (1.2e-7 in float32).  elementwise_affine (True): whether w
    exists.  Raises a ShapeError where x ends with other sizes.  As in PyTorch.
    Zhang and Sennrich 2019.

    >>> from chainrule import nn, tensor
    >>> nn.RMSNorm(2, elementwise_affine=False)(tensor([[3.0, 4.0]]))
    tensor([[0.8485, 1.1314]])
    """

    def __init__(
        self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.normalized_shape = shape_of((normalized_shape,))
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = (
            Parameter(ones(self.normalized_shape, dtype=dtype)) if elementwise_affine else None
        )

    def reset_parameters(self) -> None:
        """Sets the weight to 1."""
        if self.weight is not None:
            self.weight.detach().fill_(1.0)

    def forward(self, x: Tensor) -> Tensor:
        """x normalized."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(_Affine):
    """y = (x - mean) / sqrt(var + eps) w + b, over groups of channels of every example.

    x (B, C, ...), w and b (C).  num_groups: a divisor of num_channels, which is C.  eps: 1e-5.
    affine (True): whether w and b exist; bias (True): whether b does.  Raises where C is another.
    As in PyTorch.  Wu and He 2018.

    >>> from chainrule import nn, tensor
    >>> nn.GroupNorm(1, 2, affine=False)(tensor([[[1.0], [3.0]]])).flatten()
    tensor([-1.0000, 1.0000])
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True,
        dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ArgumentError(
                "GroupNorm: num_groups must divide num_channels",
                got=f"{num_groups} groups of {num_channels} channels",
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self._make((num_channels,), affine, bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """x normalized."""
        _check_channels(self, x, self.num_channels)
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class _BatchNorm(_Affine):
    """What batch normalization of every rank shares."""

    ranks: ClassVar[tuple[int, ...]]

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
        affine: bool = True, track_running_stats: bool = True, dtype: Any = None, *,
        bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if isinstance(num_features, bool) or not isinstance(num_features, int):
            raise ArgumentTypeError(
                f"{type(self).__name__}: num_features must be a whole number",
                got=repr(num_features),
            )
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._make((num_features,), affine, bias, dtype)
        track = track_running_stats
        self.running_mean: Any
        self.running_var: Any
        self.num_batches_tracked: Any
        mean, var = zeros(num_features, dtype=dtype), ones(num_features, dtype=dtype)
        self.register_buffer("running_mean", mean if track else None)
        self.register_buffer("running_var", var if track else None)
        self.register_buffer(
            "num_batches_tracked", zeros((), dtype=dtypes.int64) if track else None
        )

    def reset_running_stats(self) -> None:
        """Forgets the batches seen so far."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1.0)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Sets the weight to 1, the bias to 0, and forgets the batches seen so far."""
        super().reset_parameters()
        self.reset_running_stats()

    def forward(self, x: Tensor) -> Tensor:
        """x normalized; in training the running statistics move towards those of x."""
        name = type(self).__name__
        if len(x.shape) not in self.ranks:
            ranks = " or ".join(f"{r}D" for r in self.ranks)
            raise RankError(
                f"{name}: expected {ranks} input (got {len(x.shape)}D input)", got=str(x.shape)
            )
        _check_channels(self, x, self.num_features)
        tracks = self.training and self.track_running_stats
        momentum: Any = self.momentum
        if momentum is None:  # the mean over all batches
            momentum = 0.0
            if tracks:
                momentum = 1.0 / (self.num_batches_tracked + 1).to(self.running_mean.dtype)
        running = (self.running_mean, self.running_var) if tracks or not self.training else None
        mean, var = running or (None, None)
        batch = self.training or mean is None
        y = F.batch_norm(x, mean, var, self.weight, self.bias, batch, momentum, self.eps)
        if tracks:  # last, so that a batch that was refused does not count
            self.num_batches_tracked.add_(1)
        return y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class RankError(ShapeError, ValueError):
    """Too few or too many dimensions, for which PyTorch raises a ValueError here."""


def _check_channels(layer: Module, x: Tensor, channels: int) -> None:
    if len(x.shape) < 2 or x.shape[1] != channels:
        last = len(x.shape) > 2 and x.shape[-1] == channels
        order = (0, len(x.shape) - 1, *range(1, len(x.shape) - 1))
        raise ShapeError(
            f"{type(layer).__name__}: the input has other channels than the layer",
            expected=f"(batch, {channels}, ...)",
            got=str(x.shape),
            fix=f"x.permute{order}: the channels stand last" if last else None,
        )


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) w + b, over the batch: x (B, C) or (B, C, L).

    Settings, errors and the relation to PyTorch are those of BatchNorm2d.

    >>> from chainrule import nn, tensor
    >>> nn.BatchNorm1d(1, affine=False)(tensor([[1.0], [3.0]])).flatten()
    tensor([-1.0000, 1.0000])
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) w + b, over the batch and all places: x (B, C, H, W).

    w, b (C).  In training mean and var are those of the batch, and the buffers running_mean and
    running_var become (1 - momentum) old + momentum new; in evaluation the buffers are used.
    num_features: C.  eps: 1e-5.  momentum: 0.1, or None for the plain mean over all batches.
    affine (True): whether w and b exist; bias (True): whether b does.  track_running_stats (True):
    False has no buffers and uses the batch always.  Raises in training where a channel has a single
    value.  Differs from PyTorch: a batch that was refused is not counted in num_batches_tracked.
    Ioffe and Szegedy 2015.

    >>> from chainrule import nn, ones
    >>> layer = nn.BatchNorm2d(2)
    >>> _ = layer(ones(4, 2, 3, 3) * 5)
    >>> layer.running_mean, layer.running_var
    (tensor([0.5000, 0.5000]), tensor([0.9000, 0.9000]))
    """

    ranks = (4,)
