"""JSON lines: one object a line, its keys the columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import FormatError
from ...train.files import parse_json
from .arrays import encodes, table_of
from .encoding import as_text, check_decodes, encoding_of, refuse_zeros
from .separated import Progress
from .table import Table, need_memory, shorten

HEAD_BYTES = 1 << 12
VALUE_BYTES = 3
"""What the values take at most while they are read, for each byte of the file."""
EMPTY: dict[type, Any] = {list: [], dict: {}}
"""What is kept of a cell with several values: nothing is learned from it, and it may be long."""


def read_json_lines(
    file: Any, name: str, size: int, *, encoding: str | None, progress: Progress | None
) -> Table:
    """The table in a file of bytes with one JSON object a line; a key left out is missing."""
    codec, words = encoding_of(file.read(HEAD_BYTES), encoding, name)
    need_memory(f"{name}: its values", VALUE_BYTES * size, "fewer rows, or Parquet")
    refuse_zeros(file, codec, name)
    file.seek(0)
    text = as_text(file, codec)
    values: dict[str, list[Any]] = {}
    lines: list[int] = []
    done = 0
    try:
        for number, line in enumerate(text, 1):
            done += len(line)
            if line.strip():
                _add(values, len(lines), _object(line, f"{name}, line {number}"))
                lines.append(number)
            if progress is not None and not number % 1000:
                progress(min(done, size), size)
    except UnicodeError as error:
        raise check_decodes(text.detach(), codec, name) from error
    text.detach()
    if not lines:
        raise FormatError(f"{name} is empty", expected="one JSON object a line", got="no line")
    if progress is not None:
        progress(size, size)
    starts = np.array(lines, np.int64)
    columns = {key: _filled(cells, len(lines)) for key, cells in values.items()}

    def place(row: int) -> str:
        return f"{name}, line {starts[row]}"

    return table_of(columns, name, place, said=(f"{name}: JSON lines, {words}",), lines=starts)


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        value = parse_json(line.rstrip("\r\n").encode(errors="surrogatepass"), place)
    except FormatError as error:
        raise FormatError(
            f"{place} is no JSON",
            expected="one whole object a line",
            got=error.got and error.got.replace("at line 1, column", "at column"),
            fix="the file from its source again, if it was cut off",
        ) from None
    if not isinstance(value, dict) or not value:
        what = "an empty object" if value == {} else f"a {type(value).__name__}"
        raise FormatError(
            f"{place} is no row",
            expected='an object such as {"size": 1.5, "colour": "red"}',
            got=what,
            fix="one object a line, without a list around them"
            if isinstance(value, list)
            else None,
        )
    for key, cell in value.items():
        if not encodes(key):
            raise FormatError(f"{place}: a key holds half of a sign", got=ascii(key)[:60])
        if isinstance(cell, (dict, list)):
            value[key] = EMPTY[type(cell)]
    return _named(value, place)


def _named(cells: dict[str, Any], place: str) -> dict[str, Any]:
    """The cells of a row by the names of their columns, without blanks around them."""
    if all(key and key == key.strip() for key in cells):
        return cells
    named = {key.strip() or f"column_{i}": cell for i, (key, cell) in enumerate(cells.items(), 1)}
    if len(named) < len(cells):
        names = [key.strip() for key in cells]
        twice = next(n for n in names if names.count(n) > 1)
        raise FormatError(
            f"{place}: two keys are {shorten(twice)!r}, but for blanks",
            fix="another name for one of them",
        )
    return named


def _add(values: dict[str, list[Any]], row: int, cells: dict[str, Any]) -> None:
    for key, cell in cells.items():
        column = values.setdefault(key, [])
        column.extend([None] * (row - len(column)))
        column.append(cell)


def _filled(cells: list[Any], size: int) -> list[Any]:
    cells.extend([None] * (size - len(cells)))
    return cells
