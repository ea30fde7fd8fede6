"""pow, by what is known of the exponent."""

from __future__ import annotations

import numpy as np

from .... import dtypes
from ..expr import Builder, Expr

_LONGEST = 64  # the largest whole exponent that is spelled as multiplications


def pow(make: Builder, a: Expr, b: Expr) -> Expr:
    """a^b."""
    known = _known(make, a, b.at) if b.op == "const" else None
    return make.op("pow", a, b) if known is None else known


def _known(make: Builder, a: Expr, exponent: float) -> Expr | None:
    """a^exponent for the exponents that have a short spelling, else None."""
    if exponent == 0:
        return make.like(1, a)
    if exponent == 0.5:
        return make.sqrt(a)
    if exponent == -0.5:
        root = make.sqrt(make.add(a, make.like(0.0, a)))  # -0 gives inf, as 0 does
        y = make.div(make.like(1.0, a), root)
        return make.select(make.eq(a, make.like(-np.inf, a)), make.like(0.0, a), y)
    if abs(exponent) <= _LONGEST and exponent == int(exponent):
        return _whole(make, a, int(exponent))
    return None


def _whole(make: Builder, a: Expr, exponent: int) -> Expr:
    """a^exponent by squaring; long chains of float32 as float64, where no error grows."""
    if abs(exponent) > 4 and a.dtype == dtypes.float32:
        return make.cast(_whole(make, make.cast(a, dtypes.float64), exponent), a.dtype)
    count, y = abs(exponent), None
    power = a
    while count:
        if count & 1:
            y = power if y is None else make.mul(y, power)
        count >>= 1
        power = make.mul(power, power)
    assert y is not None
    return make.div(make.like(1, a), y) if exponent < 0 else y
