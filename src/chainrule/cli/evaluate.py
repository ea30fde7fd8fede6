"""`chainrule evaluate`: how good a run's model is on rows that it has not seen."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np

from ..errors import StateError
from ..train import Run
from ..train.metrics import METRICS, confusion_matrix
from .app import Command, UsageProblem
from .options import plain_option, run_argument, runs_dir
from .predict import newest_with_model, restored
from .recipe import from_config, load
from .report import probabilities
from .results import confused, matrix_in_words, matrix_lines
from .tables.choices import is_table_run
from .tables.options import only_of_tables, reading_options
from .terminal import Line, Terminal, detect, words

SCHEMA = "chainrule evaluation 1"
OF_CLASSES = ("accuracy", "log_loss", "roc_auc", "precision", "recall", "f1", "calibration_error")
AVERAGED = ("precision", "recall", "f1")
OF_NUMBERS = ("rmse", "mae", "r2")


@dataclass(frozen=True)
class Evaluation:
    """Scores by name, None where there can be none; the matrix [true][predicted] of classes."""

    run: str
    rows: int
    on: str
    scores: dict[str, float | None]
    names: tuple[str, ...] = ()
    matrix: list[list[int]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        matrix = self.matrix or None
        return {"schema": SCHEMA, **vars(self), "names": list(self.names), "matrix": matrix}


@click.command(cls=Command, short_help="Scores the model of RUN on held-out rows.")
@run_argument()
@click.argument("file", required=False, metavar="[FILE]")
@reading_options
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
    held = of_run(found, file, reading)
    if as_json:
        click.echo(json.dumps(held.to_json(), indent=2))
        return
    t = detect(sys.stdout, plain=plain)
    for line in lines_of(held, t):
        click.echo(t.paint(line), color=True)


def of_run(
    run: Run, file: str | None = None, reading: Mapping[str, Any] | None = None
) -> Evaluation:
    """Scores of a run's model on its held-out rows, or on a table's."""
    if is_table_run(run.config):
        from .tables import applied

        judged = applied.judge(run, file, with_target=True, reading=reading)
        return applied.evaluation(run.name, *judged)
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
    scores = {name: _score(name, logits, true) for name in dict.fromkeys((*OF_CLASSES, asked))}
    return Evaluation(run, len(true), on, scores, names, matrix.tolist())


def of_numbers(
    run: str, on: str, predicted: Any, true: Any, asked: str = OF_NUMBERS[0]
) -> Evaluation:
    """Scores of numbers (N, T) against their targets; asked: one that is among them."""
    names = dict.fromkeys((*OF_NUMBERS, asked))
    return Evaluation(run, len(true), on, {n: _score(n, predicted, true) for n in names})


def of_labels(run: str, on: str, p: Any, true: Any) -> Evaluation:
    """Scores of the probabilities (N, L) of labels against 0 and 1 (N, L)."""
    found, wanted = p > 0.5, np.asarray(true) > 0.5
    both = (found & wanted).sum(0)
    below = found.sum(0) + wanted.sum(0)
    f1 = np.where(below > 0, 2 * both / np.maximum(below, 1), 0.0)
    scores: dict[str, float | None] = {
        "f1": float(f1.mean()), "labels_right": float((found == wanted).mean()),
        "rows_right": float((found == wanted).all(1).mean()),
    }  # fmt: skip
    return Evaluation(run, len(wanted), on, scores)


def _score(name: str, prediction: Any, true: Any) -> float | None:
    metric = METRICS[name]()
    metric.update(prediction, true)
    try:
        return float(metric.compute())
    except StateError:  # a class without rows, or a single row
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
    lines = words(f"{held.run} on {held.rows} {held.on}", t.width, "strong")
    named = {name: _label(name, held) for name in held.scores}
    wide = max(map(len, named.values()))
    for name, value in held.scores.items():
        said = f"{named[name].ljust(wide)}  {_said(name, value, held)}"
        fits = not t.plain and len(said) <= t.width
        lines += [[(said, "")]] if fits else words(said, t.width, indent="  ")
    if not held.matrix:
        return lines
    blank: list[Line] = [] if t.plain else [[]]
    table = matrix_in_words(held, t.width) if t.plain else matrix_lines(held, t.width)
    return [*lines, *blank, *table, *blank, *confused(held, t)]


def _label(name: str, held: Evaluation) -> str:
    """A score's name, and over what it is a mean; two classes have no positive one here."""
    over = f" (mean over {'classes' if held.matrix else 'labels'})" if name in AVERAGED else ""
    return name.replace("_", " ") + over


def _said(name: str, value: float | None, held: Evaluation) -> str:
    if value is None:
        return "- (not in every class are rows)"
    if name != "accuracy":
        return f"{value:.4g}"
    low, high = interval(round(value * held.rows), held.rows)
    return f"{100 * value:.2f} %  (95 %: {100 * low:.1f} to {100 * high:.1f} %)"
