"""Whether a loop program is well formed: checked between the steps of the compiler under tests.

What is held: the types of expressions, every place within its buffer, memory written before it is
read, nests that run in any order free of races, products that are what their nest computes, and
that a buffer holds the value that a reader of it means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ... import dtypes
from ...dtypes import DType
from ...graph import Graph
from ...ops.core import is_number
from .expr import COMPARISONS, Buffer, Expr, walk
from .index import Index
from .memory import plan, touched
from .places import Points, apart, covers, reads, within
from .products import Product
from .products import apart as apart_in_steps
from .program import Nest, Program, Write


class LoopError(AssertionError):
    """A program that breaks the grammar: a fault of this package, not of the user."""


# ---------------------------------------------------------------- types


def _alike(kinds: str) -> Callable[[Expr], DType | None]:
    """Operands of one type of these kinds, which is the result's too."""

    def rule(e: Expr) -> DType | None:
        first = e.args[0].dtype
        fits = first.kind in kinds and all(a.dtype == first for a in e.args)
        return first if fits else None

    return rule


def _comparison(e: Expr) -> DType | None:
    return dtypes.bool_ if _alike("fiub")(e) else None


def _select(e: Expr) -> DType | None:
    c, a, b = e.args
    return a.dtype if c.dtype.kind == "b" and a.dtype == b.dtype else None


def _load(e: Expr) -> DType | None:
    buffer, _ = e.at
    fits = all(a.dtype.kind == "b" for a in e.args)
    return buffer.dtype if fits else None


def _const(e: Expr) -> DType | None:
    if e.dtype.kind in "iu" and not np.iinfo(e.dtype).min <= e.at <= np.iinfo(e.dtype).max:
        return None
    value = e.dtype.type(e.at).item()
    return e.dtype if value == e.at or value != value else None


TYPES: dict[str, tuple[int, Callable[[Expr], DType | None]]] = {
    **{name: (1, _alike("f")) for name in (
        "sqrt", "rsqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sigmoid",
        "softplus", "erf")},
    **{name: (1, _alike("fiu")) for name in ("neg", "sign", "floor", "round", "relu")},
    "abs": (1, _alike("fiub")),
    "not": (1, _alike("b")),
    **{name: (2, _alike("fiub")) for name in ("add", "mul", "maximum", "minimum")},
    **{name: (2, _alike("fiu")) for name in ("sub", "floor_div", "remainder", "pow")},
    "div": (2, _alike("f")),
    **{name: (2, _alike("iub")) for name in ("and", "or", "xor")},
    **{name: (2, _alike("iu")) for name in ("shl", "shr", "idiv", "irem")},
    **dict.fromkeys(COMPARISONS, (2, _comparison)),
    "fma": (3, _alike("fiu")),
    "select": (3, _select),
    "cast": (1, lambda e: e.dtype),
    "bits": (1, lambda e: e.dtype if e.dtype.itemsize == e.args[0].dtype.itemsize else None),
    "reduce": (1, _alike("fiub")),
    "dot": (1, _alike("fiub")),
    "load": (-1, _load),
    "index": (0, lambda e: dtypes.int64),
    "const": (0, _const),
}  # fmt: skip
"""name -> (how many operands, what gives the type of the result, or None if they do not fit)."""


def check_types(e: Expr) -> None:
    """Raises unless an expression has the type and the axes that follow from its operands."""
    if e.op not in TYPES:
        raise LoopError(f"{e.op} is not in the table of types")
    arity, rule = TYPES[e.op]
    if arity not in (-1, len(e.args)):
        raise LoopError(f"{e.op} takes {arity} operands: {e!r}")
    if rule(e) != e.dtype:
        given = ", ".join(a.dtype.name for a in e.args)
        raise LoopError(f"{e.op}({given}) does not make {e.dtype.name}: {e!r}")
    free = 0
    for a in e.args:
        free |= a.free
    for i in e.at[1] if e.op == "load" else (e.at,) if e.op == "index" else ():
        free |= i.free
    if e.op in ("reduce", "dot"):
        for axis in e.at[1]:
            free &= ~axis.bit
    if free != e.free:
        raise LoopError(f"the axes of an expression are not those of its parts: {e!r}")


# ---------------------------------------------------------------- one program


class Verifier:
    """Goes through the nests in order, and knows which elements were written so far."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nest: Nest = Nest("program", (), [])
        self.written: dict[str, Any] = {}
        self.places: dict[str, list[tuple[Index, ...]]] = {}

    def run(self) -> None:
        """All checks."""
        program = self.program
        buffers = (*program.inputs, *program.outputs, *program.temps)
        if len({b.name for b in buffers}) != len(buffers):
            self.fail("two buffers have one name")
        for b in buffers:
            self.written[b.name] = np.full(b.shape, b.kind == "input")
            if sorted(b.order) != list(range(len(b.shape))) or (
                b.kind != "temp" and b.order != tuple(range(len(b.shape)))
            ):
                self.fail(f"{b} can't lie in the order {b.order}")
        for nest in program.nests:
            self.nest = nest
            if all(a.extent for a in nest.axes):
                self.visit(nest)
        for b in program.outputs:
            if not self.written[b.name].all():
                self.fail(f"not every element of {b} is written")
        self.memory()

    def fail(self, problem: str) -> None:
        """Raises, with the nest that is at fault."""
        raise LoopError(f"{problem}\n{self.nest}")

    def visit(self, nest: Nest) -> None:
        """One nest."""
        bits = 0
        for a in nest.axes:
            bits |= a.bit
        loads = list(self.loads(nest))
        self.types(bits)
        for w in nest.writes:
            self.holds(w, bits)
        for e in loads:
            buffer, index = e.at
            self.inside(buffer, index, e.args[0] if e.args else None)
        for w in nest.writes:
            self.inside(w.buffer, w.place, None)
        for e in loads:
            self.was_written(e)
        if not nest.in_order:
            self.races(nest, loads)
        if nest.product is not None:
            self.product(nest, nest.product)
        for w in nest.writes:
            self.mark(w)

    # ------------------------------------------------------------ what a nest reads

    def loads(self, nest: Nest) -> Iterator[Expr]:
        """Every load that takes place: none below a combination of nothing."""
        seen: set[int] = set()
        empty: set[int] = set()
        for root in self.roots(nest):
            for e in walk(root):
                if e.op in ("reduce", "dot") and not all(a.extent for a in e.at[1]):
                    empty.update(id(x) for x in walk(e.args[0]))
        for root in self.roots(nest):
            for e in walk(root, seen):
                if e.op == "load" and id(e) not in empty:
                    yield e

    def roots(self, nest: Nest) -> Iterator[Expr]:
        """The expressions that a nest computes, those of its places included."""
        make = self.program.make
        for w in nest.writes:
            yield w.value
            for i in w.place:
                if reads(i):
                    yield make.whole(i)

    def types(self, axes: int) -> None:
        """The types of what a nest computes."""
        seen: set[int] = set()
        for e in (e for root in self.roots(self.nest) for e in walk(root, seen)):
            try:
                check_types(e)
            except LoopError as problem:
                self.fail(str(problem))
            if e.op in ("reduce", "dot") and any(a.bit & axes for a in e.at[1]):
                self.fail(f"a combination goes along an axis of its nest: {e!r}")

    def holds(self, w: Write, axes: int) -> None:
        """The type of a write, and that its axes are those of the nest."""
        free = w.value.free
        for i in w.place:
            free |= i.free
        if free & ~axes:
            self.fail(f"a write depends on axes that are not open: {w}")
        if w.value.dtype != w.buffer.dtype:
            self.fail(f"{w.buffer} can't hold a {w.value.dtype.name}")
        if len(w.place) != len(w.buffer.shape):
            self.fail(f"a place of {w.buffer} has {len(w.buffer.shape)} indices")

    def inside(self, buffer: Buffer, index: tuple[Index, ...], guard: Expr | None) -> None:
        """Every place lies in its buffer, or a condition keeps the nest from it."""
        for i, n in zip(index, buffer.shape, strict=True):
            if not within(i, n, guard):
                self.fail(f"{buffer}{list(index)} leaves [0, {n}) with {i}")

    def was_written(self, e: Expr) -> None:
        """What is read was written by then."""
        buffer, index = e.at
        written = self.written[buffer.name]
        if written.all() or index in self.places.get(buffer.name, ()):
            return
        own = [w for w in self.nest.writes if w.buffer is buffer] if self.nest.in_order else []
        points = Points(self.nest.axes if own else (), index, *e.args)
        found = points.flat(index, buffer.shape)
        holds = points.holds(e.args[0] if e.args else None)
        missing = holds & ~written.reshape(-1)[np.where(holds, found, 0)]
        if own and points.all and not any(map(reads, own[0].place)):
            missing &= ~self.written_before(own[0], points, np.where(holds, found, 0))
        if missing.any():
            self.fail(f"{e!r} is read before it is written")

    def written_before(self, w: Write, points: Points, places: Any) -> Any:
        """Whether the nest itself, which runs in order, has written places by then."""
        axes = self.nest.axes
        own = Points(axes, w.place)
        time = np.arange(max(int(np.prod(own.shape)), 1)).reshape(own.shape)
        when = np.full(w.buffer.size, time.size)
        np.minimum.at(when, own.flat(w.place, w.buffer.shape).ravel(), time.ravel())
        now: Any = np.int64(0)
        for a in axes:
            now = now * a.extent + points.at[a]
        return when[places] < points.everywhere(now)

    # ------------------------------------------------------------ what a nest writes

    def mark(self, w: Write) -> None:
        """Remembers what a write has written."""
        written = self.written[w.buffer.name]
        if w.adds and not written.all():
            self.fail(f"{w} adds to what was not written")
        self.places.setdefault(w.buffer.name, []).append(w.place)
        if covers(w.place, w.buffer.shape) or any(map(reads, w.place)):
            written[...] = True  # a scatter without a start says that it goes everywhere
            return
        points = Points((), w.place)
        written.reshape(-1)[points.flat(w.place, w.buffer.shape).ravel()] = True

    def races(self, nest: Nest, loads: list[Expr]) -> None:
        """Different values of the axes write different places, and read no other's."""
        if len({w.buffer.name for w in nest.writes}) != len(nest.writes):
            self.fail("two writes go to one buffer")
        for w in nest.writes:
            if any(map(reads, w.place)) or not apart(w.place, w.buffer.shape, nest.axes):
                self.fail(f"two places of the axes may write one element: {w}")
            for e in loads:
                if e.at[0] is w.buffer and e.at[1] != w.place and self.meets(w, e):
                    self.fail(f"{e!r} is read at one place and written at another")

    def meets(self, w: Write, e: Expr) -> bool:
        """Whether a load at some place reads what is written at another place."""
        axes = self.nest.axes
        points = Points(axes, e.at[1], *e.args)
        own = Points(axes, w.place)
        if not (points.all and own.all):
            return True
        writer = np.full(w.buffer.size, -1)
        numbers = np.arange(max(int(np.prod(own.shape)), 1)).reshape(own.shape)
        writer[own.flat(w.place, w.buffer.shape).ravel()] = numbers.ravel()
        here: Any = np.int64(0)
        for a in axes:
            here = here * a.extent + points.at[a]
        holds = points.holds(e.args[0] if e.args else None)
        by = writer[np.where(holds, points.flat(e.at[1], w.buffer.shape), 0)]
        return bool((holds & (by >= 0) & (by != points.everywhere(here))).any())

    # ------------------------------------------------------------ products and memory

    def product(self, nest: Nest, p: Product) -> None:
        """The parts of a product are those of the one dot that its nest computes."""
        dots = {id(e): e for w in nest.writes for e in walk(w.value) if e.op == "dot"}
        if list(dots.values()) != [p.dot]:
            self.fail("the product is not the one dot of its nest")
        if p.dot.at != ("dot", (p.inner,)) or set(p.dot.args[0].args) != {p.row, p.column}:
            self.fail("the dot does not multiply the product's operands")
        if nest.axes != (*p.batch, p.rows, p.columns):
            self.fail("the axes are not the batch, the rows and the columns")
        for e, mine, other in ((p.row, p.rows, p.columns), (p.column, p.columns, p.rows)):
            if not e.free & mine.bit or not e.free & p.inner.bit or e.free & other.bit:
                self.fail(f"{e!r} is no operand along {mine} and {p.inner}")
            if e.op != "load" or e.args:
                self.fail(f"{e!r} does not lie in memory")
            flat = e.at[0].place(e.at[1])
            if e is p.row and p.listed:
                if apart_in_steps(flat, p) is None:
                    self.fail(f"{e!r} lies in no sum of places along {mine} and {p.inner}")
            elif p.panel is None or e is p.row:
                steps = flat.coefficient(mine), flat.coefficient(p.inner)
                if None in steps or (e is p.column and steps[0] != 1):
                    self.fail(f"{e!r} does not lie in steps along {mine}")
        if p.panel is not None:
            buffer, (*_, panel, k, lane) = p.column.at
            column = p.dot.free and Index({p.columns: 1}, 0)
            fits = buffer.shape[-1] == p.panel and buffer.order == tuple(range(len(buffer.shape)))
            if (panel, lane) != (column // p.panel, column % p.panel) or not fits:
                self.fail("the panels are not those of the product")
            if k != Index({p.inner: 1}, 0):
                self.fail("the rows of a panel are not those of the product")

    def memory(self) -> None:
        """Temporaries that live at one time do not lie over one another."""
        offsets, size = plan(self.program)
        spans: dict[str, list[int]] = {}
        for time, nest in enumerate(self.program.nests):
            for b in touched(nest):
                if b.kind == "temp":
                    first = spans.setdefault(b.name, [time, time, 0, 0])
                    first[1] = time
                    start = offsets[b.name]
                    first[2:] = [start, start + b.size * b.dtype.itemsize]
        for name, (begin, end, low, high) in spans.items():
            if low < 0 or high > size:
                self.fail(f"{name} does not lie in the arena")
            for other, (start, stop, lo, hi) in spans.items():
                at_once = start <= end and begin <= stop
                if other != name and at_once and lo < high and low < hi:
                    self.fail(f"{name} and {other} lie over one another")


def verify(program: Program) -> None:
    """Raises a LoopError unless a program is well formed."""
    Verifier(program).run()


def verify_meaning(graph: Graph, program: Program) -> None:
    """Raises unless every buffer holds what its readers mean, and in the end what it should.

    An input that is updated holds first itself, then its new value; the trail of the lowering says
    which of them each nest asked for.
    """
    holds: dict[str, Any] = {n.name: n for n in graph.inputs}
    for step in program.trail:
        if step.action == "reads" and holds.get(step.buffer.name) is not step.value:
            raise LoopError(
                f"{step.buffer} is read for {step.value!r}, "
                f"but holds {holds.get(step.buffer.name)!r}\n{program}"
            )
        if step.action == "writes":
            holds[step.buffer.name] = step.value
    wanted = [(x.name, v) for x, v in graph.updates]
    wanted += [(b.name, x) for b, x in zip(program.outputs, graph.outputs, strict=True)]
    for name, v in wanted:
        found = holds.get(name)
        if found is not v and not (is_number(v) and found == v):
            raise LoopError(f"{name} holds {found!r} in the end, not {v!r}\n{program}")
