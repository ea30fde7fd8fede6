"""Watch: the callback that looks inside the layers now and then, keeps that cheap, and writes it
down."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ArgumentError
from ...runtime.blas import one_blas_thread
from ..callbacks import Callback
from ..state import capture
from .html import watch_html
from .layers import layers_of, weights_of
from .look import Layer, Look, append_look, looks_until
from .numbers import moved, norm
from .plan import FREE_S, LIMIT, Plan
from .probe import Probe
from .start import class_counts, expected_loss, rows_of, spread, targets_of

if TYPE_CHECKING:
    from ..trainer import Trainer

EVERY, ROWS = 100, 128


class Watch(Callback):
    """Looks inside every layer at a few steps: `Trainer(..., callbacks=[Watch()])`.

    every: steps between two looks, at least (None: 100, and in a fit that is over in a moment only
    as many looks as cost less than 5 % of it); more where the shapes say that looks would take more
    than a few per cent of the time, see plan.py.  rows: of the training data, on which the layers
    are measured (128).  probe: a batch (x1, ..., y) to measure on instead.

    A look holds, for each layer, the norms of the weight, of its gradient and of its change in that
    step, and on the probe rows: the gain ledger, dead and saturated units, the spread and the
    histograms of activations and gradients.  `looks` holds them all; a run gets them as
    layers.jsonl, and what is known of the data in config.json.  Compiled steps run on between
    looks.  Numbers depend on the step alone, so two runs of one seed write the same, but for
    `overhead`: the share of the time of the fit that watching took.  `origin` keeps a copy of the
    weights of the start, for `chainrule.try_fixes`.  A last look closes the fit: `Look.closing`.
    PyTorch leaves this to hooks.

    >>> import chainrule
    >>> from chainrule import nn, optim
    >>> from chainrule.train import Trainer, Watch
    >>> _ = chainrule.manual_seed(0)
    >>> x = chainrule.randn(64, 2)
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    >>> optimizer, watch = optim.SGD(model.parameters(), 0.1), Watch()
    >>> data = (x, x.sum(1, keepdim=True))
    >>> _ = Trainer(model, nn.MSELoss(), optimizer, callbacks=[watch]).fit(data, epochs=20)
    >>> [look.step for look in watch.looks]
    [1, 21, 41]
    >>> [layer.name for layer in watch.looks[0].layers]
    ['0', '2']
    """

    only_current = True

    def __init__(
        self, every: int | None = None, rows: int = ROWS, probe: Sequence[Any] | None = None
    ) -> None:
        self.sparing = every is None  # in a short fit
        every = EVERY if every is None else every
        for name, value in (("every", every), ("rows", rows)):
            if type(value) is not int or value < 1:
                raise ArgumentError(f"Watch: {name} must be a whole number >= 1", got=repr(value))
        if probe is not None and len(probe) < 2:
            raise ArgumentError(
                "Watch: probe must be a batch", expected="(x1, ..., y)", got=f"{len(probe)} values"
            )
        self.every, self.rows, self.batch = every, rows, probe
        self.looks: list[Look] = []
        self.start: dict[str, Any] = {}  # what is known before the first step
        self.origin: dict[str, Any] | None = None
        self.probe: Probe | None = None
        self.problem: str | None = None  # why the layers can't be measured
        self.spent = self.began = self.idle = 0.0
        self.share = 0.0  # of the time, at the end of the fit
        self.cheapest, self.made, self.left_out = math.inf, 0, 0  # looks of this fit
        self.next = 1
        self.begun: tuple[Look, list[Any], list[Any]] | None = None
        self.every_steps = 1

    def _repr_html_(self) -> str:
        return watch_html(self)

    def __repr__(self) -> str:
        return f"Watch(every={self.every}, rows={self.rows}; {len(self.looks)} looks)"

    @property
    def data(self) -> str:
        """The rows that looks are on, in words."""
        if self.batch is not None:
            return f"the {len(self.batch[-1])} rows given as probe"
        rows = self.start.get("rows")
        return f"the {rows} probe rows, spread evenly over the training data" if rows else (
            "the probe rows")  # fmt: skip

    @property
    def top_lr(self) -> float:
        """The highest learning rate at any look."""
        return max((x.lr for x in self.looks), default=0.0)

    @property
    def overhead(self) -> float:
        """The share of the time of this fit that watching took so far."""
        elapsed = time.perf_counter() - self.began - self.idle
        return self.spent / elapsed if elapsed > 0 and self.began else 0.0

    def on_fit_start(self, trainer: Trainer) -> None:
        """Chooses the probe rows and the steps; looks for the first time."""
        self.began, self.spent, self.begun = time.perf_counter(), 0.0, None
        self.idle = 0.0
        self.cheapest, self.made, self.left_out = math.inf, 0, 0
        trainer.history.watch = self
        self._take_up(trainer)
        assert trainer.loader is not None
        if not trainer.step:
            self.origin = copy.deepcopy(capture(trainer))
        batch = self._rows(trainer)
        self.probe = Probe(trainer.model, trainer.loss, batch)
        layers = self._measure(trainer)
        self.plan = self._planned(trainer, batch)
        self.next = self.plan.after(trainer.step)
        self._note(trainer, batch)
        if self.next == trainer.step + 1:
            self._begin(trainer, layers)
        self._aim(trainer)
        self.spent += time.perf_counter() - self.began

    def on_epoch_start(self, trainer: Trainer) -> None:
        """The learning rate may have changed between two epochs."""
        if self.begun is not None:
            self.begun[0].lr = trainer.lr

    def on_step_end(self, trainer: Trainer) -> None:
        """Looks at the weights before a step and after it."""
        if trainer.step < self.next - 1:
            return
        began = time.perf_counter()
        self.idle = trainer.idle_seconds
        if self.begun is not None and trainer.step == self.next:
            self._finish(trainer, *self.begun)
            self.begun = None
            self.next = self.plan.after(trainer.step)
        if trainer.step == self.next - 1 and self._affordable(trainer):
            self._begin(trainer)
            self.cheapest = min(self.cheapest, time.perf_counter() - began)
            self.made += 1
        self._aim(trainer)
        self.spent += time.perf_counter() - began

    def on_fit_end(self, trainer: Trainer) -> None:
        """A look at what came of it."""
        began = time.perf_counter()
        self.idle = trainer.idle_seconds
        if trainer.step and not trainer.history.interrupted:
            self._close(trainer)
        self.spent += time.perf_counter() - began
        self.share = self.overhead

    def summary(self) -> dict[str, Any]:
        """How many looks were made and left out, and the share of the time that it took."""
        return {
            "watch_overhead": round(self.share, 4), "watch_looks": len(self.looks),
            "watch_left_out": self.left_out,
        }  # fmt: skip

    # ------------------------------------------------------------ a look

    def _affordable(self, trainer: Trainer) -> bool:
        """Whether looks have kept within their share of the time; else the next is left out.

        Each counts as the cheapest: one that something else on the machine held up says nothing.
        """
        taken = self.made * self.cheapest if self.made else 0.0
        if taken <= FREE_S + LIMIT * (time.perf_counter() - self.began - self.idle):
            return True
        self.left_out += 1
        self.next = self.plan.after(self.next)
        return trainer.step == self.next - 1

    def _aim(self, trainer: Trainer) -> None:
        """Steps may run on until the weights before the next step to look at are needed."""
        self.every_steps = 1 if trainer.step == self.next - 1 else self.next - 1

    def _measure(self, trainer: Trainer) -> list[Layer]:
        """The layers on the probe rows; by name only where the model can't be run on them."""
        assert self.probe is not None
        if self.problem is None:
            try:
                with one_blas_thread():  # faster for few rows, and the same bits on any machine
                    return self.probe.measure(find_twins=trainer.step == 0)
            except Exception as error:
                self.problem = _told(error)
        return self._named(trainer)

    def _named(self, trainer: Trainer) -> list[Layer]:
        """The layers, not measured."""
        assert self.probe is not None
        self.probe.value = None
        found = layers_of(trainer.model)
        return [Layer(n or type(m).__name__, type(m).__name__) for n, m in found]

    def _begin(self, trainer: Trainer, layers: list[Layer] | None = None) -> None:
        """layers: as they are, where they were measured already."""
        assert self.probe is not None
        if self.plan.brief(self.next):
            layers = self._named(trainer)
        layers = self._measure(trainer) if layers is None else layers
        look = Look(self.next, trainer.epoch + 1, trainer.lr, probe=self.probe.value, layers=layers)
        named = _modules(trainer)
        weights = [[p for _, p in weights_of(named[x.name])] for x in layers]
        self.begun = look, weights, [[p._value.copy() for p in held] for held in weights]

    def _finish(self, trainer: Trainer, look: Look, after: list[Any], before: list[Any]) -> None:
        look.epoch, look.loss = trainer.epoch + 1, trainer.loss_value
        for layer, weights, olds in zip(look.layers, after, before, strict=True):
            grads = [trainer.grad_norm_of(p) for p in weights]
            known = [g for g in grads if g is not None]
            layer.grad = math.hypot(*known) if known else None
            moved(layer, olds, [p._value for p in weights])
        self._keep(trainer, look)

    def _close(self, trainer: Trainer) -> None:
        """The look at the end of a fit; one that goes on from there has none here."""
        assert self.probe is not None
        layers, named = self._measure(trainer), _modules(trainer)
        for layer in layers:
            weights = [p for _, p in weights_of(named[layer.name])]
            layer.weight = math.hypot(*(norm(p._value) for p in weights))
        self._keep(trainer, Look(
            trainer.step + 1, max(trainer.epoch, 1), trainer.lr, probe=self.probe.value,
            layers=layers,
        ))  # fmt: skip

    def _keep(self, trainer: Trainer, look: Look) -> None:
        look.overhead = round(self.overhead, 6)
        self.looks.append(look)
        if trainer.run is not None:
            append_look(trainer.run.path, look)

    # ------------------------------------------------------------ before the first step

    def _rows(self, trainer: Trainer) -> tuple[Any, ...]:
        """The probe's rows; none where the data give no batch of them."""
        assert trainer.loader is not None
        self.problem = None
        if self.batch is not None:
            return tuple(self.batch)
        try:
            x, y = trainer.split(rows_of(trainer.loader, self.rows))
            return *x, y[0]
        except Exception as error:
            self.problem = _told(error)
            return ()

    def _take_up(self, trainer: Trainer) -> None:
        """The looks before a resume; what was written after the checkpoint is cut off."""
        if trainer.run is None:
            self.looks = [x for x in self.looks if x.step <= trainer.step]
            return
        self.looks = looks_until(trainer.run.path, trainer.step)

    def _planned(self, trainer: Trainer, batch: Sequence[Any]) -> Plan:
        assert self.probe is not None
        assert trainer.loader is not None
        size, first, last = trainer.loader.batch_size or 1, trainer.first_step, trainer.last_step
        costs = self.probe.costs(size * trainer.accumulate)
        epochs = ((last or first) - first) * trainer.accumulate / max(len(trainer.loader), 1)
        return Plan(costs, self.every, self.sparing, first + 1, last, epochs)

    def _note(self, trainer: Trainer, batch: Sequence[Any]) -> None:
        """What rules have to know of data, loss and layers, into config.json."""
        assert self.probe is not None
        assert trainer.loader is not None
        y = targets_of(trainer.loader.dataset)
        if y is None:
            y = np.asarray(batch[-1].detach()) if batch else np.zeros(0)
        expected = expected_loss(trainer.loss, self.probe.output, y)
        named = _modules(trainer)
        self.start = {
            "every": self.every,
            "interval": self.plan.interval,
            "rows": len(batch[-1]) if batch else 0,
            "batches": len(trainer.loader),
            "expected_loss": None if expected is None else expected.value,
            "expected_why": None if expected is None else expected.why,
            "expected_exact": expected is not None and expected.exact,
            "class_counts": class_counts(y),
            "inputs": spread(batch[:-1]),
            "frozen": [
                n for n, m in named.items() if not any(p.requires_grad for _, p in weights_of(m))
            ],
            "problem": self.problem,
        }
        if trainer.run is not None and (trainer.step == 0 or "watch" not in trainer.run.described):
            trainer.run.describe(watch=self.start)
        elif trainer.run is not None:
            self.start = {**self.start, **trainer.run.described["watch"]}


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _modules(trainer: Trainer) -> dict[str, Any]:
    return {n or type(m).__name__: m for n, m in layers_of(trainer.model)}
