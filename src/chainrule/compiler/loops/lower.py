"""From the graph to loops: each group of lines becomes one nest.

Why: the graph says what is computed for whole arrays; a nest says it for one element, with shape
ops gone into the indices.

Before: %0 = matmul(x, w, tb=True)   %1 = expand(b)   %2 = add(%0, %1)   %3 = relu(%2)
After:  nest %3 [i<64, j<32]
          %3[i, j] = relu(dot[k<8](x[i, k] * w[j, k]) + b[j])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...dtypes import DType
from ...graph import Graph, Node
from ...ops.core import Op, is_number
from . import index as ix
from .expr import Buffer, Builder, Expr
from .group import Group, Grouping
from .index import Index
from .limits import kept_as
from .program import Nest, Program, Step, Write

LETTERS = "ijlmnopq"


class Element:
    """An operand as ops see it: a function from indices to the element there."""

    __slots__ = ("dtype", "give", "shape")

    def __init__(
        self, shape: tuple[int, ...], dtype: DType, give: Callable[[tuple[Index, ...]], Expr]
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.give = give

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def __call__(self, index: tuple[Index, ...]) -> Expr:
        return self.give(index)


class Lowering:
    """Turns the groups of one graph into nests."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.make = Builder()
        self.grouping = Grouping(graph)
        inputs = [Buffer(n.name, n.shape, n.dtype, "input") for n in graph.inputs]
        outputs = [Buffer(f"out{i}", *_spec_of(x), "output") for i, x in enumerate(graph.outputs)]
        self.program = Program(self.make, inputs, outputs)
        self.home: dict[int, Buffer] = {id(n): b for n, b in zip(graph.inputs, inputs, strict=True)}
        self.known: dict[Any, Expr] = {}
        self.group: Group | None = None
        self.ready: set[int] = {id(n) for n in graph.inputs}
        self.first: list[tuple[Any, ...]] = []  # copies of inputs, before anything is written
        self.copies: list[tuple[Any, ...]] = []  # what is written when all else is done

    def run(self) -> Program:
        """All nests, in order; copies into results that could not be written at once last."""
        self.assign_homes()
        for copy in self.first:
            self.program.nests.append(self.copy(*copy))
        for group in self.grouping.groups:
            self.program.nests += self.nests(group)
        self.group = None
        self.known.clear()
        for copy in self.copies:
            self.program.nests.append(self.copy(*copy))
        return self.program

    # ------------------------------------------------------------ where values live

    def assign_homes(self) -> None:
        """Gives every kept value its memory: an updated input's, an output's, or a temporary."""
        grouping = self.grouping
        buffers = {b.name: b for b in self.program.inputs}
        for x, v in self.graph.updates:
            target = buffers[x.name]
            free = isinstance(v, Node) and id(v) in grouping.of and id(v) not in self.home
            if free and grouping.may_write(x, grouping.of[id(v)]):
                self.home[id(v)] = target
            else:
                self.later(target, v)
        for buffer, x in zip(self.program.outputs, self.graph.outputs, strict=True):
            if isinstance(x, Node) and id(x) in grouping.of and id(x) not in self.home:
                self.home[id(x)] = buffer
            elif isinstance(x, Node) and x.op is None:
                self.first.append((buffer, x))
            else:
                self.copies.append((buffer, x))
        for i, root in enumerate(grouping.roots):
            if id(root) in grouping.stored and id(root) not in self.home:
                dtype = root.dtype if grouping.of[id(root)].closed else kept_as(root)
                buffer = Buffer(f"%{i}", root.shape, dtype, "temp")
                self.home[id(root)] = buffer
                self.program.temps.append(buffer)

    def later(self, target: Buffer, v: Any) -> None:
        """Keeps an update's value apart until everything has read what it overwrites."""
        if isinstance(v, Node) and v.op is None and v.name != target.name:
            before = next((b for b, x in self.first if x is v), None)
            if before is None:
                before = Buffer(f"old_{v.name}", v.shape, v.dtype, "temp")
                self.program.temps.append(before)
                self.first.append((before, v))
            self.copies.append((target, v, before))
        elif not (isinstance(v, Node) and v.op is None):
            self.copies.append((target, v))

    def copy(self, target: Buffer, value: Any, source: Buffer | None = None) -> Nest:
        """A nest that writes a value, or a number, into a buffer."""
        axes, index = self.axes_of(target.shape)
        if source is not None:
            expr = self.load(source, value, index)
        elif is_number(value):
            expr = self.make.const(value, target.dtype)
        else:
            expr = self.element(value, index)
        self.program.trail.append(Step("writes", value, target))
        return Nest(target.name, axes, [Write(target, index, expr)])

    # ------------------------------------------------------------ nests

    def axes_of(self, shape: tuple[int, ...]) -> tuple[tuple[Any, ...], tuple[Index, ...]]:
        """An axis for every dimension larger than 1, and the indices that they give."""
        axes, index = [], []
        for d, n in enumerate(shape):
            if n == 1:
                index.append(ix.constant(0))
            else:
                axes.append(self.make.axis(LETTERS[min(d, len(LETTERS) - 1)], n))
                index.append(ix.along(axes[-1]))
        return tuple(axes), tuple(index)

    def nests(self, group: Group) -> list[Nest]:
        """The nest of a group; more than one for an op that writes where its inputs say."""
        self.group = group
        self.known.clear()
        first = group.roots[0]
        if group.closed:
            return self.scatter_nests(first)
        axes, squeezed = self.axes_of(group.domain)
        writes = []
        for root in group.roots:
            own = iter(squeezed)
            index = tuple([next(own) if n != 1 else ix.constant(0) for n in root.shape])
            value = self.compute(root, index)
            self.known[id(root), index] = value
            if id(root) in self.home and self.home_is_written(root):
                home = self.home[id(root)]
                writes.append(Write(home, index, self.make.cast(value, home.dtype)))
        self.ready.update(id(r) for r in group.roots)
        stored = [r for r in group.roots if id(r) in self.home and self.home_is_written(r)]
        self.program.trail += [Step("writes", r, self.home[id(r)]) for r in stored]
        name = writes[-1].buffer.name if writes else "nothing"
        return [Nest(name, axes, writes)]

    def home_is_written(self, root: Node) -> bool:
        """Whether a root's value is kept at all."""
        return id(root) in self.grouping.stored

    def scatter_nests(self, root: Node) -> list[Nest]:
        """The nests of an op that writes where its inputs say: first a start, then in order."""
        assert root.op is not None
        home = self.home[id(root)]
        y = Element(root.shape, root.dtype, lambda i: self.make.load(home, i))
        operands = [self.operand(x, root) for x in root.inputs]
        made = root.op.scatter(self.make, y, *operands, **root.params)
        nests = []
        for part in made:
            if part.start is not None:
                axes, index = self.axes_of(root.shape)
                nests.append(Nest(home.name, axes, [Write(home, index, part.start(index))]))
            write = Write(home, part.place, part.value, part.adds)
            nests.append(Nest(home.name, part.axes, [write], in_order=not part.apart))
        self.ready.add(id(root))
        self.program.trail.append(Step("writes", root, home))
        return nests

    # ------------------------------------------------------------ elements

    def operand(self, x: Any, reader: Node) -> Element:
        """An input of a line as a function of indices."""
        if is_number(x):
            dtype = self.meeting(reader)
            number = self.make.const(x, dtype)
            return Element((), dtype, lambda i: number)
        return Element(x.shape, x.dtype, lambda i: self.element(x, i))

    def meeting(self, reader: Node) -> DType:
        """The type in which a pointwise line's operands meet."""
        op: Any = reader.op
        dtype: DType = op.meeting_dtype(reader.inputs)
        return dtype

    def element(self, node: Node, index: tuple[Index, ...]) -> Expr:
        """One element of a value: read from memory where it is kept, else computed."""
        key = (id(node), index)
        if not self.make.guards:
            found = self.known.get(key)
            if found is not None:
                return found
        if id(node) in self.ready and id(node) in self.home:
            value = self.load(self.home[id(node)], node, index)
        else:
            value = self.compute(node, index)
        if not self.make.guards:
            self.known[key] = value
        return value

    def load(self, buffer: Buffer, value: Node, index: tuple[Index, ...]) -> Expr:
        """One element of a value that is kept in memory."""
        self.program.trail.append(Step("reads", value, buffer))
        return self.make.cast(self.make.load(buffer, index), value.dtype)

    def compute(self, node: Node, index: tuple[Index, ...]) -> Expr:
        """One element of a line, from the elements of its inputs."""
        op: Op | None = node.op
        assert op is not None, f"{node!r} has no value"
        operands = [self.operand(x, node) for x in node.inputs]
        made: Expr = op.element(self.make, index, *operands, **node.params)
        return made


def _spec_of(x: Any) -> tuple[tuple[int, ...], DType]:
    return x.shape, x.dtype


def lower(graph: Graph) -> Program:
    """The loop program of a graph."""
    return Lowering(graph).run()
