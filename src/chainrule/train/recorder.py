"""What a Trainer writes into its run, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .callbacks import EarlyStopping, better, mode_of
from .run import Run
from .state import capture, size_bytes

if TYPE_CHECKING:
    from .trainer import Trainer

ROOM = 3
"""Checkpoints for which there must be room before training starts."""


class Recorder:
    """Files at the right moments: log and checkpoint after an epoch, the model when it is better.

    model.safetensors holds what `fit` leaves in the model: the best weights where EarlyStopping
    puts them back, else the last; the average of the weights where there is one.
    """

    def __init__(self, trainer: Trainer, run: Run) -> None:
        self.trainer = trainer
        self.run = run
        stoppers = [c for c in trainer.callbacks if isinstance(c, EarlyStopping)]
        self.stopper = stoppers[0] if stoppers else None

    def begin(self) -> None:
        """Before the first step."""
        trainer = self.trainer
        self.run.begin(ROOM * size_bytes(trainer), describe(trainer), trainer.seed)
        self.run.rewrite_log(trainer.history.rows)
        (self.run.path / "result.json").unlink(missing_ok=True)

    def after_step(self) -> None:
        """A checkpoint every so many steps, where that was asked for."""
        every = self.run.checkpoint_steps
        if every is not None and self.trainer.step % every == 0:
            self.save()

    def after_epoch(self) -> None:
        """The log, the model if this epoch's is to be kept, and a checkpoint."""
        self.run.log(self.trainer.row)
        best = self.is_best()
        if best or self.stopper is None or not self.stopper.restore_best:
            self.save_model()
        self.save(best=best)

    def end(self) -> None:
        """When the fit is over."""
        trainer, history = self.trainer, self.trainer.history
        if not history.interrupted or not history.rows:
            self.save_model()
        self.run.write_result(
            stopped=history.stopped,
            epochs=trainer.epoch,
            steps=trainer.step,
            last=history.last,
        )

    def save(self, *, best: bool = False) -> None:
        """A checkpoint of the whole state."""
        self.run.checkpoints.save(capture(self.trainer), best=best)

    def save_model(self) -> None:
        """The weights as they are evaluated."""
        trainer = self.trainer
        about = {"epoch": str(trainer.epoch), "step": str(trainer.step),
                 "weights": "last" if trainer.ema is None else "ema"}  # fmt: skip
        self.run.save_model(trainer.evaluated_weights(), about)

    def is_best(self) -> bool:
        """Whether the last epoch is the best so far, by what is monitored, or else by the loss."""
        rows = self.trainer.history.rows
        if self.stopper is not None:
            name, mode, delta = (
                self.stopper.monitor,
                self.stopper.mode,
                self.stopper.min_delta,
            )
        else:
            name = "val_loss" if "val_loss" in rows[-1] else "loss"
            mode, delta = mode_of(name), 0.0
        best: float | None = None
        improved = False
        for row in rows:
            improved = name in row and better(row[name], best, mode, delta)
            best = row[name] if improved else best
        return improved


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
        "callbacks": [type(c).__name__ for c in trainer.callbacks],
    }


def _plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, tuple, type(None)))
