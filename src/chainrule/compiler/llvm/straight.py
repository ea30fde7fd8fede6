"""Tiny programs as one straight line: no loops, and temporaries in registers.

A network of a few neurons computes less than it takes to go around loops and to put values into
memory and fetch them again.  So every place of every nest is written out; what a nest makes, the
next one has at hand; memory is read once, at first, and written once, at the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from ..loops.expr import COSTS, START, Buffer, Expr, walk
from ..loops.index import Axis, Index, Part
from ..loops.program import Nest, Program, Write
from .lanes import CHAINS
from .nest import Nests
from .text import V, const, whole
from .values import memory_type

MOST = 1000
"""Scalar operations up to which a program is one straight line."""


def is_tiny(program: Program) -> bool:
    """Whether a program is small enough, and always reads and writes the same places."""
    total = 0
    for nest in program.nests:
        seen: set[int] = set()
        for w in nest.writes:
            if w.value.cost > MOST * MOST:  # without looking into it
                return False
            for e in walk(w.value, seen):
                total += COSTS.get(e.op, 1) * places(program, e)
                if total > MOST or (e.op == "load" and e.args):
                    return False
            if any(True for i in _indices(w) for _ in i.expressions()):
                return False
    return True


def places(program: Program, e: Expr) -> int:
    """For how many values of the axes an expression is computed."""
    count = 1
    free, number = e.free, 0
    while free:
        if free & 1:
            count *= program.make.axes[number].extent
        free, number = free >> 1, number + 1
    return count


def _indices(w: Write) -> Iterator[Index]:
    """All indices of a write and of what it reads."""
    yield from w.place
    for e in walk(w.value):
        if e.op == "load":
            yield from e.at[1]
        elif e.op == "index":
            yield e.at


class Straight(Nests):
    """Writes the nests of a tiny program one after the other; every axis stands at a number."""

    def program(self, program: Program) -> None:
        """All of it."""
        self.here: dict[Axis, int] = {}
        self.values: dict[
            tuple[int, tuple[tuple[Axis, int], ...]], V
        ] = {}  # since memory was last written
        self.memory: dict[tuple[Buffer, int], V] = {}  # what is known of it
        changed: dict[tuple[Buffer, int], V] = {}
        for nest in program.nests:
            changed |= self.straight(nest)
        for (buffer, place), v in changed.items():
            if buffer.kind != "temp":
                self.put(buffer, place, v)

    def straight(self, nest: Nest) -> dict[tuple[Buffer, int], V]:
        """What a nest writes, place by place."""
        found: dict[tuple[Buffer, int], V] = {}
        for numbers in itertools.product(*(range(a.extent) for a in nest.axes)):
            self.here = dict(zip(nest.axes, numbers, strict=True))
            for w in nest.writes:
                place = w.buffer, self.number(w.buffer.place(w.place))
                v = self.value(w.value)
                if w.adds:
                    v = self.together("sum", self.at(*place), v, w.buffer.dtype)
                found[place] = v
                if nest.in_order:  # the next place may read it
                    self.memory[place] = v
                    self.values.clear()
        self.memory |= found
        self.values.clear()
        return found

    # ------------------------------------------------------------ values

    def value(self, e: Expr) -> V:
        """The value of an expression where the axes stand."""
        if e.op == "const":
            return const(e.at, e.dtype)
        key = id(e), tuple([(a, n) for a, n in self.here.items() if a.bit & e.free])
        if key not in self.values:
            self.values[key] = self.compute(e)
        return self.values[key]

    def load(self, e: Expr) -> V:
        """An element of memory."""
        buffer, index = e.at
        return self.at(buffer, self.number(buffer.place(index)))

    def index(self, i: Index) -> V:
        """An index as a value."""
        return whole(self.number(i))

    def combine(self, e: Expr) -> V:
        """Many values as one: some chains, since each addition waits for the one before."""
        kind, axes = e.at
        outer = self.here
        chains: list[V] = []
        for n, numbers in enumerate(itertools.product(*(range(a.extent) for a in axes))):
            self.here = outer | dict(zip(axes, numbers, strict=True))
            if n < CHAINS:
                chains.append(self.value(e.args[0]))
            else:
                chains[n % CHAINS] = self.step(e, chains[n % CHAINS])
        self.here = outer
        return self.tree(e, chains) if chains else const(START[kind](e.dtype), e.dtype)

    # ------------------------------------------------------------ places

    def number(self, i: Index) -> int:
        """An index as the number that it is."""
        total = i.const
        for atom, c in i.terms.items():
            if isinstance(atom, Part):
                inner = self.number(atom.index)
                total += c * (inner // atom.by if atom.sign == "//" else inner % atom.by)
            else:
                assert isinstance(atom, Axis)
                total += c * self.here[atom]
        return total

    def at(self, buffer: Buffer, place: int) -> V:
        """What lies at a place of memory: read at most once."""
        if (buffer, place) not in self.memory:
            v = self.read(self.address(buffer, place), buffer.dtype)
            self.memory[buffer, place] = self.truth(v, buffer.dtype)
        return self.memory[buffer, place]

    def put(self, buffer: Buffer, place: int, v: V) -> None:
        """Writes a place of memory."""
        at = self.address(buffer, place)
        self.f.do(f"store {self.stored(v, buffer.dtype)}, {at}, align {buffer.dtype.itemsize}")

    def address(self, buffer: Buffer, place: int) -> V:
        """Where an element lies."""
        base = self.pointers[buffer.name]
        return self.f.shifted(base, whole(place), memory_type(buffer.dtype))
