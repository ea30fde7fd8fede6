"""Evaluates the spelled functions on arrays, and counts and measures them."""

from __future__ import annotations

import numpy as np

from chainrule.compiler.loops import index as ix
from chainrule.compiler.loops.expr import Buffer, Builder, walk
from chainrule.compiler.loops.interpret import Place
from chainrule.compiler.loops.maths import SPELLED

BOUNDS = {
    "exp": (1.2, 1.2), "expm1": (1.7, 2.5), "log": (1.1, 1), "log1p": (1.5, 1.5),
    "sin": (2, 3), "cos": (2, 3), "tanh": (2, 2.3), "sigmoid": (2.5, 2.5), "softplus": (1.8, 1.8),
    "erf": (2, 2), "rsqrt": (1.5, 1.5), "pow": (0.6, 8), "sign": (0, 0), "relu": (0, 0),
    "floor_div": (0, 0), "remainder": (0, 0),
}  # fmt: skip
"""The largest errors of float32 and float64 in ulp, with fused operations and without."""

COUNTS = {
    "exp": (18, 23), "expm1": (18, 23), "log": (30, 36), "log1p": (31, 37), "sin": (24, 28),
    "cos": (25, 29), "tanh": (21, 26), "sigmoid": (17, 22), "softplus": (33, 44), "erf": (28, 64),
    "rsqrt": (2, 2), "sign": (5, 5), "relu": (1, 1), "pow": (56, 102), "floor_div": (109, 82),
    "remainder": (101, 74),
}  # fmt: skip
"""Instructions in float32 and float64."""


def spell(name, *dtypes, number=None):
    """The expression of a function of one element of each buffer x0, x1, ..., and of a number."""
    make = Builder()
    axis = make.axis("i", 1 << 40)
    place = (ix.along(axis),)
    buffers = [Buffer(f"x{n}", (1 << 40,), np.dtype(d), "input") for n, d in enumerate(dtypes)]
    args = [make.load(b, place) for b in buffers]
    if number is not None:
        args.append(make.like(number, args[0]))
    return axis, SPELLED[name](make, *args)


def evaluate(name, *arrays, number=None):
    """The function of whole arrays."""
    axis, y = spell(name, *(a.dtype for a in arrays), number=number)
    memory = {f"x{n}": a for n, a in enumerate(arrays)}
    with np.errstate(all="ignore"):
        value = Place(memory, {axis: np.arange(arrays[0].size)}).value(y)
        return np.broadcast_to(value, arrays[0].shape)


def operations(name, *dtypes, number=None):
    """How many instructions a function takes: the smaller of two is one, bits as another type 0."""
    _, y = spell(name, *dtypes, number=number)
    bounds = {
        id(e.args[0])
        for e in walk(y)
        if e.op == "select" and {*map(id, e.args[0].args)} == {*map(id, e.args[1:])}
    }
    return sum(e.op not in ("const", "load", "bits") and id(e) not in bounds for e in walk(y))


def ulp_error(y, wanted):
    """How far y lies from the exact value, in spacings of its type; inf and nan must agree."""
    exact = np.asarray(wanted)
    tiny = np.finfo(y.dtype)
    with np.errstate(all="ignore"):
        spacing = np.exp2(np.floor(np.log2(np.abs(exact))) - tiny.nmant)
        spacing = np.maximum(spacing, np.asarray(tiny.smallest_subnormal, exact.dtype))
        error = np.abs(y.astype(exact.dtype) - exact) / spacing
        rounded = exact.astype(y.dtype)
    same = (y == rounded) | (np.isnan(y) & np.isnan(exact))
    error[np.isinf(exact)] = np.inf
    return np.where(same, np.where(np.isfinite(error), error, 0), np.nan_to_num(error, nan=np.inf))
