"""Memory that is needed soon, fetched while the microkernel computes a tile.

An optimizer in the writes on a tile reads and writes more bytes than the product itself, and rows
that lie apart are gathered from all over a matrix.  Either comes in short pieces, which no
processor foresees; so the microkernel is given a table of lines of the cache, and asks for one of
them in every turn of its loop, where loads have time to spare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..loops.expr import Buffer, walk
from ..loops.index import Index
from ..loops.products import Product
from ..loops.program import Nest
from .nest import Nests
from .target import Target
from .text import Function, Module, V, whole

if TYPE_CHECKING:
    from .product import Block

LINE = 64
"""Bytes that come from memory together."""
PAD = 8
"""Entries behind a table that whole vectors may write into."""
NEAR = 1 << 20
"""Bytes of a row operand that stay in the second cache from one use to the next."""
SMALL = 1 << 20
"""Bytes that the writes of a product go through which stay there from step to step."""


class Rows(NamedTuple):
    """`width` bytes of each of `number` rows, `step` bytes apart."""

    start: V
    step: V
    number: int
    width: int

    @property
    def total(self) -> int:
        """How many lines they have."""
        return self.number * len(lines(self.width))


class Beyond(NamedTuple):
    """Memory that later tiles read, in parts, of which each tile fetches one.

    part: the first; each lies `shift` bytes behind the one before.  tile: its rows and columns;
    `across` of them lie side by side.  row: where the tile at hand is among those that share it.
    """

    part: Rows
    shift: V
    tile: tuple[int, int]
    across: int
    row: V


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
    if sum(b.size * b.dtype.itemsize for b in {b.name: b for b in found.values()}.values()) < SMALL:
        return []
    return [(buffer, flat) for (_, flat), buffer in found.items()]


def lines(width: int) -> list[int]:
    """Where the lines of so many bytes begin."""
    return list(range(0, width, LINE))


def lister(module: Module, target: Target) -> str:
    """The function lines(table, start, step, number, each): where some rows' lines begin.

    Row after row, `each` lines of it; step is in bytes.  It writes whole vectors, and with them up
    to PAD entries too many, which the next row overwrites.
    """
    f = module.kernel("lines", "ptr noalias %table, ptr %start, i64 %step, i64 %number, i64 %each")
    if f is None:
        return "lines"
    lanes, each = target.lanes(8), V("%each", "i64")
    first = f.emit("ptrtoint ptr %start to i64", "i64")
    offsets = V(f"<{', '.join(f'i64 {LINE * n}' for n in range(lanes))}>", "i64", lanes)

    def row(i: V, _: list[V]) -> list[V]:
        begin = f.binary("add", first, f.binary("mul", i, V("%step", "i64")))
        entries = f.shifted(V("%table", "ptr"), f.binary("mul", i, each), "i64")

        def part(n: V, _: list[V]) -> list[V]:
            at = f.binary("add", begin, f.binary("mul", n, whole(LINE)))
            found = f.binary("add", f.splat(at, lanes), offsets)
            f.do(f"store {found}, {f.shifted(entries, n, 'i64')}, align 8")
            return []

        f.loop(whole(0), each, lanes, [], part)
        return []

    f.loop(whole(0), V("%number", "i64"), 1, [], row)
    return "lines"


def listed(f: Function, target: Target, rows: Rows, table: V, first: int) -> None:
    """Writes the lines of some rows into a table, from its entry `first` on."""
    each = whole(len(lines(rows.width)))
    args = [f.shifted(table, whole(first), "i64"), rows.start, rows.step, whole(rows.number), each]
    f.do(f"call void @{lister(f.module, target)}({', '.join(map(str, args))})")


class Fetching(Nests):
    """Writes the tables of nests that are products."""

    def ahead(self, b: Block, r: V, v: V, rows: int, columns: int, c: Rows) -> tuple[V, V]:
        """(the table of what the microkernel fetches at a tile, its last entry).

        r, v: the tile's first row and column.  c: where the microkernel puts the tile.
        """
        f, found = self.f, streams(b.nest, b.product)
        width = [columns * buffer.dtype.itemsize for buffer, _ in found]
        always = 0 if b.product.partial is None else c.total
        always += 0 if b.beyond is None else b.beyond.part.total
        count = always + sum(rows * len(lines(w)) for w in width)
        table = f.room("ptr", count + PAD, "ahead")

        def touched() -> None:
            first = always
            self.enter(b.product.rows, r)
            self.enter(b.product.columns, v)
            for n, (buffer, flat) in enumerate(found):
                step = (flat.coefficient(b.product.rows) or 0) * buffer.dtype.itemsize
                start = self.place_of(buffer, flat)
                part = Rows(start, self.size(step, ("stream", n)), rows, width[n])
                listed(f, self.target, part, table, first)
                first += part.total
            self.leave(b.product.columns)
            self.leave(b.product.rows)

        first = 0
        if b.product.partial is not None:
            beside = c._replace(start=f.shifted(c.start, whole(c.width), "i8"))
            listed(f, self.target, beside, table, first)
            first += beside.total
        if b.beyond is not None:
            self.list_part(b, b.beyond, v, f.shifted(table, whole(first), "ptr"))
        elif not first:
            f.do(f"store {c.start}, {table}, align 8")  # what is at hand anyway
        if b.last.ref == "true":
            touched()
            return table, whole(max(count - 1, 0))
        f.when(b.last, touched)
        last = f.emit(f"select {b.last}, i64 {max(count - 1, 0)}, i64 {max(always - 1, 0)}", "i64")
        return table, last

    def list_part(self, b: Block, beyond: Beyond, v: V, table: V) -> None:
        """Lists the part that belongs to the tile at hand, whose first column is v."""
        f, part = self.f, beyond.part
        rows, columns = (whole(n) for n in beyond.tile)
        down = f.binary("udiv", beyond.row, rows)
        across = f.binary("udiv", f.binary("sub", v, b.start), columns)
        tile = f.binary("add", f.binary("mul", down, whole(beyond.across)), across)
        start = f.shifted(part.start, f.binary("mul", tile, beyond.shift), "i8")
        listed(f, self.target, part._replace(start=start), table, 0)

    # ------------------------------------------------------------ what later tiles read

    def next_slab(
        self, b: Block, start: V, k_step: int, rows: int, tile: tuple[int, int]
    ) -> Beyond:  # fmt: skip
        """What the block's k have in the rows from `start` on: some k for each tile of a slab.

        k_step: how many elements one k lies behind another.
        """
        p, size = b.product, b.product.dot.dtype.itemsize
        across = _across(p, tile[1])
        number = -(-min(p.blocks.inner, p.inner.extent) // (rows // tile[0] * across))
        step = self.f.binary("mul", self.size(k_step, "row k step"), whole(size))
        shift = self.f.binary("mul", step, whole(number))
        return Beyond(Rows(start, step, number, rows * size), shift, tile, across, whole(0))

    def next_rows(
        self, b: Block, a: V, row_step: int, k_step: int, tile: tuple[int, int]
    ) -> Beyond | None:  # fmt: skip
        """The rows behind those of a tile at a: a piece of each for every tile beside it.

        None where rows do not lie along k, or are likely to be near already.
        """
        p, size = b.product, b.product.dot.dtype.itemsize
        if k_step != 1 or p.rows.extent * p.inner.extent * size <= NEAR:
            return None
        across = _across(p, tile[1])
        width = -(-min(p.blocks.inner, p.inner.extent) // across) * size
        step = self.f.binary("mul", self.size(row_step, "row step"), whole(size))
        start = self.f.shifted(a, self.f.binary("mul", step, whole(tile[0])), "i8")
        return Beyond(Rows(start, step, tile[0], width), whole(width), tile, across, whole(0))


def _across(p: Product, columns: int) -> int:
    """How many tiles lie side by side in a block."""
    return -(-min(p.blocks.columns, p.columns.extent) // columns)
