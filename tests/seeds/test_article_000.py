"""Article 000: one neuron, two layers, and the snippet that readers paste."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_article_000 import HERE, SNIPPET, STARTS, run

import chainrule
from chainrule import nn

FROZEN = np.load(HERE / "article_000.npz")
OURS = SNIPPET.replace("import torch\n", "import chainrule as torch\n", 1)
numbers = st.floats(-3, 3)


def frozen(seed, what):
    prefix = f"{seed} {what}"
    return {k.removeprefix(prefix): FROZEN[k] for k in FROZEN.files if k.startswith(prefix)}


def assert_same_step(result, expected):
    assert set(result) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(result[name], value, rtol=1e-6, atol=1e-7, err_msg=name)


def test_only_the_import_line_changes():
    theirs, ours = SNIPPET.splitlines(), OURS.splitlines()
    assert [n for n, (a, b) in enumerate(zip(theirs, ours, strict=True), 1) if a != b] == [1]


@pytest.mark.parametrize("seed", range(STARTS))
def test_the_snippet_takes_the_step_that_pytorch_took(seed):
    start = frozen(seed, "start ")
    expected = {k: v for k, v in frozen(seed, "").items() if not k.startswith("start ")}
    _, result = run(OURS, start)
    assert_same_step(result, expected)


def test_the_starting_points_reach_both_sides_of_the_relu():
    """Frozen steps would prove little if every hidden unit were dead in all of them."""
    moved = [np.any(FROZEN[f"{seed} grad fc1.weight"]) for seed in range(STARTS)]
    assert any(moved)
    assert not all(np.all(FROZEN[f"{seed} grad fc1.weight"]) for seed in range(STARTS))


@pytest.mark.reference
def test_the_snippet_and_pytorch_side_by_side():
    torch = pytest.importorskip("torch")
    torch.manual_seed(1234)
    start, expected = run(SNIPPET)
    _, result = run(OURS, start)
    assert_same_step(result, expected)


def test_the_snippet_runs_from_its_own_random_weights():
    start, result = run(OURS)
    assert result["outputs"].shape == (2, 1)
    assert any(np.any(result[f"after {name}"] != value) for name, value in start.items())


def scalar(value):
    return chainrule.tensor(value, dtype=chainrule.float64, requires_grad=True)


@given(x=numbers, w=numbers, b=numbers, y=numbers)
def test_a_neuron_is_three_multipliers(x, w, b, y):
    """dL/dw = 2 (y^ - y) * s'(z) * x, each of the three read off the engine."""
    w_, b_ = scalar(w), scalar(b)
    z = w_ * x + b_
    out = z.sigmoid()
    loss = (out - y) ** 2
    for value in (z, out):
        value.retain_grad()
    loss.backward()

    s = 1 / (1 + math.exp(-(w * x + b)))
    how_wrong, how_responsive, how_much_input = 2 * (s - y), s * (1 - s), x
    assert out.grad.item() == pytest.approx(how_wrong, rel=1e-12, abs=1e-15)
    assert z.grad.item() == pytest.approx(how_wrong * how_responsive, rel=1e-12, abs=1e-15)
    product = how_wrong * how_responsive * how_much_input
    assert w_.grad.item() == pytest.approx(product, rel=1e-12, abs=1e-15)
    assert b_.grad.item() == pytest.approx(how_wrong * how_responsive, rel=1e-12, abs=1e-15)


@given(x=numbers, y=numbers, weights=st.tuples(numbers, numbers, numbers, numbers))
def test_two_layers_go_backward_from_the_last(x, y, weights):
    """w2's gradient is complete before w1's, and both are the products that the article names."""
    w1, b1, w2, b2 = (scalar(v) for v in weights)
    a1 = (w1 * x + b1).tanh()
    out = (w2 * a1 + b2).sigmoid()
    loss = (out - y) ** 2
    order = []
    for name, p in (("w1", w1), ("w2", w2)):
        p.register_hook(lambda g, name=name: order.append(name))
    loss.backward()
    assert order == ["w2", "w1"]

    a, s = a1.item(), out.item()
    assert a == pytest.approx(math.tanh(weights[0] * x + weights[1]), rel=1e-15)
    delta = 2 * (s - y) * s * (1 - s)
    assert w2.grad.item() == pytest.approx(delta * a, rel=1e-12, abs=1e-15)
    inner = delta * weights[2] * (1 - a * a)
    assert w1.grad.item() == pytest.approx(inner * x, rel=1e-12, abs=1e-15)


def test_mse_is_a_mean_over_the_two_samples():
    """The factor that the article's formula and its snippet do not share: 2 (y^ - y) / n."""
    outputs = chainrule.tensor([[0.25], [3.0]], requires_grad=True)
    nn.MSELoss()(outputs, chainrule.tensor([[1.0], [2.0]])).backward()
    assert outputs.grad.tolist() == [[-0.75], [1.0]]


def test_without_zero_grad_the_second_step_adds_up():
    """The snippet has no zero_grad(): harmless once, wrong in a loop, here as in PyTorch."""
    model = nn.Linear(2, 1)
    x = chainrule.tensor([[1.0, 2.0]])
    model(x).sum().backward()
    model(x).sum().backward()
    assert model.weight.grad.tolist() == [[2.0, 4.0]]
    model.zero_grad()
    assert model.weight.grad is None
