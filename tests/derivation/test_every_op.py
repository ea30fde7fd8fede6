"""Every op of the registry on tensors: its gradient is explained, by a function and by a loss."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule.derivation.models import explain
from chainrule.ops import REGISTRY

smooth = [op for op in REGISTRY.values() if op.differentiable]


def cases(op):
    """(function of the tensors, tensors by name) for every sample of an op."""
    rng = np.random.default_rng(0)
    for sample in op.samples(np.random.default_rng(0)):
        inputs = [chainrule.tensor(a, requires_grad=a.dtype.kind == "f")
                  if isinstance(a, np.ndarray) else a for a in sample.inputs]  # fmt: skip
        leaves = {f"x{i}": t for i, t in enumerate(inputs)
                  if isinstance(t, chainrule.Tensor) and t.requires_grad and t.numel()}  # fmt: skip
        y = op(*inputs, **sample.params)
        if leaves and y.requires_grad:
            w = chainrule.tensor(rng.normal(size=y.shape))
            yield lambda inputs=inputs, p=sample.params, w=w: (op(*inputs, **p) * w).sum(), leaves


@pytest.mark.slow
@pytest.mark.parametrize("op", smooth, ids=lambda op: op.name)
def test_a_gradient_of_the_op(op):
    rng = np.random.default_rng(1)
    for loss, leaves in cases(op):
        loss().backward()
        for name, leaf in leaves.items():
            at = tuple(int(rng.integers(n)) for n in leaf.shape)
            entry = f"{name}[{','.join(map(str, at))}]" if at else name
            wanted = 0.0 if leaf.grad is None else float(leaf.grad.numpy()[at])
            for given in (loss, loss()):
                found = explain(given, entry, leaves)
                np.testing.assert_allclose(found.value, wanted, rtol=1e-10, atol=1e-13)
                assert found.holds, found.text()
