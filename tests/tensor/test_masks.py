"""Gradients behind a mask: what where() drops stays dropped, and only that."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule.autograd import grad
from chainrule.ops import REGISTRY


def leaf(*values):
    data = values[0] if len(values) == 1 else list(values)
    return chainrule.tensor(data, dtype=chainrule.float64, requires_grad=True)


@pytest.mark.parametrize("f", ["log", "sqrt", "rsqrt", "reciprocal", "exp", "log1p"])
def test_masked_gradients_are_safe(f):
    """where() drops the infinite branch whole; PyTorch multiplies 0 by inf and gives nan."""
    x = leaf(-1.0, 0.0, 4.0, 1000.0)
    bad = chainrule.tensor([True, True, False, True])
    y = chainrule.where(bad, 0.0, getattr(x, f)())
    y.sum().backward()
    g = x.grad.numpy()
    assert (g[[0, 1, 3]] == 0).all()
    assert np.isfinite(g).all()
    assert g[2] != 0
    (second,) = grad(
        grad(chainrule.where(bad, 0.0, getattr(x, f)()).sum(), x, create_graph=True)[0].sum(), x
    )
    assert np.isfinite(second.numpy()).all()


@pytest.mark.parametrize("op", [op for op in REGISTRY.values() if op.singular], ids=repr)
def test_a_gradient_that_is_0_behind_a_mask_has_a_derivative(op):
    """(f(x) - f(x0))^2 has the gradient 0 at x0 and the second derivative 2 f'(x0)^2 there."""
    for sample in op.samples(np.random.default_rng(0)):
        inputs = [leaf(*np.ravel(x)) for x in sample.inputs]
        y = op(*inputs, **sample.params)
        slopes = grad(y.sum(), inputs, retain_graph=True)
        loss = chainrule.where(y > -1e9, (y - y.detach()) ** 2, 0.0).sum()
        first = grad(loss, inputs, create_graph=True)
        for g, x, slope in zip(first, inputs, slopes, strict=True):
            assert not g.detach().numpy().any()
            (second,) = grad(g.sum(), x, retain_graph=True)
            assert np.allclose(second.numpy(), 2 * slope.numpy() ** 2, rtol=1e-9)
