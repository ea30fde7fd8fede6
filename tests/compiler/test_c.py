"""Programs in C compute what NumPy computes: every op, its gradient and corners, random ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, note, settings

from chainrule import graph as G
from chainrule.grad import gradients
from chainrule.ops import REGISTRY, cast, mul, sum
from chainrule.ops.core import quietly
from compiler.agreement import agree, narrow, scale_of
from compiler.in_c import InC, needs_cc
from compiler.moves import programs, updating
from compiler.native import by_lines
from ops.edges import INTEGERS, edge_inputs, integer_inputs
from small_programs import training_step

pytestmark = needs_cc
ROUNDING = {"float32": 1e-6, "float64": 3e-14}


def value(op, params, arrays):
    return G.trace(lambda *xs: op(*xs, **params), *arrays), arrays


def derivative(op, params, arrays):
    """The gradient of a weighted sum of squares, or None."""

    def f(*xs):
        y = op(*xs, **params)
        total = sum(mul(y, y * 0.7), axis=tuple(range(y.ndim)), keepdim=False)
        found = gradients(total, [x for x in xs if x.dtype.kind == "f"])
        return [g for g in found if g is not None]

    floats = any(a.dtype.kind == "f" for a in arrays)
    if not op.differentiable or not floats or op.spec(*arrays, **params).dtype.kind != "f":
        return None
    return G.trace(f, *arrays), arrays


def cases():
    """Every op: at its samples, its gradient there, at its corners, on whole numbers."""
    rng = np.random.default_rng(11)
    for op in REGISTRY.values():
        for sample in op.samples(rng):
            yield op.name, *value(op, sample.params, sample.inputs)
            made = derivative(op, sample.params, sample.inputs)
            if made:
                yield f"{op.name}'", *made
        arity = len(op.input_names)
        if not op.pointwise or op.name == "cast":
            continue
        for dtype in (np.float32, np.float64):
            arrays = edge_inputs(arity, dtype)
            yield f"{op.name} edges", *value(op, {}, arrays)
        for name in INTEGERS:
            arrays = integer_inputs(arity, name)
            try:
                with quietly():
                    op.forward(*arrays)
                    yield f"{op.name} {name}", *value(op, {}, arrays)
            except (TypeError, ValueError, RuntimeError):
                continue  # not defined for them
    for new in ("float32", "int8", "uint8", "int64", "uint64", "bool"):
        for old in ("float64", "float32", "int32", "uint8", "bool"):
            x = np.array([0, 1, 3, 100], old)
            yield f"cast {old} {new}", *value(cast_to(np.dtype(new)), {}, [x])


def cast_to(dtype):
    return lambda x: cast(x, dtype=dtype)


@pytest.mark.slow
def test_every_op(tmp_path):
    listed = list(cases())
    made = InC([graph for _, graph, _ in listed], tmp_path)
    for i, (name, graph, arrays) in enumerate(listed):
        with quietly():
            wanted, _ = by_lines(graph, arrays)
            found, _ = made.run(i, arrays)
        for y, w in zip(found, wanted, strict=True):
            bound = ROUNDING.get(w.dtype.name, 0.0)
            agree(y, w, f"{name} {[a.dtype.name for a in arrays]}", bound)
    assert {name for name, _, _ in listed} >= REGISTRY.keys()


def test_a_step_of_training(tmp_path):
    graph, arrays = training_step(n=40, rows=70)  # sums that are long enough for partial ones
    (wanted, _), (found, _) = by_lines(graph, arrays), InC([graph], tmp_path).run(0, arrays)
    for y, w in zip(found, wanted, strict=True):
        np.testing.assert_allclose(y, w, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("c")


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(programs() | updating())
def test_random_programs(folder, p):
    graph = p.graph()
    note(str(graph))
    scale = scale_of(graph, p.arrays)
    assume(scale < 1e6)
    rounding = scale * (2e-4 if narrow(graph) else 1e-10)
    (wanted, after), (found, written) = (
        by_lines(graph, p.arrays),
        InC([graph], folder).run(0, p.arrays),
    )
    for y, w in zip([*found, *written], [*wanted, *after], strict=True):
        agree(y, w, "in C", rounding)
