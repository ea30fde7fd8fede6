"""Every op records, verifies and runs as a program, and so does its gradient."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import graph as G
from chainrule.dtypes import float64
from chainrule.grad import gradients
from chainrule.graph import Graph, Node, run, verify
from chainrule.graph.verify import GraphError
from chainrule.ops import REGISTRY, Spec, mul, sum
from chainrule.tensor import wrap
from chainrule.tensor.autograd import grad
from frozen import about

each = pytest.mark.parametrize("op", REGISTRY.values(), ids=REGISTRY)


def at_each_sample(hold, op):
    for i, sample in enumerate(op.samples(np.random.default_rng(11))):
        with about(f"sample {i}"):
            hold(op, sample)


@each
def test_recorded_program_computes_what_eager_computes(op):
    at_each_sample(hold_values, op)


def hold_values(op, sample):
    program = G.trace(lambda *xs: op(*xs, **sample.params), *sample.inputs)
    G.verify(program)
    (y,) = G.run(program, *sample.inputs)
    assert np.array_equal(y, op.forward(*sample.inputs, **sample.params))


@each
def test_recorded_gradient_is_eager_gradient(op):
    at_each_sample(hold_gradient, op)


def hold_gradient(op, sample):
    floats = [i for i, x in enumerate(sample.inputs) if x.dtype == np.float64]
    if not op.differentiable or not floats:
        return
    spec = op.spec(*sample.inputs, **sample.params)
    weights = np.random.default_rng(0).normal(size=spec.shape)

    def loss(*xs):
        y = op(*xs[:-1], **sample.params)
        return sum(mul(y, xs[-1]), axis=tuple(range(len(spec.shape))), keepdim=False)

    def program(*xs):
        out = loss(*xs)
        return [out, *gradients(out, [xs[i] for i in floats])]

    recorded = G.trace(program, *sample.inputs, weights)
    G.verify(recorded)
    _, *found = G.run(recorded, *sample.inputs, weights)
    tensors = [wrap(x) for x in sample.inputs]
    for i in floats:
        tensors[i].requires_grad_()
    expected = grad(loss(*tensors, wrap(weights)), [tensors[i] for i in floats], allow_unused=True)
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_array_equal(mine, theirs.numpy())


def test_a_program_prints_as_text():
    def f(x, w):
        return (x * w).__neg__() + 2.0

    x = Spec((2, 3), np.dtype(np.float32))
    w = Spec((3,), np.dtype(np.float32))
    assert str(G.trace(f, x, w, names=["x", "w"])) == (
        "graph(x: float32[2,3], w: float32[3])\n"
        "  %0: float32[2,3] = expand(w, shape=(2,3))\n"
        "  %1: float32[2,3] = mul(x, %0)\n"
        "  %2: float32[2,3] = neg(%1)\n"
        "  %3: float32[2,3] = add(%2, 2.0)\n"
        "  return %3"
    )


def test_the_verifier_finds_what_is_broken():
    x = Spec((2,), np.dtype(np.float64))
    good = G.trace(lambda a: a * a + 1.0, x)
    G.verify(good)
    for nodes, outputs in ((good.nodes[::-1], good.outputs), (good.nodes[:1], good.outputs)):
        with pytest.raises(GraphError):
            G.verify(G.Graph(good.inputs, nodes, outputs))
    good.nodes[0].spec = Spec((3,), np.dtype(np.float64))
    with pytest.raises(GraphError, match="makes float64"):
        G.verify(good)


def test_an_update_is_written_after_everything_was_read():
    a, b = (Node(None, (), {}, Spec((2,), float64), name) for name in "ab")
    graph = Graph((a, b), (), (a,), ((a, b), (b, a)))  # the two change places
    verify(graph)
    assert str(graph).splitlines()[-3:] == ["  a <- b", "  b <- a", "  return a"]
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    (before,) = run(graph, x, y)
    assert (before.tolist(), x.tolist(), y.tolist()) == ([1.0, 2.0], [3.0, 4.0], [1.0, 2.0])


def test_the_verifier_finds_updates_that_are_none():
    a, b = (Node(None, (), {}, Spec((n,), float64), "x") for n in (2, 3))
    for updates in (((a, a), (a, a)), ((a, b),), ((Node(None, (), {}, a.spec, "c"), a),)):
        with pytest.raises(GraphError):
            verify(Graph((a, b), (), (), updates))
