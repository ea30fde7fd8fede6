"""Predicted rows as a file: CSV, TSV, JSON lines or Parquet, by its name."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from ..data.tables.frames import parquet_of
from ..data.tables.reading import SUFFIXES
from ..errors import OutputError
from ..train.files import to_json, write_bytes
from .app import UsageProblem


class Answers(NamedTuple):
    """A list of values for every row, under names."""

    names: list[str]
    rows: list[list[Any]]


def rounded(numbers: Any, digits: int) -> list[float]:
    """Numbers with so many digits, as they are shown."""
    return [float(f"{v:.{digits}g}") for v in numbers]


def label(value: Any) -> Any:
    """A class as a text, a whole number, or true and false."""
    held = value.item() if isinstance(value, np.generic) else value
    return held if isinstance(held, (str, int)) else str(held)


def form_of(output: str) -> str:
    """The format that a file's name asks for, CSV for one without suffix; raises for others."""
    suffix = Path(output).suffix.lower()
    if suffix and suffix not in SUFFIXES:
        raise UsageProblem(f"-o {output}: no format is known by {suffix}",
                           expected=", ".join(SUFFIXES), line="")  # fmt: skip
    return SUFFIXES.get(suffix, "csv")


def give(answers: Answers, output: str | None) -> None:
    """Prints as CSV, or writes the whole file or nothing."""
    if output is None:
        click.echo(_separated(answers, ","), nl=False)
        return
    path = Path(output)
    if not os.path.isdir(path.parent):
        raise OutputError(
            f"can't write {path}", got=f"no folder {path.parent}", fix=f"mkdir -p {path.parent}",
            line="",
        )  # fmt: skip
    write_bytes(path, _as_bytes(answers, form_of(output)))


def _as_bytes(answers: Answers, form: str) -> bytes:
    if form == "parquet":
        return parquet_of(answers.names, list(zip(*answers.rows, strict=True)))
    if form == "json lines":
        lines = (to_json(dict(zip(answers.names, row, strict=True))) for row in answers.rows)
        return "".join(f"{line}\n" for line in lines).encode()
    return _separated(answers, "\t" if form == "tsv" else ",").encode()


def _separated(answers: Answers, sign: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sign, lineterminator="\n")
    writer.writerow(answers.names)
    for row in answers.rows:
        writer.writerow([f"{v:.9g}" if isinstance(v, float) else v for v in row])
    return text.getvalue()
