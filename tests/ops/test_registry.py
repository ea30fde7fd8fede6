"""Every op is held to its contract by existing: nothing here knows an op by name."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import ops
from chainrule.errors import ShapeError
from chainrule.ops.core import Spec, arrays, interpret, quietly, shapes
from chainrule.tensor.core import Tensor, wrap
from chainrule.tensor.interpreter import apply

from .cases import ALL, OPS, SMOOTH, cases, first_order, second_order
from .figures import figures

pytestmark = pytest.mark.usefixtures("no_warnings")
each = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
INTERPRETERS = (arrays, apply)


def as_specs(inputs: tuple[Any, ...]) -> list[Spec]:
    return [Spec(x.shape, x.dtype) for x in inputs]


def test_gradients_agree_with_differences():
    """The figure that the project states: the worst error over all ops, both orders."""
    for name, count, error, place in figures():
        assert count > 200, name
        assert error < 1e-8, f"{name}: {error:.1e} at {place}"


@each
def test_every_op_says_where_it_may_be_tested(op):
    assert cases(op), f"{op.name} has no samples"
    for case in cases(op):
        assert len(case.inputs) == len(op.input_names) or op.variadic
        if op.differentiable:
            assert all(case.inputs[i].dtype == np.float64 for i in case.floats)


@each
def test_spec_says_what_forward_gives(op):
    for case in cases(op):
        y = np.asarray(op.forward(*case.inputs, **case.params))
        assert op.spec(*case.inputs, **case.params) == Spec(y.shape, y.dtype)
        with interpret(shapes):
            told = op(*as_specs(case.inputs), **case.params)
        assert told == Spec(y.shape, y.dtype)
        assert case.run(case.tensors()).dtype is y.dtype


@each
def test_numpy_scalars_stand_for_0d_arrays(op):
    """What one op gives for 0-d arrays is a NumPy scalar, and the next op has to take it."""
    for case in cases(op):
        scalars = [x[()] if x.ndim == 0 else x for x in case.inputs]
        y = np.asarray(op.forward(*scalars, **case.params))
        np.testing.assert_array_equal(y, op.forward(*case.inputs, **case.params))
        if op.differentiable:
            with interpret(arrays), quietly():
                for r in op.vjp(np.ones_like(y)[()], y[()], *scalars, **case.params):
                    _ = r() if callable(r) else r


@each
def test_inputs_are_never_written(op):
    for case in cases(op):
        locked = [x.copy() for x in case.inputs]
        for x in locked:
            x.flags.writeable = False
        with interpret(arrays), quietly():
            y = np.asarray(op.forward(*locked, **case.params))
            if op.differentiable:
                g = np.ones_like(y)
                g.flags.writeable = False
                for r in op.vjp(g, y, *locked, **case.params):
                    _ = r() if callable(r) else r


@each
def test_only_views_share_memory(op):
    for case in cases(op):
        y = np.asarray(op.forward(*case.inputs, **case.params))
        shared = [i for i, x in enumerate(case.inputs) if np.shares_memory(x, y)]
        assert shared == ([0] if op.view and y.size else [])


@each
def test_docstring_states_the_derivative(op):
    doc = " ".join((type(op).__doc__ or "").split())
    stated = re.search(r"dy/d|each dx|\bd[a-z](_\w)? = ", doc) if op.differentiable else (
        "no derivative" in doc or "no inputs" in doc or "no gradient" in doc)  # fmt: skip
    assert stated, f"{op.name}: {doc!r} does not state the derivative"
    assert op.math, f"{op.name} does not say how it is written"


@each
def test_one_entry_an_input_of_its_shape_and_dtype(op):
    if not op.differentiable:
        return
    for case in cases(op):
        y = np.asarray(op.forward(*case.inputs, **case.params))
        with interpret(arrays), quietly():
            found = op.vjp(np.ones_like(y), y, *case.inputs, **case.params)
            found = [r() if callable(r) else r for r in found]
        assert len(found) == len(case.inputs)
        for i, (x, r) in enumerate(zip(case.inputs, found, strict=True)):
            assert (r is not None) == (i in case.floats), f"input {i}"
            if r is not None:
                assert (np.shape(r), r.dtype) == (x.shape, x.dtype), f"input {i}"


class Poison:
    """Stands where a rule said that it reads nothing; touching it is a lie found out."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"the rule reads {name} of a value that it did not declare")

    def _touched(self, *args: Any) -> Any:
        raise AssertionError("the rule computes with a value that it did not declare")

    __add__ = __radd__ = __mul__ = __rmul__ = __sub__ = __neg__ = __bool__ = __array__ = _touched


def declared(op: Any, keeps: Any, inputs: tuple[Any, ...]) -> list[Any]:
    """The inputs as the tape keeps them: values, shapes, or nothing at all."""
    flags = keeps.inputs[: len(inputs)]
    return [
        x if k == 2 else Spec(x.shape, x.dtype) if k else Poison()
        for x, k in zip(inputs, flags, strict=True)
    ]


@each
def test_rules_read_only_what_they_declare(op):
    """For each set of inputs whose gradient is wanted: poison for what is not kept for it."""
    if not op.differentiable:
        return
    for case in cases(op):
        y = np.asarray(op.forward(*case.inputs, **case.params))
        g = np.asarray(np.random.default_rng(3).normal(size=y.shape))
        with interpret(arrays), quietly():
            full = op.vjp(g, y, *case.inputs, **case.params)
            full = [r() if callable(r) else r for r in full]
            wanted = [[0]] if op.variadic else [
                [i for i in case.floats if mask >> i & 1] for mask in range(1 << len(case.inputs))
            ]  # fmt: skip
            for chosen in filter(None, wanted):
                edges = [i if i in chosen else None for i in range(len(case.inputs))]
                keeps = op.keeps[op.mask_of(edges)]
                kept = y if keeps.y else Poison()
                some = op.vjp(g, kept, *declared(op, keeps, case.inputs), **case.params)
                for i in chosen:
                    r = some[i]() if callable(some[i]) else some[i]
                    np.testing.assert_array_equal(r, full[i])


@each
def test_float32_stays_float32(op):
    for case in cases(op):
        narrow = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in case.inputs]
        params = copy.copy(case.params)
        if params.get("dtype") == np.float64:
            params["dtype"] = np.dtype(np.float32)
        leaves = [wrap(x).requires_grad_(x.dtype.kind == "f") for x in narrow]
        y = op(*leaves, **params)
        assert y.dtype != np.float64 or not case.floats
        if y.requires_grad:
            y.backward(chainrule.ones_like(y), create_graph=False)
            for x in leaves:
                assert x._grad is None or x._grad.dtype == np.float32
        told = op.spec(*narrow, **params)
        assert (told.shape, told.dtype) == (y.shape, y.dtype)


@each
def test_every_interpreter_gives_the_same_bits(op):
    for case in cases(op):
        plain = np.asarray(arrays(op, case.inputs, case.params))
        np.testing.assert_array_equal(case.run(case.tensors()).detach().numpy(), plain)


@pytest.mark.parametrize("case", [c for c in ALL if c.op.view], ids=str)
def test_a_view_puts_back_what_it_shows(case):
    op, (x,) = case.op, case.inputs
    with interpret(arrays):
        v = np.random.default_rng(4).normal(size=op.forward(x, **case.params).shape)
        try:
            written = op.put(x, v, **case.params)
        except ShapeError:
            y = op.forward(x, **case.params)
            assert 0 in y.strides  # several elements share one place: no write is possible
            return
        np.testing.assert_array_equal(op.forward(written, **case.params), v)
        back = op.put(written, op.forward(x, **case.params), **case.params)
        np.testing.assert_array_equal(back, x)
    base = wrap(x.copy())
    case.op(base, **case.params).copy_(wrap(v))
    np.testing.assert_array_equal(base.numpy(), written)


@each
def test_no_gradient_where_none_is_declared(op):
    if op.differentiable:
        return
    for case in cases(op):
        assert not case.run(case.tensors()).requires_grad


def test_both_orders_cover_every_differentiable_op():
    names = {case.op.name for case in SMOOTH}
    assert names == {op.name for op in OPS if op.differentiable}
    assert any(first_order(c) for c in SMOOTH)
    assert any(second_order(c) for c in SMOOTH)


def test_the_registry_holds_each_op_once():
    assert len({id(op) for op in ops.REGISTRY.values()}) == len(ops.REGISTRY)
    assert all(ops.REGISTRY[op.name] is op for op in OPS)
    assert all(isinstance(case.run(case.tensors()), Tensor) for case in ALL)
