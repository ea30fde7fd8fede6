"""x[...] and x[...] = v against NumPy, with keys of every kind."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import chainrule
from chainrule.errors import ArgumentTypeError, IndexRangeError, ShapeError
from chainrule.tensor.core import wrap


@st.composite
def keys(draw, shape):
    """Basic keys, integer arrays, masks, and mixtures, as NumPy takes them."""
    kind = draw(st.sampled_from(["basic", "basic", "array", "mask", "part mask", "mixed"]))
    forward = hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True)
    if kind == "basic" or not shape or 0 in shape:
        return draw(forward)
    if kind == "mask":
        return draw(hnp.arrays(bool, shape))
    if kind == "part mask":
        return draw(hnp.arrays(bool, shape[:1]))
    integers = hnp.integer_array_indices(shape[: 1 if kind == "array" else None])
    found = draw(integers)
    return found[0] if kind == "array" else found


def goes_forward(key) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return all(not isinstance(p, slice) or p.step is None or p.step > 0 for p in parts)


def as_ours(key):
    """Arrays in a key as tensors."""
    if isinstance(key, tuple):
        return tuple(as_ours(k) for k in key)
    return wrap(np.asarray(key)) if isinstance(key, np.ndarray) else key


def shapes():
    return hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@given(st.data())
def test_reading(data):
    """The same elements and shape; a view where NumPy gives one; the gradient back in place."""
    shape = data.draw(shapes())
    key = data.draw(keys(shape).filter(goes_forward))
    value = np.asarray(np.arange(float(np.prod(shape, dtype=int))).reshape(shape) + 1)
    wanted = value[key]
    x = wrap(value.copy()).requires_grad_()
    for k in (key, as_ours(key)):
        y = x[k]
        assert y.shape == np.shape(wanted)
        np.testing.assert_array_equal(y.detach().numpy(), wanted)
    g = np.random.default_rng(0).normal(size=np.shape(wanted))
    y.backward(wrap(np.asarray(g)))
    back = np.zeros(shape)
    np.add.at(back, key, g)
    np.testing.assert_allclose(x.grad.numpy(), back, atol=1e-15)
    if isinstance(wanted, np.ndarray) and wanted.size and np.shares_memory(wanted, value):
        assert np.shares_memory(y._value, x._value)


@given(st.data())
def test_writing(data):
    """The same elements after the write, of a number, of an array, of one that broadcasts."""
    shape = data.draw(shapes())
    key = data.draw(keys(shape).filter(goes_forward))
    value = np.asarray(np.arange(float(np.prod(shape, dtype=int))).reshape(shape) + 1)
    part = np.asarray(value[key])
    kind = data.draw(st.sampled_from(["number", "whole", "scalar", "leading one"]))
    if kind == "leading one" and not part.ndim:
        kind = "whole"
    new = {
        "number": 0.5, "scalar": np.asarray(0.5),
        "whole": np.arange(float(part.size)).reshape(part.shape) / 8,
        "leading one": np.arange(float(part.size)).reshape(1, *part.shape) / 8,
    }[kind]  # fmt: skip
    repeated = part.size != np.unique(np.arange(value.size).reshape(shape)[key]).size
    if repeated and kind in ("whole", "leading one"):
        return  # which of several values for one place stays is left open
    wanted = value.copy()
    wanted[key] = np.reshape(new, part.shape) if kind == "leading one" else new
    x = wrap(value.copy())
    x[as_ours(key)] = new if kind == "number" else wrap(np.asarray(new))
    np.testing.assert_array_equal(x.numpy(), wanted)
    tracked = wrap(value.copy()).requires_grad_()
    y = tracked * 1.0
    source = wrap(np.asarray(new, np.float64)).requires_grad_()
    y[key] = source
    y.sum().backward()
    kept = np.ones(shape)
    kept[key] = 0
    np.testing.assert_array_equal(tracked.grad.numpy(), kept)
    assert source.grad is None if part.size == 0 and source._grad is None else (
        source.grad.sum().item() == part.size)  # fmt: skip


@given(st.data())
def test_numbers_pick_before_arrays(data):
    """x[0, :, i] is x[0][:, i], as in PyTorch; NumPy would put the dimension of i in front."""
    x = chainrule.arange(24.0).reshape(2, 3, 4)
    parts = [data.draw(st.sampled_from([0, -1, slice(None), slice(1, None)])) for _ in range(2)]
    place = data.draw(st.integers(0, 2))
    parts.insert(place, [0, 1, 0])
    wanted = x.numpy()
    for axis in reversed(range(3)):
        part = parts[axis]
        wanted = wanted[(slice(None),) * axis + (part,)]
    y = x[tuple(parts)]
    np.testing.assert_array_equal(y.numpy(), wanted)
    x[tuple(parts)] = -y
    assert x[tuple(parts)].tolist() == (-y).tolist()


def test_a_few_elements_of_a_large_tensor_take_little_memory():
    x = chainrule.zeros(1000, 1000)
    tracemalloc.start()
    picked = x[[0, 1], [2, 3]]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert picked.shape == (2,)
    assert most < 100_000


def test_numbers_are_views_arrays_are_copies():
    x = chainrule.arange(6).reshape(2, 3)
    for key in (0, np.int64(0), chainrule.tensor(0), (0, 1), slice(1), ..., None, (slice(None), 1)):
        assert np.shares_memory(x[key]._value, x._value), key
    for key in ([0], chainrule.tensor([0]), x > 2, [True, False]):
        assert not np.shares_memory(x[key]._value, x._value), key


def test_rows_that_are_listed_twice_add_up():
    x = chainrule.zeros(3, requires_grad=True)
    x[[1, 1, 0]].sum().backward()
    assert x.grad.tolist() == [1, 2, 0]


WRONG = [
    (3, IndexRangeError, r"index 3 .*\n.*-2 to 1"),
    ((0, 5), IndexRangeError, r"index 5 .* dimension 1"),
    ((0, 0, 0), IndexRangeError, "too many indices"),
    ((..., ...), IndexRangeError, r"only one \.\.\."),
    ([0, 7], IndexRangeError, r"index 7 (.|\n)*(0 to 1|shape \(2, 3\))"),
    ([-9], IndexRangeError, "index -9"),
    ((slice(None), [9]), IndexRangeError, "9"),
    ([True, False, True], IndexRangeError, r"mask .*\n.*\(2,\)\n.*\(3,\)"),
    (slice(None, None, -1), ArgumentTypeError, r"step must be > 0(.|\n)*flip"),
    (1.5, ArgumentTypeError, "can't index with this(.|\n)*float"),
    ("a", ArgumentTypeError, "can't index with this(.|\n)*str"),
    (slice(0.5), ArgumentTypeError, "whole numbers"),
    ([0.5], ArgumentTypeError, "can't index with this"),
]


@pytest.mark.parametrize(("key", "error", "text"), WRONG, ids=lambda v: str(v)[:20])
def test_keys_that_do_not_fit(key, error, text):
    x = chainrule.zeros(2, 3)
    for attempt in (lambda: x[key], lambda: x.__setitem__(key, 1.0)):
        with pytest.raises(error, match=text) as caught:
            attempt()
        assert isinstance(caught.value, (IndexError, TypeError))
        assert len(str(caught.value).splitlines()) <= 6
    assert x.tolist() == [[0] * 3] * 2


def test_values_that_do_not_fit_change_nothing():
    x = chainrule.zeros(2, 3)
    with pytest.raises(ShapeError):
        x[0] = chainrule.ones(2)
    with pytest.raises(ShapeError):
        x[[0, 1]] = chainrule.ones(3, 3)
    with pytest.raises(ArgumentTypeError, match="Tensor or a number"):
        x[[0]] = "a"
    with pytest.raises(ArgumentTypeError):
        x[0] = None
    assert x.tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("number", [3, 3.0, np.int64(3), np.float32(3), True])
def test_numbers_of_every_kind_can_be_written(number):
    x = chainrule.zeros(4)
    x[0], x[[1, 2]] = number, number
    x[x == 0] = number
    assert x.tolist() == [float(number)] * 4


def test_contiguous_lies_in_order_and_can_be_viewed():
    x = chainrule.arange(6.0).reshape(2, 3).requires_grad_()
    y = x.T.contiguous()
    assert y.is_contiguous()
    assert y.stride() == (2, 1)
    assert y.view(-1).tolist() == [0, 3, 1, 4, 2, 5]
    (y * chainrule.arange(6.0).reshape(3, 2)).sum().backward()
    assert x.grad.tolist() == [[0, 2, 4], [1, 3, 5]]
