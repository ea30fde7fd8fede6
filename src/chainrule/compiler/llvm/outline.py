"""What is done to each tile of a product, as a function of its own.

All tiles of a nest call it, whole ones and what is left at an edge, and so do other nests that do
the same to theirs: the weights of all layers have one optimizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..loops.expr import Expr, walk
from ..loops.products import Product
from ..loops.program import Nest
from .nest import Nests
from .text import SCALARS, Function, V, whole
from .values import first_lanes

if TYPE_CHECKING:
    from .product import Products

TILE = "ptr %c, i64 %step, i64 %r, i64 %rows, i64 %v, i64 %columns"
"""Where a tile lies and how far its rows are apart; its first row, first column, and size."""


class Outlined(NamedTuple):
    """A function, and what it is given besides the tile and the batch axes.

    known: values that are the same for all tiles of a nest.
    """

    name: str
    known: list[Expr]
    buffers: list[str]
    numbers: dict[Any, int]


def outline(caller: Products, nest: Nest, p: Product) -> Outlined:
    """The function of a nest's writes; one that is there already where it does the same."""
    module = caller.f.module
    values = [w.value for w in nest.writes]
    inner = p.rows.bit | p.columns.bit | p.inner.bit
    places = [e for w in nest.writes for i in w.place for e in i.expressions()]
    known = list(caller.settled([*values, *places], inner, p.dot))
    seen = {id(p.dot), *(id(e) for e in known)}
    read = [e.at[0].name for x in (*values, *places) for e in walk(x, seen) if e.op == "load"]
    buffers = list(dict.fromkeys([w.buffer.name for w in nest.writes] + read))

    params = [TILE, *(f"i64 %x{n}" for n in range(len(p.batch)))]
    params += [f"{caller.value(e).type} %h{n}" for n, e in enumerate(known)]
    params += [f"ptr %b{n}" for n in range(len(buffers))]
    f = Function(module, f"{caller.f.name}.tile", ", ".join(params), "#0 ")
    writer = Nests(f, caller.source, caller.target)
    writer.width, writer.inside = caller.width, {}
    writer.pointers = {name: V(f"%b{n}", "ptr") for n, name in enumerate(buffers)}
    for n, axis in enumerate(p.batch):
        writer.enter(axis, V(f"%x{n}", "i64"))
    for n, e in enumerate(known):
        writer.keep(id(e), V(f"%h{n}", caller.value(e).scalar))
    _write_tile(writer, nest, p)
    return Outlined(module.once(f, caller.f), known, buffers, dict(f.given))


def _write_tile(writer: Nests, nest: Nest, p: Product) -> None:
    """Row by row and vector by vector."""
    f = writer.f
    scalar = SCALARS[p.dot.dtype]
    values = [w.value for w in nest.writes]
    full = V("%columns", "i64")
    if p.columns.extent % writer.width:
        full = f.binary("and", full, whole(-writer.width))

    def row(i: V, _: list[V]) -> list[V]:
        writer.enter(p.rows, f.binary("add", V("%r", "i64"), i))
        writer.hoist(values, p.columns.bit | p.inner.bit, p.dot)
        line = f.shifted(V("%c", "ptr"), f.binary("mul", i, V("%step", "i64")), scalar)
        _write_row(writer, nest, p, line, full)
        writer.leave(p.rows)
        return []

    f.loop(whole(0), V("%rows", "i64"), 1, [], row)


def _write_row(writer: Nests, nest: Nest, p: Product, line: V, full: V) -> None:
    """A row of a tile, whose sums begin at `line`; whole vectors hold the first `full` of them."""
    f, lanes = writer.f, writer.width
    scalar = SCALARS[p.dot.dtype]
    columns = V("%columns", "i64")
    ragged = p.columns.extent % lanes

    def piece(j: V) -> list[V]:
        at = f.shifted(line, j, scalar)
        total = f.emit(f"load <{lanes} x {scalar}>, {at}, align 4", scalar, lanes)

        def body(_: list[V]) -> list[V]:
            writer.keep(id(p.dot), total)
            return writer.writes(nest)

        return writer.at_lanes(p.columns, f.binary("add", V("%v", "i64"), j), [], body)

    def rest(j: V) -> list[V]:
        writer.mask = first_lanes(f, f.binary("sub", columns, j), lanes)
        piece(j)
        writer.mask = None
        return []

    if writer.masks_all(p.columns.extent):
        f.loop(whole(0), columns, lanes, [], lambda j, _: rest(j))
        return
    if p.columns.extent >= lanes:
        f.loop(whole(0), full, lanes, [], lambda j, _: piece(j), not ragged)
    if ragged:
        some = f.emit(f"icmp slt i64 {full.ref}, {columns.ref}", "i1")
        f.when(some, lambda: rest(full))
