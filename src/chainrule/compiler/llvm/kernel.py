"""The functions that all matrix products of a module share: microkernels, and gathering rows.

A microkernel computes a tile: some rows by a few vectors of columns, held in registers while k
runs.
"""

from __future__ import annotations

from ...dtypes import DType
from .target import Target
from .text import SCALARS, Function, Module, V, whole

SUMS = 10
"""Vectors of sums below which the processor waits for additions."""


def tile_shape(target: Target, vectors: int, rows: int, in_slabs: bool) -> tuple[int, int]:
    """(rows, vectors) of the tiles of a product: as many sums as registers hold.

    Few vectors leave room for more rows: up to ten, whose addresses registers hold as well.  A few
    rows less take as long, and where they leave none over, one microkernel is compiled, not two.
    """
    most = 4 if target.registers >= 32 else 2
    vectors = min(vectors, most)
    limit = min(10, 6 * most // vectors)
    fitting = [n for n in range(limit, limit // 2, -1) if not rows % n and n * vectors >= SUMS]
    if in_slabs:
        fitting = [n for n in fitting if SLAB % n == 0]
    return (fitting or [limit])[0], vectors


def kernel(
    module: Module, target: Target, dtype: DType, rows: int, vectors: int, listed: bool = False
) -> str:
    """The microkernel for a tile, made once a module; gives its name.

    kernel(a, row step, k step, b, k step, c, row step, K, onto, ahead, last):
    c = sum over k of a[r, k] b[k, v], added to what c holds where `onto`.  Steps are in elements;
    only b's and c's columns must be neighbours.  Where `listed`, a is a table of the addresses of
    rows, and a table of how far each k lies behind them takes the place of a's steps.  In turn k it
    fetches the line at the address ahead[k], and from k = last on the one at ahead[last].
    """
    scalar = SCALARS[dtype]
    lanes = target.lanes(dtype.itemsize)
    name = f"tile_{dtype.name}_{rows}x{vectors}x{lanes}{'_listed' if listed else ''}"
    f = module.kernel(
        name,
        f"ptr noalias %a, {'ptr noalias %ks' if listed else 'i64 %ar, i64 %ak'}, "
        "ptr noalias %b, i64 %bk, ptr noalias %c, i64 %cr, i64 %K, i1 %onto, "
        "ptr noalias %ahead, i64 %last",
    )
    if f is None:
        return name
    zero = V("zeroinitializer", scalar, lanes)
    size = dtype.itemsize
    starts = [V("%a", "ptr")]
    lines = [V("%c", "ptr")]
    for _ in range(1, rows):
        if not listed:
            starts.append(f.shifted(starts[-1], V("%ar", "i64"), scalar))
        lines.append(f.shifted(lines[-1], V("%cr", "i64"), scalar))
    if listed:
        starts = [_entry(f, "%a", whole(r), "ptr") for r in range(rows)]

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
        place = _entry(f, "%ks", i, "i64") if listed else f.binary("mul", i, V("%ak", "i64"))
        _fetch(f, _entry(f, "%ahead", f.least(i, V("%last", "i64")), "ptr"))
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


def _entry(f: Function, table: str, i: V, scalar: str) -> V:
    """An entry of a table of addresses or whole numbers."""
    return f.emit(f"load {scalar}, {f.shifted(V(table, 'ptr'), i, scalar)}, align 8", scalar)


def _fetch(f: Function, address: V) -> None:
    """Asks for the line at an address; nothing waits for it."""
    kind, near, data = (V(n, "i32") for n in "031")
    f.call_void("llvm.prefetch.p0", [address, kind, near, data])


def _onto(f: Function, target: Target, x: V, y: V, total: V) -> V:
    """x y + total."""
    if not target.fma:
        return f.binary("fadd", f.binary("fmul", x, y), total)
    name = f"llvm.fma.v{x.lanes}{'f32' if x.scalar == 'float' else 'f64'}"
    return f.call(name, [x, y, total], x.scalar, x.lanes)


def gatherer(module: Module, target: Target, dtype: DType) -> str:
    """The function gather(source, step, target, width, K): rows of some elements, laid together."""
    scalar = SCALARS[dtype]
    lanes = target.lanes(dtype.itemsize)
    name = f"gather_{dtype.name}"
    f = module.kernel(name, "ptr noalias %a, i64 %step, ptr noalias %b, i64 %width, i64 %K")
    if f is None:
        return name
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
