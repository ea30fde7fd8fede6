"""One operator or call of C for each function that expressions are made of."""

from __future__ import annotations

from ... import dtypes
from ...dtypes import DType
from ..loops.expr import COMPARISONS, Expr
from . import helpers
from .types import memory_type, suffix

SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "idiv": "/", "irem": "%", "and": "&",
         "or": "|", "xor": "^", "shl": "<<", "shr": ">>"}  # fmt: skip
COMPARED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
LOGIC = {"add": "||", "mul": "&&", "and": "&&", "or": "||", "xor": "!=", "maximum": "||",
         "minimum": "&&"}  # fmt: skip
MATHS = {"exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "sin": "sin",
         "cos": "cos", "tanh": "tanh", "erf": "erf", "sqrt": "sqrt", "floor": "floor",
         "round": "rint", "abs": "fabs", "pow": "pow"}  # fmt: skip
UNCHANGED = ("floor", "round")
"""Whole numbers come out of these as they go in."""
OF_TRUTHS = (*UNCHANGED, "abs", "sign", "relu")
"""And truths out of these."""


class Scalars:
    """Writes functions of operands, and remembers the small functions that this needs."""

    def __init__(self) -> None:
        self.helpers: dict[str, str] = {}

    def text(self, e: Expr, args: list[str]) -> str:
        """An expression of its operands, each of which binds tightly."""
        op, dtype = e.op, e.args[-1].dtype
        if op == "cast":
            return self.cast(args[0], e.args[0].dtype, e.dtype)
        if op == "bits":
            return self.bits(args[0], e.args[0].dtype, e.dtype)
        if op == "select":
            return f"{args[0]} ? {args[1]} : {args[2]}"
        if op in COMPARISONS:
            return f"{args[0]} {COMPARED[op]} {args[1]}"
        if dtype.kind == "b":
            if op in OF_TRUTHS:
                return args[0]
            return f"!{args[0]}" if op == "not" else f"{args[0]} {LOGIC[op]} {args[1]}"
        if op == "fma":
            return f"{args[0]} * {args[1]} + {args[2]}"
        if op == "neg":
            return self.narrowed(f"-{args[0]}", dtype)
        if op in SIGNS:
            return self.signed(SIGNS[op], args, dtype)
        return self.called(op, args, dtype)

    def signed(self, sign: str, args: list[str], dtype: DType) -> str:
        """An operator; whole numbers wrap around, which C promises of unsigned ones only."""
        a, b = args
        if dtype in (dtypes.int32, dtypes.int64) and sign in "+-*":
            kind = memory_type(dtype)
            return f"({kind})((u{kind}){a} {sign} (u{kind}){b})"
        return self.narrowed(f"{a} {sign} {b}", dtype)

    def narrowed(self, text: str, dtype: DType) -> str:
        """C computes with short numbers as ints: the result is one of their own type again."""
        short = dtype.kind in "iu" and dtype.itemsize < 4
        return f"({memory_type(dtype)})({text})" if short else text

    def called(self, op: str, args: list[str], dtype: DType) -> str:
        """A function of <math.h>, or one of our own."""
        given = ", ".join(map(bare, args))
        if (dtype.kind != "f" and op in UNCHANGED) or (op == "abs" and dtype.kind == "u"):
            return args[0]
        if op == "relu" and dtype.kind == "u":
            return args[0]
        text = helpers.helper(op, dtype)
        if text is None:
            return f"{MATHS[op]}{suffix(dtype)}({given})"
        name = helpers.name_of(op, dtype)
        self.helpers[name] = text
        return f"{name}({given})"

    def bits(self, x: str, old: DType, new: DType) -> str:
        """The same bits as another type."""
        if old.kind in "iu" and new.kind in "iu":
            return f"({memory_type(new)}){x}"
        name, self.helpers[name] = helpers.bits(old, new)
        return f"{name}({bare(x)})"

    def cast(self, x: str, old: DType, new: DType) -> str:
        """The value in another type."""
        if new.kind == "b":
            return f"{x} != 0"
        if old.kind == "f" and new.kind != "f" and new.itemsize < 4:  # by way of int, as elsewhere
            return f"({memory_type(new)})(int32_t){x}"
        return f"({memory_type(new)}){x}"

    def clamped(self, x: str, top: int) -> str:
        """A number that was read, as an index."""
        self.helpers["clamped"] = helpers.CLAMPED
        return f"clamped({bare(x)}, {top})"


def bare(text: str) -> str:
    """An operand without the brackets around it, where nothing stands beside it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0 and i < len(text) - 1:
            return text
    return text[1:-1]
