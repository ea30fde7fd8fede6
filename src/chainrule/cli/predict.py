"""`chainrule predict`: what a trained run says about rows it has not seen."""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..errors import OutputError
from ..functional import softmax
from ..nn import Module
from ..tensor.core import wrap
from ..train import Run
from ..train.evaluation import predict as apply_model
from ..train.files import write_text
from .app import Command, UsageProblem
from .options import Number, find_run, plain_option, run_argument, runs_dir
from .recipe import Recipe, from_config, load, model_of
from .terminal import Line, Signs, Terminal, detect

BATCH = 256


@click.command(cls=Command)
@run_argument()
@click.argument("file", required=False, metavar="[FILE.csv]")
@click.option("--index", type=Number(0, whole=True), help="One row, looked at closely.")
@click.option("-o", "--output", metavar="OUT.csv", help="Write there instead of printing.")
@runs_dir
@plain_option
def command(
    run: str, file: str | None, index: int | None, output: str | None, runs_dir: str, plain: bool
) -> None:
    """Predicts rows of FILE.csv, or the held-out rows, with the model of RUN.

    FILE.csv has one row an example and as many numbers as the model has inputs (a first line of
    names is skipped); the digits take 64 pixels with ink from 0 to 1.  The answer is CSV: the
    class, and the probability of each.

    \b
    Examples:
      chainrule predict digits-0001 --index 7
      chainrule predict digits-0001 -o predictions.csv
      chainrule predict digits rows.csv
    """
    if index is not None and output is not None:
        raise UsageProblem("--index shows one row on the terminal; -o writes all rows", line="")
    found = find_run(run, runs_dir)
    r = from_config(found.config, str(found.path))
    sets = load(r.data)
    model, features = restored(found, r, len(sets.names))
    true: Any = None
    if file is None:
        x, true = (np.asarray(t) for t in sets.test.tensors)
    else:
        x = read_rows(Path(file), features, r.data)
    if index is not None and index >= len(x):
        raise UsageProblem(
            f"--index must be from 0 to {len(x) - 1}: there are {len(x)} rows", got=str(index),
            line="",
        )  # fmt: skip
    rows = slice(None) if index is None else slice(index, index + 1)
    chosen = np.ascontiguousarray(x[rows])
    p = np.asarray(softmax(apply_model(model, (wrap(chosen),), BATCH), -1))
    known = None if true is None else true[rows]
    if index is None:
        give(table_of(p, known, sets.names), output)
        tell(p, known, output)
        return
    terminal = detect(sys.stdout, plain=plain)
    for line in closely(x[index], p[0], known, sets.names, terminal, r.data == "digits"):
        click.echo(terminal.paint(line), color=True)


def restored(run: Run, r: Recipe, classes: int) -> tuple[Module, int]:
    """The model with its weights, and how many inputs it takes."""
    weights = run.load_model()
    first = weights.get("fc1.weight" if r.layers else "out.weight")
    model = model_of(r, 1 if first is None else first.shape[1], classes)
    model.load_state_dict(weights)
    return model, 1 if first is None else first.shape[1]


def read_rows(path: Path, features: int, data: str) -> Any:
    """The numbers of a CSV file; raises with line and column where it does not fit."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise UsageProblem(
            f"no file {str(path)!r}", fix="the path of a CSV file", line=""
        ) from None
    except UnicodeDecodeError as error:
        raise UsageProblem(
            f"{path}: not UTF-8 text (byte {error.start})", fix="save it as CSV, UTF-8", line=""
        ) from None
    rows: list[list[float]] = []
    for number, cells in enumerate(csv.reader(io.StringIO(text)), 1):
        if not cells or (number == 1 and _are_names(cells)):
            continue
        rows.append(_numbers(path, number, cells, features))
    if not rows:
        raise UsageProblem(f"{path}: no rows", expected=f"{features} numbers a line", line="")
    x = np.array(rows, np.float32)
    if data == "digits" and not (x.min() >= 0 and x.max() <= 1):
        raise UsageProblem(
            f"{path}: ink must be from 0 to 1", got=f"values from {x.min():g} to {x.max():g}",
            fix="divide by 16, if they go from 0 to 16" if x.max() > 1 else None, line="",
        )  # fmt: skip
    return x


def _numbers(path: Path, number: int, cells: list[str], features: int) -> list[float]:
    if len(cells) != features:
        hint = "leave out the column with the class" if len(cells) == features + 1 else None
        if len(cells) == 1 and ";" in cells[0]:
            hint = "commas between the numbers, not ';'"
        raise UsageProblem(
            f"{path}, line {number}: {len(cells)} columns, but the model takes {features}",
            expected=f"{features} numbers a line", got=f"{len(cells)} columns", fix=hint, line="",
        )  # fmt: skip
    for column, cell in enumerate(cells, 1):
        if not _is_number(cell):
            raise UsageProblem(
                f"{path}, line {number}, column {column}: not a finite number", got=repr(cell),
                line="",
            )  # fmt: skip
    return [float(c) for c in cells]


def _are_names(cells: list[str]) -> bool:
    return not any(_is_number(part) for cell in cells for part in re.split(r"[;\s]", cell))


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def table_of(p: Any, true: Any, names: tuple[str, ...]) -> str:
    """CSV: row, predicted class, the true one where it is known, a probability for each class."""
    head = ["row", "predicted", *([] if true is None else ["true"]), *[f"p_{n}" for n in names]]
    lines = [",".join(head)]
    for i, row in enumerate(p):
        known = [] if true is None else [names[true[i]]]
        numbers = [f"{v:.6g}" for v in row.tolist()]
        lines.append(",".join([str(i), names[int(row.argmax())], *known, *numbers]))
    return "\n".join(lines) + "\n"


def give(text: str, output: str | None) -> None:
    """Prints, or writes the whole file or nothing."""
    if output is None:
        click.echo(text, nl=False)
        return
    path = Path(output)
    if not path.parent.is_dir():
        raise OutputError(
            f"can't write {path}", got=f"no folder {path.parent}", fix=f"mkdir -p {path.parent}",
            line="",
        )  # fmt: skip
    write_text(path, text)


def tell(p: Any, true: Any, output: str | None) -> None:
    """How many rows, on stderr: stdout holds nothing but the table."""
    said = f"{len(p)} rows"
    if true is not None:
        right = int((p.argmax(1) == true).sum())
        said += f" held out, {right} right ({100 * right / len(p):.2f} %)"
    click.echo(said + (f", written to {output}" if output else ""), err=True)


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
