"""Composite primitives written in other ops, where their op says how (`Op.spell`).

Why: softmax is one op for the sake of eager speed and of its rule.  Compiled, its maximum, its sum
and its quotient fuse with what stands around them.  What is gathered where argmax points is the
maximum itself, so a pooling need not read its windows through an index.
"""

from __future__ import annotations

from typing import Any

from ... import ops
from ...graph import Graph, Node
from ...graph.trace import Recorder
from ...ops.core import Op, interpret
from .rewrite import kept, rewrite


def spell(graph: Graph) -> Graph:
    """Replaces ops by what they are spelled as, again and again."""

    def rule(node: Node, operands: tuple[Any, ...], lines: list[Node]) -> Any:
        assert node.op is not None
        extremum = _extremum(node)
        if extremum is not None:
            params = {"axis": (node.params["axis"],), "keepdim": True}
            lines.append(Node(extremum, operands[:1], params, node.spec, node.name, node.site))
            return lines[-1]
        if not node.op.spelled:
            return kept(node, operands, lines)
        recorder = Recorder()
        with interpret(recorder):
            result = node.op.spell(*operands, **node.params)
        for made in recorder.nodes:
            made.site = node.site
        lines.extend(recorder.nodes)
        return result

    while any(n.op is not None and n.op.spelled for n in graph.nodes):
        graph = rewrite(graph, rule)
    return graph


def _extremum(node: Node) -> Op | None:
    """The reduction that gathers the same, where a line gathers at the places of the extremes."""
    if node.op is not ops.gather:
        return None
    x, index = node.inputs
    while index.op is ops.reshape:
        (index,) = index.inputs
    found = {ops.argmax: ops.max, ops.argmin: ops.min}.get(index.op)
    if found is None or index.inputs[0] is not x or index.params["axis"] != node.params["axis"]:
        return None
    return found
