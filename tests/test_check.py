"""The gradient checker: passes what is right, names what is wrong, refuses what has no answer."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.check import GradcheckError, KinkError, gradcheck, gradgradcheck
from chainrule.errors import ArgumentError, ArgumentTypeError, NonFiniteError
from chainrule.ops.core import NOTHING, REGISTRY, VALUE_X
from chainrule.ops.pointwise import Pointwise

MODES = pytest.mark.parametrize("fast", [True, False])
BOTH = pytest.mark.parametrize("check", [gradcheck, gradgradcheck])


def leaf(*shape, dtype=chainrule.float64):
    return chainrule.randn(*shape, dtype=dtype).requires_grad_()


@pytest.fixture
def twisted():
    """An op whose rule is wrong at one element: the last one's derivative is 1.5 instead of 1."""

    class Twisted(Pointwise):
        """y = x;  dy/dx = 1, and falsely 1.5 at the last element."""

        saves = NOTHING
        shapes = VALUE_X

        def forward(self, x):
            return x.copy()

        def vjp(self, g, y, x):
            wrong = np.ones(x.shape)
            wrong.reshape(-1)[-1] = 1.5
            with_g = getattr(g, "_value", g)
            return (g * (chainrule.tensor(wrong) if g is not with_g else wrong),)

    try:
        yield Twisted()
    finally:
        REGISTRY.pop("twisted", None)


@BOTH
@MODES
def test_right_gradients_pass(check, fast):
    x, w = leaf(3, 2), leaf(2, 2)
    assert check(lambda x, w: (x @ w).tanh() * x.exp(), (x, w), fast=fast)
    assert check(lambda x: (x.sum(), x.prod(), x * x), x, fast=fast)
    assert check(lambda x: x.sin(), chainrule.tensor(0.3, dtype=chainrule.float64,
                                                     requires_grad=True), fast=fast)  # fmt: skip


@BOTH
@pytest.mark.parametrize("dtype", [chainrule.float64, chainrule.float32])
def test_modules_are_checked_with_their_parameters(check, dtype):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 2)).to(dtype)
    x = chainrule.randn(5, 4, dtype=dtype)
    assert check(model, x)
    assert check(model, x.requires_grad_())


@BOTH
def test_a_whole_loss_is_checked_by_its_parameters(check):
    model = nn.Sequential(nn.Linear(4, 6), nn.Softplus(), nn.Linear(6, 3)).double()
    x, target = chainrule.randn(5, 4, dtype=chainrule.float64), chainrule.tensor([0, 1, 2, 1, 0])

    def loss():
        return nn.functional.cross_entropy(model(x), target)

    assert check(loss, params=model)
    assert check(loss, params=model.named_parameters())
    assert check(loss, params=list(model.parameters()), fast=False)
    assert check(loss, params=model[0].weight)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (40, 50)])
def test_the_worst_element_is_named(twisted, fast, shape):
    if shape == (40, 50) and not fast:
        return
    x = leaf(*shape)
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: twisted(x * 2.0).sum(), x, fast=fast)
    text = str(caught.value)
    place = "inputs[0]" + (str([n - 1 for n in shape]) if shape else "")
    assert f"worst at {place}\n" in text
    assert "numeric 2" in text
    assert "analytic 3" in text
    assert len(text.splitlines()) <= 6
    assert not gradcheck(lambda x: twisted(x), x, fast=fast, raise_exception=False)


def test_the_parameter_is_named_and_its_bits_stay(twisted):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)).double()
    before = [p.detach().numpy().tobytes() for p in model.parameters()]
    arrays = [p._value for p in model.parameters()]
    x = chainrule.randn(4, 3, dtype=chainrule.float64)

    def loss():
        return (model[1](model[0](x)).sum() + twisted(model[1].weight).sum()) * 1.0

    with pytest.raises(GradcheckError, match=r"worst at 1\.weight\[1, 1\]"):
        gradcheck(loss, params=model)
    assert [p.detach().numpy().tobytes() for p in model.parameters()] == before
    assert all(p._value is a for p, a in zip(model.parameters(), arrays, strict=True))
    assert all(p.grad is None for p in model.parameters())


def test_an_error_inside_leaves_everything_as_it_was():
    x = leaf(3)
    kept, calls = x._value, []

    def broken(x):
        calls.append(1)
        if len(calls) > 4:
            raise ZeroDivisionError
        return x * 2

    with pytest.raises(ZeroDivisionError):
        gradcheck(broken, x)
    assert x._value is kept


@MODES
@pytest.mark.parametrize("point", [0.0, 1e-9, -1e-8])
def test_kinks_are_refused(fast, point):
    """At the kink and so close that no step fits between; abs would even pass by symmetry."""
    for f in (chainrule.relu, chainrule.abs):
        x = chainrule.tensor([0.7, point, -0.4], dtype=chainrule.float64, requires_grad=True)
        with pytest.raises(KinkError, match=r"kink.*inputs\[0\]"):
            gradcheck(f, x, fast=fast)


def test_a_kink_says_both_slopes():
    x = chainrule.tensor([0.0], dtype=chainrule.float64, requires_grad=True)
    with pytest.raises(KinkError, match=r"0 from below, 1 from above, analytic 0") as caught:
        gradcheck(lambda x: chainrule.relu(x), x, fast=False)
    assert "inputs[0][0]" in str(caught.value)


@MODES
def test_curvature_and_kinks_further_off_are_no_kinks(fast):
    x = chainrule.tensor([0.5, 3e-7, 2.0], dtype=chainrule.float64, requires_grad=True)
    assert gradcheck(chainrule.relu, x, fast=fast)
    steep = chainrule.tensor([7.0], dtype=chainrule.float64, requires_grad=True)
    assert gradcheck(lambda x: (x * 3).exp(), steep, fast=fast)
    narrow = chainrule.tensor([3.0], requires_grad=True)
    assert gradcheck(lambda x: x**3, narrow, fast=fast)


def test_steps_and_bounds_can_be_said(twisted):
    x = leaf(4)
    assert gradcheck(lambda x: twisted(x), x, atol=2.0)
    assert gradcheck(lambda x: twisted(x), x, rtol=1.0, eps=1e-4)
    with pytest.raises(GradcheckError, match="atol 0, rtol 1e-12"):
        gradcheck(lambda x: x.exp(), x, atol=0.0, rtol=1e-12, eps=1e-2)


def test_what_can_not_be_checked_is_said():
    x = leaf(2)
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, x.detach())
    with pytest.raises(ArgumentError):
        gradcheck(lambda: x, params=[])
    with pytest.raises(ArgumentTypeError, match="needs a function"):
        gradcheck(x.sum(), x)
    with pytest.raises(GradcheckError, match="no output depends on inputs"):
        gradcheck(lambda x: x.detach() * 2, x)
    with pytest.raises(NonFiniteError, match="nan"):
        gradcheck(lambda x: (x - 100).log(), x)
    for wrong in ({"eps": 0.0}, {"eps": -1e-6}, {"atol": -1.0}, {"rtol": float("nan")}):
        with pytest.raises(ArgumentError, match=f"{next(iter(wrong))} must be"):
            gradcheck(lambda x: x * x, x, **wrong)
    with pytest.raises(ArgumentTypeError, match="must return a Tensor"):
        gradcheck(lambda x: None, x)
    count = iter(range(100))
    with pytest.raises(GradcheckError, match="different values for the same inputs"):
        gradcheck(lambda x: x * float(next(count)), x)


def test_random_state_and_buffers_are_put_back():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", chainrule.zeros(1))
            self.weight = nn.Parameter(leaf(2).detach())

        def forward(self, x):
            with chainrule.no_grad():
                self.seen += 1
            return x * self.weight * chainrule.rand(2, dtype=chainrule.float64)

    model, x = Counting(), leaf(2)
    state = chainrule.get_rng_state().tolist()
    assert gradcheck(model, x)
    assert chainrule.get_rng_state().tolist() == state
    assert model.seen.tolist() == [0]


def test_it_works_inside_no_grad():
    x = leaf(2)
    with chainrule.no_grad():
        assert gradcheck(lambda x: x * x, x)
        assert gradgradcheck(lambda x: x * x, x, chainrule.ones(2, dtype=chainrule.float64))
