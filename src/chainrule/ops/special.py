"""Functions that NumPy lacks, from + - * / and sqrt alone where the bits must never differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes

# Chebyshev fits in 50 digits, as mpmath.chebyfit gives them (highest power first):
# erf(x) / x in u = x^2 on [0, 1.25^2], 13 terms, worst error 3.4e-17.
_ERF_CORE = (
    4.620740658554442e-11, -1.0396900495391526e-09, 1.4343442977951298e-08,
    -1.6290602234261807e-07, 1.6453762077859004e-06, -1.4925009048139727e-05,
    0.0001205529912172412, -0.0008548325821804391, 0.005223977598008797, -0.02686617064139764,
    0.11283791670928688, -0.37612638903183016, 1.1283791670955126,
)  # fmt: skip
# erfc(x) e^(x^2) in t = 1 / (1 + x / 2) for x in [1.25, 6], 15 terms, worst error 3.0e-17.
_ERFC_TAIL = (
    0.05833266065908736, -0.4283267077399534, 1.3980704752909645, -2.6335654230715244,
    3.107948172137168, -2.3730123841506248, 1.2794564274058269, -0.6187358679900165,
    0.17541744127615416, 0.04012299717196115, 0.18422187966568784, 0.24579149746359152,
    0.2821888423282107, 0.28208957557852654, 1.3401974180130486e-07,
)  # fmt: skip


def horner(coefficients: Sequence[float], x: Any) -> Any:
    """The polynomial with these coefficients, highest power first, at every x."""
    y = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        y *= x
        y += c
    return y


def erf(x: Any) -> Any:
    """The error function, within 2 ulp of float64; float32 is computed in float64 and rounded."""
    x = np.asarray(x)
    wide = x.astype(np.float64)
    size = np.minimum(np.abs(wide), 6.0)
    square = size * size
    core = wide * horner(_ERF_CORE, np.minimum(square, 1.5625))
    tail = 1 - np.exp(-square) * horner(_ERFC_TAIL, 1 / (1 + 0.5 * np.maximum(size, 1.25)))
    y = np.where(size < 1.25, core, np.copysign(tail, wide))
    return y.astype(x.dtype)


# Quantiles of the normal distribution: M. J. Wichura, Algorithm AS 241 (PPND16), 1988.
_CENTRE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
     4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
     1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
     2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
     4.2313330701600911252e1, 1.0),
)  # fmt: skip
_SHOULDER = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
     4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
     2.05319162663775882187e0, 1.0),
)  # fmt: skip
_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
     2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
     5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
     7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
     5.99832206555887937690e-1, 1.0),
)  # fmt: skip
_LN2 = 0.6931471805599453


def exact_log(x: Any) -> Any:
    """ln x for positive x from + - * / alone: the same bits on every machine, within 2 ulp."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < 0.7071067811865476
    mantissa = np.where(low, mantissa * 2, mantissa)
    s = (mantissa - 1) / (mantissa + 1)
    series = horner([1 / (2 * k + 1) for k in range(11, -1, -1)], s * s)
    return 2 * s * series + (exponent - low) * _LN2


def normal_quantile(u: Any) -> Any:
    """The x below which a standard normal value lies with probability u, 0 < u < 1."""
    q = np.asarray(u - 0.5)
    x = np.asarray(q * _ratio(_CENTRE, 0.180625 - q * q))
    outside = np.abs(q) > 0.425  # 15 % of what is drawn
    if outside.any():
        x[outside] = np.copysign(_outer_quantile(np.minimum(u, 1 - u)[outside]), q[outside])
    return x


def _outer_quantile(u: Any) -> Any:
    """The amount of a quantile far from the middle; u: how much lies beyond it, (n,)."""
    tail = np.sqrt(-exact_log(u))
    x = _ratio(_SHOULDER, tail - 1.6)
    far = tail > 5
    if far.any():
        x[far] = _ratio(_TAIL, tail[far] - 5)
    return x


def normal_quantile_of(make: Any, u: Any) -> Any:
    """`normal_quantile` as an expression, operation by operation: the same bits."""

    def number(value: float) -> Any:
        return make.const(value, dtypes.float64)

    def polynomial(coefficients: Sequence[float], x: Any) -> Any:
        y = number(coefficients[0])
        for c in coefficients[1:]:
            y = make.add(make.mul(y, x), number(c))
        return y

    def ratio(polynomials: tuple[tuple[float, ...], tuple[float, ...]], r: Any) -> Any:
        above, below = polynomials
        return make.div(polynomial(above, r), polynomial(below, r))

    def exact_log_of(x: Any) -> Any:
        mantissa, exponent = make.frexp(x)
        low = make.lt(mantissa, number(0.7071067811865476))
        mantissa = make.select(low, make.mul(mantissa, number(2.0)), mantissa)
        s = make.div(make.sub(mantissa, number(1.0)), make.add(mantissa, number(1.0)))
        series = polynomial([1 / (2 * k + 1) for k in range(11, -1, -1)], make.mul(s, s))
        powers = make.sub(exponent, make.cast(low, dtypes.float64))
        doubled = make.mul(make.mul(number(2.0), s), series)
        return make.add(doubled, make.mul(powers, number(_LN2)))

    q = make.sub(u, number(0.5))
    centre = make.mul(q, ratio(_CENTRE, make.sub(number(0.180625), make.mul(q, q))))
    tail = make.sqrt(make.neg(exact_log_of(make.minimum(u, make.sub(number(1.0), u)))))
    near = ratio(_SHOULDER, make.sub(tail, number(1.6)))
    far = ratio(_TAIL, make.sub(make.maximum(tail, number(5.0)), number(5.0)))
    outer = make.select(make.le(tail, number(5.0)), near, far)
    outer = make.select(make.lt(q, number(0.0)), make.neg(outer), outer)
    return make.select(make.le(make.abs(q), number(0.425)), centre, outer)


def _ratio(polynomials: tuple[tuple[float, ...], tuple[float, ...]], r: Any) -> Any:
    above, below = polynomials
    return horner(above, r) / horner(below, r)
