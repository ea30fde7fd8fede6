"""What a Trainer writes into its run, and when."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .callbacks import EarlyStopping
from .run import Run
from .state import capture, size_bytes

if TYPE_CHECKING:
    from .trainer import Trainer

ROOM = 3
"""Checkpoints for which there must be room before training starts."""


class Recorder:
    """Files at the right moments: a log line an epoch, model and checkpoint at most once a second.

    model.safetensors holds what `fit` leaves in the model: the best weights where EarlyStopping
    puts them back, else the last; the average of the weights where there is one.
    """

    def __init__(self, trainer: Trainer, run: Run) -> None:
        self.trainer = trainer
        self.run = run
        self.saved = (-1, -1)  # step and epoch of the last checkpoint
        self.saved_at = time.monotonic()
        stoppers = [c for c in trainer.callbacks if isinstance(c, EarlyStopping)]
        self.stopper = stoppers[0] if stoppers else None

    def begin(self) -> None:
        """Before the first step."""
        trainer = self.trainer
        self.run.begin(room_bytes(trainer), describe(trainer), trainer.seed)
        self.run.rewrite_log(trainer.history.rows)

    def after_step(self) -> None:
        """A checkpoint every so many steps, where that was asked for."""
        every = self.run.checkpoint_steps
        if every is not None and self.trainer.step % every == 0:
            self.save()

    def after_epoch(self) -> None:
        """The log line; the model and a checkpoint, unless the last are very recent."""
        self.run.log(self.trainer.row)
        if time.monotonic() - self.saved_at >= self.run.checkpoint_seconds:
            self.save_model()
            self.save()

    def before_end(self) -> None:
        """The state as it is when the steps are over, before anything is put back."""
        if self.saved != (self.trainer.step, self.trainer.epoch):
            self.save()

    def end(self) -> None:
        """When the fit is over."""
        trainer, history = self.trainer, self.trainer.history
        self.save_model()
        self.run.write_result(
            stopped=history.stopped, epochs=trainer.epoch, steps=trainer.step, last=history.last,
            compiled=trainer.compile, compile_seconds=trainer.compile_seconds,
            compile_cached=trainer.compile_cached,
            steps_per_second=trainer.steps_per_second, threads=trainer.threads,
            **{k: v for c in trainer.callbacks for k, v in c.summary().items()},
        )  # fmt: skip

    def save(self) -> None:
        """A checkpoint of the whole state."""
        self.run.checkpoints.save(capture(self.trainer), score=self.score())
        self.saved = (self.trainer.step, self.trainer.epoch)
        self.saved_at = time.monotonic()

    def save_model(self) -> None:
        """The weights as fit leaves them, if it were to end now."""
        trainer, stopper = self.trainer, self.stopper
        about = {"epoch": str(trainer.epoch), "step": str(trainer.step),
                 "weights": "last" if trainer.ema is None else "ema"}  # fmt: skip
        weights = trainer.evaluated_weights()
        if stopper is not None and stopper.weights is not None:
            weights = stopper.weights
            about |= {"epoch": str(stopper.best_epoch), "best": stopper.monitor}
            del about["step"]
        self.run.save_model(weights, about)

    def score(self) -> float | None:
        """How good the last epoch is (larger is better); None in the middle of an epoch."""
        rows = self.trainer.history.rows
        if not rows or self.trainer.batch:
            return None
        name = "val_loss" if "val_loss" in rows[-1] else "loss"
        mode = "min"
        if self.stopper is not None:
            name, mode = self.stopper.monitor, self.stopper.mode
        value = rows[-1].get(name)
        return None if value is None else float(value if mode == "max" else -value)


def room_bytes(trainer: Trainer) -> int:
    """What must be free on the disk before a fit begins."""
    return ROOM * size_bytes(trainer)


def describe(trainer: Trainer) -> dict[str, Any]:
    """The trainer's parts, for config.json."""
    optimizer = trainer.optimizer
    settings = [{k: v for k, v in g.items() if _plain(v)} for g in optimizer.param_groups]
    scheduler = trainer.scheduler
    return {
        "model": repr(trainer.model),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "loss": getattr(trainer.loss, "__name__", None) or repr(trainer.loss),
        "optimizer": {"name": type(optimizer).__name__, "groups": settings},
        "scheduler": None if scheduler is None else type(scheduler).__name__,
        "schedule_by": trainer.schedule_by,
        "clip_grad_norm": trainer.clip_grad_norm,
        "clip_grad_value": trainer.clip_grad_value,
        "accumulate": trainer.accumulate,
        "ema": None if trainer.ema is None else trainer.ema.decay,
        "metrics": [m.name for m in trainer.metrics],
        "seed": trainer.seed,
        "compile": trainer.compile,
        "callbacks": [type(c).__name__ for c in trainer.callbacks],
    }


def _plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, tuple, type(None)))
