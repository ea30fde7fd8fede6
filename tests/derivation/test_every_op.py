"""Every op of the registry on tensors: its gradient is explained, by a function and by a loss."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.derivation.elements import Place
from chainrule.derivation.forms import leaves as leaves_of
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


# ---------------------------------------------------------------- places of the user's own tensor


class Laid(nn.Module):
    """An op on what is scaled by a parameter, of a tensor that the layer lays out first."""

    def __init__(self, op, sample):
        super().__init__()
        self.op, self.params = op, sample.params
        first, *self.rest = (chainrule.tensor(a) if isinstance(a, np.ndarray) else a
                             for a in sample.inputs)  # fmt: skip
        self.shape = first.shape
        self.scale = nn.Parameter(chainrule.ones(*self.shape, dtype=first.dtype))

    def forward(self, raw):
        x = raw.flip(0).reshape(*reversed(self.shape)).permute(*reversed(range(len(self.shape))))
        return self.op(x * self.scale, *self.rest, **self.params)


def held(found, user):
    """How many places of an input are printed; each must be one of the user's, with its number."""
    d, count = found.derivation, 0
    for section in d.sections:
        for line in section.lines:
            places = [line.what] if isinstance(line.what, Place) else []
            places += [p for form in (line.symbols, line.numbers) if form for p in leaves_of(form)]
            for p in places:
                name = d.label(p, False)
                if p.node.op is None and name.startswith("x[") and p.node.dtype.kind == "f":
                    at = tuple(int(i) for i in name[2:-1].split(","))
                    assert d.at(p) == user.numpy()[at], name
                    count += 1
    return count


@pytest.mark.parametrize("op", smooth, ids=lambda op: op.name)
def test_a_printed_place_is_one_of_the_users_tensor(op):
    seen = possible = 0
    for sample in op.samples(np.random.default_rng(0)):
        first = sample.inputs[0] if sample.inputs else None
        if not (isinstance(first, np.ndarray) and first.dtype.kind == "f" and first.ndim > 1):
            continue
        module = Laid(op, sample)
        raw = chainrule.tensor(np.ascontiguousarray(first.T).reshape(-1)[::-1].copy())
        if not raw.numel():
            continue
        y = module(raw)
        if not y.requires_grad:
            continue
        loss = (y * chainrule.tensor(np.random.default_rng(1).normal(size=y.shape))).sum()
        loss.backward(retain_graph=True)
        g = module.scale.grad.numpy()
        at = ",".join(map(str, np.unravel_index(int(np.abs(g).argmax()), g.shape)))
        possible += bool(g.any())
        seen += bool(held(loss.explain(f"scale[{at}]", module), raw))
        break
    assert seen == possible


LAYERS = {
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1), (2, 2, 6), "weight[1,0,2]"),
    "conv2d": (lambda: nn.Conv2d(1, 2, 3), (3, 1, 5, 5), "weight[1,0,2,1]"),
    "strided": (lambda: nn.Conv2d(2, 2, 3, stride=2, padding=1), (2, 2, 5, 5), "weight[1,1,2,1]"),
    "grouped": (lambda: nn.Conv2d(2, 2, 2, groups=2), (2, 2, 4, 4), "weight[1,0,1,0]"),
    "linear": (lambda: nn.Linear(4, 2), (3, 5, 4), "weight[1,2]"),
    "attention": (lambda: nn.MultiheadAttention(4, 2, batch_first=True), (3, 5, 4),
                  "in_proj_weight[9,1]"),
}  # fmt: skip


@pytest.mark.parametrize("by", ["loss.explain", "a function"])
@pytest.mark.parametrize("name", LAYERS)
def test_places_through_layers_are_the_users(name, by):
    make, shape, entry = LAYERS[name]
    chainrule.manual_seed(0)
    model, x = make(), chainrule.randn(*shape, dtype=chainrule.float64)
    model.double()

    def loss():
        y = model(x, x, x)[0] if name == "attention" else model(x)
        return (y**2).mean()

    found = explain(loss() if by == "loss.explain" else loss, entry, model)
    assert held(found, x) > 0
    assert found.holds


def test_what_was_overwritten_after_a_layer_copied_it_keeps_its_numbers():
    chainrule.manual_seed(0)
    model, x = nn.Conv2d(1, 2, 3), chainrule.randn(2, 1, 5, 5)
    loss = (model(x) ** 2).mean()
    before = loss.explain("weight[0,0,0,0]", model).value
    x.zero_()
    found = loss.explain("weight[0,0,0,0]", model)
    assert found.value == before
    assert found.holds
