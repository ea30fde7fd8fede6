"""Copies that turn rows into columns: in squares of vectors, transposed in registers.

One function serves all copies of a module, since its sizes and steps are arguments.  It is what
packing the operand of a matrix product comes down to.
"""

from __future__ import annotations

from typing import NamedTuple

from ...dtypes import DType
from ..loops.expr import Buffer
from ..loops.index import Axis, Index
from ..loops.program import Nest
from .target import Target
from .text import SCALARS, Function, Module, V, whole

LEAST = 8
"""Rows or columns below which an ordinary loop does as well."""
SQUARE = 8
"""Rows of a square at most: turning 16 takes three times the instructions to compile."""


class Turn(NamedTuple):
    """target[u * across + v] = source[v * along + u], apart from where both begin."""

    source: Buffer
    source_flat: Index
    target: Buffer
    target_flat: Index
    u: Axis
    v: Axis


def find(nest: Nest) -> Turn | None:
    """The turned copy that a nest is, if it is one."""
    if len(nest.writes) != 1 or nest.in_order:
        return None
    (w,) = nest.writes
    if w.value.op != "load" or w.value.args or w.value.dtype.itemsize not in (4, 8):
        return None
    source, index = w.value.at
    a, b = source.place(index), w.buffer.place(w.place)
    if source is w.buffer or any(i.coefficient(x) is None for i in (a, b) for x in nest.axes):
        return None
    us = [x for x in nest.axes if a.coefficient(x) == 1]
    vs = [x for x in nest.axes if b.coefficient(x) == 1]
    if len(us) != 1 or len(vs) != 1 or us[0] is vs[0]:
        return None
    if min(us[0].extent, vs[0].extent) < LEAST:
        return None
    return Turn(source, a, w.buffer, b, us[0], vs[0])


def turner(module: Module, target: Target, dtype: DType) -> str:
    """The function turn(source, along, target, across, first u, end of u, number of v)."""
    scalar, itemsize = SCALARS[dtype], dtype.itemsize
    name = f"turn_{dtype.name}"
    lanes = min(target.lanes(itemsize), SQUARE)
    f = module.kernel(
        name, "ptr noalias %a, i64 %along, ptr noalias %b, i64 %across, i64 %from, i64 %to, i64 %n"
    )
    if f is None:
        return name
    f.cold = True  # all registers are there for one square: it is as fast as compiled with care
    along, across = V("%along", "i64"), V("%across", "i64")
    first, end, n = V("%from", "i64"), V("%to", "i64"), V("%n", "i64")
    span = f.binary("sub", end, first)
    u_full = f.binary("add", first, f.binary("and", span, whole(-lanes)))
    v_full = f.binary("and", n, whole(-lanes))

    def at(base: str, i: V, step: V, j: V) -> V:
        place = f.binary("add", f.binary("mul", i, step), j)
        return f.shifted(V(base, "ptr"), place, scalar)

    def square(u: V, v: V) -> list[V]:
        rows = []
        for j in range(lanes):
            p = at("%a", f.binary("add", v, whole(j)), along, u)
            rows.append(f.emit(f"load <{lanes} x {scalar}>, {p}, align {itemsize}", scalar, lanes))
        distance = 1
        while distance < lanes:
            for i in range(lanes):
                if not i & distance:
                    x, y = rows[i], rows[i + distance]
                    rows[i], rows[i + distance] = _swap(f, x, y, distance, lanes)
            distance *= 2
        for i in range(lanes):
            p = at("%b", f.binary("add", u, whole(i)), across, v)
            f.do(f"store {rows[i]}, {p}, align {itemsize}")
        return []

    def single(u: V, v: V) -> list[V]:
        x = f.emit(f"load {scalar}, {at('%a', v, along, u)}, align {itemsize}", scalar)
        f.do(f"store {x}, {at('%b', u, across, v)}, align {itemsize}")
        return []

    def stripe(v: V, _: list[V]) -> list[V]:
        f.loop(first, u_full, lanes, [], lambda u, _: square(u, v), first_is_sure=False)
        return []

    def corner(v: V, start: V) -> list[V]:
        f.loop(start, end, 1, [], lambda u, _: single(u, v), first_is_sure=False)
        return []

    f.loop(whole(0), v_full, lanes, [], stripe, first_is_sure=False)
    f.loop(whole(0), v_full, 1, [], lambda v, _: corner(v, u_full), first_is_sure=False)
    f.loop(v_full, n, 1, [], lambda v, _: corner(v, first), first_is_sure=False)
    return name


def _swap(f: Function, x: V, y: V, distance: int, lanes: int) -> tuple[V, V]:
    """Exchanges the squares of `distance` that lie off the diagonal of two rows."""
    low = [n if not n & distance else lanes + n - distance for n in range(lanes)]
    high = [n + distance if not n & distance else lanes + n for n in range(lanes)]
    found = []
    for places in (low, high):
        listed = ", ".join(f"i32 {p}" for p in places)
        text = f"shufflevector {x}, {y}, <{lanes} x i32> <{listed}>"
        found.append(f.emit(text, x.scalar, lanes))
    return found[0], found[1]
