"""What each column of a table is, and why."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ArgumentError
from ...markup import counted
from .cells import COMPACT, FORMATS, ISO, SHORT, Cells, count_dates
from .faults import need_dates, need_numbers, need_truth
from .table import Table, shorten
from .units import NUMBERS_MEANT, SLIPS, are_amounts, are_slips, unit_of

KINDS = ("numeric", "categorical", "boolean", "date", "drop")
AS_ASKED = "as asked"
MOST_LEVELS = 50
"""Texts with more different values than this, in more than half of the rows, are no categories."""
FEW_VALUES = 10
ID_NAME = re.compile(r"(.*[\W_])?(id|idx|index|key|uuid|guid|row|nr|no)|.*[a-z](Id|ID)", re.DOTALL)

FIRST_DAY, LAST_DAY = 19_000_101, 21_001_231
WORDS = re.compile(r"[^\W\d_]?[^\W\d_A-Z]+|[A-Z]+")
OF_DATES = re.compile(r"\w*(date|datum|day)|(date|datum)\w*|dates|fecha|data|dia|jour|ymd|yyyymmdd")
"""A word of a name that says that numbers such as 20190525 are dates."""


@dataclass(frozen=True)
class Feature:
    """A column to learn from, or to leave out: kind is one of KINDS; form: of dates."""

    name: str
    kind: str
    why: str
    form: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For the model's file."""
        return {"name": self.name, "kind": self.kind, "why": self.why, "form": self.form}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Feature:
        """What `to_json` gave; KeyError, TypeError or ValueError for anything else."""
        found = cls(**data)
        if (
            not is_texts([found.name, found.why, "" if found.form is None else found.form])
            or found.kind not in KINDS
        ):
            raise ValueError("a column that is none")
        return found


def is_texts(values: Any) -> bool:
    """Whether something is a list of texts."""
    return isinstance(values, (list, tuple)) and all(isinstance(v, str) for v in values)


def infer_feature(table: Table, cells: Cells, kind: str | None, form: str | None) -> Feature:
    """What a column is; the kind and the form of dates as they are asked for."""
    name, gaps = cells.column.name, int(cells.missing.sum())
    tail = f", {gaps} missing" if gaps else ""
    if kind == "drop":
        return Feature(name, "drop", AS_ASKED)
    if gaps == len(cells):
        if kind is None:
            return Feature(name, "drop", "no value in any row")
        raise ArgumentError(
            f"column {shorten(name)!r} can't be {kind}: it has no value in any row",
            fix=f"leave it out: kinds={{{name!r}: 'drop'}}"[:120],
        )
    if kind is not None or form is not None:
        return _as_asked(table, cells, kind or "date", form, tail)
    if not cells.column.is_text:
        return _of_values(table, cells, tail)
    return _of_texts(table, cells, tail)


def _as_asked(table: Table, cells: Cells, kind: str, form: str | None, tail: str) -> Feature:
    name = cells.column.name
    if kind == "numeric":
        need_numbers(table, name, cells)
    elif kind == "boolean":
        need_truth(table, name, cells)
    elif kind == "date":
        if form is None:
            forms = cells.date_forms(COMPACT) or [cells.likely_form()]
            form, tail = forms[0], f"; dates as {_with_others(name, forms)}{tail}"
        need_dates(table, name, cells, form)
    return Feature(name, kind, AS_ASKED + tail, form)


def _with_others(name: str, forms: list[str]) -> str:
    """The first form of dates, and how another one that reads every cell too is chosen."""
    alike = forms[0].replace("%B", "%b")  # in May they are the same
    others = [form for form in forms if form.replace("%B", "%b") != alike]
    if not others:
        return forms[0]
    first = {"m": ", the month first", "d": ", the day first"}
    one, two = (f"{form}{first.get(form[1], '')}" for form in (forms[0], others[0]))
    return f"{one} (or {two}, which reads every cell too: forms={{{name!r}: {others[0]!r}}})"


def _of_values(table: Table, cells: Cells, tail: str) -> Feature:
    name, kind = cells.column.name, cells.column.values.dtype.kind
    if kind in "bM":
        different = len(cells.levels[0])
        if different == 1 and not tail:
            return Feature(name, "drop", "the same value in every row")
        if kind == "b":
            return Feature(name, "boolean", "true and false" + tail)
        return Feature(name, "date", "dates" + tail, ISO)
    if len(cells.numbers[1]):  # infinite: for transform to refuse, with its line
        return Feature(name, "numeric", "numbers" + tail)
    return _of_numbers(table, cells, tail)


def _of_numbers(table: Table, cells: Cells, tail: str) -> Feature:
    name, values = cells.column.name, cells.numbers[0][~cells.missing]
    different = np.unique(values)
    if len(different) == 1 and not tail:
        return Feature(name, "drop", "the same value in every row")
    span = f"numbers from {different[0]:g} to {different[-1]:g}{tail}"
    whole = bool((different == np.round(different)).all())
    hint = ""
    if whole and _are_days(cells, different):
        if _is_of_dates(name):
            what = f"dates as {COMPACT}, as the name says"
            taken = _said(name, "numeric", "takes the numbers")
            return Feature(name, "date", f"{what}; {taken}{tail}", COMPACT)
        hint = f"; dates, too: forms={{{name!r}: '{COMPACT}'}} takes them for that"
    if whole and not tail and len(different) == len(values) >= FEW_VALUES:
        taken = _said(name, "numeric", "takes it in")
        if _counts(values, table.numbers):
            return Feature(
                name, "drop", f"it goes by 1 from row to row: numbers of rows; {taken}{hint}"
            )
        if ID_NAME.fullmatch(name):
            what = "another whole number in every row: it names the row"
            return Feature(name, "drop", f"{what}; {taken}{hint}")
        if different[-1] - different[0] == len(values) - 1:
            span += f", each once, as numbers of rows are; {_said(name, 'drop', 'leaves it out')}"
    if len(different) <= FEW_VALUES:
        span += f", {len(different)} different"
    return Feature(name, "numeric", span + hint)


def _are_days(cells: Cells, different: Any) -> bool:
    """Whether all numbers are days of the years 1900 to 2100, written as 20190525."""
    if not (different[0] >= FIRST_DAY and different[-1] <= LAST_DAY):
        return False
    texts = cells.spelled
    plain = all(len(text) == 8 and text.isascii() and text.isdecimal() for text in texts)
    return plain and count_dates(COMPACT, texts) == len(texts)


def _is_of_dates(name: str) -> bool:
    """Whether a column's name says that it holds dates.

    >>> [_is_of_dates(name) for name in ("sale_date", "DateSold", "Verkaufsdatum", "days", "price")]
    [True, True, True, False, False]
    """
    return any(OF_DATES.fullmatch(word.lower()) for word in WORDS.findall(name))


def _said(name: str, kind: str, does: str) -> str:
    return f"kinds={{{shorten(name)!r}: '{kind}'}} {does}"


def _counts(values: Any, rows: Any) -> bool:
    """Whether numbers go up by one from row to row of the source, or down."""
    return bool((np.ptp(values - rows) == 0) or (np.ptp(values + rows) == 0))


def _of_texts(table: Table, cells: Cells, tail: str) -> Feature:
    name = cells.column.name
    numbers, bad = cells.numbers
    if not len(bad):
        return _of_numbers(table, cells, tail)
    levels = cells.levels[0]
    present = len(cells) - int(cells.missing.sum())
    if len(levels) == 1 and not tail:
        return Feature(name, "drop", "the same text in every row")
    if len(levels) <= 4 and not len(cells.truth[1]) and len({lv.lower() for lv in levels}) == 2:
        return Feature(name, "boolean", f"{levels[0]} and {levels[-1]}{tail}")
    forms = cells.date_forms()
    unsure = len(forms) > 1 and forms[0] in SHORT
    if forms and not unsure:
        return Feature(name, "date", f"dates as {_with_others(name, forms)}{tail}", forms[0])
    able = np.unique(numbers[np.isfinite(numbers)])
    if are_slips(cells) or are_amounts(cells):
        need_numbers(table, name, cells, f"kinds={{{shorten(name)!r}: 'categorical'}}")
    if len(levels) > NUMBERS_MEANT:
        _refuse_slips_of_dates(table, cells)
    such = f"such as {shorten(levels[0])!r}"
    rare = len(levels) > present / 2 and len(levels) > MOST_LEVELS
    if rare or (present >= FEW_VALUES and len(levels) > (1 - SLIPS) * present):
        what = f"{len(levels)} different texts in {present} rows, {such}: no category"
        if unsure:
            what = (
                f"dates as {_with_others(name, forms)}: kinds={{{name!r}: 'date'}} takes the first"
            )
        return Feature(name, "drop", what)
    some = f", {len(able)} of them numbers" if len(able) else ""
    if unsure:
        some = f", dates as {_with_others(name, forms)}"
    unit = unit_of(cells)
    if unit is not None:
        some = f", {such}, and no numbers: {unit.text!r} stands beside them"
    return Feature(name, "categorical", f"{counted(len(levels), 'different text')}{some}{tail}")


def _refuse_slips_of_dates(table: Table, cells: Cells) -> None:
    """Raises where nearly all texts are dates of one form."""
    levels = cells.levels[0]
    some = levels[:: max(len(levels) // 200, 1)]
    few = levels[:: max(len(levels) // 20, 1)]
    for form in (ISO, *FORMATS):
        if 2 * count_dates(form, few) < len(few):
            continue
        if count_dates(form, some) >= (1 - SLIPS) * len(some):
            need_dates(table, cells.column.name, cells, form)


def without_copies(
    features: list[Feature], cells: dict[str, Cells], asked: set[str], targets: tuple[str, ...]
) -> list[Feature]:
    """The features, those left out that hold the same as one before them or as the target."""
    seen: dict[bytes, str] = {}
    for name in targets:
        for kind in ("numeric", "categorical"):
            if kind == "categorical" or not len(cells[name].numbers[1]):
                seen[_digest(cells[name], kind, None)] = name
    out = []
    for f in features:
        if f.kind != "drop":
            key = _digest(cells[f.name], f.kind, f.form)
            same = seen.setdefault(key, f.name)
            if same != f.name and f.name not in asked:
                what = " the target" if same in targets else ""
                f = Feature(f.name, "drop", f"the same in every row as{what} {same!r}")
        out.append(f)
    return out


def _digest(cells: Cells, kind: str, form: str | None) -> bytes:
    state = hashlib.blake2b(kind.encode(), digest_size=32)
    arrays: tuple[Any, ...]
    if kind == "numeric":
        arrays = (cells.numbers[0] + 0.0,)
    elif kind == "boolean":
        arrays = (cells.truth[0], cells.missing)
    elif kind == "date":
        arrays = (cells.dates(form)[0],)
    else:
        levels, codes = cells.levels
        arrays = (codes,)
        state.update("\0".join(map(str, levels)).encode())
    for a in arrays:
        state.update(np.ascontiguousarray(a).tobytes())
    return state.digest()
