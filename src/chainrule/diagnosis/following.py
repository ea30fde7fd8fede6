"""The very next step of a training: what it does to the loss, and to every layer."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

from ..errors import NonFiniteError
from ..ops.core import quietly
from ..optim import Optimizer
from ..tensor.autograd import no_grad
from ..tensor.random import generator_in_use
from ..train import Callback, Trainer
from ..train.files import worded
from ..train.guard import Kept
from ..train.inputs import groups
from ..train.losses import shares
from ..train.rates import highest_rate
from ..train.watch.layers import layers_of, weights_of
from ..train.watch.numbers import norm


@dataclass
class Moved:
    """A layer in one step: norms of its weight's gradient (before clipping), change and weight."""

    name: str
    grad: float | None
    update: float
    weight: float

    @property
    def ratio(self) -> float | None:
        """update:weight; None for weights that are all 0."""
        return self.update / self.weight if self.weight else None

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON."""
        numbers = {k: worded(getattr(self, k)) for k in ("grad", "update", "weight", "ratio")}
        return {"name": self.name, **numbers}


@dataclass
class NextStep:
    """One step: its number, the highest lr, the loss of its rows before and after, the layers.

    The loss after it is that of the same rows with the same random numbers (dropout), so that the
    two differ by the step alone.  failed: why it was not made; `after` is None then.
    """

    step: int
    lr: float
    before: float | None = None
    after: float | None = None
    layers: list[Moved] = field(default_factory=list)
    failed: str | None = None

    def layer(self, name: str) -> Moved | None:
        """A layer by its name."""
        return next((x for x in self.layers if x.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON."""
        return {
            "step": self.step, "lr": worded(self.lr), "loss_before": worded(self.before),
            "loss_after": worded(self.after), "failed": self.failed,
            "layers": [x.to_json() for x in self.layers],
        }  # fmt: skip


def next_step(trainer: Trainer, data: Any, **how: Any) -> NextStep:
    """The step that `fit` makes next, made by it; the trainer is spent then.

    trainer: whose steps Python makes one by one (compile=False), and whose callbacks are not
    needed.  data, how: as for `fit`; a loader is copied, and stays where it stands.
    """
    seen = _Seen()
    trainer.first_step, trainer.first_epoch = trainer.step, trainer.epoch
    trainer.add_callback(seen)
    trainer.stop_reason = None  # a training that was stopped has a next step, too
    found = NextStep(trainer.step + 1, rate_of(trainer.optimizer))
    try:
        trainer.fit(copy.copy(data), steps=1, progress=False, **how)
    except NonFiniteError as error:
        found.failed, found.before = error.problem, seen.first
        return found
    found.before, found.after, found.layers = trainer.loss_value, seen.after, seen.layers
    return found


def rate_of(optimizer: Optimizer) -> float:
    """The highest learning rate that a step would have now."""
    return max(float(g["lr"]) for g in optimizer.param_groups)


def awake(trainer: Trainer) -> str:
    """Gives rates that a schedule ended with as 0 their full height; says so, or ""."""
    said = ""
    for group in trainer.optimizer.param_groups:
        if not group["lr"] and (full := highest_rate([group])):
            group["lr"] = full
            said = f"The schedule has ended with an lr of 0: the step is one with {full:g}."
    return said


class _Seen(Callback):
    """Looks at one step from both sides."""

    first: float | None = None
    after: float | None = None

    def __init__(self) -> None:
        self.layers: list[Moved] = []

    def on_fit_start(self, trainer: Trainer) -> None:
        assert trainer.loader is not None
        self.group = next(groups(copy.copy(trainer.loader), trainer.accumulate))
        buffers = [d[name]._value for d, name in trainer.buffers if d[name] is not None]
        self.kept = Kept([generator_in_use().state._value, *buffers])
        self.held = [(n or type(m).__name__, [p for _, p in weights_of(m)])
                     for n, m in layers_of(trainer.model)]  # fmt: skip
        self.olds = [[p._value.copy() for p in weights] for _, weights in self.held]
        self.first = self._loss(trainer)

    def on_step_end(self, trainer: Trainer) -> None:
        for (name, weights), olds in zip(self.held, self.olds, strict=True):
            known = [g for p in weights if (g := trainer.grad_norm_of(p)) is not None]
            change = [norm(p._value - old) for p, old in zip(weights, olds, strict=True)]
            self.layers.append(Moved(
                name, math.hypot(*known) if known else None, math.hypot(*change),
                math.hypot(*map(norm, olds)),
            ))  # fmt: skip
        self.after = self._loss(trainer)

    def _loss(self, trainer: Trainer) -> float:
        """Of the step's rows, as the step computes it: with its random numbers, its buffers."""
        self.kept.put_back()
        with no_grad(), quietly():
            each = shares(trainer.objective, self.group)
            parts = [trainer.compute_loss(batch).item() * share
                     for batch, share in zip(self.group, each, strict=True)]  # fmt: skip
        self.kept.put_back()
        return float(sum(parts))
