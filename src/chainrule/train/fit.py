"""The loop of one fit: epochs, steps, validation, files, and the ways in which it can end."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from ..data import DataLoader
from ..ops.core import quietly
from .history import History
from .interrupts import Interrupts
from .limits import Limits
from .progress import Bar
from .recorder import Recorder
from .steps import Done
from .validation import validated

if TYPE_CHECKING:
    from .trainer import Trainer


class Fit:
    """One call of `Trainer.fit`: the data, the limits and the files that belong to it."""

    def __init__(
        self, trainer: Trainer, train: DataLoader, held_out: DataLoader | None, limits: Limits,
        bar: Bar,
    ) -> None:  # fmt: skip
        self.trainer = trainer
        self.train = train
        self.held_out = held_out
        self.limits, self.bar = limits, bar
        self.recorder = None if trainer.run is None else Recorder(trainer, trainer.run)
        steps = limits.steps_in_all(len(train), trainer.accumulate)
        trainer.last_step = None if steps is None else trainer.first_step + steps

    def run(self, signals: Interrupts) -> History:
        """Goes on to the end, whichever it is."""
        trainer = self.trainer
        if self.recorder is not None:
            self.recorder.begin()
        trainer.emit("on_fit_start")
        while (stopped := trainer.stop_reason or self.limits.reached(trainer)) is None:
            whole = not signals.asked and (trainer.trained or self.train_epoch(signals))
            if not whole or not self.end_epoch(signals):
                stopped = "interrupted" if signals.asked else trainer.stop_reason or "steps"
                break
        if self.recorder is not None:
            self.recorder.before_end()
        if trainer.batch and stopped != "interrupted":
            self.end_part()
        self.close(stopped, signals)
        return trainer.history

    def train_epoch(self, signals: Interrupts) -> bool:
        """The rest of an epoch's steps; False if it was left before the last."""
        trainer, limits = self.trainer, self.limits
        if not trainer.batch:
            trainer.sums = {"loss": 0.0, "weight": 0.0, "grad_norm": 0.0, "seconds": 0.0}
            trainer.emit("on_epoch_start")
        start, aside = time.perf_counter(), trainer.compile_seconds + trainer.idle_seconds
        batches = len(self.train)
        with quietly():
            for done in trainer.steps.turns(self.train, self.room):
                now, so_far = time.perf_counter(), trainer.compile_seconds + trainer.idle_seconds
                seconds = now - start - (so_far - aside)
                trainer.sums["seconds"] += seconds
                trainer.fit_seconds += seconds
                start, aside = now, so_far
                self.take_in(done)
                self.show()
                if trainer.batch < batches and (
                    signals.asked or trainer.stop_reason or limits.out_of_steps(trainer)
                ):
                    return False
        trainer.trained = True
        return True

    def show(self) -> None:
        """How far it is."""
        trainer = self.trainer
        done = trainer.step - trainer.first_step
        total = self.limits.steps_in_all(len(self.train), trainer.accumulate)
        note = f"epoch {trainer.epoch - trainer.first_epoch + 1}, loss {trainer.loss_value:.4g}"
        self.bar.at(done, total, note)

    def room(self) -> int:
        """The steps until a callback, a checkpoint or the end needs the state as it is then."""
        trainer = self.trainer
        rhythms = [c.every_steps for c in trainer.listening("on_step_end")]
        if trainer.run is not None and trainer.run.checkpoint_steps is not None:
            rhythms.append(trainer.run.checkpoint_steps)
        left = [every - trainer.step % every for every in rhythms]
        if self.limits.steps is not None:
            left.append(self.limits.steps - (trainer.step - trainer.first_step))
        return max(min(left, default=sys.maxsize), 1)

    def take_in(self, done: Done) -> None:
        """Goes through steps that were made, as if they were made now."""
        trainer = self.trainer
        last = len(done.losses) - 1
        heard = trainer.listening("on_step_end")
        always = [c for c in heard if not c.only_current]
        i = -1
        try:
            for i in range(last + 1):
                trainer.take_in(done, i)
                if i == last and done.error is not None:
                    raise done.error
                for callback in heard if i == last else always:
                    callback.on_step_end(trainer)
                if i == last and self.recorder is not None:
                    self.recorder.after_step()
        finally:
            for rest in range(i + 1, last + 1):  # a callback has raised: the counts stay right
                trainer.take_in(done, rest)

    def end_epoch(self, signals: Interrupts) -> bool:
        """Validation, schedule and the epoch's row; False if the validation was broken off."""
        trainer = self.trainer
        if not self.make_row(signals):
            return False
        trainer.schedule("epoch")
        trainer.close_epoch()
        trainer.emit("on_epoch_end")
        if self.recorder is not None:
            self.recorder.after_epoch()
        return True

    def end_part(self) -> None:
        """The row of an epoch that ends early because the fit does.

        The checkpoint before it does not know of it, so that a resumed fit completes the epoch.
        """
        self.make_row(None)
        self.trainer.close_epoch()
        if self.trainer.run is not None:
            self.trainer.run.log(self.trainer.row)

    def make_row(self, signals: Interrupts | None) -> bool:
        """What the epoch gave, with the validation's results; False if that was broken off."""
        trainer, sums = self.trainer, self.trainer.sums
        row = {
            "epoch": trainer.epoch + 1, "step": trainer.step, "loss": sums["loss"] / sums["weight"],
            "lr": trainer.lr, "grad_norm": sums["grad_norm"], "seconds": sums["seconds"],
        }  # fmt: skip
        trainer.row = row
        if self.held_out is None:
            return True
        results = validated(
            trainer, self.held_out, lambda: signals is not None and bool(signals.asked)
        )
        if results is None:
            return False
        trainer.validation = results
        row.update({f"val_{k}": v for k, v in results.items() if isinstance(v, (int, float))})
        trainer.emit("on_validation_end")
        return True

    def close(self, stopped: str, signals: Interrupts) -> None:
        """How it ended, told to the callbacks and written down."""
        trainer, history = self.trainer, self.trainer.history
        history.stopped = stopped
        if stopped == "interrupted":
            history.interrupted, history.signal = True, signals.asked
            history.message = "stopped; without a run, nothing was saved"
            if trainer.run is not None:
                path = str(trainer.run.path)
                history.message = f"saved; to go on: trainer.resume({path!r}), then fit as before"
            trainer.emit("on_interrupt")
        trainer.emit("on_fit_end")
        if self.recorder is not None:
            self.recorder.end()
        if history.interrupted and trainer.run is not None:
            trainer.run.say(
                f"{trainer.run.name}: stopped by {history.signal} after step {trainer.step}; "
                f"{history.message}"
            )
        trainer.resumed = False
