"""Where a program has a kink in the direction of one number: relu at 0, a tie of max, abs at 0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...graph import Node
from ..elements import Place
from .program import Program

AT_ZERO = frozenset({"relu", "abs"})
TIES = {"maximum": "a tie of maximum", "minimum": "a tie of minimum", "gt": "a border of >",
        "lt": "a border of <", "ge": "a border of >=", "le": "a border of <="}  # fmt: skip


def kinks(program: Program, moved: dict[int, Any]) -> str:
    """The kinks that a number stands at; moved: how each line moves with it."""
    found = list(dict.fromkeys(_all(program, moved)))
    return ", ".join(found[:2]) + (f" and {len(found) - 2} more" if len(found) > 2 else "")


def _all(program: Program, moved: dict[int, Any]) -> Iterator[str]:
    for node in program.forward:
        name = node.op.name if node.op is not None else ""
        x = node.inputs[0] if node.inputs else None
        if name in AT_ZERO and isinstance(x, Node) and id(x) in moved:
            at_it = (program.array(x) == 0) & (moved[id(x)] != 0)
            yield from _said(program, x, at_it, f"{name} at 0")
        elif name in TIES:
            first, second = (_value(program, v) for v in node.inputs)
            motions = [moved.get(id(v), 0.0) for v in node.inputs]
            at_it = (first == second) & (motions[0] != motions[1])
            yield from _said(program, x, np.broadcast_to(at_it, node.shape), TIES[name])
        elif name in ("max", "min") and id(x) in moved:
            yield from _said(program, x, _tied(program, node, moved[id(x)]), f"a tie of {name}")


def _value(program: Program, operand: Any) -> Any:
    return program.array(operand) if isinstance(operand, Node) else operand


def _tied(program: Program, node: Node, motion: Any) -> Any:
    """Where several numbers are the largest of their group, and do not move alike."""
    x, axis = program.array(node.inputs[0]), node.params["axis"]
    best = x == (x.max if node.op.name == "max" else x.min)(axis=axis, keepdims=True)  # type: ignore[union-attr]
    low = np.where(best, motion, np.inf).min(axis=axis, keepdims=True)
    high = np.where(best, motion, -np.inf).max(axis=axis, keepdims=True)
    return best & (low != high)


def _said(program: Program, x: Any, at_it: Any, what: str) -> Iterator[str]:
    if not np.any(at_it):
        return
    where = tuple(int(i) for i in np.argwhere(at_it)[0])
    named = isinstance(x, Node) and (x.op is None or program.labels.named(x))
    yield f"{what} ({program.labels(Place(x, where))})" if named else what
