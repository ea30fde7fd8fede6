"""Every op, and its gradient, lowered to loops computes what eager computes."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import graph as G
from chainrule.compiler.loops.interpret import interpret
from chainrule.compiler.loops.lower import lower
from chainrule.compiler.loops.verify import verify
from chainrule.compiler.passes import dce, simplify, spell
from chainrule.dtypes import float64
from chainrule.grad import gradients
from chainrule.ops import REGISTRY, add, mul, sum
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
    lowered = lower(program)
    verify(lowered)
    return interpret(lowered, [a.copy() for a in arrays])


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


DRAWS = {"uniform": {}, "normal": {}, "permutation": {}}


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_of_any_size_reads_a_whole_state_before_it_counts_on(name, size):
    """A state has two numbers: with as many draws, an element of one is none of the other."""
    op = REGISTRY[name]
    params = {"n": size} if name == "permutation" else {"shape": (size,), "dtype": float64}
    state = np.array([7, 5], np.uint64)

    def drawn(x, step):
        return op(x, **params), add(x, step)

    program = G.trace(drawn, state, np.array([3, 1], np.uint64))
    y, after = program.outputs
    program = G.Graph(program.inputs, program.nodes, [y], [(program.inputs[0], after)])
    (found,) = loops(program, [state, np.array([3, 1], np.uint64)])
    np.testing.assert_allclose(found, op.forward(state, **params), rtol=1e-12)
