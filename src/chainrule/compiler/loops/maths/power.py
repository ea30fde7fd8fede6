"""pow, by what is known of the exponent."""

from __future__ import annotations

import numpy as np

from .... import dtypes
from ..expr import Builder, Expr
from .coefficients import EXP, EXP2, LOG, LOG2
from .logarithm import number, split, split_any
from .number import (
    FORMATS,
    LN_2,
    LOG2_E,
    at_least,
    at_most,
    head,
    horner,
    power_of_two,
    sign_bit,
)

_LONGEST = 64  # the largest whole exponent that is spelled as multiplications
_LOG2_SCALE = (2.885390043258667, 3.851925982253235e-08)  # 2 / ln 2, the first part of 24 bits


def pow(make: Builder, a: Expr, b: Expr) -> Expr:
    """a^b."""
    known = _known(make, a, b.at) if b.op == "const" else None
    if known is not None:
        return known
    if a.dtype.kind != "f":
        return _of_whole_numbers(make, a, b)
    size = make.abs(a)
    power = _power_in_float64 if a.dtype == dtypes.float32 else _power_of_float64
    one = make.like(1.0, a)
    is_one = make.either(make.eq(b, make.like(0.0, b)), make.eq(size, one))
    return _signed(make, a, b, make.select(is_one, one, power(make, size, b)))


def _known(make: Builder, a: Expr, exponent: float) -> Expr | None:
    """a^exponent for the exponents that have a short spelling, else None.

    a^0.5 is sqrt(a), as in NumPy for an exponent that is one number: nan at -inf, -0 at -0.
    """
    if exponent == 0:
        return make.like(1, a)
    if exponent == 0.5:
        return make.sqrt(a)
    if exponent in (-0.5, 1.5, -1.5):
        return _halves(make, a, exponent)
    if a.dtype.kind != "f":
        return _multiplied(make, a, int(exponent)) if exponent > 0 else None
    longest = _LONGEST if a.dtype == dtypes.float32 else 16
    if abs(exponent) > longest or exponent != int(exponent):
        return None
    if a.dtype == dtypes.float32 and (abs(exponent) > 4 or exponent < -1):
        # As float64, where neither errors grow nor a^n leaves the range before 1 / a^n is taken.
        wide = make.cast(a, dtypes.float64)
        return make.cast(_whole(make, wide, int(exponent)), a.dtype)
    return _whole(make, a, int(exponent))


def _halves(make: Builder, a: Expr, exponent: float) -> Expr:
    """a^exponent for -1/2 and 3/2 and -3/2."""
    one, zero, inf = (make.like(c, a) for c in (1.0, 0.0, np.inf))
    if exponent == -0.5:
        y = make.div(one, make.sqrt(make.add(a, zero)))  # -0 gives inf, as 0 does
    elif exponent == 1.5:
        y = make.mul(a, make.sqrt(a))
    else:
        y = make.div(make.div(one, a), make.sqrt(a))
    return make.select(make.eq(a, make.like(-np.inf, a)), inf if exponent > 0 else zero, y)


def _whole(make: Builder, a: Expr, exponent: int) -> Expr:
    y = _multiplied(make, a, abs(exponent))
    return make.div(make.like(1.0, a), y) if exponent < 0 else y


def _multiplied(make: Builder, a: Expr, count: int) -> Expr:
    """a^count by squaring, count >= 1."""
    y: Expr | None = None
    while count:
        if count & 1:
            y = a if y is None else make.mul(y, a)
        count >>= 1
        a = make.mul(a, a) if count else a
    assert y is not None
    return y


def _of_whole_numbers(make: Builder, a: Expr, b: Expr) -> Expr:
    """a^b modulo 2^bits for b >= 0; below, what remains of the fraction: 1, -1 or 0."""
    zero, one = make.like(0, a), make.like(1, a)
    y, power = one, a
    for place in range(8 * a.dtype.itemsize - (a.dtype.kind == "i")):
        if place:
            power = make.mul(power, power)
        used = make.ne(make.both(make.shr(b, place), one), zero)
        y = make.select(used, make.mul(y, power), y)
    if a.dtype.kind == "u":
        return y
    is_unit = make.either(make.eq(a, one), make.eq(a, make.like(-1, a)))
    odd = make.ne(make.both(b, one), zero)
    inverse = make.select(is_unit, make.select(odd, a, one), zero)
    return make.select(make.lt(b, zero), inverse, y)


def _signed(make: Builder, a: Expr, b: Expr, y: Expr) -> Expr:
    """a^b from y = |a|^b: minus for an odd b, nan for a broken one, where a < 0."""
    half = make.mul(b, make.like(0.5, b))
    whole = make.eq(make.floor(b), b)
    odd = make.both(whole, make.ne(make.floor(half), half))
    sign = sign_bit(make, a)
    flip = make.select(odd, sign, make.like(0, sign))
    signed = make.bits(make.xor(make.bits(y, sign.dtype), flip), a.dtype)
    finite = make.gt(a, make.like(-np.inf, a))
    below = make.both(make.lt(a, make.like(0.0, a)), finite)
    broken = make.both(below, make.ne(make.floor(b), b))
    return make.select(broken, make.like(np.nan, a), signed)


def _power_in_float64(make: Builder, size: Expr, b: Expr) -> Expr:
    """2^(b log2 |a|) of float32 numbers."""
    x, b = make.cast(size, dtypes.float64), make.cast(b, dtypes.float64)
    form = FORMATS[x.dtype]
    biased, f = split(make, x)
    s = make.div(f, make.add(f, make.like(2.0, f)))
    log2 = make.fma(s, horner(make, LOG2["float32"], make.mul(s, s)), number(make, biased, x))
    t = make.mul(b, _at_the_ends(make, x, log2))
    t = at_most(make, 200.0, at_least(make, -200.0, t))
    magic = make.like(form.magic + form.bias, t)
    shifted = make.add(t, magic)
    r = make.sub(t, make.sub(shifted, magic))
    power = power_of_two(make, make.bits(shifted, form.whole), t.dtype)
    return make.cast(make.mul(horner(make, EXP2["float32"], r), power), dtypes.float32)


def _at_the_ends(make: Builder, x: Expr, log: Expr) -> Expr:
    """A logarithm of x >= 0, put right at 0, inf and nan."""
    log = make.select(make.eq(x, make.like(0.0, x)), make.like(-np.inf, x), log)
    return make.select(make.lt(x, make.like(np.inf, x)), log, x)


def _power_of_float64(make: Builder, size: Expr, b: Expr) -> Expr:
    """2^(b log2 |a|) with both the logarithm and the product in two parts."""
    form = FORMATS[b.dtype]
    high, low = _log2(make, size)
    high = _at_the_ends(make, size, high)
    rough = make.mul(b, high)
    near = make.lt(make.abs(rough), make.like(1100.0, b))
    first = head(make, b, 27)
    rest = make.fma(make.sub(b, first), high, make.mul(b, low))
    bounded = at_most(make, 1100.0, at_least(make, -1100.0, rough))
    t = make.select(near, make.mul(first, high), bounded)
    rest = make.select(near, rest, make.like(0.0, b))
    magic = make.like(form.magic + 2 * form.bias, b)
    shifted = make.add(make.add(t, rest), magic)
    r = make.add(make.sub(t, make.sub(shifted, magic)), rest)
    y = horner(make, (*EXP["float64"], 1.0, 1.0), make.mul(r, make.like(LN_2, r)))
    k = make.bits(shifted, form.whole)
    half = make.shr(k, 1)
    y = make.mul(y, power_of_two(make, half, b.dtype))
    return make.mul(y, power_of_two(make, make.sub(k, half), b.dtype))


def _log2(make: Builder, x: Expr) -> tuple[Expr, Expr]:
    """log2 x as a sum, of which the first has 26 bits.

    s = f / (2 + f) is a sum as well: the quotient's first bits, and what they leave of f.
    """
    e, f = split_any(make, x)
    two = make.like(2.0, f)
    below = make.add(f, two)
    quotient = make.div(f, below)
    s = head(make, quotient, 27)
    first = head(make, below, 27)
    second = make.sub(f, make.sub(first, two))
    left = make.sub(make.sub(f, make.mul(s, first)), make.mul(s, second))
    s_low = make.div(left, below)
    z = make.mul(quotient, quotient)
    series = make.mul(make.mul(quotient, z), horner(make, LOG["float64"], z))
    big, small = (make.like(c, f) for c in _LOG2_SCALE)
    rest = make.fma(series, make.like(LOG2_E, f), make.mul(make.add(s, s_low), small))
    rest = make.fma(s_low, big, rest)
    product = make.mul(s, big)
    whole = make.add(make.add(e, product), rest)
    high = head(make, whole, 27)
    return high, make.add(make.sub(product, make.sub(high, e)), rest)
