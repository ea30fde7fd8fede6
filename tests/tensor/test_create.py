"""Making tensors: values, shapes and types as PyTorch has them; arrays come in and go out."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule.errors import ArgumentTypeError, ChainruleError, ShapeError

from .expressions import MAKING, made

REFERENCE = np.load(Path(__file__).with_name("reference.npz"))


@pytest.mark.parametrize("text", MAKING)
def test_made_as_in_pytorch(text):
    ours, theirs = made(chainrule, text).numpy(), REFERENCE[f"made/{text}"]
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_tensor_copies_and_from_numpy_shares():
    a = np.array([1.0, 2.0])
    copied, shared, kept = chainrule.tensor(a), chainrule.from_numpy(a), chainrule.as_tensor(a)
    a[0] = 9.0
    assert [t.tolist()[0] for t in (copied, shared, kept)] == [1, 9, 9]
    assert chainrule.as_tensor(shared) is shared
    assert np.asarray(shared) is shared.numpy()
    swapped = np.array([1.0, 2.0], dtype=">f8")
    assert chainrule.as_tensor(swapped).tolist() == [1, 2]
    readonly = np.broadcast_to(np.float32(1), (2, 2))
    assert chainrule.tensor(readonly).add_(1).tolist() == [[2, 2], [2, 2]]


def test_numpy_functions_take_tensors_and_operators_stay_ours():
    x = chainrule.tensor([1.0, 4.0])
    np.testing.assert_array_equal(np.sqrt(x), [1, 2])
    assert isinstance(np.float32(2) * x, chainrule.Tensor)
    assert isinstance(x * np.float64(2), chainrule.Tensor)
    assert (x == None) is False  # noqa: E711 - what careless code asks
    assert (x != "a") is True
    assert x in [x]


WRONG = [
    ("zeros(-1)", ShapeError, r"negative dimension(.|\n)*\(-1,\)"),
    ("rand(2, -3)", ShapeError, r"negative dimension(.|\n)*\(2, -3\)"),
    ("linspace(0, 1, -1)", ShapeError, "negative dimension"),
    ("zeros(2.5)", ArgumentTypeError, "whole number(.|\n)*2.5"),
    ("tensor([[1, 2], [3]])", ShapeError, "different lengths"),
    ("tensor('abc')", ArgumentTypeError, "can't make a tensor(.|\n)*str"),
    ("tensor(None)", ArgumentTypeError, "can't make a tensor(.|\n)*NoneType"),
    ("arange(5, 0)", ShapeError, "5 to 0 by 1"),
    ("arange(0, 5, 0)", ChainruleError, "step must not be 0"),
    ("Tensor([1.0])", ArgumentTypeError, r"chainrule.tensor\(data\)"),
    ("from_numpy([1])", ArgumentTypeError, "needs a NumPy array(.|\n)*list"),
    ("zeros(1).to('cuda')", ChainruleError, "computes on the CPU"),
]


@pytest.mark.parametrize(("text", "error", "match"), WRONG, ids=[w[0] for w in WRONG])
def test_what_can_not_be_made(text, error, match):
    with pytest.raises(error, match=match) as caught:
        made(chainrule, text)
    assert isinstance(caught.value, (RuntimeError, TypeError, ValueError))
    assert len(str(caught.value).splitlines()) <= 6


def test_copies():
    w = chainrule.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    deep, shallow = copy.deepcopy(w), copy.copy(w)
    assert deep.is_leaf
    assert deep.requires_grad
    assert deep.grad.tolist() == [2, 4]
    assert not np.shares_memory(deep._value, w._value)
    assert np.shares_memory(shallow._value, w._value)
    (shallow * 3.0).sum().backward()
    assert shallow.grad.tolist() == [3, 3]
    assert w.grad.tolist() == [2, 4]
    for f in (copy.copy, copy.deepcopy):
        with pytest.raises(RuntimeError, match="only leaves"):
            f(w * 2)


def test_to_takes_what_pytorch_takes_and_refuses_the_rest():
    x = chainrule.ones(2)
    assert x.to("cpu") is x
    assert x.to(x) is x
    assert x.to(chainrule.float32, non_blocking=True) is x
    for copied in (x.to(copy=True), x.to("cpu", copy=True), x.to(chainrule.float32, False, True)):
        assert not np.shares_memory(copied._value, x._value)
    assert x.type_as(chainrule.ones(1).double()).dtype == chainrule.float64
    for make in (chainrule.rand, chainrule.ones, chainrule.arange, chainrule.tensor, x.to):
        make(2 if make != x.to else x, **({} if make == x.to else {"device": "cpu"}))
        with pytest.raises(ValueError, match="computes on the CPU"):
            make(*(() if make == x.to else (2,)), device="cuda:0")
    with pytest.raises(TypeError, match="unknown argument 'dtipe'"):
        x.to(dtipe=chainrule.float64)
    with pytest.raises(TypeError, match="a condition and two values"):
        chainrule.where(x > 0)
