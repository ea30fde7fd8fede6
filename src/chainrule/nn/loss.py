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
    """L = mean of (x_i - t_i)^2 over all elements; x and t of one shape.

    reduction: 'mean' (default), 'sum', or 'none' for the terms themselves.
    Differs from PyTorch: raises a ShapeError where x would have to be repeated to meet t, such as
    x (N,) with t (N, 1), which PyTorch trains on as N x N differences.

    >>> from chainrule import nn, tensor
    >>> loss = nn.MSELoss()
    >>> loss(tensor([1.0, 2.0]), tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of input against target."""
        return F.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """L = mean of |x_i - t_i| over all elements; x and t of one shape.

    reduction: 'mean', 'sum' or 'none'.  The slope at x = t is 0, as in PyTorch.
    Shapes as in MSELoss.

    >>> from chainrule import nn, tensor
    >>> nn.L1Loss()(tensor([1.0, 2.0]), tensor([1.0, 4.0]))
    tensor(1.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of input against target."""
        return F.l1_loss(input, target, self.reduction)


class HuberLoss(_Loss):
    """L = mean of d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), with d = x - t.

    delta: > 0 (1.0).  reduction: 'mean', 'sum' or 'none'.  As in PyTorch, shapes as in MSELoss.
    Huber 1964.

    >>> from chainrule import nn, tensor
    >>> nn.HuberLoss()(tensor([0.5, 5.0]), tensor([0.0, 0.0]))
    tensor(2.3125)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ArgumentError("HuberLoss: delta must be > 0", got=str(delta))
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of input against target."""
        return F.huber_loss(input, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """L = HuberLoss with delta = beta, divided by beta; L1Loss for beta = 0.

    beta: >= 0 (1.0).  reduction: 'mean', 'sum' or 'none'.  As in PyTorch, shapes as in MSELoss.

    >>> from chainrule import nn, tensor
    >>> nn.SmoothL1Loss(beta=0.5)(tensor([0.5, 5.0]), tensor([0.0, 0.0]))
    tensor(2.5000)
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        if not beta >= 0:
            raise ArgumentError("SmoothL1Loss: beta must be >= 0", got=str(beta))
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of input against target."""
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class QuadraticCost(Module):
    """C = 1/(2n) sum over n examples (rows) of |a - y|^2: the cost of the third article.

    a and y (n, outputs), or (outputs,) for one example.  Its output error is (a - y) * slope,
    without MSELoss's factor 2 / outputs.  Raises as MSELoss does.  PyTorch has no such loss.
    Nielsen, Neural Networks and Deep Learning, equation 6.

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
    """L = -sum_i w[t_i] x[i, t_i] / sum_i w[t_i]: x (B, C, ..) log-probabilities, t (B, ..).

    t holds class numbers (int64).  weight w (C,): how much each class counts (1).
    ignore_index (-100): targets that do not count.
    reduction: 'mean', 'sum' or 'none'.  Raises IndexRangeError with the rows of labels outside
    [0, C), BatchSizeError where B differs.  Differs from PyTorch: a mean over no targets raises
    instead of giving nan.

    >>> from chainrule import nn, tensor
    >>> nn.NLLLoss()(tensor([[-0.1, -2.0]]), tensor([1]))
    tensor(2.)
    """

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of log-probabilities input against class numbers."""
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class CrossEntropyLoss(_Weighted):
    """L = -sum_i w[t_i] ln p[i, t_i] / sum_i w[t_i], p = softmax(x): x (B, C, ..), t (B, ..).

    t holds class numbers (int64), or probabilities q of x's shape: L = -mean_i sum_c w[c] q ln p.
    weight w (C,): how much each class counts (1).  ignore_index (-100): class numbers that do not
    count.  label_smoothing e in [0, 1] (0): q becomes (1 - e) q + e / C (Szegedy et al. 2016).
    reduction: 'mean', 'sum' or 'none'.  Raises and differs from PyTorch as NLLLoss does.

    >>> from chainrule import nn, tensor
    >>> loss = nn.CrossEntropyLoss()
    >>> loss(tensor([[0.0, 0.0]]), tensor([1]))
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

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of logits input against class numbers or probabilities."""
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class BCELoss(_Weighted):
    """L = -mean of w (t ln x + (1 - t) ln(1 - x)), for probabilities x and targets t in [0, 1].

    weight w: of a shape that broadcasts to x's (1).  reduction: 'mean', 'sum' or 'none'.
    Logarithms stay >= -100 and slopes within 1e12, as in PyTorch.  Raises ProbabilityError with
    the range found where x leaves [0, 1]: use BCEWithLogitsLoss for logits.

    >>> from chainrule import nn, tensor
    >>> nn.BCELoss()(tensor([0.5, 0.9]), tensor([1.0, 1.0]))
    tensor(0.3993)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of probabilities input against targets in [0, 1]."""
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Weighted):
    """L = -mean of w (p t ln s + (1 - t) ln(1 - s)), s = sigmoid(x), for logits x and t in [0, 1].

    weight w and pos_weight p: of shapes that broadcast to x's (1); p counts positive targets more.
    reduction: 'mean', 'sum' or 'none'.  Without overflow, and exact to the last digits where the
    guess is right.  As in PyTorch, shapes as in MSELoss.

    >>> from chainrule import nn, tensor
    >>> nn.BCEWithLogitsLoss()(tensor([0.0, 100.0]), tensor([1.0, 1.0]))
    tensor(0.3466)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, reduction)
        self.pos_weight: Any
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of logits input against targets in [0, 1]."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )
