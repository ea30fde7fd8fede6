"""How every value of a program moves with one number of an input: forward mode, by the same rules.

An op's rule gives r = J' g for the gradient g of its result, and is linear in g.  So the tangent
of the result is J t = d<r(g), t> / dg: the rule's own rules, once more.  A gradient times a tangent
is what flows to the loss through that value, and adds up to the whole over any cut of the program.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numpy as np

from ... import ops
from ...grad import gradients
from ...graph import Graph, Node, run, trace


def tangents(
    graph: Graph, arrays: dict[int, Any], source: Node, at: tuple[int, ...]
) -> dict[int, Any]:
    """id of a line -> d line / d source[at], for the lines that it moves."""
    start = np.zeros(source.shape)
    start[at] = 1.0
    found = {id(source): start}
    for node in graph.nodes:
        if node.dtype.kind != "f" or node.op is None or not node.op.differentiable:
            continue
        moving = [i for i, x in enumerate(node.inputs) if id(x) in found]
        if moving:
            moved = _moved(node, moving, arrays, found)
            if moved is not None:
                found[id(node)] = moved
    return found


def _moved(node: Node, moving: list[int], arrays: dict[int, Any], found: dict[int, Any]) -> Any:
    """The tangent of a line, from those of the inputs that move."""
    op = node.op
    assert op is not None
    places = [i for i, x in enumerate(node.inputs) if isinstance(x, Node)]
    values = [arrays[id(node.inputs[i])] for i in places]
    motions = [found[id(node.inputs[i])] for i in moving]
    y = arrays[id(node)]

    def product(g: Any, y: Any, *rest: Any) -> Any:
        operands = list(node.inputs)
        for i, x in zip(places, rest, strict=False):
            operands[i] = x
        parts = op.vjp(g, y, *operands, **node.params)
        total: Any = None
        for i, motion in zip(moving, rest[len(places) :], strict=True):
            r = parts[i]
            r = r() if isinstance(r, FunctionType) else r
            if r is not None:
                term = ops.sum(r * motion, axis=tuple(range(motion.ndim)), keepdim=False)
                total = term if total is None else total + term
        return None if total is None else gradients(total, [g])[0]

    program = trace(product, y, y, *values, *motions)
    if program.outputs[0] is None:
        return None
    return run(program, np.ones_like(y), y, *values, *motions)[0]
