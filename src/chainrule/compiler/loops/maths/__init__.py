"""Elementary functions spelled in what a processor does in an instruction or two."""

from __future__ import annotations

from collections.abc import Callable

from ..expr import Expr
from .circular import cos, sin
from .division import floor_div, remainder
from .exponential import exp, expm1, sigmoid, softplus, tanh
from .gaussian import erf
from .logarithm import log, log1p
from .power import pow
from .steps import relu, rsqrt, sign

SPELLED: dict[str, Callable[..., Expr]] = {
    f.__name__: f
    for f in (
        exp, expm1, log, log1p, sin, cos, tanh, sigmoid, softplus, erf, pow, rsqrt, sign, relu,
        floor_div, remainder,
    )
}  # fmt: skip
"""name -> f(make, *args), which gives the function of these expressions."""
