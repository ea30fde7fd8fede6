"""TableFit: a table learned by one network or by k together, with a run folder and a way back."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np

from ...data.tables import Table, read_table
from ...data.tables.preprocessing import Preprocessing
from ...data.tables.schema import Schema
from ...data.tables.table import need_memory
from ...data.tables.target import METRICS_OF
from ...errors import ArgumentError, NonFiniteError, StateError
from ...markup import counted
from ..interrupts import Interrupts
from ..run import Run
from .data import TabularData
from .ensemble import TabularEnsemble
from .folds import folds as folds_of
from .folds import hold_out
from .judging import SCALED
from .members import STARTING_ROWS, Member, Members
from .model import TableModel
from .recipe import OF_TASK, Recipe
from .recording import FAILED, Recording
from .watching import TableWatch

TASKS = {"binary": "classification", "multiclass": "classification"}
"""The tasks of a schema that are called otherwise here."""


VAL_SHARE = 0.2
"""Of the rows, to judge one network by."""


class _Rhythm(NamedTuple):
    """How many steps there are at most, and who is told of them how often; see `TableFit.run`."""

    steps: int | None
    on_steps: Callable[[range], Any] | None
    every: int | None


class TableFit:
    """Learns the target of a table, `TableFit(table, "price").run()`.

    table: whatever `read_table` takes.  target: the column, or several (see `Schema.infer`); or
    schema: a Schema.  recipe: see Recipe.  folds: k >= 2 networks, each held out from another k-th
    of the rows and judged by it; their answers are averaged.  1: one network, judged by `val_share`
    of the rows (0.2).  The weights kept are those of the best epoch of each, by `recipe.metric`;
    where that is None, by the metric of the schema, if it is another than its task has of itself.
    `rows` is the log: of amounts it has val_rmse, in the target's unit; of several targets
    val_scaled_rmse, over all their numbers, each in standard deviations of its target.
    seed: of the weights and of the order of rows; the split is always the same.
    Raises what `Schema.infer` and `Preprocessing.fit` raise, ArgumentError for a metric that has no
    value on held-out rows, and NonFiniteError where every network diverges.

    >>> import chainrule
    >>> from chainrule.train.tabular import Recipe, TableFit
    >>> fit = TableFit(chainrule.data.penguins(), "species", folds=3,
    ...                recipe=Recipe(epochs=4, hidden=(8,)))
    >>> fit.run().members, len(fit.rows)
    (3, 4)
    """

    def __init__(
        self, table: Any, target: str | Sequence[str] | None = None, *,
        schema: Schema | None = None, recipe: Recipe | None = None, folds: int = 1,
        val_share: float | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ArgumentError("TableFit: seed must be a whole number >= 0", got=repr(seed)[:40])
        if val_share is not None and folds != 1:
            raise ArgumentError(
                f"TableFit: val_share is of one network; of {folds} each is held out from another "
                "share of the rows", got=f"val_share={val_share!r}, folds={folds!r}",
                fix="one of the two",
            )  # fmt: skip
        if (target is None) == (schema is None):
            raise ArgumentError("TableFit: either a target or a schema")
        self.table: Table = read_table(table)
        self.schema = Schema.infer(self.table, target) if schema is None else schema
        if self.schema.target is None:
            raise ArgumentError("TableFit: the schema has no target")
        self.preprocessing = Preprocessing.fit(self.table, self.schema)
        arrays = self.preprocessing.transform(self.table, target=True)
        named = self.schema.target.task
        self.task = TASKS.get(named, named)
        self.data = TabularData(
            arrays.numeric, arrays.categorical, arrays.target, task=self.task,
            cardinalities=self.preprocessing.cardinalities,
            num_classes=self.schema.target.outputs if self.task == "classification" else None,
            unit=self.preprocessing.std if self.task == "regression" else None,
        )  # fmt: skip
        self.recipe = self._asked(recipe or Recipe()).of(self.task)
        self.seed = seed
        labels = self.data.target if self.task == "classification" else None
        pairs = (
            [hold_out(labels, len(self.data), VAL_SHARE if val_share is None else val_share)]
            if folds == 1
            else folds_of(self.data, folds)
        )
        self._need_memory(len(pairs))
        members = [Member(a, b, i, self.recipe) for i, (a, b) in enumerate(pairs)]
        classes = [str(label) for label in self.schema.target.labels]
        self.members = Members(self.data, members, seed, classes)
        self.rows: list[dict[str, Any]] = []
        self.stopped: str | None = None
        self.signal: str | None = None
        self.stop_reason: str | None = None  # what `stop` was given
        self.seconds = 0.0

    def _asked(self, recipe: Recipe) -> Recipe:
        """The recipe with the metric that was asked of the schema, where it has none of its own."""
        target = self.schema.target
        assert target is not None
        asked = target.metric != METRICS_OF[target.task][0]
        return replace(recipe, metric=target.metric) if asked and not recipe.metric else recipe

    def _need_memory(self, networks: int) -> None:
        """Raises OutOfMemory before networks are made that surely have no room."""
        names = len(self.preprocessing.numeric_names), len(self.preprocessing.categorical_names)
        need_memory(
            f"{counted(networks, 'network')} of {names[0]} numbers and {names[1]} categories a row",
            self.recipe.bytes_for(self.data, networks, min(len(self.data), STARTING_ROWS)),
            "fewer columns: kinds={name: 'drop'} for those that say little, or smaller hidden",
        )

    # ------------------------------------------------------------ training

    def run(
        self, run: Run | None = None, on_epoch: Callable[[dict[str, Any]], Any] | None = None, *,
        steps: int | None = None, on_steps: Callable[[range], Any] | None = None,
        every_steps: int | None = None, watch: TableWatch | None = None,
    ) -> TableModel:  # fmt: skip
        """Trains to the end, Ctrl-C or SIGTERM; gives the model of the best epochs.

        run: a folder that gets a log line an epoch, checkpoints and the model.  on_epoch: gets the
        log line.  steps: ends after so many updates, from the start of the fit, at rates and decays
        as they are in a whole fit.  on_steps: gets the numbers of the steps that were made since
        the last call, at the latest with each multiple of `every_steps` and each end of an epoch.
        watch: looks inside.
        `stopped` says why it ended: 'epochs', 'steps', 'early stopping', 'interrupted', then
        `signal` by which: 'SIGINT', 'SIGTERM', 'SIGUSR1'; or what `stop` was given.
        """
        with run.alone() if run is not None else nullcontext():
            recording = None if run is None else Recording(self, run)
            if recording is not None:
                recording.begin()
            if watch is not None:
                whole = self.steps_of(self.recipe.epochs)
                watch.begin(self, run, whole if steps is None else min(steps, whole))
            rhythm = _Rhythm(steps, on_steps, every_steps)
            with Interrupts() as signals:
                self._train(recording, on_epoch, signals, rhythm, watch)
            return self._close(run, watch)

    def stop(self, reason: str) -> None:
        """Ends the fit after the steps that are told of, from `on_steps`, or after the epoch."""
        self.stop_reason = reason

    def _train(
        self, recording: Recording | None, on_epoch: Any, signals: Interrupts, rhythm: _Rhythm,
        watch: TableWatch | None,
    ) -> None:  # fmt: skip
        members = self.members
        self.stopped = self.signal = self.stop_reason = None
        while not signals.asked and (stopped := self._over(rhythm.steps)) is None:
            first, began = members.steps, time.perf_counter()
            ended = members.advance(
                self._room(recording, rhythm, watch), lambda: signals.asked is not None
            )
            self.seconds += time.perf_counter() - began
            if watch is not None:
                watch.after_steps()
            if rhythm.on_steps is not None:
                rhythm.on_steps(range(first + 1, members.steps + 1))
            if ended:
                self._need_finite(recording)
                self.rows.append(self._row())
            if recording is not None:
                recording.after_steps(ended)
            if ended and on_epoch is not None:
                on_epoch(self.rows[-1])
        self.signal = signals.asked
        self.stopped = "interrupted" if self.signal else stopped
        if recording is not None:
            recording.before_end()
        if members.made and not self.signal:
            self._end_part(recording)

    def _over(self, steps: int | None) -> str | None:
        """Why there is no further step; None: there is one."""
        if self.members.epoch >= self.recipe.epochs:
            return "epochs"
        if all(self.members.done):
            return "early stopping"
        return "steps" if steps is not None and self.members.steps >= steps else self.stop_reason

    def steps_of(self, epochs: int) -> int:
        """How many steps so many epochs are."""
        return epochs * self.members.steps_an_epoch

    def _room(
        self, recording: Recording | None, rhythm: _Rhythm, watch: TableWatch | None
    ) -> int | None:
        """The steps until a checkpoint, a callback or the end needs the state as it is then."""
        made = self.members.steps
        left = [None if recording is None else recording.room()]
        left.append(None if watch is None else watch.room())
        left.append(None if rhythm.steps is None else rhythm.steps - made)
        left.append(None if rhythm.every is None else rhythm.every - made % rhythm.every)
        return min((n for n in left if n is not None), default=None)

    def _end_part(self, recording: Recording | None) -> None:
        """The row of an epoch that ends early because the fit does.

        The checkpoint before it does not know of it, so that a resumed fit completes the epoch.
        """
        self.members.close_epoch()
        self._need_finite(recording)
        self.rows.append(self._row())
        if recording is not None:
            recording.run.log(self.rows[-1])

    def _need_finite(self, recording: Recording | None) -> None:
        """Raises after an epoch that left no network with finite numbers; the run keeps why."""
        if not all(self.members.diverged):
            return
        assert self.recipe.lr is not None
        advised = min(self.recipe.lr / 10, OF_TASK[self.task]["lr"])
        error = NonFiniteError(
            "the loss of every network is not finite any more",
            got=f"after epoch {self.members.epoch}, lr {self.recipe.lr:g}",
            fix=f"a smaller lr, such as {advised:g}", line="",
        )  # fmt: skip
        if recording is not None:
            recording.failed(error, advised)
        raise error

    def _close(self, run: Run | None, watch: TableWatch | None) -> TableModel:
        if watch is not None and not self.signal:
            watch.end()
        model = self.model()
        if run is not None:
            run.save_model(model.networks.state_dict(), model.about())
            run.write_result(
                stopped=self.stopped, epochs=self.members.epoch, steps=self.members.steps,
                last=self.rows[-1] if self.rows else {}, best_epochs=self.members.best_epoch,
                **({} if watch is None else watch.summary()),
            )  # fmt: skip
        return model

    def _row(self) -> dict[str, Any]:
        """A line of the log: means over the networks that still train."""
        seconds = self.seconds - math.fsum(row["seconds"] for row in self.rows)
        made = self.members.history[-1]
        going = [k for k, over in enumerate(self.members.diverged) if not over]
        at = going or list(range(len(made["loss"])))
        row = {"epoch": made["epoch"], "step": self.members.steps,
               "loss": float(np.mean([made["loss"][k] for k in at]))}  # fmt: skip
        row |= self.judged(float(np.mean([made["score"][k] for k in at])))
        return row | {"lr": self.lr, "seconds": seconds}

    def judged(self, score: float) -> dict[str, float]:
        """The score by the name that it has in the log."""
        name, value = self.named(score)
        return {"val_accuracy": 1.0 - value} if name == "error" else {f"val_{name}": value}

    def named(self, score: float) -> tuple[str, float]:
        """A score of the members with its name: an error of amounts is their rmse, in the target's
        unit if there is one target, in deviations (`SCALED`) if there are more."""
        metric, units = self.recipe.measure, self.preprocessing.std
        if metric == "error" and self.task == "regression":
            return ("rmse", score * units[0]) if len(units) == 1 else (SCALED, score)
        return metric, score

    @property
    def lr(self) -> float:
        """The learning rate of the last step."""
        return float(self.members.lr_at(max(self.members.steps - 1, 0))[0])

    def model(self) -> TableModel:
        """The networks as they are at their best epochs so far; without those that diverged."""
        sound = [k for k, over in enumerate(self.members.diverged) if not over]
        held = self.members if len(sound) in (0, len(self.members.members)) else (
            self.members.only(sound))  # fmt: skip
        networks = TabularEnsemble(held.finished(), self.task, held.best, held.best_epoch)
        return TableModel(self.preprocessing, networks)

    # ------------------------------------------------------------ going on

    def state_dict(self) -> dict[str, Any]:
        """All that the further course depends on, for a checkpoint."""
        m = self.members
        return {
            "epoch": m.epoch, "step": m.steps, "kind": "table", "seed": self.seed,
            "model": dict(m.model.state_dict()), "kept": list(m.kept),
            "moments": [list(pair) for pair in m.moments], "rng": m.generator.get_state(),
            "best": m.best, "best_epoch": m.best_epoch, "improved": m.improved, "done": m.done,
            "diverged": m.diverged, "made": m.made,
            "losses": np.concatenate(m.losses) if m.losses else None,
            "rows": self.rows, "seconds": self.seconds, "data": self._fingerprint(),
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken; StateError where table or recipe are others."""
        if state.get("kind") != "table" or state["data"] != self._fingerprint():
            raise StateError(
                "the checkpoint belongs to another table, or to other choices",
                fix="the file and the options of before", line="",
            )  # fmt: skip
        m = self.members
        m.model.load_state_dict(state["model"])
        m.epoch, m.steps, m.made = state["epoch"], state["step"], state["made"]
        held = state["losses"]
        m.losses, m.order = [] if held is None else [held._value.copy()], None
        for mine, held in zip(m.moments, state["moments"], strict=True):
            for a, b in zip(mine, held, strict=True):
                np.copyto(a._value, b._value)
        for a, b in zip(m.kept, state["kept"], strict=True):
            np.copyto(a, b._value)
        m.generator.set_state(state["rng"])
        for name in ("best", "best_epoch", "improved", "done", "diverged"):
            setattr(m, name, list(state[name]))
        self.rows, self.seconds = list(state["rows"]), state["seconds"]

    def resume(self, run: Run) -> None:
        """Takes up the newest whole checkpoint of a run; none: it begins anew.

        Raises StateError where the run diverged: from there it would again.
        """
        ended = run.result or {}
        if ended.get("stopped") == FAILED:
            raise StateError(
                f"{run.name} can't go on: {ended.get('error')}", got=str(ended.get("origin")),
                expected="a run that was interrupted", fix="a new run with a smaller lr", line="",
            )  # fmt: skip
        if run.checkpoints.manifests():
            self.load_state_dict(run.load_state())

    def _fingerprint(self) -> str:
        """What the numbers follow from: rows, columns, recipe, seed."""
        digest = hashlib.sha256(repr((self.recipe, self.seed, len(self.members.members))).encode())
        for a in (self.data.numeric, self.data.categorical, self.data.target):
            digest.update(b"-" if a is None else np.ascontiguousarray(a).tobytes())
        return digest.hexdigest()

    def checkpoint_bytes(self) -> int:
        """About how large a checkpoint is."""
        return 4 * sum(p._value.nbytes for p in self.members.parameters) + 65536

    def described(self) -> dict[str, Any]:
        """The parts of the training, for config.json."""
        model = self.members.model
        return {
            "model": repr(model), "parameters": self.parameters,
            "optimizer": {"name": "AdamW", "groups": [{"lr": self.recipe.lr}]},
            "loss": self.task, "scheduler": "coslog", "schedule_by": "step",
            "clip_grad_norm": None, "clip_grad_value": None, "accumulate": 1, "ema": None,
            "metrics": [self.recipe.measure], "seed": self.seed, "compile": True, "callbacks": [],
            "recipe": asdict(self.recipe),
        }  # fmt: skip

    @property
    def parameters(self) -> int:
        """Numbers that are learned, of all networks."""
        return int(math.fsum(p._value.size for p in self.members.parameters))
