"""Schedules along a curve: a line, a power, a cosine, with and without warm-up and restarts."""

from __future__ import annotations

import math

from ...errors import ArgumentError
from ..arguments import check_count, check_number
from ..optimizer import Optimizer
from .base import LRScheduler, half_cosine, outside_of_compiled


class LinearLR(LRScheduler):
    """lr_t = (a + (b - a) min(t / T, 1)) lr_0: a line from a = start_factor to b = end_factor.

    start_factor in (0, 1] (1/3); end_factor in [0, 1] (1); T = total_iters >= 1 (5), in calls of
    step().  As in PyTorch, but total_iters 0, which would stay at start_factor, is refused.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import LinearLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = LinearLR(chainrule.optim.SGD([w], lr=1.0), start_factor=0.5, total_iters=2)
    >>> for _ in range(2):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.75]
    [1.0]
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1.0 / 3, end_factor: float = 1.0,
        total_iters: int = 5, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        check_number("LinearLR", "start_factor", start_factor, 0.0, 1.0, open_low=True)
        check_number("LinearLR", "end_factor", end_factor, 0.0, 1.0)
        check_count("LinearLR", "total_iters", total_iters)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._scaled(self.start_factor)
        if self._starting or self.last_epoch > self.total_iters:
            return self._lrs()
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return self._scaled(1.0 + rise / before)

    def first_lr(self) -> list[float]:
        return [lr * self.start_factor for lr in self.base_lrs]


class PolynomialLR(LRScheduler):
    """lr_t = (1 - min(t / T, 1))^power lr_0: down to 0 in T steps.

    T = total_iters >= 1 (5), in calls of step(); power >= 0 (1).  As in PyTorch, but total_iters 0
    is refused.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import PolynomialLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = PolynomialLR(chainrule.optim.SGD([w], lr=1.0), total_iters=4, power=2.0)
    >>> scheduler.step()
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        check_count("PolynomialLR", "total_iters", total_iters)
        check_number("PolynomialLR", "power", power)
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t, total = self.last_epoch, self.total_iters
        if self._starting or t > total:
            return self._lrs()
        return self._scaled(((1.0 - t / total) / (1.0 - (t - 1) / total)) ** self.power)

    def first_lr(self) -> list[float]:
        return self.base_lrs


class CosineAnnealingLR(LRScheduler):
    """lr_t = eta_min + (lr_0 - eta_min) (1 + cos(pi t / T_max)) / 2.

    T_max > 0: steps from lr_0 to eta_min (0); after T_max the cosine rises again.  Like PyTorch's
    it goes from the lr that stands in the group: (lr_t - eta_min) / (lr_(t-1) - eta_min) is that of
    the cosines, so it can be chained.  Loshchilov and Hutter 2016, equation 5, without restarts.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import CosineAnnealingLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = CosineAnnealingLR(chainrule.optim.SGD([w], lr=1.0), T_max=4)
    >>> scheduler.step()
    >>> scheduler.step()
    >>> round(scheduler.get_last_lr()[0], 12)
    0.5
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        check_number("CosineAnnealingLR", "T_max", T_max, open_low=True)
        check_number("CosineAnnealingLR", "eta_min", eta_min)
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t, half, low = self.last_epoch, self.T_max, self.eta_min
        groups = self.optimizer.param_groups
        if self._starting:
            return self._lrs()
        if (t - 1 - half) % (2 * half) == 0:  # at the bottom the ratio is 0 / 0
            rise = 1 - math.cos(math.pi / half)
            pairs = zip(groups, self.base_lrs, strict=True)
            return [group["lr"] + (base - low) * rise / 2 for group, base in pairs]
        ratio = (1 + math.cos(math.pi * t / half)) / (1 + math.cos(math.pi * (t - 1) / half))
        return [ratio * (group["lr"] - low) + low for group in groups]

    def first_lr(self) -> list[float]:
        return self.base_lrs


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (lr_0 - eta_min) (1 + cos(pi T_cur / T_i)) / 2, with T_cur from 0 to T_i.

    T_0 >= 1: length of the first period, in calls of step(); T_mult >= 1 (1): each period is so
    much longer than the one before; eta_min (0).  step(epoch) goes to a point of time, whole or
    not, such as epoch + batch / batches.  As in PyTorch.  Loshchilov and Hutter 2016, equation 5.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import CosineAnnealingWarmRestarts
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = CosineAnnealingWarmRestarts(chainrule.optim.SGD([w], lr=1.0), T_0=2)
    >>> for _ in range(3):
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [1.0]
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        check_count("CosineAnnealingWarmRestarts", "T_0", T_0)
        check_count("CosineAnnealingWarmRestarts", "T_mult", T_mult)
        check_number("CosineAnnealingWarmRestarts", "eta_min", eta_min)
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        wave = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (lr - self.eta_min) * wave / 2 for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Goes on by one, or to `epoch` >= 0."""
        outside_of_compiled(self)
        self._check_groups()
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
            self.last_epoch += 1
        else:
            check_number("CosineAnnealingWarmRestarts.step", "epoch", epoch)
            self._seek(epoch)
        self._step_count += 1
        self._set(self.get_lr())

    def _seek(self, epoch: float) -> None:
        """Finds the period that a point of time lies in."""
        n, first, mult = 0, self.T_0, self.T_mult
        if epoch < first:
            self.T_cur = epoch
        elif mult == 1:
            self.T_cur = epoch % first
        else:
            n = int(math.log(epoch / first * (mult - 1) + 1, mult))
            self.T_cur = epoch - first * (mult**n - 1) / (mult - 1)
        self.T_i = first * mult**n
        self.last_epoch = math.floor(epoch)


class WarmupCosineLR(LRScheduler):
    """A linear warm-up to lr_0 in W steps, then half a cosine down to eta_min at step T.

    t < W:  lr_t = (s + (1 - s) t / W) lr_0;
    else    lr_t = eta_min + (lr_0 - eta_min) (1 + cos(pi min((t - W) / (T - W), 1))) / 2.
    W = warmup_steps >= 0; T = total_steps > W, warm-up included, both in calls of step();
    s = warmup_start in [0, 1] (0: the very first step has lr 0 and moves nothing, so that lr_0 is
    reached after exactly W steps); eta_min >= 0 (0), the lr from step T on.
    PyTorch needs LinearLR and CosineAnnealingLR in a SequentialLR for this, and has no warm-up
    from 0.  The lr does not depend on what stands in the group: it is not for chaining.
    Goyal et al. 2017, section 2.2 (warm-up); Loshchilov and Hutter 2016, equation 5.

    >>> import chainrule
    >>> from chainrule.optim.lr_scheduler import WarmupCosineLR
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> scheduler = WarmupCosineLR(chainrule.optim.SGD([w], lr=1.0), warmup_steps=2, total_steps=6)
    >>> for _ in range(6):
    ...     scheduler.step()
    ...     print(round(scheduler.get_last_lr()[0], 4))
    0.5
    1.0
    0.8536
    0.5
    0.1464
    0.0
    """

    def __init__(
        self, optimizer: Optimizer, warmup_steps: int, total_steps: int,
        warmup_start: float = 0.0, eta_min: float = 0.0, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        check_count("WarmupCosineLR", "warmup_steps", warmup_steps, 0)
        check_count("WarmupCosineLR", "total_steps", total_steps)
        check_number("WarmupCosineLR", "warmup_start", warmup_start, 0.0, 1.0)
        check_number("WarmupCosineLR", "eta_min", eta_min)
        if total_steps <= warmup_steps:
            raise ArgumentError(
                "WarmupCosineLR: total_steps counts the warm-up too, and must be greater",
                expected=f"total_steps > {warmup_steps}",
                got=str(total_steps),
            )
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.warmup_start = warmup_start
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t, warm = self.last_epoch, self.warmup_steps
        if t < warm:
            factor = self.warmup_start + (1.0 - self.warmup_start) * t / warm
            return [lr * factor for lr in self.base_lrs]
        part = min((t - warm) / (self.total_steps - warm), 1.0)
        return [half_cosine(lr, self.eta_min, part) for lr in self.base_lrs]
