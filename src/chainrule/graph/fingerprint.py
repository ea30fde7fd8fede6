"""A program as text that tells apart whatever differs: what compiled code is kept under.

`str(graph)` is for people; here numbers carry their type and every bit, and lines refer to each
other by place, so that equal texts mean equal programs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.core import Op
from .node import Graph, type_text

_PLAIN = frozenset({bool, int, str, type(None)})


def fingerprint(graph: Graph) -> str | None:
    """The text; None where an op is not of this package, or a setting has no exact text.

    What an op of the user's own means can change while its name stays.
    """
    try:
        return "\n".join(_lines(graph))
    except _NoText:
        return None


class _NoText(Exception):
    pass


def _lines(graph: Graph) -> list[str]:
    places: dict[int, str] = {}
    types: dict[Any, str] = {}  # NumPy takes its time to name a dtype
    lines = []
    for i, x in enumerate(graph.inputs):
        places[id(x)] = f"x{i}"
        lines.append(f"{x.name!r} {type_text(x)}")
    ours: dict[Op, str] = {}
    for i, node in enumerate(graph.nodes):
        op = node.op
        if op is None:
            raise _NoText
        if op not in ours:
            if type(op).__module__.partition(".")[0] != __name__.partition(".")[0]:
                raise _NoText
            ours[op] = op.name
        words = [ours[op], *[places.get(id(x)) or exact(x) for x in node.inputs]]
        for name, value in node.params.items():
            words += (name, exact(value))
        spec = node.spec
        if spec not in types:
            types[spec] = type_text(spec)
        words.append(types[spec])
        lines.append(" ".join(words))
        places[id(node)] = f"%{i}"
    for x, v in graph.updates:
        lines.append(f"{places[id(x)]} <- {places.get(id(v)) or exact(v)}")
    results = [places.get(id(x)) or exact(x) for x in graph.outputs]
    lines.append(f"return {' '.join(results)}")
    return lines


def exact(value: Any) -> str:
    """A setting or a number as text, with its type and all bits."""
    kind = type(value)
    if kind in _PLAIN:
        return repr(value)
    if kind is float:
        return repr(value) if value == value else f"nan:{np.float64(value).tobytes().hex()}"
    if kind is tuple or kind is list or (isinstance(value, tuple) and hasattr(kind, "_fields")):
        return f"{kind.__name__}({','.join([exact(v) for v in value])})"
    if isinstance(value, np.dtype):
        return f"dtype:{value.str}"
    if isinstance(value, (np.generic, np.ndarray)):
        if value.dtype.hasobject:
            raise _NoText
        return f"array:{value.dtype.str}{value.shape}{value.tobytes().hex()}"
    raise _NoText
