"""The four equations on models of the user's own: every line comes out, for any chain of layers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule
from chainrule import nn
from chainrule.derivation.derive import MOST_UNITS
from chainrule.derivation.elements import Place
from chainrule.derivation.forms import evaluate
from chainrule.derivation.models import explain
from chainrule.derivation.record import case_study

F = nn.functional
ACTIVATIONS = [nn.Sigmoid, nn.Tanh, nn.ReLU, nn.Softplus, nn.GELU, nn.LeakyReLU, nn.SiLU]
FOUR = ["FORWARD", "BP1", "BP2", "BP3", "BP4"]


def titles(found):
    return [s.title for s in found.derivation.sections]


def section(found, title):
    return next(s for s in found.derivation.sections if s.title == title)


def case_study_model():
    """The 2-2-1 network of the second article as a Module, with x and y."""
    n = case_study()
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid()).double()
    with chainrule.no_grad():
        for module, layer in zip(model[::2], n.layers, strict=True):
            module.weight.copy_(chainrule.tensor(layer.weight.T.copy()))
            module.bias.copy_(chainrule.tensor(layer.bias))
    numbers = lambda v: chainrule.tensor([v], dtype=chainrule.float64)  # noqa: E731
    return model, numbers([0.5, 0.3]), numbers([0.8])


def test_a_module_of_two_two_one_is_derived_as_the_article():
    model, x, y = case_study_model()
    found = ((model(x) - y) ** 2).mean().explain(model=model)
    assert titles(found)[:5] == FOUR
    values = {title: [line.value for line in section(found, title).lines] for title in FOUR}
    np.testing.assert_allclose(values["FORWARD"], [
        0.41, 0.47, 0.6010878788483698, 0.6153837563911821, 1.0914213567828495,
        0.7486492778542029, 0.0026368966648948637], rtol=1e-13)  # fmt: skip
    np.testing.assert_allclose(values["BP1"][-1], -0.019325693988596536, rtol=1e-13)
    sent_back = [-0.0027803633297635694, -0.0032018928099207308]
    np.testing.assert_allclose(values["BP2"][-2:], sent_back, rtol=1e-13)
    np.testing.assert_allclose(values["BP4"][:2], [-0.011616, -0.011893], atol=5e-7)
    text = found.text(160)
    for words in ("(3:Sigmoid[0,0] - x#2[0,0])²", "1 / (1 + e^-0.41)", "9 of 9 gradients agree"):
        assert words in text
    page, data = found.html(), found.data()
    assert [s["title"] for s in data["sections"]][:5] == FOUR
    for title in FOUR:
        assert title in page
    assert "<mfrac>" in page


@st.composite
def chains(draw):
    sizes = draw(st.lists(st.integers(1, 14), min_size=2, max_size=5))
    rows = draw(st.integers(1, 9))
    loss = draw(st.sampled_from(["mse", "cross-entropy", "bce"]))
    kinds = [draw(st.sampled_from(ACTIVATIONS)) for _ in sizes[2:]]
    return sizes, kinds, rows, loss, draw(st.integers(0, 2**31))


def made(sizes, kinds, rows, loss, seed):
    chainrule.manual_seed(seed)
    layers = []
    for (m, n), kind in itertools.zip_longest(itertools.pairwise(sizes), kinds):
        layers += [nn.Linear(m, n), *([kind()] if kind else [])]
    model = nn.Sequential(*layers).double()
    x = chainrule.randn(rows, sizes[0], dtype=chainrule.float64)
    z = model(x)
    if loss == "mse":
        return model, F.mse_loss(z, chainrule.randn(*z.shape, dtype=chainrule.float64))
    if loss == "bce":
        y = (chainrule.rand(*z.shape) > 0.5).double()
        return model, F.binary_cross_entropy_with_logits(z, y)
    labels = chainrule.tensor(np.random.default_rng(seed).integers(0, sizes[-1], rows))
    return model, F.cross_entropy(z, labels, label_smoothing=0.1)


def hold(case):
    """Every line is the number of its formula, and BP3 and BP4 are what backward() gives."""
    model, loss = made(*case)
    found = loss.explain(model=model)
    d = found.derivation
    assert [t for t in titles(found) if t in FOUR] == [
        t for t in FOUR if t != "BP2" or len(case[0]) > 2
    ]
    for title in FOUR[: 5 if len(case[0]) > 2 else 2]:
        for line in section(found, title).lines:
            if line.symbols is not None:
                np.testing.assert_allclose(evaluate(line.symbols, d.at), line.value, 1e-8, 1e-12)
    assert found.holds
    loss.backward()
    wanted = {n: p.grad.numpy() for n, p in model.named_parameters()}
    seen = dict.fromkeys(wanted, 0)
    for line in (*section(found, "BP3").lines, *section(found, "BP4").lines):
        if isinstance(line.what, Place):
            name = d.label(line.what, False).removeprefix("∂L/∂").partition("[")[0]
            np.testing.assert_allclose(line.value, wanted[name][line.what.at], 1e-9, 1e-12)
            seen[name] += 1
    for name, g in wanted.items():
        assert seen[name] == (g.size if g.size <= MOST_UNITS else 5 if len(case[0]) < 8 else 2)


@settings(max_examples=12, deadline=None)
@given(chains())
def test_chains_come_out(case):
    hold(case)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(chains())
def test_many_chains_come_out(case):
    hold(case)


def test_what_is_wide_is_shown_by_its_size_and_its_largest_five():
    model, loss = made([3, 40, 4], [nn.Tanh], 30, "cross-entropy", 0)
    found = loss.explain(model=model)
    lines = section(found, "FORWARD").lines
    assert sum(isinstance(line.what, Place) for line in lines) == 5 * 4 + 1
    assert "norm of all, shape [30, 40]" in [line.note for line in lines]
    assert [t for t in titles(found) if t in FOUR] == FOUR


NO_CHAINS = {
    "a norm": lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)),
    "a convolution": lambda: nn.Sequential(nn.Conv1d(1, 2, 2), nn.Flatten(), nn.Linear(4, 2)),
}


@pytest.mark.parametrize("name", NO_CHAINS)
def test_what_is_no_chain_has_no_four_equations(name):
    model = NO_CHAINS[name]()
    x = chainrule.randn(2, 1, 3) if name == "a convolution" else chainrule.randn(2, 3)
    found = explain(lambda: (model(x) ** 2).mean(), None, model)
    assert not set(titles(found)) & set(FOUR)
    assert found.holds
