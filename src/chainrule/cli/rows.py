"""Rows of numbers from a CSV file, and what is said where they do not fit the model."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..markup import counted
from .app import UsageProblem

NUMBERS = re.compile(r'[-+\d.eE",;\s]*')
"""A line of numbers, whatever stands between them, if it has a digit."""
LARGEST = float(np.finfo(np.float32).max)


class Dialect(NamedTuple):
    """How a file writes its numbers."""

    between: str
    decimal: str

    @property
    def said(self) -> str:
        """What differs from plain CSV, or ''."""
        if self.between == ",":
            return ""
        between = "tabs" if self.between == "\t" else "';'"
        decimal = " and ',' as the decimal sign" if self.decimal == "," else ""
        return f"read with {between} between the numbers{decimal}"


def read_rows(name: str, features: int, data: str) -> tuple[Any, Dialect]:
    """The numbers of a CSV file (-: of stdin); raises with line and column where it does not fit.

    Between the numbers stand commas, ';' or tabs; with the last two a number may have a decimal
    comma.  A first line without any number is taken for names.
    """
    text = _text_of(name)
    dialect = dialect_of(text)
    rows: list[list[float]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=dialect.between, strict=True)
    first = True
    try:
        for cells in reader:
            if not cells:
                continue
            if first and _are_names(cells, dialect):
                _refuse_twice(name, cells)
            else:
                rows.append(_numbers(name, reader.line_num, cells, features, dialect))
            first = False
    except csv.Error as error:
        what = "a quote is not closed" if "end of data" in str(error) else str(error)
        raise UsageProblem(f"{name}, line {reader.line_num}: {what}", line="") from None
    if not rows:
        raise UsageProblem(f"{name}: no rows", expected=f"{features} numbers a line", line="")
    x = np.array(rows, np.float32)
    if data == "digits" and not (x.min() >= 0 and x.max() <= 1):
        raise UsageProblem(
            f"{name}: ink must be from 0 to 1", got=f"values from {x.min():g} to {x.max():g}",
            fix="divide by 16, if they go from 0 to 16" if x.max() > 1 else None, line="",
        )  # fmt: skip
    return x, dialect


def _text_of(name: str) -> str:
    try:
        if name == "-":
            return sys.stdin.buffer.read().decode("utf-8-sig")
        return Path(name).read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UsageProblem(f"no file {name!r}", fix="the path of a CSV file", line="") from None
    except OSError as error:
        raise UsageProblem(f"can't read {name}: {error.strerror}", line="") from None
    except UnicodeDecodeError as error:
        raise UsageProblem(
            f"{name}: not UTF-8 text (byte {error.start})", fix="save it as CSV, UTF-8", line=""
        ) from None


def dialect_of(text: str) -> Dialect:
    """Tabs or ';' wherever a line of numbers has them: neither can stand in a number."""
    lines = [line for line in text.splitlines() if NUMBERS.fullmatch(line)]
    numbers = [line for line in lines if re.search(r"\d", line)]
    between = next((c for c in "\t;" if numbers and c in numbers[0]), ",")
    body = "".join(numbers)
    decimal = "," if between != "," and "," in body and "." not in body else "."
    return Dialect(between, decimal)


def _are_names(cells: list[str], dialect: Dialect) -> bool:
    parts = [cell.split() for cell in cells]
    return any(parts) and not any(p and all(_value(c, dialect) is not None for c in p)
                                  for p in parts)  # fmt: skip


def _refuse_twice(name: str, cells: list[str]) -> None:
    twice = [cell for cell, times in Counter(cells).items() if times > 1 and cell]
    if twice:
        places = [str(i) for i, cell in enumerate(cells, 1) if cell == twice[0]]
        raise UsageProblem(
            f"{name}, line 1: two columns are called {twice[0][:40]!r}",
            got=f"columns {', '.join(places[:5])}", line="",
        )  # fmt: skip


def _numbers(
    name: str, line: int, cells: list[str], features: int, dialect: Dialect
) -> list[float]:
    if len(cells) != features:
        _refuse_count(name, line, len(cells), features)
    numbers = []
    for column, cell in enumerate(cells, 1):
        value = _value(cell, dialect)
        if value is None or not abs(value) <= LARGEST:
            raise UsageProblem(
                f"{name}, line {line}, column {column}: not a finite number",
                got=repr(cell if len(cell) <= 40 else cell[:40] + ".."), line="",
            )  # fmt: skip
        numbers.append(value)
    return numbers


def _refuse_count(name: str, line: int, count: int, features: int) -> NoReturn:
    raise UsageProblem(
        f"{name}, line {line}: {counted(count, 'column')}, but the model takes {features}",
        expected=f"{features} numbers a line, with ',', ';' or tabs between",
        got=counted(count, "column"),
        fix="leave out the column with the class" if count == features + 1 else None, line="",
    )  # fmt: skip


def _value(cell: str, dialect: Dialect) -> float | None:
    """The number in a cell, nan and infinities included; None where there is none."""
    if dialect.decimal != ".":
        cell = cell.replace(dialect.decimal, ".")
    try:
        return float(cell)
    except ValueError:
        return None
