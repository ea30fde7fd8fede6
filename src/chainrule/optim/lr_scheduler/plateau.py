"""ReduceLROnPlateau: smaller steps when the metric stops getting better."""

from __future__ import annotations

import math
from typing import Any

from ...errors import ArgumentError, ArgumentTypeError
from ..arguments import brief, check_count, check_number
from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, for_each_group


class ReduceLROnPlateau(LRScheduler):
    """lr' = max(factor lr, min_lr) once a metric has not got better for more than patience steps.

    step(metrics) takes the metric, mostly once an epoch.  mode: "min" (a loss) or "max" (an
    accuracy).  Better means: below best (1 - threshold) in threshold_mode "rel", below
    best - threshold in "abs"; for "max" above best (1 + threshold) or best + threshold.
    factor in [0, 1) (0.1); patience >= 0 (10), in steps; threshold (1e-4); cooldown >= 0 (0):
    steps after a reduction in which nothing is counted; min_lr (0), one or one a group; a change
    of lr of at most eps (1e-8) is left out.  nan counts as not better.  As in PyTorch.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import ReduceLROnPlateau
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = ReduceLROnPlateau(chainrule.optim.SGD([w], lr=1.0), factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     scheduler.step(loss)
    ...     print(scheduler.get_last_lr())
    [1.0]
    [1.0]
    [1.0]
    [0.5]
    """

    needs_metric = True

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
        threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0,
        min_lr: float | list[float] = 0, eps: float = 1e-8,
    ) -> None:  # fmt: skip
        owner = "ReduceLROnPlateau"
        check_optimizer(owner, optimizer)
        for name, value, allowed in (
            ("mode", mode, ("min", "max")),
            ("threshold_mode", threshold_mode, ("rel", "abs")),
        ):
            if value not in allowed:
                raise ArgumentError(
                    f"{owner}: {name} {value!r} is unknown!", expected=" or ".join(allowed)
                )
        check_number(owner, "factor", factor, 0.0, 1.0, open_high=True)
        check_count(owner, "patience", patience, 0)
        check_count(owner, "cooldown", cooldown, 0)
        check_number(owner, "threshold", threshold)
        check_number(owner, "eps", eps)
        self.optimizer = optimizer
        self.min_lrs = for_each_group(owner, "min_lr", optimizer, min_lr)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        for value in self.min_lrs:
            check_number(owner, "min_lr", value)
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self.best = self._worst(mode)
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self._last_lr = self._lrs()

    def step(self, metrics: Any = None) -> None:
        """Takes the metric of one more epoch: a number, or a Tensor with one element."""
        try:
            value = float(metrics)
        except (TypeError, ValueError):
            raise ArgumentTypeError(
                "ReduceLROnPlateau: step(metrics) needs the metric that it watches",
                expected="a number",
                got=brief(metrics),
                fix="scheduler.step(validation_loss)",
            ) from None
        self._follow_groups()
        self.last_epoch += 1
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._lrs()

    def state_dict(self) -> dict[str, Any]:
        """As for all schedules; "best" is None before the first metric."""
        state = super().state_dict()
        return {**state, "best": self.best if math.isfinite(self.best) else None}

    def _take(self, state: dict[str, Any]) -> None:
        best = state["best"]
        super()._take({**state, "best": self._worst(state["mode"]) if best is None else best})

    @staticmethod
    def _worst(mode: str) -> float:
        return math.inf if mode == "min" else -math.inf

    def _is_better(self, value: float) -> bool:
        margin = self.threshold if self.mode == "max" else -self.threshold
        relative = self.threshold_mode == "rel"
        bar = self.best * (1.0 + margin) if relative else self.best + margin
        return value > bar if self.mode == "max" else value < bar

    def _follow_groups(self) -> None:
        """One min_lr for every group, where groups were added since."""
        count = len(self.optimizer.param_groups)
        if count != len(self.min_lrs):
            if self.default_min_lr is None:
                raise ArgumentError(
                    "ReduceLROnPlateau: the optimizer has other parameter groups than min_lr",
                    expected=f"{len(self.min_lrs)} groups",
                    got=f"{count} groups",
                    fix="scheduler.min_lrs with one value a group",
                )
            self.min_lrs = [self.default_min_lr] * count

    def _reduce(self) -> None:
        for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lr = max(group["lr"] * self.factor, least)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr
