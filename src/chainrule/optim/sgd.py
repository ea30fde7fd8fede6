"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ArgumentError
from .arguments import active, check_number
from .optimizer import Group, Optimizer, State


class SGD(Optimizer):
    """p' = p - lr d: a step against the gradient g, or against a running sum of gradients.

    g' = g + weight_decay p;  v' = momentum v + (1 - dampening) g'  (v' = g' at the first step);
    d = v', or g' + momentum v' with nesterov; d = g' without momentum.
    lr: step size (0.001).  momentum, dampening, weight_decay: >= 0 (0).  nesterov: needs momentum
    and no dampening.  maximize: goes uphill.  Raises ArgumentError for what is out of range.
    State: momentum_buffer (v).  As in PyTorch.  Sutskever et al. 2013, equations 1 to 4.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> opt = chainrule.optim.SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

    counts = False

    def __init__(
        self, params: Any, lr: float = 1e-3, momentum: float = 0, dampening: float = 0,
        weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "dampening": dampening,
                "weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            check_number("SGD", name, group[name])
        check_number("SGD", "dampening", group["dampening"], -float("inf"))
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ArgumentError("Nesterov momentum requires a momentum and zero dampening")

    def slots_of(self, group: Group) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def initial(self, slot: str, group: Group) -> None:
        """The first velocity is the first gradient, whatever the dampening."""
        return None

    def update(self, p: Any, g: Any, s: State, h: Mapping[str, Any]) -> Any:
        if active(h["weight_decay"]):
            g = g + p * h["weight_decay"]
        if "momentum_buffer" in s:
            v = s["momentum_buffer"]
            v = g if v is None else v * h["momentum"] + g * (1 - h["dampening"])
            s["momentum_buffer"] = v
            g = g + v * h["momentum"] if h["nesterov"] else v
        return p - g * h["lr"]
