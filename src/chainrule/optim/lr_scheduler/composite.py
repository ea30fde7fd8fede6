"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ArgumentError, ArgumentTypeError
from ..arguments import OptimizerStateError, brief, check_count
from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, outside_of_compiled
from .plateau import ReduceLROnPlateau


class Composite(LRScheduler):
    """Base of the schedules that move others."""

    transient = LRScheduler.transient | {"_schedulers"}
    _schedulers: list[LRScheduler]

    def _check_parts(self, schedulers: Any, optimizer: Any) -> None:
        owner = type(self).__name__
        if not isinstance(schedulers, (list, tuple)) or not schedulers:
            raise ArgumentError(
                f"{owner} expects at least one scheduler", got=brief(schedulers), fix="a list"
            )
        for i, part in enumerate(schedulers):
            if not isinstance(part, LRScheduler):
                raise ArgumentTypeError(f"{owner}: entry {i} is not a scheduler", got=brief(part))
            if isinstance(part, ReduceLROnPlateau):
                raise ArgumentError(
                    f"{owner} does not support ReduceLROnPlateau, whose step() needs a metric",
                    got=f"one at index {i}",
                    fix="both schedulers in the training loop, each with its own step()",
                )
            if optimizer is not None and part.optimizer is not optimizer:
                raise ArgumentError(
                    f"{owner} expects all schedulers to belong to the same optimizer",
                    got=f"another one in {type(part).__name__} at index {i}",
                )
        check_optimizer(owner, optimizer)

    def _begin(self) -> None:
        self.step()

    def _undo(self) -> None:
        """Takes back the step that the constructors of the parts took."""
        for part in self._schedulers:
            if isinstance(part, Composite):
                part._undo()
            else:
                part.last_epoch -= 1

    def state_dict(self) -> dict[str, Any]:
        """The state of every part, in "_schedulers", and the place where this one stands."""
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As for all schedules, part by part."""
        parts = state_dict.get("_schedulers", ())
        if len(parts) != len(self._schedulers):
            raise OptimizerStateError(
                f"{type(self).__name__}: the loaded state has another number of schedulers",
                expected=str(len(self._schedulers)),
                got=str(len(parts)),
            )
        super().load_state_dict(state_dict)

    def _take(self, state: dict[str, Any]) -> None:
        before = [part.state_dict() for part in self._schedulers]
        try:
            for part, kept in zip(self._schedulers, state["_schedulers"], strict=True):
                part.load_state_dict(kept)
        except OptimizerStateError:
            for part, kept in zip(self._schedulers, before, strict=True):
                part.load_state_dict(kept)
            raise
        super()._take({k: v for k, v in state.items() if k != "_schedulers"})


class SequentialLR(Composite):
    """Schedules one after the other: number i + 1 begins, at its t = 0, at step milestones[i].

    schedulers: made for the same optimizer; milestones: rising step counts, one fewer.  As in
    PyTorch: each schedule starts from the lr that the optimizer had before any of them was made,
    except MultiplicativeLR, which goes on from the lr that it finds.  Differs: a ChainedScheduler
    or SequentialLR can only come first, and is refused elsewhere at once.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import ExponentialLR, LinearLR, SequentialLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> opt = chainrule.optim.SGD([w], lr=1.0)
    >>> parts = [LinearLR(opt, 0.5, total_iters=2), ExponentialLR(opt, gamma=0.5)]
    >>> scheduler = SequentialLR(opt, parts, milestones=[2])
    >>> for _ in range(3):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.75]
    [1.0]
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int],
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        self._check_parts(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                "SequentialLR expects one milestone fewer than schedulers",
                expected=f"{len(schedulers) - 1} milestones for {len(schedulers)} schedulers",
                got=f"{len(milestones)} milestones",
            )
        for m in milestones:
            check_count("SequentialLR", "milestones", m, 0)
        if sorted(milestones) != list(milestones):
            raise ArgumentError("SequentialLR: milestones must rise", got=str(milestones))
        for i, part in enumerate(schedulers[1:], 1):
            if isinstance(part, Composite):
                raise ArgumentError(
                    f"SequentialLR: a {type(part).__name__} can only come first",
                    got=f"one at index {i}",
                )
        self._schedulers = list(schedulers)
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._undo()
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Goes on by one, with the schedule whose turn it is."""
        outside_of_compiled(self)
        t = self.last_epoch + 1
        i = bisect_right(self._milestones, t)
        part = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == t:
            part.restart()
        else:
            part.step()
        self.last_epoch = t
        self._last_lr = part.get_last_lr()


class ChainedScheduler(Composite):
    """lr' = f_n(.. f_1(lr)) at every step: each schedule goes from the lr that the last one left.

    schedulers: made for the same optimizer.  As in PyTorch: useful for those that multiply
    (ConstantLR, LinearLR, StepLR, ExponentialLR, ...).

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import ChainedScheduler, ExponentialLR, StepLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> opt = chainrule.optim.SGD([w], lr=1.0)
    >>> scheduler = ChainedScheduler([StepLR(opt, 2, gamma=0.5), ExponentialLR(opt, gamma=0.5)])
    >>> scheduler.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.125]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if optimizer is None and schedulers:
            optimizer = getattr(schedulers[0], "optimizer", None)
        self._check_parts(schedulers, optimizer)
        assert optimizer is not None
        self._schedulers = list(schedulers)
        self.optimizer = optimizer
        self._last_lr = self._lrs()

    def step(self) -> None:
        """Goes on by one, with every schedule."""
        outside_of_compiled(self)
        for part in self._schedulers:
            part.step()
        self._last_lr = self._lrs()
