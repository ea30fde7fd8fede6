"""The worked example is the engine's: loss and gradients of the run's own model."""

from __future__ import annotations

import re
import xml.etree.ElementTree as tree

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.derivation.parts import Name
from chainrule.report import graph, worked
from report_cases import mlp


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("sizes", "activation"), [
    ((2, 3), nn.Tanh), ((2, 5, 3), nn.Sigmoid), ((4, 20, 6, 5), nn.ReLU), ((3, 4, 2), nn.Softplus),
])  # fmt: skip
def test_loss_and_gradients_are_those_of_backward(sizes, activation, smoothing):
    model = mlp(sizes, activation).double()
    x = np.random.default_rng(2).normal(size=sizes[0])
    d, n = worked.worked(model, x, 1, sizes[-1], smoothing, 0.1)
    loss = nn.CrossEntropyLoss(label_smoothing=smoothing)(
        model(chainrule.tensor(x[None])), chainrule.tensor([1])
    )
    loss.backward()
    assert np.isclose(float(n.array(Name("L"))), loss.item(), rtol=1e-12)
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    for i, m in enumerate(linear, 1):
        mine = n.array(Name("W", i, "gradient"))
        assert np.allclose(mine, np.asarray(m.weight.grad).T, rtol=1e-10, atol=1e-14)
    agree, of = re.search(r"(\d+) of (\d+) gradients", d.sections[-1].note).groups()
    assert agree == of != "0"


def test_formulas_are_well_formed_and_say_their_numbers():
    d, n = worked.worked(mlp(), np.array([0.5, -1.0]), 2, 3, 0.0, 0.1)
    page = worked.as_page(d)
    titles = [s["title"] for s in page["sections"]]
    assert titles[:5] == ["Forward", "BP1", "BP2", "BP3", "BP4"]
    pieces = [p for s in page["sections"] for line in s["lines"] for p in line["pieces"]]
    assert len(pieces) > 50
    for p in pieces:
        assert tree.fromstring(p).tag == "math"
    loss = f"{float(n.array(Name('L'))):.6f}"
    assert loss in page["text"]
    assert any(loss in p for p in pieces)
    linked = [p for p in pieces if "data-key" in p]
    assert linked
    assert all("W-" in p for p in linked)


def test_a_weight_of_the_formula_is_a_line_of_the_picture():
    model = mlp()
    g = graph.graph_of(model, nn.CrossEntropyLoss(), np.float32([0.5, -1.0]), 2)
    d, n = worked.worked(model, np.float32([0.5, -1.0]), 2, 3, 0.0, 0.1)
    graph.unfold(g, n, [k for k, m in model.named_modules() if isinstance(m, nn.Linear)])
    keys = {e.key for e in g.unit_edges}
    page = worked.as_page(d)
    text = str(page["sections"])
    found = set(re.findall(r'data-key="([^"]+)"', text))
    assert found & keys
    assert all(f'data-key="{k}"' in graph.units_svg(g) for k in keys)
    by_module = {e.target: e for e in g.edges}
    assert np.isclose(
        float(by_module["L"].gradient.removeprefix("norm ")),
        np.linalg.norm(n.array(Name("z", 2, "gradient"))), rtol=1e-3,
    )  # fmt: skip
    assert len(g.nodes) == 2 + len(list(model.children()))


def test_a_graph_joins_what_was_handed_on():
    class Fork(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 3)

        def forward(self, x):
            h = self.a(x)
            return h + self.b(h)

    g = graph.graph_of(Fork(), nn.CrossEntropyLoss(), np.float32([1.0, 2.0]), 0)
    names = {node.id: node.label for node in g.nodes}
    joined = {(names[e.source], names[e.target].split(" ")[0]) for e in g.edges}
    assert {("x", "a"), ("a", "b")} <= joined
    tree_ = graph.tree(Fork(), g)
    assert [part["name"] for part in tree_[0]["parts"]] == ["a", "b"]


@pytest.mark.parametrize(("model", "why"), [
    (nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 2)), "GELU"),
    (nn.Sequential(nn.Linear(2, 3), nn.Tanh()), "logits"),
    (nn.Sequential(nn.Tanh()), "no derivation"),
])  # fmt: skip
def test_what_is_not_worked_says_why(model, why):
    assert why in worked.worked(model, np.zeros(2), 0, 2, 0.0, 0.1)


def test_the_short_why_holds_the_loss_of_its_row():
    model = mlp()
    x = np.float32([2.0, -1.0])
    lines = worked.short(worked.layers_of(model), x, 0, 2, 0.0)
    loss = nn.CrossEntropyLoss()(model(chainrule.tensor(x[None])), chainrule.tensor([0])).item()
    assert any(f"{loss:.5f}"[:6] in line for line in lines if "loss of this row" in line)


def test_logits_beyond_exponentials_are_no_error():
    model = mlp((2, 3))
    model[0].load_state_dict({"weight": np.float32([[1e30, 0], [0, 1], [1, 0]]),
                              "bias": np.zeros(3, np.float32)})  # fmt: skip
    x = np.float32([1.0, 2.0])
    assert "too far" in worked.worked(model, x, 0, 3, 0.1, 0.1)
    assert "too far" in worked.short(worked.layers_of(model), x, 0, 1, 0.1)[0]
