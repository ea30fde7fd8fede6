"""Article 001: the 2-2-1 case study, held to full precision instead of to the article's digits.

The judge is not a second chain rule: `exact` evaluates the loss in 50-digit decimal arithmetic and
takes difference quotients so small that 20 digits of every gradient are right.
"""

from __future__ import annotations

import re
from decimal import Decimal, getcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule import nn

PAGE = Path(__file__).parents[2] / "docs" / "tour" / "03-case-study.md"
X, Y, LR = ["0.5", "0.3"], "0.8", 0.1
START = {
    "W1": [["0.5", "0.3"], ["0.2", "0.4"]],  # rows are inputs: z = x W + b
    "b1": ["0.1", "0.2"],
    "W2": ["0.6", "0.7"],
    "b2": ["0.3"],
}


class CaseStudy:
    """The article's network, as it writes it, in float64."""

    def __init__(self):
        def learned(values):
            array = np.array(values, dtype=np.float64)
            return chainrule.tensor(array, requires_grad=True)

        self.params = {name: learned(values) for name, values in START.items()}
        self.x = chainrule.tensor(np.array([X], dtype=np.float64))
        self.optimizer = chainrule.optim.SGD(self.params.values(), lr=LR)

    def forward(self):
        p = self.params
        self.z1 = self.x @ p["W1"] + p["b1"]
        self.a1 = self.z1.sigmoid()
        self.z2 = self.a1 @ p["W2"] + p["b2"]
        self.a2 = self.z2.sigmoid()
        return ((self.a2 - float(Y)) ** 2).sum()

    def backward(self):
        self.optimizer.zero_grad()
        loss = self.forward()
        for value in (self.z1, self.z2):
            value.retain_grad()
        loss.backward()
        return loss.item()

    def step(self):
        loss = self.backward()
        self.optimizer.step()
        return loss


def decimals(values):
    return [decimals(v) if isinstance(v, list) else Decimal(v) for v in values]


def exact(params):
    """The loss, and all that leads to it, in decimal arithmetic."""
    x, y = decimals(X), Decimal(Y)
    z1 = [sum(x[i] * params["W1"][i][j] for i in range(2)) + params["b1"][j] for j in range(2)]
    a1 = [1 / (1 + (-z).exp()) for z in z1]
    z2 = sum(a * w for a, w in zip(a1, params["W2"], strict=True)) + params["b2"][0]
    a2 = 1 / (1 + (-z2).exp())
    return {"z1": z1, "a1": a1, "z2": [z2], "a2": [a2], "L": (a2 - y) ** 2}


def exact_gradients():
    """Every dL/dp by a central difference with h = 1e-15 in 50 digits: right to 1e-28."""
    h = Decimal("1e-15")

    def slope(name, place):
        sides = []
        for sign in (1, -1):
            moved = {k: decimals(v) for k, v in START.items()}
            row = moved[name]
            for i in place[:-1]:
                row = row[i]
            row[place[-1]] += sign * h
            sides.append(exact(moved)["L"])
        return float((sides[0] - sides[1]) / (2 * h))

    return {
        name: np.array([slope(name, i) for i in np.ndindex(np.shape(v))]).reshape(np.shape(v))
        for name, v in START.items()
    }


@pytest.fixture(autouse=True)
def fifty_digits():
    context = getcontext()
    before, context.prec = context.prec, 50
    yield
    context.prec = before


def close(value, expected):
    return np.testing.assert_allclose(np.ravel(value), np.ravel(expected), rtol=1e-12, atol=0)


FULL = {  # the same numbers, written down
    "z1": [0.41, 0.47],
    "a1": [0.6010878788483698, 0.6153837563911821],
    "z2": [1.0914213567828495],
    "a2": [0.7486492778542029],
    "L": 0.0026368966648948637,
}
DELTA2 = -0.019325693988596536
DELTA1 = [-0.0027803633297635694, -0.0032018928099207308]


def test_forward():
    net = CaseStudy()
    loss = net.forward()
    truth = exact({name: decimals(v) for name, v in START.items()})
    for name, expected in FULL.items():
        close([float(v) for v in np.ravel(truth[name])], expected)
        got = loss if name == "L" else getattr(net, name)
        close(got.detach().numpy(), expected)


def test_the_errors_of_both_layers():
    net = CaseStudy()
    net.backward()
    close(net.z2.grad.numpy(), DELTA2)
    close(net.z1.grad.numpy(), DELTA1)


def test_all_nine_gradients():
    net = CaseStudy()
    net.backward()
    expected = exact_gradients()
    assert sum(v.size for v in expected.values()) == 9
    for name, value in expected.items():
        close(net.params[name].grad.numpy(), value)
    close(expected["b2"], DELTA2)
    close(expected["b1"], DELTA1)


def test_the_update():
    """Every parameter moves by -lr times its gradient, all from the old values."""
    net = CaseStudy()
    net.step()
    for name, gradient in exact_gradients().items():
        moved = np.array(START[name], dtype=np.float64) - LR * gradient
        close(net.params[name].detach().numpy(), moved)
    rounded = {name: np.round(p.detach().numpy(), 6).tolist() for name, p in net.params.items()}
    assert rounded == {
        "W1": [[0.500139, 0.300160], [0.200083, 0.400096]],
        "b1": [0.100278, 0.200320],
        "W2": [0.601162, 0.701189],
        "b2": [0.301933],
    }
    assert round(net.forward().item(), 9) == 0.002569985
    assert round(net.a2.item(), 6) == 0.749305


def test_repeated_until_it_converges():
    """384 steps bring the loss below 1e-6."""
    net = CaseStudy()
    losses = [net.step() for _ in range(400)]  # losses[n]: the loss after n steps
    assert float(f"{losses[10]:.6g}") == 0.00204658
    assert float(f"{losses[100]:.6g}") == 0.000265271
    assert next(n for n, loss in enumerate(losses) if loss < 1e-6) == 384
    assert all(b < a for a, b in pairwise(losses))


def linear_net(transposed):
    """The same network from Linear layers, whose weights are (out, in)."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid()).double()
    w1 = np.array(START["W1"], dtype=np.float64)
    net.load_state_dict(
        {
            "0.weight": chainrule.tensor(w1.T.copy() if transposed else w1),
            "0.bias": chainrule.tensor(np.array(START["b1"], dtype=np.float64)),
            "2.weight": chainrule.tensor(np.array([START["W2"]], dtype=np.float64)),
            "2.bias": chainrule.tensor(np.array(START["b2"], dtype=np.float64)),
        }
    )
    return net


def test_linear_wants_the_first_matrix_transposed():
    x = chainrule.tensor(np.array([X], dtype=np.float64))
    target = chainrule.tensor(np.array([[Y]], dtype=np.float64))
    right = nn.MSELoss()(linear_net(True)(x), target)
    close(right.item(), FULL["L"])
    right.backward()

    trap = linear_net(False)
    assert np.round(trap[0](x).detach().numpy(), 12).tolist() == [[0.44, 0.42]]
    assert round(trap(x).item(), 6) == 0.747891
    assert round(nn.MSELoss()(trap(x), target).item(), 6) == 0.002715


def test_linear_gradients_are_the_transposed_ones():
    net = linear_net(True)
    x = chainrule.tensor(np.array([X], dtype=np.float64))
    nn.MSELoss()(net(x), chainrule.tensor(np.array([[Y]], dtype=np.float64))).backward()
    expected = exact_gradients()
    close(net[0].weight.grad.numpy().T, expected["W1"])
    close(net[0].bias.grad.numpy(), expected["b1"])
    close(net[2].weight.grad.numpy(), expected["W2"])
    close(net[2].bias.grad.numpy(), expected["b2"])


def rows_of_the_page():
    """{what: (as printed, as its own numbers give, right)} from the table on the tour page."""
    rows = {}
    for line in PAGE.read_text().splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == 5 and re.search(r"\d", cells[1]):
            rows[cells[0]] = cells[1:4]
    return rows


def spelled(values):
    return " ".join(f"{v:.6f}" for v in np.ravel(values))


def test_the_table_on_the_page():
    """The right column is what the engine computes; the second is the article's own arithmetic."""
    net = CaseStudy()
    loss = net.backward()
    rows = rows_of_the_page()
    right = {what: re.sub(r"[*,]", "", cells[2]) for what, cells in rows.items()}
    p = net.params
    z1, a1 = net.z1.detach().numpy()[0], net.a1.detach().numpy()[0]
    assert right == {
        "z1, unit 1": spelled(z1[0]),
        "z1, unit 2": spelled(z1[1]),
        "a1, unit 1": spelled(a1[0]),
        "a1, unit 2": spelled(a1[1]),
        "z2": spelled(net.z2.item()),
        "a2": spelled(net.a2.item()),
        "L": spelled(loss),
        "delta2": spelled(net.z2.grad.numpy()),
        "delta1": spelled(net.z1.grad.numpy()),
        "dL/dW2": spelled(p["W2"].grad.numpy()),
        "dL/db2": spelled(p["b2"].grad.numpy()),
    }

    def s(z):
        return 1 / (1 + np.exp(-z))

    def slope(z):
        return s(z) * (1 - s(z))

    delta2 = 2 * (0.67 - 0.8) * slope(0.71)
    own = {what: re.sub(r"[*,]", "", cells[1]) for what, cells in rows.items()}
    assert own == {
        "z1, unit 1": f"{0.25 + 0.06 + 0.1:.2f}",
        "z1, unit 2": f"{0.15 + 0.12 + 0.2:.2f}",
        "a1, unit 1": f"{s(0.31):.4f}",
        "a1, unit 2": f"{s(0.29):.4f}",
        "z2": f"{0.6 * 0.57 + 0.7 * 0.57 + 0.3:.3f}",
        "a2": f"{s(0.71):.4f}",
        "L": f"{(0.8 - 0.67) ** 2:.4f}",
        "delta2": f"{delta2:.4f}",
        "delta1": f"{-0.05 * 0.6 * slope(0.31):.4f} {-0.05 * 0.7 * slope(0.29):.4f}",
        "dL/dW2": f"{-0.05 * 0.57:.4f} {-0.05 * 0.57:.4f}",
        "dL/db2": "-0.05",
    }
