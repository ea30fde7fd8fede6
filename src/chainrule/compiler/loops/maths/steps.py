"""Functions of a step or two."""

from __future__ import annotations

from ..expr import Builder, Expr
from .number import at_least


def relu(make: Builder, x: Expr) -> Expr:
    """max(x, 0); nan stays nan."""
    return at_least(make, 0, x)


def sign(make: Builder, x: Expr) -> Expr:
    """-1, 0 or 1; nan stays nan."""
    zero, one = make.like(0, x), make.like(1, x)
    y = make.add(x, zero) if x.dtype.kind == "f" else x  # -0 becomes 0
    if x.dtype.kind != "u":
        y = make.select(make.lt(x, zero), make.like(-1, x), y)
    return make.select(make.gt(x, zero), one, y)


def rsqrt(make: Builder, x: Expr) -> Expr:
    """1 / sqrt(x), a root and a division: within 1 ulp."""
    return make.div(make.like(1.0, x), make.sqrt(x))
