"""Parameter: a tensor that is learned."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentTypeError
from ..tensor.core import Tensor


class Parameter(Tensor):
    """A tensor that is learned: it requires grad, and modules list it.

    >>> import chainrule
    >>> chainrule.nn.Parameter(chainrule.tensor([1.0, 2.0]))
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        if not isinstance(data, Tensor):
            raise ArgumentTypeError(
                "Parameter: needs a Tensor", got=type(data).__name__, fix="chainrule.tensor(data)"
            )
        self._value = data._value
        if requires_grad:
            self.requires_grad_()

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        out = Parameter(Tensor.__deepcopy__(self, memo), self.requires_grad)
        memo[id(self)] = out
        return out
