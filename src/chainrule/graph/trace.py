"""Recording a program by running Python once, and running a recorded program on arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, user_site
from ..ops.core import Op, Params, Spec, Value, current, interpret, is_number, quietly
from .node import Graph, Node


class Recorder:
    """The interpreter that writes down every op call and computes nothing."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def __call__(self, op: Op, inputs: Sequence[Value], params: Params) -> Node:
        for x in inputs:
            if not isinstance(x, Node) and not is_number(x):
                raise ArgumentTypeError(
                    f"{op.name}: a recorded program works on its inputs and on Python numbers",
                    got=type(x).__name__,
                    fix="pass the array as an argument of the traced function",
                )
        operands = tuple(op.align(inputs))
        spec = op.spec(*operands, **params)
        node = Node(op, operands, params, spec, site=user_site(2))
        node.module = current.module
        node.weak = is_weak(op, inputs)
        self.nodes.append(node)
        return node


def is_weak(op: Op, inputs: Sequence[Value]) -> bool:
    """Whether an op on Python numbers, some known later, gives what Python would: a number."""
    values = [getattr(x, "_value", x) for x in inputs if not is_number(x)]
    numbers = op.pointwise and op.name != "cast" and bool(values)
    return numbers and all(getattr(v, "weak", False) for v in values)


def trace(f: Callable[..., Any], *specs: Any, names: Sequence[str] | None = None) -> Graph:
    """The program that f records on inputs of these shapes and dtypes.

    f calls ops and operators; `specs` have .shape and .dtype (arrays, Specs, Nodes).
    """
    labels = names or [f"x{i}" for i in range(len(specs))]
    inputs = [
        Node(None, (), {}, Spec(tuple(s.shape), s.dtype), name)
        for s, name in zip(specs, labels, strict=True)
    ]
    recorder = Recorder()
    with interpret(recorder):
        result = f(*inputs)
    outputs = result if isinstance(result, (tuple, list)) else (result,)
    return Graph(inputs, recorder.nodes, outputs)


def run(graph: Graph, *arrays: Any) -> tuple[Any, ...]:
    """The outputs of a program on arrays: each line in turn, by the op's NumPy forward.

    Updates are written into the arrays of their inputs.
    """
    if len(arrays) != len(graph.inputs):
        raise ArgumentError(
            "run: needs one array an input",
            expected=str(len(graph.inputs)),
            got=str(len(arrays)),
        )
    values: dict[int, Any] = {id(n): a for n, a in zip(graph.inputs, arrays, strict=True)}
    with quietly():
        for node in graph.nodes:
            assert node.op is not None
            operands = [values.get(id(x), x) for x in node.inputs]
            values[id(node)] = node.op.forward(*operands, **node.params)
    results = tuple(np.array(values.get(id(x), x)) for x in graph.outputs)
    written = [(values[id(x)], np.array(values.get(id(v), v))) for x, v in graph.updates]
    for array, new in written:  # only now: a view computed above may still show the old memory
        array[...] = new
    return results
