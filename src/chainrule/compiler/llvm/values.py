"""Expressions as instructions: each computed once, in the outermost loop where it can be.

A vector stands for consecutive places of one axis, the vector axis; an expression that does not
depend on it stays a scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ...dtypes import DType
from ..loops.expr import Buffer, Expr
from ..loops.index import Axis, Index, Part
from ..loops.maths import SPELLED
from ..loops.program import Program
from .scalar import Scalars, suffix
from .target import Target
from .text import SCALARS, Function, V, const, whole


class Values:
    """What is known at the place where code is written, and how to get what is not."""

    def __init__(self, f: Function, program: Program, target: Target) -> None:
        self.f = f
        self.source = program
        self.make = program.make
        self.target = target
        self.scalars = Scalars(f, target)
        self.pointers: dict[str, V] = {}  # of buffers
        self.axes: dict[Axis, V] = {}  # of the loops that are open
        self.open = 0  # those axes as a set
        self.lane_axis: Axis | None = None
        self.lanes = 0
        self.mask: V | None = None  # lanes that count, where not all do
        self.scopes: list[dict[Any, V]] = [{}]

    def size(self, n: int, key: Any) -> V:
        """A size or a step: an argument of the function, which then serves nests of other sizes.

        key: what the number is; equal keys are one argument.
        """
        if n in (0, 1):
            return whole(n)
        return self.f.argument(n, key)

    # ------------------------------------------------------------ scopes

    def push(self) -> None:
        """Enters a loop: what is computed from here on is forgotten at `pop`."""
        self.scopes.append({})

    def pop(self) -> None:
        """Leaves a loop."""
        self.scopes.pop()

    def found(self, key: Any) -> V | None:
        """A value that was computed before and still holds."""
        for scope in reversed(self.scopes):
            if key in scope:
                return scope[key]
        return None

    def keep(self, key: Any, v: V) -> V:
        """Remembers a value to the end of the loop."""
        self.scopes[-1][key] = v
        return v

    def hoist(self, exprs: Sequence[Expr], inner: int, given: Expr | None = None) -> None:
        """Computes now what does not depend on the axes that are still to be opened."""
        for e in self.settled(exprs, inner, given):
            self.value(e)

    def settled(
        self, exprs: Sequence[Expr], inner: int, given: Expr | None = None
    ) -> Iterator[Expr]:
        """The parts of expressions that depend on axes that are open, and on none of `inner`.

        given: a part whose value comes from elsewhere, so that nobody asks for what it is made of.
        """
        seen: set[int] = set() if given is None else {id(given)}
        stack = list(exprs)
        while stack:
            e = stack.pop()
            if id(e) in seen or e.op == "const":
                continue
            seen.add(id(e))
            if not e.free & inner and not e.free & ~self.open:
                yield e
            else:
                stack.extend(e.args)
                for i in e.at[1] if e.op == "load" else ():
                    stack.extend(i.expressions())

    # ------------------------------------------------------------ expressions

    def value(self, e: Expr) -> V:
        """The value of an expression here."""
        if e.op == "const":
            return const(e.at, e.dtype)
        key = id(e)
        found = self.found(key)
        return self.keep(key, self.compute(e)) if found is None else found

    def compute(self, e: Expr) -> V:
        """Emits an expression."""
        if e.op == "load":
            return self.load(e)
        if e.op == "index":
            return self.index(e.at)
        if e.op in ("reduce", "dot"):
            return self.combine(e)
        if e.op in SPELLED:
            return self.spelled(e)
        return self.scalars.emit(e, [self.value(a) for a in e.args])

    def spelled(self, e: Expr) -> V:
        """A function that is no instruction, from those that are.

        Operands first: from the top of a long polynomial it would be a long way down to them.
        """
        for a in e.args:
            self.value(a)
        return self.value(SPELLED[e.op](self.make, *e.args))

    def combine(self, e: Expr) -> V:
        """Many values as one; see `nest`."""
        raise NotImplementedError

    # ------------------------------------------------------------ indices

    def varies(self, free: int) -> bool:
        """Whether something differs from lane to lane."""
        return self.lane_axis is not None and bool(free & self.lane_axis.bit)

    def index(self, i: Index) -> V:
        """An index as a whole number, or as one for each lane."""
        key = ("index", i)
        found = self.found(key)
        if found is not None:
            return found
        return self.keep(key, self.total(i, self.atom))

    def first(self, i: Index) -> V:
        """The index of the first lane, for one that moves evenly from lane to lane."""
        key = ("first", i)
        found = self.found(key)
        if found is not None:
            return found
        axis = self.lane_axis
        return self.keep(key, self.total(i, lambda a: self.axes[axis] if a is axis else
                                         self.atom(a)))  # fmt: skip

    def total(self, i: Index, atom: Callable[[Any], V]) -> V:
        """The sum that an index is, what belongs to outer loops first."""
        total: V | None = None
        for a, c in self.sorted_by_depth(list(i.terms.items())):
            v = atom(a)
            if c != 1:
                v = self.f.binary("mul", *self.f.alike(v, self.size(c, (i, a))))
            total = v if total is None else self.f.binary("add", *self.f.alike(total, v))
        if total is None:
            return self.size(i.const, (i, None))
        if i.const:
            total = self.f.binary("add", *self.f.alike(total, self.size(i.const, (i, None))))
        return total

    def sorted_by_depth(self, terms: list[tuple[Any, int]]) -> list[tuple[Any, int]]:
        """Terms of outer loops first."""
        order = list(self.axes)
        return sorted(terms, key=lambda t: order.index(t[0]) if t[0] in self.axes else len(order))

    def atom(self, atom: Any) -> V:
        """The value of one part of an index."""
        key = ("atom", atom)
        found = self.found(key)
        if found is not None:
            return found
        if isinstance(atom, Axis):
            v = self.axes[atom]
            if atom is self.lane_axis and self.lanes:
                steps = ", ".join(f"i64 {n}" for n in range(self.lanes))
                v = self.f.binary("add", self.f.splat(v, self.lanes),
                                  V(f"<{steps}>", "i64", self.lanes))  # fmt: skip
        elif isinstance(atom, Part):
            v = self.part(atom)
        else:
            v = self.clamped(self.value(atom.expr), atom.bounds[1])
        return self.keep(key, v)

    def part(self, atom: Part) -> V:
        """index // by or index % by, rounded down for negative ones as well."""
        v = self.index(atom.index)
        low, high = atom.index.bounds
        lift = -(low // atom.by) * atom.by if low < 0 else 0
        if lift:
            v = self.f.binary("add", *self.f.alike(v, whole(lift)))
        narrow = high + lift < 2**31
        if narrow:  # divisions of vectors of short numbers are multiplications
            v = self.f.emit(f"trunc {v} to {_typed('i32', v.lanes)}", "i32", v.lanes)
        by = V(str(atom.by), v.scalar)
        v = self.f.binary("udiv" if atom.sign == "//" else "urem", *self.f.alike(v, by))
        if narrow:
            v = self.f.emit(f"zext {v} to {_typed('i64', v.lanes)}", "i64", v.lanes)
        if lift and atom.sign == "//":
            v = self.f.binary("sub", *self.f.alike(v, whole(lift // atom.by)))
        return v

    def clamped(self, v: V, top: int) -> V:
        """A number that was read, kept within [0, top]: memory stays safe whatever it is."""
        for name, bound in (("smax", 0), ("smin", top)):
            args = self.f.alike(v, whole(bound))
            v = self.f.call(f"llvm.{name}.{suffix(args[0])}", args, "i64", args[0].lanes)
        return v

    # ------------------------------------------------------------ memory

    def place(self, buffer: Buffer, index: tuple[Index, ...]) -> tuple[V, int | None]:
        """(pointer or pointers, step from lane to lane): 0 one place, 1 neighbours, None any."""
        flat = buffer.place(index)
        scalar = memory_type(buffer.dtype)
        base = self.pointers[buffer.name]
        if not self.varies(flat.free):
            return self.f.shifted(base, self.index(flat), scalar), 0
        assert self.lane_axis is not None
        step = flat.coefficient(self.lane_axis)
        if step is None:
            return self.f.shifted(base, self.index(flat), scalar), None
        lanes = self.lanes
        first = self.f.shifted(base, self.first(flat), scalar)
        if step == 1:
            return first, 1
        steps = ", ".join(f"i64 {n * step}" for n in range(lanes))
        offsets = V(f"<{steps}>", "i64", lanes)
        return self.f.shifted(first, offsets, scalar), None

    def load(self, e: Expr) -> V:
        """An element of memory, or one for each lane."""
        buffer, index = e.at
        guard = self.value(e.args[0]) if e.args else None
        if guard is None and not self.varies(e.free):
            pointer, _ = self.place(buffer, index)
            return self.truth(self.read(pointer, buffer.dtype), buffer.dtype)
        if not self.varies(e.free):
            assert guard is not None
            return self.guarded(buffer, index, guard)
        pointer, step = self.place(buffer, index)
        mask = self.mask_with(guard)
        if step == 0:  # one place that is read or not from lane to lane
            v = self.guarded_once(pointer, buffer.dtype, mask)
        elif step == 1:
            v = self.read_row(pointer, buffer.dtype, mask)
        else:
            v = self.read_places(pointer, buffer.dtype, mask)
        return self.truth(v, buffer.dtype)

    def mask_with(self, guard: V | None) -> V | None:
        """The lanes that count and whose guard holds."""
        if guard is None:
            return self.mask
        guard = self.f.splat(guard, self.lanes)
        return guard if self.mask is None else self.f.binary("and", self.mask, guard)

    def read(self, pointer: V, dtype: DType) -> V:
        """One element."""
        scalar = memory_type(dtype)
        return self.f.emit(f"load {scalar}, {pointer}, align {dtype.itemsize}", scalar)

    def read_row(self, pointer: V, dtype: DType, mask: V | None) -> V:
        """Neighbours."""
        scalar, lanes = memory_type(dtype), self.lanes
        if mask is None:
            text = f"load <{lanes} x {scalar}>, {pointer}, align {dtype.itemsize}"
            return self.f.emit(text, scalar, lanes)
        zero = V("zeroinitializer", scalar, lanes)
        name = f"llvm.masked.load.{suffix(zero)}.p0"
        align = V(str(dtype.itemsize), "i32")
        return self.f.call(name, [pointer, align, mask, zero], scalar, lanes)

    def read_places(self, pointers: V, dtype: DType, mask: V | None) -> V:
        """An element from each of several places."""
        scalar, lanes = memory_type(dtype), self.lanes
        zero = V("zeroinitializer", scalar, lanes)
        mask = mask or self.f.splat(V("true", "i1"), lanes)
        name = f"llvm.masked.gather.{suffix(zero)}.v{lanes}p0"
        align = V(str(dtype.itemsize), "i32")
        return self.f.call(name, [pointers, align, mask, zero], scalar, lanes)

    def guarded(self, buffer: Buffer, index: tuple[Index, ...], guard: V) -> V:
        """An element that is read only where a guard holds; else 0."""
        flat = self.index(buffer.place(index))
        if not buffer.size:
            return const(0, buffer.dtype)
        safe = self.scalars.select(guard, flat, whole(0))
        pointer = self.f.shifted(self.pointers[buffer.name], safe, memory_type(buffer.dtype))
        v = self.truth(self.read(pointer, buffer.dtype), buffer.dtype)
        return self.scalars.select(guard, v, const(0, buffer.dtype))

    def guarded_once(self, pointer: V, dtype: DType, mask: V | None) -> V:
        """The same for lanes that share their place."""
        assert mask is not None
        pointers = self.f.splat(pointer, self.lanes)
        return self.read_places(pointers, dtype, mask)

    def truth(self, v: V, dtype: DType) -> V:
        """Memory holds a bool as a byte."""
        if dtype.kind != "b":
            return v
        zero = "zeroinitializer" if v.lanes else "0"
        return self.f.emit(f"icmp ne {v}, {zero}", "i1", v.lanes)

    def stored(self, v: V, dtype: DType) -> V:
        """A value as memory holds it."""
        if dtype.kind != "b":
            return v
        return self.f.emit(f"zext {v} to {_typed('i8', v.lanes)}", "i8", v.lanes)

    def store(self, buffer: Buffer, index: tuple[Index, ...], v: V) -> None:
        """Writes an element, or one for each lane."""
        pointer, step = self.place(buffer, index)
        v = self.stored(v, buffer.dtype)
        if self.lanes and step != 0:
            v = self.f.splat(v, self.lanes)
        align = V(str(buffer.dtype.itemsize), "i32")
        if step == 0 or (step == 1 and self.mask is None):
            self.f.do(f"store {v}, {pointer}, align {align.ref}")
        elif step == 1:
            name = f"llvm.masked.store.{suffix(v)}.p0"
            self.f.call_void(name, [v, pointer, align, self.mask_with(None) or v])
        else:
            mask = self.mask or self.f.splat(V("true", "i1"), self.lanes)
            name = f"llvm.masked.scatter.{suffix(v)}.v{self.lanes}p0"
            self.f.call_void(name, [v, pointer, align, mask])


def _typed(scalar: str, lanes: int) -> str:
    return f"<{lanes} x {scalar}>" if lanes else scalar


def memory_type(dtype: DType) -> str:
    """The type of an element in memory: bools take a byte."""
    return "i8" if dtype.kind == "b" else SCALARS[dtype]


def mask_of(count: int, lanes: int) -> str:
    """The first lanes, as a constant."""
    bits = ", ".join(f"i1 {'true' if n < count else 'false'}" for n in range(lanes))
    return f"<{bits}>"


def first_lanes(f: Function, count: V, lanes: int) -> V:
    """The first lanes, as many as is known when it runs."""
    few = f.splat(f.emit(f"trunc {count} to i32", "i32"), lanes)
    numbers = V(f"<{', '.join(f'i32 {n}' for n in range(lanes))}>", "i32", lanes)
    return f.emit(f"icmp ult {numbers}, {few.ref}", "i1", lanes)
