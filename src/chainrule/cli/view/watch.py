"""Watch: the callback that fills the facts, and keeps what that costs small.

Once an epoch, but not more often than every EVERY steps, it looks at the first step of the epoch:
the norms of the gradients and of the updates, and a probe.  Which steps those are follows from the
numbers of steps alone, so two runs of one seed say the same.  Redrawing is bounded by time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ...train import Callback
from .facts import Facts, LayerFacts
from .probe import Probe
from .verdict import judge

if TYPE_CHECKING:
    from ...train import Trainer

EVERY = 100  # steps between two looks inside
SELDOM = 1 << 40  # steps, for which the weights need not be seen


class Watch(Callback):
    """Fills `facts` from a Trainer and hands them to a screen (see screen.py).

    Between two looks inside it needs no weights, so compiled steps run on (`every_steps`).
    """

    every_steps = SELDOM

    def __init__(self, facts: Facts, probe: Probe, screen: Any, total_steps: int) -> None:
        self.facts, self.probe, self.screen = facts, probe, screen
        self.total_steps = total_steps
        self.spent = 0.0  # seconds in here
        self.start = 0.0
        self.first_step = 0
        self.next_look = 0
        self.top_lr = 0.0
        self.before: list[Any] | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        """Takes over the epochs before a resume."""
        self.start = time.perf_counter()
        self.first_step = trainer.step
        self.next_look = trainer.step
        for row in trainer.history.rows:
            self._append(row)
        self._progress(trainer)
        self.screen.begin(self.facts)

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Remembers the weights if the first step of this epoch is to be looked at."""
        began = time.perf_counter()
        if trainer.step >= self.next_look:
            self.before = [s.linear.weight._value.copy() for s in self.probe.stages]
            self.next_look = trainer.step + EVERY
            self.every_steps = 1
        self.spent += time.perf_counter() - began

    def on_step_end(self, trainer: Trainer) -> None:
        """Looks inside if it is time, and redraws if it is time."""
        began = time.perf_counter()
        self.top_lr = max(self.top_lr, trainer.lr)
        if self.before is not None:
            self._look(trainer, self.before)
            self.before, self.every_steps = None, SELDOM
        if self.screen.due(began, began - self.start, self.spent):
            self._progress(trainer)
            self.screen.draw(self.facts)
        self.spent += time.perf_counter() - began

    def on_epoch_end(self, trainer: Trainer) -> None:
        """A new entry of every series, a verdict, and a log line."""
        began = time.perf_counter()
        self._append(trainer.row)
        self._progress(trainer)
        self.facts.epoch = trainer.epoch
        self.facts.verdict = judge(self.facts)
        self.screen.epoch(self.facts)
        self.spent += time.perf_counter() - began

    def on_fit_end(self, trainer: Trainer) -> None:
        """The last state stays on the screen."""
        self._progress(trainer)
        self.facts.epoch = trainer.epoch
        self.facts.eta_s = None if trainer.history.interrupted else 0.0
        self.screen.end(self.facts)

    def _look(self, trainer: Trainer, before: list[Any]) -> None:
        layers = self.probe.measure()
        for layer, stage, old in zip(layers, self.probe.stages, before, strict=True):
            weight = stage.linear.weight
            layer.grad = trainer.grad_norm_of(weight)
            size = float(np.linalg.norm(old))
            if size:
                self._ratio(layer, float(np.linalg.norm(weight._value - old)) / size, trainer.lr)
        self.facts.layers = layers

    def _ratio(self, layer: LayerFacts, ratio: float, lr: float) -> None:
        """A low lr that the schedule asks for is no fault: judged at the highest lr so far."""
        layer.ratio = ratio
        layer.judged = ratio * self.top_lr / lr if lr > 0 else None

    def _append(self, row: dict[str, Any]) -> None:
        f = self.facts
        f.loss.values.append(row["loss"])
        if "val_loss" in row:
            f.val_loss.values.append(row["val_loss"])
        if "val_accuracy" in row:
            f.val_acc.values.append(row["val_accuracy"])

    def _progress(self, trainer: Trainer) -> None:
        f = self.facts
        elapsed = time.perf_counter() - self.start
        done = trainer.step - self.first_step
        f.epoch = min(trainer.epoch + 1, f.epochs)
        f.step = trainer.step
        f.lr = trainer.lr
        f.progress = min(trainer.step / max(self.total_steps, 1), 1.0)
        f.overhead = self.spent / elapsed if elapsed > 0 else 0.0
        f.compiled, f.compile_s = trainer.compile, trainer.compile_seconds
        f.cached, f.threads = trainer.compile_cached, trainer.threads
        trained = elapsed - trainer.compile_seconds
        if done and trained > 0:
            f.eta_s = trained / done * max(self.total_steps - trainer.step, 0)
            f.samples_per_s = done * f.batch_size / trained
            f.steps_per_s = trainer.steps_per_second
