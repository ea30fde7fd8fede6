"""Which learning rate to take: measured on copies, so that nothing of the trainer changes.

First a sweep: the rate grows by the same factor at every step, until the loss runs away.  What is
read off such a curve is a guess, so the rates in question are then each trained for some steps
from the same start; the smallest that gets about as low as the best is the answer, since so few
steps flatter rates that are too high for a whole training.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import BatchSampler, DataLoader
from ..data.sampler import SeededSampler
from ..errors import ArgumentError, ArgumentTypeError, NonFiniteError
from ..ops.core import is_number
from ..optim.lr_scheduler import LambdaLR
from ..tensor.random import Generator
from .callbacks import Callback

if TYPE_CHECKING:
    from .trainer import Trainer

SMOOTHING = 0.8
"""Share of the past in the smoothed loss of a sweep."""
AWAY = 4.0
"""The sweep ends where the smoothed loss is this many times its range above its lowest."""
FALLEN = 0.05
"""A loss that falls by less than this share of its start was not lowered by any rate."""
NEARLY = 0.95
"""A rate that falls this far, as a share of the best, is as good after so few steps."""
BELOW = (1.0, 1 / 3, 1 / 10, 1 / 30)
"""The rates tried, as shares of the one at which the sweep's loss is lowest."""


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


@dataclass(frozen=True)
class Trial:
    """A rate, and the mean loss of the last tenth of its steps; inf where it diverged.

    near: the mean over this rate and the two beside it, where rates are compared by that.
    """

    lr: float
    loss: float
    near: float | None = None


@dataclass(frozen=True)
class LRFinding:
    """What the sweep and the trials gave.

    lrs, losses: of every step of the sweep.  smoothed: the losses without their noise.  trials:
    the rates that were tried, by size.  suggestion: the one to take; None where no rate lowers
    the loss, and `why` says what was seen.
    """

    lrs: list[float]
    losses: list[float]
    smoothed: list[float]
    trials: list[Trial]
    steps: int
    suggestion: float | None
    why: str

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON; a loss that ran away is None."""
        return {
            "schema": "chainrule lr-find 1", "suggestion": self.suggestion, "why": self.why,
            "lrs": self.lrs, "losses": self.losses, "smoothed": self.smoothed,
            "trial_steps": self.steps,
            "trials": [
                {"lr": t.lr, "loss": _finite(t.loss)}
                | ({} if t.near is None else {"near": _finite(t.near)})
                for t in self.trials
            ],
        }  # fmt: skip


def lr_find(
    trainer: Trainer, train: Any, *, lowest: float = 1e-5, highest: float = 10.0, steps: int = 120,
    trial_steps: int = 100, batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LRFinding:  # fmt: skip
    """Tries learning rates on copies of a trainer's model and optimizer.

    In the sweep step t = 0 ... steps - 1 is made with lr_t = lowest (highest / lowest)^(t / (steps
    - 1)).  The rates tried after it are 1, 1/3, 1/10, 1/30 of the one where the smoothed loss is
    lowest; each trains `trial_steps` steps from the trainer's present weights.

    trainer: stays as it is, bit for bit, with its data loader and random numbers.  train: as for
    `fit`.  lowest, highest: rates of the first parameter group, the others keep their proportion
    to it.  progress: called with steps done and steps in all.
    Raises ArgumentError for a range that is none.  Differs from other finders: what is suggested
    has been tried, not read off a slope.  Smith 2017, "Cyclical Learning Rates".

    >>> import chainrule
    >>> from chainrule import nn, optim
    >>> _ = chainrule.manual_seed(0)
    >>> x = chainrule.randn(64, 3)
    >>> model = nn.Linear(3, 1)
    >>> optimizer = optim.SGD(model.parameters(), lr=1e-5)
    >>> trainer = chainrule.train.Trainer(model, nn.MSELoss(), optimizer)
    >>> found = chainrule.train.lr_find(trainer, (x, x.sum(1, keepdim=True)))
    >>> 0.01 < found.suggestion < 1, optimizer.param_groups[0]["lr"]
    (True, 1e-05)
    """
    _check(lowest, highest, steps, trial_steps)
    total = steps + len(BELOW) * trial_steps
    train = _own(train)
    factor = (highest / lowest) ** (1 / (steps - 1))
    sweep = _Sweep(progress, total)
    _run(trainer, train, sweep, lowest, lambda t: factor**t, steps, batch_size)
    losses = sweep.losses
    lrs = [lowest * factor**t for t in range(len(losses))]
    smoothed = _smoothed(losses)
    best, why = _lowest(lrs, smoothed, len(losses) < steps)
    trials: list[Trial] = []
    if best is not None:
        for i, share in enumerate(reversed(BELOW)):
            notes = _Notes(progress, total, steps + i * trial_steps)
            _run(trainer, train, notes, best * share, lambda t: 1.0, trial_steps, batch_size)
            trials.append(Trial(best * share, _reached(notes.losses, trial_steps)))
        best, why = _chosen(trials, smoothed[0], why)
    if progress is not None:
        progress(total, total)
    return LRFinding(lrs, losses, smoothed, trials, trial_steps, best, why)


def _check(lowest: Any, highest: Any, steps: Any, trial_steps: Any) -> None:
    for name, value in (("lowest", lowest), ("highest", highest)):
        if not (is_number(value) and value > 0):
            raise ArgumentError(f"lr_find: {name} must be a number > 0", got=repr(value))
    if not lowest < highest:
        raise ArgumentError("lr_find: lowest must be below highest", got=f"{lowest}, {highest}")
    for name, value in (("steps", steps), ("trial_steps", trial_steps)):
        if type(value) is not int or value < 10:
            raise ArgumentError(f"lr_find: {name} must be a whole number >= 10", got=repr(value))


def _own(train: Any) -> Any:
    """A loader like the caller's, which begins anew and draws no number of the caller's."""
    if not isinstance(train, DataLoader):
        return train
    loader = copy.copy(train)
    loader.batch_sampler = copy.copy(train.batch_sampler)
    if isinstance(loader.batch_sampler, BatchSampler):
        loader.sampler = loader.batch_sampler.sampler = copy.copy(train.batch_sampler.sampler)
    if isinstance(loader.sampler, SeededSampler) and loader.sampler._seed is None:
        loader.sampler.generator = Generator().manual_seed(0)
    loader.epoch = 0
    return loader


class _Notes(Callback):
    """Keeps the losses, and says how far it is."""

    every_steps = 10**9

    def __init__(
        self, progress: Callable[[int, int], None] | None, total: int, before: int = 0
    ) -> None:
        self.progress, self.total, self.before = progress, total, before
        self.losses: list[float] = []

    def on_step_end(self, trainer: Trainer) -> None:
        """Notes a step's loss."""
        self.losses.append(trainer.loss_value)
        if self.progress is not None and trainer.current:
            self.progress(self.before + len(self.losses), self.total)


class _Sweep(_Notes):
    """Ends when the loss has run away."""

    def on_step_end(self, trainer: Trainer) -> None:
        """Notes the loss, and compares it with what was."""
        super().on_step_end(trainer)
        smoothed = _smoothed(self.losses)
        low = min(smoothed)
        if smoothed[-1] > low + AWAY * max(smoothed[0] - low, abs(low), 1e-12):
            trainer.stop("the loss ran away")


def _run(
    trainer: Trainer, train: Any, notes: _Notes, lr: float, course: Callable[[int], float],
    steps: int, batch_size: int | None,
) -> None:  # fmt: skip
    """Steps on copies, the first with `lr`, step t with lr course(t)."""
    from .trainer import Trainer as Copy

    try:
        model, loss, optimizer = copy.deepcopy((trainer.model, trainer.loss, trainer.optimizer))
    except Exception as error:
        raise ArgumentTypeError(
            "lr_find: the trainer's parts can't be copied, and on them nothing is tried",
            got=f"{type(error).__name__}: {error}", line="",
        ) from error  # fmt: skip
    ratio = lr / trainer.lr if trainer.lr > 0 else None
    for group in optimizer.param_groups:
        group.pop("initial_lr", None)
        group["lr"] = lr if ratio is None else group["lr"] * ratio
    optimizer.zero_grad()
    twin = Copy(
        model, loss, optimizer, scheduler=LambdaLR(optimizer, course), schedule_by="step",
        callbacks=[notes], clip_grad_norm=trainer.clip_grad_norm,
        clip_grad_value=trainer.clip_grad_value, accumulate=trainer.accumulate,
        seed=trainer.seed or 0, compile=trainer.compile,
    )  # fmt: skip
    try:
        twin.fit(train, steps=steps, batch_size=batch_size)
    except NonFiniteError:
        if not notes.losses:  # the data or the model, not the rate
            raise


def _smoothed(losses: Sequence[float]) -> list[float]:
    """The moving average of losses, without its pull to 0 at the start (Kingma & Ba 2015, 3)."""
    mean, out = 0.0, []
    for t, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        out.append(mean / (1 - SMOOTHING**t))
    return out


def _lowest(lrs: list[float], smoothed: list[float], ran_away: bool) -> tuple[float | None, str]:
    """The rate at which the smoothed loss is lowest; None where it never falls."""
    place = int(np.argmin(smoothed))
    start, low = smoothed[0], smoothed[place]
    seen = f"from {start:.4g} to {low:.4g} at lr {lrs[place]:.2g}"
    if not start - low > FALLEN * abs(start):
        return None, f"no rate from {lrs[0]:.2g} to {lrs[-1]:.2g} lowers the loss ({seen})"
    end = "rises again above it"
    if ran_away:
        end = f"runs away at {lrs[-1]:.2g}"
    elif place == len(lrs) - 1:
        end = "still falls where the range ends"
    return lrs[place], f"the loss of the sweep falls {seen}, and {end}"


def _reached(losses: list[float], steps: int) -> float:
    """The mean over the last tenth of the steps; inf where they broke off."""
    if len(losses) < steps:
        return math.inf
    return float(np.mean(losses[-max(steps // 10, 1) :]))


def _chosen(trials: list[Trial], start: float, why: str) -> tuple[float | None, str]:
    """The smallest rate that falls nearly as far as the best: few steps favour high ones."""
    best = min(t.loss for t in trials)
    if not best < start:
        return None, f"{why}; but from the start on, none of the rates tried lowers it"
    enough = [t for t in trials if start - t.loss >= NEARLY * (start - best)]
    return _rounded(min(t.lr for t in enough)), why


def _rounded(lr: float) -> float:
    """Two digits are what the trials can tell."""
    return float(f"{lr:.1e}")
