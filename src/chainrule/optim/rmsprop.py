"""RMSprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..ops import sqrt
from .arguments import active, check_number
from .optimizer import Group, Optimizer, State


class RMSprop(Optimizer):
    """p' = p - lr g / (sqrt(v) + eps), with a running mean v of g^2.

    g = dL/dp + weight_decay p;  v' = alpha v + (1 - alpha) g^2;  centered: the mean
    m' = alpha m + (1 - alpha) g is kept too, and v' - m'^2 (the variance) stands under the root;
    momentum: b' = momentum b + g / (sqrt(v') + eps) and p' = p - lr b'.
    lr (0.01); alpha in [0, 1] (0.99); eps (1e-8) is added outside the root; weight_decay,
    momentum >= 0 (0); maximize goes uphill.  Raises ArgumentError for what is out of range.
    State: step, square_avg (v), grad_avg (m), momentum_buffer (b).  Differs from PyTorch: alpha
    above 1, where v turns negative, is refused.
    Hinton 2012, lecture 6e of the course "Neural Networks for Machine Learning"; centered:
    Graves 2013, equations 38 to 45.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0, 4.0], requires_grad=True)
    >>> opt = chainrule.optim.RMSprop([w], lr=0.1, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> opt.step()  # g / sqrt(0.25 g^2) = 2: the same way in every direction
    >>> w
    tensor([0.8000, 3.8000], requires_grad=True)
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0, momentum: float = 0, centered: bool = False, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
                "weight_decay": weight_decay, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group) -> None:
        for name in ("lr", "eps", "weight_decay", "momentum"):
            check_number("RMSprop", name, group[name])
        check_number("RMSprop", "alpha", group["alpha"], 0.0, 1.0)

    def slots_of(self, group: Group) -> tuple[str, ...]:
        momentum = ("momentum_buffer",) if group["momentum"] else ()
        centered = ("grad_avg",) if group["centered"] else ()
        return ("square_avg", *momentum, *centered)

    def update(self, p: Any, g: Any, s: State, h: Mapping[str, Any]) -> Any:
        keep, take = h["alpha"], 1 - h["alpha"]
        if active(h["weight_decay"]):
            g = g + p * h["weight_decay"]
        v = s["square_avg"] = s["square_avg"] * keep + g * g * take
        if h["centered"]:
            m = s["grad_avg"] = s["grad_avg"] * keep + g * take
            v = v - m * m
        d = g / (sqrt(v) + h["eps"])
        if "momentum_buffer" in s:
            d = s["momentum_buffer"] = s["momentum_buffer"] * h["momentum"] + d
        return p - d * h["lr"]
