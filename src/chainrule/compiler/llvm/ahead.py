"""Memory that the writes on a tile will touch, fetched while the microkernel computes the tile.

An optimizer in the writes reads and writes more bytes than the product itself.  Tiles are short
rows of large matrices, which no processor foresees; so the microkernel is given a table of lines
of the cache, and asks for one of them in every turn of its loop, where loads have time to spare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..loops.expr import Buffer, walk
from ..loops.index import Index
from ..loops.products import Product
from ..loops.program import Nest
from .nest import Nests
from .target import Target
from .text import Function, V, whole

if TYPE_CHECKING:
    from .product import Block

LINE = 64
"""Bytes that come from memory together."""


def streams(nest: Nest, p: Product) -> list[tuple[Buffer, Index]]:
    """What the writes on a tile go through row by row: (memory, place of an element there)."""
    found: dict[tuple[str, Index], Buffer] = {}
    for w in nest.writes:
        places = [(w.buffer, w.place)]
        for e in walk(w.value):
            if e.op == "load" and not e.args and e is not p.row and e is not p.column:
                places.append(e.at)
        for buffer, place in places:
            flat = buffer.place(place)
            if flat.coefficient(p.columns) == 1 and flat.coefficient(p.rows):
                found[buffer.name, flat] = buffer
    return [(buffer, flat) for (_, flat), buffer in found.items()]


def lines(rows: int, row_bytes: int, width: int) -> list[int]:
    """Where the lines of some rows begin, `width` bytes of each."""
    return [r * row_bytes + at for r in range(rows) for at in range(0, width, LINE)]


def listed(f: Function, target: Target, start: V, offsets: list[int], table: V, first: int) -> None:
    """Writes addresses into a table, from its entry `first` on."""
    lanes = target.lanes(8)
    base = f.emit(f"ptrtoint {start} to i64", "i64")
    for n in range(0, len(offsets), lanes):
        part = offsets[n : n + lanes]
        steps = V(f"<{', '.join(f'i64 {o}' for o in part)}>", "i64", len(part))
        found = f.binary("add", f.splat(base, len(part)), steps)
        f.do(f"store {found}, {f.shifted(table, whole(first + n), 'i64')}, align 8")


def fetch(f: Function, table: V, entry: V) -> None:
    """Asks for the line at an address of a table; nothing waits for it."""
    address = f.emit(f"load ptr, {f.shifted(table, entry, 'ptr')}, align 8", "ptr")
    kind, near, data = (V(n, "i32") for n in "031")
    f.call_void("llvm.prefetch.p0", [address, kind, near, data])


class Fetching(Nests):
    """Writes the tables of nests that are products."""

    def ahead(self, b: Block, r: V, v: V, rows: int, columns: int, c: V) -> tuple[V, V]:
        """(the table of what the writes on a tile touch, its last entry).

        r, v: the tile's first row and column.  c: where the microkernel puts the tile.
        """
        f, p = self.f, b.product
        found = []
        for buffer, flat in streams(b.nest, p):
            step, size = flat.coefficient(p.rows) or 0, buffer.dtype.itemsize
            found.append((buffer, flat, lines(rows, step * size, columns * size)))
        count = sum(len(offsets) for _, _, offsets in found)
        table = f.room("ptr", max(count, 1), "ahead")

        def fill() -> None:
            first = 0
            self.enter(p.rows, r)
            self.enter(p.columns, v)
            for buffer, flat, offsets in found:
                listed(f, self.target, self.place_of(buffer, flat), offsets, table, first)
                first += len(offsets)
            self.leave(p.columns)
            self.leave(p.rows)

        if count and b.last.ref == "true":
            fill()
            return table, whole(count - 1)
        f.do(f"store {c}, {table}, align 8")  # what is at hand anyway
        if not count:
            return table, whole(0)
        f.when(b.last, fill)
        return table, f.emit(f"select {b.last}, i64 {count - 1}, i64 0", "i64")
