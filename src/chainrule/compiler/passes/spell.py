"""Composite primitives written in other ops, where their op says how (`Op.spell`).

Why: softmax is one op for the sake of eager speed and of its rule.  Compiled, its maximum, its sum
and its quotient fuse with what stands around them.
"""

from __future__ import annotations

from typing import Any

from ...graph import Graph, Node
from ...graph.trace import Recorder
from ...ops.core import interpret
from .rewrite import kept, rewrite


def spell(graph: Graph) -> Graph:
    """Replaces ops by what they are spelled as, again and again."""

    def rule(node: Node, operands: tuple[Any, ...], lines: list[Node]) -> Any:
        assert node.op is not None
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
