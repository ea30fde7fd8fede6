"""Axes of nests: split where they are divided, joined where memory has no seam, turned first."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import graph as G
from chainrule import ops
from chainrule.compiler.llvm.turn import find
from chainrule.compiler.pipeline import steps
from chainrule.ops.core import Spec
from compiler.native import hold
from compiler.processors import FIXED

f32 = np.dtype(np.float32)


def nests(f, *shapes):
    graph = G.trace(f, *(Spec(shape, f32) for shape in shapes))
    return dict(steps(graph, FIXED["avx512"]))["products"].nests


def extents(f, *shapes):
    """The axes of the one nest of a program."""
    (nest,) = nests(f, *shapes)
    return [a.extent for a in nest.axes]


def beside(x, b):
    """A number for each row of an array."""
    return x + ops.expand(ops.reshape(b, shape=(4, 1, 1)), shape=x.shape)


def twice(x):
    """Every row two times."""
    x = ops.expand(ops.reshape(x, shape=(6, 1, 20)), shape=(6, 2, 20))
    return ops.relu(ops.reshape(x, shape=(12, 20)))


JOINED = {
    "all": (lambda x: x * 0.5, [(4, 3, 5)], [60]),
    "a row has its own number": (beside, [(4, 3, 5), (4,)], [4, 15]),
    "a permuted operand": (
        lambda x, y: x + ops.permute(y, axes=(1, 0, 2)), [(4, 3, 5), (3, 4, 5)], [4, 3, 5],
    ),
    "divided": (twice, [(6, 20)], [6, 2, 20]),
}  # fmt: skip


@pytest.mark.parametrize("name", JOINED)
def test_the_loops_of_a_nest(name):
    f, shapes, expected = JOINED[name]
    assert extents(f, *shapes) == expected


def test_values_are_the_same():
    rng = np.random.default_rng(0)
    for f, shapes, _ in JOINED.values():
        hold(f, *(rng.normal(size=s).astype(f32) for s in shapes))


def askew(x, y):
    return x * ops.permute(y, axes=(1, 0))


def test_what_is_read_askew_is_turned_first():
    (copy, nest) = nests(askew, (72, 80), (80, 72))
    assert find(copy)
    assert [a.extent for a in nest.axes] == [72 * 80]
    assert len(nests(askew, (4, 80), (80, 4))) == 1  # small
    assert len(nests(lambda y: ops.permute(y, axes=(1, 0)), (80, 72))) == 1  # a copy itself
    rng = np.random.default_rng(0)
    hold(askew, *(rng.normal(size=s).astype(f32) for s in ((72, 80), (80, 72))))
