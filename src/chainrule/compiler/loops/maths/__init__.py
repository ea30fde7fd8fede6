"""Elementary functions spelled in what a processor does in an instruction or two."""

from __future__ import annotations

from collections.abc import Callable

from ..expr import Expr
from .exponential import exp, sigmoid, tanh
from .logarithm import log
from .power import pow
from .steps import relu, rsqrt, sign

SPELLED: dict[str, Callable[..., Expr]] = {
    f.__name__: f for f in (exp, log, tanh, sigmoid, pow, relu, rsqrt, sign)
}
"""name -> f(make, *args), which gives the function of these expressions."""
