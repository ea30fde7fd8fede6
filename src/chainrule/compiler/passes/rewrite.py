"""What passes share: a program written again line by line, and what nobody reads left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...graph import Graph, Node

Rule = Callable[[Node], Any]


def rewrite(graph: Graph, rule: Callable[[Node, tuple[Any, ...], list[Node]], Any]) -> Graph:
    """The program with every line replaced by what `rule(line, operands, lines)` gives for it.

    `operands` are what now stands for the line's inputs; the rule appends new lines to `lines` and
    returns the node, or the number, that stands for the line.
    """
    now: dict[int, Any] = {}
    lines: list[Node] = []
    for node in graph.nodes:
        operands = tuple([now.get(id(x), x) for x in node.inputs])
        now[id(node)] = rule(node, operands, lines)
    outputs = [now.get(id(x), x) for x in graph.outputs]
    updates = [(x, now.get(id(v), v)) for x, v in graph.updates]
    return Graph(graph.inputs, lines, outputs, updates)


def kept(node: Node, operands: tuple[Any, ...], lines: list[Node]) -> Node:
    """The line itself, with the operands that it has now."""
    for x, y in zip(node.inputs, operands, strict=True):
        if x is not y:
            node = Node(node.op, operands, node.params, node.spec, node.name, node.site)
            break
    lines.append(node)
    return node


def dce(graph: Graph) -> Graph:
    """Leaves out lines that no output and no update depends on.

    Why: rules compute gradients that nobody asked for, and other passes leave lines behind.
    """
    wanted: set[int] = set()
    stack = [x for x in (*graph.outputs, *(v for _, v in graph.updates)) if isinstance(x, Node)]
    while stack:
        node = stack.pop()
        if id(node) not in wanted:
            wanted.add(id(node))
            stack.extend(x for x in node.inputs if isinstance(x, Node))
    lines = [n for n in graph.nodes if id(n) in wanted]
    return Graph(graph.inputs, lines, graph.outputs, graph.updates)
