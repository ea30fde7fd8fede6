"""Matrix products in tiles: a microkernel that many products share, and what is done to each tile.

A tile is some rows by a few vectors of columns, held in registers while k runs.  It is then put
into a little memory that stays in the first cache, and the nest's writes read it from there: bias
and activation, a mask, a whole optimizer.
"""

from __future__ import annotations

from typing import Any

from ...dtypes import DType
from ..loops.index import Axis, Index
from ..loops.products import Product
from ..loops.program import Nest
from .nest import Nests, mask_of
from .sync import share
from .target import Target
from .text import SCALARS, Module, V, whole
from .values import memory_type


def tile_shape(target: Target) -> tuple[int, int]:
    """(rows, vectors) of the largest tile: as many sums as registers hold."""
    return (6, 4) if target.registers >= 32 else (6, 2)


def kernel(module: Module, target: Target, dtype: DType, rows: int, vectors: int) -> str:
    """The microkernel for a tile, made once a module; gives its name.

    kernel(a, row step, k step, b, k step, c, row step, K): c = sum over k of a[r, k] b[k, v].
    Steps are in elements; only b's and c's columns must be neighbours.
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
        "i64 %K",
        "#0 ",
    )
    row_step, a_step, b_step = V("%ar", "i64"), V("%ak", "i64"), V("%bk", "i64")
    starts = [V("%a", "ptr")]
    for _ in range(1, rows):
        starts.append(f.shifted(starts[-1], row_step, scalar))
    zero = V("zeroinitializer", scalar, lanes)
    size = dtype.itemsize

    def turn(i: V, sums: list[V]) -> list[V]:
        at = f.shifted(V("%b", "ptr"), f.binary("mul", i, b_step), scalar)
        columns = []
        for v in range(vectors):
            p = f.shifted(at, whole(v * lanes), scalar)
            columns.append(f.emit(f"load {zero.type}, {p}, align {size}", scalar, lanes))
        place = f.binary("mul", i, a_step)
        results = []
        for r in range(rows):
            p = f.shifted(starts[r], place, scalar)
            x = f.splat(f.emit(f"load {scalar}, {p}, align {size}", scalar), lanes)
            for v in range(vectors):
                total = sums[r * vectors + v]
                if target.fma:
                    results.append(f.call(f"llvm.fma.v{lanes}{_short(scalar)}",
                                          [x, columns[v], total], scalar, lanes))  # fmt: skip
                else:
                    results.append(f.binary("fadd", f.binary("fmul", x, columns[v]), total))
        return results

    sums = f.loop(whole(0), V("%K", "i64"), 1, [zero] * (rows * vectors), turn)
    at = V("%c", "ptr")
    for r in range(rows):
        if r:
            at = f.shifted(at, V("%cr", "i64"), scalar)
        for v in range(vectors):
            p = f.shifted(at, whole(v * lanes), scalar)
            f.do(f"store {sums[r * vectors + v]}, {p}, align {size}")
    return name


def _short(scalar: str) -> str:
    return "f32" if scalar == "float" else "f64"


class Products(Nests):
    """Writes nests that are matrix products."""

    def product_nest(self, nest: Nest, p: Product) -> None:
        """A whole product: tiles over columns, then rows; `nest` for anything else."""
        self.width = self.target.lanes(p.dot.dtype.itemsize)
        self.inside = {}
        self.push()
        self.open_loops(
            list(p.batch), [w.value for w in nest.writes], None,
            lambda: self.column_tiles(nest, p), p.rows.bit | p.columns.bit,
            shared=self.shared and bool(p.batch),
        )  # fmt: skip
        self.pop()

    def column_tiles(self, nest: Nest, p: Product) -> None:
        """Tiles of as many vectors as fit, then one of what is left."""
        _, most = tile_shape(self.target)
        n, lanes = p.columns.extent, self.width
        vectors = -(-n // lanes)
        most = min(most, vectors)
        whole_tiles = n // (most * lanes)
        if whole_tiles:
            self.f.loop(
                whole(0), whole(whole_tiles * most * lanes), most * lanes, [],
                lambda v, _: self.row_tiles(nest, p, v, most, most * lanes),
            )  # fmt: skip
        left = n - whole_tiles * most * lanes
        if left:
            start = whole(whole_tiles * most * lanes)
            self.row_tiles(nest, p, start, -(-left // lanes), left)

    def row_tiles(self, nest: Nest, p: Product, v: V, vectors: int, columns: int) -> list[V]:
        """All rows of some columns."""
        most, _ = tile_shape(self.target)
        n = p.rows.extent
        count = -(-n // most)
        rows = -(-n // count)  # as even as can be
        full = n // rows * rows
        shared = self.shared and not p.batch
        first, end = share(self.f, full, rows) if shared else (whole(0), whole(full))
        self.f.loop(
            first, end, rows, [], lambda r, _: self.tile(nest, p, r, v, rows, vectors, columns),
            first_is_sure=not shared,
        )  # fmt: skip

        def rest() -> None:
            self.tile(nest, p, whole(full), v, n - full, vectors, columns)

        if full < n and shared:
            last = self.f.emit("add i64 %tid, 1", "i64")
            self.f.when(self.f.emit(f"icmp eq i64 {last.ref}, %threads", "i1"), rest)
        elif full < n:
            rest()
        return []

    def tile(
        self, nest: Nest, p: Product, r: V, v: V, rows: int, vectors: int, columns: int
    ) -> list[V]:
        """One tile: the microkernel, and the writes on what it gives."""
        f, dtype = self.f, p.dot.dtype
        scalar = SCALARS[dtype.name]
        name = kernel(f.module, self.target, dtype, rows, vectors)
        self.enter(p.rows, r)
        self.enter(p.columns, v)
        a, row_step, a_step = self.steps(p.row, p.rows, p.inner)
        b, b_step = self.column_place(p, v)
        row_length = vectors * self.width
        made = self.direct(nest, p, columns == row_length)
        if made is None:
            c, c_step = f.room(scalar, rows * row_length), row_length
        else:
            c, c_step = made
        self.leave(p.columns)
        self.leave(p.rows)
        numbers = [whole(n) for n in (row_step, a_step, b_step, c_step, p.inner.extent)]
        args = [a, numbers[0], numbers[1], b, numbers[2], c, numbers[3], numbers[4]]
        f.do(f"call void @{name}({', '.join(map(str, args))})")
        if made is None:
            self.writes_of_tile(nest, p, r, v, rows, columns, c, row_length)
        return []

    def steps(self, e: Any, outer: Axis, inner: Axis) -> tuple[V, int, int]:
        """(where an operand begins in this tile, its steps along two axes)."""
        buffer, index = e.at
        flat: Index = buffer.place(index)
        at = self.without(flat, inner)
        step, inner_step = flat.coefficient(outer), flat.coefficient(inner)
        assert step is not None
        assert inner_step is not None
        pointer = self.pointers[buffer.name]
        return self.f.shifted(pointer, self.index(at), memory_type(buffer.dtype)), step, inner_step

    def without(self, flat: Index, axis: Axis) -> Index:
        """An index where an axis is at 0."""
        return Index({a: c for a, c in flat.terms.items() if a is not axis}, flat.const)

    def column_place(self, p: Product, v: V) -> tuple[V, int]:
        """(where the column operand's tile begins, its step along k)."""
        buffer, index = p.column.at
        scalar = memory_type(buffer.dtype)
        if p.panel is None:
            at, one, step = self.steps(p.column, p.columns, p.inner)
            assert one == 1
            return at, step
        # a panel is panel columns of all k: one that begins with column v begins at v * K
        *batch, _, k, _ = index
        outer = buffer.place((*batch, k * 0, k * 0, k * 0))
        within = self.f.binary("and", v, whole(p.panel - 1))
        offset = self.f.binary("mul", self.f.binary("sub", v, within), whole(p.inner.extent))
        offset = self.f.binary("add", offset, within)
        at = self.f.shifted(self.pointers[buffer.name], self.index(outer), scalar)
        return self.f.shifted(at, offset, scalar), p.panel

    def direct(self, nest: Nest, p: Product, full: bool) -> tuple[V, int] | None:
        """Where the tile itself is all that is written: that place and its row step; else None."""
        (w, *others) = nest.writes
        if others or w.value is not p.dot or not full:
            return None
        flat = w.buffer.place(w.place)
        step = flat.coefficient(p.rows)
        if flat.coefficient(p.columns) != 1 or step is None:
            return None
        at = self.f.shifted(self.pointers[w.buffer.name], self.index(flat),
                            memory_type(w.buffer.dtype))  # fmt: skip
        return at, step

    def writes_of_tile(
        self, nest: Nest, p: Product, r: V, v: V, rows: int, columns: int, c: V, length: int
    ) -> None:
        """The nest's writes, row by row and vector by vector."""
        f, lanes = self.f, self.width

        def row(i: V, _: list[V]) -> list[V]:
            self.enter(p.rows, f.binary("add", r, i))
            self.hoist([w.value for w in nest.writes], p.columns.bit | p.inner.bit)
            line = f.shifted(c, f.binary("mul", i, whole(length)), SCALARS[p.dot.dtype.name])
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
            at = f.shifted(line, j, SCALARS[p.dot.dtype.name])
            text = f"load <{lanes} x {SCALARS[p.dot.dtype.name]}>, {at}, align {lanes * 4}"
            total = f.emit(text, SCALARS[p.dot.dtype.name], lanes)

            def body(_: list[V]) -> list[V]:
                self.keep(id(p.dot), total)
                return self.writes(nest)

            return self.at_lanes(p.columns, f.binary("add", v, j), [], body)

        f.loop(whole(0), whole(rows), 1, [], row)
