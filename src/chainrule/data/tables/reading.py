"""`read_table`: whatever holds a table, as a Table."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ArgumentError, ArgumentTypeError
from ...functional.arguments import choice
from ...train.files import open_file
from .arrays import from_array, from_mapping
from .encoding import says_itself
from .frames import from_frame, is_frame, read_parquet
from .json_lines import read_json_lines
from .separated import Progress, read_separated
from .table import Table

FORMATS = ("csv", "tsv", "json lines", "parquet")
SUFFIXES = {
    ".csv": "csv", ".txt": "csv", ".tsv": "csv", ".tab": "csv", ".jsonl": "json lines",
    ".ndjson": "json lines", ".json": "json lines", ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
PARQUET_MAGIC = b"PAR1"


def read_table(
    source: Any,
    *,
    format: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    quote: str = '"',
    header: bool | None = None,
    encoding: str | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> Table:
    """The table in a file, a data frame, a dict of arrays or a NumPy array.

    source: the path of a file in CSV, TSV, JSON lines or Parquet, a file open for reading bytes,
    or bytes; a frame of pandas, polars or pyarrow; a dict of arrays or lists; a structured array or
    a 2-D one, whose columns are called column_1 and so on. Parquet and frames need the extra
    `tables`.
    format: "csv", "tsv", "json lines" or "parquet"; by default by the file's name and beginning.
    delimiter, decimal (default: found), quote (default '"'), header (whether the first line holds
    names; default: found) and encoding (default: by the byte order mark, else UTF-8) are of CSV and
    its kin, encoding of JSON lines too. What was found is in `Table.said`.
    name: what messages call a file (default: as it is called, "bytes" or "the file").
    progress: is called with the bytes read so far and those of the file.
    Durations and times of day become seconds. A column of lists, objects or bytes stays out, which
    is said: `Table.unread`.

    Raises FormatError for a file that is empty, cut off, ragged, of another encoding or delimiter,
    or has two columns of one name, always with the line; MissingFileError and InputError where
    there is none to read; ArgumentError for options that mean nothing; OutOfMemory before reading
    what would not fit. Unlike `pandas.read_csv` nothing is guessed for a row that does not fit, and
    cells stay as they are in the file: what they mean is for `Schema.infer` to say.

    >>> from chainrule.data.tables import read_table
    >>> table = read_table(b"size;price\\n1,5;200\\n2,0;300\\n")
    >>> print(*table.said, table.size_said, sep="\\n")
    bytes: UTF-8, cells between ';', decimal comma, quote ", names in the first line
    2 rows, 2 columns
    >>> table["price"].values.tolist(), table.place(1)
    (['200', '300'], 'bytes, line 3')
    """
    if format is not None:
        choice("read_table", "format", format, FORMATS)
    options: dict[str, Any] = {
        "delimiter": delimiter, "decimal": decimal, "header": header, "encoding": encoding,
    }  # fmt: skip
    given = [k for k, v in options.items() if v is not None] + ["quote"] * (quote != '"')
    options |= {"quote": quote, "progress": progress}
    _refuse_progress(progress)
    if isinstance(source, (str, os.PathLike)):
        called = name or Path(os.fspath(source)).name
        with open_file(source) as file:
            if file.seekable():
                size = os.fstat(file.fileno()).st_size
                return _read(file, called, size, format, given, options)
            data = file.read()  # a pipe
        return _read(io.BytesIO(data), called, len(data), format, given, options)
    if isinstance(source, (bytes, bytearray)) or hasattr(source, "read"):
        called = name or ("the file" if hasattr(source, "read") else "bytes")
        data = source.read() if hasattr(source, "read") else bytes(source)
        data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        return _read(io.BytesIO(data), called, len(data), format, given, options)
    given += ["format"] * (format is not None) + ["progress"] * (progress is not None)
    _refuse_options("a file", given)
    return _from_memory(source)


def _refuse_progress(progress: Any) -> None:
    if progress is not None and not callable(progress):
        raise ArgumentTypeError("read_table: progress must be callable", got=repr(progress)[:40])


def _from_memory(source: Any) -> Table:
    if isinstance(source, Table):
        return source
    if isinstance(source, Mapping):
        return from_mapping(source)
    if isinstance(source, np.ndarray):
        return from_array(source)
    if is_frame(source):
        return from_frame(source, f"the {type(source).__module__.split('.')[0]} frame")
    raise ArgumentTypeError(
        "read_table: not something that holds a table",
        expected="a path, bytes, an open file, a data frame, a dict of arrays or an array",
        got=type(source).__name__,
    )


def _read(
    file: Any, name: str, size: int, form: str | None, given: list[str], options: dict[str, Any]
) -> Table:
    form = form or _format_of(name, file)
    if form == "parquet":
        _refuse_options("text", given)
        return read_parquet(file, name, size, options["progress"])
    if form == "json lines":
        _refuse_options("CSV", [k for k in given if k != "encoding"])
        return read_json_lines(
            file, name, size, encoding=options["encoding"], progress=options["progress"]
        )
    if form == "tsv" and options["delimiter"] is None:
        options = options | {"delimiter": "\t"}
    return read_separated(file, name, size, **options)


def _format_of(name: str, file: Any) -> str:
    """By the file's beginning, else by its name."""
    head = file.read(64)
    file.seek(0)
    if head.startswith(PARQUET_MAGIC):
        return "parquet"
    suffix = Path(name).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    begin = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return "json lines" if begin.startswith((b"{", b"[{")) else "csv"


def usual_encoding(file: Any, name: str, encoding: str) -> dict[str, Any]:
    """The encoding of files of a kind as an option, unless this one says another itself."""
    if _format_of(name, file) in ("csv", "tsv") and not says_itself(file):
        return {"encoding": encoding}
    return {}


def _refuse_options(only: str, given: list[str]) -> None:
    if given:
        raise ArgumentError(f"read_table: {given[0]} is an option of {only} alone", got=given[0])
