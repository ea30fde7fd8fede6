"""Entries of the ops that work element by element.

ONNX computes in these types; others go by way of int64, and bools by way of logic.
"""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..dtypes import DType
from .writer import ENTRIES, Entry, Line, Writer, entry

COMPUTED = (dtypes.float32, dtypes.float64, dtypes.int32, dtypes.int64)
PLAIN = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "pow": "Pow",
    "maximum": "Max", "minimum": "Min", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin",
    "cos": "Cos", "tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus", "erf": "Erf",
    "relu": "Relu", "abs": "Abs", "sign": "Sign", "floor": "Floor", "round": "Round",
}  # fmt: skip
COMPARED = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater",
            "ge": "GreaterOrEqual"}  # fmt: skip
OF_BOOLS = {"add": "Or", "mul": "And", "maximum": "Or", "minimum": "And"}
UNCHANGED = ("floor", "round")
"""Whole numbers come out of these as they go in."""


def met(line: Line) -> DType:
    """The type in which the operands of a line meet."""
    op: Any = line.node.op
    dtype: DType = op.meeting_dtype(line.node.inputs)
    return dtype


def computed(write: Entry) -> Entry:
    """An entry in the types that ONNX computes in: others are cast, and cast back."""

    def widened(w: Writer, line: Line) -> str:
        dtype = met(line)
        if dtype in COMPUTED:
            return write(w, line)
        xs = [w.cast(x, dtypes.int64, dtype) for x in line.x]
        ins = [spec._replace(dtype=dtypes.int64) for spec in line.ins]
        y, op = write(w, line._replace(x=xs, ins=ins)), line.node.op
        return y if getattr(op, "boolean", False) else w.cast(y, line.dtype, dtypes.int64)

    return widened


def _plain(kind: str) -> Entry:
    return computed(lambda w, line: w.put(kind, *line.x))


for _name, _kind in PLAIN.items():
    ENTRIES[_name] = _plain(_kind)
for _name, _kind in COMPARED.items():
    ENTRIES[_name] = _plain(_kind)


@entry(*OF_BOOLS, *UNCHANGED, "relu", "abs", "sign")
def with_bools(w: Writer, line: Line) -> str:
    """Arithmetic that bools know too, and steps that whole numbers pass unchanged."""
    dtype = met(line)
    if line.op in UNCHANGED and dtype.kind != "f":
        return line.x[0]
    if dtype.kind == "b" and line.op in OF_BOOLS:
        return w.put(OF_BOOLS[line.op], *line.x)
    if line.op == "relu" and dtype.kind != "f":
        return computed(lambda w, y: w.put("Max", *y.x, w.like(0, y.ins[0].dtype)))(w, line)
    return _plain(PLAIN[line.op])(w, line)


@entry("eq", "ne")
def equal(w: Writer, line: Line) -> str:
    """Bools are compared as they are."""
    alike = w.put("Equal", *line.x) if met(line).kind == "b" else _plain("Equal")(w, line)
    return w.put("Not", alike) if line.op == "ne" else alike


@entry("logical_and", "logical_or", "logical_xor", "logical_not")
def logic(w: Writer, line: Line) -> str:
    """Any number but 0 counts as true."""
    kind = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not"}
    return w.put(kind[line.op], *(w.cast(x, dtypes.bool_, met(line)) for x in line.x))


@entry("where")
def where(w: Writer, line: Line) -> str:
    """A choice; of bools it is made by logic, which more runtimes have."""
    c, a, b = line.x
    if line.dtype.kind != "b":
        wide = line.dtype if line.dtype in COMPUTED else dtypes.int64
        a, b = (w.cast(x, wide, line.dtype) for x in (a, b))
        return w.cast(w.put("Where", c, a, b), line.dtype, wide)
    return w.put("Or", w.put("And", c, a), w.put("And", w.put("Not", c), b))


@entry("cast")
def cast(w: Writer, line: Line) -> str:
    """Another type."""
    return w.cast(line.x[0], line.dtype, line.ins[0].dtype)


@entry("detach")
def detach(w: Writer, line: Line) -> str:
    """The same value: nothing flows back here."""
    return line.x[0]


@entry("rsqrt")
def rsqrt(w: Writer, line: Line) -> str:
    """1 / sqrt(x)."""
    return w.put("Reciprocal", w.put("Sqrt", *line.x))


@entry("expm1")
def expm1(w: Writer, line: Line) -> str:
    """e^x - 1 = 2 t / (1 - t), t = tanh(x / 2), which near 0 loses no digits."""
    (x,), d = line.x, line.dtype
    t = w.put("Tanh", w.put("Mul", x, w.like(0.5, d)))
    near = w.put("Div", w.put("Mul", t, w.like(2, d)), w.put("Sub", w.like(1, d), t))
    far = w.put("Sub", w.put("Exp", x), w.like(1, d))
    is_near = w.put("Less", w.put("Abs", x), w.like(1, d))
    return w.put("Where", is_near, near, far)


@entry("log1p")
def log1p(w: Writer, line: Line) -> str:
    """ln(1 + x) = x ln(u) / (u - 1) with the u that 1 + x is rounded to."""
    (x,), d = line.x, line.dtype
    u = w.put("Add", x, w.like(1, d))
    slope = w.put("Div", w.put("Log", u), w.put("Sub", u, w.like(1, d)))
    ends = w.put("Or", w.put("Equal", u, w.like(1, d)), w.put("Equal", u, w.like(float("inf"), d)))
    return w.put("Where", ends, x, w.put("Mul", x, slope))


def _remainder(w: Writer, a: str, b: str, d: DType) -> str:
    """a - floor(a / b) b: the sign is that of b."""
    if d.kind != "f":
        return w.put("Mod", a, b)
    rest, zero = w.put("Mod", a, b, fmod=1), w.like(0, d)
    differ = w.put("Xor", w.put("Less", rest, zero), w.put("Less", b, zero))
    lifted = w.put("And", differ, w.put("Not", w.put("Equal", rest, zero)))
    return w.put("Where", lifted, w.put("Add", rest, b), rest)


@entry("remainder")
@computed
def remainder(w: Writer, line: Line) -> str:
    """The remainder with the sign of the divisor."""
    a, b = line.x
    return _remainder(w, a, b, line.ins[0].dtype)


@entry("floor_div")
@computed
def floor_div(w: Writer, line: Line) -> str:
    """What is left when the remainder is taken away divides without one."""
    (a, b), d = line.x, line.ins[0].dtype
    y = w.put("Div", w.put("Sub", a, _remainder(w, a, b, d)), b)
    return w.put("Round", y) if d.kind == "f" else y
