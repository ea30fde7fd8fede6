"""Matrix products in tiles: a microkernel that many products share, and what is done to each tile.

A tile is some rows by a few vectors of columns (see `kernel`).  It is put
into a little memory that stays in the first cache, and the nest's writes, a function of their own
(see `outline`), read it from there: bias and activation, a mask, a whole optimizer.

    for columns, as many as fit into the second cache with their k         (blocks)
      for k, as many as fit                                               (blocks)
        for rows: a slab of them is gathered first where they lie apart
          for tiles of columns: the microkernel; after the last k, the writes
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..loops.expr import Expr
from ..loops.index import Index
from ..loops.products import INNER, Product, apart
from ..loops.program import Nest
from .ahead import Beyond, Fetching, Rows
from .kernel import SLAB, gatherer, kernel, tile_shape
from .outline import Outlined, outline
from .sync import share
from .text import SCALARS, V, whole
from .values import memory_type


class Block(NamedTuple):
    """What is the same for all tiles of a block of columns and k."""

    nest: Nest
    product: Product
    start: V  # first column
    k: V  # first k
    k_count: V
    onto: V  # whether there were k before
    last: V  # whether there are none after
    beyond: Beyond | None = None  # rows that are gathered next, of which each tile fetches a part


class Products(Fetching):
    """Writes nests that are matrix products."""

    outlined: Outlined | None = None

    def product_nest(self, nest: Nest, p: Product) -> None:
        """A whole product; `nest` is for anything else."""
        self.width = self.target.lanes(p.dot.dtype.itemsize)
        self.inside = {}
        self.outlined = None
        values = [w.value for w in nest.writes]
        self.push()
        self.open_loops(
            list(p.batch), values, None, lambda: self.blocks(nest, p),
            p.rows.bit | p.columns.bit, shared=self.shared and bool(p.batch) and p.partial is None,
        )  # fmt: skip
        self.pop()

    def blocks(self, nest: Nest, p: Product) -> None:
        """Blocks of columns, and of k within them."""
        sizes = p.blocks
        yes, no = V("true", "i1"), V("false", "i1")

        def column_block(c: V, _: list[V]) -> list[V]:
            if sizes.inner >= p.inner.extent:
                every = Block(nest, p, c, whole(0), self.extent(p.inner), no, yes)
                self.rows(every)
                return []
            self.f.loop(
                whole(0), self.extent(p.inner), sizes.inner, [],
                lambda k, _: self.inner_block(nest, p, c, k),
            )  # fmt: skip
            return []

        if sizes.columns >= p.columns.extent:
            column_block(whole(0), [])
        else:
            self.f.loop(whole(0), self.extent(p.columns), sizes.columns, [], column_block)

    def inner_block(self, nest: Nest, p: Product, c: V, k: V) -> list[V]:
        """One block of k."""
        f, total = self.f, self.extent(p.inner)
        count = f.least(f.binary("sub", total, k), whole(p.blocks.inner))
        onto = f.emit(f"icmp ne i64 {k.ref}, 0", "i1")
        end = f.binary("add", k, count)
        last = f.emit(f"icmp eq i64 {end.ref}, {total.ref}", "i1")
        self.rows(Block(nest, p, c, k, count, onto, last))
        return []

    # ------------------------------------------------------------ rows

    def rows(self, b: Block) -> None:
        """All rows, or this thread's share of them: slabs, and tiles within."""
        most, _ = self.tile_of(b.product)
        n = b.product.rows.extent
        shared = self.shared and (not b.product.batch or b.product.partial is not None)
        if b.product.gathered:
            units = -(-n // SLAB)
            first, end = self.part_of(units, shared)
            self.f.loop(first, end, 1, [], lambda u, _: self.slab(b, u), first_is_sure=not shared)
            return
        rows = -(-n // -(-n // most))  # as even as can be; most, if that leaves nothing over
        units = -(-n // rows)
        first, end = self.part_of(units, shared)

        places = self.places_of_k(b) if b.product.listed else None

        def tile_row(u: V, _: list[V]) -> list[V]:
            r = self.f.binary("mul", u, whole(rows))
            if places is not None:
                self.columns(b, r, rows, n, (self.places_of_rows(b, r, rows), places))
                return []
            self.at_row(b, r)
            a, row_step, k_step = self.steps(b.product.row, b)
            self.leave(b.product.rows)
            steps = self.size(row_step, "row step"), self.size(k_step, "row k step")
            tile = rows, self.tile_columns(b.product)
            here = b._replace(beyond=self.next_rows(b, a, row_step, k_step, tile))
            self.columns(here, r, rows, n, (a, *steps))
            return []

        self.f.loop(first, end, 1, [], tile_row, first_is_sure=not shared)

    def tile_of(self, p: Product) -> tuple[int, int]:
        """(rows, vectors) of a product's tiles."""
        vectors = -(-p.columns.extent // self.width)
        return tile_shape(self.target, vectors, p.rows.extent, p.gathered)

    def tiles(self, p: Product) -> int:
        """About how many tiles a product has."""
        rows, vectors = self.tile_of(p)
        count = -(-p.inner.extent // min(p.blocks.inner, p.inner.extent))
        for a, size in ((p.rows, rows), (p.columns, vectors * self.width)):
            count *= -(-a.extent // size)
        return count * math.prod(a.extent for a in p.batch)

    def places_of_k(self, b: Block) -> V:
        """A table of how far the k of a block lie behind the start of a row."""
        f, p = self.f, b.product
        table = self.table("i64", min(p.blocks.inner, p.inner.extent), "places of k")

        def entries(i: V, _: list[V]) -> list[V]:
            first = f.binary("add", b.k, i)
            (at,) = self.at_lanes(p.inner, first, [], lambda _: [self.index(self.row_place(p)[1])])
            f.do(f"store {at}, {f.shifted(table, i, 'i64')}, align 8")
            return []

        f.loop(whole(0), b.k_count, self.width, [], entries)
        return table

    def places_of_rows(self, b: Block, r: V, rows: int) -> V:
        """A table of the addresses at which the rows of a tile begin."""
        f, p = self.f, b.product
        table = self.table("ptr", rows, "places of rows")
        start, scalar = self.pointers[p.row.at[0].name], memory_type(p.row.dtype)
        for i in range(0, rows, self.width):
            first = f.binary("add", r, whole(i))
            (at,) = self.at_lanes(p.rows, first, [], lambda _: [self.index(self.row_place(p)[0])])
            f.do(f"store {f.shifted(start, at, scalar)}, {f.shifted(table, whole(i), 'ptr')}, "
                 "align 8")  # fmt: skip
        return table

    def table(self, scalar: str, count: int, use: str) -> V:
        """Room for some entries, which are written a vector at a time."""
        return self.f.room(scalar, -(-count // self.width) * self.width, use)

    def row_place(self, p: Product) -> tuple[Index, Index]:
        """Where the row operand lies: what depends on the row, and what depends on k."""
        buffer, index = p.row.at
        places = apart(buffer.place(index), p)
        assert places is not None
        return places

    def part_of(self, units: int, shared: bool) -> tuple[V, V]:
        """(first, end) of all tiles or slabs, or of this thread's share of them."""
        count = self.size(units, "units")
        return share(self.f, count) if shared else (whole(0), count)

    def at_row(self, b: Block, r: V) -> None:
        """Makes a row, and the first k of the block, known."""
        self.enter(b.product.rows, r)

    def slab(self, b: Block, u: V) -> list[V]:
        """Rows that lie apart, gathered and then gone through tile by tile."""
        f, p = self.f, b.product
        n, most = p.rows.extent, self.tile_of(p)[0]
        dtype = p.dot.dtype
        first = f.binary("mul", u, whole(SLAB))
        self.at_row(b, first)
        a, row_step, k_step = self.steps(p.row, b)
        assert row_step == 1
        self.leave(p.rows)
        width = f.least(f.binary("sub", self.extent(p.rows), first), whole(SLAB))
        name = gatherer(f.module, self.target, dtype)
        room = f.room(SCALARS[dtype], SLAB * INNER, "slab")  # one text for all k
        args = [a, self.size(k_step, "row k step"), room, width, b.k_count]
        f.do(f"call void @{name}({', '.join(map(str, args))})")

        after = f.shifted(a, whole(SLAB), SCALARS[dtype])
        beyond = self.next_slab(b, after, k_step, SLAB, (most, self.tile_columns(p)))

        def tile_row(i: V, _: list[V]) -> list[V]:
            start = f.shifted(room, i, SCALARS[dtype])
            here = b._replace(beyond=beyond._replace(row=i))
            self.columns(here, f.binary("add", first, i), most, n, (start, whole(1), whole(SLAB)))
            return []

        f.loop(whole(0), width, most, [], tile_row)
        return []

    # ------------------------------------------------------------ tiles

    def tile_columns(self, p: Product) -> int:
        """How many columns a tile has where it is full."""
        return self.tile_of(p)[1] * self.width

    def columns(self, b: Block, r: V, rows: int, n: int, a: tuple[V, ...]) -> None:
        """The tiles of some rows, through the columns of a block."""
        p = b.product
        total = p.columns.extent
        size = self.tile_columns(p)
        full = total // size * size
        if full:
            end = self.size(full, "full columns")
            if p.blocks.columns < total:
                after = self.f.binary("add", b.start, whole(p.blocks.columns))
                end = self.f.least(after, self.size(full, "full columns"))
            self.f.loop(
                b.start, end, size, [], lambda v, _: self.tile(b, r, rows, n, v, size, a),
                first_is_sure=p.blocks.columns >= total,
            )  # fmt: skip
        if full < total:
            rest = total - full
            if p.blocks.columns >= total:
                self.tile(b, r, rows, n, self.size(full, "full columns"), rest, a)
                return
            after = self.f.binary("add", b.start, whole(p.blocks.columns))
            here = self.f.emit(f"icmp sge i64 {after.ref}, {total}", "i1")

            def last() -> None:
                self.tile(b, r, rows, n, self.size(full, "full columns"), rest, a)

            self.f.when(here, last)

    def tile(
        self, b: Block, r: V, rows: int, n: int, v: V, columns: int, a: tuple[V, ...]
    ) -> list[V]:
        """One tile: the microkernel, and the writes on what it gives."""
        f, p = self.f, b.product
        scalar = SCALARS[p.dot.dtype]
        vectors = -(-columns // self.width)
        length = vectors * self.width
        self.at_row(b, r)
        self.enter(p.columns, v)
        column, k_step = self.column_place(b, v)
        made = self.direct(b, columns == length) if b.last.ref == "true" else None
        self.leave(p.columns)
        self.leave(p.rows)
        if made is not None:
            c, c_step = made[0], self.size(made[1], "direct step")
        elif p.partial is not None:
            c_step = self.size(p.partial.shape[-1], "partial step")
            place = f.binary("mul", r, c_step)
            place = f.binary("add", place, f.binary("sub", v, b.start))
            c = f.shifted(self.pointers[p.partial.name], place, scalar)
        else:
            c, c_step = f.room(scalar, rows * length, "tile"), whole(length)
        step = self.size(k_step, "column k step")
        size = p.dot.dtype.itemsize
        own = Rows(c, f.binary("mul", c_step, whole(size)), rows, length * size)
        ahead = self.ahead(b, r, v, rows, length, own)
        given = [*a, column, step, c, c_step, b.k_count, b.onto, *ahead]
        here = self.call_kernel(b, r, rows, n, vectors, given)
        if made is not None:
            return []

        def writes() -> None:
            self.writes_of_tile(b, r, here, v, columns, c, c_step)

        if b.last.ref == "true":
            writes()
        else:
            f.when(b.last, writes)
        return []

    def call_kernel(
        self, b: Block, r: V, rows: int, n: int, vectors: int, args: list[V]
    ) -> V:  # fmt: skip
        """Calls the microkernel for as many rows as there are here; gives how many."""
        f, dtype = self.f, b.product.dot.dtype
        listed = ", ".join(map(str, args))

        def call(count: int) -> None:
            name = kernel(f.module, self.target, dtype, count, vectors, b.product.listed)
            f.do(f"call void @{name}({listed})")

        left = n % rows
        if not left:
            call(rows)
            return whole(rows)
        here = f.least(f.binary("sub", self.extent(b.product.rows), r), whole(rows))
        all_there = f.emit(f"icmp eq i64 {here.ref}, {rows}", "i1")
        f.either(all_there, lambda: call(rows), lambda: call(left))
        return here

    def steps(self, e: Expr, b: Block) -> tuple[V, int, int]:
        """(where the row operand begins here, its steps along rows and k)."""
        p = b.product
        buffer, index = e.at
        flat: Index = buffer.place(index)
        step, inner_step = flat.coefficient(p.rows), flat.coefficient(p.inner)
        assert step is not None
        assert inner_step is not None
        scalar = memory_type(buffer.dtype)
        at = self.f.shifted(self.pointers[buffer.name], self.index(flat.without(p.inner)), scalar)
        return self.moved(at, b, inner_step, scalar), step, inner_step

    def moved(self, at: V, b: Block, step: int, scalar: str) -> V:
        """An address at the first k of the block."""
        if b.k.ref == "0":
            return at
        by = self.f.binary("mul", b.k, self.size(step, ("k step", scalar, step)))
        return self.f.shifted(at, by, scalar)

    def column_place(self, b: Block, v: V) -> tuple[V, int]:
        """(where the column operand's tile begins, its step along k)."""
        p = b.product
        buffer, index = p.column.at
        scalar = memory_type(buffer.dtype)
        start = self.pointers[buffer.name]
        if p.panel is None:
            flat = buffer.place(index)
            step = flat.coefficient(p.inner)
            assert step is not None
            at = self.f.shifted(start, self.index(flat.without(p.inner)), scalar)
            return self.moved(at, b, step, scalar), step
        # a panel is panel columns of all k: one that begins with column v begins at v * K
        *batch, _, k, _ = index
        outer = buffer.place((*batch, k * 0, k * 0, k * 0))
        within = self.f.binary("and", v, whole(p.panel - 1))
        offset = self.f.binary("mul", self.f.binary("sub", v, within), self.extent(p.inner))
        offset = self.f.binary("add", offset, within)
        at = self.f.shifted(self.f.shifted(start, self.index(outer), scalar), offset, scalar)
        return self.moved(at, b, p.panel, scalar), p.panel

    def direct(self, b: Block, full: bool) -> tuple[V, int] | None:
        """Where the tile itself is all that is written: that place and its row step; else None."""
        p = b.product
        (w, *others) = b.nest.writes
        if others or w.value is not p.dot or not full:
            return None
        flat = w.buffer.place(w.place)
        step = flat.coefficient(p.rows)
        if flat.coefficient(p.columns) != 1 or step is None:
            return None
        at = self.f.shifted(self.pointers[w.buffer.name], self.index(flat),
                            memory_type(w.buffer.dtype))  # fmt: skip
        return at, step

    def writes_of_tile(self, b: Block, r: V, rows: V, v: V, columns: int, c: V, step: V) -> None:
        """The nest's writes on a tile."""
        f, p = self.f, b.product
        if self.outlined is None:
            self.outlined = outline(self, b.nest, p)
        o = self.outlined
        args = [c, step, r, rows, v, whole(columns), *(self.axes[a] for a in p.batch)]
        args += [self.value(e) for e in o.known]
        args += [self.pointers[name] for name in o.buffers]
        args += [f.argument(n, key) for key, n in o.numbers.items()]
        f.do(f"call void @{o.name}({', '.join(map(str, args))})")
