"""In-place writes, item assignment and views, against PyTorch, frozen and live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule
from chainrule import ops
from chainrule.errors import DTypeError, GradError, ShapeError

from .programs import PROGRAMS, STEPS, draw_program, run

REFERENCE = np.load(Path(__file__).with_name("reference.npz"))


def same(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_frozen_programs(seed):
    """Random programs: values, flags, failures and gradients as PyTorch has them."""
    ours = run(chainrule, draw_program(seed))
    failed = int(REFERENCE[f"{seed}/failed"])
    assert (-1 if ours["failed"] is None else ours["failed"]) == failed
    np.testing.assert_array_equal([ours["requires_grad"], ours["leaf"]], REFERENCE[f"{seed}/flags"])
    same(np.concatenate([v.reshape(-1) for v in ours["values"]]), REFERENCE[f"{seed}/values"])
    refused = bool(REFERENCE[f"{seed}/refused"])
    assert (ours["grads"] == "refused") == refused
    for i, g in enumerate([] if refused else ours["grads"]):
        same(np.zeros(0) if g is None else g, REFERENCE[f"{seed}/grad{i}"])


@pytest.mark.reference
@settings(max_examples=200)
@given(st.lists(st.tuples(*(st.integers(0, n - 1) for n in (STEPS, 12, 12, 6))), max_size=8))
def test_live_programs(program):
    torch = pytest.importorskip("torch")
    theirs, ours = run(torch, program), run(chainrule, program)
    if theirs["failed"] is not None and ours["failed"] != theirs["failed"]:
        # PyTorch takes a view that it made of a constant for a leaf of its own and refuses it
        assert ours["failed"] is None or ours["failed"] > theirs["failed"]
        return
    for key in ("failed", "requires_grad", "leaf"):
        assert ours[key] == theirs[key], key
    for a, b in zip(ours["values"], theirs["values"], strict=True):
        same(a, b)
    assert (ours["grads"] == "refused") == (theirs["grads"] == "refused")
    if ours["grads"] != "refused":
        for a, b in zip(ours["grads"], theirs["grads"], strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def leaf(*values):
    return chainrule.tensor(list(values), dtype=chainrule.float64, requires_grad=True)


IN_PLACE = sorted(
    n for n in dir(chainrule.Tensor) if n.endswith("_") and n[0] != "_"
    and n not in ("requires_grad_", "detach_")
)  # fmt: skip
ARGUMENTS = {
    "add_": (2.0,), "sub_": (2.0,), "mul_": (2.0,), "div_": (2.0,), "pow_": (3.0,),
    "clamp_": (0.4, 0.8), "copy_": (chainrule.tensor([0.1, 0.2, 0.3]),), "fill_": (0.5,),
    "lerp_": (chainrule.ones(3, dtype=chainrule.float64), 0.5),
    "masked_fill_": (chainrule.tensor([True, False, True]), 9.0),
    "addcmul_": (chainrule.ones(3), chainrule.ones(3)),
    "addcdiv_": (chainrule.ones(3), chainrule.ones(3)),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_every_in_place_method_is_its_sibling_written_in_place(name):
    """Same value, same gradient, the tensor itself back, and a leaf is refused."""
    args = ARGUMENTS.get(name, ())
    w, v = leaf(0.5, 0.6, 0.7), leaf(0.5, 0.6, 0.7)
    x = w * 1.0
    assert getattr(x, name)(*args) is x
    x.sum().backward()
    sibling = getattr(chainrule.Tensor, name[:-1], None)
    if sibling is not None:
        y = sibling(v, *args)
        y.sum().backward()
        np.testing.assert_array_equal(x.detach().numpy(), y.detach().numpy())
        np.testing.assert_array_equal(w.grad.numpy(), v.grad.numpy())
    with pytest.raises(GradError, match=f"{name}: a leaf tensor that requires grad"):
        getattr(w, name)(*args)
    with pytest.raises(GradError, match="a view of a leaf tensor"):
        getattr(w[:3], name)(*args)
    with chainrule.no_grad():
        getattr(w, name)(*args)
    np.testing.assert_array_equal(w.detach().numpy(), x.detach().numpy())


def test_operators_write_in_place():
    x = leaf(5.0, 7.0) * 1.0
    alias = x
    x += 1
    x -= 2
    x *= 3
    x /= 4
    x **= 2
    x //= 1
    x %= 5
    assert alias is x
    assert x.tolist() == [(3.0**2) % 5, (4.5**2 // 1) % 5]


def test_a_write_through_a_view_costs_the_view_not_the_base(monkeypatch):
    """The history of a write is recorded without computing the base again."""
    big = chainrule.zeros(1000, 1000) * leaf(1.0).float()
    copied = []
    op = ops.put_slice
    forward = type(op).forward

    def counting(self, x, v, *, ranges):
        copied.append(np.size(x))
        return forward(self, x, v, ranges=ranges)

    monkeypatch.setattr(type(op), "forward", counting)
    big[3] = 1.0
    big[4] += 1.0
    assert sum(copied) <= 3000


def test_views_of_views_and_the_base_see_each_other():
    w = leaf(1.0, 2.0, 3.0, 4.0)
    base = w * 1.0
    square = base.reshape(2, 2)
    corner = square[1][1:]
    other = square.T
    corner.mul_(10.0)
    assert base.tolist() == [1, 2, 3, 40]
    assert other.tolist() == [[1, 3], [2, 40]]
    (other * other).sum().backward()
    assert w.grad.tolist() == [2, 4, 6, 800]


def test_a_view_is_brought_up_to_date_inside_no_grad_too():
    w = leaf(1.0, 2.0)
    base = w * 1.0
    view = base[:1]
    base.mul_(3.0)
    with chainrule.no_grad():
        assert view.requires_grad
    view.sum().backward()
    assert w.grad.tolist() == [3, 0]


def test_copying_a_leaf_in_keeps_the_two_apart():
    w, c = leaf(1.0, 2.0), chainrule.zeros(2, dtype=chainrule.float64)
    c.copy_(w)
    assert not c.is_leaf
    seen = []
    c.register_hook(lambda g: seen.append(g.tolist()))
    (c * 2 + w).sum().backward()
    assert seen == [[2, 2]]
    assert w.grad.tolist() == [3, 3]


def test_the_write_of_a_result_that_does_not_fit_changes_nothing():
    x = chainrule.tensor([1, 2])
    with pytest.raises(DTypeError, match="can't be stored") as caught:
        x.add_(0.5)
    assert isinstance(caught.value, RuntimeError)
    with pytest.raises(ShapeError, match="does not fit into the tensor"):
        x.add_(chainrule.ones(2, 2, dtype=chainrule.int64))
    with pytest.raises(ShapeError, match="share one place in memory"):
        chainrule.zeros(1).expand(3).add_(1.0)
    assert x.tolist() == [1, 2]
    small = chainrule.tensor([200], dtype=chainrule.uint8)
    small += chainrule.tensor([100])  # the type of a tensor that is written stays, as in PyTorch
    assert (small.dtype, small.tolist()) == (chainrule.uint8, [44])


def test_overwriting_a_saved_value_names_both_lines():
    """BADINPUT row 14: the op that saved, the op that overwrote, and what mends it."""
    x = leaf(0.0, 1.0)
    y = x.exp()
    y += 1
    with pytest.raises(RuntimeError) as caught:
        y.sum().backward()
    text = str(caught.value)
    line = caught.traceback[0].lineno + 1  # of y.sum().backward(), 0-based
    assert f"exp saw it at test_in_place.py:{line - 3}" in text
    assert f"written in place at test_in_place.py:{line - 2}" in text
    assert "y = y + 1" in text
    assert len(text.splitlines()) <= 6
    assert x.grad is None


@pytest.mark.parametrize("through", ["a view", "detach", "the base", "an index", "data of a view"])
def test_every_way_to_overwrite_is_noticed(through):
    x = leaf(1.0, 2.0, 3.0)
    base = x * 1.0
    part = base[:2]
    y = part.sin()
    if through == "a view":
        part[0] = 5.0
    elif through == "detach":
        part.detach().mul_(2.0)
    elif through == "the base":
        base.mul_(2.0)
    elif through == "an index":
        base[chainrule.tensor([1])] = 0.0
    else:
        base.detach()[1:].zero_()
    with pytest.raises(GradError, match="overwritten by an in-place operation"):
        y.sum().backward()
    assert x.grad is None
