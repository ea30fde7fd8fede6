"""floor_div and remainder, with the sign of the divisor, as NumPy has them."""

from __future__ import annotations

import numpy as np

from .... import dtypes
from ..expr import Builder, Expr
from .number import at_most, head, sign_bit, with_sign


def floor_div(make: Builder, a: Expr, b: Expr) -> Expr:
    """floor(a / b); of whole numbers 0 where b = 0."""
    if a.dtype.kind == "f":
        return _floats(make, a, b)[0]
    return _whole_numbers(make, a, b)[0]


def remainder(make: Builder, a: Expr, b: Expr) -> Expr:
    """a - floor(a / b) b without a rounding; of whole numbers 0 where b = 0."""
    if a.dtype.kind == "f":
        return _floats(make, a, b)[1]
    return _whole_numbers(make, a, b)[1]


def _whole_numbers(make: Builder, a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """The quotient and the remainder; `idiv` meets no divisor that could trap."""
    zero, one = make.like(0, a), make.like(1, a)
    none = make.eq(b, zero)
    if a.dtype.kind == "u":
        q = make.op("idiv", a, make.select(none, one, b))
        r = make.sub(a, make.mul(q, b))
        return make.select(none, zero, q), make.select(none, zero, r)
    minus = make.eq(b, make.like(-1, b))  # the smallest number by -1 is no number: it wraps
    q = make.op("idiv", a, make.select(make.either(none, minus), one, b))
    r = make.sub(a, make.mul(q, b))
    apart = make.lt(make.xor(r, b), zero)
    down = make.both(make.ne(r, zero), apart)
    q, r = make.select(down, make.sub(q, one), q), make.select(down, make.add(r, b), r)
    q, r = make.select(minus, make.neg(a), q), make.select(minus, zero, r)
    return make.select(none, zero, q), make.select(none, zero, r)


def _floats(make: Builder, a: Expr, b: Expr) -> tuple[Expr, Expr]:
    """The quotient and the remainder from the exact remainder of the sizes."""
    zero, one = make.like(0.0, a), make.like(1.0, a)
    inf = make.like(np.inf, a)
    size, by = make.abs(a), make.abs(b)
    usual = make.both(make.gt(by, zero), make.lt(by, inf))
    rest = _rest(make, size, make.select(usual, by, one))
    rest = make.select(make.eq(by, inf), size, rest)
    rest = make.select(make.lt(size, inf), rest, make.like(np.nan, a))
    r = with_sign(make, rest, sign_bit(make, a))
    clean = make.eq(r, zero)
    apart = make.xor(make.lt(r, zero), make.lt(b, zero))
    moved = make.both(apart, make.ne(r, zero))
    q = make.div(make.sub(a, r), b)
    q = make.select(moved, make.sub(q, one), q)
    r = make.select(moved, make.add(r, b), r)
    r = make.select(clean, with_sign(make, zero, sign_bit(make, b)), r)
    down = make.floor(q)
    down = make.select(make.gt(make.sub(q, down), make.like(0.5, q)), make.add(down, one), down)
    ratio = make.div(a, b)
    flat = with_sign(make, zero, sign_bit(make, ratio))
    q = make.select(make.eq(q, zero), flat, down)
    nothing = make.eq(b, zero)
    nan = make.like(np.nan, a)
    bad = make.ne(b, b)
    q = make.select(nothing, ratio, make.select(bad, nan, q))
    return q, make.select(make.either(nothing, bad), nan, r)


def _rest(make: Builder, a: Expr, b: Expr) -> Expr:
    """The remainder of finite sizes, b > 0: long division, some bits of the quotient a step.

    A step takes so few bits of the quotient that its product with b is exact, and so is what is
    left.  float32 goes through all the bits that a quotient can have, float64 through the first
    115: where a is at least that many powers of two times b, 0 stands for the rest.
    """
    if a.dtype == dtypes.float32:
        wide, by = make.cast(a, dtypes.float64), make.cast(b, dtypes.float64)
        return make.cast(_long_division(make, wide, by, 11, 26), a.dtype)
    return _long_division(make, a, b, 5, 29)


def _long_division(make: Builder, a: Expr, b: Expr, steps: int, cleared: int) -> Expr:
    zero = make.like(0.0, b)
    narrow = cleared == 26  # the product with all of b is exact
    first = b if narrow else head(make, b, 27)
    for _ in range(steps):
        quotient = at_most(make, 2.0**1023, make.div(a, b))
        q = make.floor(head(make, quotient, cleared))
        a = make.sub(a, make.mul(q, first))
        if not narrow:
            a = make.sub(a, make.mul(q, make.sub(b, first)))
    a = make.select(make.lt(a, zero), make.add(a, b), a)  # a quotient was rounded up
    return make.select(make.ge(a, b), zero, a)
