"""Object files, as LLVM writes them, taken apart.

Nothing in a file is believed: every offset, size and number is checked before it is used, and what
does not hold raises FormatError.  Nothing here runs what it reads.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..errors import FormatError

X86_64, AARCH64 = 62, 183
MOST_BYTES = 64 << 20
"""The largest program: within it every place can call every other on all processors."""

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_PROGRAM, _SYMBOLS, _STRINGS, _ADDENDS, _EMPTY, _PLAIN_RELOCATIONS, _UNWIND = (
    1, 2, 3, 4, 8, 9, 0x70000001,
)  # fmt: skip
_WRITE, _MEMORY, _RUN, _PER_THREAD = 1, 2, 4, 0x400
_ABSOLUTE, _RESERVED = 0xFFF1, 0xFF00
_GLOBAL, _WEAK = 1, 2


class Section(NamedTuple):
    """A part that belongs in memory.  data: shorter than size where the rest is 0."""

    data: bytes
    size: int
    align: int
    runs: bool
    writable: bool


class Symbol(NamedTuple):
    """A name for a place: `offset` within a section; section None: an address, -1: elsewhere.

    is_weak: others of its name do the same, and any of them will do.
    """

    name: str
    section: int | None
    offset: int
    is_global: bool
    is_weak: bool


class Relocation(NamedTuple):
    """A place in a section where the address of a symbol, plus `addend`, is to be put."""

    section: int
    offset: int
    kind: int
    symbol: int
    addend: int


class Object(NamedTuple):
    """What an object file holds; sections by their number."""

    machine: int
    sections: dict[int, Section]
    symbols: list[Symbol]
    relocations: list[Relocation]


def bad(what: str, got: object = None) -> FormatError:
    """The error for an object file that is not whole."""
    return FormatError(f"machine code: {what}", got=None if got is None else str(got))


def parse(data: bytes) -> Object:
    """An ELF file of 64 bits, little-endian, relocatable; raises FormatError on anything else."""
    if len(data) < _HEADER.size or data[:7] != b"\x7fELF\x02\x01\x01":
        raise bad("not an ELF file of 64 bits", data[:7])
    fields = _HEADER.unpack_from(data)
    kind, machine, start, entry, count = fields[1], fields[2], fields[6], fields[11], fields[12]
    if kind != 1 or machine not in (X86_64, AARCH64):
        raise bad("not a relocatable file for x86-64 or AArch64", (kind, machine))
    if entry != _SECTION.size or start + entry * count > len(data):
        raise bad("its table of sections is cut off")
    rows = [_SECTION.unpack_from(data, start + entry * i) for i in range(count)]
    sections: dict[int, Section] = {}
    symbols: list[Symbol] | None = None
    table = -1
    for i, row in enumerate(rows):
        if row[2] & _MEMORY:
            sections[i] = _section(data, row)
        elif row[1] == _SYMBOLS:
            if symbols is not None:
                raise bad("two tables of symbols")
            symbols, table = [], i
    if sum(s.size + s.align for s in sections.values()) > MOST_BYTES:
        raise bad(f"larger than {MOST_BYTES} bytes")
    if table >= 0:
        symbols = _symbols(data, rows, rows[table], sections)
    relocations: list[Relocation] = []
    for row in rows:
        if row[1] in (_ADDENDS, _PLAIN_RELOCATIONS) and row[7] in sections:
            if row[1] == _PLAIN_RELOCATIONS or row[6] != table:
                raise bad("relocations of an unknown form")
            relocations += _relocations(data, row, sections[row[7]], len(symbols or ()))
    return Object(machine, sections, symbols or [], relocations)


def _bytes(data: bytes, row: tuple[int, ...]) -> bytes:
    """What a section holds in the file."""
    offset, size = row[4], row[5]
    if offset > len(data) or size > len(data) - offset:
        raise bad("a section lies outside the file", (offset, size))
    return data[offset : offset + size]


def _section(data: bytes, row: tuple[int, ...]) -> Section:
    kind, flags, size, align = row[1], row[2], row[5], max(row[8], 1)
    if kind not in (_PROGRAM, _EMPTY, _UNWIND) or flags & _PER_THREAD:
        raise bad("a section of an unknown kind", (kind, flags))
    if align & (align - 1) or align > 4096 or size > MOST_BYTES:
        raise bad("a section of an impossible size", (size, align))
    runs, writable = bool(flags & _RUN), bool(flags & _WRITE)
    if runs and writable:
        raise bad("a section that can be both written and run")
    return Section(b"" if kind == _EMPTY else _bytes(data, row), size, align, runs, writable)


def _symbols(
    data: bytes, rows: list[tuple[int, ...]], row: tuple[int, ...], sections: dict[int, Section]
) -> list[Symbol]:
    content = _bytes(data, row)
    if row[9] != _SYMBOL.size or len(content) % _SYMBOL.size or row[6] >= len(rows):
        raise bad("its table of symbols is cut off")
    if rows[row[6]][1] != _STRINGS:
        raise bad("symbols without names")
    strings = _bytes(data, rows[row[6]])
    found = []
    for at, info, _, where, value, _ in _SYMBOL.iter_unpack(content):
        end = strings.find(b"\0", at)
        if end < 0:
            raise bad("a name is cut off")
        place: int | None = where or -1
        if where == _ABSOLUTE:
            place = None
        elif where >= _RESERVED:
            raise bad("a symbol of an unknown kind", where)
        elif where in sections and value > sections[where].size:
            raise bad("a symbol lies outside its section", value)
        name = strings[at:end].decode("utf-8", "backslashreplace")
        found.append(Symbol(name, place, value, info >> 4 in (_GLOBAL, _WEAK), info >> 4 == _WEAK))
    return found


def _relocations(
    data: bytes, row: tuple[int, ...], target: Section, symbols: int
) -> list[Relocation]:
    content = _bytes(data, row)
    if row[9] != _RELOCATION.size or len(content) % _RELOCATION.size:
        raise bad("a table of relocations is cut off")
    found = []
    for offset, info, addend in _RELOCATION.iter_unpack(content):
        if offset >= len(target.data) or info >> 32 >= symbols:
            raise bad("a relocation lies outside its section", offset)
        found.append(Relocation(row[7], offset, info & 0xFFFFFFFF, info >> 32, addend))
    return found
