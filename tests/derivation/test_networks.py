"""Derivations of networks: the texts, the numbers of the second article, the engine's gradients."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import chainrule
from chainrule import nn
from chainrule.derivation import derive
from chainrule.derivation.derive import DerivationError, Deriving
from chainrule.derivation.forms import Number, evaluate
from chainrule.derivation.network import ACTIVATIONS, LOSSES, Layer, Network
from chainrule.derivation.parts import Line, Name
from chainrule.derivation.record import case_study
from chainrule.derivation.text import Text
from chainrule.errors import ChainruleError
from derivation.make_golden import CASES, GOLDEN, WAYS, text

F = nn.functional


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_the_text(name, way):
    assert text(name, way) == (GOLDEN / f"{name}{way}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_ascii_is_ascii_and_lines_keep_to_the_width(name):
    assert text(name, "-ascii").isascii()
    assert max(map(len, text(name, "").splitlines())) <= 100


EXACT = {
    Name("z", 1): [0.41, 0.47],
    Name("a", 1): [0.6010878788483698, 0.6153837563911821],
    Name("z", 2): [1.0914213567828495],
    Name("ŷ"): [0.7486492778542029],
    Name("L"): [0.0026368966648948637],
    Name("z", 2, "slope"): [0.1881735366225834],
    Name("z", 2, "gradient"): [-0.019325693988596536],
    Name("z", 1, "slope"): [0.2397812407499373, 0.23668658876106033],
    Name("z", 1, "gradient"): [-0.0027803633297635694, -0.0032018928099207308],
}


@pytest.mark.parametrize("name", EXACT, ids=str)
def test_the_case_study_to_full_precision(name):
    n = case_study()
    found = [n.at(p) for p in n.places(name)]
    np.testing.assert_allclose(found, EXACT[name], rtol=1e-13)


@st.composite
def networks(draw):
    """Sizes, activations and losses; weights that are not special."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    last = len(sizes) - 2
    loss = draw(st.sampled_from(sorted(LOSSES)))
    layers = []
    for i, (m, n) in enumerate(itertools.pairwise(sizes)):
        names = ["sigmoid"] if i == last and loss == "bce" else sorted(ACTIVATIONS)
        activation = draw(st.sampled_from(names))
        layers.append(Layer(rng.normal(size=(m, n)), rng.normal(size=n), activation))
    y = rng.integers(0, 2, sizes[-1]) if loss == "bce" else rng.normal(size=sizes[-1])
    return rng.normal(size=sizes[0]), layers, y.astype(float), loss


def by_eager(x, layers, y, loss):
    """The gradients by `backward()`, of weights as [in, out]."""
    make = {"relu": F.relu, "identity": lambda v: v, "softplus": F.softplus,
            "sigmoid": chainrule.sigmoid, "tanh": chainrule.tanh}  # fmt: skip
    numbers = lambda a, **k: chainrule.tensor(a, dtype=chainrule.float64, **k)  # noqa: E731
    held = [(numbers(layer.weight, requires_grad=True), numbers(layer.bias, requires_grad=True))
            for layer in layers]  # fmt: skip
    a, t = numbers(x[None]), numbers(y[None])
    for (w, b), layer in zip(held, layers, strict=True):
        a = make[layer.activation](a @ w + b)
    if loss == "bce":
        value = F.binary_cross_entropy(a, t)
    else:
        value = F.mse_loss(a, t) if loss == "mse" else ((a - t) ** 2).sum() / 2
    value.backward()
    return [p.grad.numpy() for pair in held for p in pair]


def hold(case):
    """Every line has the value of the engine, and the engine's gradients are eager ones."""
    x, layers, y, loss = case
    n = Network(x, layers, y, loss)
    if loss == "bce":  # 1 - ŷ has no digits left where the output is saturated
        assume(max(abs(n.at(p)) for p in n.places(Name("z", len(layers)))) < 8)
    d = derive.network(n, rate=1e-3)
    for section in d.sections:
        for line in section.lines:
            for form in (line.symbols, line.numbers):
                if form is not None:
                    np.testing.assert_allclose(evaluate(form, n.at), line.value, rtol=1e-9)
    assert d.sections[-1].note.endswith("✔")
    names = [Name(c, i, "gradient") for i in range(1, len(layers) + 1) for c in "Wb"]
    for name, wanted in zip(names, by_eager(x, layers, y, loss), strict=True):
        found = np.array([n.at(p) for p in n.places(name)]).reshape(wanted.shape)
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


@settings(max_examples=20)
@given(networks())
def test_networks_come_out(case):
    hold(case)


@pytest.mark.slow
@settings(max_examples=200)
@given(networks())
def test_many_networks_come_out(case):
    hold(case)


@pytest.mark.parametrize(("width", "said"), [(1, "1 path"), (4, "1 more path"),
                                             (5, "2 more paths")])  # fmt: skip
def test_paths_are_counted(width, said):
    rng = np.random.default_rng(width)
    sizes = [1, 1, width, 1]
    layers = [Layer(rng.normal(size=(a, b)).tolist(), rng.normal(size=b).tolist(), "tanh")
              for a, b in itertools.pairwise(sizes)]  # fmt: skip
    d = derive.network(Network([0.5], layers, [1.0]), weight=(1, 0, 0))
    lines = "\n".join(Text(d, width=200).lines())
    assert re.search(rf"(?<!\d){said}\b(?!s)", lines)
    assert "1 more paths" not in lines


def test_a_line_that_does_not_come_out_is_refused():
    n = case_study()
    (place,) = n.places(Name("z", 2, "gradient"))
    assert isinstance(Deriving(n).regrouped(place, Number(n.at(place))), Line)
    with pytest.raises(DerivationError, match="come out"):
        Deriving(n).regrouped(place, Number(0.5))


BAD = {
    "a transposed weight": lambda: Network([1, 2], [Layer([[1, 2], [3, 4], [5, 6]], [0, 0, 0],
                                                          "tanh")], [0, 0, 0]),
    "a target too long": lambda: Network([1], [Layer([[1]], [0], "tanh")], [0, 0]),
    "an unknown activation": lambda: Network([1], [Layer([[1]], [0], "swish")], [0]),
    "an unknown loss": lambda: Network([1], [Layer([[1]], [0], "tanh")], [0], "l3"),
    "a nan": lambda: Network([float("nan")], [Layer([[1]], [0], "tanh")], [0]),
    "an infinite weight": lambda: Network([1], [Layer([[float("inf")]], [0], "tanh")], [0]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_network_is_refused(name):
    with pytest.raises(ChainruleError):
        BAD[name]()


def test_a_neuron_at_the_kink_of_relu_says_so():
    n = Network([1.0], [Layer([[1.0]], [-1.0], "relu")], [1.0], "half")
    section = derive.neuron(n).sections[-1]
    assert section.note.endswith("2 at a kink ✔")
    said = "the point is a kink, relu at 0 (unit 1): slope 0 from below, -1 from above"
    assert said in section.lines[0].note
    assert "the rule takes the one from below" in section.lines[0].note


def test_the_check_prints_difference_step_and_backward():
    section = derive.network(case_study()).sections[-1]
    assert section.note.startswith("9 of 9 gradients agree with finite differences, worst relative")
    assert len(section.lines) == 9
    for line in section.lines:
        assert line.note.startswith(f"{line.value:.6f} by h = 1e-0")
        assert line.note.endswith(f"{line.value:.6f} by backward() ✔")
