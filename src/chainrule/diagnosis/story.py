"""What a rule reads: the epochs, the looks inside, and how training was set up."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ArgumentTypeError
from ..train import History, Run, Trainer, Watch
from ..train.rates import highest_rate
from ..train.recorder import describe
from ..train.watch import Layer, Look, read_looks

WINDOW = 200
"""Epochs that rules look back on."""
MOST_ROWS = 2**40
"""A count in a file that is larger is none."""
LARGEST = sys.float_info.max
"""A whole number in a file may be larger, and is none then."""


@dataclass
class Course:
    """A quantity over all epochs: first and lowest finite value, and the row of the lowest."""

    first: float
    best: float
    at: int


@dataclass
class Story:
    """One training, finished or not.

    rows: an entry an epoch (epoch, step, loss, lr, grad_norm, val_loss, ...).  looks: see
    `train.Watch`.  start: what Watch knew before the first step.  setup: the trainer's parts, as in
    config.json.  choices: those of `chainrule train`, where it was that.  result: how it ended.
    trainer: where it is at hand, for the rules that need the model.  recipe: the settings of a
    table's fit; empty for any other training.
    """

    rows: Sequence[Mapping[str, Any]] = ()
    looks: Sequence[Look] = ()
    start: Mapping[str, Any] = field(default_factory=dict)
    setup: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    trainer: Trainer | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    columns: dict[str, list[float]] = field(default_factory=dict, repr=False)  # as far as asked
    courses: dict[str, Course | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, source: Any) -> Story:
        """The story of a Run, a Trainer or a History, with the looks where there was a Watch."""
        if isinstance(source, Story):
            return source
        if isinstance(source, Run):
            held = source.described
            setup = _section(held, "trainer")
            return cls(
                source.rows, read_looks(source.path), _start(_section(held, "watch")), setup,
                _section(source.config, "recipe"), source.result or {},
                recipe=_section(setup, "recipe"),
            )  # fmt: skip
        if isinstance(source, Trainer):
            watch = next((c for c in source.callbacks if isinstance(c, Watch)), None)
            return cls(
                source.history.rows, watch.looks if watch else (), watch.start if watch else {},
                describe(source), {}, _ending(source.history), source,
            )  # fmt: skip
        if isinstance(source, History):
            watch = source.watch
            return cls(
                source.rows, watch.looks if watch else (), watch.start if watch else {},
                result=_ending(source),
            )  # fmt: skip
        raise ArgumentTypeError(
            "diagnose: not something to judge",
            expected="a Trainer, a History, a Run or the name of one",
            got=type(source).__name__, fix="chainrule.diagnose(trainer)",
        )  # fmt: skip

    # ------------------------------------------------------------ curves

    def column(self, name: str) -> list[float]:
        """A quantity of the last epochs, as far as they have it; nan where it is no number."""
        if name not in self.columns:
            found = [row[name] for row in self.rows[-WINDOW:] if name in row]
            self.columns[name] = [v if type(v) is float else number(v) for v in found]
        return self.columns[name]

    def course(self, name: str) -> Course | None:
        """First and lowest of a quantity, of all epochs; None where it was never a number."""
        if name not in self.courses:
            self.courses[name] = None
            for i in range(len(self.rows)):
                self._on(name, i)
        return self.courses[name]

    def _on(self, name: str, i: int) -> None:
        value, held = number(self.rows[i].get(name)), self.courses[name]
        if held is None and math.isfinite(value):
            self.courses[name] = Course(value, value, i)
        elif held is not None and value < held.best and math.isfinite(value):
            held.best, held.at = value, i

    def grow(self, known: int) -> None:
        """Takes up what came to `rows` since the columns were asked for, of `known` rows then."""
        for i in range(known, len(self.rows)):
            for name in self.courses:
                self._on(name, i)
            gone = self.rows[i - WINDOW] if i >= WINDOW else {}
            for name, held in self.columns.items():
                if name in self.rows[i]:
                    held.append(number(self.rows[i][name]))
                if name in gone:
                    del held[0]

    @property
    def expected(self) -> float | None:
        """The loss of an answer that knows nothing of the input; else the first one seen."""
        known = self.start.get("expected_loss")
        if isinstance(known, (int, float)) and math.isfinite(known) and known > 0:
            return float(known)
        return self.first

    @property
    def first(self) -> float | None:
        """The loss before the first step, on the probe rows; of the first step or epoch else."""
        if self.looks and self.looks[0].step == 1:
            for value in (self.looks[0].probe, self.looks[0].loss):
                if value is not None and math.isfinite(value):
                    return value
        if self.rows and self.rows[0].get("epoch") == 1:
            return number(self.rows[0].get("loss"))
        return None

    @property
    def ending(self) -> float | None:
        """The loss of the weights that are left: on the probe rows where the fit has ended."""
        value = self.looks[-1].probe if self.looks and self.looks[-1].closing else None
        return value if value is not None else next(iter(self.column("loss")[-1:]), None)

    def learned(self, share: float) -> bool:
        """Whether the last loss is below this share of that of an ignorant answer."""
        losses, expected = self.column("loss"), self.expected
        return bool(losses and expected) and losses[-1] < share * (expected or 0.0)

    @property
    def confusion(self) -> list[list[int]]:
        """Who was taken for whom of the held-out rows, [true][predicted]; empty where unknown."""
        held = self.result.get("confusion")
        square = isinstance(held, list) and all(
            isinstance(r, list)
            and len(r) == len(held)
            and all(type(n) is int and 0 <= n < MOST_ROWS for n in r)
            for r in held
        )
        return held if square and isinstance(held, list) else []

    @property
    def labels(self) -> list[tuple[list[list[int]], float]]:
        """Of several labels each, on the held-out rows: a confusion matrix, and the ROC area."""
        held, total = self.result.get("labels"), self.result.get("test_rows")
        found = []
        for label in held if isinstance(held, list) and type(total) is int else []:
            counts = [label.get(k) for k in ("rows", "predicted", "right")]
            if not all(type(n) is int and 0 <= n < MOST_ROWS for n in counts):
                return []
            rows, told, right = counts
            matrix = [[total - rows - told + right, told - right], [rows - right, right]]
            if min(map(min, matrix)) < 0:
                return []
            found.append((matrix, number(label.get("roc_auc"))))
        return found

    @property
    def held_out(self) -> bool:
        """Whether the result says how rows that were held out to the end were answered."""
        return bool(self.confusion or self.labels or "test_r2" in self.result)

    # ------------------------------------------------------------ layers

    @property
    def frozen(self) -> set[str]:
        """Layers whose weights are not to be trained."""
        return set(self.start.get("frozen") or ())

    def lifted(self, look: Look) -> float:
        """Highest lr so far / lr of the look: a low lr that the schedule asks for is no fault."""
        top = max((x.lr for x in self.looks if x.step <= look.step), default=look.lr)
        return top / look.lr if look.lr > 0 and math.isfinite(top) else 1.0

    def lasting(self, holds: Any, least: int = 2, total: Any = None) -> list[Look]:
        """The last looks, back to the first of them, at all of which `holds(look)`.

        None where there are fewer than `least` of them; one is enough where `total(look)` holds for
        it: what can't be otherwise needs no second look.  Looks without the probe, between others,
        say nothing for it or against it.
        """
        found: list[Look] = []
        probed = [look for look in self.looks if look.probe is not None]
        for look in reversed(probed or self.looks):
            if not holds(look):
                break
            found.insert(0, look)
        enough = len(found) >= least or (found and total is not None and total(found[-1]))
        return found if enough else []

    @property
    def steps(self) -> list[Look]:
        """The looks at a step that was made: all but the one that closes a fit."""
        return [look for look in self.looks if not look.closing]

    def of_layer(self, name: str) -> Iterator[tuple[Look, Layer]]:
        """Every look at a layer."""
        for look in self.looks:
            layer = look.layer(name)
            if layer is not None:
                yield look, layer

    @property
    def names(self) -> list[str]:
        """The layers, in the order of the forward pass."""
        return [x.name for x in self.looks[-1].layers] if self.looks else []

    # ------------------------------------------------------------ settings

    @property
    def lr(self) -> float | None:
        """The learning rate at its highest."""
        rates = [x.lr for x in self.looks] + self.column("lr")
        groups = _section(self.setup, "optimizer").get("groups")
        held = [g for g in groups if isinstance(g, dict)] if isinstance(groups, list) else []
        rates.append(number(highest_rate(held)))
        known = [r for r in rates if math.isfinite(r)]
        chosen = number(self.choices.get("lr"))
        return chosen if math.isfinite(chosen) else max(known, default=None)

    @property
    def optimizer(self) -> str:
        """The optimizer's name; '' where it is not known."""
        return str(_section(self.setup, "optimizer").get("name", ""))

    @property
    def input_size(self) -> float:
        """The deviation of the inputs; 1 where it is not known."""
        found = number(_section(self.start, "inputs").get("std"))
        return found if math.isfinite(found) else 1.0

    @property
    def keeps_best(self) -> bool:
        """Whether the best weights are put back: by early stopping, and by every table's fit."""
        held = self.setup.get("callbacks")
        return bool(self.recipe) or (isinstance(held, list) and "EarlyStopping" in held)


def _ending(history: History) -> dict[str, Any]:
    failed = history.stopped == "failed"
    told = {"error": history.message, "advised_lr": history.advised_lr} if failed else {}
    return {"stopped": history.stopped, **told}


def _section(held: Any, name: str) -> Mapping[str, Any]:
    found = held.get(name) if isinstance(held, dict) else None
    return found if isinstance(found, dict) else {}


def _start(held: Mapping[str, Any]) -> dict[str, Any]:
    """What Watch noted, as far as it is what Watch notes: a file may hold anything."""
    kinds: dict[str, Any] = {
        "expected_loss": (int, float), "expected_why": str, "expected_exact": bool,
        "inputs": dict, "class_counts": list, "frozen": list, "batches": int,
    }  # fmt: skip
    found = {k: held[k] for k, kind in kinds.items() if isinstance(held.get(k), kind)}
    if "frozen" in found:
        found["frozen"] = [str(n) for n in found["frozen"]]
    return found


def number(value: Any) -> float:
    """A number out of a file; nan for anything else."""
    ok = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if ok and abs(value) <= LARGEST else math.nan
