"""Fits the polynomials of `chainrule.compiler.loops.maths` in 60 digits and writes them down.

    python tests/compiler/make_maths.py        (needs mpmath)

Every fit is a Chebyshev one, whose worst error lies within a few per cent of the least possible.
"""

from __future__ import annotations

import math
from pathlib import Path

import mpmath as mp
import numpy as np

OUTPUT = Path(__file__).parents[2] / "src/chainrule/compiler/loops/maths/coefficients.py"
mp.mp.dps = 60
ROOT = mp.sqrt(mp.mpf(1) / 2)
REACH = mp.log(2) / 2 * mp.mpf("1.002")  # the reduction may end a little beyond the half


def exp_rest(r):
    return (mp.exp(r) - 1 - r) / r**2


def log_rest(f):
    return (mp.log1p(f) - f + f**2 / 2) / f**3


def atanh_rest(z):
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) - 2 * s) / (s * z)


def log2_slope(z):
    return 2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) / mp.log(2)


def sin_rest(z):
    r = mp.sqrt(z)
    return (mp.sin(r) - r) / (r * z)


def cos_rest(z):
    return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2


def erf_rest(z):
    return mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1


def erf_tail(u):
    return mp.erf(mp.mpf("2.66") + u)


def erfc_scaled(t):
    """erfc(x) e^(x^2) for t = 1 / (1 + x / 2)."""
    x = 2 / t - 2
    return mp.erfc(x) * mp.exp(x**2)


def beyond(f, limit):
    """f, with the value that it tends to where its formula divides by 0."""
    return lambda x: limit if abs(x) < mp.mpf("1e-18") else f(x)


TURN = (mp.pi / 4 * mp.mpf("1.003")) ** 2
SQUARE = ((ROOT - 1) / (ROOT + 1)) ** 2
FITS = [
    ("EXP", "(e^r - 1 - r) / r^2, |r| <= ln 2 / 2",
     beyond(exp_rest, mp.mpf(1) / 2), (-REACH, REACH), {"float32": 5, "float64": 10}),
    ("EXP2", "2^r, |r| <= 1/2", lambda r: 2**r, (-0.5, 0.5), {"float32": 7}),
    ("LOG", "(ln(1 + f) - f + f^2 / 2) / f^3, 1 + f in [sqrt 1/2, sqrt 2]",
     beyond(log_rest, mp.mpf(1) / 3), (ROOT - 1, 2 * ROOT - 1), {"float32": 9}),
    ("LOG", "(2 atanh(s) - 2 s) / s^3 in s^2, s = f / (2 + f), f as above",
     beyond(atanh_rest, mp.mpf(2) / 3), (0, SQUARE), {"float64": 7}),
    ("LOG2", "2 atanh(s) / (s ln 2) in s^2, s as above",
     beyond(log2_slope, 2 / mp.log(2)), (0, SQUARE), {"float32": 5}),
    ("SIN", "(sin r - r) / r^3 in r^2, |r| <= pi / 4",
     beyond(sin_rest, -mp.mpf(1) / 6), (0, TURN), {"float32": 3, "float64": 6}),
    ("COS", "(cos r - 1 + r^2 / 2) / r^4 in r^2, |r| <= pi / 4",
     beyond(cos_rest, mp.mpf(1) / 24), (0, TURN), {"float32": 3, "float64": 6}),
    ("ERF", "erf(x) / x - 1 in x^2, |x| <= 1.2",
     beyond(erf_rest, 2 / mp.sqrt(mp.pi) - 1), (0, 1.44), {"float32": 7, "float64": 13}),
    ("ERF_TAIL", "erf(2.66 + u), |u| <= 1.46",
     erf_tail, (-mp.mpf("1.46"), mp.mpf("1.46")), {"float32": 14}),
    ("ERF_TAIL", "erfc(x) e^(x^2) in 1 / (1 + x / 2), x in [1.2, 6]",
     erfc_scaled, (0.25, 0.625), {"float64": 15}),
]  # fmt: skip
WIDE = {"LOG2", "EXP2"}  # serve float32, but are computed in float64


def digits(value, kind):
    """The shortest decimal that reads back as the same number."""
    return repr(float(np.float32(str(value)))) if kind == "float32" else repr(float(value))


def written():
    lines = [
        '"""Polynomials, highest power first; written by tests/compiler/make_maths.py."""',
        "",
        "from __future__ import annotations",
        "",
    ]
    tables: dict[str, dict[str, str]] = {}
    for name, what, f, interval, sizes in FITS:
        for kind, terms in sizes.items():
            fit, error = mp.chebyfit(f, list(map(mp.mpf, interval)), terms, error=True)
            numbers = [digits(c, "float64" if name in WIDE else kind) for c in fit]
            note = f"# {what}: {terms} terms, worst error 2^{math.log2(error):.1f}"
            tables.setdefault(name, {})[kind] = "\n".join(
                [f"    {note}", f'    "{kind}": (', *(f"        {n}," for n in numbers), "    ),"]
            )
    for name, kinds in tables.items():
        lines += [f"{name} = {{", *kinds.values(), "}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    OUTPUT.write_text(written(), encoding="utf-8")
