"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..ops import sqrt
from .arguments import active, check_number
from .optimizer import Group, Optimizer, State


class Adagrad(Optimizer):
    """p' = p - lr_t g / (sqrt(v) + eps), with the sum v of all g^2 so far.

    g = dL/dp + weight_decay p;  v' = v + g^2;  lr_t = lr / (1 + (t - 1) lr_decay) at the t-th
    update of p.  lr (0.01); lr_decay, weight_decay >= 0 (0); initial_accumulator_value: where v
    starts (0); eps (1e-10); maximize goes uphill.  Raises ArgumentError for what is out of range.
    State: step (t), sum (v).  Differs from PyTorch: a group may have its own
    initial_accumulator_value.  Duchi, Hazan and Singer 2011, figure 1.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0, 4.0], requires_grad=True)
    >>> opt = chainrule.optim.Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()  # the first step is lr long in every direction
    >>> w
    tensor([0.9000, 3.9000], requires_grad=True)
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
        initial_accumulator_value: float = 0, eps: float = 1e-10, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group) -> None:
        for name in ("lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value"):
            check_number("Adagrad", name, group[name])

    def slots_of(self, group: Group) -> tuple[str, ...]:
        return ("sum",)

    def initial(self, slot: str, group: Group) -> float:
        return float(group["initial_accumulator_value"])

    def prepare(self, group: Group, step: int) -> State:
        return {**group, "step_size": group["lr"] / (1 + (step - 1) * group["lr_decay"])}

    def update(self, p: Any, g: Any, s: State, h: Mapping[str, Any]) -> Any:
        if active(h["weight_decay"]):
            g = g + p * h["weight_decay"]
        v = s["sum"] = s["sum"] + g * g
        return p - g / (sqrt(v) + h["eps"]) * h["step_size"]
