"""The type in which values meet: PyTorch's, for every pair of types and for Python's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule import dtypes

from .promotion import KINDS, NAMES, operand

TABLE = json.loads(str(np.load(Path(__file__).with_name("reference.npz"))["promotion"]))


@pytest.mark.parametrize("a", NAMES)
def test_pairs_meet_as_in_pytorch(a):
    for b in NAMES:
        for kinds in KINDS:
            y = operand(chainrule, a, kinds[0]) + operand(chainrule, b, kinds[1])
            assert y.dtype.name == TABLE[f"{kinds[0]} {a} + {kinds[1]} {b}"], (a, b, kinds)


@pytest.mark.parametrize("a", NAMES)
def test_numbers_meet_tensors_as_in_pytorch(a):
    for number in (True, 2, 1.5):
        for kind in ("array", "scalar"):
            x = operand(chainrule, a, kind)
            wanted = TABLE[f"{kind} {a} + {number!r}"]
            assert (x + number).dtype.name == (number + x).dtype.name == wanted


@pytest.mark.parametrize("a", ["float32", "float64", "int32", "int64"])
def test_numpy_numbers_count_as_python_numbers(a):
    x = operand(chainrule, a, "array")
    for kind in (np.float64, np.float32, np.int64, np.int8):
        plain = x + kind(2).item()
        for y in (x + kind(2), kind(2) + x):
            assert isinstance(y, chainrule.Tensor)
            assert (y.dtype, y.tolist()) == (plain.dtype, plain.tolist())


def test_gradients_come_back_in_the_type_of_each_input():
    a = chainrule.tensor([1.0, 2.0], requires_grad=True)
    b = chainrule.tensor([3.0, 4.0], dtype=chainrule.float64, requires_grad=True)
    c = chainrule.tensor(2.0, dtype=chainrule.float64, requires_grad=True)
    y = a * b * c
    assert y.dtype == chainrule.float64
    y.sum().backward()
    assert [t.grad.dtype for t in (a, b, c)] == [t.dtype for t in (a, b, c)]
    z = a * c  # a 0-d value gives way
    assert z.dtype == chainrule.float32


def test_the_default_type():
    chainrule.set_default_dtype(chainrule.float64)
    try:
        made = (
            chainrule.tensor([1.0]),
            chainrule.zeros(1),
            chainrule.rand(1),
            chainrule.arange(1.0),
        )
        assert all(t.dtype == chainrule.float64 for t in made)
        assert (chainrule.tensor([1]) / 2).dtype == chainrule.float64
    finally:
        chainrule.set_default_dtype(chainrule.float32)
    with pytest.raises(TypeError, match="float32 or float64"):
        chainrule.set_default_dtype(chainrule.int64)


def test_types_that_tensors_can_not_hold():
    for name in ("complex128", "str", "float16", object, "nonsense"):
        with pytest.raises(TypeError, match="not a type that tensors can hold"):
            dtypes.as_dtype(name)
    assert all(dtypes.as_dtype(d.name) is d for d in dtypes.ALL)
    assert dtypes.as_dtype(float) is dtypes.float64
