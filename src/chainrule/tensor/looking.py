"""Looks at values from Python, which are refused while a compiled function is recorded."""

from __future__ import annotations

from typing import Any, NoReturn

from ..errors import TraceError, describe_site
from ..graph.node import Node, type_text
from ..ops.core import current

COMPILED = "computed inside a compiled function"
SWITCHED_OFF = "computed inside no_grad()"
WAYS_BACK = {
    COMPILED: "call backward() in the compiled function",
    SWITCHED_OFF: "compute the loss outside of no_grad()",
}
"""What cut the way from a loss to its parameters -> what to do about it."""
LEAKED = "a value of a compiled function is used after the function was recorded"


def leaked(node: Node) -> TraceError:
    """The error for a value that left the function by a side door."""
    name = node.name if node.op is None else node.op.name
    return TraceError(
        LEAKED,
        expected="tensors that the function returned",
        got=f"{type_text(node)}, made by {name} at {describe_site(node.site)}",
        fix="return it from the compiled function",
    )


def kept_outside(node: Node) -> TraceError:
    """The error for a computed value that something outside holds on to."""
    name = node.name if node.op is None else node.op.name
    return TraceError(
        "a value that the compiled function computed was put into a list, a dict or an attribute: "
        "that would happen once, while it is recorded",
        expected="results that are returned, and tensors that are written in place",
        got=f"{type_text(node)}, made by {name} at {describe_site(node.site)}",
        fix="return it, or target.copy_(value) in place of a new tensor",
        line=describe_site(node.site),
    )


def look(t: Any, what: str) -> Any:
    """A tensor's array, for those who read values in Python: not while a function is recorded."""
    trace = current.trace
    if trace is not None:
        return trace.refuse(t, what)
    value = t._value
    if isinstance(value, Node):
        raise leaked(value)
    return value


def no_trace(what: str, fix: str) -> None:
    """Raises while a compiled function is recorded."""
    if current.trace is not None:
        _refuse_act(what, fix)


def _refuse_act(what: str, fix: str) -> NoReturn:
    raise TraceError(
        f"{what}: this would happen once, while the compiled function is recorded, and not at "
        "every call",
        fix=fix,
    )
