"""Pointwise ops where IEEE arithmetic has its corners, and on integers, against PyTorch's values.

reference.npz was written by make_reference.py; a new pointwise op wants it run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import chainrule
from chainrule import ops
from chainrule.errors import DTypeError
from chainrule.tensor.core import wrap
from frozen import about

from .edges import INTEGERS, edge_inputs, integer_inputs

REFERENCE = np.load(Path(__file__).with_name("reference.npz"))
POINTWISE = [op for op in ops.REGISTRY.values() if op.pointwise]
FREE = [
    op for op in POINTWISE if not op.spec.__func__.__code__.co_kwonlyargcount
]  # without parameters
ULPS = {"float64": 8 * 2.0**-53, "float32": 4 * 2.0**-24}

pytestmark = pytest.mark.usefixtures("no_warnings")
each = pytest.mark.parametrize("op", FREE, ids=lambda op: op.name)


def leaves(inputs: list[Any]) -> list[Any]:
    return [wrap(x.copy()).requires_grad_(x.dtype.kind == "f") for x in inputs]


def agree(got: Any, wanted: Any, inputs: list[Any], dtype: str) -> None:
    """Equal to a few ulp; where an input is nan, nan is right as well (PyTorch: sign(nan) = 0)."""
    assert got.dtype == wanted.dtype
    nan = np.isnan(got) & np.any([np.isnan(x) for x in inputs if x.dtype.kind == "f"], axis=0)
    close = np.isclose(got, wanted, rtol=ULPS[dtype], atol=0, equal_nan=True) | nan
    at = [[float(x[i]) for x in inputs] for i in np.flatnonzero(~close)]
    assert close.all(), f"at {at[:5]}: {got[~close][:5]}, PyTorch {wanted[~close][:5]}"


@each
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_edges(op, dtype):
    inputs = edge_inputs(len(op.input_names), dtype)
    wanted = REFERENCE.get(f"{op.name}/{dtype}/y")
    assert wanted is not None, f"no reference for {op.name}: python -m tests.ops.make_reference"
    given_ = leaves(inputs)
    y = op(*given_)
    agree(y.detach().numpy(), wanted, inputs, dtype)
    slots = [i for i, x in enumerate(given_) if f"{op.name}/{dtype}/d{i}" in REFERENCE]
    assert y.requires_grad == bool(slots)
    if slots:
        y.backward(chainrule.ones_like(y))
        for i in slots:
            agree(given_[i].grad.numpy(), REFERENCE[f"{op.name}/{dtype}/d{i}"], inputs, dtype)


@each
def test_what_a_mask_drops_has_no_gradient(op):
    """where(False, f(x), 0) has the gradient 0 wherever x is: no 0 * inf."""
    if not op.differentiable:
        return
    given_ = leaves(edge_inputs(len(op.input_names)))
    y = op(*given_)
    kept = chainrule.where(chainrule.zeros(y.shape, dtype=bool), y, 0.0)
    kept.sum().backward()
    for x in given_:
        if x.requires_grad:
            assert x.grad is None or (x.grad.numpy() == 0).all()


@each
def test_integers(op):
    """The same values and types as PyTorch; where that refuses, we refuse or have an answer."""
    for dtype in INTEGERS:
        with about(dtype):
            hold_integers(op, dtype)


def hold_integers(op, dtype):
    wanted = REFERENCE[f"{op.name}/{dtype}/y"]
    inputs = [wrap(x) for x in integer_inputs(len(op.input_names), dtype)]
    if dtype == "bool" and not op.bools:
        with pytest.raises(DTypeError, match=f"{op.name}: not defined for bools"):
            op(*inputs)
        return
    y = op(*inputs).numpy()
    told = op.spec(*op.align(inputs))
    assert (told.shape, told.dtype) == (y.shape, y.dtype)
    if wanted.dtype.kind != "U":
        assert y.dtype == wanted.dtype
        np.testing.assert_allclose(y, wanted, rtol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("op", [op for op in FREE if not op.warns], ids=lambda op: op.name)
def test_ops_that_never_warn_never_warn(op):
    for dtype in (np.float64, np.float32):
        op.forward(*edge_inputs(len(op.input_names), dtype))


@settings(max_examples=40)
@given(st.data())
def test_broadcasting(data):
    """Shapes that fit meet as NumPy has it, and each gradient has the shape of its input."""
    op = data.draw(st.sampled_from([op for op in FREE if len(op.input_names) > 1]))
    arity = len(op.input_names)
    drawn = data.draw(mutually_broadcastable_shapes(num_shapes=arity, max_dims=3, max_side=3))
    rng = np.random.default_rng(0)
    first = next(iter(op.samples(rng))).inputs
    inputs = [
        np.resize(x, s).astype(x.dtype) for x, s in zip(first, drawn.input_shapes, strict=True)
    ]
    given_ = leaves(inputs)
    y = op(*given_)
    assert y.shape == drawn.result_shape
    wide = [np.broadcast_to(x, y.shape) for x in inputs]
    np.testing.assert_array_equal(y.detach().numpy(), np.asarray(op.forward(*wide)))
    told = op.spec(*op.align(given_))
    assert (told.shape, told.dtype) == (y.shape, y.dtype)
    if y.requires_grad:
        y.backward(chainrule.ones_like(y))
        for x in given_:
            assert x._grad is None or x._grad.shape == x.shape


@each
def test_python_numbers_do_not_widen(op):
    """A number beside a float32 tensor leaves it float32, forward and backward; NumPy's too."""
    if len(op.input_names) != 2:
        return
    for number in (2, 1.5, np.float64(1.5), np.float32(1.5), np.int64(2)):
        for swapped in (False, True):
            x = wrap(np.array([1.0, 2.0], np.float32)).requires_grad_()
            y = op(number, x) if swapped else op(x, number)
            assert y.dtype in (np.float32, np.bool_)
            if y.requires_grad:
                y.sum().backward()
                assert x.grad.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 4), (0, 2)])
def test_a_choice_against_0_has_numpys_bits(dtype, shape):
    """By masks, for arrays of any layout: nan, infinity and -0 go through, what is not chosen is
    +0."""
    rng = np.random.default_rng(0)
    a, c = (rng.standard_normal(shape) * 10).astype(dtype), rng.random(shape) < 0.5
    if np.issubdtype(dtype, np.floating):
        a.reshape(-1)[:4] = [np.nan, -np.inf, -0.0, np.inf][: a.size]
    zero, where = dtype(0), ops.REGISTRY["where"].forward
    for x, k in ((a, c), (a.T, c.T), (a[..., ::-1], c[..., ::-1])):
        for got, expected in (
            (where(k, x, 0.0), np.where(k, x, zero)), (where(k, 0.0, x), np.where(k, zero, x)),
        ):  # fmt: skip
            assert (got.dtype, got.tobytes()) == (dtype, expected.tobytes())
