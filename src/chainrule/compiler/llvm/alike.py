"""Which nests are the same but for what memory they are given, and where in it they begin.

A network that is unrolled in time has hundreds of nests, and few that differ in more.  Writing
the text of one takes ten times as long as finding out that there is one already.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..loops.expr import Buffer, Expr, walk
from ..loops.index import Axis, Index, Part
from ..loops.products import Product, apart
from ..loops.program import Nest
from .text import Function

Places = dict[Index, int]
"""The places of a nest, numbered in the order in which they are come upon."""


class Known(NamedTuple):
    """A function that was written, and the numbers that a nest like its own gives it.

    numbers: each a number, or which of the nest's places has it as its constant.
    """

    name: str
    numbers: list[int | Place]
    haste: float

    def numbers_for(self, places: Iterable[Index]) -> list[int]:
        """The numbers that it is given for a nest of these places."""
        consts = [place.const for place in places]
        return [consts[n.number] if isinstance(n, Place) else n for n in self.numbers]


class Place(NamedTuple):
    """The constant of a place, by its number."""

    number: int


def remembered(f: Function, name: str, haste: float, places: Places) -> Known | None:
    """What is to be kept of a function; None where a number of it can't be traced."""
    numbers: list[int | Place] = []
    for key, n in f.given.items():
        constant = isinstance(key, tuple) and key[-1] is None and isinstance(key[0], Index)
        if not constant:
            numbers.append(n)
        elif key[0] in places:
            numbers.append(Place(places[key[0]]))
        else:
            return None
    return Known(name, numbers, haste)


def likeness(nest: Nest) -> tuple[Any, Places]:
    """(what all nests have in common that can share a function, the places of this one).

    The constants of places are left out, unless they are 0 or 1, which are written as such.
    """
    seen = _Likeness()
    return seen.nest(nest), seen.places


def begin(p: Product) -> list[Index]:
    """Where the operands of a product begin: places of their own, equal to others or not."""
    row, column = (e.at[0].place(e.at[1]) for e in (p.row, p.column))
    parts = apart(row, p) if p.listed else None
    return [*(parts or (row.without(p.inner),)), column.without(p.inner)]


class _Likeness:
    """Numbers what a nest consists of, in the order in which it is come upon."""

    def __init__(self) -> None:
        self.axes: dict[Axis, int] = {}
        self.buffers: dict[str, int] = {}
        self.exprs: dict[int, int] = {}
        self.places: Places = {}  # equal ones are computed once
        self.parts: list[Any] = []

    def nest(self, nest: Nest) -> Any:
        """All of it."""
        first = [self.axis(a) for a in nest.axes], [self.buffer(b) for b in nest.scratch]
        for w in nest.writes:
            for i in w.place:
                for e in i.expressions():
                    self.expr(e)
            value = self.expr(w.value)
            self.parts.append((self.place(w.buffer, w.place), value, w.adds))
        return repr(first), nest.in_order, self.product(nest), tuple(self.parts)

    def product(self, nest: Nest) -> Any:
        """How it is computed in tiles."""
        p = nest.product
        if p is None:
            return None
        axes = (*map(self.axis, (p.rows, p.columns, p.inner)), *map(self.axis, p.batch))
        values = tuple(self.expr(e) for e in (p.dot, p.row, p.column))
        partial = None if p.partial is None else self.buffer(p.partial)
        begins = tuple([self.index(i) for i in begin(p)])
        return axes, values, partial, begins, p.panel, p.blocks, p.gathered, p.listed

    def axis(self, a: Axis) -> int:
        """The number of an axis."""
        if a not in self.axes:
            self.axes[a] = len(self.axes)
            self.parts.append(a.extent)
        return self.axes[a]

    def buffer(self, b: Buffer) -> int:
        """The number of a buffer."""
        if b.name not in self.buffers:
            self.buffers[b.name] = len(self.buffers)
            self.parts.append((b.shape, b.dtype, b.kind, b.order))
        return self.buffers[b.name]

    def expr(self, root: Expr) -> int:
        """The number of an expression."""
        for e in walk(root):
            if id(e) not in self.exprs:
                args = tuple([self.exprs[id(a)] for a in e.args])
                part = e.op, e.dtype, args, self.at(e)
                self.exprs[id(e)] = len(self.exprs)
                self.parts.append(part)
        return self.exprs[id(root)]

    def at(self, e: Expr) -> Any:
        """What an expression holds besides its operands."""
        if e.op == "load":
            return self.place(*e.at)
        if e.op == "index":
            return self.index(e.at), e.at.const
        if e.op in ("reduce", "dot"):
            kind, axes = e.at
            return kind, tuple([self.axis(a) for a in axes])
        return repr(e.at)  # of a constant: 0.0 and -0.0 are equal, and nan is not

    def place(self, buffer: Buffer, index: tuple[Index, ...]) -> Any:
        """Where an element lies, but for a constant."""
        flat = buffer.place(index)
        const = flat.const if flat.const in (0, 1) else None
        return self.buffer(buffer), self.index(flat), const

    def index(self, i: Index) -> Any:
        """An index without its constant, and which others are equal to it."""
        terms = tuple([(self.atom(a), c) for a, c in i.terms.items()])
        return self.places.setdefault(i, len(self.places)), terms

    def atom(self, a: Any) -> Any:
        """One part of an index."""
        if isinstance(a, Axis):
            return self.axis(a)
        if isinstance(a, Part):
            return a.sign, a.by, self.index(a.index), a.index.const
        return self.exprs[id(a.expr)], a.bounds
