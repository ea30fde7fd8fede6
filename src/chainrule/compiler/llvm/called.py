"""Long functions of single numbers: called where they are used, and compiled once a machine.

A power takes a hundred instructions.  Adam needs two for its correction of the bias, once a step.
"""

from __future__ import annotations

from ...dtypes import DType
from ..loops.expr import Buffer, Builder
from ..loops.maths import SPELLED
from ..loops.program import Program
from .target import Target
from .text import SCALARS, Module, V
from .values import Values

CALLED = frozenset({"pow"})


def function(module: Module, target: Target, name: str, dtype: DType) -> str:
    """The function pow(a, b, address of the result)."""
    scalar = SCALARS[dtype]
    full = f"{name}_{dtype.name}"
    f = module.kernel(full, f"{scalar} %a, {scalar} %b, ptr noalias %y")
    if f is None:
        return full
    f.cold = True  # 34 nanoseconds instead of 25
    make = Builder()
    args = [make.load(Buffer(n, (), dtype, "input"), ()) for n in "ab"]
    writer = Values(f, Program(make, [], []), target)
    for x in args:
        writer.keep(id(x), V(f"%{x.at[0].name}", scalar))
    result = writer.value(SPELLED[name](make, *args))
    f.do(f"store {result}, {V('%y', 'ptr')}, align {dtype.itemsize}")
    return full
