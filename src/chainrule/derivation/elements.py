"""Single elements of a recorded program, each as an expression of the elements it is made from.

The compiler asks an op what one element of its result is, and gives it loop variables.  Here the
same question is asked with numbers: sums are written out, and indices that are read from memory
are looked up.  So every op can be explained, and by the rule that is run.

    element y[1,0] of matmul(x, w)      x[1,0] * w[0,0] + x[1,1] * w[1,0]
    element dx[2] of its gradient       g[0] * w[2,0] + g[1] * w[2,1]
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..compiler.loops import index as ix
from ..compiler.loops.expr import START, Builder, Expr
from ..compiler.loops.index import Axis, Index, Part, Read
from ..compiler.loops.interpret import COMBINE, FUNCTIONS
from ..compiler.loops.lower import Element
from ..compiler.passes import spell
from ..dtypes import DType
from ..graph import Graph, Node
from ..ops.core import is_number, quietly


class Place(NamedTuple):
    """One number of a program: a line of it (or an input), and where in its value."""

    node: Node
    at: tuple[int, ...]

    def __str__(self) -> str:
        where = f"[{','.join(map(str, self.at))}]" if self.at else ""
        return f"{self.node.name}{where}"


class Spelled(Builder):
    """What ops build with here: indices are numbers, and what is combined is written out.

    value: what an expression without loop variables is.
    """

    def __init__(self, value: Callable[[Expr], Any]) -> None:
        super().__init__()
        self.value = value

    def reduce(
        self, kind: str, sizes: Sequence[int], body: Callable[..., Expr], name: str = "k"
    ) -> Expr:
        """All values of `body`, side by side."""
        places = itertools.product(*(range(n) for n in sizes))
        parts = tuple(body(tuple(map(ix.constant, place))) for place in places)
        if not parts:
            dtype = body(tuple(ix.constant(0) for _ in sizes)).dtype
            return self.const(START[kind](dtype), dtype)
        return self.combined(kind, parts)

    def combined(self, kind: str, parts: tuple[Expr, ...]) -> Expr:
        """Some values combined: Expr("total", parts), with the kind in `at`."""
        if len(parts) == 1:
            return parts[0]
        free = 0
        for p in parts:
            free |= p.free
        return Expr("total", parts, parts[0].dtype, free, 0, "sum" if kind == "dot" else kind)

    def leaf(self, node: Node, index: tuple[Index, ...]) -> Expr:
        """An element of a line, or of an input."""
        key = ("leaf", id(node), index, self.guards)
        if key not in self.made:
            free = 0
            for i in index:
                free |= i.free
            args = () if self.guards is None else (self.guards,)
            self.made[key] = Expr("load", args, node.dtype, free, 1, (node, index))
        return self.made[key]

    def read(self, x: Expr, size: int) -> Index:
        """A computed whole number as an index: looked up, unless it belongs to a loop."""
        if x.free:
            return ix.read(self.cast(x, dtypes.int64), size)
        return ix.constant(min(max(int(self.value(x)), 0), max(size - 1, 0)))

    def whole(self, index: Index, dtype: DType = dtypes.int64) -> Expr:
        """An index as a number to compute with."""
        return super().whole(index, dtype) if index.free else self.const(index.const, dtype)

    @contextmanager
    def within(self, index: Index, low: int, high: int) -> Iterator[Expr]:
        """In the block what lies outside is 0, and is not looked at."""
        if index.free:
            with super().within(index, low, high) as inside:
                yield inside
            return
        inside = self.const(low <= index.const < high, dtypes.bool_)
        outer = self.guards
        if not inside.at:
            self.guards = inside
        try:
            yield inside
        finally:
            self.guards = outer


class Elements:
    """The elements of a program on arrays, which are not changed.

    >>> import numpy as np
    >>> from chainrule import graph, ops
    >>> g = graph.trace(lambda x, w: ops.matmul(x, w), np.ones((1, 2)), np.full((2, 1), 3.0))
    >>> e = Elements(g, [np.ones((1, 2)), np.full((2, 1), 3.0)])
    >>> e.value(e.of(Place(e.graph.outputs[0], (0, 0))))
    np.float64(6.0)
    """

    def __init__(self, graph: Graph, arrays: Sequence[Any]) -> None:
        self.graph = spell(graph)
        self.arrays: dict[int, Any] = {}
        for node, a in zip(self.graph.inputs, arrays, strict=True):
            self.arrays[id(node)] = np.asarray(a)
        with quietly():
            for node in self.graph.nodes:
                assert node.op is not None
                operands = [self.arrays.get(id(x), x) for x in node.inputs]
                self.arrays[id(node)] = np.asarray(node.op.forward(*operands, **node.params))
        self.make = Spelled(self.value)
        self.known: dict[int, tuple[Expr, Any]] = {}

    def value_if(self, changed: Node, factor: float, wanted: Node) -> float:
        """The one number of a value, if another were so many times what it is."""
        arrays = {id(n): self.arrays[id(n)] for n in self.graph.inputs}
        with quietly():
            for node in (*self.graph.inputs, *self.graph.nodes):
                if node.op is not None:
                    operands = [arrays.get(id(x), x) for x in node.inputs]
                    arrays[id(node)] = np.asarray(node.op.forward(*operands, **node.params))
                if node is changed and arrays[id(node)].dtype.kind == "f":
                    arrays[id(node)] = arrays[id(node)] * factor
        return float(arrays[id(wanted)])

    def at(self, place: Place) -> Any:
        """The number at a place, as the program computed it."""
        return self.arrays[id(place.node)][place.at]

    def of(self, place: Place) -> Expr:
        """The number at a place, as an expression of those that its line was made from."""
        node = place.node
        assert node.op is not None, f"{place} is an input"
        operands = [self.operand(x, node) for x in node.inputs]
        index = tuple(map(ix.constant, place.at))
        if node.op.scatters:
            y = Element(node.shape, node.dtype, lambda i: self.make.leaf(node, i))
            parts = node.op.scatter(self.make, y, *operands, **node.params)
            if parts:
                return self.scattered(parts, index)
        made: Expr = node.op.element(self.make, index, *operands, **node.params)
        return made

    def operand(self, x: Any, reader: Node) -> Element:
        """An input of a line, as ops see it."""
        op: Any = reader.op
        if is_number(x):
            number = self.make.const(x, op.meeting_dtype(reader.inputs))
            return Element((), number.dtype, lambda i: number)
        return Element(x.shape, x.dtype, lambda i: self.make.leaf(x, i))

    # ------------------------------------------------------------ what writes where it is told

    def scattered(self, parts: Sequence[Any], index: tuple[Index, ...]) -> Expr:
        """What is written at an index: all that is added there, or what is written last."""
        found: Expr | None = None
        for part in parts:
            if part.start is not None:
                found = part.start(index)
            for bound in self.turns(part, index):
                value = self.fixed(part.value, bound)
                found = value if not part.adds or found is None else self.added(found, value)
        assert found is not None, "nothing is written here"
        return found

    def added(self, a: Expr, b: Expr) -> Expr:
        """A sum grown by a summand; a 0 that it began with goes."""
        if a.op == "const" and not a.at:
            return b
        return self.make.combined("sum", (*(a.args if a.op == "total" else (a,)), b))

    def turns(self, part: Any, index: tuple[Index, ...]) -> Iterator[dict[Axis, int]]:
        """The loop variables for which a write goes to an index, in order."""
        sure: dict[Axis, int] = {}
        for i, wanted in zip(part.place, index, strict=True):
            if len(i.terms) == 1 and not i.const:
                ((axis, c),) = i.terms.items()
                if isinstance(axis, Axis) and c == 1:
                    sure[axis] = wanted.const
        if any(n >= a.extent for a, n in sure.items()):
            return
        open_axes = [a for a in part.axes if a not in sure]
        for numbers in itertools.product(*(range(a.extent) for a in open_axes)):
            bound = {**sure, **dict(zip(open_axes, numbers, strict=True))}
            if all(
                self.number(i, bound) == w.const for i, w in zip(part.place, index, strict=True)
            ):
                yield bound

    def fixed(self, e: Expr, bound: dict[Axis, int]) -> Expr:
        """An expression with numbers in the place of loop variables."""
        if not e.free:
            return e
        if e.op == "load":
            node, index = e.at
            guard = self.fixed(e.args[0], bound) if e.args else None
            if guard is not None and not self.value(guard):
                return self.make.const(0, e.dtype)
            return self.make.leaf(node, tuple(ix.constant(self.number(i, bound)) for i in index))
        if e.op == "index":
            return self.make.const(self.number(e.at, bound), e.dtype)
        args = tuple(self.fixed(a, bound) for a in e.args)
        if e.op == "total":
            return self.make.combined(e.at, args)
        return self.make.op(e.op, *args, dtype=e.dtype)

    def number(self, i: Index, bound: dict[Axis, int]) -> int:
        """An index as the number that it is."""
        total = i.const
        for atom, c in i.terms.items():
            if isinstance(atom, Axis):
                total += c * bound[atom]
            elif isinstance(atom, Part):
                inner = self.number(atom.index, bound)
                total += c * (inner // atom.by if atom.sign == "//" else inner % atom.by)
            else:
                assert isinstance(atom, Read)
                value = int(self.value(self.fixed(atom.expr, bound)))
                total += c * min(max(value, 0), atom.bounds[1])
        return total

    # ------------------------------------------------------------ numbers

    def value(self, e: Expr) -> Any:
        """An expression as a number, computed from the numbers of the lines that it reads."""
        found = self.known.get(id(e))
        if found is None:
            found = self.known[id(e)] = (e, self.compute(e))  # kept, so that its id stays its own
        return found[1]

    def compute(self, e: Expr) -> Any:
        """The same, not looked up."""
        if e.op == "const":
            return e.dtype.type(e.at)
        if e.op == "load":
            node, index = e.at
            if e.args and not self.value(e.args[0]):
                return e.dtype.type(0)
            return self.arrays[id(node)][tuple(i.const for i in index)]
        args = [self.value(a) for a in e.args]
        with quietly():
            if e.op == "total":
                total = args[0]
                for x in args[1:]:
                    total = COMBINE[e.at](total, x)
                return total
            if e.op == "cast":
                return np.asarray(args[0]).astype(e.dtype)[()]
            if e.op == "bits":
                return np.asarray(args[0]).view(e.dtype)[()]
            return np.asarray(FUNCTIONS[e.op](*args)).astype(e.dtype, copy=False)[()]
