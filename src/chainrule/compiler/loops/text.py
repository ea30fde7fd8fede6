"""How loop programs are written: the grammar stands in `program` and `expr`.

What is long and occurs several times is written once, in a `let` line of the nest or at the head
of the combination along whose axes it runs.  A number is written with as few digits as its type
needs to read the same number back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from .index import Axis, Index, Read

LONG = 24
"""From so many characters on, what occurs several times is written once."""
INFIX = {
    "or": (1, "or"), "and": (2, "and"), "eq": (3, "="), "ne": (3, "!="), "lt": (3, "<"),
    "le": (3, "<="), "gt": (3, ">"), "ge": (3, ">="), "add": (4, "+"), "sub": (4, "-"),
    "mul": (5, "*"), "div": (5, "/"),
}  # fmt: skip
"""name -> (how tightly it binds, its sign)."""
PREFIX = 6
LEAF = 9


def number(value: Any, dtype: Any) -> str:
    """A constant: the shortest text that its type reads back as the same number."""
    return str(dtype.type(value)) if dtype.kind == "f" else repr(value)


def parts(e: Any) -> Iterator[Any]:
    """The expressions directly below one, those that its indices read included."""
    yield from e.args
    for i in e.at[1] if e.op == "load" else (e.at,) if e.op == "index" else ():
        yield from i.expressions()


class Writer:
    """Writes expressions: those of one nest, or single ones with the full names of axes."""

    def __init__(self) -> None:
        self.names: dict[Axis, str] = {}
        self.shared: dict[int, str] = {}  # what has a name of its own
        self.order: list[Any] = []  # the same as expressions, operands first
        self.home: dict[int, Any] = {}  # the axes of the combination in which each is named

    # ------------------------------------------------------------ one nest

    def study(self, axes: Iterable[Axis], roots: Iterable[Any]) -> None:
        """Finds names for the axes of a nest and for what occurs several times."""
        uses: Counter[int] = Counter()
        order: list[Any] = []
        for root in roots:
            uses[id(root)] += 1
            _visit(root, uses, order)
        found = dict.fromkeys(axes)
        for e in order:
            if e.op in ("reduce", "dot"):
                found.update(dict.fromkeys(e.at[1]))
        self.name_axes(list(found))
        lengths: dict[int, int] = {}
        for e in order:
            length = len(e.op) + 4 + sum(lengths[id(a)] for a in parts(e))
            if e.op == "load":
                length += 4 * len(e.at[1])
            if uses[id(e)] > 1 and length > LONG:
                self.shared[id(e)] = f"_{len(self.order)}"
                self.order.append(e)
                length = 2
            lengths[id(e)] = length
        for e in order:  # the innermost combinations come first
            if e.op in ("reduce", "dot"):
                bits = 0
                for a in e.at[1]:
                    bits |= a.bit
                below = _all_below(e.args[0]) if self.order else {}
                for x in self.order:
                    if id(x) in below and x.free & bits:
                        self.home.setdefault(id(x), e.at[1])

    def name_axes(self, axes: list[Axis]) -> None:
        """A letter for each axis, with a number where several have it."""
        letters = Counter(_letter(a) for a in axes)
        seen: Counter[str] = Counter()
        for a in axes:
            letter = _letter(a)
            many = letters[letter] > 1
            self.names[a] = f"{letter}{seen[letter]}" if many else letter
            seen[letter] += 1

    def lets(self, combination: Any = None) -> Iterator[str]:
        """Names for what depends on the axes of a combination but of none within it; without one,
        for what depends on those of the nest alone."""
        inside = None if combination is None else _all_below(combination.args[0])
        for e in self.order:
            if self.home.get(id(e)) != (combination and combination.at[1]):
                continue
            if inside is None or id(e) in inside:
                yield f"let {self.shared[id(e)]} = {self.expr(e, named=False)}"

    # ------------------------------------------------------------ expressions

    def expr(self, e: Any, tight: int = 0, named: bool = True) -> str:
        """An expression, in brackets where it binds less tightly than its place asks for."""
        if named and id(e) in self.shared:
            return self.shared[id(e)]
        text, binds = self.plain(e)
        return f"({text})" if binds < tight else text

    def plain(self, e: Any) -> tuple[str, int]:
        """(an expression, how tightly it binds)."""
        if e.op == "const":
            return number(e.at, e.dtype), LEAF
        if e.op == "index":
            return self.index(e.at), LEAF if len(e.at.terms) == 1 and not e.at.const else 4
        if e.op == "load":
            buffer, place = e.at
            guard = f" if {self.expr(e.args[0])}" if e.args else ""
            return f"{buffer.name}[{self.place(place)}{guard}]", LEAF
        if e.op in ("reduce", "dot"):
            return self.combination(e), LEAF
        logic = e.op in ("and", "or")
        if e.op in INFIX and (e.dtype.kind == "b" or not logic):
            binds, sign = INFIX[e.op]
            a, b = e.args
            beside = binds + 1 if e.dtype.kind == "b" and not logic else binds
            after = binds if logic else binds + 1
            return f"{self.expr(a, beside)} {sign} {self.expr(b, after)}", binds
        if e.op == "neg":
            return f"-{self.expr(e.args[0], PREFIX)}", PREFIX
        name = f"{e.op}.{e.dtype.name}" if e.op in ("cast", "bits") else e.op
        return f"{name}({', '.join(map(self.expr, e.args))})", LEAF

    def combination(self, e: Any) -> str:
        """sum[k<5](...), with what is shared along its axes at its head."""
        kind, axes = e.at
        lets = [f"{line}; " for line in self.lets(e)] if self.order else []
        return f"{kind}[{self.axes(axes)}]({''.join(lets)}{self.expr(e.args[0])})"

    # ------------------------------------------------------------ indices

    def axes(self, axes: Iterable[Axis]) -> str:
        """Loops: i<4, j<8."""
        return ", ".join(f"{self.names.get(a, a.name)}<{a.extent}" for a in axes)

    def place(self, place: Iterable[Index]) -> str:
        """Indices one after the other."""
        return ", ".join(map(self.index, place))

    def index(self, i: Index) -> str:
        """A sum of axes, the largest steps first."""
        text = ""
        for atom, c in sorted(i.terms.items(), key=lambda t: -abs(t[1])):
            alone = len(i.terms) == 1 and c == 1 and not i.const
            size = "" if abs(c) == 1 else f"{abs(c)}*"
            sign = ("-" if c < 0 else "") if not text else " - " if c < 0 else " + "
            text += sign + size + self.atom(atom, alone)
        if not text:
            return str(i.const)
        return text + (f" {'-' if i.const < 0 else '+'} {abs(i.const)}" if i.const else "")

    def atom(self, atom: Any, alone: bool) -> str:
        """One part of an index."""
        if isinstance(atom, Axis):
            return self.names.get(atom, atom.name)
        if isinstance(atom, Read):
            return f"<{self.expr(atom.expr)}>"
        inner = self.index(atom.index)
        simple = len(atom.index.terms) == 1 and not atom.index.const
        text = f"{inner if simple else f'({inner})'} {atom.sign} {atom.by}"
        return text if alone else f"({text})"


def _letter(axis: Axis) -> str:
    return axis.name.rstrip("0123456789")


def _visit(root: Any, uses: Counter[int], order: list[Any]) -> None:
    """Counts how often each expression is used, and lists them, operands first."""
    known = {id(e) for e in order}
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        e, done = stack.pop()
        if done:
            order.append(e)
        elif id(e) not in known:
            known.add(id(e))
            stack.append((e, True))
            for a in parts(e):
                uses[id(a)] += 1
                stack.append((a, False))


def _all_below(e: Any) -> dict[int, Any]:
    found: list[Any] = []
    _visit(e, Counter(), found)
    return {id(x): x for x in found}


def nest_text(nest: Any) -> str:
    """One nest."""
    writer = Writer()
    roots = [w.value for w in nest.writes]
    roots += [e for w in nest.writes for i in w.place for e in i.expressions()]
    writer.study(nest.axes, roots)
    how = " in order" if nest.in_order else " in tiles" if nest.product is not None else ""
    lines = [f"nest {nest.name} [{writer.axes(nest.axes)}]{how}"]
    lines += [f"  {line}" for line in writer.lets()]
    for w in nest.writes:
        sign = "+=" if w.adds else "="
        lines.append(f"  {w.buffer.name}[{writer.place(w.place)}] {sign} {writer.expr(w.value)}")
    return "\n".join(lines)


def buffer_text(b: Any) -> str:
    """The line that makes a buffer known; its order in memory where that is not row-major."""
    sizes = ",".join(map(str, b.shape))
    order = [d for d in b.order if b.shape[d] != 1]
    lies = "" if order == sorted(order) else f" order {b.order}"
    return f"{b.kind} {b.name}: {b.dtype.name}[{sizes}]{lies}"
