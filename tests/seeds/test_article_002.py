"""Article 002: the four equations, the quadratic cost, descent and ascent, and what backward saves.

BP1   delta_L = (a_L - y) * s'(z_L)
BP2   delta_l = (W_{l+1}^T delta_{l+1}) * s'(z_l)
BP3   dC/db_l = delta_l
BP4   dC/dW_l = delta_l a_{l-1}^T
"""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule
from chainrule import nn
from chainrule.data import digits_split

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "backward_vs_differences.py"


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def slope(z):
    return sigmoid(z) * (1 - sigmoid(z))


def four_equations(weights, biases, x, y):
    """(dC/dW, dC/db) of every layer, by the equations; x and y hold one example a column."""
    zs, activations = [], [x]
    for w, b in zip(weights, biases, strict=True):
        zs.append(w @ activations[-1] + b[:, None])
        activations.append(sigmoid(zs[-1]))
    delta = (activations[-1] - y) * slope(zs[-1])  # BP1
    n = x.shape[1]  # the cost is a mean over examples
    dw, db = [], []
    for layer in reversed(range(len(weights))):
        db.append(delta.sum(axis=1) / n)  # BP3
        dw.append(delta @ activations[layer].T / n)  # BP4
        if layer:
            delta = (weights[layer].T @ delta) * slope(zs[layer - 1])  # BP2
    return dw[::-1], db[::-1]


def sigmoid_net(sizes, rng):
    """Linear and Sigmoid in turn, with standard normal weights in float64."""
    layers = []
    for a, b in pairwise(sizes):
        linear = nn.Linear(a, b, dtype=chainrule.float64)
        linear.weight.data = chainrule.tensor(rng.standard_normal((b, a)))
        linear.bias.data = chainrule.tensor(rng.standard_normal(b))
        layers += [linear, nn.Sigmoid()]
    return nn.Sequential(*layers)


@given(
    sizes=st.lists(st.integers(1, 7), min_size=2, max_size=7),  # 1 to 6 layers of weights
    examples=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_four_equations_are_backward(sizes, examples, seed):
    rng = np.random.default_rng(seed)
    net = sigmoid_net(sizes, rng)
    x, y = rng.standard_normal((examples, sizes[0])), rng.uniform(size=(examples, sizes[-1]))
    nn.QuadraticCost()(net(chainrule.tensor(x)), chainrule.tensor(y)).backward()

    linears = list(net)[::2]
    weights = [m.weight.detach().numpy() for m in linears]
    biases = [m.bias.detach().numpy() for m in linears]
    dw, db = four_equations(weights, biases, x.T, y.T)
    for m, w, b in zip(linears, dw, db, strict=True):
        np.testing.assert_allclose(m.weight.grad.numpy(), w, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(m.bias.grad.numpy(), b, rtol=1e-12, atol=1e-15)


@given(seed=st.integers(0, 2**32 - 1), outputs=st.integers(1, 5), examples=st.integers(1, 5))
def test_the_factor_between_the_two_articles(seed, outputs, examples):
    """MSE is 2 / outputs times the quadratic cost, and so is every gradient: 2 for one output."""
    rng = np.random.default_rng(seed)
    net = sigmoid_net([3, outputs], rng)
    x = chainrule.tensor(rng.standard_normal((examples, 3)))
    y = chainrule.tensor(rng.uniform(size=(examples, outputs)))
    gradients = []
    for loss in (nn.QuadraticCost(), nn.MSELoss()):
        net.zero_grad()
        loss(net(x), y).backward()
        gradients.append(net[0].weight.grad.numpy() * (outputs if len(gradients) else 2))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-12, atol=1e-15)


def test_the_case_study_under_the_quadratic_cost_has_half_the_error():
    z = chainrule.tensor([[1.0914213567828495]], dtype=chainrule.float64, requires_grad=True)
    y = chainrule.tensor([[0.8]], dtype=chainrule.float64)
    halves = []
    for loss in (nn.QuadraticCost(), nn.MSELoss()):
        z.grad = None
        loss(z.sigmoid(), y).backward()
        halves.append(z.grad.item())
    assert [round(v, 6) for v in halves] == [-0.009663, -0.019326]


def test_the_sign_in_the_sigmoid():
    """With 1 / (1 + e^z) in place of 1 / (1 + e^-z) activations fall where they should rise."""
    z = chainrule.tensor(0.41, dtype=chainrule.float64, requires_grad=True)
    right, wrong = z.sigmoid(), 1 / (1 + z.exp())
    assert [round(v.item(), 6) for v in (right, wrong)] == [0.601088, 0.398912]
    (up,) = chainrule.autograd.grad(right, z)
    (down,) = chainrule.autograd.grad(wrong, z)
    assert up.item() == pytest.approx(-down.item(), rel=1e-15)


def follow(function, start, steps, **settings):
    """Where SGD comes to from `start`, and the function's value there."""
    point = chainrule.tensor(start, dtype=chainrule.float64, requires_grad=True)
    optimizer = chainrule.optim.SGD([point], **settings)
    for _ in range(steps):
        optimizer.zero_grad()
        function(point).backward()
        optimizer.step()
    return point.detach().numpy(), function(point).item()


def bowl(p):
    """(x - 1)^2 + 2 (y + 2)^2: the minimum is 0, at (1, -2)."""
    return (p[0] - 1) ** 2 + 2 * (p[1] + 2) ** 2


def hill(p):
    """A bell of height 3 at (0.5, -1)."""
    return 3 * (-((p[0] - 0.5) ** 2) - (p[1] + 1) ** 2).exp()


def himmelblau(p):
    """Four minima, all 0; the one nearest to (0, 0) is (3, 2)."""
    return (p[0] ** 2 + p[1] - 11) ** 2 + (p[0] + p[1] ** 2 - 7) ** 2


@pytest.mark.parametrize(
    ("function", "start", "lr", "maximize", "place", "height"),
    [
        (bowl, [0.0, 0.0], 0.1, False, [1, -2], 0),
        (himmelblau, [0.0, 0.0], 0.01, False, [3, 2], 0),
        (hill, [0.0, 0.0], 0.1, True, [0.5, -1], 3),
    ],
)
def test_descent_finds_the_minimum_and_ascent_the_maximum(
    function, start, lr, maximize, place, height
):
    point, value = follow(function, start, 300, lr=lr, maximize=maximize)
    np.testing.assert_allclose(point, place, atol=1e-6)
    assert value == pytest.approx(height, abs=1e-9)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), sign=st.sampled_from([1, -1]))
def test_any_paraboloid(seed, sign):
    """Descent into a random bowl and ascent onto a random dome end where calculus says."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.standard_normal((2, 2)))
    curvature = chainrule.tensor(turn @ np.diag(rng.uniform(0.5, 2, 2)) @ turn.T)
    top = rng.uniform(-2, 2, 2)
    centre = chainrule.tensor(top)

    def paraboloid(p):
        away = p - centre
        return sign * (away @ curvature @ away)

    point, _ = follow(paraboloid, [0.0, 0.0], 80, lr=0.25, maximize=sign < 0)
    np.testing.assert_allclose(point, top, atol=1e-8)


@given(seed=st.integers(0, 2**32 - 1))
def test_a_small_enough_step_downhill_lowers_and_uphill_raises(seed):
    rng = np.random.default_rng(seed)
    start = rng.uniform(-4, 4, 2).tolist()
    here = himmelblau(chainrule.tensor(start, dtype=chainrule.float64)).item()
    assert follow(himmelblau, start, 1, lr=1e-7)[1] <= here
    assert follow(himmelblau, start, 1, lr=1e-7, maximize=True)[1] >= here


# ---------------------------------------------------------------- what backward saves


@pytest.fixture(scope="module")
def comparison():
    spec = importlib.util.spec_from_file_location(BENCHMARK.stem, BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def operations(loss):
    """How many operations a backward pass from here goes through."""
    seen, stack = set(), [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node in seen or not node.edges:
            continue
        seen.add(node)
        stack += [edge for edge in node.edges if edge is not None]
    return len(seen)


def test_backward_costs_one_evaluation_whatever_the_width(comparison):
    sweeps = set()
    for width in (1, 3, 6, 12):
        problem = comparison.Problem(width)
        slow = problem.by_differences()
        assert problem.evaluations == problem.weights + 1
        problem.evaluations = 0
        fast = problem.by_backward()
        assert problem.evaluations == 1
        np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-5)
        sweeps.add(operations(problem.loss()))
    assert len(sweeps) == 1  # a wider net is longer matrices, not more operations


# ---------------------------------------------------------------- learning


def one_hot(labels):
    return chainrule.tensor(np.eye(10, dtype=np.float32)[labels.numpy()])


def test_a_sigmoid_net_learns_digits_by_plain_gradient_descent():
    """64-30-10, mini-batches of 10, the quadratic cost, SGD without momentum: 90 % held out."""
    train, test = digits_split()
    (images, labels), (unseen, answers) = train.tensors, test.tensors
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 30), nn.Sigmoid(), nn.Linear(30, 10), nn.Sigmoid()
    )
    cost = nn.QuadraticCost()
    optimizer = chainrule.optim.SGD(net.parameters(), lr=3.0)
    targets = one_hot(labels)
    for _ in range(6):
        order = chainrule.randperm(len(labels))
        for batch in order.split(10):
            optimizer.zero_grad()
            cost(net(images[batch]), targets[batch]).backward()
            optimizer.step()
    right = (net(unseen).argmax(1) == answers).float().mean()
    assert right >= 0.9
