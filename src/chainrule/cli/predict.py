"""`chainrule predict`: what a trained run says about rows it has not seen."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..errors import NonFiniteError
from ..functional import softmax
from ..markup import counted
from ..nn import Module
from ..tensor.core import Tensor, wrap
from ..train import Run, list_runs
from ..train.evaluation import predict as apply_model
from .app import Command, UsageProblem
from .options import Number, find_run, plain_option, run_argument, runs_dir
from .recipe import Recipe, from_config, load, model_of
from .rows import Dialect, read_rows
from .tables.choices import is_table_run
from .tables.options import only_of_tables, reading_options
from .terminal import Line, Signs, Terminal, detect
from .written import Answers, form_of, give, rounded

BATCH = 256


@click.command(cls=Command, short_help="Predicts rows with the model of RUN.")
@run_argument()
@click.argument("file", required=False, metavar="[FILE.csv]")
@click.option("--index", type=Number(0, whole=True), help="One row, looked at closely.")
@click.option(
    "-o",
    "--output",
    metavar="OUT.csv",
    help="Write there instead of printing: .csv, .tsv, .jsonl or .parquet.",
)
@reading_options
@runs_dir
@plain_option
def command(
    run: str, file: str | None, index: int | None, output: str | None, runs_dir: str, plain: bool,
    **reading: Any,
) -> None:  # fmt: skip
    """Predicts rows of FILE.csv, or the held-out rows, with the model of RUN.

    For a run of a table FILE (-: stdin) is a table with the columns that it learned from. For a
    data set FILE.csv (-: stdin) has one row an example and as many numbers as the model has inputs,
    by place (a first line of names is skipped); the digits take 64 pixels with ink from 0 to 1.
    RUN is a name such as digits-0001, a path, or digits for the newest with a model.  The answer is
    CSV, or what the suffix of -o asks for: the class, and the probability of each, or amounts, in
    the order of the rows, which are counted from 0. No column of FILE is repeated, its ids neither.

    \b
    Examples:
      chainrule predict digits-0001 --index 7
      chainrule predict digits-0001 -o predictions.csv
      chainrule predict digits rows.csv
    """
    if index is not None and output is not None:
        raise UsageProblem("--index shows one row on the terminal; -o writes all rows", line="")
    if file is not None and output is not None and _same(file, output):
        raise UsageProblem("-o would write over the rows that are to be predicted", line="")
    if output is not None:
        form_of(output)
    found = newest_with_model(run, runs_dir)
    if is_table_run(found.config):
        _of_table(found, file, index, output, detect(sys.stdout, plain=plain), reading)
        return
    only_of_tables(reading)
    r = from_config(found.config, str(found.path))
    sets = load(r.data)
    model, features = restored(found, r, len(sets.names))
    true: Any = None
    dialect = None
    if file is None:
        x, true = (np.asarray(t) for t in sets.test.tensors)
    else:
        x, dialect = read_rows(file, features, r.data)
    if index is not None and index >= len(x):
        raise UsageProblem(
            f"--index must be from 0 to {len(x) - 1}: there are {len(x)} rows", got=str(index),
            line="",
        )  # fmt: skip
    rows = slice(None) if index is None else slice(index, index + 1)
    chosen = np.ascontiguousarray(x[rows])
    p = np.asarray(softmax(apply_model(model, (wrap(chosen),), BATCH), -1))
    _check_finite(p, chosen)
    known = None if true is None else true[rows]
    if index is None:
        give(table_of(p, known, sets.names), output)
        tell(p, known, output, found, dialect)
        return
    terminal = detect(sys.stdout, plain=plain)
    for line in closely(x[index], p[0], known, sets.names, terminal, r.data == "digits"):
        click.echo(terminal.paint(line), color=True)
    click.echo(_by(found, dialect), err=True)


def _of_table(
    run: Run, file: str | None, index: int | None, output: str | None, t: Terminal,
    reading: dict[str, Any],
) -> None:  # fmt: skip
    """The rows of a table, or the run's held-out rows."""
    from .tables import applied
    from .tables.said import closely as row_of

    model, judged = applied.judge(run, file, with_target=False, reading=reading)
    rows = len(judged.table)
    if index is not None and index >= rows:
        raise UsageProblem(f"--index must be from 0 to {rows - 1}: there are {rows} rows",
                           got=str(index), line="")  # fmt: skip
    if index is not None:
        for line in row_of(model, judged, index, t):
            click.echo(t.paint(line), color=True)
    else:
        give(applied.answers(model, judged), output)
    said = counted(rows, "row") + (f", written to {output}" if output else "")
    click.echo("; ".join((f"{said}, by {run.name}", *judged.said)), err=True)


def newest_with_model(name: str, folder: str) -> Run:
    """The run that is meant; for a name without number the newest that can predict."""
    found = find_run(name, folder)
    if found.name == Path(name).name:
        return found
    form = re.compile(re.escape(name) + r"-\d{4,}")
    able = [r for r in list_runs(folder) if form.fullmatch(r.name) and r.has_model]
    return able[-1] if able else found


def _same(one: str, other: str) -> bool:
    return os.path.isfile(one) and os.path.exists(other) and os.path.samefile(one, other)


def _check_finite(p: Any, x: Any) -> None:
    bad = np.flatnonzero(~np.isfinite(p).all(1))
    if bad.size:
        raise NonFiniteError(
            f"the model gives no finite number for {bad.size} of {len(p)} rows",
            got=f"row {bad[0]}, with inputs up to {np.abs(x[bad[0]]).max():g}",
            fix="inputs of the size that it was trained with", line="",
        )  # fmt: skip


def restored(
    run: Run, r: Recipe, classes: int, weights: dict[str, Tensor] | None = None
) -> tuple[Module, int]:
    """The model with its weights (those that it kept), and how many inputs it takes."""
    weights = run.load_model() if weights is None else weights
    first = weights.get("fc1.weight" if r.layers else "out.weight")
    model = model_of(r, 1 if first is None else first.shape[1], classes)
    model.load_state_dict(weights)
    return model, 1 if first is None else first.shape[1]


def table_of(p: Any, true: Any, names: tuple[str, ...]) -> Answers:
    """Row, predicted class, the true one where it is known, a probability for each class."""
    head = ["row", "predicted", *([] if true is None else ["true"]), *[f"p_{n}" for n in names]]
    rows = []
    for i, row in enumerate(p):
        known = [] if true is None else [names[true[i]]]
        rows.append([i, names[int(row.argmax())], *known, *rounded(row.tolist(), 6)])
    return Answers(head, rows)


def tell(p: Any, true: Any, output: str | None, run: Run, dialect: Dialect | None) -> None:
    """How many rows, by which run, on stderr: stdout holds nothing but the table."""
    said = counted(len(p), "row")
    if true is not None:
        right = int((p.argmax(1) == true).sum())
        said += f" held out, {right} right ({100 * right / len(p):.2f} %)"
    said += f", written to {output}" if output else ""
    click.echo(f"{said}, {_by(run, dialect)}", err=True)


def _by(run: Run, dialect: Dialect | None) -> str:
    return f"by {run.name}" + (f"; {dialect.said}" if dialect and dialect.said else "")


def closely(
    x: Any, p: Any, true: Any, names: tuple[str, ...], t: Terminal, image: bool
) -> list[Line]:
    """One row: its picture or numbers, the classes by probability."""
    lines: list[Line] = []
    if image and not t.plain:
        lines = [[(row, "")] for row in picture(x.reshape(8, 8), t.signs)]
    elif not image:
        lines = [[("inputs " + ", ".join(f"{v:g}" for v in x.tolist()), "")]]
    order = np.argsort(-p, kind="stable")
    said = f"predicted {names[order[0]]}"
    style = ""
    if true is not None:
        right = names[true[0]] == names[order[0]]
        said += f", true {names[true[0]]}: {'right' if right else 'wrong'}"
        style = "ok" if right else "bad"
    lines.append([(said, style)])
    room = min(max(t.width - 16, 1), 30)
    for i in order[:5]:
        line: Line = [(f"  {names[i]:>3}  {p[i] * 100:6.2f} %", "")]
        if not t.plain:
            line.append(("  " + t.signs.bar[0] * round(float(p[i]) * room), "bar"))
        lines.append(line)
    return lines


def picture(image: Any, signs: Signs) -> list[str]:
    """Ink as shades, two characters a pixel."""
    top = len(signs.shades) - 1
    return ["".join(signs.shades[round(float(v) * top)] * 2 for v in row) for row in image]
