"""Nests as loops of C: each expression is computed in the outermost loop in which it can be.

    nest %1 [i<4, j<3]                        for (intptr_t i = 0; i < 4; i++)
      %1[i, j] = relu(b[j] + dot[k<8](...))     for (intptr_t j = 0; j < 3; j++) { ... }

What is summed in which order is decided by sizes alone.  Long sums of floats run in several
partial sums, as vectors would: each rounds less, and none waits for the one before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from ..loops.expr import START, Buffer, Expr, walk
from ..loops.index import Axis, Index, Part
from ..loops.program import Nest, Program, Write
from ..loops.split import digits
from ..loops.text import parts
from .scalar import Scalars, bare
from .types import literal, value_type

PARTIAL = 8
"""Partial sums of a long sum: a power of 2."""
LONG = 4 * PARTIAL
"""Terms of a sum from which on it runs in partial sums."""
WIDE = 72
"""Longer expressions get a name."""
COMBINING = {"sum": "add", "dot": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


class Emitted(NamedTuple):
    """The body of a function, line by line, and the small functions that it calls, by name."""

    lines: list[str]
    helpers: dict[str, str]


class Scope(NamedTuple):
    """A block of C: the axes that are open in it as a set, its lines, what is known in it."""

    axes: int
    lines: list[str]
    known: dict[object, str]


def emit(program: Program, places: dict[str, str]) -> Emitted:
    """The nests of a program, one block after the other.

    places: the pointer to each buffer, as text; `&x` where it is a single number.  The axes of the
    program are split where they are divided.
    """
    printer = Printer(places)
    lines = []
    for nest in program.nests:
        if all(a.extent for a in nest.axes):
            digits(program.make, nest)
            lines += printer.nest(nest)
    return Emitted(lines, printer.scalars.helpers)


class Printer:
    """Writes nests."""

    def __init__(self, places: dict[str, str]) -> None:
        self.places = places
        self.scalars = Scalars()
        self.scopes: list[Scope] = []
        self.uses: Counter[int] = Counter()
        self.names: dict[Axis, str] = {}
        self.pinned: frozenset[str] = frozenset()  # buffers that the nest changes on its way
        self.count = 0

    # ------------------------------------------------------------ nests and loops

    def nest(self, nest: Nest) -> list[str]:
        """One nest, as a block."""
        self.scopes = [Scope(0, [], {})]
        self.names, self.count = {}, 0
        written = {w.buffer.name for w in nest.writes}
        self.pinned = frozenset(written) if nest.in_order else frozenset()
        self.uses = _uses(nest)
        with self.loops(nest.axes):
            if nest.in_order:
                for w in nest.writes:
                    self.store(w, self.value(w.value, self.depth))
            else:  # all values first: memory may be read and written
                several = len(nest.writes) > 1
                values = [self.value(w.value, self.depth, named=several) for w in nest.writes]
                for w, v in zip(nest.writes, values, strict=True):
                    self.store(w, v)
        (scope,) = self.scopes
        return ["{", *(f"    {line}" for line in scope.lines), "}"]

    @property
    def depth(self) -> int:
        """The innermost open block."""
        return len(self.scopes) - 1

    @contextmanager
    def loops(self, axes: Sequence[Axis]) -> Iterator[None]:
        """Within it the axes are open; what is outside is written before the loops."""
        with ExitStack() as opened:
            for axis in axes:
                opened.enter_context(self.loop(axis, 0, axis.extent))
            yield

    @contextmanager
    def loop(self, axis: Axis, start: int, end: int) -> Iterator[None]:
        """Within it a part of an axis is open."""
        name = self.names[axis] = self.fresh(_letter(axis))
        with self.block(f"for (intptr_t {name} = {start}; {name} < {end}; {name}++)", axis.bit):
            yield

    @contextmanager
    def block(self, head: str, axes: int = 0) -> Iterator[None]:
        """Within it lines go into a block with this head, in which these axes are open too."""
        self.scopes.append(Scope(self.scopes[-1].axes | axes, [], {}))
        yield
        inner = self.scopes.pop()
        lines = (f"    {line}" for line in inner.lines)
        self.scopes[-1].lines.extend([f"{head} {{", *lines, "}"])

    def fresh(self, name: str) -> str:
        """A name that nothing in the nest has."""
        self.count += 1
        return f"{name}{self.count}"

    def store(self, w: Write, value: str) -> None:
        """Writes an element, or adds to it."""
        target = self.element(w.buffer, w.place)
        lines = self.scopes[-1].lines
        if not w.adds:
            lines.append(f"{target} = {bare(value)};")
        elif w.buffer.dtype.kind == "b":
            lines.append(f"{target} = {target} || {value};")
        else:
            lines.append(f"{target} += {bare(value)};")

    # ------------------------------------------------------------ expressions

    def home(self, e: Expr) -> int:
        """The outermost block in which an expression can be computed."""
        if self.pinned and any(x.op == "load" and x.at[0].name in self.pinned for x in walk(e)):
            return self.depth
        return self._home(e.free)

    def _home(self, free: int) -> int:
        return next(d for d, scope in enumerate(self.scopes) if not free & ~scope.axes)

    def value(self, e: Expr, reader: int, named: bool = False) -> str:
        """An expression as an operand of something in the block `reader`."""
        if e.op == "const":
            text = literal(e.at, e.dtype)
            return f"({text})" if text.startswith("-") else text
        for scope in self.scopes:
            if id(e) in scope.known:
                return scope.known[id(e)]
        home = self.home(e)
        inner = self.scopes[home + 1 :]
        del self.scopes[home + 1 :]  # what is written now stands before the loops within
        try:
            text = self.text(e)
            once = self.uses[id(e)] <= 1 and home == reader and len(text) <= WIDE
            if e.op in ("reduce", "dot") or (once and not named) or _is_name(text):
                text = text if _is_name(text) or e.op in ("load", "reduce", "dot") else f"({text})"
            else:
                text = self.named(e, text)
            self.scopes[home].known[id(e)] = text
        finally:
            self.scopes += inner
        return text

    def named(self, e: Expr, text: str) -> str:
        """A value under a name of its own."""
        name = self.fresh("v")
        self.scopes[-1].lines.append(f"const {value_type(e.dtype)} {name} = {bare(text)};")
        return name

    def text(self, e: Expr) -> str:
        """An expression in the innermost block."""
        if e.op == "load":
            return self.load(e)
        if e.op == "index":
            return f"(int64_t){self.index(e.at)}"
        if e.op in ("reduce", "dot"):
            return self.combined(e)
        return self.scalars.text(e, [self.value(a, self.depth) for a in e.args])

    def load(self, e: Expr) -> str:
        """An element of memory; where a guard does not hold, 0."""
        buffer, index = e.at
        if not e.args:
            return self.element(buffer, index)
        if not buffer.size:
            return "0"
        guard = self.value(e.args[0], self.depth)
        return f"({guard} ? {self.element(buffer, index)} : 0)"

    def element(self, buffer: Buffer, index: tuple[Index, ...]) -> str:
        """An element of a buffer."""
        place = self.places[buffer.name]
        if place.startswith("&"):  # of a single number
            return place[1:]
        return f"{place}[{bare(self.index(buffer.place(index)))}]"

    def combined(self, e: Expr) -> str:
        """Many values as one: gives the name of a variable that holds it."""
        kind, axes = e.at
        start = literal(START[kind](e.dtype), e.dtype)
        if any(a.extent == 0 for a in axes):
            return f"({start})"
        name, lines = self.fresh("total"), self.scopes[-1].lines
        many = kind in ("sum", "dot") and e.dtype.kind == "f" and axes[-1].extent >= LONG
        c = value_type(e.dtype)
        lines.append(f"{c} {name}[{PARTIAL}] = {{0}};" if many else f"{c} {name} = {start};")
        with self.loops(axes[:-1] if many else axes):
            if many:
                self.in_parts(axes[-1], name, e)
            else:
                self.add(kind, name, e)
        return self.sum_of(name, e) if many else name

    def in_parts(self, axis: Axis, name: str, e: Expr) -> None:
        """A loop whose terms go to one partial sum after the other; what is left, to the first."""
        whole = axis.extent // PARTIAL * PARTIAL
        k, lane = self.fresh(_letter(axis)), self.fresh("lane")
        with (
            self.block(f"for (intptr_t {k} = 0; {k} < {whole}; {k} += {PARTIAL})"),
            self.block(f"for (intptr_t {lane} = 0; {lane} < {PARTIAL}; {lane}++)", axis.bit),
        ):
            self.names[axis] = f"({k} + {lane})"
            self.add("sum", f"{name}[{lane}]", e)
        if whole < axis.extent:
            with self.loop(axis, whole, axis.extent):
                self.add("sum", f"{name}[0]", e)

    def add(self, kind: str, name: str, e: Expr) -> None:
        """Takes one more value into a combination."""
        value, lines = self.value(e.args[0], self.depth), self.scopes[-1].lines
        if COMBINING[kind] in ("add", "mul") and e.dtype.kind == "f":
            sign = "+" if COMBINING[kind] == "add" else "*"
            lines.append(f"{name} {sign}= {bare(value)};")
            return
        step = Expr(COMBINING[kind], (e, e), e.dtype, 0, 0)
        lines.append(f"{name} = {self.scalars.text(step, [name, value])};")

    def sum_of(self, name: str, e: Expr) -> str:
        """Partial sums added in pairs."""
        terms = [f"{name}[{n}]" for n in range(PARTIAL)]
        while len(terms) > 1:
            half = len(terms) // 2
            terms = [f"({terms[i]} + {terms[i + half]})" for i in range(half)]
        total = self.fresh("sum")
        self.scopes[-1].lines.append(f"const {value_type(e.dtype)} {total} = {bare(terms[0])};")
        return total

    # ------------------------------------------------------------ indices

    def index(self, i: Index) -> str:
        """An index, as an operand."""
        terms = [self.term(atom, c) for atom, c in i.terms.items()]
        if i.const or not terms:
            terms.append(str(i.const))
        text = " + ".join(terms).replace("+ -", "- ")
        return text if len(terms) == 1 and _is_name(text) else f"({text})"

    def term(self, atom: object, c: int) -> str:
        """One part of an index, so many times."""
        text = self.atom(atom)
        return text if c == 1 else f"{c} * {text}"

    def atom(self, atom: object) -> str:
        """One part of an index."""
        if isinstance(atom, Axis):
            return self.names[atom]
        if isinstance(atom, Part):
            return self.part(atom)
        return self.scalars.clamped(self.value(atom.expr, self.depth), atom.bounds[1])  # type: ignore[attr-defined]

    def part(self, atom: Part) -> str:
        """index // by or index % by, rounded down for negative ones as well."""
        low, _ = atom.index.bounds
        lift = -(low // atom.by) * atom.by if low < 0 else 0
        inner = self.index(atom.index + lift)
        if atom.sign == "%":
            return f"({inner} % {atom.by})"
        text = f"({inner} / {atom.by})"
        return f"({text} - {lift // atom.by})" if lift else text


def _uses(nest: Nest) -> Counter[int]:
    """How many expressions of a nest read each."""
    uses: Counter[int] = Counter()
    seen: set[int] = set()
    for w in nest.writes:
        roots = [w.value, *(e for i in w.place for e in i.expressions())]
        uses.update(id(r) for r in roots)
        for root in roots:
            for e in walk(root, seen):
                uses.update(id(p) for p in parts(e))
    return uses


def _letter(axis: Axis) -> str:
    return axis.name.rstrip("0123456789")


def _is_name(text: str) -> bool:
    return text.replace("_", "").isalnum()
