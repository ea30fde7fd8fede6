"""Texts that are numbers but for what stands in or beside them: 1,234, $12, 3.4 %, 80 kg."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import NamedTuple

import numpy as np

from .cells import Cells, number_of

THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
"""1,234 and 1,234.5, with a sign between thousands."""
DECIMAL_COMMA = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+")
POINTS_BETWEEN = re.compile(r"[-+]?\d{1,3}(?:\.\d{3}){2,}")
"""0,5 and 1.234,5; 1.234.567."""
EXCHANGED = str.maketrans(".,", ",.")
SIGN = r"[%‰°$£¥¢\u20a0-\u20cf]"
WITH_UNIT = re.compile(
    rf"(?P<sign>[-+]?)(?P<before>{SIGN}?)\s?(?P<number>[-+]?(?:\d[\d.,]*|\.\d+))"
    rf"(?P<after>\s?(?:{SIGN}|[^\W\d_])\D{{0,15}})?"
)
"""A sign of a currency or a share before or after a number, or a word after it."""
SAMPLE = 500
"""Of more different texts than that about so many are looked at."""
SLIPS = 0.1
"""So many of the texts may be others."""
NUMBERS_MEANT = 20
"""More different numbers in a column of texts, or one that is not whole, are no codes: the few
other texts are slips."""
FEW = 4
"""So many different numbers beside a word may be kinds of something: 1.4 TSI and 2.0 TSI."""


class Unit(NamedTuple):
    """What stands beside the numbers of a column: text, and one of the cells that has it.

    amounts: whether these are surely numbers; else they may be categories: 36 months, 60 months.
    """

    text: str
    cell: str
    amounts: bool


def unit_of(cells: Cells) -> Unit | None:
    """The unit that nearly all different texts of a column have; None where there is none.

    >>> from chainrule.data.tables import read_table
    >>> unit_of(Cells(read_table({"a": ["36 months", "60 months"]})["a"], (), "."))
    Unit(text='months', cell='36 months', amounts=False)
    """
    if not cells.column.is_text or not len(cells.numbers[1]):
        return None
    every = cells.levels[0]
    levels = every[:: max(len(every) // SAMPLE, 1)]
    found = [m for m in map(WITH_UNIT.fullmatch, levels) if m and (m["before"] or m["after"])]
    if len(found) < (1 - SLIPS) * len(levels):
        return None
    (text, count), *_ = Counter(map(_unit, found)).most_common(1)
    mine = [m for m in found if _unit(m) == text]
    if count < (1 - SLIPS) * len(levels):
        return None
    numbers = {m["number"] for m in mine}
    parted = any(_parted(n) for n in numbers)
    code = any(map(_is_code, numbers)) or (
        len(text) == 1 and text.isalpha() and not any(" " in m[0] for m in mine)
    )
    least = FEW if parted and text.isalpha() else 0 if parted else NUMBERS_MEANT
    amounts = len(numbers) > least and (parted or not code)
    return Unit(text, mine[0][0], amounts)


def _unit(match: re.Match[str]) -> str:
    return (match["before"] + (match["after"] or "")).strip()


def _is_code(text: str) -> bool:
    """Whether a whole number is written as codes are: 007."""
    return len(text) > 1 and text.startswith("0") and text.isdigit()


def _parted(number: str) -> bool:
    """Whether a number is not a whole one."""
    return not THOUSANDS.fullmatch(number) and not number.lstrip("-+").isdigit()


def in_thousands(cells: Cells) -> bool:
    """Whether all that keeps the texts of a column from being numbers are commas in them."""
    if not cells.column.is_text or not len(cells.numbers[1]):
        return False
    odd = set(cells.texts[cells.numbers[1]].tolist())
    return all(THOUSANDS.fullmatch(text) for text in odd)


def are_slips(cells: Cells) -> bool:
    """Whether the texts of a column are numbers, but for a few cells that were meant to be.

    Few whole numbers may be codes, and the others codes too: where these are as many different
    ones, or the numbers are written as 01, 02, ..  One text alone among many numbers stands for a
    gap in however many cells it is.

    >>> from chainrule.data.tables import read_table
    >>> table = read_table({"kg": [*map(str, range(13)), "n.b."], "code": ["1", "B"] * 7})
    >>> [are_slips(Cells(column, (), ".")) for column in table]
    [True, False]
    """
    numbers, bad = cells.numbers
    present = len(cells) - int(cells.missing.sum())
    if not cells.column.is_text or not len(bad):
        return False
    able = np.unique(numbers[np.isfinite(numbers)])
    if len(bad) > SLIPS * present:
        return len(able) > NUMBERS_MEANT and len(set(cells.texts[bad].tolist())) == 1
    if len(able) > NUMBERS_MEANT or (able != np.round(able)).any():
        return True
    coded = any(map(_is_code, cells.levels[0]))
    return not coded and len(set(cells.texts[bad].tolist())) < len(able)


def are_amounts(cells: Cells) -> bool:
    """Whether texts are surely numbers that are written with more than a number."""
    unit = unit_of(cells)
    return in_thousands(cells) or (unit is not None and unit.amounts)


def rewritten(cell: str, decimal: str = ".") -> str | None:
    """The number to write in place of a cell, and why; None where it is no such one.

    decimal: the sign that numbers have in its table.

    >>> rewritten("$1,234.50")
    "1234.50: '$' beside a number is not read"
    >>> rewritten("0,5")
    "0.5: a decimal comma is read with decimal=','"
    """
    match = WITH_UNIT.fullmatch(cell.strip())
    plain = _plain(match["sign"] + match["number"], decimal) if match else None
    if match is None or plain is None:
        return None
    if _unit(match):
        return f"{plain}: {_unit(match)!r} beside a number is not read"
    if not math.isnan(number_of(cell.strip(), decimal)):
        return None
    if (
        decimal == "."
        and DECIMAL_COMMA.fullmatch(match["number"])
        and not _grouped(match["number"])
    ):
        return f"{plain}: a decimal comma is read with decimal=','"
    sign = "comma" if decimal == "." else "point"
    return f"{plain}: a {sign} between thousands is not read"


def _grouped(number: str) -> bool:
    """Whether commas part the thousands of a number; 0,500 is a half."""
    return bool(THOUSANDS.fullmatch(number)) and number.lstrip("-+")[0] != "0"


def _plain(number: str, decimal: str) -> str | None:
    """A number without what parts its thousands; None where the signs in it make none."""
    if decimal == ",":
        found = _plain(number.translate(EXCHANGED), ".")
        return None if found is None else found.translate(EXCHANGED)
    if _grouped(number):
        number = number.replace(",", "")
    elif DECIMAL_COMMA.fullmatch(number) or POINTS_BETWEEN.fullmatch(number):
        number = number.replace(".", "").replace(",", ".")
    return None if math.isnan(number_of(number, ".")) else number
