"""Dropout."""

from __future__ import annotations

from .. import ops
from ..errors import ArgumentError, ArgumentTypeError
from ..ops.core import is_number
from ..tensor.core import Tensor
from ..tensor.random import rand
from .activation import InPlace


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """y = x m / (1 - p) with m = 1 with probability 1 - p, else 0; y = x outside training.

    Srivastava et al. 2014. The mask comes from the default generator (see manual_seed).
    """
    check_probability("dropout", p)
    if not training or p == 0.0:
        return x
    if p == 1.0:
        return x * 0.0
    keep = ops.ge(rand(x.shape, dtype=x.dtype), p)
    return ops.where(keep, x * (1.0 / (1.0 - p)), 0.0)


def check_probability(name: str, p: float) -> None:
    """Raises unless p is a number in [0, 1]."""
    if not is_number(p) or isinstance(p, bool):
        raise ArgumentTypeError(f"{name}: p must be a number", got=f"{type(p).__name__} {p!r}")
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(
            f"dropout probability has to be between 0 and 1, but got {p}",
            fix="the share of units to drop, such as 0.5",
        )


class Dropout(InPlace):
    """y = x m / (1 - p) in training, m = 0 with probability p, else 1; y = x in evaluation.

    p: a probability in [0, 1] (0.5).  The mask comes from the default generator: manual_seed
    decides it.  Raises for p out of range.  Differs from PyTorch: other random numbers.
    Srivastava et al. 2014.

    >>> from chainrule import manual_seed, nn, ones
    >>> _ = manual_seed(0)
    >>> y = nn.Dropout(0.25)(ones(10000))
    >>> sorted(set(y.tolist()))[0], round(y.mean().item(), 1)
    (0.0, 1.0)
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__(inplace)
        check_probability("Dropout", p)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """x with a random part set to 0 and the rest scaled up."""
        return dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
