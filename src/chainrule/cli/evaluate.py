"""`chainrule evaluate`: how good a run's model is on rows that it has not seen."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np

from ..errors import StateError
from ..markup import counted
from ..report.amounts import Amounts
from ..report.charts import figure, percent
from ..report.labels import Labels
from ..train import Run
from ..train.metrics import confusion_matrix, over_labels, scored
from .app import Command, UsageProblem
from .options import plain_option, run_argument, runs_dir
from .predict import newest_with_model, restored
from .recipe import from_config, load
from .report import probabilities
from .results import confused, matrix_in_words, matrix_lines
from .tables.choices import is_table_run
from .tables.options import SKIP_MISSING, only_of_tables, reading_options
from .terminal import Line, Terminal, detect, words

SCHEMA = "chainrule evaluation 1"
OF_CLASSES = ("accuracy", "log_loss", "roc_auc", "precision", "recall", "f1", "calibration_error")
AVERAGED = ("precision", "recall", "f1")
OF_NUMBERS = ("rmse", "mae", "r2")
OF_MEAN = "the mean of the rows learned from"
"""The answer that knows nothing of a row, whose rmse stands beside that of the model."""
SHOWN = 5
"""Of the worst rows, those that are listed in a terminal."""


@dataclass(frozen=True)
class Evaluation:
    """Scores by name, None where there can be none; the matrix [true][predicted] of classes.

    labels: of a multilabel target each with its counts and scores.  worst: then the rows with the
    highest loss, with what they hold and what is wrong.  targets: of amounts each with its scores
    and the rmse of its mean; `scores` are then the means over the targets.
    """

    run: str
    rows: int
    on: str
    scores: dict[str, float | None]
    names: tuple[str, ...] = ()
    matrix: list[list[int]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    worst: list[dict[str, Any]] = field(default_factory=list)
    targets: list[dict[str, Any]] = field(default_factory=list)

    @property
    def of_mean(self) -> float | None:
        """The rmse of the mean of the rows learned from; of several targets the mean of theirs."""
        return mean_of([t["mean_rmse"] for t in self.targets])

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        matrix = self.matrix or None
        return {"schema": SCHEMA, **vars(self), "names": list(self.names), "matrix": matrix}


@click.command(cls=Command, short_help="Scores the model of RUN on held-out rows.")
@run_argument()
@click.argument("file", required=False, metavar="[FILE]")
@reading_options
@SKIP_MISSING
@runs_dir
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@plain_option
def command(
    run: str, file: str | None, runs_dir: str, as_json: bool, plain: bool, **reading: Any
) -> None:
    """Scores the model of RUN on the rows that were held out from the start, or on those of FILE.

    FILE is for runs of tables: a table with the columns that it learned from, and the target.

    \b
    Examples:
      chainrule evaluate digits
      chainrule evaluate digits-0001 --json
      chainrule evaluate houses more-houses.csv
    """
    found = newest_with_model(run, runs_dir)
    held = of_run(found, file, reading, lambda text: click.echo(text, err=True))
    if as_json:
        click.echo(json.dumps(held.to_json(), indent=2))
        return
    t = detect(sys.stdout, plain=plain)
    for line in lines_of(held, t):
        click.echo(t.paint(line), color=True)


def of_run(
    run: Run, file: str | None = None, reading: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Evaluation:  # fmt: skip
    """Scores of a run's model on its held-out rows, or on a table's.

    say: gets what was found of a table's file: how it is written, categories that were not learned.
    """
    if is_table_run(run.config):
        from .tables import applied

        learned, judged = applied.judge(run, file, with_target=True, reading=reading)
        if file is not None:
            say("; ".join((counted(len(judged.table), "row"), *judged.said)))
        return applied.evaluation(run.name, learned, judged)
    only_of_tables(dict(reading or {}))
    if file is not None:
        raise UsageProblem(
            f"evaluate {run.name} {file}: a file goes with the run of a table", line="",
            fix=f"chainrule evaluate {run.name}",
        )  # fmt: skip
    r = from_config(run.config, str(run.path))
    sets = load(r.data)
    model, _ = restored(run, r, len(sets.names))
    x, true = sets.test.tensors
    p = probabilities(model, x)
    return of_classes(run.name, f"held-out rows of {r.data}", p, np.asarray(true), sets.names)


def of_classes(
    run: str, on: str, p: Any, true: Any, names: tuple[str, ...], asked: str = OF_CLASSES[0]
) -> Evaluation:
    """Scores of probabilities (N, C) against classes (N,); asked: one that is among them."""
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(p), -745.0)  # of the smallest number that is not 0
    matrix = confusion_matrix(p, true, num_classes=len(names))
    scores = {name: scored(name, logits, true) for name in dict.fromkeys((*OF_CLASSES, asked))}
    return Evaluation(run, len(true), on, scores, names, matrix.tolist())


def of_numbers(
    run: str, on: str, amounts: Sequence[Amounts], asked: str = OF_NUMBERS[0]
) -> Evaluation:
    """Scores of the amounts of one target or several; asked: one that is among them."""
    names = list(dict.fromkeys((*OF_NUMBERS, asked)))
    targets: list[dict[str, Any]] = [
        {"name": a.name, **{n: a.score(n) for n in names},
         "mean_rmse": a.of_mean} for a in amounts
    ]  # fmt: skip
    scores = {n: mean_of([t[n] for t in targets]) for n in names}
    return Evaluation(run, len(amounts[0].true), on, scores, targets=targets)


def mean_of(scores: Sequence[float | None]) -> float | None:
    """The mean over targets; None where one of them has no value, or there is none."""
    known = [v for v in scores if v is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None


def of_labels(run: str, on: str, h: Labels, asked: str = "f1") -> Evaluation:
    """Scores of the probabilities of labels against those that rows have; asked: one of them."""
    rows = len(h.true)
    scores: dict[str, float | None] = {
        "f1": h.f1, "labels_right": h.labels_right, "rows_right": h.rows_right / rows,
    }  # fmt: skip
    if asked not in scores:
        scores[asked] = _of_all_labels(asked, h)
    losses = h.losses.tolist()
    worst = [{"row": i, "loss": losses[i] if math.isfinite(losses[i]) else None,
              "wrong": h.wrong(i), "holds": h.told(i)} for i in h.worst()]  # fmt: skip
    each = [label.to_json() for label in h.each()]
    return Evaluation(run, rows, on, scores, h.names, labels=each, worst=worst)


def _of_all_labels(name: str, h: Labels) -> float | None:
    """The mean over the labels; accuracy is that of all labels of all rows."""
    try:
        return over_labels(name, h.p, h.wanted, 0.5)
    except StateError:  # no label that some rows have and some have not
        return None


def interval(right: int, rows: int) -> tuple[float, float]:
    """Where the true share lies with 95 %, for as many right: Wilson 1927.

    >>> tuple(round(v, 3) for v in interval(95, 100))
    (0.888, 0.978)
    """
    z = 1.959964
    p = right / rows
    middle = p + z * z / (2 * rows)
    half = z * math.sqrt(p * (1 - p) / rows + z * z / (4 * rows * rows))
    return (middle - half) / (1 + z * z / rows), (middle + half) / (1 + z * z / rows)


def lines_of(held: Evaluation, t: Terminal) -> list[Line]:
    """A score a line, then who is taken for whom."""
    on = held.on.replace("rows", "row", 1) if held.rows == 1 else held.on
    lines = words(f"{held.run} on {held.rows} {on}", t.width, "strong")
    named = {name: _label(name, held) for name in held.scores}
    wide = max(map(len, named.values()))
    for name, value in held.scores.items():
        said = f"{named[name].ljust(wide)}  {_said(name, value, held)}"
        fits = not t.plain and len(said) <= t.width
        lines += [[(said, "")]] if fits else words(said, t.width, indent="  ")
    blank: list[Line] = [] if t.plain else [[]]
    if len(held.targets) > 1:
        return [*lines, *blank, *target_lines(held.targets, t)]
    if held.labels:
        return [*lines, *blank, *label_lines(held.labels, t), *blank, *worst_lines(held.worst, t)]
    if not held.matrix:
        return lines
    table = matrix_in_words(held, t.width) if t.plain else matrix_lines(held, t.width)
    return [*lines, *blank, *table, *blank, *confused(held, t)]


def target_lines(targets: Sequence[Mapping[str, Any]], t: Terminal) -> list[Line]:
    """A target a line: its scores, and the rmse of its mean; in words where that is too wide."""
    heads = [k for k in targets[0] if k != "name"]
    cells = [[_number(f[k]) for k in heads] for f in targets]
    wide = max(6, *(len(f["name"]) for f in targets))
    named = ["rmse of the mean" if k == "mean_rmse" else k for k in heads]
    room = [max(map(len, column)) + 2 for column in zip(named, *cells, strict=True)]
    head = "target".ljust(wide) + "".join(map(str.rjust, named, room))
    if t.plain or len(head) > t.width:
        pairs = [", ".join(map(" ".join, zip(named, row, strict=True))) for row in cells]
        said = (f"Target {f['name']}: {p}." for f, p in zip(targets, pairs, strict=True))
        return [line for text in said for line in words(text, t.width, indent="  ")]
    lines: list[Line] = [[(head, "faint")]]
    for f, row in zip(targets, cells, strict=True):
        lines.append([(f["name"].ljust(wide), "strong"), ("".join(map(str.rjust, row, room)), "")])
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else figure(value)


def label_lines(labels: Sequence[Mapping[str, Any]], t: Terminal) -> list[Line]:
    """A label a line: counts, precision, recall and F1; in words where that is too wide."""
    wide = max(5, *(len(f["name"]) for f in labels))
    heads = ("rows", "predicted", "right", "precision", "recall", "f1")
    room = [max(len(name), 6) + 2 for name in heads]
    head = "label".ljust(wide) + "".join(map(str.rjust, heads, room))
    if t.plain or len(head) > t.width:
        return [line for f in labels for line in words(_label_in_words(f), t.width, indent="  ")]
    lines: list[Line] = [[(head, "faint")]]
    for f in labels:
        cells = [f"{f[n]}" for n in heads[:3]]
        cells += ["-" if f[n] is None else f"{f[n]:.4f}" for n in heads[3:]]
        lines.append(
            [(f["name"].ljust(wide), "strong"), ("".join(map(str.rjust, cells, room)), "")]
        )
    return lines


def _label_in_words(f: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{n} {'-' if f[n] is None else format(f[n], '.4f')}"
                       for n in ("precision", "recall", "f1"))  # fmt: skip
    return (f"Label {f['name']}: in {counted(f['rows'], 'row')}, predicted in {f['predicted']}, "
            f"right in {f['right']}; {shares}.")  # fmt: skip


def worst_lines(worst: Sequence[Mapping[str, Any]], t: Terminal) -> list[Line]:
    """The rows with the highest loss, what is wrong with each and what it holds."""
    lines = words("worst rows (missed or added: a label, with its probability)", t.width, "faint")
    for w in worst[:SHOWN]:
        loss = "inf" if w["loss"] is None else f"{w['loss']:.4g}"
        for text, style in ((f"{w['wrong']}; loss {loss}", ""), (w["holds"], "faint")):
            lines += [[("  ", ""), *line] for line in words(text, t.width - 2, style, indent="  ")]
    return lines


def _label(name: str, held: Evaluation) -> str:
    """A score's name, and over what it is a mean; two classes have no positive one here."""
    many = "targets" if len(held.targets) > 1 else "classes" if held.matrix else "labels"
    over = f" (mean over {many})" if name in AVERAGED or many == "targets" else ""
    return name.replace("_", " ") + over


def _why_none(held: Evaluation) -> str:
    """Why a score has no value."""
    if held.targets:
        return "it takes two rows or more"
    if held.labels:
        return "there is no label that some rows have and some have not"
    return "some classes have no row, or all rows are of one"


def _said(name: str, value: float | None, held: Evaluation) -> str:
    if value is None:
        return f"- ({_why_none(held)})"
    if name == "rmse" and held.of_mean is not None:
        return f"{figure(value)}  ({OF_MEAN}: {figure(held.of_mean)})"
    if name != "accuracy" or not held.matrix:
        return figure(value)
    low, high = interval(round(value * held.rows), held.rows)
    return f"{percent(value, 2)}  (95 %: {100 * low:.1f} to {100 * high:.1f} %)"
