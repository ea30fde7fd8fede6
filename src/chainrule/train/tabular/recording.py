"""What a TableFit writes into its run, and when."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ...errors import NonFiniteError
from ..metrics import METRICS
from ..run import Run

if TYPE_CHECKING:
    from .fitting import TableFit

ROOM = 3
"""Checkpoints for which there must be room before training starts."""


FAILED = "failed"
"""What stopped a fit whose numbers are not finite any more."""


class Recording:
    """A log line an epoch; checkpoints by steps and by seconds, as `train.Run` was asked for."""

    def __init__(self, fit: TableFit, run: Run) -> None:
        self.fit, self.run = fit, run
        self.saved = (-1, -1)  # steps and epochs of the last checkpoint
        self.saved_at = time.monotonic()

    def begin(self) -> None:
        """Before the first step."""
        fit = self.fit
        self.run.begin(ROOM * fit.checkpoint_bytes(), fit.described(), fit.seed)
        self.run.rewrite_log(fit.rows)

    def room(self) -> int | None:
        """The steps until a checkpoint is due; None: none is due by steps."""
        every = self.run.checkpoint_steps
        return None if every is None else every - self.fit.members.steps % every

    def after_steps(self, ended: bool) -> None:
        """After steps, with which the epoch ended or not."""
        if ended:
            self.run.log(self.fit.rows[-1])
        every = self.run.checkpoint_steps
        old = time.monotonic() - self.saved_at >= self.run.checkpoint_seconds
        if (ended and old) or (every is not None and self.fit.members.steps % every == 0):
            self.save()

    def before_end(self) -> None:
        """The state as it is when the steps are over."""
        if self.saved != self._now():
            self.save()

    def save(self) -> None:
        """A checkpoint of the whole state."""
        self.run.checkpoints.save(self.fit.state_dict(), score=self.score())
        self.saved, self.saved_at = self._now(), time.monotonic()

    def failed(self, error: NonFiniteError, advised_lr: float) -> None:
        """Why the fit ended without a model, for whoever judges the run later."""
        with suppress(OSError):
            self.run.write_result(
                stopped=FAILED, error=error.problem, origin=error.got, advised_lr=advised_lr
            )

    def score(self) -> float | None:
        """How good the last epoch is (larger is better); None in the middle of an epoch."""
        if not self.fit.rows or self.fit.members.made:
            return None
        name = judged_in(self.fit.rows[-1])
        value = self.fit.rows[-1][name]
        if not math.isfinite(value):
            return None
        metric = METRICS.get(name.removeprefix("val_"))
        return value if metric is not None and metric.higher_is_better else -value

    def _now(self) -> tuple[int, int]:
        return self.fit.members.steps, self.fit.members.epoch


def judged_in(row: dict[str, object]) -> str:
    """What an epoch's row calls the score of the held-out rows."""
    return next(name for name in row if name.startswith("val_"))
