"""Whether a recorded program is well formed: checked between the steps that rewrite programs."""

from __future__ import annotations

from ..ops import REGISTRY
from ..ops.core import is_number
from .node import Graph, Node, type_text


class GraphError(AssertionError):
    """A program that breaks the grammar: a fault of this package, not of the user."""


def verify(graph: Graph) -> None:
    """Raises unless every line reads only what stands above it and has the type it claims."""
    known = set(graph.inputs)
    if len(known) != len(graph.inputs) or any(n.op is not None for n in graph.inputs):
        raise GraphError("inputs must be different nodes without an op")
    for i, node in enumerate(graph.nodes):
        if node.op is None or REGISTRY.get(node.op.name) is not node.op:
            raise GraphError(f"line {i}: {node!r} has no registered op")
        if node in known:
            raise GraphError(f"line {i}: {node!r} stands twice")
        for x in node.inputs:
            if not is_number(x) and x not in known:
                raise GraphError(f"line {i}: {node.op.name} reads {x!r}, which is not above it")
        spec = node.op.spec(*node.inputs, **node.params)
        if (tuple(spec.shape), spec.dtype) != (node.shape, node.dtype):
            raise GraphError(
                f"line {i}: {node.op.name} makes {type_text(spec)}, not {type_text(node)}"
            )
        known.add(node)
    written = [x for x, _ in graph.updates]
    if len(set(written)) != len(written) or not set(written) <= set(graph.inputs):
        raise GraphError("updates must write different inputs")
    for x, v in graph.updates:
        if not is_number(v) and (v.shape, v.dtype) != (x.shape, x.dtype):
            raise GraphError(f"{x!r} can't hold {v!r}")
    for x in (*graph.outputs, *(v for _, v in graph.updates)):
        if isinstance(x, Node) and x not in known:
            raise GraphError(f"the output {x!r} is not computed")
