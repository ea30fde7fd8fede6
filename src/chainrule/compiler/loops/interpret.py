"""The slow interpreter of loop programs: NumPy over whole loops, element by element in order.

It is what compiled code is held to, so it is kept as plain as it can be: every expression has a
value for each place of the axes around it, axis number n of the program lying along dimension n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...ops import REGISTRY
from .expr import START, Expr
from .index import Axis, Index, Part, Read
from .program import Nest, Program, Write

_OF_OPS = (
    "add", "sub", "mul", "div", "floor_div", "remainder", "neg", "pow", "maximum", "minimum",
    "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "sin", "cos", "tanh", "sigmoid", "softplus",
    "erf", "relu", "abs", "sign", "floor", "round", "eq", "ne", "lt", "le", "gt", "ge",
)  # fmt: skip


def fma(a: Any, b: Any, c: Any) -> Any:
    """a * b + c rounded once: in the next wider type, where the machine has one."""
    narrow = np.asarray(c).dtype
    wide = np.float64 if narrow == np.float32 else np.longdouble
    return (np.asarray(a, wide) * b + c).astype(narrow)


def idiv(a: Any, b: Any) -> Any:
    """The quotient of whole numbers without its fraction, as in C."""
    q = np.floor_divide(a, b)
    return q + ((q < 0) & (q * b != a)).astype(q.dtype)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: REGISTRY[name].forward for name in _OF_OPS},
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.logical_not,
    "shl": np.left_shift,
    "shr": np.right_shift,
    "select": np.where,
    "fma": fma,
    "idiv": idiv,
}
COMBINE: dict[str, Callable[..., Any]] = {
    "sum": np.add, "dot": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum,
}  # fmt: skip


class Place:
    """Values of expressions at some places of the axes: all of them at once, or one by one.

    outer: the place around this one, which knows what does not depend on the axes that this one
    has besides.
    """

    def __init__(
        self, memory: dict[str, Any], axes: dict[Axis, Any], outer: Place | None = None
    ) -> None:  # fmt: skip
        self.memory = memory
        self.axes = axes
        self.known: dict[int, Any] = {}
        self.outer = outer
        self.own = sum(a.bit for a in axes if outer is None or a not in outer.axes)

    def index(self, i: Index) -> Any:
        """The value of an index."""
        total: Any = np.int64(i.const)
        for atom, c in i.terms.items():
            total = total + self.atom(atom) * c
        return total

    def atom(self, atom: Any) -> Any:
        """The value of one part of an index."""
        if isinstance(atom, Axis):
            return self.axes[atom]
        if isinstance(atom, Part):
            inner = self.index(atom.index)
            return inner // atom.by if atom.sign == "//" else inner % atom.by
        assert isinstance(atom, Read)
        return np.clip(self.value(atom.expr), *atom.bounds)

    def value(self, e: Expr) -> Any:
        """The value of an expression."""
        if self.outer is not None and not e.free & self.own:
            return self.outer.value(e)
        found = self.known.get(id(e))
        if found is None:
            found = self.known[id(e)] = self.compute(e)
        return found

    def compute(self, e: Expr) -> Any:
        """What an expression gives, from its parts."""
        if e.op == "const":
            return e.dtype.type(e.at)
        if e.op == "index":
            return self.index(e.at)
        if e.op == "load":
            return self.load(e)
        if e.op in ("reduce", "dot"):
            return self.combine(e)
        args = [self.value(a) for a in e.args]
        if e.op == "cast":
            return np.asarray(args[0]).astype(e.dtype)
        if e.op == "bits":
            return np.asarray(args[0]).view(e.dtype)
        return np.asarray(FUNCTIONS[e.op](*args)).astype(e.dtype, copy=False)

    def load(self, e: Expr) -> Any:
        """An element of memory; where a guard does not hold, 0."""
        buffer, index = e.at
        array = self.memory[buffer.name]
        places = tuple(self.index(i) for i in index)
        if not e.args:
            return array[places]
        guard = np.asarray(self.value(e.args[0]))
        safe = tuple(np.where(guard, p, 0) for p in places)
        if not array.size:
            return np.zeros(guard.shape, array.dtype)
        return np.where(guard, array[safe], array.dtype.type(0))

    def combine(self, e: Expr) -> Any:
        """Values of an inner expression combined along axes, one after the other."""
        kind, axes = e.at
        total: Any = e.dtype.type(START[kind](e.dtype))
        for place in np.ndindex(*(a.extent for a in axes)):
            here = {**self.axes, **dict(zip(axes, place, strict=True))}
            inner = Place(self.memory, here, self)
            total = COMBINE[kind](total, inner.value(e.args[0]))
        return total


def run_nest(nest: Nest, memory: dict[str, Any]) -> None:
    """Runs one nest on the memory."""
    if any(a.extent == 0 for a in nest.axes):
        return
    if nest.in_order:
        for numbers in np.ndindex(*(a.extent for a in nest.axes)):
            axes = dict(zip(nest.axes, map(np.int64, numbers), strict=True))
            here = Place(memory, axes)
            for w in nest.writes:
                put(w, here, here.value(w.value))
        return
    rank = len(nest.axes)
    grid = {
        a: np.arange(a.extent).reshape([-1 if d == i else 1 for d in range(rank)])
        for i, a in enumerate(nest.axes)
    }
    everywhere = Place(memory, grid)
    values = [np.array(everywhere.value(w.value)) for w in nest.writes]
    for w, value in zip(nest.writes, values, strict=True):
        put(w, everywhere, value)


def put(w: Write, place: Place, value: Any) -> None:
    """Carries out one write."""
    array = place.memory[w.buffer.name]
    where = np.broadcast_arrays(*(place.index(i) for i in w.place), value)[:-1]
    where = tuple(where) if w.place else ()
    if w.adds:
        np.add.at(array, where, value)
    else:
        array[where] = value


def interpret(program: Program, arrays: Sequence[Any]) -> list[Any]:
    """The outputs of a program on arrays, which it may change; see `run_nest`."""
    memory = {b.name: a for b, a in zip(program.inputs, arrays, strict=True)}
    for b in (*program.outputs, *program.temps):
        memory[b.name] = np.zeros(b.shape, b.dtype)
    with np.errstate(all="ignore"):
        for nest in program.nests:
            run_nest(nest, memory)
    return [memory[b.name] for b in program.outputs]
