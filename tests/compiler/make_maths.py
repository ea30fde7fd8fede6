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


def beyond(f, limit):
    """f, with the value that it tends to where its formula divides by 0."""
    return lambda x: limit if abs(x) < mp.mpf("1e-18") else f(x)


FITS = [
    ("EXP", "(e^r - 1 - r) / r^2", "|r| <= ln 2 / 2",
     beyond(exp_rest, mp.mpf(1) / 2), (-REACH, REACH), {"float32": 5, "float64": 10}),
    ("LOG", "(ln(1 + f) - f + f^2 / 2) / f^3", "1 + f in [sqrt 1/2, sqrt 2]",
     beyond(log_rest, mp.mpf(1) / 3), (ROOT - 1, 2 * ROOT - 1), {"float32": 9}),
    ("LOG", "(2 atanh(s) - 2 s) / s^3 in s^2", "s = f / (2 + f), f as above",
     beyond(atanh_rest, mp.mpf(2) / 3), (0, ((ROOT - 1) / (ROOT + 1)) ** 2), {"float64": 7}),
]  # fmt: skip


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
    for name, what, where, f, interval, sizes in FITS:
        for kind, terms in sizes.items():
            fit, error = mp.chebyfit(f, list(map(mp.mpf, interval)), terms, error=True)
            numbers = [digits(c, kind) for c in fit]
            note = f"# {what}, {where}: {terms} terms, worst error 2^{math.log2(error):.1f}"
            tables.setdefault(name, {})[kind] = "\n".join(
                [f"    {note}", f'    "{kind}": (', *(f"        {n}," for n in numbers), "    ),"]
            )
    for name, kinds in tables.items():
        lines += [f"{name} = {{", *kinds.values(), "}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    OUTPUT.write_text(written(), encoding="utf-8")
