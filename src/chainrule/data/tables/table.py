"""A table: columns by name, and for every row the place that it came from."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ...errors import ArgumentError, IndexRangeError
from ...markup import counted
from ...tensor.memory import OutOfMemory, free_bytes

TEXT = np.dtypes.StringDType()
"""The element type of a column of texts: 16 bytes a cell where the text is short."""
LONGEST_SHOWN = 40


@dataclass(frozen=True)
class Column:
    """The cells of one column.

    values: (rows,) texts as the file has them, or float64, whole numbers, bool, datetime64[us].
    missing: (rows,) bool where the source itself says that there is no value, else None; which
    texts stand for a missing value is for the `Schema` to say.
    """

    name: str
    values: Any
    missing: Any = None

    @property
    def is_text(self) -> bool:
        """Whether the cells are texts."""
        return bool(self.values.dtype == TEXT)

    def take(self, rows: Any) -> Column:
        """The cells at some rows."""
        missing = None if self.missing is None else self.missing[rows]
        return Column(self.name, self.values[rows], missing)


class Table:
    """Columns by name, all of the same number of rows.

    >>> from chainrule.data.tables import read_table
    >>> table = read_table({"size": [1.5, 2.0], "colour": ["red", "blue"]})
    >>> table.names, len(table), table["size"].values.tolist()
    (('size', 'colour'), 2, [1.5, 2.0])
    >>> table.place(1)
    'row 1'

    source: the name of the file, or what the columns were given in; lines: (rows,) the line of
    the file in which each row begins, or None; said: what was found out while reading; decimal:
    the sign before the decimals in texts; unread: columns of the source whose cells are no values,
    each with what it holds, such as lists: they are not in the table.
    A column that isn't there raises ArgumentError with the closest name. Unlike a data frame, a
    Table never changes and computes nothing: it is what a file holds, with the places.
    """

    def __init__(
        self,
        columns: Iterable[Column],
        source: str,
        lines: Any = None,
        said: Sequence[str] = (),
        *,
        decimal: str = ".",
        rows: Any = None,
        unread: Mapping[str, str] | None = None,
    ) -> None:
        self._columns = {c.name: c for c in columns}
        self.source, self.lines = source, lines
        self.decimal, self._rows = decimal, rows
        self._size = len(next(iter(self._columns.values())).values) if self._columns else 0
        self.said, self.unread = tuple(said), dict(unread or {})

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns.values())

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> Column:
        if name in self.unread:
            raise ArgumentError(
                f"{self.source}: column {shorten(name)!r} holds {self.unread[name]}",
                expected="a number, a text, true or false, or a date in each cell",
                fix="a column of its own for each value, if it is to be learned from",
            )
        if name not in self._columns:
            refuse_unknown(name, self._columns, f"{self.source} has no column")
        return self._columns[name]

    def __repr__(self) -> str:
        return f"Table({self.source}: {self.size_said})"

    @property
    def size_said(self) -> str:
        """`344 rows, 9 columns`."""
        return f"{counted(len(self), 'row')}, {counted(len(self._columns), 'column')}"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in the order of the source."""
        return tuple(self._columns)

    @property
    def numbers(self) -> Any:
        """(rows,) the number of each row in the source, from 0."""
        return np.arange(len(self)) if self._rows is None else self._rows

    def take(self, rows: Any) -> Table:
        """The table of some rows (whole numbers or a mask), each with its old place."""
        at = np.asarray(rows)
        chosen = np.flatnonzero(at) if at.dtype == bool else at.astype(np.int64)
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < len(self)):
            raise IndexRangeError(
                "take: a row that is not there",
                expected=f"0 to {len(self) - 1}",
                got=f"{chosen.min()} to {chosen.max()}",
            )
        return Table(
            [c.take(chosen) for c in self], self.source,
            None if self.lines is None else self.lines[chosen], self.said,
            decimal=self.decimal, rows=chosen if self._rows is None else self._rows[chosen],
            unread=self.unread,
        )  # fmt: skip

    def place(self, row: int) -> str:
        """Where a row came from: `data.csv, line 12`, or `row 11` counted from 0."""
        if self.lines is not None:
            return f"{self.source}, line {self.lines[row]}"
        return f"row {row if self._rows is None else self._rows[row]}"

    def places(self, rows: Any, most: int = 6) -> str:
        """The places of the first few rows, and how many more there are."""
        if self.lines is not None:
            numbers = self.lines[rows[:most]]
        else:
            numbers = rows[:most] if self._rows is None else self._rows[rows[:most]]
        what = "row" if self.lines is None else "line"
        more = f" and {len(rows) - most} more" if len(rows) > most else ""
        return f"{what}{'s' * (len(rows) != 1)} {', '.join(str(n) for n in numbers)}{more}"


def refuse_unknown(name: Any, known: Iterable[str], what: str) -> NoReturn:
    """Raises for a name that is none of the known, with the closest."""
    names = [str(k) for k in known]
    near = closest(str(name), names)
    last = f"column_{len(names)}"  # of a file without a line of names, or of an array
    if len(names) > 1 and (names[0], names[-1]) == ("column_1", last):
        raise ArgumentError(
            f"{what} {shorten(str(name))!r}", expected=f"column_1 to {last}",
            fix="one of these; or header=True, if the first line of a file holds names",
        )  # fmt: skip
    raise ArgumentError(
        f"{what} {shorten(str(name))!r}",
        expected=some_of(names),
        fix=f"did you mean {shorten(near)!r}?" if near else None,
    )


def closest(name: str, known: Sequence[str]) -> str | None:
    """The name that is most alike, without regard to case; None where none is."""
    folded = {k.casefold()[:200]: k for k in reversed(known)}
    near = difflib.get_close_matches(name.casefold()[:200], folded, 1)
    return folded[near[0]] if near else None


def shorten(text: str) -> str:
    """A text cut to what fits into an error."""
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 2] + ".."


def some_of(names: Sequence[str], room: int = 100) -> str:
    """The first names, as many as there is room for, and how many more there are."""
    shown: list[str] = []
    for name in names:
        if shown and len(", ".join([*shown, shorten(name)])) > room:
            return f"{', '.join(shown)} and {len(names) - len(shown)} more"
        shown.append(shorten(name))
    return ", ".join(shown)


def need_memory(what: str, size_bytes: int, fix: str) -> None:
    """Raises OutOfMemory where more is needed than the system could give; before it is asked."""
    free = free_bytes()
    if free is not None and size_bytes > free:
        raise OutOfMemory(
            f"{what} would need about {size_bytes / 2**30:.2f} GiB",
            got=f"{free / 2**30:.2f} GiB free",
            fix=fix,
        )


def check_same_length(columns: Mapping[str, Any]) -> None:
    """Raises where the columns' lengths differ."""
    sizes = {name: len(values) for name, values in columns.items()}
    first = next(iter(sizes), None)
    for name, size in sizes.items():
        if first is not None and size != sizes[first]:
            raise ArgumentError(
                f"column {shorten(name)!r} has another length than column {shorten(first)!r}",
                expected=f"{sizes[first]} rows",
                got=f"{size} rows",
            )
