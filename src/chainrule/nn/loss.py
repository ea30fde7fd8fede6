"""Losses as modules: each calls the function of the same name."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from ..errors import ArgumentError
from ..functional.arguments import choice
from ..functional.loss import REDUCTIONS
from ..tensor.core import Tensor
from .module import Module


class _Loss(Module):
    """A loss with a reduction: 'mean', 'sum' or 'none'."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        choice(type(self).__name__, "reduction", reduction, REDUCTIONS)
        self.reduction = reduction

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class MSELoss(_Loss):
    """L = mean of (x - t)^2.  Raises where x would have to be repeated to meet t.

    >>> import chainrule
    >>> loss = chainrule.nn.MSELoss()
    >>> loss(chainrule.tensor([1.0, 2.0]), chainrule.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of x against target."""
        return F.mse_loss(x, target, self.reduction)


class L1Loss(_Loss):
    """L = mean of |x - t|."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of x against target."""
        return F.l1_loss(x, target, self.reduction)


class HuberLoss(_Loss):
    """L = d^2 / 2 where |d| < delta (1.0), else delta (|d| - delta / 2), d = x - t (Huber 1964)."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ArgumentError("HuberLoss: delta must be > 0", got=str(delta))
        self.delta = delta

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of x against target."""
        return F.huber_loss(x, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """L = huber(delta = beta) / beta."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        if not beta >= 0:
            raise ArgumentError("SmoothL1Loss: beta must be >= 0", got=str(beta))
        self.beta = beta

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of x against target."""
        return F.smooth_l1_loss(x, target, self.reduction, self.beta)


class QuadraticCost(Module):
    """C = 1/(2n) sum over n examples (rows) of |a - y|^2: the cost of the third article.

    Nielsen, Neural Networks and Deep Learning, equation 6.  Its output error is (a - y) * slope,
    without MSELoss's factor 2 / outputs.

    >>> import chainrule
    >>> cost = chainrule.nn.QuadraticCost()
    >>> cost(chainrule.tensor([[1.0, 2.0]]), chainrule.tensor([[0.0, 0.0]]))
    tensor(2.5000)
    """

    def forward(self, a: Tensor, y: Tensor) -> Tensor:
        """The cost of activations a against wanted outputs y."""
        return F.quadratic_cost(a, y)


class _Weighted(_Loss):
    """A loss with a tensor of weights, which is part of the module's buffers."""

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight: Any
        self.register_buffer("weight", weight)


class NLLLoss(_Weighted):
    """L = -mean of log_p[i, t_i], for log-probabilities (B, C, ...) and class numbers (B, ...)."""

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of log-probabilities x against class numbers."""
        return F.nll_loss(x, target, self.weight, self.ignore_index, self.reduction)


class CrossEntropyLoss(_Weighted):
    """L = -mean of ln softmax(x)[i, t_i], for logits (B, C, ...); t class numbers or probabilities.

    weight (C,) counts classes differently; ignore_index (-100) leaves targets out;
    label_smoothing e (0) mixes e / C into every class.

    >>> import chainrule
    >>> loss = chainrule.nn.CrossEntropyLoss()
    >>> loss(chainrule.tensor([[0.0, 0.0]]), chainrule.tensor([1]))
    tensor(0.6931)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ArgumentError(
                "CrossEntropyLoss: label_smoothing is out of range",
                expected="0 to 1",
                got=str(label_smoothing),
            )
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of logits x against class numbers or probabilities."""
        return F.cross_entropy(
            x, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class BCELoss(_Weighted):
    """L = -mean of t ln x + (1 - t) ln(1 - x), for probabilities x."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of probabilities x against targets in [0, 1]."""
        return F.binary_cross_entropy(x, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Weighted):
    """L = BCELoss of sigmoid(x), without overflow; pos_weight counts positive targets more."""

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, reduction)
        self.pos_weight: Any
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of logits x against targets in [0, 1]."""
        return F.binary_cross_entropy_with_logits(
            x, target, self.weight, self.reduction, self.pos_weight
        )
