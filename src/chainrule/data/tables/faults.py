"""Cells that are not what their column is: found, and named with their line."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ArgumentError
from .cells import COMPACT, EVERY, ISO, Cells, count_dates
from .table import Table, shorten
from .units import rewritten

NUMBER, DATE = "a finite number", "a date of the column's form"


def need_numbers(table: Table, name: str, cells: Cells, other: str | None = None) -> Any:
    """(rows,) float64, nan where missing; raises for a cell that is no finite number.

    other: what else may be done.
    """
    values, bad = cells.numbers
    _refuse(table, name, cells, bad, NUMBER, "numbers", other)
    return values


def need_truth(table: Table, name: str, cells: Cells) -> Any:
    """(rows,) bool; raises for a cell that says neither true nor false."""
    values, bad = cells.truth
    _refuse(table, name, cells, bad, "true or false", "true or false, yes or no, 1 or 0")
    return values


def need_dates(table: Table, name: str, cells: Cells, form: str | None) -> Any:
    """(rows,) datetime64[us], NaT where missing; raises for a cell of another form."""
    values, bad = cells.dates(form)
    wanted = "2024-12-31 or 2024-12-31 23:59:59" if form in (None, ISO) else f"the form {form}"
    _refuse(table, name, cells, bad, DATE, wanted)
    return values


def _refuse(
    table: Table, name: str, cells: Cells, bad: Any, what: str, wanted: str,
    other: str | None = None,
) -> None:  # fmt: skip
    if not len(bad):
        return
    row = int(bad[0])
    whole = str(cells.column.values[row]).strip(" ")
    cell = shorten(whole)
    more = np.asarray(bad[1:])
    where = table.place(row) + (f"; so in {table.places(more, 5)}" if len(more) else "")
    said = "name it in missing=" if cell != whole else f"missing=[.., {cell!r}]"
    fix = f"mend it, or {said} if it stands for no value" + (f"; or {other}" if other else "")
    number = rewritten(cell, cells.decimal) if what == NUMBER else None
    if number is not None:
        fix = f"write {number}" + (f"; or {other}" if other else "")
    elif what == DATE and 2 * len(bad) > len(cells):
        fits = next((f for f in (*EVERY, COMPACT) if count_dates(f, [cell])), None)
        if fits is not None:
            fix = f"say the form of its dates: forms={{{name!r}: {fits!r}}}"
    raise ArgumentError(
        f"column {shorten(name)!r} holds {'a cell' if not len(more) else f'{len(bad)} cells'} "
        f"that {'is' if not len(more) else 'are'} not {what}",
        expected=f"{wanted}, or a text for a missing value",
        got=f"{cell!r} in {where}",
        fix=fix,
    )
