"""Functions of a step or two."""

from __future__ import annotations

from ..expr import Builder, Expr
from .number import at_least


def relu(make: Builder, x: Expr) -> Expr:
    """max(x, 0); nan stays nan."""
    return at_least(make, 0, x)


def sign(make: Builder, x: Expr) -> Expr:
    """-1, 0 or 1; nan stays nan."""
    zero = make.like(0, x)
    one = make.like(1, x)
    y = make.select(make.gt(x, zero), one, x)
    if x.dtype.kind == "u":
        return y
    return make.select(make.lt(x, zero), make.like(-1, x), y)


def rsqrt(make: Builder, x: Expr) -> Expr:
    """1 / sqrt(x), a root and a division: within 1 ulp."""
    return make.div(make.like(1.0, x), make.sqrt(x))
