"""Lines that need not be computed: constants, changes that change nothing, and repetitions.

Before: %0 = full(shape=(2,),value=1.0)   %1 = mul(x, %0)   %2 = exp(%1)   %3 = exp(%1)
After:  %0 = exp(x)                        and %3 is %0

What it must not change: any bit of a result.  So x + 0 stays, which makes 0 of -0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph import Graph, Node
from ...ops import full as FULL
from ...ops.core import is_number
from .rewrite import kept, rewrite


def simplify(graph: Graph) -> Graph:
    """One walk from the first line to the last."""
    known: dict[Any, Node] = {}

    def rule(node: Node, operands: tuple[Any, ...], lines: list[Node]) -> Any:
        op = node.op
        assert op is not None
        if op.pointwise and op.name != "cast":
            operands = tuple([_number_in(x, operands, node) for x in operands])
        if op.name == "reshape" and operands[0].op is op:  # only the last shape counts
            operands = operands[0].inputs
        same = _unchanged(node, operands)
        if same is not None:
            return same
        value = _constant(node, operands)
        if value is not None:
            params = {"shape": node.shape, "value": value, "dtype": node.dtype}
            node = Node(FULL, (), params, node.spec, node.name, node.site)
            op, operands = FULL, ()
        key = (op.name, *map(_key, operands), _settings(node))
        found = known.get(key)
        if found is None:
            found = known[key] = kept(node, operands, lines)
        return found

    return rewrite(graph, rule)


def _key(x: Any) -> Any:
    return id(x) if isinstance(x, Node) else (type(x), repr(x))


def _settings(node: Node) -> Any:
    return tuple([(k, repr(v)) for k, v in node.params.items()])


def _number_in(x: Any, operands: tuple[Any, ...], reader: Node) -> Any:
    """The number that a full operand of a pointwise op holds; x itself where another one shapes."""
    if not isinstance(x, Node) or x.op is not FULL or len(operands) == 1:
        return x
    others = [y for y in operands if isinstance(y, Node) and y.op is not FULL]
    fits = any(y.shape == reader.shape and y.dtype == x.dtype for y in others)
    return x.dtype.type(x.params["value"]).item() if fits else x


def _unchanged(node: Node, operands: tuple[Any, ...]) -> Any:
    """The operand that a line gives as it is, or None."""
    assert node.op is not None
    name = node.op.name
    x = operands[0] if operands else None
    if name in ("reshape", "expand", "detach", "cast", "permute"):
        same = isinstance(x, Node) and (x.shape, x.dtype) == (node.shape, node.dtype)
        if name == "permute":
            same = same and node.params["axes"] == tuple(range(node.ndim))
        return x if same else None
    if len(operands) != 2 or name not in ("mul", "div"):
        return None
    a, b = operands
    for x, y in ((a, b), (b, a)) if name == "mul" else ((a, b),):
        if is_number(y) and y == 1 and isinstance(x, Node) and x.dtype == node.dtype:
            return x
    return None


def _constant(node: Node, operands: tuple[Any, ...]) -> Any:
    """The one number that all of a line's elements are, or None."""
    assert node.op is not None
    if node.op is FULL:
        return None
    whole = all(is_number(x) or x.op is FULL for x in operands)
    if not operands or not whole:
        return None
    if node.op.name in ("reshape", "expand", "permute", "flip"):
        return operands[0].params["value"]
    if not node.op.pointwise:
        return None
    scalars = [x if is_number(x) else np.asarray(x.params["value"], x.dtype) for x in operands]
    with np.errstate(all="ignore"):
        try:
            value = np.asarray(node.op.forward(*scalars, **node.params)).astype(node.dtype)
        except ArithmeticError:
            return None  # whole numbers divided by 0: found when it is run
    return value.item()
