"""How a file of cells is written: what stands between them, the decimal sign, the first line."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

DELIMITERS = (",", "\t", ";", "|")
WORDS = {",": "','", "\t": "tabs", ";": "';'", "|": "'|'", " ": "spaces"}
NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*")
WITH_COMMA = re.compile(r"\s*[-+]?(\d{1,3}(\.\d{3})+|\d*),\d+([eE][-+]?\d+)?\s*")
WITH_POINT = re.compile(r"\s*[-+]?\d*\.\d*([eE][-+]?\d+)?\s*")
IN_GROUPS = re.compile(r"\s*[-+]?\d{1,3}(,\d{3})+\s*")
SAMPLE_ROWS = 500


@dataclass(frozen=True)
class Dialect:
    """delimiter between cells, decimal sign, quote, and whether the first line holds names."""

    delimiter: str
    decimal: str
    quote: str
    header: bool

    @property
    def said(self) -> str:
        """The dialect in words."""
        return (
            f"cells between {WORDS.get(self.delimiter, repr(self.delimiter))}, decimal "
            f"{'comma' if self.decimal == ',' else 'point'}, quote {self.quote}, "
            f"{'names in the first line' if self.header else 'no line of names'}"
        )


def detect(
    sample: str, delimiter: str | None, decimal: str | None, quote: str, header: bool | None
) -> Dialect:
    """The dialect of a text by its first lines; what is given is taken as it is."""
    between = delimiter or best_delimiter(sample, quote)
    rows = rows_of(sample, between, quote)
    sign = decimal or decimal_of(rows, between)
    names = looks_like_names(rows, sign) if header is None else header
    return Dialect(between, sign, quote, names)


def rows_of(sample: str, delimiter: str, quote: str) -> list[list[str]]:
    """The first rows of a text, as far as they can be read."""
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, quotechar=quote)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) == SAMPLE_ROWS:
                break
    except csv.Error:  # reading the whole file says where and why
        pass
    return rows


def best_delimiter(sample: str, quote: str) -> str:
    """The sign that cuts every line into the same number of cells; ',' where none does."""
    scores = {d: _score(rows_of(sample, d, quote), d) for d in DELIMITERS if d in sample}
    found = {d: s for d, s in scores.items() if s is not None}
    return max(found, key=lambda d: found[d]) if found else ","


def fits(sample: str, delimiter: str, quote: str) -> int:
    """The number of cells a line, where all lines of a sample have the same; else 0."""
    widths = {len(row) for row in rows_of(sample, delimiter, quote)}
    return widths.pop() if len(widths) == 1 else 0


def _score(rows: list[list[str]], delimiter: str) -> tuple[float, float, int] | None:
    """How even the rows are, how few cells hold another delimiter, how many cells there are."""
    if not rows:
        return None
    width, count = Counter(len(row) for row in rows).most_common(1)[0]
    if width < 2:
        return None
    cells = [cell for row in rows for cell in row]
    others = [d for d in DELIMITERS if d != delimiter]
    mixed = sum(any(d in c for d in others) and not WITH_COMMA.fullmatch(c) for c in cells)
    return round(count / len(rows), 2), -round(mixed / len(cells), 2), width


def decimal_of(rows: list[list[str]], delimiter: str) -> str:
    """',' where cells are numbers with a comma, and none has a point.

    Between commas, a quoted "1,234" is more likely one thousand: that alone is no sign.
    """
    cells = [cell for row in rows for cell in row]
    if any(WITH_POINT.fullmatch(c) and len(c.strip()) > 1 for c in cells):
        return "."
    commas = [c for c in cells if WITH_COMMA.fullmatch(c)]
    if delimiter == ",":
        commas = [c for c in commas if not IN_GROUPS.fullmatch(c)]
    return "," if commas else "."


def looks_like_names(rows: list[list[str]], decimal: str) -> bool:
    """Whether the first line names the columns.

    It does where none of its cells is a number, or where a column is all numbers but for it.
    """
    if not rows:
        return True
    numbers = [_is_number(cell, decimal) for cell in rows[0]]
    if not any(numbers):
        return True
    for place, number in enumerate(numbers):
        below = [row[place] for row in rows[1:] if place < len(row) and row[place].strip()]
        name = rows[0][place].strip()
        if not number and name and below and all(_is_number(c, decimal) for c in below):
            return True
    return False


def _is_number(cell: str, decimal: str) -> bool:
    if decimal == ",":
        return bool(WITH_COMMA.fullmatch(cell) or NUMBER.fullmatch(cell))
    return bool(NUMBER.fullmatch(cell))
