"""Every op and its gradient in native code, in every type that it takes, on every processor."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import dtypes, ops
from chainrule import graph as G
from chainrule.compiler.llvm import build
from chainrule.compiler.llvm.emit import emit
from chainrule.compiler.loops.lower import lower
from chainrule.compiler.loops.products import arrange
from chainrule.grad import gradients
from chainrule.ops import REGISTRY
from chainrule.ops.core import Spec, quietly
from compiler.agreement import agree
from compiler.native import by_lines, natively, simplified
from compiler.processors import EXECUTABLE, FIXED, HOST
from ops.edges import edge_inputs, integer_inputs

BOUND = {"f4": 1e-5, "f8": 1e-12}


def in_dtype(sample, dtype):
    """A sample whose float arrays, and whose result where that can be chosen, have a type."""
    inputs = [a.astype(dtype) if a.dtype.kind == "f" else a for a in sample.inputs]
    return inputs, {k: dtype if k == "dtype" else v for k, v in sample.params.items()}


def admissible(op, types):
    """The inputs and settings of an op at its samples, in all types that it takes.

    A type is taken where NumPy gives what the op's spec promises.
    """
    for sample in op.samples(np.random.default_rng(17)):
        for dtype in types if any(a.dtype.kind == "f" for a in sample.inputs) else types[:1]:
            inputs, params = in_dtype(sample, dtype)
            try:
                told = op.spec(*(Spec(a.shape, a.dtype) for a in inputs), **params)
                with quietly():
                    given = np.asarray(op.forward(*inputs, **params))
            except (TypeError, RuntimeError, ValueError):
                continue
            if given.dtype == told.dtype:
                yield inputs, params


def together(op, record, types):
    """(one program of an op at all its samples, their inputs): one build instead of many."""
    cases = list(admissible(op, types))

    def f(*nodes):
        left, outputs = iter(nodes), []
        for inputs, params in cases:
            mine = [next(left) for _ in inputs]
            outputs += record(op, mine, params)
        return outputs

    arrays = [a for inputs, _ in cases for a in inputs]
    return G.trace(f, *arrays), arrays


def value(op, nodes, params):
    return [op(*nodes, **params)]


def gradient(op, nodes, params):
    """Of the sum of squares, which asks for the gradient of each element."""
    y = op(*nodes, **params)
    wanted = [x for x in nodes if x.dtype.kind == "f"]
    if not wanted or y.dtype.kind != "f":
        return []
    total = ops.sum(ops.mul(y, y), axis=tuple(range(y.ndim)), keepdim=False)
    return [g for g in gradients(total, wanted) if g is not None]


def hold(graph, arrays, targets):
    wanted, _ = by_lines(graph, arrays)
    for name, target in targets.items():
        found, _ = natively(graph, arrays, target)
        for y, w in zip(found, wanted, strict=True):
            bound = BOUND.get(w.dtype.str[1:], 0)
            agree(y, w, name, bound)


each = pytest.mark.parametrize("op", REGISTRY.values(), ids=REGISTRY.keys())
smooth = pytest.mark.parametrize(
    "op", [op for op in REGISTRY.values() if op.differentiable], ids=lambda op: op.name
)


@pytest.mark.slow
@each
def test_an_op_in_every_type(op):
    hold(*together(op, value, dtypes.ALL), {"host": HOST})


@smooth
def test_a_gradient(op):
    hold(*together(op, gradient, dtypes.ALL[:1]), {"host": HOST})


def edges_of(op, dtype):
    """Every special number, and all pairs of them; whole numbers place by place."""
    arity = len(op.input_names)
    drawn = edge_inputs if dtype.kind == "f" else integer_inputs
    inputs = [np.ascontiguousarray(a) for a in drawn(arity, dtype.name)]
    if dtype.kind == "f" and op.name in (
        "sin",
        "cos",
    ):  # beyond their range they are some number in [-1, 1]
        inputs = [np.where(np.abs(x) > 1000, np.sign(x), x).astype(x.dtype) for x in inputs]
    return inputs


@pytest.mark.slow
@pytest.mark.parametrize(
    "op", [op for op in REGISTRY.values() if op.pointwise and op.name != "cast"],
    ids=lambda op: op.name,
)  # fmt: skip
def test_an_elementwise_op_at_the_edges(op):
    cases = []
    for dtype in dtypes.ALL:
        inputs = edges_of(op, dtype)
        try:
            op.spec(*inputs)
        except (TypeError, RuntimeError):
            continue
        cases.append(inputs)

    def f(*nodes):
        left = iter(nodes)
        return [op(*[next(left) for _ in inputs]) for inputs in cases]

    arrays = [a for inputs in cases for a in inputs]
    hold(G.trace(f, *arrays), arrays, EXECUTABLE)


@pytest.mark.slow
@each
def test_an_op_in_every_type_on_every_processor(op):
    hold(*together(op, value, dtypes.ALL), EXECUTABLE)


@pytest.mark.slow
@smooth
def test_a_gradient_on_every_processor(op):
    hold(*together(op, gradient, dtypes.ALL[:2]), EXECUTABLE)


@pytest.mark.parametrize(
    "target",
    [pytest.param(t, id=name, marks=pytest.mark.slow if name in ("sse2", "avx2") else ())
     for name, t in FIXED.items()],
)  # fmt: skip
def test_code_for_a_processor_that_need_not_be_here(target):
    """LLVM takes the text of the largest registry programs, and makes object code of it."""
    build.ready_for_all()
    for name in ("matmul", "softmax", "cumsum", "fold"):
        graph, _ = together(REGISTRY[name], value, dtypes.ALL[:2])
        text = emit(arrange(lower(simplified(graph)), target.lanes(4)), target).text
        assert len(build.compile_text(text, target)) > 1000
