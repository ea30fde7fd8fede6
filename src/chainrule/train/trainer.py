"""Trainer: the loop that everybody writes, with what it takes to end well.

`fit` goes through epochs, an epoch through steps: `compiled.training_step`, run many at a time in
machine code, or `steps.EagerSteps`, as one would write it by hand.  Everything that a later step
depends on is in `state.capture`, so that a fit stopped at any step and resumed ends with the same
bits.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from ..data import DataLoader
from ..errors import ArgumentError, ArgumentTypeError, NonFiniteError, StateError
from ..functional.arguments import choice
from ..nn import Module
from ..ops.core import is_number
from ..optim import Optimizer
from ..tensor.core import Tensor
from ..tensor.random import Generator, drawing_from, generator_in_use
from .callbacks import EVENTS, Callback, check_monitors
from .compiled import CompiledSteps
from .evaluation import OnBad, evaluate, mode, predict
from .fit import Fit
from .guard import Diverged, Guard
from .history import History
from .inputs import (
    EVALUATION_BATCH,
    Batch,
    as_input,
    as_loader,
    check_finite,
    check_model_and_loss,
    column_names,
)
from .interrupts import Interrupts
from .limits import Limits
from .losses import RowWeighted, with_weights
from .metrics import as_metric
from .progress import Bar
from .run import Run, open_run
from .state import capture, restore
from .steps import Done, EagerSteps
from .weights import EMA

USUAL = (32, True)
"""batch_size and shuffle of data to learn from, where they are not said."""


class Trainer:
    """Trains a model: `Trainer(model, loss, optimizer).fit((x, y), epochs=10)`.

    model: Module.  loss: Module or function of (prediction, target).  optimizer: Optimizer of the
    model's parameters.  scheduler: stepped every 'epoch' or 'step' (schedule_by);
    ReduceLROnPlateau gets the validation loss.  metrics: names or Metrics, on validation data.
    callbacks: see Callback.  clip_grad_norm, clip_grad_value: limits of the gradient.
    accumulate: batches a step; the gradient is that of one batch as large as all of them.
    ema: decay of a moving average of the weights, used to evaluate and to save.  run: a Run that
    gets the files, or None.  seed: makes shuffling and dropout the same on every run and
    independent of other threads; None draws from the default generator.
    compile: whether the whole step becomes one program in machine code, which runs through many
    steps of data in memory by itself; the losses are those of compile=False but for rounding.
    Raises TraceError where the step can't be compiled.  PyTorch leaves this loop to the user.

    >>> import chainrule
    >>> from chainrule import nn, optim
    >>> _ = chainrule.manual_seed(0)
    >>> x = chainrule.randn(64, 2)
    >>> y = x.sum(1, keepdim=True)
    >>> model = nn.Linear(2, 1)
    >>> trainer = chainrule.train.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters(), 0.1))
    >>> history = trainer.fit((x, y), epochs=30, batch_size=16)
    >>> history["loss"][-1] < 1e-3
    True
    """

    def __init__(
        self, model: Module, loss: Callable[..., Tensor], optimizer: Optimizer, *,
        scheduler: Any = None, schedule_by: str = "epoch", metrics: Sequence[Any] = (),
        callbacks: Sequence[Callback] = (), clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None, accumulate: int = 1, ema: float | None = None,
        run: Run | None = None, seed: int | None = None, compile: bool = True,
    ) -> None:  # fmt: skip
        _check_parts(model, loss, optimizer, accumulate)
        _check_limits({"clip_grad_norm": clip_grad_norm, "clip_grad_value": clip_grad_value})
        choice("Trainer", "schedule_by", schedule_by, ("epoch", "step"))
        self.model = model
        self.loss = loss
        self.weighted: RowWeighted | None = None  # the loss in a fit with sample_weight
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.schedule_by = schedule_by
        self.metrics = [as_metric(m) for m in metrics]
        self.callbacks: list[Callback] = []
        self.clip_grad_norm = clip_grad_norm
        self.clip_grad_value = clip_grad_value
        self.accumulate = accumulate
        self.ema = None if ema is None else EMA(model, ema)
        self.run: Run | None = None if run is None else open_run(run)
        self.seed = seed
        self.generator = None if seed is None else Generator().manual_seed(seed)

        self.epoch = 0  # whole epochs done
        self.step = 0  # updates done
        self.batch = 0  # batches of the epoch done
        self.loss_value = math.nan  # of the last step
        self.grad_norm = math.nan  # of the last step, before clipping
        self.row: dict[str, Any] = {}
        self.history = History()
        self.resumed = False
        self.first_epoch = self.first_step = 0  # where this fit began
        self.last_step: int | None = None  # where this fit ends at the latest, where that is known
        self.fit_steps, self.fit_seconds = 0, 0.0  # of the last call of fit
        self.idle_seconds = 0.0  # of it, what callbacks waited for a person: no part of any time
        self.signals: Interrupts | None = None  # of the fit that goes on
        self.sums: dict[str, float] = {}
        self.guard = Guard()
        self.stop_reason: str | None = None  # what a callback said
        self.loader: DataLoader | None = None
        self.pending: dict[str, Any] | None = None  # what a resumed fit still has to take up
        self.parameters = [p for g in optimizer.param_groups for p in g["params"]]
        self.validation: dict[str, Any] = {}  # all results of the last validation
        self.trained = False  # the epoch's steps are done, its end is not
        self.buffers: list[tuple[dict[str, Any], str]] = []
        self.current = True  # whether weights and state are those after `step`, not a later one
        self.compile = compile
        self.steps = CompiledSteps(self) if compile else EagerSteps(self)
        self._sizes: Sequence[float] = ()
        self._rate: float | None = None  # after `step`, where the optimizer's is of a later one
        self._listeners: dict[str, list[Callback]] = {event: [] for event in EVENTS}
        for callback in callbacks:
            self.add_callback(callback)
        self._by_metric = scheduler is not None and _wants_metric(scheduler)
        if self._by_metric and schedule_by == "step":
            raise ArgumentError(
                "Trainer: this scheduler looks at the validation loss, which an epoch gives",
                expected="schedule_by='epoch'", got="schedule_by='step'",
            )  # fmt: skip

    # ------------------------------------------------------------ training

    def fit(
        self, train: Any, *, validation: Any = None, epochs: int | None = None,
        steps: int | None = None, tol: float | None = None, grad_tol: float | None = None,
        batch_size: int | None = None, shuffle: bool | None = None, sample_weight: Any = None,
        progress: bool | None = None,
    ) -> History:  # fmt: skip
        """Trains until the first of: `epochs`, `steps`, convergence, a callback, Ctrl-C.

        train, validation: a DataLoader, a Dataset, or a tuple (x, y), (x1, x2, ..., y) or
        ((x1, x2, ...), y) of arrays, frames or tensors.  tol: ends when the loss changes by less
        from one epoch to the next.  grad_tol: ends when every gradient norm of an epoch is below.
        batch_size (32), shuffle (True): for data that come without a DataLoader, which has its own.
        sample_weight: w (rows,) >= 0 for arrays; the loss of a batch is then sum_i w_i l_i /
        sum_i w_i, and validation stays as it is.  After `resume` it goes on where the checkpoint
        was, and all limits count from the start of the fit that was interrupted.  progress: a bar
        with rate and time left (None: where stderr is a terminal).
        Raises NonFiniteError for data or steps that are not finite.
        """
        limits = Limits(epochs, steps, tol, grad_tol)
        with drawing_from(self.generator):
            names, weighted = column_names(train), None
            if sample_weight is not None:
                train = with_weights(train, sample_weight, self.model)
                weighted = self.weighted  # the same as before is the same program
                if weighted is None or weighted.loss is not self.loss:
                    weighted = RowWeighted(self.loss)
            loader = as_loader(train, self.model, batch_size, shuffle, self.generator, USUAL)
            check_finite(loader.dataset, "the training data", names)
            held_out = None
            if validation is not None:
                held_out = as_loader(validation, self.model, None, None, None)
                check_finite(held_out.dataset, "the validation data", column_names(validation))
            check_monitors(self.callbacks, held_out is not None)
            self.weighted = weighted
            with self.run.alone() if self.run is not None else nullcontext():
                self._begin(loader)
                bar = Bar("fit", "steps", live=progress)
                with mode(self.model, True), Interrupts() as self.signals, bar:
                    try:
                        return Fit(self, loader, held_out, limits, bar).run(self.signals)
                    except NonFiniteError as error:
                        self._failed(error)
                        raise
                    finally:
                        self.signals = None

    def _failed(self, error: NonFiniteError) -> None:
        """Keeps why the fit ended, for whoever judges it later."""
        told = f"{error.problem}; {error.got}" if error.got else error.problem
        self.history.stopped, self.history.message = "failed", told
        advised = error.advised_lr if isinstance(error, Diverged) else None
        self.history.advised_lr = advised
        if self.run is not None:
            with suppress(OSError):
                self.run.write_result(
                    stopped="failed", error=error.problem, origin=error.got, advised_lr=advised
                )

    def take_in(self, done: Done, i: int) -> None:
        """Counts one of the steps that were made: counters, sums, what the guard remembers."""
        loss, norm, weight = done.losses[i], done.norms[i], done.weights[i]
        self.step += 1
        self.fit_steps += 1
        self.batch += done.batches
        self.loss_value, self.grad_norm, self._sizes = loss, norm, done.sizes[i]
        self.guard.passed(loss, norm)
        sums = self.sums
        sums["loss"] += loss * weight
        sums["weight"] += weight
        sums["grad_norm"] = max(sums["grad_norm"], norm)
        self.current = i == len(done.losses) - 1
        self._rate = None if self.current or done.rates is None else done.rates[i]

    def compute_loss(self, batch: Batch) -> Tensor:
        """The loss of one batch (x1, ..., y), or (x1, ..., w, y) in a weighted fit."""
        x, y = self.split(batch)
        loss = self.objective(self.model(*x), *y)
        if not isinstance(loss, Tensor) or loss._value.size != 1:
            raise ArgumentTypeError(
                "Trainer: the loss must give a Tensor with one element",
                got=f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__,
                fix="reduction='mean'" if isinstance(loss, Tensor) else None,
            )
        return loss

    @property
    def objective(self) -> Any:
        """What is minimized: the loss, over weighted rows in a fit with sample_weight."""
        return self.loss if self.weighted is None else self.weighted

    def split(self, batch: Batch) -> tuple[Batch, Batch]:
        """The model's inputs, and what the objective gets besides its output."""
        if self.weighted is not None:
            return batch[:-2], (batch[-1], batch[-2])
        return batch[:-1], batch[-1:]

    def schedule(self, after: str) -> None:
        """The schedule's step after an 'epoch' or a 'step'."""
        if self.scheduler is None or self.schedule_by != after:
            return
        if self._by_metric:
            self.scheduler.step(self.row.get("val_loss", self.row["loss"]))
        else:
            self.scheduler.step()

    def close_epoch(self) -> None:
        """Counts the epoch and takes its row into the history."""
        self.epoch += 1
        self.batch, self.trained = 0, False
        self.history.rows.append(self.row)

    # ------------------------------------------------------------ around it

    @property
    def lr(self) -> float:
        """The learning rate of the first parameter group."""
        if self._rate is not None:
            return self._rate
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def compile_seconds(self) -> float:
        """How long recording and building the programs of this trainer took so far."""
        return self.steps.step.seconds if isinstance(self.steps, CompiledSteps) else 0.0

    @property
    def compile_cached(self) -> bool:
        """Whether all compiled code was found where an earlier run has left it."""
        return isinstance(self.steps, CompiledSteps) and self.steps.cached

    @property
    def threads(self) -> int | None:
        """How many threads compiled steps run on; None where nothing is compiled."""
        return self.steps.threads if isinstance(self.steps, CompiledSteps) else None

    @property
    def steps_per_second(self) -> float:
        """Steps of this fit in a second, without validation and compilation."""
        return self.fit_steps / self.fit_seconds if self.fit_seconds > 0 else 0.0

    def grad_norm_of(self, parameter: Tensor) -> float | None:
        """The norm of a parameter's gradient at the last step, before clipping; None: no such."""
        places = [i for i, p in enumerate(self.parameters) if p is parameter]
        return math.sqrt(self._sizes[places[0]]) if places and len(self._sizes) else None

    def stop(self, reason: str = "a callback") -> None:
        """Ends the fit after this step (from `on_step_end`; see Callback.every_steps) or epoch."""
        self.stop_reason = reason

    def interrupt(self, by: str) -> None:
        """Ends the fit after this step (see `stop`) as Ctrl-C does: saved, to be gone on with.

        by: what `history.signal` says then.  Does nothing where no fit goes on.
        """
        if self.signals is not None and self.signals.asked is None:
            self.signals.asked = by

    @property
    def interrupted(self) -> bool:
        """Whether the fit that goes on ends after this step, by a signal or `interrupt`."""
        return self.signals is not None and self.signals.asked is not None

    def evaluated_weights(self) -> dict[str, Tensor]:
        """The state_dict that is evaluated and saved: with the average, where there is one."""
        weights = dict(self.model.state_dict())
        return weights if self.ema is None else {**weights, **self.ema.weights}

    def evaluate(self, data: Any, batch_size: int | None = None) -> dict[str, Any]:
        """Loss and metrics on data, in evaluation mode, with the EMA weights where there are some.

        data: a DataLoader, a Dataset or a tuple (x, y).  The loss is the mean over examples.
        """
        loader = as_loader(data, self.model, batch_size, None, None)
        check_finite(loader.dataset, "the data", column_names(data))
        results = self.evaluate_on(loader)
        assert results is not None
        return results

    def evaluate_on(
        self, loader: DataLoader, broken_off: Callable[[], bool] = lambda: False,
        on_bad: OnBad | None = None,
    ) -> dict[str, Any] | None:  # fmt: skip
        """`evaluate` on a loader, without its checks; None if broken off between two batches."""
        with self._averaged(), drawing_from(self.generator):
            return evaluate(self.model, self.loss, self.metrics, loader, broken_off, on_bad)

    def predict(self, x: Any, batch_size: int = EVALUATION_BATCH) -> Tensor:
        """The model's outputs for x (or a tuple of inputs), in evaluation mode, without history."""
        inputs = x if isinstance(x, tuple) else (x,)
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(
                "predict: batch_size must be a whole number >= 1",
                got=repr(batch_size) if is_number(batch_size) else type(batch_size).__name__,
                fix="predict((x1, x2)), for several inputs",
            )  # fmt: skip
        with self._averaged(), drawing_from(self.generator):
            return predict(self.model, tuple(as_input(a, self.model) for a in inputs), batch_size)

    def _averaged(self) -> Any:
        return nullcontext() if self.ema is None else self.ema.applied()

    def _begin(self, loader: DataLoader) -> None:
        """A fit of its own, or the one that a checkpoint belongs to."""
        self.loader = loader
        self.fit_steps, self.fit_seconds, self.idle_seconds = 0, 0.0, 0.0
        self.buffers = [(vars(m), name) for m in self.model.modules() for name in m._buffer_names]
        self.history = History(list(self.history.rows))
        if self.pending is not None:
            if self.pending["loader"] is not None:
                loader.load_state_dict(self.pending["loader"])
            generator_in_use().set_state(self.pending["rng"])
            self.pending = None
        else:
            self.resumed, self.stop_reason = False, None
            self.trained, self.batch = False, 0
            self.first_epoch, self.first_step = self.epoch, self.step
            loader.state_dict()  # draws the seed of the order now, whoever draws next

    def save_checkpoint(self) -> Path | None:
        """Writes the whole state into the run as a new generation; None without a run."""
        return None if self.run is None else self.run.checkpoints.save(capture(self))

    def resume(self, run: Run | str | Path) -> Trainer:
        """Takes up the newest whole checkpoint of a run; `fit` then goes on in its middle.

        The model, optimizer, scheduler, data and arguments of fit must be those of before: then
        the end is the same, bit for bit.  run: a Run, a path or a name in `runs`.
        Raises StateError where the parts differ, FormatError where no checkpoint can be read.
        """
        run = open_run(run)
        restore(self, run.load_state())
        self.run, self.resumed = run, True
        return self

    def add_callback(self, callback: Callback) -> None:
        """One more callback, after those there are; as `Trainer(..., callbacks=[...])`."""
        heard = [event for event in EVENTS if _hears(callback, event)]
        self.callbacks.append(callback)
        for event in heard:
            self._listeners[event].append(callback)

    def listening(self, event: str) -> list[Callback]:
        """The callbacks that hear an event."""
        return self._listeners[event]

    def __repr__(self) -> str:
        loss = getattr(self.loss, "__name__", type(self.loss).__name__)
        parts = f"{type(self.model).__name__}, {loss}, {type(self.optimizer).__name__}"
        return f"Trainer({parts}; epoch {self.epoch}, step {self.step})"

    def emit(self, event: str) -> None:
        """Calls the callbacks that listen to an event."""
        for callback in self._listeners[event]:
            getattr(callback, event)(self)


def _check_parts(model: Any, loss: Any, optimizer: Any, accumulate: Any) -> None:
    check_model_and_loss("Trainer", model, loss)
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(
            "Trainer: the optimizer must be an Optimizer", got=type(optimizer).__name__,
            fix="chainrule.optim.Adam(model.parameters())",
        )  # fmt: skip
    if isinstance(accumulate, bool) or not isinstance(accumulate, int) or accumulate < 1:
        raise ArgumentError("Trainer: accumulate must be a whole number >= 1", got=repr(accumulate))
    own = {id(p) for p in model.parameters()}
    if not any(id(p) in own for g in optimizer.param_groups for p in g["params"]):
        raise StateError(
            "Trainer: the optimizer holds no parameter of this model",
            fix="an optimizer made of this model's parameters(), after the model",
        )


def _check_limits(limits: dict[str, Any]) -> None:
    for name, limit in limits.items():
        if limit is not None and not (is_number(limit) and limit > 0):
            raise ArgumentError(f"Trainer: {name} must be a number > 0", got=repr(limit))


def _wants_metric(scheduler: Any) -> bool:
    return "metrics" in inspect.signature(scheduler.step).parameters


def _hears(callback: Callback, event: str) -> bool:
    if not isinstance(callback, Callback):
        raise ArgumentTypeError(
            "Trainer: callbacks must be Callback objects", got=type(callback).__name__,
            fix="EarlyStopping(), LambdaCallback(on_epoch_end=function)",
        )  # fmt: skip
    return event in vars(callback) or getattr(type(callback), event) is not getattr(Callback, event)
