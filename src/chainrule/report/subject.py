"""What a page is made from: the files of a run, and what can be asked of its model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import nn
from ..derivation.models import Steps
from ..markup import counted
from ..train import Run
from ..train.watch import Look
from ..train.watch.look import FILE as LOOKS
from . import dynamics
from .amounts import MOST, Amounts
from .boundary import FILE, read_frames
from .charts import percent, said
from .labels import Labels
from .looks import read_looks
from .moments import read_moments
from .results import Held

SIGNS = {"ok": "\u2714", "warn": "!", "bad": "\u2716"}
LEVELS = {"error": "bad", "bad": "bad", "critical": "bad", "warning": "warn", "warn": "warn"}
"""How severities are shown; any other is only told."""


@dataclass
class Subject:
    """A run and its model; what is None or empty was not there, and the page says so.

    findings: of the diagnosis, as dicts with id, severity, layers, steps, evidence, cause and
    fixes; None where nobody has diagnosed.  loss: of logits and class numbers.  row, label: the
    training example that is worked, counted from 0 in the training rows as `row_number`.  image:
    rows and columns of an input that is a picture.  held, amounts, labels: what is said of
    held-out rows, of classes, of numbers or of several labels a row.  steps: what the optimizer
    would do next, and the step of its checkpoint.  columns: of a table, with name, kind and why.
    of_table: the model is a table's, whose networks are not worked by hand.
    """

    name: str
    folder: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    looks: list[Look] | None = None
    frames: dict[str, Any] | None = None
    predictions: dict[str, Any] | None = None
    findings: list[dict[str, Any]] | None = None
    model: nn.Module | None = None
    no_model: str = "the run has no model"
    loss: Any = None
    smoothing: float = 0.0
    rate: float = 0.0
    row: Any = None
    row_number: int = 0
    label: int = 0
    held: Held | None = None
    amounts: list[Amounts] = field(default_factory=list)
    labels: Labels | None = None
    columns: list[dict[str, Any]] = field(default_factory=list)
    of_table: bool = False
    image: tuple[int, int] | None = None
    steps: tuple[Steps, int] | None = None
    no_steps: str = "the state of the optimizer was not asked for"


def subject_of(run: Run) -> Subject:
    """What lies in a run's folder, without its model.

    Raises FormatError where a file is not what it should be.
    """
    config = dict(run.config)
    path = Path(run.path)
    return Subject(
        run.name, str(path), config, run.environment, run.result, run.rows,
        read_looks(path / LOOKS), read_frames(path / FILE),
        read_moments(path / dynamics.FILE),
    )  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """One sentence on a run, with a word and a sign."""

    level: str
    word: str
    sentence: str

    @property
    def sign(self) -> str:
        """The level as a shape."""
        return SIGNS[self.level]


def verdict_of(s: Subject) -> Verdict:
    """How the run went, judged by its end and by what was found."""
    result = s.result or {}
    said = _reached(s)
    if result.get("error"):
        return Verdict("bad", "Failed", f"{result['error']}. {said}")
    losses = [row.get("loss") for row in s.rows]
    if any(not isinstance(v, (int, float)) or not math.isfinite(v) for v in losses):
        return Verdict("bad", "Broken", f"The loss is not finite in some epochs. {said}")
    if s.result is None:
        return Verdict("warn", "Unfinished", f"{len(s.rows)} epochs so far. {said}")
    levels = [LEVELS.get(str(f.get("severity")), "ok") for f in s.findings or []]
    found = sum(level != "ok" for level in levels)
    if found:
        level = "bad" if "bad" in levels else "warn"
        return Verdict(level, "Look here", f"{said} {counted(found, 'finding')}.")
    if not s.rows and not s.looks:
        return Verdict("warn", "Nothing to judge yet", f"No epoch is finished. {said}")
    if s.findings is None:
        return Verdict("ok", "Finished", said)
    return Verdict("ok", "Healthy", said)


def _reached(s: Subject) -> str:
    if s.held is not None:
        right, total = s.held.right, len(s.held.true)
        share = percent(right / total, 2)
        return f"{right} of {total} held-out rows are classified right ({share})."
    if s.amounts:
        return _amounts_off(len(s.amounts[0].true),
                            [(a.name, a.rmse, a.of_mean) for a in s.amounts])  # fmt: skip
    if s.labels is not None:
        return _labels_right(s.labels.rows_right, len(s.labels.true), s.labels.f1)
    return _recorded(s.result or {})


def _recorded(result: dict[str, Any]) -> str:
    """What the result alone says of held-out rows, where the model was not asked."""
    scores = {
        k.removeprefix("test_"): v for k, v in result.items()
        if k.startswith("test_") and isinstance(v, (int, float)) and math.isfinite(v)
    }  # fmt: skip
    rows = scores.pop("rows", None)
    if "accuracy" in scores:
        return f"Held-out accuracy {percent(scores['accuracy'], 2)}."
    targets = [[t.get(k) for k in ("name", "rmse", "mean_rmse")] for t in _dicts(result, "targets")]
    if rows is not None and targets:
        return _amounts_off(int(rows), targets)
    if rows is not None and "rmse" in scores:
        on = counted(int(rows), "held-out row")
        return f"On {on} the prediction is off by {said(scores['rmse'])} (root mean square)."
    if rows is not None and {"f1", "rows_right"} <= scores.keys():
        return _labels_right(round(rows * scores["rows_right"]), int(rows), scores["f1"])
    told = ", ".join(f"{k.replace('_', ' ')} {said(v)}" for k, v in scores.items())
    return f"Held-out {told}." if told else "No held-out rows were evaluated."


def _labels_right(right: int, rows: int, f1: float) -> str:
    return (f"{right} of {rows} held-out rows have all labels right, F1 is {said(f1)} (the mean "
            "over the labels).")  # fmt: skip


def _dicts(held: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = held.get(key)
    return [v for v in found if isinstance(v, dict)] if isinstance(found, list) else []


def _amounts_off(rows: int, targets: Sequence[Sequence[Any]]) -> str:
    """How far off each target is, and the mean of the rows learned from; (name, rmse, its rmse)."""
    on = f"On {counted(rows, 'held-out row')} the predicted"
    if len(targets) == 1:
        name, rmse, mean = targets[0]
        return (f"{on} {name} is off by {said(rmse)} (root mean square); the mean of the rows "
                f"learned from would be off by {said(mean)}.")  # fmt: skip
    told = ", ".join(f"{n} {said(rmse)} ({said(mean)})" for n, rmse, mean in targets[:MOST])
    rest = f", and {len(targets) - MOST} more in the results" if len(targets) > MOST else ""
    return (f"{on} amounts are off by (root mean square; in brackets that of the mean of the rows "
            f"learned from): {told}{rest}.")  # fmt: skip
