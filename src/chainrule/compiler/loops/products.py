"""Matrix products: which axis runs along vectors, how results lie in memory, what is packed first.

A product c[r, v] = sum over k of row[r, k] column[k, v] is computed in tiles.  The column operand
is read in vectors along v, so its elements must be neighbours there; the row operand is read one
number at a time, from anywhere.  Either operand of a matmul can take either part.  Temporaries are
laid out as the product writes them, so that a chain of layers needs no packing at all; what does
not lie right is copied once, by a nest of its own.

Before: nest %1 [i<128, j<512]:  %1[i, j] = relu(dot[k<784](x[i, k] * w[j, k]))
After:  nest pack [k<784, i<128]: %p[k, i] = x[i, k]
        nest %1 [j<512, i<128]:   %1[i, j] = relu(dot[k<784](%p[k, i] * w[j, k]))
        with %1 lying column by column, as the next layer wants it
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import NamedTuple

from . import index as ix
from .expr import Buffer, Expr, substitute, walk
from .index import Axis, Index
from .program import Nest, Program, Write
from .split import join, split

LEAST = 4096
"""Products of fewer multiplications are ordinary loops."""
PANEL = 4
"""Vectors of the column operand that a tile takes at once, at most."""
FAR = 4096
"""Bytes from row to row, above which columns are gathered into panels first."""
BLOCK = 1 << 19
"""Bytes of the column operand that are gone through before others: half of a second cache."""
INNER = 512
"""How many k a block has, where they come in blocks."""
LISTED = 1024
"""How many k a block has at most where their places are listed: the list lies on the stack."""
APART_BYTES = 2048
"""Bytes from one k to the next, from which on rows are copied together first."""
TRANSPOSED, GATHERED, APART = 0.6, 2.0, 1.5
"""What an element costs: packed from rows, packed from anywhere, read apart in the epilogue."""


class Blocks(NamedTuple):
    """How many columns and k are gone through before others."""

    columns: int
    inner: int


class Product(NamedTuple):
    """The parts of a nest that is a matrix product; see the module's head."""

    dot: Expr
    rows: Axis
    columns: Axis
    inner: Axis
    batch: tuple[Axis, ...]
    row: Expr
    column: Expr
    panel: int | None = None  # lanes of the panels that the column operand was packed in
    blocks: Blocks = Blocks(1 << 62, 1 << 62)
    gathered: bool = False  # rows lie so far apart along k that some are copied together first
    listed: bool = False  # the row operand lies in no even steps: where is written into tables
    partial: Buffer | None = None  # sums of the k so far, where they come in blocks


def turned(p: Product) -> Product:
    """The same product with rows and columns exchanged."""
    return p._replace(rows=p.columns, columns=p.rows, row=p.column, column=p.row)


def find(nest: Nest) -> Product | None:
    """The product that a nest computes, if it is one of two matrices and large enough."""
    dots = {id(e): e for w in nest.writes for e in walk(w.value) if e.op == "dot"}
    if len(dots) != 1 or nest.in_order or any(a.extent == 0 for a in nest.axes):
        return None
    (dot,) = dots.values()
    _, axes = dot.at
    (body,) = dot.args
    if len(axes) != 1 or body.op != "mul" or body.dtype.kind != "f":
        return None
    a, b = body.args
    (inner,) = axes
    here = 0
    for axis in nest.axes:
        here |= axis.bit
    if dot.free & ~here or not a.free & inner.bit or not b.free & inner.bit:
        return None
    rows = [x for x in nest.axes if a.free & ~b.free & x.bit]
    columns = [x for x in nest.axes if b.free & ~a.free & x.bit]
    batch = [x for x in nest.axes if a.free & b.free & x.bit]
    if len(rows) != 1 or len(columns) != 1 or 2 + len(batch) != len(nest.axes):
        return None
    if inner.extent < 4 or rows[0].extent * columns[0].extent * inner.extent < LEAST:
        return None
    return Product(dot, rows[0], columns[0], inner, tuple(batch), a, b)


def apart(flat: Index, p: Product) -> tuple[Index, Index] | None:
    """The place of the row operand as (what depends on the row, what depends on k), if it is such
    a sum: that of an image's windows is, once the border is part of the image."""
    split = flat.split(p.inner)
    return split if split and split[0].split(p.rows) else None


def loads_of(nest: Nest) -> list[Expr]:
    """All that a nest reads from memory, each once."""
    seen: set[int] = set()
    return [e for w in nest.writes for e in walk(w.value, seen) if e.op == "load"]


class Arranging:
    """Orients the products of a program, lays out temporaries, and adds nests that pack."""

    def __init__(self, program: Program, lanes: int) -> None:
        self.program = program
        self.lanes = lanes  # of float32
        self.settled = {b.name for b in (*program.inputs, *program.outputs)}
        self.nests: list[Nest] = []
        self.products = [find(nest) for nest in program.nests]
        self.wanted: dict[Buffer, list[tuple[Product, Expr]]] = defaultdict(list)  # operands
        for p in filter(None, self.products):
            for e in (p.row, p.column):
                if e.op == "load":
                    self.wanted[e.at[0]].append((p, e))

    def run(self) -> None:
        """All nests in order: each finds the layouts that those before it have chosen."""
        for nest, product in zip(self.program.nests, self.products, strict=True):
            if product is None:
                self.follow(nest)
                if not nest.in_order:
                    self.split(nest)
                    self.turn_loads(nest)
                    join(self.program.make, nest)
                self.nests.append(nest)
                continue
            best = min((product, turned(product)), key=lambda p: self.cost(nest, p))
            self.lay_out(nest, (*best.batch, best.rows, best.columns))
            nest.axes = (*best.batch, best.rows, best.columns)
            self.turn_operands(nest, best)
            nest.product = self.blocked(nest, self.rewritten(nest, self.operands(best)))
            self.nests.append(nest)
        self.program.nests = self.nests

    # ------------------------------------------------------------ layouts

    def lay_out(self, nest: Nest, axes: tuple[Axis, ...]) -> None:
        """Temporaries that a nest makes lie as it runs: the last axis innermost.

        What is made part by part lies in rows where no axis asks for anything else.
        """
        for w in nest.writes:
            if w.buffer.name in self.settled:
                continue
            self.settled.add(w.buffer.name)
            still = [d for d, i in enumerate(w.place) if not i.terms]
            order = [d for axis in axes for d, i in enumerate(w.place) if axis in i.terms]
            rows = tuple(range(len(w.place)))
            best = (*still, *order) if order != sorted(order) else rows
            for chosen in (best, rows, best):  # rows, if products ask for them
                w.buffer.lay(chosen)
                if self.in_steps(w.buffer):
                    break

    def in_steps(self, buffer: Buffer) -> bool:
        """Whether products read a buffer, and each can go through it in even steps as it lies."""
        return all(
            buffer.place(e.at[1]).coefficient(a) is not None
            for p, e in self.wanted.get(buffer, ())
            for a in (*p.batch, p.rows, p.columns, p.inner)
        )

    def follow(self, nest: Nest) -> None:
        """Other nests write as they read: in the order of their largest operand."""
        loads = loads_of(nest)
        full = 0
        for a in nest.axes:
            full |= a.bit
        wide = [e for e in loads if not full & ~e.free and e.at[0].name in self.settled]
        if nest.in_order:  # no axis says where it writes: rows, as buffers lie at first
            self.settled.update(w.buffer.name for w in nest.writes)
            return
        if not wide:
            self.lay_out(nest, nest.axes)
            return
        buffer, index = max(wide, key=lambda e: e.at[0].size).at
        flat = buffer.place(index)
        steps = {a: flat.coefficient(a) or 0 for a in nest.axes}
        self.lay_out(nest, tuple(sorted(nest.axes, key=lambda a: -steps[a])))

    def split(self, nest: Nest) -> None:
        """Splits what is divided, but for axes that become vectors: those of neighbours."""
        flats = [w.buffer.place(w.place) for w in nest.writes]
        split(self.program.make, nest, lambda a: any(f.coefficient(a) == 1 for f in flats))

    def turn_loads(self, nest: Nest) -> None:
        """Copies what a nest reads column by column where it writes rows: squares are turned in
        registers, which is faster than to gather what fills a vector."""
        flats = [w.buffer.place(w.place) for w in nest.writes]
        inner = [a for a in nest.axes if all(f.coefficient(a) == 1 for f in flats)]
        here = sum(a.bit for a in nest.axes)
        known: dict[int, Expr] = {}
        for e in loads_of(nest) if inner else ():
            if e.args or e.free & ~here or any(w.value is e for w in nest.writes):
                continue
            flat = e.at[0].place(e.at[1])
            axes = [*(a for a in nest.axes if e.free & a.bit and a is not inner[0]), inner[0]]
            *steps, last = (flat.coefficient(a) for a in axes)
            large = math.prod(a.extent for a in axes) >= LEAST
            if large and last not in (0, 1) and 1 in steps and None not in (*steps, last):
                known[id(e)] = self.copied(e, tuple(axes))
        if known:
            make = self.program.make
            nest.writes = [w._replace(value=substitute(make, w.value, known)) for w in nest.writes]

    # ------------------------------------------------------------ orientation

    def cost(self, nest: Nest, p: Product) -> float:
        """What packing and reading apart cost, in elements, and lanes that stay empty."""
        cost = self.packing(p) * p.inner.extent * p.columns.extent
        n = p.rows.extent * p.columns.extent
        for w in nest.writes:
            places = [(w.buffer, w.place)]
            places += [e.at for e in walk(w.value) if e.op == "load" and e is not p.row
                       and e is not p.column]  # fmt: skip
            for buffer, place in places:
                if buffer.name not in self.settled:
                    continue
                if buffer.place(place).coefficient(p.columns) not in (0, 1):
                    cost += APART * n
        batch = 1
        for a in p.batch:
            batch *= a.extent
        empty = -(-p.columns.extent // self.lanes) * self.lanes / p.columns.extent - 1
        return batch * (cost + empty * n * p.inner.extent / (2 * self.lanes))

    def packing(self, p: Product) -> float:
        """What an element of the column operand costs before the product can read it."""
        e = p.column
        if e.op != "load" or e.args:
            return GATHERED
        flat = e.at[0].place(e.at[1])
        if flat.coefficient(p.columns) == 1:
            return 0.0 if self.lies_right(p) else 0.2
        return TRANSPOSED if flat.coefficient(p.inner) == 1 else GATHERED

    def lies_right(self, p: Product) -> bool:
        """Whether the column operand can be read where it is."""
        e = p.column
        if e.op != "load" or e.args:
            return False
        buffer, index = e.at
        flat = buffer.place(index)
        step = flat.coefficient(p.inner)
        if flat.coefficient(p.columns) != 1 or step is None:
            return False
        lanes = self.lanes * 4 // buffer.dtype.itemsize
        ragged = p.columns.extent % lanes and buffer.kind != "temp"  # would read past the end
        far = step * buffer.dtype.itemsize >= FAR and p.rows.extent >= 32
        return not ragged and not far

    # ------------------------------------------------------------ packing

    def operands(self, p: Product) -> Product:
        """The product with both operands where it can read them."""
        row, column = p.row, p.column
        flat = row.at[0].place(row.at[1]) if row.op == "load" and not row.args else None
        if flat is None or apart(flat, p) is None:
            row = self.pack(p, row, p.rows, p.inner)
        elif flat.coefficient(p.rows) is None or flat.coefficient(p.inner) is None:
            p = p._replace(listed=True)
        if self.lies_right(p):
            return p._replace(row=row, column=column)
        width = PANEL * self.lanes * 4 // column.dtype.itemsize
        if p.columns.extent <= width:
            return p._replace(row=row, column=self.pack(p, column, p.inner, p.columns))
        return p._replace(row=row, column=self.panels(p, width), panel=width)

    def pack(self, p: Product, e: Expr, outer: Axis, inner: Axis) -> Expr:
        """A copy of an operand in memory, with `inner` innermost."""
        return self.copied(e, (*[a for a in p.batch if e.free & a.bit], outer, inner))

    def copied(self, e: Expr, axes: tuple[Axis, ...]) -> Expr:
        """A copy of a value that lies as its axes stand."""
        buffer = self.temporary(tuple(a.extent for a in axes), e)
        place = tuple(ix.along(a) for a in axes)
        self.nests.append(Nest(buffer.name, axes, [Write(buffer, place, e)]))
        return self.program.make.load(buffer, place)

    def turn_operands(self, nest: Nest, p: Product) -> None:
        """Copies what the writes would read column by column, so that they read it in rows."""
        here = 0
        for a in nest.axes:
            here |= a.bit
        known: dict[int, Expr] = {}
        for e in {id(e): e for w in nest.writes for e in walk(w.value)}.values():
            if e.op != "load" or e.args or e.free & ~here:
                continue
            flat = e.at[0].place(e.at[1])
            if flat.coefficient(p.rows) == 1 and flat.coefficient(p.columns) not in (0, None):
                known[id(e)] = self.pack(p, e, p.rows, p.columns)
        if known:
            nest.writes = [
                w._replace(value=substitute(self.program.make, w.value, known)) for w in nest.writes
            ]

    def panels(self, p: Product, width: int) -> Expr:
        """A copy of the column operand cut into panels of some columns each."""
        make, e = self.program.make, p.column
        if e.op == "load" and not e.args and not any(i.reads(p.columns) for i in e.at[1]):
            return self.cut(p, e, width)
        batch = tuple(a for a in p.batch if e.free & a.bit)
        count = -(-p.columns.extent // width)
        shape = (*(a.extent for a in batch), count, p.inner.extent, width)
        buffer = self.temporary(shape, e)
        column = ix.along(p.columns)
        place = (*map(ix.along, batch), column // width, ix.along(p.inner), column % width)
        axes = (*batch, p.inner, p.columns)
        self.nests.append(Nest(buffer.name, axes, [Write(buffer, place, e)]))
        return make.load(buffer, place)

    def cut(self, p: Product, e: Expr, width: int) -> Expr:
        """Panels of what lies in memory: every panel is a copy by itself."""
        make = self.program.make
        source, index = e.at
        batch = [a for a in p.batch if e.free & a.bit]
        count, rest = divmod(p.columns.extent, width)
        shape = (*(a.extent for a in batch), count + bool(rest), p.inner.extent, width)
        buffer = self.temporary(shape, e)
        for first, panels, columns in ((0, count, width), (count, 1, rest)):
            if not panels or not columns:
                continue
            panel, column = make.axis("c", panels), make.axis("v", columns)
            at = ix.along(panel) + first
            place = (*map(ix.along, batch), at, ix.along(p.inner), ix.along(column))
            whole = at * width + ix.along(column)
            read = make.load(source, tuple(i.replaced(p.columns, whole) for i in index))
            axes = tuple(a for a in (*batch, panel, p.inner, column) if a.extent != 1)
            self.nests.append(Nest(buffer.name, axes, [Write(buffer, place, read)]))
        column_index = ix.along(p.columns)
        place = (*map(ix.along, batch), column_index // width, ix.along(p.inner),
                 column_index % width)  # fmt: skip
        return make.load(buffer, place)

    def rewritten(self, nest: Nest, p: Product) -> Product:
        """The product that reads the copies, and the nest's writes with it."""
        make = self.program.make
        dot = make.combine("dot", (p.inner,), make.mul(p.row, p.column))
        known = {id(p.dot): dot}
        nest.writes = [w._replace(value=substitute(make, w.value, known)) for w in nest.writes]
        return p._replace(dot=dot)

    def blocked(self, nest: Nest, p: Product) -> Product:
        """The product with blocks of which the column operand fits into the second cache."""
        size = p.dot.dtype.itemsize
        width = PANEL * self.lanes * 4 // size
        columns, inner = p.columns.extent, p.inner.extent
        buffer, index = p.row.at
        flat = buffer.place(index)
        step = flat.coefficient(p.inner) or 0
        gathered = flat.coefficient(p.rows) == 1 and step * size >= APART_BYTES
        gathered = gathered and columns >= 2 * width and p.rows.extent >= 2 * width
        if gathered:
            inner = min(inner, INNER)  # the gathered rows must fit into the cache, and on the stack
        if columns * inner * size > BLOCK:
            if columns <= 2 * INNER:
                inner = max(INNER // 2, BLOCK // (columns * size) // 64 * 64)
            else:
                inner = min(inner, INNER)
                columns = max(width, BLOCK // (inner * size) // width * width)
        if p.listed:
            inner = min(inner, LISTED)
        p = p._replace(blocks=Blocks(columns, inner), gathered=gathered)
        if inner >= p.inner.extent:
            return p
        shape = (p.rows.extent, -(-min(columns, p.columns.extent) // width) * width)
        partial = self.temporary(shape, p.dot)
        nest.scratch.append(partial)
        return p._replace(partial=partial)

    def temporary(self, shape: tuple[int, ...], e: Expr) -> Buffer:
        """New memory for a copy."""
        buffer = Buffer(f"%p{len(self.program.temps)}", shape, e.dtype, "temp")
        self.program.temps.append(buffer)
        self.settled.add(buffer.name)
        return buffer


def arrange(program: Program, lanes: int) -> Program:
    """Makes every product of a program ready to be computed in tiles."""
    Arranging(program, lanes).run()
    return program
