"""From bytes to text: the encoding by its mark, else UTF-8; anything else only when asked."""

from __future__ import annotations

import codecs
import io
from typing import Any

from ...errors import ArgumentError, FormatError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32, by its byte order mark"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32, by its byte order mark"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16, by its byte order mark"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16, by its byte order mark"),
)
FOREIGN = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "save the sheet as CSV"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save the sheet as CSV"),
    (b"%PDF", "a PDF", "the table as CSV"),
    (b"SQLite format 3", "an SQLite database", "the table exported as CSV"),
    (b"ARROW1", "an Arrow or Feather file", "the table as Parquet"),
    (b"\x93NUMPY", "a NumPy array", "read_table(np.load(path))"),
)
CONTROLS = bytes([*range(9), *range(14, 32), 127])
"""Bytes that stand in no text, or seldom."""
BLOCK = 1 << 18
WIDE = ("utf-16", "utf-32", "utf16", "utf32", "u16", "u32")
"""Encodings of more than one byte a sign: zeros are in them."""


def encoding_of(head: bytes, asked: str | None, name: str) -> tuple[str, str]:
    """The codec of a file that begins with `head`, and the words for it.

    Raises FormatError for what is no text at all, ArgumentError for an encoding nobody knows.
    """
    for magic, what, fix in FOREIGN:
        if head.startswith(magic):
            raise FormatError(f"{name} is {what}, not text", expected="CSV or JSON lines", fix=fix)
    if asked is not None:
        try:
            as_text(io.BytesIO(), asked)
        except (LookupError, TypeError, ValueError):  # no such codec, no text, or no name
            raise ArgumentError(
                f"read_table: no encoding is called {asked!r}", expected="utf-8, cp1252, utf-16, .."
            ) from None
        return asked, f"{asked}, as asked"
    for mark, codec, words in MARKS:
        if head.startswith(mark):
            return codec, words
    start = head[:1000]
    if start.count(0) > len(start) / 3:
        guess = "utf-16-le" if start[1:2] == b"\0" else "utf-16-be"
        raise FormatError(
            f"{name} is not text in UTF-8",
            got=f"{start.count(0)} zeros in the first {len(start)} bytes",
            fix=f"encoding={guess!r}, if it is text in UTF-16 without its mark",
        )
    if sum(map(start.count, CONTROLS)) > len(start) / 10:
        raise FormatError(
            f"{name} is not text",
            expected="CSV, JSON lines or Parquet",
            got=f"{len(head):,} bytes that begin with {start[:8]!r}",
            fix="encoding='utf-8', if it is",
        )
    return "utf-8", "UTF-8"


def says_itself(file: Any) -> bool:
    """Whether a text tells its encoding: by a byte order mark, or as UTF-8 beyond ASCII."""
    head = file.read(4)
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    beyond = False
    try:
        while block := file.read(BLOCK):
            beyond |= not decoder.decode(block).isascii()
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        beyond = False
    file.seek(0)
    return beyond or any(head.startswith(mark) for mark, _, _ in MARKS)


def check_decodes(file: Any, codec: str, name: str) -> FormatError:
    """The error for a file that its codec can't read: which byte, on which line, and the option."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(codec)()
    before, line = 0, 1
    while True:
        block = file.read(BLOCK)
        pending = decoder.getstate()[0]
        try:
            line += decoder.decode(block, final=not block).count("\n")
        except UnicodeDecodeError as error:
            data = error.object
            at = before - len(pending) + error.start
            line += data[: error.start].count(b"\n")
            byte = f"byte 0x{data[error.start]:02x} at offset {at}, line {line}"
            cut = not block and error.end >= len(data)
            return FormatError(
                f"{name} is not text in {codec}",
                got=byte + (", where the file ends: it was cut off" if cut else ""),
                fix=_other(data, data[error.start : error.start + 1], codec, cut),
            )
        except UnicodeError as error:
            return FormatError(f"{name} is not text in {codec}", got=str(error)[:80])
        before += len(block)
        if not block:
            return FormatError(f"{name} is not text in {codec}", got=f"{before} bytes")


def _other(data: bytes, byte: bytes, codec: str, cut: bool) -> str:
    if cut:
        return "the file from its source again"
    if any(control in data for control in CONTROLS):
        return "the file from its source again, as text: these are binary data"
    if codec not in ("utf-8", "utf-8-sig"):
        return "another encoding=, or none to have it found"
    other = "cp1252"
    try:
        byte.decode(other)
    except UnicodeDecodeError:
        other = "latin-1"
    return f"encoding={other!r}, if it was written so (Excel's CSV often is), or save it as UTF-8"


def refuse_zeros(file: Any, codec: str, name: str) -> None:
    """Raises for a zero byte, with its line, in a file of an encoding that has none in its text."""
    if codec.lower().replace("_", "-").startswith(WIDE):
        return
    file.seek(0)
    line = 1
    while block := file.read(BLOCK):
        at = block.find(0)
        if at >= 0:
            line += block.count(b"\n", 0, at)
            raise FormatError(
                f"{name}, line {line}: a zero byte, which is in no text",
                expected="CSV, JSON lines or Parquet",
                got="binary data",
                fix="the file from its source again, as text",
            )
        line += block.count(b"\n")
    file.seek(0)


def as_text(file: Any, codec: str) -> io.TextIOWrapper:
    """A file of bytes as text, its line ends as they are."""
    return io.TextIOWrapper(file, encoding=codec, errors="strict", newline="")
