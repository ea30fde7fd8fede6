"""Arrays and lists as columns."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from ...errors import ArgumentError, ArgumentTypeError, FormatError
from ...markup import counted
from .table import TEXT, Column, Table, check_same_length, shorten

KINDS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("true or false", (bool, np.bool_)),
    ("numbers", (int, float, np.integer, np.floating, Decimal)),
    ("texts", (str,)),
    ("dates", (datetime.date, np.datetime64)),
    ("durations", (datetime.timedelta, np.timedelta64)),
    ("times of day", (datetime.time,)),
)
"""What the cells of one column can be; a bool is no number here."""
IN_SECONDS = ("durations", "times of day")
SEVERAL = {list: "lists", tuple: "lists", np.ndarray: "lists", dict: "objects", bytes: "bytes"}


def from_mapping(data: Mapping[Any, Any]) -> Table:
    """The table of a dict of arrays or lists."""
    lists = {str(k): v if isinstance(v, np.ndarray) else _listed(k, v) for k, v in data.items()}
    if len(lists) != len(data):
        raise ArgumentError("read_table: two columns have one name", got=f"{len(data)} names")
    check_same_length(lists)
    return from_columns(lists, "the dict")


def from_columns(columns: Mapping[str, Any], source: str) -> Table:
    """The table of arrays or lists of one length; raises where there is no row."""
    if not columns or not len(next(iter(columns.values()))):
        raise ArgumentError(
            f"read_table: {source} has no rows", expected="at least one column and one row",
            got=counted(len(columns), "column"),
        )  # fmt: skip
    return table_of(
        {k: v if is_array(v) else list(v) for k, v in columns.items()},
        source, lambda row: f"row {row}", said=(f"read from {source}",),
    )  # fmt: skip


def is_array(values: Any) -> bool:
    """Whether something is a NumPy array of one type."""
    return isinstance(values, np.ndarray) and values.dtype != object


def table_of(
    columns: Mapping[str, Any], source: str, place: Callable[[int], str], *,
    said: Sequence[str], lines: Any = None,
) -> Table:  # fmt: skip
    """The table of columns, arrays or lists, or made already; what holds no cells stays out."""
    unread = {
        name: held for name, values in columns.items()
        if not isinstance(values, Column) and not is_array(values) and (held := no_cells(values))
    }  # fmt: skip
    made = [
        values if isinstance(values, Column) else column_of(name, values, place)
        for name, values in columns.items()
        if name not in unread
    ]
    if not made:
        name, held = next(iter(unread.items()))
        raise FormatError(
            f"{source} has no column that a table can hold",
            expected="a number, a text, true or false, or a date in a cell",
            got=f"{held} in column {shorten(name)!r}, at {place(0)}",
            fix="a column of its own for each value",
        )
    told = [f"left out: {shorten(name)!r}, which holds {held}" for name, held in unread.items()]
    return Table(made, source, lines, (*said, *told), unread=unread)


def no_cells(values: Iterable[Any]) -> str:
    """What a column holds, as 'lists', where each cell is several values; else empty."""
    types = {type(v) for v in values if v is not None and not (isinstance(v, float) and v != v)}
    return " and ".join(sorted({SEVERAL.get(t, "") for t in types})) if types <= {*SEVERAL} else ""


def from_array(a: Any) -> Table:
    """The table of a structured array, by its fields, or of a 2-D array, by number."""
    if a.dtype.names and a.ndim == 1:
        return from_columns({name: a[name] for name in a.dtype.names}, "the structured array")
    if a.ndim != 2 or a.dtype.names:
        raise ArgumentError(
            "read_table: an array must be 2-D, or structured with fields",
            expected="(rows, columns)",
            got=str(a.shape),
            fix="a.reshape(-1, 1), if it is one column" if a.ndim == 1 else None,
        )
    return from_columns({f"column_{i}": a[:, i - 1] for i in range(1, a.shape[1] + 1)}, "the array")


def _listed(name: Any, values: Any) -> list[Any]:
    if isinstance(values, (list, tuple)):
        return list(values)
    if hasattr(values, "__array__"):
        return np.asarray(values)  # type: ignore[return-value]
    raise ArgumentTypeError(
        f"read_table: column {shorten(str(name))!r} is no array and no list",
        got=type(values).__name__,
    )


def column_of(name: str, values: Any, place: Callable[[int], str]) -> Column:
    """A column of an array or a list; None, nan and NaT are missing.

    Raises ArgumentTypeError for cells of more than one kind, with the first place of each.
    """
    if isinstance(values, np.ndarray) and values.dtype != object:
        return _of_array(name, values)
    cells = values.tolist() if isinstance(values, np.ndarray) else values
    missing = np.array([_is_missing(c) for c in cells], bool)
    present = [c for c, m in zip(cells, missing, strict=True) if not m]
    if set(map(type, present)) - {str}:
        kinds = [_kind(name, i, c, place) for i, c in enumerate(cells) if not missing[i]]
        if len(set(kinds)) > 1:
            _refuse_kinds(name, cells, np.flatnonzero(~missing).tolist(), kinds, place)
        values = _of_kind(kinds[0], cells, missing)
    else:
        values = _texts(name, cells, missing, place)
    return Column(name, values, missing if missing.any() else None)


def _is_missing(cell: Any) -> bool:
    if isinstance(cell, np.ndarray):
        return False
    return cell is None or cell is np.ma.masked or bool(cell != cell)


def _refuse_kinds(
    name: str, cells: Any, rows: list[int], kinds: list[str], place: Callable[[int], str]
) -> None:
    """Raises for cells of several kinds, with the first cell of the rarest."""
    counts = Counter(kinds).most_common()
    (usual, _), (rare, few) = counts[0], counts[-1]
    row, other = rows[kinds.index(rare)], rows[kinds.index(usual)]
    more = f" and in {few - 1} more" if few > 1 else ""
    raise ArgumentTypeError(
        f"column {shorten(name)!r} holds {' and '.join(kind for kind, _ in counts)}",
        expected="cells of one kind",
        got=f"{rare} at {place(row)}{more}: {str(cells[row])[:40]!r}; {usual} at {place(other)}",
        fix=f"{usual} or no value (null) there; or texts in all of the column",
    )


def _of_array(name: str, a: Any) -> Column:
    if a.ndim != 1:
        raise ArgumentError(
            f"column {shorten(name)!r} must be 1-D", expected="one value a row", got=str(a.shape)
        )
    missing = np.ma.getmaskarray(a) if isinstance(a, np.ma.MaskedArray) else np.zeros(len(a), bool)
    a = np.asarray(a)
    if a.dtype.kind in "US":
        a = (np.char.decode(a, "utf-8") if a.dtype.kind == "S" else a).astype(TEXT)
    elif a.dtype.kind == "f":
        a = a.astype(np.float64)
        missing = missing | np.isnan(a)
    elif a.dtype.kind == "M":
        a = a.astype("M8[us]")
        missing = missing | np.isnat(a)
    elif a.dtype.kind == "m":
        a = np.where(np.isnat(a), np.nan, a / np.timedelta64(1, "s"))
        missing = missing | np.isnan(a)
    elif a.dtype.kind not in "iub" and a.dtype != TEXT:
        raise ArgumentTypeError(
            f"column {shorten(name)!r} is of no kind that a table holds",
            expected="numbers, texts, bool, datetime64 or timedelta64",
            got=str(a.dtype),
        )
    return Column(name, a, missing if missing.any() else None)


def _kind(name: str, row: int, cell: Any, place: Callable[[int], str]) -> str:
    for kind, types in KINDS:
        if isinstance(cell, types):
            return kind
    raise ArgumentTypeError(
        f"column {shorten(name)!r} holds something that is no cell, at {place(row)}",
        expected=", ".join(kind for kind, _ in KINDS),
        got=SEVERAL.get(type(cell), type(cell).__name__),
        fix="one value of these kinds in each cell, texts for instance; or without this column",
    )


def _of_kind(kind: str, cells: list[Any], missing: Any) -> Any:
    if kind == "true or false":
        return np.array([bool(c) if not m else False for c, m in zip(cells, missing, strict=True)])
    if kind == "dates":
        return np.array(
            [
                np.datetime64("NaT") if m else _moment(c)
                for c, m in zip(cells, missing, strict=True)
            ],
            "M8[us]",
        )
    if kind in IN_SECONDS:
        return np.array([np.nan if m else _seconds(c) for c, m in zip(cells, missing, strict=True)])
    whole = all(isinstance(c, (int, np.integer)) for c, m in zip(cells, missing, strict=True)
                if not m)  # fmt: skip
    if whole:
        try:
            return np.array([0 if m else c for c, m in zip(cells, missing, strict=True)], np.int64)
        except OverflowError:
            pass
    return np.array([_number(c, m) for c, m in zip(cells, missing, strict=True)], np.float64)


def _number(cell: Any, missing: bool) -> float:
    try:
        return float("nan") if missing else float(cell)
    except OverflowError:  # a whole number beyond every float
        return float("inf") if cell > 0 else float("-inf")


def _seconds(cell: Any) -> float:
    """Of a duration; of a time of day since midnight."""
    if isinstance(cell, datetime.time):
        whole = cell.hour * 3600 + cell.minute * 60 + cell.second
        return whole + cell.microsecond / 1e6
    return (
        float(cell / np.timedelta64(1, "s"))
        if isinstance(cell, np.timedelta64)
        else cell.total_seconds()
    )


def _moment(cell: Any) -> np.datetime64:
    if isinstance(cell, datetime.datetime) and cell.tzinfo is not None:
        cell = cell.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(cell, "us")


def _texts(name: str, cells: list[Any], missing: Any, place: Callable[[int], str]) -> Any:
    texts = ["" if m else c for c, m in zip(cells, missing, strict=True)]
    try:
        return np.array(texts, TEXT)
    except UnicodeEncodeError:
        row = next(i for i, t in enumerate(texts) if not encodes(t))
        raise ArgumentError(
            f"column {shorten(name)!r} holds half of a sign, at {place(row)}",
            expected="text that UTF-8 can write",
            got=ascii(texts[row])[:60],
        ) from None


def encodes(text: str) -> bool:
    """Whether a text is whole: JSON can hold half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
