"""exp and what follows from it: e^x = 2^n e^r with n = round(x / ln 2) and |r| <= ln 2 / 2."""

from __future__ import annotations

from collections.abc import Sequence

from ..expr import Builder, Expr
from .coefficients import EXP
from .logarithm import log1p_of_unit
from .number import (
    FORMATS,
    LN_2,
    LOG2_E,
    at_least,
    at_most,
    horner,
    in_pairs,
    power_of_two,
    sign_bit,
    with_sign,
)

# Beyond these e^x is infinite, and too small for half of the smallest number.
_RANGE = {"float32": (-105.0, 89.0), "float64": (-747.0, 710.0)}


def _scaled(coefficients: Sequence[float], by: float) -> list[float]:
    """The polynomial in x that has these coefficients in by x, by = 1 or -1."""
    top = len(coefficients) - 1
    return [c * by ** (top - k) for k, c in enumerate(coefficients)]


def _split(make: Builder, x: Expr, offset: int, by: float = 1.0) -> tuple[Expr, Expr]:
    """(r, n + offset in the last bits of a whole number) with by x = n ln 2 + by r, by = 1 or -1.

    Near the magic number floats are 1 apart, so adding it rounds to a whole number.
    """
    form = FORMATS[x.dtype]
    magic = make.like(form.magic + offset, x)
    shifted = make.fma(x, make.like(LOG2_E * by, x), magic)
    n = make.sub(shifted, magic)
    high, low = form.ln2
    r = make.fma(n, make.like(-high * by, x), x)
    return make.fma(n, make.like(-low * by, x), r), make.bits(shifted, form.whole)


def _exp_of(make: Builder, r: Expr, by: float = 1.0) -> Expr:
    """e^(by r) near 0."""
    rest = EXP[FORMATS[r.dtype].name]
    return horner(make, _scaled((*rest, 1.0, 1.0), by), r)


def _expm1_of(make: Builder, r: Expr) -> Expr:
    """e^r - 1 near 0."""
    rest = horner(make, EXP[FORMATS[r.dtype].name], r)
    return make.fma(make.mul(r, r), rest, r)


def _halves(make: Builder, k: Expr, x: Expr) -> tuple[Expr, Expr]:
    """Two powers of two with the product 2^n, k = n + 2 bias: 2^n itself may not be a number."""
    half = make.shr(k, 1)
    return power_of_two(make, half, x.dtype), power_of_two(make, make.sub(k, half), x.dtype)


def exp(make: Builder, x: Expr) -> Expr:
    """e^x; results below the normal numbers are rounded once more, so they are right as well."""
    form = FORMATS[x.dtype]
    low, high = _RANGE[form.name]
    x = at_most(make, high, at_least(make, low, x))
    r, k = _split(make, x, 2 * form.bias)
    one, other = _halves(make, k, x)
    return make.mul(make.mul(_exp_of(make, r), one), other)


def expm1(make: Builder, x: Expr) -> Expr:
    """e^x - 1 = 2 (h (e^r - 1) + (h - 1/2)) with h = 2^(n - 1), since 2^n may be no number."""
    form = FORMATS[x.dtype]
    low = -18.0 if form.name == "float32" else -38.0
    near = at_most(make, _RANGE[form.name][1], at_least(make, low, x))
    r, k = _split(make, near, form.bias - 1)
    half = power_of_two(make, k, x.dtype)
    y = make.fma(half, _expm1_of(make, r), make.sub(half, make.like(0.5, x)))
    return with_sign(make, make.add(y, y), sign_bit(make, x))


def softplus(make: Builder, x: Expr) -> Expr:
    """ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)."""
    form = FORMATS[x.dtype]
    lift = 30 if form.name == "float32" else 60
    size = at_most(make, -_RANGE[form.name][0], make.abs(x))
    r, k = _split(make, size, form.bias + lift, -1.0)
    power = power_of_two(make, k, x.dtype)
    u = make.mul(make.mul(_exp_of(make, r, -1.0), power), make.like(2.0**-lift, x))
    return make.add(at_least(make, 0.0, x), log1p_of_unit(make, u))


def sigmoid(make: Builder, x: Expr) -> Expr:
    """1 / (1 + e^-x) = c / (c + c 2^n e^r): with a small c the left tail does not overflow."""
    form = FORMATS[x.dtype]
    lift = 30 if form.name == "float32" else 60
    x = at_most(make, lift * 0.7, at_least(make, _RANGE[form.name][0], x))
    r, k = _split(make, x, form.bias - lift, -1.0)
    c = make.like(2.0**-lift, x)
    power = power_of_two(make, k, x.dtype)
    slope = in_pairs(make, [-k for k in _scaled((*EXP[form.name], 1.0), -1.0)], r)
    return make.div(c, make.fma(make.mul(power, r), slope, make.add(power, c)))


def tanh(make: Builder, x: Expr) -> Expr:
    """m / (2 - m) with m = 1 - e^(-2 |x|) = 2^n (1 - e^-r) + (1 - 2^n), and the sign of x."""
    form = FORMATS[x.dtype]
    size = at_most(make, 10.0 if form.name == "float32" else 20.0, make.abs(x))
    magic = make.like(form.magic + form.bias, x)
    shifted = make.fma(size, make.like(-2 * LOG2_E, x), magic)
    n = make.sub(shifted, magic)
    r = make.fma(n, make.like(LN_2, x), make.add(size, size))  # where n is large m is damped
    power = power_of_two(make, make.bits(shifted, form.whole), x.dtype)
    rest = in_pairs(make, [-c for c in _scaled(EXP[form.name], -1.0)], r)
    small = make.fma(make.mul(r, r), rest, r)
    one = make.like(1.0, x)
    grown = make.fma(power, small, make.sub(one, power))
    below = make.fma(make.neg(power), small, make.add(one, power))
    return with_sign(make, make.div(grown, below), sign_bit(make, x))
