"""Show: the callback that fills the facts and hands them to a screen.

What happens inside the layers it takes from `train.Watch`; the judgement comes from the rules of
`diagnosis`.  Redrawing is bounded by time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ...train import Callback, Watch
from .facts import Facts
from .verdict import Judge

if TYPE_CHECKING:
    from ...train import Trainer

SELDOM = 1 << 40  # steps, for which the weights need not be seen


class Show(Callback):
    """Fills `facts` from a Trainer and hands them to a screen (see screen.py).

    It needs no weights, so compiled steps run on (`every_steps`).
    """

    every_steps = SELDOM

    def __init__(self, facts: Facts, watch: Watch, screen: Any, total_steps: int) -> None:
        self.facts, self.watch, self.screen = facts, watch, screen
        self.total_steps = total_steps
        self.judge = Judge(watch)
        self.spent = 0.0  # seconds in here
        self.start = 0.0
        self.first_step = 0

    def on_fit_start(self, trainer: Trainer) -> None:
        """Takes over the epochs before a resume."""
        self.start = time.perf_counter()
        self.first_step = trainer.step
        for row in trainer.history.rows:
            self._append(row)
        self._progress(trainer)
        self.screen.begin(self.facts)

    def on_step_end(self, trainer: Trainer) -> None:
        """Redraws if it is time."""
        began = time.perf_counter()
        spent = self.spent + self.watch.spent
        if self.screen.due(began, began - self.start, spent):
            self._progress(trainer)
            self.screen.draw(self.facts)
        self.spent += time.perf_counter() - began

    def on_epoch_end(self, trainer: Trainer) -> None:
        """A new entry of every series, a verdict, and a log line."""
        began = time.perf_counter()
        self._append(trainer.row)
        self._progress(trainer)
        self.facts.epoch = trainer.epoch
        self.facts.verdict = self.judge(self.facts, trainer)
        self.screen.epoch(self.facts)
        self.spent += time.perf_counter() - began

    def on_fit_end(self, trainer: Trainer) -> None:
        """The last state stays on the screen."""
        self._progress(trainer)
        self.facts.epoch = trainer.epoch
        self.facts.eta_s = None if trainer.history.interrupted else 0.0
        self.screen.end(self.facts)

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
        f.overhead = (self.spent + self.watch.spent) / elapsed if elapsed > 0 else 0.0
        f.compiled, f.compile_s = trainer.compile, trainer.compile_seconds
        f.cached, f.threads = trainer.compile_cached, trainer.threads
        if self.watch.looks:
            look = self.watch.looks[-1]
            f.layers, f.lifted = look.layers, self.watch.top_lr / look.lr if look.lr > 0 else 1.0
        trained = elapsed - trainer.compile_seconds
        if done and trained > 0:
            f.eta_s = trained / done * max(self.total_steps - trainer.step, 0)
            f.samples_per_s = done * f.batch_size / trained
            f.steps_per_s = trainer.steps_per_second
