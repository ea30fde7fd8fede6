"""Which axis of a nest becomes the lanes of vectors: the one along which memory is read in rows."""

from __future__ import annotations

import math

from ..loops.expr import Expr, walk
from ..loops.index import Axis, Index
from ..loops.program import Nest, Write
from .target import Target

ROW, SAME, APART, ANYWHERE = 1.0, 0.3, 6.0, 10.0
"""What it costs to load a vector: neighbours, one place for all, places evenly apart, any."""
ACROSS = 24.0
"""What it costs to combine the lanes of one vector."""
NEAR = 1 << 15
"""Bytes that the first cache holds."""
CHAINS = 4
"""Sums that run side by side, so that an addition need not wait for the one before."""
BRIEF, LONG = 8, 1 << 11
"""Parts of an expression that are few; how many values of a longer one are worth several sums,
since it is compiled as often."""


class Access:
    """A place in memory that a nest visits, and how often for each of its own places."""

    __slots__ = ("flat", "inside", "weight")

    def __init__(self, flat: Index, weight: float, inside: Expr | None) -> None:
        self.flat = flat
        self.weight = weight
        self.inside = inside  # the combination around it

    def cost(self, axis: Axis) -> float:
        """What a vector along an axis costs here."""
        step = self.flat.coefficient(axis)
        if step is None:
            return ANYWHERE * self.weight
        return {0: SAME, 1: ROW}.get(step, APART) * self.weight


def accesses(nest: Nest) -> tuple[list[Access], list[tuple[Expr, float]]]:
    """All loads and stores of a nest, and its combinations with how often each runs."""
    found: list[Access] = []
    combinations: list[tuple[Expr, float]] = []
    seen: set[int] = set()

    def visit(e: Expr, weight: float, inside: Expr | None) -> None:
        if id(e) in seen:
            return
        seen.add(id(e))
        if e.op == "load":
            buffer, index = e.at
            found.append(Access(buffer.place(index), weight, inside))
        if e.op in ("reduce", "dot"):
            combinations.append((e, weight))
            inside = e
            for a in e.at[1]:
                weight *= a.extent
        for below in e.args:
            visit(below, weight, inside)
        for i in e.at[1] if e.op == "load" else (e.at,) if e.op == "index" else ():
            for r in i.expressions():
                visit(r, weight, inside)

    for w in nest.writes:
        found.append(Access(w.buffer.place(w.place), 1.0, None))
        visit(w.value, 1.0, None)
        for i in w.place:
            for r in i.expressions():
                visit(r, 1.0, None)
    return found, combinations


def waste(axis: Axis, lanes: int) -> float:
    """How much of the work is on lanes that do not count."""
    return -(-axis.extent // lanes) * lanes / max(axis.extent, 1)


def lanes_of(nest: Nest, target: Target) -> int:
    """How many elements the vectors of a nest hold: as those floats are wide that are in them."""
    wide = 4
    for w in nest.writes:
        for e in walk(w.value):
            if (
                e.free
                and e.dtype.itemsize == 8
                and (e.dtype.kind == "f" or e.op in ("mul", "idiv", "irem"))
            ):
                wide = 8
    return target.lanes(wide)


def choose(nest: Nest, lanes: int) -> Axis | None:
    """The axis of the nest that becomes lanes; None where combinations use lanes of their own."""
    found, combinations = accesses(nest)
    inner = _inner_cost(found, combinations, lanes)
    best: tuple[float, Axis | None] = (inner, None)
    for axis in candidates(nest):
        cost = waste(axis, lanes) * sum(a.cost(axis) for a in found)
        if cost < best[0]:
            best = cost, axis
    return best[1]


def abreast(nest: Nest, axis: Axis | None, lanes: int, target: Target) -> int:
    """How many vectors a nest takes side by side: several where each sums a column of memory.

    One vector at a time would go through all of the memory for each, a line in every row; which
    does not matter where all of it is near.  The order in which a column is added stays the same.
    """
    found, combinations = accesses(nest)
    if axis is None or nest.in_order or not combinations:
        return 1
    if any(not e.free & axis.bit for e, _ in combinations):
        return 1
    if any(a.flat.coefficient(axis) not in (0, 1) for a in found):
        return 1
    rows = max(math.prod(a.extent for a in e.at[1]) for e, _ in combinations)
    if 4 * rows * axis.extent <= NEAR:
        return 1
    count = target.registers // 8
    while axis.extent % (count * lanes):
        count //= 2
        if count <= 1:
            return 1
    return count


def chains(e: Expr, axis: Axis, least: int) -> int:
    """How many sums a combination has along an axis, if that is as long as `least` for each."""
    if axis.extent < least * CHAINS:
        return 1
    brief = sum(1 for _ in walk(e.args[0])) <= BRIEF
    return CHAINS if brief or axis.extent >= LONG else 1


def _inner_cost(found: list[Access], combinations: list[tuple[Expr, float]], lanes: int) -> float:
    """The cost of one place where every combination runs along an axis of its own."""
    total = sum(lanes * ROW * a.weight for a in found if a.inside is None)
    for e, weight in combinations:
        inside = [a for a in found if a.inside is e]
        axis = inner_axis(e, inside, lanes)
        if axis is None:
            total += sum(lanes * a.weight for a in inside)
        else:
            total += waste(axis, lanes) * sum(a.cost(axis) for a in inside) + ACROSS * weight
    return total if total else float("inf")


def inner_axis(e: Expr, inside: list[Access], lanes: int) -> Axis | None:
    """The best of a combination's own axes; None for a sum of blocks, each of which has its own."""
    if e.args[0].op == "reduce":
        return None
    best: tuple[float, Axis | None] = (float("inf"), None)
    for axis in e.at[1]:
        cost = waste(axis, lanes) * sum(a.cost(axis) for a in inside)
        if cost < best[0] and axis.extent >= min(lanes, 4):
            best = cost, axis
    return best[1]


def candidates(nest: Nest) -> list[Axis]:
    """The axes whose places do not depend on one another."""
    if not nest.in_order:
        return list(nest.axes)
    return [a for a in nest.axes if all(_apart(w, a) for w in nest.writes)]


def _apart(w: Write, axis: Axis) -> bool:
    """Whether each place along an axis reads and writes a part of memory of its own."""
    plain = [d for d, i in enumerate(w.place) if i.terms == {axis: 1} and not i.const]
    others = [i for d, i in enumerate(w.place) if d not in plain]
    if len(plain) != 1 or any(i.free & axis.bit for i in others):
        return False
    for e in walk(w.value):
        if e.op == "load" and e.at[0] is w.buffer and e.at[1][plain[0]] != w.place[plain[0]]:
            return False
    return True
