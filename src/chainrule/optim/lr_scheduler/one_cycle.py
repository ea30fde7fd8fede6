"""OneCycleLR: up, down, and the momentum the other way round."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...errors import ArgumentError
from ..arguments import check_count, check_number
from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, for_each_group, half_cosine


class Phase(NamedTuple):
    """A part of the cycle: where it ends, and the marks in the group between which it goes."""

    end: float
    lr: tuple[str, str]
    momentum: tuple[str, str]


def _line(start: float, end: float, part: float) -> float:
    return (end - start) * part + start


CURVES = {"cos": half_cosine, "linear": _line}


class OneCycleLR(LRScheduler):
    """One cycle for a whole run: lr from max_lr / div_factor up to max_lr and far down again.

    With T = total_steps: up during the first pct_start T - 1 steps, then down to
    max_lr / div_factor / final_div_factor at step T - 1 (three_phase: down to the first lr during
    as many steps as up, then on).  Between the marks `anneal_strategy` "cos" or "linear".
    The momentum (or the first of the betas) goes from max_momentum to base_momentum and back.

    max_lr: one number, or one for each group.  total_steps, or epochs and steps_per_epoch: calls
    of step(), once a batch.  pct_start in [0, 1] (0.3); div_factor, final_div_factor > 0 (25,
    10000); cycle_momentum (True), base_momentum (0.85), max_momentum (0.95): one, or one a group.
    Raises ArgumentError when stepped past the end.  As in PyTorch, but a phase without length
    (pct_start total_steps = 1) is no division by zero.  Smith and Topin 2017.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import OneCycleLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> opt = chainrule.optim.SGD([w], lr=0.1, momentum=0.9)
    >>> scheduler = OneCycleLR(opt, max_lr=1.0, total_steps=10)
    >>> scheduler.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr(), opt.param_groups[0]["momentum"]
    ([1.0], 0.85)
    """

    transient = LRScheduler.transient | {"phases"}

    def __init__(
        self, optimizer: Optimizer, max_lr: float | list[float], total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85, max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0, final_div_factor: float = 1e4, three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        check_optimizer("OneCycleLR", optimizer)
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        check_number("OneCycleLR", "pct_start", pct_start, 0.0, 1.0)
        check_number("OneCycleLR", "div_factor", div_factor, open_low=True)
        check_number("OneCycleLR", "final_div_factor", final_div_factor, open_low=True)
        if anneal_strategy not in CURVES:
            raise ArgumentError(
                "OneCycleLR: anneal_strategy must be one of 'cos' or 'linear'",
                got=repr(anneal_strategy),
            )
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.phases = _phases(self.total_steps, pct_start, three_phase)
        tops = for_each_group("OneCycleLR", "max_lr", optimizer, max_lr)
        for top in tops:
            check_number("OneCycleLR", "max_lr", top)
        marks = self._momenta(optimizer, base_momentum, max_momentum) if cycle_momentum else None
        if last_epoch == -1:
            for i, group in enumerate(optimizer.param_groups):
                group["initial_lr"] = tops[i] / div_factor
                group["max_lr"] = tops[i]
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if marks is not None:
                    group["base_momentum"], group["max_momentum"] = marks[0][i], marks[1][i]
        super().__init__(optimizer, last_epoch)

    def _momenta(self, optimizer: Optimizer, base: Any, top: Any) -> tuple[list[Any], list[Any]]:
        if not {"momentum", "betas"} & set(optimizer.defaults):
            raise ArgumentError(
                "OneCycleLR: optimizer must support momentum or beta1 with `cycle_momentum` "
                "option enabled",
                got=type(optimizer).__name__,
                fix="cycle_momentum=False",
            )
        bases = for_each_group("OneCycleLR", "base_momentum", optimizer, base)
        tops = for_each_group("OneCycleLR", "max_momentum", optimizer, top)
        for name, values in (("base_momentum", bases), ("max_momentum", tops)):
            for value in values:
                check_number("OneCycleLR", name, value, 0.0, 1.0, open_high=True)
        return bases, tops

    def _place(self) -> tuple[Phase, float]:
        """The phase that t = last_epoch lies in, and how far along it is."""
        t, start = self.last_epoch, 0.0
        for phase in self.phases:
            if t <= phase.end or phase is self.phases[-1]:
                break
            start = phase.end
        return phase, (t - start) / (phase.end - start) if phase.end != start else 1.0

    def get_lr(self) -> list[float]:
        t, total = self.last_epoch, self.total_steps
        if t > total:
            raise ArgumentError(
                f"Tried to step {t} times. The specified number of total steps is {total}",
                expected=f"step() at most {total} times over all epochs: total_steps counts "
                "batches if step() is called once a batch, epochs if once an epoch",
                fix="OneCycleLR(..., epochs=epochs, steps_per_epoch=len(loader)), with step() "
                "once a batch",
            )
        phase, part = self._place()
        curve = CURVES[self.anneal_strategy]
        start, end = phase.lr
        return [curve(group[start], group[end], part) for group in self.optimizer.param_groups]

    def _set(self, values: list[float]) -> None:
        super()._set(values)
        if not self.cycle_momentum:
            return
        phase, part = self._place()
        curve = CURVES[self.anneal_strategy]
        start, end = phase.momentum
        for group in self.optimizer.param_groups:
            momentum = float(curve(group[start], group[end], part))
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum


def _total(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    if total_steps is not None:
        check_count("OneCycleLR", "total_steps", total_steps)
        return int(total_steps)
    if epochs is None or steps_per_epoch is None:
        raise ArgumentError(
            "OneCycleLR: You must define either total_steps OR (epochs AND steps_per_epoch)"
        )
    check_count("OneCycleLR", "epochs", epochs)
    check_count("OneCycleLR", "steps_per_epoch", steps_per_epoch)
    return int(epochs * steps_per_epoch)


def _phases(total: int, pct: float, three: bool) -> list[Phase]:
    low, top, end = "initial_lr", "max_lr", "min_lr"
    slow, fast = "max_momentum", "base_momentum"
    up = Phase(float(pct * total) - 1, (low, top), (slow, fast))
    if not three:
        return [up, Phase(total - 1, (top, end), (fast, slow))]
    down = Phase(float(2 * pct * total) - 2, (top, low), (fast, slow))
    return [up, down, Phase(total - 1, (low, end), (slow, slow))]
