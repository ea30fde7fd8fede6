"""How weights start: bounds and moments, fans, gains, orthogonality, and the bits from a seed."""

from __future__ import annotations

import inspect
import math
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import nn
from chainrule.errors import ArgumentTypeError
from chainrule.nn import init
from chainrule.tensor.random import generator_in_use

SHAPE = (120, 80)
FAN_IN, FAN_OUT = 80, 120
GAIN = math.sqrt(2 / (1 + 0.2**2))

# name, arguments, mean, standard deviation, bounds
DISTRIBUTIONS = {
    "uniform_": ({"a": -1.0, "b": 3.0}, 1.0, 4 / math.sqrt(12), (-1.0, 3.0)),
    "normal_": ({"mean": 2.0, "std": 0.5}, 2.0, 0.5, None),
    # of a standard normal cut at +-2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1))
    "trunc_normal_": ({"mean": 1.0, "std": 0.5, "a": 0.0, "b": 2.0}, 1.0, 0.43981, (0.0, 2.0)),
    "constant_": ({"val": 0.25}, 0.25, 0.0, (0.25, 0.25)),
    "zeros_": ({}, 0.0, 0.0, (0.0, 0.0)),
    "ones_": ({}, 1.0, 0.0, (1.0, 1.0)),
    "xavier_uniform_": (
        {"gain": 2.0}, 0.0, 2 * math.sqrt(2 / 200),
        (-2 * math.sqrt(6 / 200), 2 * math.sqrt(6 / 200)),
    ),
    "xavier_normal_": ({"gain": 2.0}, 0.0, 2 * math.sqrt(2 / 200), None),
    "kaiming_uniform_": (
        {"a": 0.2}, 0.0, GAIN / math.sqrt(FAN_IN),
        (-GAIN * math.sqrt(3 / FAN_IN), GAIN * math.sqrt(3 / FAN_IN)),
    ),
    "kaiming_normal_": (
        {"mode": "fan_out", "nonlinearity": "relu"}, 0.0, math.sqrt(2 / FAN_OUT), None,
    ),
    "eye_": ({}, 80 / 9600, math.sqrt(80 / 9600 * (1 - 80 / 9600)), (0.0, 1.0)),
    "orthogonal_": ({"gain": 3.0}, 0.0, 3 / math.sqrt(120), None),
    "sparse_": ({"sparsity": 0.25, "std": 0.1}, 0.0, 0.1 * math.sqrt(0.75), None),
}  # fmt: skip
FUNCTIONS = [
    n for n, f in vars(init).items() if n.endswith("_") and n[0] != "_" and inspect.isfunction(f)
]
RANDOM = [n for n in FUNCTIONS if "generator" in inspect.signature(getattr(init, n)).parameters]


WEIGHTED = {
    "Linear": (3, 2), "Conv1d": (3, 2, 3), "Conv2d": (3, 2, 3), "Embedding": (5, 3), "RNN": (3, 2),
    "LSTM": (3, 2), "GRU": (3, 2), "LSTMCell": (3, 2), "MultiheadAttention": (4, 2),
    "NTPLinear": (3, 2), "PeriodicEmbedding": (3,), "CategoryEncoding": ([5, 20],),
    "TabularMLP": (3, [5, 20]), "LayerNorm": (3,), "BatchNorm1d": (3,),
}  # fmt: skip
"""Layers with weights, and how they are made."""


def filled(name, shape=SHAPE, dtype=np.float32, **more):
    t = chainrule.zeros(*shape, dtype=dtype)
    out = getattr(init, name)(t, **{**DISTRIBUTIONS[name][0], **more})
    assert out is t
    assert out.dtype == np.dtype(dtype)
    return out.numpy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_moments_and_bounds(name, dtype):
    _, mean, std, bounds = DISTRIBUTIONS[name]
    x = filled(name, dtype=dtype).astype(np.float64)
    error = 5 / math.sqrt(x.size)  # five standard errors
    assert abs(x.mean() - mean) <= error * std + 1e-7
    assert abs(x.std() - std) <= 2 * error * std + 1e-7
    if bounds is not None:
        low, high = bounds
        slack = 1e-6 * max(abs(low), abs(high))
        assert low - slack <= x.min() <= x.max() <= high + slack
        assert x.max() - x.min() >= 0.98 * (high - low)


@pytest.mark.parametrize("name", RANDOM)
def test_a_generator_decides_the_bits_and_leaves_the_default_one_alone(name):
    def generator(seed):
        return chainrule.Generator().manual_seed(seed)

    before = chainrule.get_rng_state().tolist()
    one, two = filled(name, generator=generator(5)), filled(name, generator=generator(5))
    assert (one == two).all()
    assert (one != filled(name, generator=generator(6))).any()
    assert chainrule.get_rng_state().tolist() == before
    chainrule.manual_seed(5)
    assert (filled(name) == one).all()
    assert (filled(name) != one).any()  # the generator has moved on


@given(rows=st.integers(1, 12), columns=st.integers(1, 12), depth=st.integers(1, 3))
def test_the_shorter_side_of_an_orthogonal_matrix_is_orthonormal(rows, columns, depth):
    q = init.orthogonal_(chainrule.zeros(rows, columns, depth, dtype=np.float64), 2.0).numpy()
    q = q.reshape(rows, -1)
    product = q @ q.T if rows <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_every_column_of_a_sparse_matrix_has_its_share_of_zeros():
    x = filled("sparse_")
    assert ((x == 0).sum(0) == 30).all()
    assert len({tuple(np.flatnonzero(c == 0)) for c in x.T}) > 1


@given(
    out=st.integers(1, 9), inputs=st.integers(1, 9), kernel=st.lists(st.integers(1, 4), max_size=3)
)
def test_fans_count_the_field(out, inputs, kernel):
    field = math.prod(kernel)
    assert init.fans(chainrule.zeros(out, inputs, *kernel)) == (inputs * field, out * field)


def test_gains():
    gains = {
        "linear": 1.0, "conv2d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / 1.0001), "selu": 0.75,
    }  # fmt: skip
    for name, gain in gains.items():
        assert init.calculate_gain(name) == gain
    assert init.calculate_gain("leaky_relu", 1.0) == 1.0
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        init.calculate_gain("relu_")
    with pytest.raises(ValueError, match="'fan_in', 'fan_out'"):
        init.kaiming_normal_(chainrule.zeros(2, 2), mode="fan")


@pytest.mark.parametrize("name", ["xavier_uniform_", "kaiming_normal_", "orthogonal_", "eye_"])
def test_vectors_have_no_fans(name):
    with pytest.raises(RuntimeError, match=r"\(3,\)"):
        getattr(init, name)(chainrule.zeros(3))


def test_weights_are_filled_in_place_and_stay_leaves():
    layer = nn.Linear(4, 3)
    weight = layer.weight
    init.orthogonal_(layer.weight)
    assert layer.weight is weight
    assert weight.is_leaf
    assert weight.requires_grad


@given(inputs=st.integers(1, 64))
def test_linear_starts_within_its_bound(inputs):
    layer = nn.Linear(inputs, 50)
    for p in layer.parameters():
        assert float(abs(p.detach()).max()) <= 1 / math.sqrt(inputs) * (1 + 1e-6)


def test_empty_weights_are_left_alone():
    layer = nn.Linear(0, 3)
    assert layer.weight.shape == (3, 0)
    assert bool((layer.bias == 0).all())
    init.orthogonal_(chainrule.zeros(0, 3))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_skipped_stays_and_counts(name):
    """The tensor keeps its numbers, and what is drawn afterwards is the same."""
    for more in ({}, {"generator": chainrule.Generator().manual_seed(4)} if name in RANDOM else {}):
        one = more.get("generator", generator_in_use())
        states = []
        for skipped in (False, True):
            one.manual_seed(4)
            with init.skipping() if skipped else nullcontext():
                values = filled(name, **more)
            states.append(one.get_state().tolist())
        assert not values.any()
        assert states[0] == states[1]
    assert filled("ones_").all()  # the block is over


@pytest.mark.parametrize("name", sorted(WEIGHTED))
def test_a_module_made_without_drawing_is_filled_from_another(name):
    cls, arguments = getattr(nn, name), WEIGHTED[name]
    chainrule.manual_seed(1)
    drawn, after = cls(*arguments), chainrule.rand(3)
    chainrule.manual_seed(1)
    made = nn.utils.skip_init(cls, *arguments)
    assert chainrule.rand(3).tolist() == after.tolist()
    assert repr(made) == repr(drawn)
    made.load_state_dict(drawn.state_dict())
    for (key, a), (other, b) in zip(
        made.state_dict().items(), drawn.state_dict().items(), strict=True
    ):
        assert (key, a.tolist()) == (other, b.tolist())


@pytest.mark.parametrize("what", [nn.Linear(1, 1), int, "Linear"])
def test_only_a_class_of_modules_is_made_without_drawing(what):
    with pytest.raises(ArgumentTypeError, match=r"nn\.Linear"):
        nn.utils.skip_init(what)


def test_an_error_ends_the_skipping():
    with pytest.raises(TypeError):
        nn.utils.skip_init(nn.Linear)
    assert nn.Linear(3, 2).weight.detach().numpy().any()
