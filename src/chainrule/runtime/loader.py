"""Object files brought into memory, so that their functions can be called; LLVM is not needed.

The files' sections are laid out behind one another: first what runs, then what is only read, then
what is written; each kind on pages of its own.  Names are looked up across all files, so parts of
one program that were compiled apart find each other.  The only functions taken from the system are
those of `SYSTEM`, which code generators call on their own.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .elf import MOST_BYTES, Object, bad, parse
from .pages import PAGE, Pages
from .relocate import BRIDGES, KINDS

SYSTEM = frozenset({
    "memset", "memcpy", "memmove", "fma", "fmaf", "exp", "expf", "log", "logf", "sin", "sinf",
    "cos", "cosf", "pow", "powf", "fmod", "fmodf", "floor", "floorf", "ceil", "ceilf", "trunc",
    "truncf", "rint", "rintf", "round", "roundf",
    "__chkstk",  # Windows: grows the stack
})  # fmt: skip


class Layout(NamedTuple):
    """Where everything lies.  places: (file, section) -> offset; stops: ends of the three kinds."""

    objects: list[Object]
    places: dict[tuple[int, int], int]
    bridges: dict[str, int]
    stops: tuple[int, int, int]


def arrange(files: Sequence[bytes]) -> Layout:
    """A place for every section of some object files."""
    objects = [parse(file) for file in files]
    if len({o.machine for o in objects}) != 1:
        raise bad("no file, or files for different processors")
    places: dict[tuple[int, int], int] = {}
    bridges: dict[str, int] = {}
    stops = []
    end = 0
    for runs, writable in ((True, False), (False, False), (False, True)):
        for i, o in enumerate(objects):
            for number, section in o.sections.items():
                if (section.runs, section.writable) == (runs, writable):
                    end = -(-end // section.align) * section.align
                    places[i, number] = end
                    end += section.size
        if runs:
            for name in _outside(objects):
                bridges[name] = end = -(-end // 16) * 16
                end += 16
        end = -(-end // PAGE) * PAGE
        stops.append(end)
    if end > MOST_BYTES:
        raise bad(f"larger than {MOST_BYTES} bytes", end)
    return Layout(objects, places, bridges, (stops[0], stops[1], stops[2]))


def _outside(objects: list[Object]) -> list[str]:
    """The names that files use and none of them has."""
    used: set[str] = set()
    known: set[str] = set()
    for o in objects:
        for r in o.relocations:
            if o.symbols[r.symbol].section == -1:
                used.add(o.symbols[r.symbol].name)
        known.update(s.name for s in o.symbols if s.is_global and s.section != -1)
    return sorted(used - known)


def link(layout: Layout, base: int) -> tuple[bytearray, dict[str, int]]:
    """The bytes of a program that will lie at `base`, and the addresses of its names."""
    image = bytearray(layout.stops[-1])
    names: dict[str, int] = {}
    for i, o in enumerate(layout.objects):
        for number, section in o.sections.items():
            at = layout.places[i, number]
            image[at : at + len(section.data)] = section.data
        for s in o.symbols:
            if s.is_global and s.section is not None and (i, s.section) in layout.places:
                if s.name in names and s.is_weak:
                    continue
                if s.name in names:
                    raise bad("two functions have one name", s.name)
                names[s.name] = base + layout.places[i, s.section] + s.offset
    machine = layout.objects[0].machine
    known = dict(names)
    for name, at in layout.bridges.items():
        jump = BRIDGES[machine] + system_function(name).to_bytes(8, "little")
        image[at : at + len(jump)] = jump
        known[name] = base + at
    for i, o in enumerate(layout.objects):
        addresses = [_address(layout, base, i, s.section, s.offset, s.name, known)
                     for s in o.symbols]  # fmt: skip
        for section_number, offset, kind, symbol, addend in o.relocations:
            put = KINDS.get((machine, kind))
            address = addresses[symbol]
            if put is None or address is None:
                raise bad("a relocation of an unknown kind", (kind, o.symbols[symbol].name))
            at = layout.places[i, section_number] + offset
            put(image, at, base + at, address + addend)
    return image, names


def _address(
    layout: Layout, base: int, file: int, section: int | None, offset: int, name: str,
    known: dict[str, int],
) -> int | None:  # fmt: skip
    """Where a symbol lies, or None where it is not in memory."""
    if section is None:
        return offset
    if section == -1:
        return known.get(name)
    at = layout.places.get((file, section))
    return None if at is None else base + at + offset


def system_function(name: str) -> int:
    """The address of a function of the system that compiled code may call."""
    libraries = ("ucrtbase", "ntdll") if sys.platform == "win32" else (None,)
    for library in libraries if name in SYSTEM else ():
        found = getattr(ctypes.CDLL(library), name, None)
        if found is not None:
            return ctypes.cast(found, ctypes.c_void_p).value or 0
    raise bad("it calls a function that is not there", name)


class Code:
    """Machine code in memory, kept as long as this object lives; addresses by name."""

    def __init__(self, files: Sequence[bytes]) -> None:
        layout = arrange(files)
        runs, reads, end = layout.stops
        self.pages = Pages(end)
        image, self.addresses = link(layout, self.pages.address)
        self.pages.write(image)
        self.pages.protect(runs, reads, run=False)
        self.pages.protect(0, runs, run=True)
