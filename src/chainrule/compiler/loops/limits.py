"""How few bytes a value can be kept in: whole numbers that are known to be small take one.

Why: the places that a pooling chose are 0 to 3 for windows of 2 x 2, and as many as its outputs.
"""

from __future__ import annotations

from typing import Any

from ... import dtypes
from ...dtypes import DType
from ...graph import Node
from ...ops.core import is_number


def kept_as(node: Node) -> DType:
    """The type in which memory holds a value."""
    if node.dtype.kind != "i":
        return node.dtype
    found = limits(node)
    return dtypes.uint8 if found and found[0] >= 0 and found[1] < 256 else node.dtype


def limits(x: Any) -> tuple[int, int] | None:
    """(least, greatest) of all elements of a value of whole numbers; None where nothing is known.

    Looks through choices and moves only, which is what becomes of an argmax.
    """
    if is_number(x):
        return (int(x), int(x)) if isinstance(x, int) else None
    if x.op is None or x.dtype.kind not in "iu":
        return None
    if x.op.name == "iota":
        return 0, max(x.params["size"] - 1, 0)
    if x.op.name == "where":
        found = [limits(y) for y in x.inputs[1:]]
    elif x.op.name in ("min", "max", "reshape", "expand", "permute"):
        found = [limits(x.inputs[0])]
    else:
        return None
    known = [f for f in found if f is not None]
    if len(known) < len(found):
        return None
    return min(low for low, _ in known), max(high for _, high in known)
