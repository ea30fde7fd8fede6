"""Scalar expressions: what one element of a result is computed from.

    expr    := number | index | name | function "(" expr* ")" | expr sign expr | "-" expr
             | buffer "[" index* ("if" expr)? "]"        0 where the condition does not hold
             | combine "[" (axis "<" extent)* "](" (let ";")* expr ")"
    function:= "select" | "exp" | "cast." type | ...     see UNARY and BINARY
    sign    := "+" | "-" | "*" | "/" | "=" | "!=" | "<" | "<=" | ">" | ">=" | "and" | "or"
    combine := "sum" | "prod" | "max" | "min" | "dot"

A number has the type of what stands beside it.  Equal expressions are one object, so what two
results share is computed once.  `free` says which axes an expression depends on: it is computed in
the loop of the innermost of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import dtypes
from ...dtypes import DType
from . import index as ix
from .blocks import BLOCK, BLOCKS, cut
from .index import Axis, Index
from .text import Writer, parts


class Buffer:
    """A piece of memory that a program reads or writes.

    kind is 'input', 'output' or 'temp'.  `order` lists the dimensions from the outermost in
    memory to the innermost; inputs and outputs lie in row-major order.
    """

    __slots__ = ("dtype", "kind", "name", "order", "places", "shape", "strides")

    def __init__(self, name: str, shape: tuple[int, ...], dtype: DType, kind: str) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.kind = kind
        self.lay(tuple(range(len(shape))))

    def lay(self, order: tuple[int, ...]) -> None:
        """Sets the order of the dimensions in memory."""
        self.order = order
        strides = [0] * len(self.shape)
        step = 1
        for d in reversed(order):
            strides[d] = step
            step *= self.shape[d]
        self.strides = tuple(strides)
        self.places: dict[tuple[Index, ...], Index] = {}  # found so far

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    def place(self, index: tuple[Index, ...]) -> Index:
        """Where an element lies, in elements from the start."""
        found = self.places.get(index)
        if found is None:
            found = ix.constant(0)
            for i, stride in zip(index, self.strides, strict=True):
                found = found + i * stride
            found = self.places[index] = found.joined()
        return found

    def __repr__(self) -> str:
        return self.name


class Expr:
    """One scalar value; see the grammar above.  `at` holds what is no expression."""

    __slots__ = ("args", "at", "below", "cost", "dtype", "free", "op")

    def __init__(
        self, op: str, args: tuple[Expr, ...], dtype: DType, free: int, cost: int, at: Any = None
    ) -> None:
        self.op = op
        self.args = args
        self.dtype = dtype
        self.free = free
        self.cost = cost
        self.at = at
        self.below: list[Expr] | None = None  # what `walk` has found

    def __repr__(self) -> str:
        return Writer().expr(self)


COSTS = {
    "exp": 12, "log": 14, "tanh": 16, "sigmoid": 16, "erf": 20, "sin": 20, "cos": 20, "pow": 40,
    "log1p": 16, "expm1": 16, "softplus": 24, "div": 4, "sqrt": 6, "rsqrt": 6, "remainder": 12,
    "floor_div": 12,
}  # fmt: skip
"""What functions cost against an addition: whether to compute a value again or to keep it."""

COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
UNARY = (
    "neg", "abs", "sign", "floor", "round", "sqrt", "rsqrt", "exp", "expm1", "log", "log1p", "sin",
    "cos", "tanh", "sigmoid", "softplus", "erf", "relu", "not",
)  # fmt: skip
BINARY = (
    "add", "sub", "mul", "div", "floor_div", "remainder", "pow", "maximum", "minimum", "and", "or",
    "xor", *sorted(COMPARISONS),
)  # fmt: skip
START: dict[str, Callable[[DType], Any]] = {
    "sum": lambda d: False if d.kind == "b" else 0,
    "dot": lambda d: 0,
    "prod": lambda d: 1,
    "max": lambda d: -np.inf if d.kind == "f" else False if d.kind == "b" else np.iinfo(d).min,
    "min": lambda d: np.inf if d.kind == "f" else True if d.kind == "b" else np.iinfo(d).max,
}
"""What a combination of no elements gives."""


class Builder:
    """Makes expressions, each once, and axes.  This is the `b` that ops are handed."""

    def __init__(self) -> None:
        self.made: dict[Any, Expr] = {}
        self.axes: list[Axis] = []
        self.guards: Expr | None = None

    # ------------------------------------------------------------ leaves

    def axis(self, name: str, extent: int) -> Axis:
        """A new loop variable."""
        made = Axis(f"{name}{len(self.axes)}", extent, 1 << len(self.axes))
        self.axes.append(made)
        return made

    def const(self, value: Any, dtype: DType) -> Expr:
        """A number."""
        value = dtype.type(value).item()
        key = ("const", repr(value), dtype)
        found = self.made.get(key)
        if found is None:
            found = self.made[key] = Expr("const", (), dtype, 0, 0, value)
        return found

    def whole(self, index: Index, dtype: DType = dtypes.int64) -> Expr:
        """An index as a number to compute with."""
        key = ("index", index)
        found = self.made.get(key)
        if found is None:
            found = Expr("index", (), dtypes.int64, index.free, 1, index)
            self.made[key] = found
        return self.cast(found, dtype)

    def load(self, buffer: Buffer, index: tuple[Index, ...], guard: Expr | None = None) -> Expr:
        """An element of memory; `guard` says where it is read, if not what the block says."""
        guard = self.guards if guard is None else guard
        key = ("load", buffer, index, guard)
        found = self.made.get(key)
        if found is None:
            free = 0
            for i in index:
                free |= i.free
            args: tuple[Expr, ...] = ()
            if guard is not None:
                free |= guard.free
                args = (guard,)
            found = Expr("load", args, buffer.dtype, free, 1, (buffer, index))
            self.made[key] = found
        return found

    @contextmanager
    def within(self, index: Index, low: int, high: int) -> Iterator[Expr]:
        """In the block memory is only read where low <= index < high; gives that condition."""
        at_least, at_most = index.bounds
        inside = self.const(True, dtypes.bool_)
        if at_least < low:
            inside = self.op("ge", self.whole(index), self.const(low, dtypes.int64))
        if at_most >= high:
            below = self.op("lt", self.whole(index), self.const(high, dtypes.int64))
            inside = self.op("and", inside, below)
        outer = self.guards
        if inside.op != "const":
            self.guards = inside if outer is None else self.op("and", outer, inside)
        try:
            yield inside
        finally:
            self.guards = outer

    def read(self, x: Expr, size: int) -> Index:
        """A computed whole number as an index, kept within [0, size)."""
        return ix.read(self.cast(x, dtypes.int64), size)

    # ------------------------------------------------------------ functions

    def op(self, name: str, *args: Expr, dtype: DType | None = None) -> Expr:
        """A function of expressions of one type (see the tables of `scalar`)."""
        if args[0].dtype.kind == "b" and name in ("and", "or", "not"):
            folded = self._logic(name, args)
            if folded is not None:
                return folded
        if dtype is None:
            dtype = dtypes.bool_ if name in COMPARISONS else args[-1].dtype
        key = (name, *map(id, args), dtype)
        found = self.made.get(key)
        if found is None:
            free, cost = 0, COSTS.get(name, 1)
            for a in args:
                free |= a.free
                cost += a.cost
            found = self.made[key] = Expr(name, args, dtype, free, cost)
        return found

    def _logic(self, name: str, args: tuple[Expr, ...]) -> Expr | None:
        """Logic with a known operand; None where nothing is known."""
        known = [a for a in args if a.op == "const"]
        if name == "not":
            return self.const(not known[0].at, dtypes.bool_) if known else None
        for a, other in (args, args[::-1]):
            if a.op == "const":  # true and x = x, false or x = x; else the constant decides
                return other if a.at is (name == "and") else a
        return None

    def cast(self, x: Expr, dtype: DType) -> Expr:
        """The same value in another type."""
        if x.dtype == dtype:
            return x
        if x.op == "const":
            return self.const(np.dtype(x.dtype).type(x.at).astype(dtype), dtype)
        return self.op("cast", x, dtype=dtype)

    def reduce(
        self, kind: str, sizes: Sequence[int], body: Callable[..., Expr], name: str = "k"
    ) -> Expr:
        """All values of `body` over new axes combined: in a fixed order, whatever the threads."""
        return self._reduce(kind, sizes, body, name, BLOCK)

    def _reduce(
        self, kind: str, sizes: Sequence[int], body: Callable[..., Expr], name: str, most: int
    ) -> Expr:
        """A sum of more terms than `most` is one of blocks."""
        pieces = cut(sizes, most) if kind == "sum" and 0 not in sizes else None
        if pieces is not None:
            return self._blocks(sizes, body, name, *pieces)
        axes = tuple(self.axis(name, n) for n in sizes if n != 1)
        left = iter(axes)
        inner = body(tuple(ix.along(next(left)) if n != 1 else ix.constant(0) for n in sizes))
        return self.combine(kind, axes, inner)

    def _blocks(
        self, sizes: Sequence[int], body: Callable[..., Expr], name: str, d: int, size: int
    ) -> Expr:
        """A sum with dimension d cut into pieces; what is left of it is added last."""
        before, n, behind = sizes[:d], sizes[d], sizes[d + 1 :]

        def block(o: tuple[Index, ...]) -> Expr:
            return self._reduce("sum", (size, *behind), lambda i: body(
                (*o[:-1], o[-1] * size + i[0], *i[1:])), name, BLOCK)  # fmt: skip

        total = self._reduce("sum", (*before, n // size), block, name, BLOCKS)
        rest = n % size
        if not rest:
            return total
        ends = self._reduce("sum", (*before, rest, *behind), lambda i: body(
            (*i[:d], i[d] + (n - rest), *i[d + 1 :])), name, BLOCK)  # fmt: skip
        return self.op("add", total, ends)

    def combine(self, kind: str, axes: tuple[Axis, ...], inner: Expr) -> Expr:
        """`inner` combined over axes."""
        if not axes:
            return inner
        free, count = inner.free, 1
        for a in axes:
            free &= ~a.bit
            count *= a.extent
        op = "dot" if kind == "dot" else "reduce"
        key = (op, kind, axes, id(inner))
        found = self.made.get(key)
        if found is None:
            found = Expr(op, (inner,), inner.dtype, free, inner.cost * max(count, 1), (kind, axes))
            self.made[key] = found
        return found

    if TYPE_CHECKING:  # the functions that one name stands for are made below

        def __getattr__(self, name: str) -> Callable[..., Expr]: ...

    def select(self, condition: Expr, a: Expr, b: Expr) -> Expr:
        """a where the condition holds, else b."""
        if condition.op == "const":
            return a if condition.at else b
        return a if a is b else self.op("select", condition, a, b, dtype=a.dtype)

    # ------------------------------------------------------------ what ops call

    def like(self, value: Any, x: Expr) -> Expr:
        """A number in the type of x."""
        return self.const(value, x.dtype)

    def index(self, value: int) -> Index:
        """An index that is one number."""
        return ix.constant(value)

    along = staticmethod(ix.along)
    flatten = staticmethod(ix.flatten)
    unflatten = staticmethod(ix.unflatten)

    def zero(self, dtype: DType) -> Callable[..., Expr]:
        """A function of indices that is 0 everywhere."""
        return lambda i: self.const(0, dtype)

    @contextmanager
    def within_all(self, index: Sequence[Index], shape: Sequence[int]) -> Iterator[Expr]:
        """`within` for every dimension of a shape."""
        inside = self.const(True, dtypes.bool_)
        with ExitStack() as guards:
            for i, n in zip(index, shape, strict=True):
                inside = self.both(inside, guards.enter_context(self.within(i, 0, n)))
            yield inside

    def truth(self, x: Expr) -> Expr:
        """Whether x is not 0."""
        return x if x.dtype.kind == "b" else self.ne(x, self.like(0, x))

    def shr(self, x: Expr, count: int) -> Expr:
        """The bits of x moved down."""
        return self.op("shr", x, self.like(count, x)) if count else x

    def shl(self, x: Expr, count: int) -> Expr:
        """The bits of x moved up."""
        return self.op("shl", x, self.like(count, x)) if count else x

    def bits(self, x: Expr, dtype: DType) -> Expr:
        """The bits of x read as another type of the same size."""
        return self.op("bits", x, dtype=dtype)

    def frexp(self, x: Expr) -> tuple[Expr, Expr]:
        """(m, e) with x = m 2^e, 1/2 <= m < 1, for positive normal float64; e is a float64."""
        whole = self.bits(x, dtypes.int64)
        biased = self.cast(self.shr(whole, 52), dtypes.float64)
        fraction = self.op("and", whole, self.like((1 << 52) - 1, whole))
        mantissa = self.bits(self.op("or", fraction, self.like(1022 << 52, whole)), x.dtype)
        return mantissa, self.sub(biased, self.like(1022.0, x))


def _function(name: str) -> Callable[..., Expr]:
    def method(self: Builder, *args: Expr) -> Expr:
        return self.op(name, *args)

    return method


for _name in (*UNARY, *BINARY, "fma"):
    setattr(Builder, {"and": "both", "or": "either", "not": "negated"}.get(_name, _name),
            _function(_name))  # fmt: skip


def rebuilt(make: Builder, e: Expr, args: Sequence[Expr]) -> Expr:
    """An expression, neither a load nor an index, with other operands."""
    if e.op in ("reduce", "dot"):
        return make.combine(*e.at, *args)
    return make.op(e.op, *args, dtype=e.dtype)


def substitute(make: Builder, e: Expr, known: dict[int, Expr]) -> Expr:
    """An expression with others in the place of some; `known` grows by what was looked at."""
    found = known.get(id(e))
    if found is None:
        args = tuple([substitute(make, a, known) for a in e.args])
        same = all(a is b for a, b in zip(args, e.args, strict=True))
        found = known[id(e)] = e if same or e.op == "load" else rebuilt(make, e, args)
    return found


def walk(expr: Expr, seen: set[int] | None = None) -> list[Expr]:
    """Every expression below and including this one, once; operands first.

    seen: those that are left out, with what only they lead to; what is found is added.
    """
    if seen is None:
        if expr.below is None:
            expr.below = walk(expr, set())
        return expr.below
    found: list[Expr] = []
    stack = [(expr, False)]
    while stack:
        e, done = stack.pop()
        if done:
            found.append(e)
        elif id(e) not in seen:
            seen.add(id(e))
            if e.args or e.op in ("load", "index"):
                stack.append((e, True))
                stack.extend([(a, False) for a in parts(e)])
            else:
                found.append(e)
    return found
