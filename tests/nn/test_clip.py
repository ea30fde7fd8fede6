"""Clipping: what is refused leaves every gradient as it was, and it costs a few calls a tensor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import nn
from chainrule.nn.utils import (
    clip_grad_norm_,
    clip_grad_value_,
    get_total_norm,
    parameters_to_vector,
    vector_to_parameters,
)
from chainrule.ops.core import current


def parameter(grad):
    grad = np.asarray(grad)
    p = chainrule.zeros(*grad.shape, dtype=grad.dtype, requires_grad=True)
    p.grad = chainrule.tensor(grad)
    return p


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_norm_that_is_not_finite_raises_and_changes_nothing(bad):
    ps = [parameter([1.0, 2.0]), parameter([3.0, bad])]
    with pytest.raises(RuntimeError, match="not finite") as info:
        clip_grad_norm_(ps, 1.0)
    assert len(str(info.value).splitlines()) <= 6
    assert "gradient 1 of shape (2,): 1 of 2 are nan or infinite" in str(info.value)
    np.testing.assert_array_equal(ps[0].grad.numpy(), [1.0, 2.0])
    np.testing.assert_array_equal(ps[1].grad.numpy(), [3.0, bad])
    total = clip_grad_norm_(ps, 1.0, error_if_nonfinite=False)
    assert not np.isfinite(total.item())


@given(
    scale=st.floats(1e-3, 1e3),
    max_norm=st.floats(0.01, 100),
    norm_type=st.sampled_from([1.0, 2.0, 3.0, float("inf")]),
)
def test_the_norm_after_clipping_is_at_most_the_limit(scale, max_norm, norm_type):
    rng = np.random.default_rng(0)
    ps = [parameter(rng.normal(size=s) * scale) for s in ((3, 2), (4,), ())]
    before = [p.grad.numpy().copy() for p in ps]
    total = clip_grad_norm_(ps, max_norm, norm_type).item()
    after = get_total_norm([p.grad for p in ps], norm_type).item()
    assert after <= max(max_norm, 0) * (1 + 1e-12) or after <= total
    factor = min(1.0, max_norm / (total + 1e-6))
    for p, g in zip(ps, before, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g * factor, rtol=1e-12)


def test_an_infinity_is_limited_and_a_nan_refused():
    ps = [parameter([5.0, 2.0]), parameter([np.inf, -1.0])]
    clip_grad_value_(ps, 3.0)
    assert [p.grad.tolist() for p in ps] == [[3, 2], [3, -1]]
    ps = [parameter([5.0, 2.0]), parameter([np.nan, -1.0])]
    with pytest.raises(RuntimeError, match=r"gradient 1 of shape .* 1 of 2 are nan"):
        clip_grad_value_(ps, 3.0)
    assert ps[0].grad.tolist() == [5, 2]


@pytest.mark.parametrize("what", [nn.Linear(1, 1), 3, ["weight"]])
def test_what_is_no_parameter_is_refused(what):
    with pytest.raises(TypeError, match="clip: "):
        clip_grad_norm_(what, 1.0)


def test_one_tensor_or_a_generator_or_nothing():
    p = parameter([3.0, 4.0])
    assert clip_grad_norm_(p, 1.0).item() == 5.0
    assert clip_grad_norm_((q for q in [p]), 10.0).item() == pytest.approx(1.0)
    assert clip_grad_norm_([chainrule.ones(2, requires_grad=True)], 1.0).item() == 0.0
    assert clip_grad_norm_([], 1.0).item() == 0.0
    assert clip_grad_norm_([parameter(np.ones((0, 2))), p], 1.0, float("inf")).item() > 0


def test_types_may_be_mixed():
    ps = [parameter(np.array([3.0], np.float32)), parameter(np.array([4.0]))]
    assert clip_grad_norm_(ps, 1.0).item() == 5.0
    assert [p.grad.dtype.name for p in ps] == ["float32", "float64"]


@pytest.mark.parametrize(
    ("call", "value"),
    [(clip_grad_norm_, -1.0), (clip_grad_norm_, float("nan")), (clip_grad_value_, -0.5),
     (clip_grad_value_, float("nan"))],
)  # fmt: skip
def test_limits_are_checked(call, value):
    p = parameter([3.0, 4.0])
    with pytest.raises(ValueError, match="must be >= 0"):
        call([p], value)
    np.testing.assert_array_equal(p.grad.numpy(), [3.0, 4.0])
    with pytest.raises(ValueError, match="norm_type"):
        clip_grad_norm_([p], 1.0, norm_type=0)


def count_ops(function):
    """How many ops a call runs."""
    outer, count = current.interpreter, [0]

    def counting(op, inputs, params):
        count[0] += 1
        return outer(op, inputs, params)

    current.interpreter = counting
    try:
        function()
    finally:
        current.interpreter = outer
    return count[0]


@pytest.mark.parametrize(
    ("clip", "limit"),
    [(lambda ps: clip_grad_norm_(ps, 1.0), 5), (lambda ps: clip_grad_value_(ps, 0.1), 4)],
)
def test_it_costs_a_handful_of_ops_a_parameter(clip, limit):
    def cost(n):
        return count_ops(lambda: clip([parameter(np.ones(3)) for _ in range(n)]))

    assert (cost(20) - cost(10)) / 10 <= limit


def test_parameters_as_one_vector_and_back():
    layer = nn.Linear(3, 2)
    vector = parameters_to_vector(layer.parameters())
    assert vector.shape == (8,)
    other = nn.Linear(3, 2)
    vector_to_parameters(vector.detach(), other.parameters())
    assert bool((other.weight == layer.weight).all())
    before = other.weight.detach().numpy().copy()
    with pytest.raises(RuntimeError, match=r"\(8,\)"):
        vector_to_parameters(chainrule.zeros(7), other.parameters())
    assert (other.weight.detach().numpy() == before).all()
