"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ArgumentError
from ..ops import maximum, sqrt
from .arguments import active, check_number, root
from .optimizer import Group, Optimizer, State


def two_betas(owner: str, betas: Any) -> Any:
    """The betas, if they are two: while a step is recorded they are no numbers."""
    if isinstance(betas, (tuple, list)) and len(betas) == 2:
        return betas
    several = isinstance(betas, (tuple, list))
    raise ArgumentError(
        f"{owner}: betas must be two numbers", expected="(b1, b2)",
        got=f"{len(betas)} of them" if several else repr(betas), fix="betas=(0.9, 0.999)",
    )  # fmt: skip


def check_betas(owner: str, betas: Any) -> None:
    """Raises unless betas are two numbers in [0, 1)."""
    for i, beta in enumerate(two_betas(owner, betas)):
        if type(beta) is bool or not isinstance(beta, (int, float)) or not 0.0 <= beta < 1.0:
            raise ArgumentError(
                f"Invalid beta parameter at index {i}: {beta}", expected="a number in [0, 1)"
            )


class Adam(Optimizer):
    """p' = p - lr m^ / (sqrt(v^) + eps), with running means m of g and v of g^2.

    m' = b1 m + (1 - b1) g,  v' = b2 v + (1 - b2) g^2,  m^ = m' / (1 - b1^t),  v^ = v' / (1 - b2^t)
    at the t-th update of p.  lr (0.001); betas (b1, b2) in [0, 1) (0.9, 0.999); eps (1e-8) is added
    outside the root; weight_decay (0) adds weight_decay p to g; amsgrad divides by the root of the
    greatest v so far; maximize goes uphill.  Raises ArgumentError for what is out of range.
    State: step (t), exp_avg (m), exp_avg_sq (v), max_exp_avg_sq.  As in PyTorch.
    Kingma and Ba 2014, algorithm 1; amsgrad: Reddi, Kale and Kumar 2018.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0, 4.0], requires_grad=True)
    >>> opt = chainrule.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()  # the first step is lr long in every direction
    >>> w
    tensor([0.9000, 3.9000], requires_grad=True)
    """

    decoupled = False

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                "amsgrad": amsgrad, "maximize": maximize,
            },
        )  # fmt: skip

    def check(self, group: Group) -> None:
        for name in ("lr", "eps", "weight_decay"):
            check_number(type(self).__name__, name, group[name])
        check_betas(type(self).__name__, group["betas"])
        if group.get("decoupled_weight_decay", self.decoupled) != self.decoupled:
            raise ArgumentError(
                f"{type(self).__name__}: these settings are those of "
                f"{'Adam' if self.decoupled else 'AdamW'}, whose weight decay works differently"
            )

    def slots_of(self, group: Group) -> tuple[str, ...]:
        more = ("max_exp_avg_sq",) if group["amsgrad"] else ()
        return ("exp_avg", "exp_avg_sq", *more)

    def prepare(self, group: Group, step: int) -> State:
        b1, b2 = two_betas(type(self).__name__, group["betas"])
        root_bias = root(1 - b2**step)
        # m^ / (sqrt(v^) + eps) with the bias of v taken out of the root: one division an element
        return {
            **group, "b1": b1, "b2": b2, "rate": group["lr"] / (1 - b1**step) * root_bias,
            "eps": group["eps"] * root_bias,
        }  # fmt: skip

    def update(self, p: Any, g: Any, s: State, h: Mapping[str, Any]) -> Any:
        if active(h["weight_decay"]):
            if self.decoupled:
                p = p * (1 - h["lr"] * h["weight_decay"])
            else:
                g = g + p * h["weight_decay"]
        m = s["exp_avg"] * h["b1"] + g * (1 - h["b1"])
        v = s["exp_avg_sq"] * h["b2"] + g * g * (1 - h["b2"])
        s["exp_avg"], s["exp_avg_sq"] = m, v
        if h["amsgrad"]:
            v = s["max_exp_avg_sq"] = maximum(s["max_exp_avg_sq"], v)
        return p - m / (sqrt(v) + h["eps"]) * h["rate"]


class AdamW(Adam):
    """Adam after p' = p - lr weight_decay p: a weight decay (0.01) that shrinks p itself.

    Arguments, state and errors are Adam's.  As in PyTorch.  Loshchilov and Hutter 2017,
    algorithm 2.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> opt = chainrule.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> opt.step()  # 1 - 0.1 * 0.5, then 0.1 less
    >>> w
    tensor([0.8500], requires_grad=True)
    """

    decoupled = True

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *,
        maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
