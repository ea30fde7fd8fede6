"""LRScheduler: what all schedules share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from ...errors import ArgumentError, ArgumentTypeError
from ..arguments import OptimizerStateError, ResumeError, brief, brief_list
from ..optimizer import Optimizer


def check_optimizer(owner: str, optimizer: Any) -> None:
    """Raises unless a scheduler was given an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(
            f"{owner}: {type(optimizer).__name__} is not an Optimizer", got=brief(optimizer)
        )


def for_each_group(owner: str, name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for every parameter group, from one for all or from a list."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ArgumentError(
            f"{owner}: {name} must have one value for each parameter group",
            expected=f"{count} values",
            got=f"{len(value)} values",
        )
    return list(value)


class LRScheduler:
    """Base of all schedules: lr_t of every parameter group, as a function of the step count t.

    optimizer: whose `param_groups[i]["lr"]` is set, from the start and at every `step()`.  Call
    `step()` after `optimizer.step()`: once an epoch, or once a batch, as the schedule counts.
    last_epoch: t of the step before the first (-1: start anew; otherwise the groups must have
    "initial_lr", as a loaded optimizer has).
    `base_lrs` are the lr's at the start, `last_epoch` is t, `get_last_lr()` what was set last.

    A subclass writes `get_lr()`.  Most of PyTorch's schedules multiply the lr that stands in the
    group, so that several of them can be chained on one optimizer; ours do the same.
    Differs from PyTorch: `step()` before the first `optimizer.step()` is not warned of; `step`
    takes no epoch (CosineAnnealingWarmRestarts does).

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import LRScheduler
    >>> class Hyperbola(LRScheduler):
    ...     def get_lr(self):
    ...         return [lr / (1 + self.last_epoch) for lr in self.base_lrs]
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = Hyperbola(chainrule.optim.SGD([w], lr=0.6))
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.3]
    """

    transient: ClassVar[frozenset[str]] = frozenset({"optimizer", "_starting"})
    """Attributes that are not part of the state."""

    needs_metric: ClassVar[bool] = False
    """Whether `step` can't do without a metric, so that a native loop can't make it."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        owner = type(self).__name__
        check_optimizer(owner, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ResumeError(
                    f"{owner}: param 'initial_lr' is not specified in param_groups[{i}] when "
                    "resuming an optimizer",
                    got=f"last_epoch={last_epoch}",
                    fix="optimizer.load_state_dict(...) first, or last_epoch=-1 for a new run",
                )
        self.optimizer = optimizer
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._starting = False
        self._begin()

    def _begin(self) -> None:
        """The step that a constructor takes: from last_epoch -1 to 0, without a change of time."""
        self._step_count = 0
        self._starting = True
        try:
            self.step()
        finally:
            self._starting = False

    def get_lr(self) -> list[float]:
        """The lr of every group at t = last_epoch; the groups hold those of t - 1."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr(): write one")

    def first_lr(self) -> list[float]:
        """The lr of every group at t = 0, whatever stands in the groups now."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The lr of every group, as set by the last step."""
        return self._last_lr

    def step(self) -> None:
        """Goes on by one: t' = t + 1.  Where the new lr can't be had, nothing changes."""
        self.last_epoch += 1
        try:
            values = self.get_lr()
            self._check_groups()
        except Exception:
            self.last_epoch -= 1
            raise
        self._step_count += 1
        self._set(values)

    def restart(self) -> None:
        """Goes to t = 0 (SequentialLR calls this when the schedule's turn comes)."""
        self.last_epoch = 0
        self._set(self.first_lr())

    def _check_groups(self) -> None:
        if len(self.optimizer.param_groups) != len(self.base_lrs):
            raise ArgumentError(
                f"{type(self).__name__}: the optimizer has other parameter groups than when the "
                "scheduler was made",
                expected=f"{len(self.base_lrs)} groups",
                got=f"{len(self.optimizer.param_groups)} groups",
                fix="add_param_group before the scheduler is made",
            )

    def _set(self, values: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            group["lr"] = float(lr)
        self._last_lr = self._lrs()

    def _lrs(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> list[float]:
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    # ------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, as numbers, texts and lists: it can be written as JSON."""
        return {
            k: list(v) if isinstance(v, list) else v
            for k, v in self.__dict__.items()
            if k not in self.transient
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on where a saved schedule stood; the lr itself comes with the optimizer's state."""
        owner = type(self).__name__
        expected = self.state_dict()
        missing = [k for k in expected if k not in state_dict]
        strange = [k for k in state_dict if k not in expected and not k.startswith("_")]
        if missing or strange:
            raise OptimizerStateError(
                f"{owner}: the loaded state is that of another schedule",
                expected=brief_list(sorted(expected)),
                got=f"no {missing[0]!r}" if missing else f"{strange[0]!r}",
            )
        for name in ("base_lrs", "_last_lr"):
            if name in expected and len(state_dict[name]) != len(expected[name]):
                raise OptimizerStateError(
                    f"{owner}: the loaded state is that of another number of parameter groups",
                    expected=str(len(expected[name])),
                    got=str(len(state_dict[name])),
                )
        self._take({k: state_dict[k] for k in expected})

    def _take(self, state: dict[str, Any]) -> None:
        self.__dict__.update({k: list(v) if isinstance(v, list) else v for k, v in state.items()})


def half_cosine(start: float, end: float, part: float) -> float:
    """From start (part 0) to end (part 1) along half a wave of the cosine."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)
