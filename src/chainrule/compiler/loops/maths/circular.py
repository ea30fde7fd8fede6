"""sin and cos: x = n pi/2 + r with |r| <= pi/4, and the polynomial that the quadrant n asks for."""

from __future__ import annotations

from .... import dtypes
from ..expr import Builder, Expr
from .coefficients import COS, SIN
from .number import FORMATS, at_least, at_most, horner

_TWO_BY_PI = 0.6366197723675814
# pi/2 in parts, but for the last of 33 bits: their products with n < 2^20 are exact, fused or not.
_PARTS = {
    dtypes.float32: (1.5707963267341256, 6.077100506506192e-11),
    dtypes.float64: (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21),
}


def _split(make: Builder, x: Expr) -> tuple[Expr, Expr]:
    """(n in the last bits of a whole number, r).  float32 is reduced in float64.

    The parts serve up to |n| = 2^20, and where the processor fuses far beyond.  Further out r is
    only kept in bounds, so that the result is some number in [-1, 1].
    """
    form = FORMATS[dtypes.float64]
    wide = make.cast(x, dtypes.float64)
    magic = make.like(form.magic, wide)
    shifted = make.fma(wide, make.like(_TWO_BY_PI, wide), magic)
    n = make.sub(shifted, magic)
    r = wide
    for part in _PARTS[x.dtype]:
        r = make.fma(n, make.like(-part, wide), r)
    r = at_most(make, 0.8, at_least(make, -0.8, make.cast(r, x.dtype)))
    return make.cast(make.bits(shifted, form.whole), FORMATS[x.dtype].whole), r


def _turned(make: Builder, n: Expr, r: Expr) -> Expr:
    """sin(n pi/2 + r)."""
    form = FORMATS[r.dtype]
    one = make.like(1.0, r)
    z = make.mul(r, r)
    sine = make.mul(r, make.fma(z, horner(make, SIN[form.name], z), one))
    cosine = horner(make, (*COS[form.name], -0.5, 1.0), z)
    odd = make.ne(make.both(n, make.like(1, n)), make.like(0, n))
    y = make.select(odd, cosine, sine)
    flip = make.shl(make.both(n, make.like(2, n)), 8 * n.dtype.itemsize - 2)
    return make.bits(make.xor(make.bits(y, n.dtype), flip), r.dtype)


def sin(make: Builder, x: Expr) -> Expr:
    """The sine."""
    return _turned(make, *_split(make, x))


def cos(make: Builder, x: Expr) -> Expr:
    """The cosine, which is the sine a quarter further."""
    n, r = _split(make, x)
    return _turned(make, make.add(n, make.like(1, n)), r)
