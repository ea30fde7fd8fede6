"""Machine instructions for the functions that expressions are made of in the end.

Each takes values of one type, scalars or vectors, and gives one: `emit(f, expr, args)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import dtypes
from ...dtypes import DType
from ..loops.expr import COMPARISONS, Expr
from .target import Target
from .text import SCALARS, Function, V, const

FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
WHOLE = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
LOGIC = {"add": "or", "mul": "and", "and": "and", "or": "or", "xor": "xor", "maximum": "or",
         "minimum": "and"}  # fmt: skip
ORDERED = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
INTRINSIC = {"abs": "fabs", "sqrt": "sqrt", "floor": "floor", "round": "roundeven"}


def suffix(v: V) -> str:
    """How intrinsics name a type: f32, v16f32, ..."""
    scalar = {"float": "f32", "double": "f64"}.get(v.scalar, v.scalar)
    return f"v{v.lanes}{scalar}" if v.lanes else scalar


class Scalars:
    """Emits functions of expressions for one target."""

    def __init__(self, f: Function, target: Target) -> None:
        self.f = f
        self.target = target

    def emit(self, e: Expr, args: list[V]) -> V:
        """The value of an expression from those of its operands."""
        name = e.op
        if name == "cast":
            return self.cast(args[0], e.args[0].dtype, e.dtype)
        if name == "bits":
            return self.bits(args[0], e.dtype)
        args = self.f.alike(*args)
        dtype = e.args[-1].dtype
        if name in COMPARISONS:
            return self.compare(name, args[0], args[1], dtype)
        if name == "select":
            return self.select(*args)
        special: dict[str, Callable[..., V]] = {
            "fma": self.fma, "maximum": self.extremum, "minimum": self.extremum,
            "not": self.negated, "neg": self.neg, "shl": self.shift, "shr": self.shift,
            "idiv": self.divided, "irem": self.divided,
        }  # fmt: skip
        if name in INTRINSIC:
            return self.intrinsic(name, args[0], dtype)
        if name in special and not (dtype.kind == "b" and name in LOGIC):
            return special[name](name, args, dtype)
        table = {"f": FLOAT, "b": LOGIC}.get(dtype.kind, WHOLE)
        return self.f.binary(table[name], args[0], args[1])

    def compare(self, name: str, a: V, b: V, dtype: DType) -> V:
        """A comparison."""
        if dtype.kind == "f":
            text = f"fcmp {ORDERED[name]} {a.type} {a.ref}, {b.ref}"
        else:
            sign = "" if name in ("eq", "ne") else "s" if dtype.kind == "i" else "u"
            text = f"icmp {sign}{name} {a.type} {a.ref}, {b.ref}"
        return self.f.emit(text, "i1", a.lanes)

    def select(self, c: V, a: V, b: V) -> V:
        """One of two values."""
        return self.f.emit(f"select {c}, {a}, {b}", a.scalar, a.lanes)

    def intrinsic(self, name: str, x: V, dtype: DType) -> V:
        """A function that the processor has."""
        if dtype.kind in "ub":
            return x
        if dtype.kind == "i":  # of whole numbers only |x| changes anything
            if name != "abs":
                return x
            less = self.compare("lt", x, self.like(0, x, dtype), dtype)
            return self.select(less, self.neg("neg", [x], dtype), x)
        if name in ("floor", "round") and not self.target.rounds:
            return self.rounded(name, x, dtype)
        return self.f.call(f"llvm.{INTRINSIC[name]}.{suffix(x)}", [x], x.scalar, x.lanes)

    def rounded(self, name: str, x: V, dtype: DType) -> V:
        """floor and round where no instruction does it: adding a large number cuts the fraction."""
        large = self.like(2.0 ** (23 if dtype.itemsize == 4 else 52), x, dtype)
        size = self.f.call(f"llvm.fabs.{suffix(x)}", [x], x.scalar, x.lanes)
        cut = self.f.binary("fsub", self.f.binary("fadd", size, large), large)
        signed = self.f.call(f"llvm.copysign.{suffix(x)}", [cut, x], x.scalar, x.lanes)
        y = self.select(self.compare("lt", size, large, dtype), signed, x)
        if name == "round":
            return y
        above = self.compare("gt", y, x, dtype)
        return self.select(above, self.f.binary("fsub", y, self.like(1.0, x, dtype)), y)

    def fma(self, name: str, args: list[V], dtype: DType) -> V:
        """a b + c."""
        a, b, c = args
        if self.target.fma and dtype.kind == "f":
            return self.f.call(f"llvm.fma.{suffix(a)}", args, a.scalar, a.lanes)
        plus, times = ("fadd", "fmul") if dtype.kind == "f" else ("add", "mul")
        return self.f.binary(plus, self.f.binary(times, a, b), c)

    def extremum(self, name: str, args: list[V], dtype: DType) -> V:
        """The greater or the smaller of two; nan where one is."""
        a, b = args
        first = self.compare("gt" if name == "maximum" else "lt", a, b, dtype)
        y = self.select(first, a, b)
        if dtype.kind != "f":
            return y
        return self.select(self.compare("ne", a, a, dtype), a, y)

    def negated(self, name: str, args: list[V], dtype: DType) -> V:
        """not x."""
        return self.f.binary("xor", args[0], self.like(True, args[0], dtype))

    def neg(self, name: str, args: list[V], dtype: DType) -> V:
        """-x."""
        (x,) = args
        if dtype.kind == "f":
            return self.f.emit(f"fneg {x}", x.scalar, x.lanes)
        return self.f.binary("sub", self.like(0, x, dtype), x)

    def shift(self, name: str, args: list[V], dtype: DType) -> V:
        """The bits moved."""
        down = "ashr" if dtype.kind == "i" else "lshr"
        return self.f.binary("shl" if name == "shl" else down, args[0], args[1])

    def divided(self, name: str, args: list[V], dtype: DType) -> V:
        """The quotient or the remainder of whole numbers, cut towards 0."""
        sign = "s" if dtype.kind == "i" else "u"
        return self.f.binary(sign + name[1:], args[0], args[1])

    def cast(self, x: V, old: DType, new: DType) -> V:
        """The value in another type."""
        if new.kind == "b":
            zero = self.like(0, x, old)
            return self.compare("ne", x, zero, old)
        if old.kind == "f" and new.kind != "f" and new.itemsize < 4:  # as in C: by way of int
            return self.cast(self.cast(x, old, dtypes.int32), dtypes.int32, new)
        scalar = SCALARS[new]
        if old.kind == "f":
            if new.kind == "f":
                name = "fpext" if new.itemsize > old.itemsize else "fptrunc"
            else:
                name = "fptosi" if new.kind == "i" else "fptoui"
        elif new.kind == "f":
            name = "sitofp" if old.kind == "i" else "uitofp"
        else:
            before, after = (1 if old.kind == "b" else 8 * old.itemsize), 8 * new.itemsize
            if before == after:
                return x
            name = "trunc" if after < before else "sext" if old.kind == "i" else "zext"
        target = f"<{x.lanes} x {scalar}>" if x.lanes else scalar
        return self.f.emit(f"{name} {x} to {target}", scalar, x.lanes)

    def bits(self, x: V, dtype: DType) -> V:
        """The same bits as another type."""
        scalar = SCALARS[dtype]
        if scalar == x.scalar:
            return x
        target = f"<{x.lanes} x {scalar}>" if x.lanes else scalar
        return self.f.emit(f"bitcast {x} to {target}", scalar, x.lanes)

    def like(self, value: Any, x: V, dtype: DType) -> V:
        """A number with as many lanes as x."""
        made = const(value, dtype)
        return self.f.splat(made, x.lanes) if x.lanes else made
