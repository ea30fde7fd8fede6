"""Every op, and its gradient, lowered to loops computes what eager computes."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import graph as G
from chainrule.compiler.loops.interpret import interpret
from chainrule.compiler.loops.lower import lower
from chainrule.compiler.passes import dce, simplify, spell
from chainrule.grad import gradients
from chainrule.ops import REGISTRY, mul, sum
from frozen import about

SMOOTH = {name: op for name, op in REGISTRY.items() if op.differentiable}


def at_each_sample(hold, op):
    for i, sample in enumerate(op.samples(np.random.default_rng(17))):
        with about(f"sample {i}"):
            hold(op, sample)


def loops(program, arrays):
    """The outputs of a graph by way of its loops; every pass must leave a valid graph."""
    for step in (spell, simplify, dce):
        program = step(program)
        G.verify(program)
    return interpret(lower(program), [a.copy() for a in arrays])


@pytest.mark.parametrize("op", REGISTRY.values(), ids=REGISTRY)
def test_an_op_in_loops_computes_what_eager_computes(op):
    at_each_sample(hold_values, op)


def hold_values(op, sample):
    program = G.trace(lambda *xs: op(*xs, **sample.params), *sample.inputs)
    (y,) = loops(program, sample.inputs)
    wanted = op.forward(*sample.inputs, **sample.params)
    assert y.dtype == wanted.dtype
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("op", SMOOTH.values(), ids=SMOOTH)
def test_a_gradient_in_loops_computes_what_eager_computes(op):
    at_each_sample(hold_gradient, op)


def hold_gradient(op, sample):
    floats = [a for a in sample.inputs if a.dtype.kind == "f"]

    def derivative(*xs):
        y = op(*xs, **sample.params)
        weights = np.random.default_rng(3).normal(size=y.shape)
        left = sum(mul(y, y * float(weights.sum() or 1)), axis=tuple(range(y.ndim)), keepdim=False)
        wanted = [x for x in xs if x.dtype.kind == "f"]
        return [g for g in gradients(left, wanted) if g is not None]

    if not floats or op.spec(*sample.inputs, **sample.params).dtype.kind != "f":
        return  # nothing to differentiate
    program = G.trace(derivative, *sample.inputs)
    wanted = G.run(program, *sample.inputs)
    for y, w in zip(loops(program, sample.inputs), wanted, strict=True):
        np.testing.assert_allclose(y, w, rtol=1e-11, atol=1e-11)
