"""The gradients of slices of one value: added where they were read, and for one array."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import functional as F
from chainrule import graph as G
from chainrule import ops
from chainrule.grad import gradients
from chainrule.tensor.core import wrap

SHAPE = (5, 6)


def ranges_of(n):
    return st.builds(
        lambda a, b, step: (min(a, b), max(a, b), step),
        st.integers(0, n), st.integers(0, n), st.sampled_from([1, 1, 1, 2]),
    ) | st.just((0, n, 1))  # fmt: skip


reads = st.lists(st.tuples(*map(ranges_of, SHAPE)), min_size=1, max_size=5)


@given(reads=reads, beside=st.booleans(), leaf=st.booleans(), seed=st.integers(0, 99))
def test_any_slices_of_one_value(reads, beside, leaf, seed):
    """Overlapping, repeated, empty, with gaps and steps; of a leaf or of what was computed."""
    rng = np.random.default_rng(seed)
    x = wrap(rng.normal(size=SHAPE)).requires_grad_()
    source = x if leaf else x * 2.0
    loss = source.sum() if beside else source[:0].sum()
    wanted = np.full(SHAPE, float(beside))
    for ranges in reads:
        places = tuple(slice(*r) for r in ranges)
        w = rng.normal(size=wanted[places].shape)
        loss = loss + (ops.slice_(source, ranges=ranges) * wrap(w)).sum()
        wanted[places] += w
    (g,) = chainrule.autograd.grad(loss, x, create_graph=bool(seed % 2))
    np.testing.assert_allclose(g.detach().numpy(), wanted * (1 if leaf else 2), rtol=1e-12)


def test_a_loop_over_time_goes_back_by_one_concat():
    def program(x):
        loss = 0.0
        for t in range(1, 9):  # the first row is not read
            loss = loss + ops.sum(ops.tanh(F.select(x, 0, t)), axis=(0,), keepdim=False)
        return gradients(loss, [x])

    recorded = G.trace(program, ops.Spec((9, 3), np.dtype(np.float64)))
    names = [node.op.name for node in recorded.nodes]
    assert names.count("concat") == 1
    assert "put_slice" not in names
    x = np.random.default_rng(0).normal(size=(9, 3))
    (g,) = G.run(recorded, x)
    np.testing.assert_allclose(g[1:], 1 - np.tanh(x[1:]) ** 2, rtol=1e-12)
    assert not g[0].any()


def test_a_hook_of_a_sliced_leaf_sees_the_whole_gradient_once():
    x = chainrule.ones(4).requires_grad_()
    seen = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x[:2].sum() + 3 * x[2:].sum()).backward()
    assert seen == [[1.0, 1.0, 3.0, 3.0]] == [x.grad.tolist()]
