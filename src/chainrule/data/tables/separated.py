"""CSV and its kin: from text to columns, a thousand rows at a time."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np

from ...errors import ArgumentError, FormatError
from ...markup import counted
from . import dialect as dialects
from .dialect import DELIMITERS, WORDS, Dialect
from .encoding import as_text, check_decodes, encoding_of, refuse_zeros
from .table import TEXT, Column, Table, need_memory, shorten

CHUNK_ROWS = 1000
"""Rows that are turned into columns at once: they fit into the processor's cache."""
SAMPLE_BYTES = 1 << 18
CELL_BYTES, TEXT_BYTES = 32, 2
"""What a cell takes while its column is put together; what texts take, times the file's size."""
LONGEST_CELL = 1 << 24
LINE_END = re.compile(r"\r\n|\r|\n")

Progress = Callable[[int, int], object]
"""Is given the bytes read so far and those of the whole file."""


def read_separated(
    file: Any,
    name: str,
    size: int,
    *,
    delimiter: str | None,
    decimal: str | None,
    quote: str,
    header: bool | None,
    encoding: str | None,
    progress: Progress | None,
) -> Table:
    """The table in a file of bytes whose lines are rows, with a sign between the cells."""
    _check_options(delimiter, decimal, quote, header)
    head = file.read(SAMPLE_BYTES)
    codec, words = encoding_of(head, encoding, name)
    refuse_zeros(file, codec, name)
    file.seek(0)
    text = as_text(file, codec)
    try:
        sample = text.read(SAMPLE_BYTES)
        if not sample.strip():
            raise FormatError(
                f"{name} is empty", expected="a line of names, then rows", got=f"{size} bytes"
            )
        if len(sample) == SAMPLE_BYTES:  # a last line that is cut says nothing
            sample = sample[: sample.rfind("\n") + 1] or sample
        found = dialects.detect(sample, delimiter, decimal, quote, header)
        if delimiter is not None:
            _check_delimiter(name, sample, found)
        text.seek(0)
        columns, lines, given = _Reader(name, text, found, size, progress, file, sample).read()
    except UnicodeError as error:
        raise check_decodes(text.detach(), codec, name) from error
    text.detach()
    said = (f"{name}: {words}, {found.said}", *given)
    return Table(columns, name, lines, said, decimal=found.decimal)


def _check_options(delimiter: Any, decimal: Any, quote: Any, header: Any) -> None:
    if header not in (None, True, False):
        raise ArgumentError("read_table: header must be True or False", got=repr(header)[:40])
    for option, value in (("delimiter", delimiter), ("quote", quote)):
        wrong = value is not None and (
            not isinstance(value, str) or len(value) != 1 or value in "\r\n\0"
        )
        if wrong:
            raise ArgumentError(
                f"read_table: {option} must be one sign", expected=", ".join(WORDS.values()),
                got=repr(value)[:40],
            )  # fmt: skip
    if decimal not in (None, ".", ","):
        raise ArgumentError("read_table: decimal must be '.' or ','", got=repr(decimal)[:40])
    if delimiter == quote or (delimiter == "." and decimal == "."):
        raise ArgumentError("read_table: the delimiter has another meaning too", got=repr(quote))


def _check_delimiter(name: str, sample: str, asked: Dialect) -> None:
    """A delimiter that was asked for must be the one that the lines are cut by."""
    if dialects.fits(sample, asked.delimiter, asked.quote) > 1:
        return
    best = dialects.best_delimiter(sample, asked.quote)
    count = dialects.fits(sample, best, asked.quote)
    if best != asked.delimiter and count > 1:
        raise FormatError(
            f"{name} is not cut by {WORDS.get(asked.delimiter, repr(asked.delimiter))}",
            got=f"{count} cells a line by {WORDS[best]}",
            fix=f"delimiter={best!r}, or none to have it found",
        )


class _Reader:
    """Reads rows into columns, and knows on which line each begins."""

    def __init__(
        self, name: str, text: Any, dialect: Dialect, size: int, progress: Progress | None,
        file: Any, sample: str,
    ) -> None:  # fmt: skip
        self.name, self.dialect, self.size = name, dialect, size
        self.progress, self.file, self.sample = progress, file, sample
        self.text = text
        self.rows = self._reader()
        self.said: list[str] = []

    def _reader(self) -> Any:
        return csv.reader(
            self.text, delimiter=self.dialect.delimiter, quotechar=self.dialect.quote, strict=True
        )

    def read(self) -> tuple[list[Column], Any, list[str]]:
        """The columns, the line of each row, and what there is to say."""
        first = next(iter(self._next(1)), None)
        if first is None or not any(cell.strip() for cell in first[1]):
            raise FormatError(f"{self.name} begins with no names", expected="a line of names")
        names = self._names(first[1])
        lines: list[Any] = []
        self._check_memory(len(names))
        parts: list[list[Any]] = [[] for _ in names]
        if not self.dialect.header:
            self._add(parts, lines, [first[1]], [first[0]])
        while chunk := self._next(CHUNK_ROWS):
            rows, starts = [row for _, row in chunk], [line for line, _ in chunk]
            self._add(parts, lines, rows, starts)
            if self.progress is not None:
                self.progress(min(self.file.tell(), self.size), self.size)
        if not lines:
            raise FormatError(
                f"{self.name} has no rows", expected="rows below the line of names",
                got=f"{counted(len(names), 'name')} and nothing below",
                fix="header=False, if its only line is a row",
            )  # fmt: skip
        if self.progress is not None:
            self.progress(self.size, self.size)
        parts.reverse()  # what is put together is let go: no column is there twice for long
        columns = [Column(name, np.concatenate(parts.pop())) for name in names]
        return columns, np.concatenate(lines), self.said

    def _add(self, parts: list[list[Any]], lines: list[Any], rows: Any, starts: list[int]) -> None:
        width = len(parts)
        if any(len(row) != width for row in rows):
            self._refuse_ragged(rows, starts, width)
        for part, cells in zip(parts, zip(*rows, strict=True), strict=True):
            part.append(np.array(cells, TEXT))
        lines.append(np.array(starts, np.int64))

    def _next(self, count: int) -> list[tuple[int, list[str]]]:
        """The next rows that are not blank lines, each with the line on which it begins."""
        while True:
            before = self.rows.line_num
            try:
                with _long_cells():
                    rows = list(islice(self.rows, count))
            except csv.Error as error:
                raise self._torn(error) from None
            if not rows:
                return []
            if self.rows.line_num - before == len(rows):
                starts = list(range(before + 1, before + len(rows) + 1))
            else:  # cells with line ends in them
                starts = [before + 1]
                for row in rows[:-1]:
                    starts.append(starts[-1] + 1 + sum(len(LINE_END.findall(c)) for c in row))
            kept = [(line, row) for line, row in zip(starts, rows, strict=True) if row]
            if kept:
                return kept

    def _again(self) -> tuple[int, int]:
        """The lines on which the row that can't be read begins, and on which reading ends."""
        self.text.seek(0)
        self.rows = self._reader()
        before = 0
        with _long_cells():
            try:
                for _ in self.rows:
                    before = self.rows.line_num
            except csv.Error:
                pass
        return before + 1, self.rows.line_num

    def _torn(self, error: csv.Error) -> FormatError:
        """What is wrong with a quote, and on which line."""
        quote = self.dialect.quote
        line, last = self._again()
        if "end of data" in str(error):
            return FormatError(
                f"{self.name} ends inside a quoted cell",
                expected=f"a closing {quote}",
                got=f"a {quote} that is opened on line {line} and never closed",
                fix="the file from its source again: it was cut off, or a quote is missing",
            )
        if "field larger" in str(error):
            return FormatError(
                f"{self.name}, line {line}: a cell of more than {LONGEST_CELL:,} signs",
                fix=f"is a {quote} opened there that is never closed?",
            )
        return FormatError(
            f"{self.name}, line {last}: a quote where none can be",
            expected=f"a delimiter after the closing {quote}; {quote}{quote} for one in a cell",
            got=str(error)[:60],
            fix="quote=, if the file uses another sign",
        )

    def _names(self, cells: list[str]) -> list[str]:
        if not self.dialect.header:
            return [f"column_{i}" for i in range(1, len(cells) + 1)]
        names, places = [], dict[str, int]()
        for i, cell in enumerate(cells, 1):
            name = cell.strip() or f"column_{i}"
            if not cell.strip():
                self.said.append(f"column {i} has no name: called {name!r}")
            if name in places:
                raise FormatError(
                    f"{self.name}: two columns are called {shorten(name)!r}",
                    got=f"columns {places[name]} and {i} of the line of names",
                    fix="another name for one of them"
                    + (", or header=False if that line is a row" if self._numeric(cells) else ""),
                )
            places[name] = i
            names.append(name)
        return names

    @staticmethod
    def _numeric(cells: list[str]) -> bool:
        return any(dialects.NUMBER.fullmatch(cell) for cell in cells)

    def _check_memory(self, width: int) -> None:
        lines = max(self.sample.count("\n"), 1)
        rows = self.size * lines / max(len(self.sample.encode(errors="replace")), 1)
        need_memory(
            f"{self.name}: about {rows:,.0f} rows of {width} columns",
            int(rows * width * CELL_BYTES + TEXT_BYTES * self.size),
            "fewer rows or columns, or Parquet, which keeps numbers as numbers",
        )

    def _refuse_ragged(self, rows: list[list[str]], starts: list[int], width: int) -> None:
        wrong = [(s, r) for s, r in zip(starts, rows, strict=True) if len(r) != width]
        line, row = wrong[0]
        longer = [r for _, r in wrong if len(r) == width + 1]
        fix = "a quote around cells with the delimiter in them"
        best = dialects.best_delimiter(self.sample, self.dialect.quote)
        if best != self.dialect.delimiter and best in DELIMITERS:
            fix = f"delimiter={best!r}"
        elif len(row) < width and self._at_end(line):
            fix = "the file from its source again: its last line is cut off"
        elif len(longer) == len(rows) and not any(r[-1] for r in longer):
            fix = "every row ends with a delimiter: take it away, or add one to the names"
        elif width == 1 and len(row) > 2 and all(len(r) == len(row) for r in rows):
            fix = "take away the lines above that with the names"
        elif width == 1 and dialects.WITH_COMMA.fullmatch(",".join(row)):
            fix = "delimiter=';', if it is one column with decimal commas"
        elif len(longer) == len(rows) and self.dialect.header:
            fix = "a name in front of the others, if each row begins with its own name"
        more = len(wrong) - 1
        raise FormatError(
            f"{self.name}, line {line}: {counted(len(row), 'cell')} in place of {width}",
            expected=f"{counted(width, 'cell')}, as in the first line",
            got=counted(len(row), "cell") + (f"; so {counted(more, 'line')} more" if more else ""),
            fix=fix,
        )

    def _at_end(self, line: int) -> bool:
        try:
            return next(self.rows, None) is None and line == self.rows.line_num
        except csv.Error:
            return False


@contextmanager
def _long_cells() -> Iterator[None]:
    """Cells of up to LONGEST_CELL signs; the limit is global, and given back."""
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)
