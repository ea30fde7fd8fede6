"""Show: the callback that fills the facts and hands them to a screen.

What happens inside the layers it takes from `train.Watch`; the judgement comes from the rules of
`diagnosis`.  Redrawing is bounded by time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import ChainruleError
from ...train import Callback, Watch
from ..terminal import Line
from .facts import Facts
from .verdict import Judge

if TYPE_CHECKING:
    from ...train import Trainer
    from ...train.watch import Look

SELDOM = 1 << 40  # steps, for which the weights need not be seen
POLL_S = 0.05  # between two looks at the keyboard, and at the clock for the next redraw
SHORT, APART, SHARE = 100, 3, 4
"""Epochs of fewer steps are judged every third time; after many only when there is so much more."""
MOVED = ("grad", "weight", "update", "ratio")  # of a layer, in a step
KNOWN_S = 0.5  # before, the share of the time that watching takes says only how a fit begins

Answer = Callable[[Any], Sequence[Line]]
"""What a key does: a function of the Trainer that gives lines to say."""


def _after(epoch: int) -> int:
    return epoch + max(APART, epoch // SHARE)


class Show(Callback):
    """Fills `facts` from a Trainer and hands them to a screen (see screen.py).

    It needs no weights, so compiled steps run on (`every_steps`).

    answers: by key, besides p (wait, and go on) and q (end as Ctrl-C does).  A key is answered
    where the state is that of a whole step, and the time that it takes is no part of any time told.
    """

    every_steps = SELDOM
    only_current = True

    def __init__(
        self, facts: Facts, watch: Watch, screen: Any, total_steps: int,
        answers: Mapping[str, Answer] | None = None,
    ) -> None:  # fmt: skip
        self.facts, self.watch, self.screen = facts, watch, screen
        self.total_steps = total_steps
        self.judge = Judge(watch)
        self.spent = 0.0  # seconds in here
        self.start = self.wake = 0.0
        self.answers = answers or {}
        self.first_step = 0
        self.next = 1  # the epoch to judge where they are short
        self.shown: Look | None = None  # whose layers the facts are

    def on_fit_start(self, trainer: Trainer) -> None:
        """Takes over the epochs before a resume."""
        began = time.perf_counter()
        self.start = self.watch.began or began  # what both cost is told as a share of one time
        self.spent = self.wake = 0.0
        self.first_step, self.next, self.shown = trainer.step, 1, None
        while self.next <= trainer.epoch:
            self.next = _after(self.next)
        for row in trainer.history.rows:
            self._append(row)
        self._progress(trainer)
        self.screen.begin(self.facts)
        self.spent += time.perf_counter() - began

    def on_step_end(self, trainer: Trainer) -> None:
        """Redraws if it is time; does what a key asks for."""
        began = time.perf_counter()
        if began < self.wake:
            return
        self.wake = began + POLL_S
        key = self.screen.key()
        if key is not None:
            self.spent += time.perf_counter() - began
            self._pressed(key, trainer)
            began = time.perf_counter()
        spent = self.spent + self.watch.spent
        if self.screen.due(began, began - self.start - trainer.idle_seconds, spent):
            self._progress(trainer)
            self.screen.draw(self.facts)
        self.spent += time.perf_counter() - began

    def on_epoch_end(self, trainer: Trainer) -> None:
        """A new entry of every series, a verdict, and a log line."""
        began = time.perf_counter()
        self._append(trainer.row)
        self._progress(trainer)
        self.facts.epoch = trainer.epoch
        judged = self._to_judge(trainer)
        if judged:
            self.facts.verdict = self.judge(self.facts, trainer)
        if trainer.epoch >= self.next:
            self.next = _after(trainer.epoch)
        self.screen.epoch(self.facts)
        self.spent += time.perf_counter() - began

    def on_fit_end(self, trainer: Trainer) -> None:
        """The last state stays on the screen."""
        began = time.perf_counter()
        if trainer.history.rows:
            self.facts.verdict = self.judge(self.facts, trainer)
        self.spent += time.perf_counter() - began
        self._progress(trainer)
        if trainer.step > self.first_step:
            self.facts.overhead = self._overhead(trainer)
        self.facts.epoch = trainer.epoch
        self.facts.eta_s = None if trainer.history.interrupted else 0.0
        self.screen.end(self.facts)

    def summary(self) -> dict[str, Any]:
        """The share of the time that the last screen says: of watching, and of showing it."""
        told = self.facts.overhead
        return {"watch_overhead": None if told is None else round(told, 4)}

    def _overhead(self, trainer: Trainer) -> float:
        """The share of the time of this fit so far that watching and showing took."""
        elapsed = time.perf_counter() - self.start - trainer.idle_seconds
        return (self.spent + self.watch.spent) / elapsed if elapsed > 0 else 0.0

    def _to_judge(self, trainer: Trainer) -> bool:
        """Whether the rules are asked after this epoch: where epochs are short not after each.

        A question of numbers alone, so that two runs of one seed log the same verdicts.
        """
        steps = trainer.step / max(trainer.epoch, 1)
        last = trainer.epoch == self.facts.epochs
        return steps >= SHORT or trainer.epoch >= self.next or last

    def _pressed(self, key: str, trainer: Trainer) -> None:
        """Answers, and waits as long as it is paused; a signal ends the waiting."""
        began = time.perf_counter()
        self._answer(key, trainer)
        while self.facts.paused and self.screen.hears and not trainer.interrupted:
            held = self.screen.key(POLL_S)
            if held is not None:
                self._answer(held, trainer)
        self.facts.paused = False
        trainer.idle_seconds += time.perf_counter() - began

    def _answer(self, key: str, trainer: Trainer) -> None:
        if key == "q":
            trainer.interrupt("the key q")
        elif key == "p":
            self.facts.paused = not self.facts.paused
        elif key in self.answers:
            try:
                self.screen.say(self.answers[key](trainer))
            except (ChainruleError, OSError) as error:  # training goes on without the answer
                self.screen.say([[(line, "")] for line in f"error: {error}".splitlines()])
        else:
            return
        self._progress(trainer)
        self.screen.draw(self.facts)

    def _layers(self) -> None:
        """The last look's; what only others have, from the last of those: the look that closes a
        fit has no step to say the ratio of, a brief one no probe."""
        looks, f = self.watch.looks, self.facts
        step = next((x for x in reversed(looks) if not x.closing), None)
        if step is None or looks[-1] is self.shown:
            return
        self.shown = looks[-1]
        f.lifted = self.watch.top_lr / step.lr if step.lr > 0 else 1.0
        probed = next((x for x in reversed(looks) if x.probe is not None), step)
        f.moved_at, f.probed = step.step, probed.when
        moved = {x.name: {n: getattr(x, n) for n in MOVED} for x in step.layers}
        f.layers = step.layers
        if probed is not step:
            f.layers = [replace(x, **moved.get(x.name, {})) for x in probed.layers]

    def _append(self, row: dict[str, Any]) -> None:
        f = self.facts
        f.loss.values.append(row["loss"])
        if "val_loss" in row:
            f.val_loss.values.append(row["val_loss"])
        if "val_accuracy" in row:
            f.val_acc.values.append(row["val_accuracy"])

    def _progress(self, trainer: Trainer) -> None:
        f = self.facts
        elapsed = time.perf_counter() - self.start - trainer.idle_seconds
        done = trainer.step - self.first_step
        f.epoch = min(trainer.epoch + 1, f.epochs)
        f.step = trainer.step
        f.lr = trainer.lr
        f.progress = min(trainer.step / max(self.total_steps, 1), 1.0)
        f.overhead = self._overhead(trainer) if elapsed > KNOWN_S else None
        f.compiled, f.compile_s = trainer.compile, trainer.compile_seconds
        f.cached, f.threads = trainer.compile_cached, trainer.threads
        self._layers()
        trained = elapsed - trainer.compile_seconds
        if done and trained > 0:
            f.eta_s = trained / done * max(self.total_steps - trainer.step, 0)
            f.samples_per_s = done * f.batch_size / trained
            f.steps_per_s = trainer.steps_per_second
