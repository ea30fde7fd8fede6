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
    for x in graph.outputs:
        if isinstance(x, Node) and x not in known:
            raise GraphError(f"the output {x!r} is not computed")
