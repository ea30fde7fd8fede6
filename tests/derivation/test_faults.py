"""Why a gradient is 0, tiny or no number: planted faults, and gradients that have none."""

from __future__ import annotations

import pytest

import chainrule
from chainrule import nn
from chainrule.derivation.models import explain

F = nn.functional


def net(activation=nn.ReLU):
    chainrule.manual_seed(1)
    parts = nn.Sequential(nn.Linear(3, 4), activation(), nn.Linear(4, 2))
    x, y = chainrule.randn(6, 3), chainrule.randint(0, 2, (6,))
    return parts, x, y


def given(activation=nn.ReLU, change=None, at="0.weight[1,2]"):
    model, x, y = net(activation)
    with chainrule.no_grad():
        if change is not None:
            change(model, x)
    return explain(lambda: F.cross_entropy(model(x), y), at, model)


def put(place, value):
    """A change: at model, x -> tensor, everything becomes a value."""

    def change(model, x):
        place(model, x).fill_(value)

    return change


def deep():
    chainrule.manual_seed(0)
    model = nn.Sequential(*[p for _ in range(12) for p in (nn.Linear(3, 3), nn.Sigmoid())])
    return explain(lambda: model(chainrule.ones(2, 3)).pow(2).mean(), "0.weight[1,2]", model)


def of(function, values=(0.0, 2.0), at="w[0]"):
    w = chainrule.tensor(list(values), requires_grad=True)
    return explain(lambda: function(w).sum(), at, {"w": w})


def embedding():
    model = nn.Embedding(5, 3)
    index = chainrule.tensor([1, 2])
    return explain(lambda: model(index).pow(2).mean(), "weight[4,1]", model)


def normed():
    """What a normalization takes away again."""
    chainrule.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    x = chainrule.randn(5, 3)
    return explain(lambda: model(x).pow(2).mean(), "0.bias[1]", model)


def scaled():
    """A mean over what is tiny."""
    w = chainrule.tensor([1e-9], requires_grad=True)
    return explain(lambda: (w * 1e-9).sum(), "w[0]", {"w": w})


PLANTED = {
    "a dead unit": (lambda: given(change=put(lambda m, x: m[0].bias[1:2], -90.0)),
                    ["WHY IT IS 0", "relu is off (0:Linear[:,1] is not above 0)", "6 of 6 terms"]),
    "an input that is 0": (lambda: given(change=put(lambda m, x: x[:, 2], 0.0)),
                           ["WHY IT IS 0", "x[:,2] is 0"]),
    "weights that are 0": (lambda: given(nn.Tanh, put(lambda m, x: m[2].weight[:, 1], 0.0)),
                           ["WHY IT IS 0", "2.weight[:,1] is 0"]),
    "a saturated unit": (lambda: given(nn.Tanh, put(lambda m, x: m[0].bias[1:2], 99.0)),
                         ["WHY IT IS 0", "saturated at 1"]),
    "nan in the data": (lambda: given(change=put(lambda m, x: x[2, 1:2], float("nan"))),
                        ["WHY IT IS nan", "x[2,1]", "an input holds it"]),
    "inf in a weight": (lambda: given(change=put(lambda m, x: m[2].weight[0, :1], float("inf"))),
                        ["WHY IT IS nan", "2.weight[0,0]", "an input holds it"]),
    "ln of 0": (lambda: of(chainrule.log), ["WHY IT IS inf", "made by log", "w[0]"]),
    "the root of 0": (lambda: of(chainrule.sqrt), ["WHY IT IS inf", "on the way back"]),
    "a clamp": (lambda: of(lambda w: w.clamp(0.0, 1.0), at="w[1]"), ["WHY IT IS 0", "masked out"]),
    "a maximum": (lambda: of(lambda w: w.amax(0)), ["WHY IT IS 0", "not the largest"]),
    "a slice": (lambda: of(lambda w: w[1:] * 3), ["WHY IT IS 0", "cut away"]),
    "terms that cancel": (lambda: of(lambda w: w * 2 - w * 2), ["WHY IT IS 0"]),
    "a row that is not looked up": (embedding, ["WHY IT IS 0", "not looked up"]),
    "a bias before a batch norm": (normed, ["cancel"]),
    "many sigmoids": (deep, ["WHY IT IS SMALL", "slopes", "weights"]),
    "a small number": (scaled, ["WHY IT IS SMALL", "numbers of the rule"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_named(name):
    make, words = PLANTED[name]
    text = make().text(200)
    assert not [w for w in words if w not in text], text


HEALTHY = {
    "relu": lambda: given(at="0.weight[0,0]"),
    "tanh": lambda: given(nn.Tanh),
    "square": lambda: of(lambda w: w * w, at="w[1]"),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_gradient_that_is_as_it_should_be_gets_no_reason(name):
    found = HEALTHY[name]()
    assert "WHY" not in found.text()
    assert found.holds
