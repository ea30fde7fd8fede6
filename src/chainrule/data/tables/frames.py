"""Data frames and Parquet, through narwhals and pyarrow (the extra `tables`)."""

from __future__ import annotations

import importlib
import io
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError, FormatError
from .arrays import from_columns, table_of
from .separated import Progress
from .table import TEXT, Column, Table, need_memory, shorten, some_of

FRAMES = ("pandas", "polars", "pyarrow", "modin", "cudf", "narwhals")
"""The packages whose frames are taken."""


def is_frame(source: Any) -> bool:
    """Whether something is a data frame of one of FRAMES, without importing any."""
    return type(source).__module__.split(".")[0] in FRAMES


def from_frame(frame: Any, source: str) -> Table:
    """The table of a data frame; an index of pandas is left out."""
    nw = _need("narwhals")
    try:
        wrapped = nw.from_native(frame, eager_only=True)
    except TypeError:
        raise ArgumentError(
            "read_table: not a data frame in memory",
            expected="a DataFrame of pandas or polars, or a Table of pyarrow",
            got=f"{type(frame).__module__.split('.')[0]}.{type(frame).__name__}",
            fix=".to_frame(), of a Series; .collect() first, if it is lazy",
        ) from None
    except ValueError as error:  # pandas allows a name twice
        raise ArgumentError("read_table: the frame can't be read", got=str(error)[:80]) from None
    if not len(wrapped) or not wrapped.columns:
        return from_columns({str(name): () for name in wrapped.columns}, source)
    names = [str(name).strip() or f"column_{i}" for i, name in enumerate(wrapped.columns, 1)]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        places = [str(i) for i, n in enumerate(names, 1) if n == twice]
        raise ArgumentError(
            f"{source}: two columns have one name, {shorten(twice)!r}",
            got=f"columns {', '.join(places[:6])}",
        )
    all_series = dict(zip(names, wrapped.iter_columns(), strict=True))
    columns = {name: _column(nw, name, series) for name, series in all_series.items()}
    lasting = [repr(shorten(n)) for n, s in all_series.items() if s.dtype in (nw.Duration, nw.Time)]
    seconds = (f"in seconds: {some_of(lasting, 60)}",) if lasting else ()
    return table_of(
        columns, source, lambda row: f"row {row}", said=(f"read from {source}", *seconds)
    )


def _column(nw: Any, name: str, series: Any) -> Column | list[Any]:
    """One column by its type, its nulls as a mask; of another type its cells."""
    kind = series.dtype
    missing = series.is_null().to_numpy().astype(bool)
    if kind in (nw.Categorical, nw.Enum, nw.String):
        values = series.cast(nw.String).fill_null("").to_numpy().astype(object)
        texts = np.array([t if isinstance(t, str) else "" for t in values.tolist()], TEXT)
        return Column(name, texts, missing if missing.any() else None)
    if kind == nw.Boolean:
        values = np.array([bool(v) for v in series.fill_null(False).to_list()], bool)
        return Column(name, values, missing if missing.any() else None)
    if kind.is_integer():
        values = series.fill_null(0).to_numpy()
        return Column(name, values.astype(np.int64 if kind.is_signed_integer() else np.uint64),
                      missing if missing.any() else None)  # fmt: skip
    if kind.is_float():
        values = series.to_numpy().astype(np.float64)
        missing = missing | np.isnan(values)
        return Column(name, values, missing if missing.any() else None)
    return list(series.to_list())


def read_parquet(file: Any, name: str, size: int, progress: Progress | None) -> Table:
    """The table in a Parquet file."""
    arrow, parquet = _need("pyarrow"), _need("pyarrow.parquet")
    try:
        opened = parquet.ParquetFile(file)
        meta = opened.metadata
        raw = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        need_memory(f"{name}: {meta.num_rows} rows of {meta.num_columns} columns", 2 * raw,
                    "fewer rows or columns")  # fmt: skip
        found = arrow.concat_tables(_groups(opened, size, progress))
    except (arrow.ArrowException, OSError) as error:
        raise FormatError(
            f"{name} is no Parquet file that can be read",
            got=f"{size:,} bytes; {_sentence(str(error))}",
            fix="the file from its source again",
        ) from None
    table = from_frame(found, name)
    return Table(table, name, said=(f"{name}: Parquet", *table.said[1:]), unread=table.unread)


def _sentence(text: str) -> str:
    """The first sentence of a library's message."""
    return textwrap.shorten(text.split(". ")[0].rstrip("."), 80, placeholder=" ..")


def _groups(file: Any, size: int, progress: Progress | None) -> Iterator[Any]:
    """The file's row groups; of a file without any, its columns without rows."""
    if not file.num_row_groups:
        yield file.read()
    for i in range(file.num_row_groups):
        yield file.read_row_group(i)
        if progress is not None:
            progress(size * (i + 1) // file.num_row_groups, size)


def parquet_of(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> bytes:
    """A file in Parquet with these columns; ArgumentError without the extra `tables`."""
    arrow, parquet = _need("pyarrow"), _need("pyarrow.parquet")
    file = io.BytesIO()
    parquet.write_table(arrow.table([list(c) for c in columns], list(names)), file)
    return file.getvalue()


def _need(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError:
        raise ArgumentError(
            "frames and Parquet need a package that is not installed",
            expected=package.split(".")[0],
            fix="pip install 'chainrule[tables]', or save the table as CSV",
        ) from None
