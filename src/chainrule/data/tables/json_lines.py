"""JSON lines: one object a line, its keys the columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import FormatError
from ...train.files import parse_json
from .arrays import column_of, encodes
from .encoding import as_text, check_decodes, encoding_of, refuse_zeros
from .separated import Progress
from .table import Table, need_memory, shorten

HEAD_BYTES = 1 << 12
VALUE_BYTES = 3
"""What the values take at most while they are read, for each byte of the file."""


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
    columns = [
        column_of(key, _filled(cells, len(lines)), lambda row: f"{name}, line {starts[row]}")
        for key, cells in values.items()
    ]
    return Table(columns, name, starts, (f"{name}: JSON lines, {words}",))


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
            raise FormatError(
                f"{place}: {shorten(key)!r} holds more than one value",
                expected="a text, a number, true, false or null",
                got=f"{'an object' if isinstance(cell, dict) else 'a list'} of {len(cell)}",
                fix="a key of its own for each",
            )
    return value


def _add(values: dict[str, list[Any]], row: int, cells: dict[str, Any]) -> None:
    for key, cell in cells.items():
        column = values.setdefault(key, [])
        column.extend([None] * (row - len(column)))
        column.append(cell)


def _filled(cells: list[Any], size: int) -> list[Any]:
    cells.extend([None] * (size - len(cells)))
    return cells
