"""log and what follows from it: x = 2^e (1 + f) with 1 + f in [sqrt 1/2, sqrt 2]."""

from __future__ import annotations

import numpy as np

from .... import dtypes
from ..expr import Builder, Expr
from .coefficients import LOG
from .number import FORMATS, LN_2, horner, power_of_two

_ROOT_TWO = 1.4142135623730951
_ROOT_HALF = {"float32": 0x3F3504F3, "float64": 0x3FE6A09E667F3BCD}


def split(make: Builder, x: Expr) -> tuple[Expr, Expr]:
    """(e + bias as a whole number, f) for positive normal x."""
    form = FORMATS[x.dtype]
    root = _ROOT_HALF[form.name]
    whole = make.bits(x, form.whole)
    raised = make.add(whole, make.like((form.bias << form.mantissa) - root, whole))
    fraction = make.both(raised, make.like((1 << form.mantissa) - 1, whole))
    m = make.bits(make.add(fraction, make.like(root, whole)), x.dtype)
    return make.shr(raised, form.mantissa), make.sub(m, make.like(1.0, x))


def number(make: Builder, biased: Expr, x: Expr) -> Expr:
    """A biased exponent as a float number, without the bias."""
    form = FORMATS[x.dtype]
    if x.dtype == dtypes.float32:
        return make.cast(make.sub(biased, make.like(form.bias, biased)), x.dtype)
    # A float64 that starts like 2^52 holds a whole number in its last bits.
    first = make.like((form.bias + form.mantissa) << form.mantissa, biased)
    lifted = make.bits(make.either(biased, first), x.dtype)
    return make.sub(lifted, make.like(2.0**form.mantissa + form.bias, x))


def _joined(make: Builder, e: Expr, f: Expr) -> Expr:
    """e ln 2 + ln(1 + f)."""
    form = FORMATS[f.dtype]
    square = make.mul(f, f)
    if f.dtype == dtypes.float32:
        rest = horner(make, (*LOG["float32"], -0.5), f)
        return make.fma(e, make.like(LN_2, f), make.fma(square, rest, f))
    # With s = f / (2 + f): ln(1 + f) = 2 atanh(s) = f - (f^2 / 2 - s (f^2 / 2 + R)).
    half = make.mul(square, make.like(0.5, f))
    s = make.div(f, make.add(f, make.like(2.0, f)))
    z = make.mul(s, s)
    series = make.mul(z, horner(make, LOG["float64"], z))
    high, low = form.ln2
    small = make.fma(s, make.add(half, series), make.mul(e, make.like(low, f)))
    return make.fma(e, make.like(high, f), make.sub(f, make.sub(half, small)))


def split_any(make: Builder, x: Expr) -> tuple[Expr, Expr]:
    """(e, f) for every positive x, those without the leading 1 included; e is a float number."""
    form = FORMATS[x.dtype]
    low = make.lt(x, make.like(2.0 ** (1 - form.bias), x))
    lift = make.like(2.0**form.mantissa, x)
    biased, f = split(make, make.select(low, make.mul(x, lift), x))
    e = number(make, biased, x)
    return make.select(low, make.sub(e, make.like(form.mantissa, x)), e), f


def log(make: Builder, x: Expr) -> Expr:
    """ln x: -inf at 0, nan below."""
    return _at_the_edges(make, x, _joined(make, *split_any(make, x)), 0.0)


def log1p(make: Builder, x: Expr) -> Expr:
    """ln(1 + x) with 1 + f = (1 + x) / 2^e, where f = x / 2^e + (1 / 2^e - 1) is rounded once."""
    form = FORMATS[x.dtype]
    biased, _ = split(make, make.add(x, make.like(1.0, x)))
    # 4 / 2^e and x / 4, since 1 / 2^e may lie below the normal numbers.
    k = make.sub(make.like(2 * form.bias + 2, biased), biased)
    scale = power_of_two(make, k, x.dtype)
    quarter = make.like(0.25, x)
    less = make.fma(scale, quarter, make.like(-1.0, x))
    f = make.fma(make.mul(x, quarter), scale, less)
    y = _at_the_edges(make, x, _joined(make, number(make, biased, x), f), -1.0)
    tiny = make.lt(make.abs(x), make.like(2.0 ** -(form.mantissa + 2), x))
    return make.select(tiny, x, y)


def log1p_of_unit(make: Builder, u: Expr) -> Expr:
    """ln(1 + u) for u in [0, 1]."""
    large = make.gt(u, make.like(_ROOT_TWO - 1, u))
    f = make.select(large, make.fma(u, make.like(0.5, u), make.like(-0.5, u)), u)
    return _joined(make, make.select(large, make.like(1.0, u), make.like(0.0, u)), f)


def _at_the_edges(make: Builder, x: Expr, y: Expr, pole: float) -> Expr:
    """y, but -inf at the pole, nan below it, and x itself where that is inf or nan."""
    least, nan = make.like(-np.inf, x), make.like(np.nan, x)
    edge = make.like(pole, x)
    y = make.select(make.gt(x, edge), y, make.select(make.eq(x, edge), least, nan))
    return make.select(make.lt(x, make.like(np.inf, x)), y, x)
