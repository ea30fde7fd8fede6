"""Schedules that multiply the lr by a factor: now and then, or at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...errors import ArgumentError, ArgumentTypeError
from ..arguments import brief, check_count, check_number
from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, for_each_group


class StepLR(LRScheduler):
    """lr_t = gamma^floor(t / step_size) lr_0: a factor gamma every step_size steps.

    step_size >= 1, in calls of step(); gamma >= 0 (0.1).  As in PyTorch, where a step_size of 0 is
    a division by zero at the first step; here the constructor refuses it.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import StepLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = StepLR(chainrule.optim.SGD([w], lr=0.5), step_size=2, gamma=0.5)
    >>> for _ in range(3):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [0.25]
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        check_count("StepLR", "step_size", step_size)
        check_number("StepLR", "gamma", gamma)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return self._lrs()
        return self._scaled(self.gamma)

    def first_lr(self) -> list[float]:
        return self.base_lrs


class MultiStepLR(LRScheduler):
    """lr_t = gamma^n lr_0, where n counts the milestones m <= t (one listed twice counts twice).

    milestones: step counts; gamma >= 0 (0.1).  As in PyTorch, but `milestones` is a sorted list
    here, which can be written as JSON.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import MultiStepLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = MultiStepLR(chainrule.optim.SGD([w], lr=0.5), milestones=[1, 3], gamma=0.5)
    >>> for _ in range(3):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.25]
    [0.25]
    [0.125]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        listed = list(milestones)
        for m in listed:
            check_count("MultiStepLR", "milestones", m, 0)
        check_number("MultiStepLR", "gamma", gamma)
        self.milestones = sorted(int(m) for m in listed)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        count = self.milestones.count(self.last_epoch)
        return self._scaled(self.gamma**count) if count else self._lrs()

    def first_lr(self) -> list[float]:
        factor = self.gamma ** self.milestones.count(0)
        return [lr * factor for lr in self.base_lrs]


class ConstantLR(LRScheduler):
    """lr_t = factor lr_0 for t < total_iters, then lr_0.

    factor in (0, 1] (1/3); total_iters >= 1 (5), in calls of step().  Differs from PyTorch: factor
    0, from which there is no way back, and total_iters 0, which never gets to lr_0, are refused.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import ConstantLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = ConstantLR(chainrule.optim.SGD([w], lr=0.5), factor=0.5, total_iters=2)
    >>> for _ in range(2):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.25]
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        check_number("ConstantLR", "factor", factor, 0.0, 1.0, open_low=True)
        check_count("ConstantLR", "total_iters", total_iters)
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._scaled(self.factor)
        return (
            self._scaled(1.0 / self.factor) if self.last_epoch == self.total_iters else self._lrs()
        )

    def first_lr(self) -> list[float]:
        return [lr * self.factor for lr in self.base_lrs]


class ExponentialLR(LRScheduler):
    """lr_t = gamma^t lr_0.

    gamma >= 0.  As in PyTorch.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import ExponentialLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = ExponentialLR(chainrule.optim.SGD([w], lr=1.0), gamma=0.5)
    >>> scheduler.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        check_number("ExponentialLR", "gamma", gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._lrs() if self._starting else self._scaled(self.gamma)

    def first_lr(self) -> list[float]:
        return self.base_lrs


class LambdaLR(LRScheduler):
    """lr_t = f(t) lr_0, with a function f of your own.

    lr_lambda: f, or a list with one for each parameter group.  The state holds what a callable
    object keeps in its attributes; a plain function has none and is not saved.  As in PyTorch.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import LambdaLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = LambdaLR(chainrule.optim.SGD([w], lr=1.0), lambda t: 1 / (1 + t))
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    transient = LRScheduler.transient | {"lr_lambdas"}

    def __init__(
        self, optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]], last_epoch: int = -1,
    ) -> None:  # fmt: skip
        owner = type(self).__name__
        check_optimizer(owner, optimizer)
        if isinstance(lr_lambda, (list, tuple)) and len(lr_lambda) != len(optimizer.param_groups):
            raise ArgumentError(
                f"{owner}: Expected {len(optimizer.param_groups)} lr_lambdas, but got "
                f"{len(lr_lambda)}",
                fix="one function for each parameter group, or one for all",
            )
        self.lr_lambdas = for_each_group(owner, "lr_lambda", optimizer, lr_lambda)
        for f in self.lr_lambdas:
            if not callable(f):
                raise ArgumentTypeError(f"{owner}: lr_lambda should be a function", got=brief(f))
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [
            lr * f(self.last_epoch) for f, lr in zip(self.lr_lambdas, self.base_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """As for all schedules, with the attributes of callable objects in "lr_lambdas"."""
        kept = [dict(getattr(f, "__dict__", {})) or None for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": kept}

    def _take(self, state: dict[str, Any]) -> None:
        super()._take({k: v for k, v in state.items() if k != "lr_lambdas"})
        for f, kept in zip(self.lr_lambdas, state["lr_lambdas"], strict=True):
            if kept:
                f.__dict__.update(kept)


class MultiplicativeLR(LambdaLR):
    """lr_t = f(t) lr_(t-1), with a function f of your own, which is asked from t = 1 on.

    lr_lambda: f, or a list with one for each parameter group; saved as LambdaLR saves it.
    As in PyTorch.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import MultiplicativeLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = MultiplicativeLR(chainrule.optim.SGD([w], lr=1.0), lambda t: 0.5)
    >>> scheduler.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def get_lr(self) -> list[float]:
        if self._starting:
            return self._lrs()
        groups = self.optimizer.param_groups
        return [
            group["lr"] * f(self.last_epoch)
            for f, group in zip(self.lr_lambdas, groups, strict=True)
        ]
