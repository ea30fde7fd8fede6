"""Values at the ends of the range, against numbers known to every digit, and second derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import functional as F
from chainrule import tensor

# computed with 50 digits and rounded to float64: x, erf(x), gelu(x)
KNOWN = [
    (-3.0, -0.9999779095030014, -0.00404969409489031),
    (-1.0, -0.8427007929497149, -0.15865525393145705),
    (-1e-8, -1.1283791670955126e-08, -4.99999996010577e-09),
    (0.0, 0.0, 0.0),
    (0.1, 0.1124629160182849, 0.05398278372770290),
    (0.5, 0.5204998778130465, 0.34573123063700655),
    (1.0, 0.8427007929497149, 0.84134474606854295),
    (2.0, 0.9953222650189527, 1.9544997361036416),
    (6.0, 1.0, 5.9999999940804745),
]


@pytest.mark.parametrize(("x", "erf", "gelu"), KNOWN)
def test_erf_and_gelu_to_the_last_digits(x, erf, gelu):
    t = tensor(x, dtype=chainrule.float64)
    assert math.isclose(chainrule.erf(t).item(), erf, rel_tol=5e-16, abs_tol=0)
    # 1 + erf cancels on the left: what is lost there is 1e-16 of x, as in PyTorch
    assert math.isclose(F.gelu(t).item(), gelu, rel_tol=5e-16, abs_tol=2.3e-16 * abs(x))
    narrow = tensor(x, dtype=chainrule.float32)
    assert math.isclose(chainrule.erf(narrow).item(), erf, rel_tol=1.2e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [50.0, 1e4])
def test_losses_of_huge_logits_stay_exact(dtype, size):
    x = tensor(np.array([[size, -size, 0.0]], dtype), requires_grad=True)
    for label, loss in ((0, 0.0), (1, 2 * size), (2, size)):
        y = F.cross_entropy(x, tensor([label]))
        # the float64 tail of e^-50 may show
        assert math.isclose(y.item(), loss, rel_tol=1e-6, abs_tol=1e-20)
        (g,) = chainrule.autograd.grad(y, x)
        wanted = np.array([1.0, 0.0, 0.0]) - np.eye(3)[label]
        np.testing.assert_allclose(g.numpy()[0], wanted, atol=1e-20)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(x=st.floats(-80, 80), t=st.sampled_from([0.0, 1.0]))
def test_bce_with_logits_is_exact_where_the_guess_is_right(x, t, dtype):
    value = tensor(np.array([x], dtype), requires_grad=True)
    y = F.binary_cross_entropy_with_logits(value, tensor(np.array([t], dtype)))
    (g,) = chainrule.autograd.grad(y, value)
    sign = 1.0 if t == 0 else -1.0
    z = sign * float(value.item())
    rtol = 1e-15 * 4 if dtype == "float64" else 1e-6
    exact = z + math.log1p(math.exp(-z)) if z > 0 else math.log1p(math.exp(z))
    assert math.isclose(y.item(), exact, rel_tol=rtol)
    slope = sign * (1 / (1 + math.exp(-z)) if z > 0 else math.exp(z) / (1 + math.exp(z)))
    assert math.isclose(g.item(), slope, rel_tol=rtol)


def test_bce_at_the_edges_in_float64():
    x = tensor(np.array([0.0, 1.0, 0.0, 1.0]), requires_grad=True)
    t = tensor(np.array([1.0, 0.0, 0.0, 1.0]))
    y = F.binary_cross_entropy(x, t, reduction="none")
    np.testing.assert_array_equal(y.detach().numpy(), [100.0, 100.0, 0.0, 0.0])
    (g,) = chainrule.autograd.grad(y.sum(), x)
    np.testing.assert_array_equal(g.numpy(), [-1e12, 1e12, 0.0, 0.0])


def test_the_second_derivative_of_bce():
    # PyTorch's own is off by 1e-10, so it is held to the formula
    p = np.array([0.01, 0.3, 0.5, 0.99])
    t = np.array([0.0, 0.2, 1.0, 0.7])
    x = tensor(p, requires_grad=True)
    y = F.binary_cross_entropy(x, tensor(t), reduction="sum")
    (g,) = chainrule.autograd.grad(y, x, create_graph=True)
    (h,) = chainrule.autograd.grad(g.sum(), x)
    np.testing.assert_allclose(h.numpy(), t / p**2 + (1 - t) / (1 - p) ** 2, rtol=1e-13)


def test_elu_bends_at_0_as_its_left_branch():
    x = tensor(np.zeros(1), requires_grad=True)
    (g,) = chainrule.autograd.grad(F.elu(x, 0.3).sum(), x, create_graph=True)
    (h,) = chainrule.autograd.grad(g.sum(), x)
    assert (g.item(), h.item()) == (0.3, 0.3)


def test_mish_stays_finite_to_any_order():
    x = tensor(np.array([-1e4, 50.0, 1e4]), requires_grad=True)
    g = F.mish(x)
    for _ in range(3):
        (g,) = chainrule.autograd.grad(g.sum(), x, create_graph=True)
        assert np.isfinite(g.detach().numpy()).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softplus_and_its_kin_do_not_overflow(dtype):
    x = tensor(np.array([-1e4, -1e2, 0.0, 1e2, 1e4], dtype), requires_grad=True)
    for f, wanted in (
        (F.softplus, [0.0, 0.0, math.log(2), 1e2, 1e4]),
        (F.logsigmoid, [-1e4, -1e2, -math.log(2), 0.0, 0.0]),
        (F.silu, [0.0, 0.0, 0.0, 1e2, 1e4]),
    ):
        y = f(x)
        np.testing.assert_allclose(y.detach().numpy(), np.array(wanted), rtol=1e-6, atol=1e-30)
        (g,) = chainrule.autograd.grad(y.sum(), x)
        assert np.isfinite(g.numpy()).all()


def test_logsumexp_of_rows_that_are_all_minus_infinity():
    x = tensor(np.array([[-np.inf, -np.inf], [-np.inf, 0.0]]), requires_grad=True)
    y = F.logsumexp(x, 1)
    np.testing.assert_array_equal(y.detach().numpy(), [-np.inf, 0.0])
    (g,) = chainrule.autograd.grad(y[1], x)
    np.testing.assert_array_equal(g.numpy()[1], [0.0, 1.0])


@given(
    x=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6),
    shift=st.floats(-1e3, 1e3),
)
def test_softmax_adds_up_and_ignores_a_shift(x, shift):
    p = F.softmax(tensor(np.array(x)), 0).numpy()
    assert math.isclose(p.sum(), 1.0, rel_tol=1e-12)
    moved = F.softmax(tensor(np.array(x) + shift), 0).numpy()
    np.testing.assert_allclose(moved, p, rtol=1e-9, atol=1e-12)


def test_dimensions_that_are_not_whole_numbers_are_refused():
    x = chainrule.ones(2, 3)
    for f in (F.sum, F.mean, F.amax, F.logsumexp, F.prod):
        for dim in (True, 0.0, "rows", (0, False)):
            with pytest.raises(TypeError, match="whole number"):
                f(x, dim)
