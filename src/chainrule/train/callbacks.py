"""Callbacks: what happens between the steps, and when."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, ArgumentTypeError
from ..functional.arguments import choice
from .metrics import METRICS
from .weights import copy_weights

if TYPE_CHECKING:
    from .trainer import Trainer

EVENTS = (
    "on_fit_start", "on_epoch_start", "on_step_end", "on_validation_end", "on_epoch_end",
    "on_interrupt", "on_fit_end",
)  # fmt: skip
"""The life of a fit, in order; those in the middle repeat."""


class Callback:
    """Base of everything that looks on while a Trainer trains; every method gets the trainer.

    A subclass writes the methods that it needs; the others cost nothing.  An error in a callback
    goes out of `fit`; the weights are then those of the last whole step.
    What a callback has to remember over a resume it returns from `state_dict`.

    every_steps: how often `on_step_end` finds the state as it is then.  It is called after every
    step, with the right `step`, `loss_value`, `grad_norm` and `lr`.  A compiled fit goes through
    many steps before it tells of them; weights, buffers and the optimizer's state are those of
    `trainer.step` at every multiple of every_steps (1: always), and whenever `trainer.current`.
    What a callback changes or asks for (a stop) at another step comes after the last of them.
    only_current: `on_step_end` is called only where the state is that of `trainer.step`: calls that
    would do nothing cost a few per cent of a tiny step.
    """

    every_steps: int = 1
    only_current: bool = False

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first step; after a resume too."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Before the first step of an epoch."""

    def on_step_end(self, trainer: Trainer) -> None:
        """After an update: `trainer.step`, `trainer.loss_value` and `trainer.grad_norm` are new."""

    def on_validation_end(self, trainer: Trainer) -> None:
        """After the validation data were evaluated: `trainer.row` holds the results."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After an epoch: `trainer.row` is complete and part of the history."""

    def on_interrupt(self, trainer: Trainer) -> None:
        """After Ctrl-C, SIGTERM or SIGUSR1: the step is done and the checkpoint is saved."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """When training has ended, for whatever reason but an error."""

    def summary(self) -> dict[str, Any]:
        """What the result of the run says of this callback; asked when all heard `on_fit_end`."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback: numbers, texts, lists, dicts, tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""


class LambdaCallback(Callback):
    """Functions as a callback, by the name of the event; every_steps: see Callback.

    >>> from chainrule.train import LambdaCallback
    >>> show = LambdaCallback(on_epoch_end=lambda trainer: print(trainer.row["loss"]))
    """

    def __init__(self, *, every_steps: int = 1, **functions: Callable[[Trainer], Any]) -> None:
        self.every_steps = every_steps
        for name, function in functions.items():
            choice("LambdaCallback", "event", name, EVENTS)
            if not callable(function):
                raise ArgumentTypeError(
                    f"LambdaCallback: {name} must be a function",
                    got=type(function).__name__,
                )
            setattr(self, name, function)


class EarlyStopping(Callback):
    """Ends training once a value has not improved for `patience` epochs.

    monitor: a name in the history ('val_loss').  patience: epochs without improvement (5).
    min_delta: what counts as an improvement (> 0.0).  mode: 'min', 'max', or 'auto', which is
    'max' for everything but losses and errors.  restore_best: whether the model gets back the
    weights of the best epoch at the end.  Prechelt 1998.

    >>> from chainrule.train import EarlyStopping
    >>> EarlyStopping("val_accuracy", patience=3).mode
    'max'
    """

    def __init__(
        self, monitor: str = "val_loss", patience: int = 5, min_delta: float = 0.0,
        mode: str = "auto", restore_best: bool = True,
    ) -> None:  # fmt: skip
        choice("EarlyStopping", "mode", mode, ("auto", "min", "max"))
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ArgumentError("EarlyStopping: patience must be a whole number >= 1",
                                got=repr(patience))  # fmt: skip
        if not 0 <= min_delta < math.inf:
            raise ArgumentError("EarlyStopping: min_delta must be >= 0", got=repr(min_delta))
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode_of(monitor) if mode == "auto" else mode
        self.restore_best = restore_best
        self.best: float | None = None
        self.best_epoch = 0
        self.waited = 0
        self.weights: dict[str, Any] | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        """Starts to count again, unless the fit goes on from a checkpoint."""
        if not trainer.resumed:
            self.best, self.best_epoch, self.waited, self.weights = None, 0, 0, None

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Compares, remembers the best weights, and stops when patience is at its end."""
        value = monitored(trainer.row, self.monitor)
        if better(value, self.best, self.mode, self.min_delta):
            self.best, self.best_epoch, self.waited = value, trainer.epoch, 0
            if self.restore_best:
                self.weights = copy_weights(trainer.evaluated_weights())
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.stop("early stopping")

    def on_fit_end(self, trainer: Trainer) -> None:
        """Puts the best weights back; an interrupted fit keeps its own, to go on from."""
        if self.restore_best and self.weights is not None and not trainer.history.interrupted:
            trainer.model.load_state_dict(self.weights)
            if trainer.ema is not None:
                trainer.ema.restart()

    def state_dict(self) -> dict[str, Any]:
        """The best value, when it was, and its weights."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited,
                "weights": self.weights}  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on counting."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.waited, self.weights = state["waited"], state["weights"]


def check_monitors(callbacks: Sequence[Callback], validated: bool) -> None:
    """Raises, before the first step, where a callback waits for what no validation will give."""
    names = [c.monitor for c in callbacks if isinstance(c, EarlyStopping)]
    missing = [name for name in names if name.startswith("val_") and not validated]
    if missing:
        raise ArgumentError(
            f"EarlyStopping: {missing[0]} needs validation data",
            fix="fit(..., validation=...), or EarlyStopping('loss')",
        )


def mode_of(monitor: str) -> str:
    """'min' for losses, gradient norms and metrics that measure errors, 'max' for the rest."""
    name = monitor.removeprefix("val_")
    if name in METRICS:
        return "max" if METRICS[name].higher_is_better else "min"
    return "min" if name.endswith(("loss", "error", "grad_norm")) else "max"


def better(value: float, best: float | None, mode: str, min_delta: float = 0.0) -> bool:
    """Whether a value improves on the best so far by more than min_delta."""
    if best is None:
        return not math.isnan(value)
    return value < best - min_delta if mode == "min" else value > best + min_delta


def monitored(row: Mapping[str, Any], monitor: str) -> float:
    """The monitored value of an epoch; raises with the names that there are."""
    value = row.get(monitor)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        numbers = [k for k, v in row.items() if isinstance(v, (int, float))]
        raise ArgumentError(
            f"the history has no number called {monitor!r} to monitor",
            expected=", ".join(numbers),
            fix="fit(..., validation=...)" if monitor.startswith("val_") else None,
        )
    return float(value)
