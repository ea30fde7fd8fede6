"""Cells that are not what their column is: found, and named with their line."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ...errors import ArgumentError
from .cells import ISO, Cells
from .table import Table, shorten

NUMBER = "a finite number"
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
"""1,234 and 1,234.5, with a sign between thousands."""


def need_numbers(table: Table, name: str, cells: Cells) -> Any:
    """(rows,) float64, nan where missing; raises for a cell that is no finite number."""
    values, bad = cells.numbers
    _refuse(table, name, cells, bad, NUMBER, "numbers")
    return values


def in_thousands(cells: Cells) -> bool:
    """Whether all that keeps the texts of a column from being numbers are commas in them."""
    if not cells.column.is_text or not len(cells.numbers[1]):
        return False
    odd = set(cells.texts[cells.numbers[1]].tolist())
    return all(THOUSANDS.fullmatch(text) for text in odd)


def need_truth(table: Table, name: str, cells: Cells) -> Any:
    """(rows,) bool; raises for a cell that says neither true nor false."""
    values, bad = cells.truth
    _refuse(table, name, cells, bad, "true or false", "true or false, yes or no, 1 or 0")
    return values


def need_dates(table: Table, name: str, cells: Cells, form: str | None) -> Any:
    """(rows,) datetime64[us], NaT where missing; raises for a cell of another form."""
    values, bad = cells.dates(form)
    wanted = "2024-12-31 or 2024-12-31 23:59:59" if form in (None, ISO) else f"the form {form}"
    _refuse(table, name, cells, bad, "a date of the column's form", wanted)
    return values


def _refuse(table: Table, name: str, cells: Cells, bad: Any, what: str, wanted: str) -> None:
    if not len(bad):
        return
    row = int(bad[0])
    cell = shorten(str(cells.column.values[row]))
    more = np.asarray(bad[1:])
    where = table.place(row) + (f"; so in {table.places(more, 5)}" if len(more) else "")
    fix = f"mend it, or name it in missing= if {cell!r} stands for no value"
    if what == NUMBER and THOUSANDS.fullmatch(cell.strip()):
        fix = f"write {cell.replace(',', '').strip()}: a comma between thousands is not read"
    raise ArgumentError(
        f"column {shorten(name)!r} holds {'a cell' if not len(more) else f'{len(bad)} cells'} "
        f"that {'is' if not len(more) else 'are'} not {what}",
        expected=f"{wanted}, or a text for a missing value",
        got=f"{cell!r} in {where}",
        fix=fix,
    )
