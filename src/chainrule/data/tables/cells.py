"""What the cells of a column mean: missing, numbers, levels, dates."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, cached_property
from typing import Any

import numpy as np

from .table import Column, Table

MISSING = ("", "NA", "N/A", "n/a", "null", "NULL", "nan", "NaN", "?", "-")
"""Texts that stand for a missing value, unless others are given."""
TRUTH = {
    "true": True, "false": False, "yes": True, "no": False, "y": True, "n": False,
    "t": True, "f": False, "on": True, "off": False,
}  # fmt: skip
"""Texts, in small letters, that say true or false."""
IN_GROUPS = re.compile(r"[-+]?\d{1,3}(\.\d{3})+,\d+([eE][-+]?\d+)?")
ISO = "ISO"
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,6})?)?(Z|[-+]\d\d:?\d\d)?)?")
DAYS = ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%Y.%m.%d")
TIMES = ("", " %H:%M", " %H:%M:%S")
NAMED = ("%d %b %Y", "%b %d %Y", "%b %d, %Y", "%d-%b-%Y", "%d %B %Y", "%B %d %Y", "%B %d, %Y")
FORMATS = (*(day + time for time in TIMES for day in DAYS), *NAMED)
"""The forms of dates beside ISO 8601; the first that reads every cell is taken."""
MONTHS = ("%Y-%m", "%m/%Y", "%b %Y", "%B %Y")
SHORT = ("%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%y", "%d %b %y", "%d-%b-%y", "%b %d, %y")
"""Years of two digits, 1969 to 2068: taken where no other form reads every cell."""
COMPACT = "%Y%m%d"
"""Numbers, too: only for a column that is said to hold dates, by its name or by whoever asks."""
EVERY = (ISO, *FORMATS, *MONTHS, *SHORT)
NOWHERE = np.array([], np.int64)


class Cells:
    """A column as one sees it with these texts for missing values and this decimal sign."""

    def __init__(self, column: Column, missing: tuple[str, ...], decimal: str) -> None:
        self.column, self.spellings, self.decimal = column, missing, decimal

    def __len__(self) -> int:
        return len(self.column.values)

    @cached_property
    def texts(self) -> Any:
        """(rows,) the cells of a column of texts, without blanks around them."""
        values = self.column.values
        starts, ends = np.strings.startswith(values, " "), np.strings.endswith(values, " ")
        padded = bool(starts.any() or ends.any())
        return np.strings.strip(values, " ") if padded else values

    @cached_property
    def missing(self) -> Any:
        """(rows,) bool: where there is no value."""
        column = self.column
        out = np.zeros(len(self), bool) if column.missing is None else column.missing.copy()
        if column.is_text:
            for spelling in self.spellings:
                out |= self.texts == spelling
        elif column.values.dtype.kind == "f":
            out |= np.isnan(column.values)
            for spelling in self.spellings:  # 'inf' and '-999' can stand for a missing number
                value = as_float(spelling)
                if value is not None:
                    out |= column.values == value
        return out

    @cached_property
    def numbers(self) -> tuple[Any, Any]:
        """((rows,) float64 with nan where missing, the rows that hold no finite number)."""
        column, missing = self.column, self.missing
        if not column.is_text:
            if column.values.dtype.kind == "M":
                return np.full(len(self), np.nan), np.flatnonzero(~missing)
            values = np.where(missing, np.nan, column.values.astype(np.float64))
        else:
            values = self._parsed()
        bad = np.flatnonzero(~np.isfinite(values) & ~missing)
        values[bad] = np.nan
        return values, bad

    def _parsed(self) -> Any:
        """Texts as numbers, nan where they are none: all at once, else each different one."""
        texts = np.where(self.missing, "nan", self.texts)
        if self.decimal == ",":
            texts = np.strings.replace(texts, ",", ".")
        odd = "_" if self.decimal == "." else "."  # Python's 1_000; 1.000,5
        if not (np.strings.find(self.texts, odd) >= 0).any():
            with suppress(ValueError):
                return texts.astype(np.float64)
        levels, codes = self.levels
        return np.array([*[number_of(level, self.decimal) for level in levels], np.nan])[codes]

    @cached_property
    def levels(self) -> tuple[list[Any], Any]:
        """(the different values in order, (rows,) int64 which of them, -1 where missing)."""
        values = self.texts if self.column.is_text else self.column.values
        present = values[~self.missing]
        if self.column.is_text:
            listed = present.tolist()
            found = sorted(set(listed))
            at = {level: i for i, level in enumerate(found)}
            inverse = np.fromiter(map(at.__getitem__, listed), np.int64, len(listed))
        else:
            different, inverse = np.unique(present, return_inverse=True)
            found = different.tolist()
        codes = np.full(len(self), -1, np.int64)
        codes[~self.missing] = inverse
        return found, codes

    @cached_property
    def spelled(self) -> list[str]:
        """The different values as texts: of a column of numbers their digits, '20190525'."""
        levels, kind = self.levels[0], self.column.values.dtype.kind
        return levels if self.column.is_text else [
            f"{level:.0f}" if kind in "iuf" and level == level // 1 else str(level)
            for level in levels
        ]  # fmt: skip

    @cached_property
    def truth(self) -> tuple[Any, Any]:
        """((rows,) bool, False where missing, the rows that say neither true nor false)."""
        kind = self.column.values.dtype.kind
        if kind == "b":
            return self.column.values & ~self.missing, NOWHERE
        if not self.column.is_text:
            values, bad = self.numbers
            other = ~self.missing & ~np.isin(values, (0, 1))
            return values == 1, np.flatnonzero(other) if kind != "M" else bad
        levels, codes = self.levels
        words = [_truth(level) for level in levels]
        said = np.array([*[w is True for w in words], False])
        unsaid = np.array([*[w is None for w in words], False])
        return said[codes], np.flatnonzero(unsaid[codes])

    def dates(self, form: str | None) -> tuple[Any, Any]:
        """((rows,) datetime64[us], NaT where missing; the rows that are no date in this form)."""
        if self.column.values.dtype.kind == "M":
            return np.where(self.missing, np.datetime64("NaT"), self.column.values), NOWHERE
        codes = self.levels[1]
        read = reader_of(form or ISO)
        known = np.array([*[_date(read, level) for level in self.spelled], "NaT"], "M8[us]")
        values = known[codes]
        return values, np.flatnonzero(np.isnat(values) & ~self.missing)

    def date_forms(self, *more: str) -> list[str]:
        """The forms of dates that every cell has; more: other forms that are tried."""
        if self.column.values.dtype.kind == "M":
            return [ISO]
        levels = self.spelled
        if not levels or any(len(level) < 6 for level in levels[:100]):
            return []
        forms = (*EVERY, *more)
        for some in (levels[:20], levels):
            forms = tuple(f for f in forms if _all_read(f, some))
        return list(forms)

    def likely_form(self) -> str:
        """The form of dates that most of some cells have; ISO where none has any."""
        levels = self.spelled
        some = levels[:: max(len(levels) // 200, 1)]
        counts = {form: count_dates(form, some) for form in (*EVERY, COMPACT)}
        return max(counts, key=lambda form: counts[form])


def as_float(text: str) -> float | None:
    """What Python reads as a number; None for any other text."""
    try:
        return float(text)
    except ValueError:
        return None


def number_of(text: str, decimal: str) -> float:
    """A text as a number, nan where it is none.

    With a decimal comma 1,5 is 1.5 and 1.234,5 is 1234.5; a point alone makes no number.
    """
    if decimal == "," and "." in text:
        text = text.replace(".", "") if IN_GROUPS.fullmatch(text) else ""
    value = None if "_" in text else as_float(text.replace(",", ".") if decimal == "," else text)
    return float("nan") if value is None else value


def _truth(text: str) -> bool | None:
    return TRUTH.get(text.lower(), {"1": True, "0": False}.get(text))


def reader_of(form: str) -> Callable[[str], datetime.datetime | None]:
    """A function from a text to a moment in UTC, None where the text has another form."""
    if form == ISO:
        return lambda t: (
            datetime.datetime.fromisoformat(t.replace(",", ".")) if ISO_DATE.fullmatch(t) else None
        )
    shape = _shape(form)  # strptime builds its pattern anew where more than five are in use
    return lambda t: datetime.datetime.strptime(t, form) if shape.fullmatch(t) else None


SHAPES = {
    "Y": r"\d{4}", "y": r"\d\d", "m": r"\d\d?", "d": r" ?\d\d?", "H": r"\d\d?", "M": r"\d\d?",
    "S": r"\d\d?", "b": r"[^\W\d]+\.?", "B": r"[^\W\d]+\.?",
}  # fmt: skip


@cache
def _shape(form: str) -> re.Pattern[str]:
    """What every text of a form matches."""
    parts = re.findall(r"%.|\s+|[^%\s]+", form)
    if any(p[0] == "%" and p[1] not in SHAPES for p in parts):
        return re.compile(".*", re.DOTALL)
    return re.compile("".join(
        SHAPES[p[1]] if p[0] == "%" else r"\s+" if p.isspace() else re.escape(p) for p in parts
    ), re.IGNORECASE)  # fmt: skip


def _date(read: Callable[[str], datetime.datetime | None], text: str) -> Any:
    try:
        found = read(text)
        if found is not None and found.tzinfo is not None:
            found = found.astimezone(datetime.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        found = None
    return np.datetime64("NaT") if found is None else np.datetime64(found, "us")


def count_dates(form: str, texts: list[str]) -> int:
    """How many texts are dates of a form."""
    read = reader_of(form)
    return sum(is_date(read, text) for text in texts)


def form_fault(form: str) -> str | None:
    """Why a form can't say dates: it is none of strptime's, or has no year; None where it can.

    >>> form_fault("%d.%m.%y"), form_fault("%d.%m.")
    (None, 'it has no year')
    """
    if form == ISO:
        return None
    parts = re.findall(r"%(.?)", form)
    if not set(parts) & set("YyGcx"):
        return "it has no year"
    try:
        datetime.datetime.strptime("", form)
    except (ValueError, IndexError, re.error) as error:
        return None if "does not match format" in str(error) else str(error)
    return None


def _all_read(form: str, texts: list[str]) -> bool:
    read = reader_of(form)
    return all(is_date(read, text) for text in texts)


def is_date(read: Callable[[str], datetime.datetime | None], text: str) -> bool:
    """Whether a text is a date, as `reader_of` reads it."""
    return not np.isnat(_date(read, text))


def with_values(
    table: Table, names: str | Sequence[str], missing: Sequence[str] = MISSING
) -> Table:
    """The rows of a table in which each of these columns has a value.

    >>> import chainrule
    >>> from chainrule.data.tables import with_values
    >>> len(with_values(chainrule.data.penguins(), ["body_mass_g", "sex"]))
    333
    """
    names = [names] if isinstance(names, str) else names
    gone = [Cells(table[name], tuple(missing), table.decimal).missing for name in names]
    return table.take(~np.logical_or.reduce(gone)) if gone else table
