"""TableWatch: looks into the layers of the first network of a table's fit, at a few steps."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import functional as F
from ...errors import ArgumentError
from ...nn import Scaling
from ...runtime.blas import one_blas_thread
from ...tensor.core import wrap
from ..run import Run
from ..watch.layers import layers_of, weights_of
from ..watch.look import Layer, Look, append_look, looks_until
from ..watch.numbers import moved, norm
from ..watch.plan import Plan
from ..watch.probe import Probe
from ..watch.start import spread
from ..watch.watch import EVERY, ROWS
from .data import TabularData

if TYPE_CHECKING:
    from .fitting import TableFit


class TableWatch:
    """What `train.Watch` is to a Trainer: `TableFit(..).run(run, watch=TableWatch())`.

    every: steps between two looks, at least (None: 100, and so few looks that they are estimated to
    cost less than 3 % of the fit, but two at least).  A look is at the first network alone, on 128
    of the rows that it learns from, without label smoothing and dropout: what `train.Watch`
    records, but for the gradient of the step itself, in whose place stands that of these rows.  The
    Scaling of the columns, which learns six times as fast as the rest, is left out.  `looks` holds
    them all; a run gets them as layers.jsonl.  The fit ends with the same bits, watched or not.

    >>> import chainrule
    >>> from chainrule.train.tabular import Recipe, TableFit, TableWatch
    >>> fit = TableFit(chainrule.data.penguins(), "species", recipe=Recipe(epochs=30, hidden=(8,)))
    >>> watch = TableWatch(every=10)
    >>> _ = fit.run(watch=watch)
    >>> [look.step for look in watch.looks], [layer.name for layer in watch.looks[0].layers]
    ([1, 3, 11, 31], ['numeric', 'linear.0', 'linear.1'])
    """

    def __init__(self, every: int | None = None) -> None:
        self.sparing, self.every = every is None, EVERY if every is None else every
        if type(self.every) is not int or self.every < 1:
            raise ArgumentError("TableWatch: every must be a whole number >= 1", got=repr(every))
        self.looks: list[Look] = []
        self.spent = self.began = 0.0
        self.next = 1
        self.begun: tuple[Look, dict[str, list[Any]]] | None = None

    @property
    def overhead(self) -> float:
        """The share of the time of this fit that watching took so far."""
        elapsed = time.perf_counter() - self.began
        return self.spent / elapsed if elapsed > 0 and self.began else 0.0

    def begin(self, fit: TableFit, run: Run | None, last: int) -> None:
        """Before the first step.  last: the step at which the fit ends at the latest."""
        self.began, self.spent, self.begun = time.perf_counter(), 0.0, None
        self.fit, self.run = fit, run
        members = fit.members
        self.looks = [] if run is None else looks_until(run.path, members.steps)
        self.net = members.model.member(0)
        batch, loss = _task(fit.data, self.net, members.members[0].train)
        self.probe = Probe(self.net, loss, batch)
        layers = self._measure(find_twins=not members.steps)
        costs = self.probe.costs(members.batch * len(members.members))
        epochs = last / members.steps_an_epoch
        self.plan = Plan(costs, self.every, self.sparing, 1, last, epochs)
        if run is not None and "watch" not in run.described:
            run.describe(watch={
                "every": self.every, "interval": self.plan.interval, "rows": len(batch[-1]),
                "batches": members.steps_an_epoch, "frozen": [],
                "inputs": spread([x for x in batch[:-1] if x is not None]),
            })  # fmt: skip
        self.next = self.plan.after(members.steps)
        if self.next == members.steps + 1:
            self._begin(layers)
        self.spent += time.perf_counter() - self.began

    def room(self) -> int:
        """The steps until the weights before or after a step that is looked at are needed."""
        steps = self.fit.members.steps
        return 1 if steps == self.next - 1 else self.next - 1 - steps

    def after_steps(self) -> None:
        """Looks at the weights before a step and after it."""
        steps = self.fit.members.steps
        if steps < self.next - 1:
            return
        began = time.perf_counter()
        if self.begun is not None and steps == self.next:
            self._finish(*self.begun)
            self.begun, self.next = None, self.plan.after(steps)
        if steps == self.next - 1:
            self._begin()
        self.spent += time.perf_counter() - began

    def end(self) -> None:
        """A look at the weights that the fit leaves: those of the best epoch."""
        began, members = time.perf_counter(), self.fit.members
        layers = self._measure([wrap(kept) for kept in members.kept])
        weights = self._weights()
        for layer in layers:
            layer.weight = math.hypot(*map(norm, weights[layer.name]))
        self._keep(Look(members.steps + 1, max(members.epoch, 1), self.fit.lr,
                        probe=self.probe.value, layers=layers))  # fmt: skip
        self.spent += time.perf_counter() - began

    def summary(self) -> dict[str, Any]:
        """How many looks were made, and the share of the time that they took."""
        return {"watch_overhead": round(self.overhead, 4), "watch_looks": len(self.looks)}

    # ------------------------------------------------------------ a look

    def _measure(
        self, parameters: Sequence[Any] | None = None, *, find_twins: bool = False
    ) -> list[Layer]:
        """The layers with some weights, or as they are by now."""
        self._take(self.fit.members.parameters if parameters is None else parameters)
        with one_blas_thread():  # faster for few rows, and the same bits on any machine
            layers = self.probe.measure(find_twins=find_twins)
        return [x for x in layers if x.kind != Scaling.__name__]

    def _named(self) -> list[Layer]:
        """The layers, not measured."""
        self._take(self.fit.members.parameters)
        self.probe.value = None
        return [Layer(n, type(m).__name__) for n, m in layers_of(self.net)
                if not isinstance(m, Scaling)]  # fmt: skip

    def _take(self, parameters: Sequence[Any]) -> None:
        """The weights of the first of all networks into the one that is measured."""
        for mine, p in zip(self.net.parameters(), parameters, strict=True):
            np.copyto(mine._value, p._value[0])

    def _weights(self) -> dict[str, list[Any]]:
        """Those of every layer, as they are in the network that is measured."""
        return {n: [p._value for _, p in weights_of(m)] for n, m in layers_of(self.net)}

    def _begin(self, layers: list[Layer] | None = None) -> None:
        """layers: as they are, where they were measured already."""
        members = self.fit.members
        if self.plan.brief(self.next):
            layers = self._named()
        layers = self._measure() if layers is None else layers
        look = Look(self.next, members.epoch + 1, 0.0, probe=self.probe.value, layers=layers)
        self.begun = look, {n: [w.copy() for w in held] for n, held in self._weights().items()}

    def _finish(self, look: Look, before: dict[str, list[Any]]) -> None:
        members = self.fit.members
        look.loss, look.lr = float(members.last[0]), self.fit.lr
        self._take(members.parameters)
        after = self._weights()
        for layer in look.layers:
            moved(layer, before[layer.name], after[layer.name])
        self._keep(look)

    def _keep(self, look: Look) -> None:
        look.overhead = round(self.overhead, 6)
        self.looks.append(look)
        if self.run is not None:
            append_look(self.run.path, look)


def _task(data: TabularData, net: Any, learned: Any) -> tuple[tuple[Any, ...], Any]:
    """Rows spread over those that are learned from, as a batch, and the loss of a network on them.

    A regression's network answers in deviations, as in training.
    """
    count = min(ROWS, len(learned))
    rows = np.asarray(learned)[np.arange(count) * len(learned) // count]
    inputs = [None if a is None else wrap(a[rows]) for a in (data.numeric, data.categorical)]
    y = data.target[rows]
    if data.task == "classification":
        return (*inputs, wrap(y)), F.cross_entropy
    if net.target is not None:
        y, net.target = net.target.normalized(y), None
    loss = F.mse_loss if data.task == "regression" else F.binary_cross_entropy_with_logits
    return (*inputs, wrap(np.asarray(y, np.float32))), loss
