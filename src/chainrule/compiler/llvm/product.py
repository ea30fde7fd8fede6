"""Matrix products in tiles: a microkernel that many products share, and what is done to each tile.

A tile is some rows by a few vectors of columns, held in registers while k runs.  It is then put
into a little memory that stays in the first cache, and the nest's writes read it from there: bias
and activation, a mask, a whole optimizer.

    for columns, as many as fit into the second cache with their k         (blocks)
      for k, as many as fit                                               (blocks)
        for rows: a slab of them is gathered first where they lie apart
          for tiles of columns: the microkernel; after the last k, the writes
"""

from __future__ import annotations

from typing import NamedTuple

from ...dtypes import DType
from ..loops.expr import Expr
from ..loops.index import Index
from ..loops.products import Product
from ..loops.program import Nest
from .ahead import Beyond, Fetching, Rows, fetch
from .nest import mask_of
from .sync import share
from .target import Target
from .text import SCALARS, Function, Module, V, whole
from .values import memory_type


def tile_shape(target: Target) -> tuple[int, int]:
    """(rows, vectors) of the largest tile: as many sums as registers hold."""
    return (6, 4) if target.registers >= 32 else (6, 2)


def kernel(module: Module, target: Target, dtype: DType, rows: int, vectors: int) -> str:
    """The microkernel for a tile, made once a module; gives its name.

    kernel(a, row step, k step, b, k step, c, row step, K, onto, ahead, last):
    c = sum over k of a[r, k] b[k, v], added to what c holds where `onto`.  Steps are in elements;
    only b's and c's columns must be neighbours.  In turn k it fetches the line at the address
    ahead[k], and from k = last on the one at ahead[last].
    """
    scalar = SCALARS[dtype.name]
    lanes = target.lanes(dtype.itemsize)
    name = f"tile_{dtype.name}_{rows}x{vectors}x{lanes}"
    if name in module.kernels:
        return name
    module.kernels.add(name)
    f = module.function(
        name,
        "ptr noalias %a, i64 %ar, i64 %ak, ptr noalias %b, i64 %bk, ptr noalias %c, i64 %cr, "
        "i64 %K, i1 %onto, ptr noalias %ahead, i64 %last",
        "#0 ",
    )
    zero = V("zeroinitializer", scalar, lanes)
    size = dtype.itemsize
    starts = [V("%a", "ptr")]
    lines = [V("%c", "ptr")]
    for _ in range(1, rows):
        starts.append(f.shifted(starts[-1], V("%ar", "i64"), scalar))
        lines.append(f.shifted(lines[-1], V("%cr", "i64"), scalar))

    def places() -> list[V]:
        return [f.shifted(c, whole(v * lanes), scalar) for c in lines for v in range(vectors)]

    def held() -> list[V]:
        text = f"load {zero.type}"
        return [f.emit(f"{text}, {p}, align {size}", scalar, lanes) for p in places()]

    def turn(i: V, sums: list[V]) -> list[V]:
        at = f.shifted(V("%b", "ptr"), f.binary("mul", i, V("%bk", "i64")), scalar)
        columns = []
        for v in range(vectors):
            p = f.shifted(at, whole(v * lanes), scalar)
            columns.append(f.emit(f"load {zero.type}, {p}, align {size}", scalar, lanes))
        place = f.binary("mul", i, V("%ak", "i64"))
        fetch(f, V("%ahead", "ptr"), f.least(i, V("%last", "i64")))
        results = []
        for r in range(rows):
            p = f.shifted(starts[r], place, scalar)
            x = f.splat(f.emit(f"load {scalar}, {p}, align {size}", scalar), lanes)
            for v in range(vectors):
                results.append(_onto(f, target, x, columns[v], sums[r * vectors + v]))
        return results

    begin = f.choose(V("%onto", "i1"), held, [zero] * (rows * vectors))
    sums = f.loop(whole(0), V("%K", "i64"), 1, begin, turn)
    for p, total in zip(places(), sums, strict=True):
        f.do(f"store {total}, {p}, align {size}")
    return name


def _onto(f: Function, target: Target, x: V, y: V, total: V) -> V:
    """x y + total."""
    if not target.fma:
        return f.binary("fadd", f.binary("fmul", x, y), total)
    name = f"llvm.fma.v{x.lanes}{'f32' if x.scalar == 'float' else 'f64'}"
    return f.call(name, [x, y, total], x.scalar, x.lanes)


def gatherer(module: Module, target: Target, dtype: DType) -> str:
    """The function gather(source, step, target, width, K): rows of some elements, laid together."""
    scalar = SCALARS[dtype.name]
    lanes = target.lanes(dtype.itemsize)
    name = f"gather_{dtype.name}"
    if name in module.kernels:
        return name
    module.kernels.add(name)
    f = module.function(
        name, "ptr noalias %a, i64 %step, ptr noalias %b, i64 %width, i64 %K", "#0 "
    )
    width = V("%width", "i64")
    full = f.binary("and", width, whole(-lanes))

    def line(k: V, _: list[V]) -> list[V]:
        source = f.shifted(V("%a", "ptr"), f.binary("mul", k, V("%step", "i64")), scalar)
        goal = f.shifted(V("%b", "ptr"), f.binary("mul", k, whole(SLAB)), scalar)

        def copy(kind: str, i: V) -> list[V]:
            align = f"align {dtype.itemsize}"
            place = f.shifted(source, i, scalar)
            x = f.emit(f"load {kind}, {place}, {align}", scalar, lanes if kind[0] == "<" else 0)
            f.do(f"store {x}, {f.shifted(goal, i, scalar)}, {align}")
            return []

        vector = f"<{lanes} x {scalar}>"
        f.loop(whole(0), full, lanes, [], lambda i, _: copy(vector, i), first_is_sure=False)
        f.loop(full, width, 1, [], lambda i, _: copy(scalar, i), first_is_sure=False)
        return []

    f.loop(whole(0), V("%K", "i64"), 1, [], line)
    return name


SLAB = 48
"""Rows that are gathered at once where they lie apart: whole tiles, and whole lines of a cache."""


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

    def product_nest(self, nest: Nest, p: Product) -> None:
        """A whole product; `nest` is for anything else."""
        self.width = self.target.lanes(p.dot.dtype.itemsize)
        self.inside = {}
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
        most, _ = tile_shape(self.target)
        n = b.product.rows.extent
        shared = self.shared and (not b.product.batch or b.product.partial is not None)
        if b.product.gathered:
            units = -(-n // SLAB)
            first, end = self.part_of(units, shared)
            self.f.loop(first, end, 1, [], lambda u, _: self.slab(b, u), first_is_sure=not shared)
            return
        rows = -(-n // -(-n // most))  # as even as can be
        units = -(-n // rows)
        first, end = self.part_of(units, shared)

        def tile_row(u: V, _: list[V]) -> list[V]:
            r = self.f.binary("mul", u, whole(rows))
            self.at_row(b, r)
            a, row_step, k_step = self.steps(b.product.row, b)
            self.leave(b.product.rows)
            steps = self.size(row_step, "row step"), self.size(k_step, "row k step")
            tile = rows, self.tile_columns(b.product)
            here = b._replace(beyond=self.next_rows(b, a, row_step, k_step, tile))
            self.columns(here, r, rows, n, (a, *steps))
            return []

        self.f.loop(first, end, 1, [], tile_row, first_is_sure=not shared)

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
        n, most = p.rows.extent, tile_shape(self.target)[0]
        dtype = p.dot.dtype
        first = f.binary("mul", u, whole(SLAB))
        self.at_row(b, first)
        a, row_step, k_step = self.steps(p.row, b)
        assert row_step == 1
        self.leave(p.rows)
        width = f.least(f.binary("sub", self.extent(p.rows), first), whole(SLAB))
        name = gatherer(f.module, self.target, dtype)
        room = f.room(SCALARS[dtype.name], SLAB * min(p.blocks.inner, p.inner.extent), "slab")
        args = [a, self.size(k_step, "row k step"), room, width, b.k_count]
        f.do(f"call void @{name}({', '.join(map(str, args))})")

        after = f.shifted(a, whole(SLAB), SCALARS[dtype.name])
        beyond = self.next_slab(b, after, k_step, SLAB, (most, self.tile_columns(p)))

        def tile_row(i: V, _: list[V]) -> list[V]:
            start = f.shifted(room, i, SCALARS[dtype.name])
            here = b._replace(beyond=beyond._replace(row=i))
            self.columns(here, f.binary("add", first, i), most, n, (start, whole(1), whole(SLAB)))
            return []

        f.loop(whole(0), width, most, [], tile_row)
        return []

    # ------------------------------------------------------------ tiles

    def tile_columns(self, p: Product) -> int:
        """How many columns a tile has where it is full."""
        _, most = tile_shape(self.target)
        return min(most, -(-p.columns.extent // self.width)) * self.width

    def columns(self, b: Block, r: V, rows: int, n: int, a: tuple[V, V, V]) -> None:
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
        self, b: Block, r: V, rows: int, n: int, v: V, columns: int, a: tuple[V, V, V]
    ) -> list[V]:
        """One tile: the microkernel, and the writes on what it gives."""
        f, p = self.f, b.product
        scalar = SCALARS[p.dot.dtype.name]
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
            name = kernel(f.module, self.target, dtype, count, vectors)
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
        at = self.f.shifted(self.pointers[buffer.name], self.index(_without(flat, p.inner)), scalar)
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
            at = self.f.shifted(start, self.index(_without(flat, p.inner)), scalar)
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
        """The nest's writes, row by row and vector by vector."""
        f, lanes, p = self.f, self.width, b.product
        scalar = SCALARS[p.dot.dtype.name]
        values = [w.value for w in b.nest.writes]

        def row(i: V, _: list[V]) -> list[V]:
            self.enter(p.rows, f.binary("add", r, i))
            self.hoist(values, p.columns.bit | p.inner.bit)
            line = f.shifted(c, f.binary("mul", i, step), scalar)
            full = columns // lanes * lanes
            if full:
                f.loop(whole(0), whole(full), lanes, [], lambda j, _: piece(line, j))
            if full < columns:
                self.mask = V(mask_of(columns - full, lanes), "i1", lanes)
                piece(line, whole(full))
                self.mask = None
            self.leave(p.rows)
            return []

        def piece(line: V, j: V) -> list[V]:
            at = f.shifted(line, j, scalar)
            total = f.emit(f"load <{lanes} x {scalar}>, {at}, align 4", scalar, lanes)

            def body(_: list[V]) -> list[V]:
                self.keep(id(p.dot), total)
                return self.writes(b.nest)

            return self.at_lanes(p.columns, f.binary("add", v, j), [], body)

        f.loop(whole(0), rows, 1, [], row)


def _without(flat: Index, axis: object) -> Index:
    """An index where an axis is at 0."""
    return Index({a: c for a, c in flat.terms.items() if a is not axis}, flat.const)
