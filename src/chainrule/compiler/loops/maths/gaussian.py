"""The error function."""

from __future__ import annotations

from .... import dtypes
from ..expr import Builder, Expr
from .coefficients import ERF, ERF_TAIL
from .exponential import exp
from .number import FORMATS, at_least, at_most, horner, sign_bit, with_sign

# Of the interval of ERF_TAIL in float32.  erf(2.66) lies just below a float32, which is the last
# coefficient: so the polynomial never falls, and is 1 exactly from 3.9 to its end.
_CENTRE = 2.66
_END = 4.12


def erf(make: Builder, x: Expr) -> Expr:
    """erf(x): a polynomial up to 1.2, and another one or e^(-x^2) times one beyond."""
    near = make.abs(x)
    name = FORMATS[x.dtype].name
    tail = _tail_float32 if x.dtype == dtypes.float32 else _tail_float64
    square = make.mul(near, near)
    core = make.fma(near, horner(make, ERF[name], square), near)
    y = make.select(make.lt(near, make.like(1.2, x)), core, tail(make, near))
    return with_sign(make, y, sign_bit(make, x))


def _tail_float32(make: Builder, size: Expr) -> Expr:
    u = make.sub(at_most(make, _END, size), make.like(_CENTRE, size))
    return horner(make, ERF_TAIL["float32"], u)


def _tail_float64(make: Builder, size: Expr) -> Expr:
    one = make.like(1.0, size)
    size = at_most(make, 6.0, at_least(make, 1.2, size))
    t = make.div(one, make.fma(size, make.like(0.5, size), one))
    scaled = horner(make, ERF_TAIL["float64"], t)
    decay = exp(make, make.neg(make.mul(size, size)))
    return make.sub(one, make.mul(decay, scaled))
