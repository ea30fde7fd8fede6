"""The computation graph of a loss: nodes, edges, values and gradients, and what it leaves alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_summary import MADE, MODULES, given, state

import chainrule
from chainrule import diagram, nn
from chainrule.errors import ArgumentError, ArgumentTypeError
from chainrule.nn.diagram import MOST_NODES
from chainrule.nn.drawing import ranks


@pytest.mark.parametrize("name", [n for n, (_, shapes) in MADE.items() if shapes])
def test_it_works_for_every_module_and_changes_none(name):
    make, shapes = MADE[name]
    model, inputs = make(MODULES[name]), given(shapes)
    before, drawn = state(model), chainrule.get_rng_state()
    found = diagram(model, inputs)
    assert (np.asarray(chainrule.get_rng_state()) == np.asarray(drawn)).all()
    after = state(model)
    assert before[0] == after[0]
    assert all((a == b).all() for a, b in zip(before[1], after[1], strict=True))
    assert before[2:] == after[2:]
    assert all(t.grad is None for t in inputs if t.requires_grad)
    assert all(e.gradient is None for e in found.edges)
    assert "not computed" in str(found) or not found.edges
    assert sum(n.kind == "input" for n in found.nodes) == len(inputs) + 1
    json.dumps(found.as_data(), allow_nan=False)
    found._repr_html_()


class Block(nn.Module):
    """x + b(act(a(x)))."""

    def __init__(self):
        super().__init__()
        self.a, self.act, self.b = nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3)

    def forward(self, x):
        return x + self.b(self.act(self.a(x)))


def test_values_and_gradients_are_those_of_backward():
    model = nn.Sequential(nn.Linear(2, 3), Block(), nn.Linear(3, 2)).double()
    x = chainrule.rand(4, 2, dtype=chainrule.float64)
    y = chainrule.tensor([0, 1, 1, 0])
    found = diagram(model, x, y, nn.CrossEntropyLoss())
    seen = {}
    for path in ("0", "1", "1.a", "1.act", "1.b", "2"):
        model.get_submodule(path).register_forward_hook(
            lambda m, a, out, path=path: (out.retain_grad(), seen.update({path: out}))[1]
        )
    loss = nn.CrossEntropyLoss()(model(x), y)
    loss.backward()
    labels = [n.label for n in found.nodes]
    made = {"0": "0", "1.a": "1.a", "1.act": "1.act", "1.b": "1.b", "2": "2", "1: add": "1"}
    checked = 0
    for e in found.edges:
        if labels[e.source] in made:
            out = seen[made[labels[e.source]]]
            assert e.shape == list(out.shape)
            assert np.isclose(e.value, np.linalg.norm(out.detach().numpy()))
            assert np.isclose(e.gradient, np.linalg.norm(out.grad.numpy()))
            checked += 1
    assert checked == 7
    assert (labels.index("0"), labels.index("1: add")) in [
        (e.source, e.target) for e in found.edges
    ]
    assert np.isclose(found.edges[-1].value, loss.item())
    assert found.edges[-1].gradient == 1.0


def test_a_large_model_is_folded_and_loses_no_parameter():
    model = nn.Sequential(*[nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
                            for _ in range(30)])  # fmt: skip
    found = diagram(model, chainrule.rand(1, 2), chainrule.rand(1, 2), nn.MSELoss())
    assert found.folded
    assert len(found.nodes) <= MOST_NODES
    assert sum(n.parameters for n in found.nodes) == sum(p.numel() for p in model.parameters())
    flat = nn.Sequential(*[nn.Linear(2, 2) for _ in range(MOST_NODES * 2)])
    stretches = diagram(flat, chainrule.rand(1, 2))
    assert len(stretches.nodes) <= MOST_NODES
    assert sum(n.parameters for n in stretches.nodes) == 6 * MOST_NODES * 2
    assert stretches.nodes[1].label == "0 to 2"


def test_a_shared_module_is_a_node_a_call():
    layer = nn.Linear(2, 2)
    found = diagram(nn.Sequential(layer, nn.Tanh(), layer), chainrule.rand(1, 2))
    assert [n.type for n in found.nodes] == ["", "Linear", "Tanh", "Linear", ""]


def test_rows_go_down():
    model = nn.Sequential(nn.Linear(2, 3), Block(), nn.Linear(3, 1))
    found = diagram(model, chainrule.rand(4, 2), chainrule.rand(4, 1), nn.MSELoss())
    rank = ranks(found)
    assert all(rank[e.source] < rank[e.target] for e in found.edges)
    assert min(rank) == 0


def test_a_loss_may_be_a_function_and_not_finite():
    def far(out, target):
        return (out - target).exp().sum()

    found = diagram(nn.Linear(1, 1), chainrule.tensor([[1e6]]), chainrule.tensor([[-1e9]]), far)
    data = json.loads(json.dumps(found.as_data(), allow_nan=False))
    assert data["edges"][-1]["value"] == "inf"
    assert "far" in str(found)
    assert "inf" in found._repr_html_()


def test_what_does_not_fit_is_said():
    with pytest.raises(ArgumentTypeError, match="Module"):
        diagram(lambda x: x, chainrule.ones(1))
    with pytest.raises(ArgumentError, match="target is for a loss"):
        diagram(nn.Linear(1, 1), chainrule.ones(1, 1), chainrule.ones(1, 1))
    with pytest.raises(ArgumentError, match="can't be called"):
        diagram(nn.Linear(1, 1), (chainrule.ones(1, 1), chainrule.ones(1, 1)))
