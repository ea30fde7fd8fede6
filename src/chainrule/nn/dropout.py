"""Dropout."""

from __future__ import annotations

from .. import ops
from ..errors import ArgumentError, ArgumentTypeError
from ..ops.core import is_number
from ..tensor.core import Tensor
from ..tensor.looking import look
from ..tensor.random import rand
from .activation import InPlace


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """y = x m / (1 - p) with m = 1 with probability 1 - p, else 0; y = x outside training.

    Srivastava et al. 2014. The mask comes from the default generator (see manual_seed).  With
    inplace the result is the same and the input is left as it was.
    """
    check_probability("dropout", p)
    if not training or p == 0.0:
        return input
    if p == 1.0:
        return input * 0.0
    keep = ops.ge(rand(input.shape, dtype=input.dtype), p)
    return ops.where(keep, input * (1.0 / (1.0 - p)), 0.0)


def check_probability(name: str, p: float) -> None:
    """Raises unless p is a number in [0, 1]."""
    if isinstance(p, Tensor):
        look(p, f"{name}'s p")  # a number that a compiled function was given has a name
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
