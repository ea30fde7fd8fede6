"""What an op call means for Tensors: compute, and record if a gradient will be wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import ref

import numpy as np

from ..errors import ArgumentTypeError, ChainruleError, GradError, describe_site, user_site
from ..grad import Node, clock
from ..graph.node import Node as GraphNode
from ..graph.trace import is_weak
from ..ops import REGISTRY
from ..ops.core import NUMBERS, Op, Params, State, current, quietly
from .core import LaidOut, Tensor, saved
from .looking import COMPILED, leaked
from .memory import does_not_fit

_RESHAPE, _WINDOWS = REGISTRY["reshape"], REGISTRY["windows"]
_PLACED = frozenset(REGISTRY[name] for name in (
    "reshape", "permute", "expand", "slice", "flip", "pad", "windows"))  # fmt: skip
"""Ops of one tensor that compute nothing: each number of the result is one of it, or 0."""
MOST_REMEMBERED = 6


def apply(op: Op, inputs: Sequence[Any], params: Params) -> Tensor:
    """What an op call means for Tensors: compute, and record if a gradient will be wanted."""
    state: State = current
    values = []
    tracked = fixed = False
    lost = None
    for x in inputs:
        if isinstance(x, Tensor):
            values.append(x._value)
            if (x._node if x._base is None else x._node_now()) is not None:
                tracked = True
            else:
                fixed = True
                if x._lost is not None:
                    lost = x._lost
        elif type(x) in NUMBERS:
            values.append(x)
            fixed = True
        else:
            return apply(op, [_plain(op, x) for x in inputs], params)
    if op.pointwise and not op.fits(values):
        return apply(op, op.align(inputs), params)
    try:
        if state.quiet or not op.warns:
            y = op.forward(*values, **params)
        else:
            with quietly():
                y = op.forward(*values, **params)
    except Exception as error:
        raise _explained(error, op, values, params) from error.__cause__
    out = Tensor.__new__(Tensor)
    out._value = y = y if type(y) is np.ndarray else np.asarray(y)
    if op.view and _shares_memory(op, y, values[0]):
        out._as_view(inputs[0], op, params)
    if tracked and op.differentiable and state.grad_enabled and y.dtype.kind == "f":
        if lost is not None and lost[0] is COMPILED:
            raise _half_lost(lost)
        edges = tuple([x._node if isinstance(x, Tensor) else None for x in inputs])
        keeps = op.keeps[op.mask_of(edges)]
        if keeps.everything:
            kept: tuple[Any, ...] = tuple(inputs)
        elif keeps.nothing:
            kept = (None,) * len(edges)
        else:
            kept = tuple([saved(x, k) for x, k in zip(inputs, keeps.inputs, strict=False)])
        cell = out._shared_cell() if keeps.y else None
        out._node = node = Node(
            op, kept, params, edges, state.module, keeps.values, y if keeps.y else None, cell
        )
        if fixed:
            if len(edges) == 2:  # most ops by far, and worth half a microsecond
                a, b = edges
                node.constants = (None if a else inputs[0], None if b else inputs[1])
            else:
                node.constants = tuple(
                    [None if e else x for e, x in zip(edges, inputs, strict=True)]
                )
    elif tracked or lost is not None:
        carries = op.differentiable and state.grad_enabled and y.dtype.kind == "f"
        if lost is None or (lost[0] is COMPILED and not carries):
            lost = (_loss(op), user_site(2)) if state.grad_enabled else state.switched_off
        out._lost = lost
    elif op in _PLACED and (state.module is not None or op is _WINDOWS):
        _remember(out, op, inputs, params)
    return out


def _remember(out: Tensor, op: Op, inputs: Sequence[Any], params: Params) -> None:
    """How a layer has laid out what it was given, so that an explanation can name the user's own
    tensor; not without end, as a tensor that is remembered is kept."""
    x = inputs[0]
    depth = 1 if x._laid_out is None else x._laid_out.depth + 1
    if depth <= MOST_REMEMBERED:
        out._laid_out = LaidOut(x, op, params, next(clock), depth)


def apply_traced(op: Op, inputs: Sequence[Any], params: Params) -> Tensor:
    """`apply` while a compiled function is recorded: the values are nodes of the program."""
    state: State = current
    trace = state.trace
    inputs = [_plain(op, x) for x in inputs]
    weak = is_weak(op, inputs)
    if op.pointwise:
        inputs = op.align(inputs)
    values = []
    tracked = False
    lost = None
    for x in inputs:
        if not isinstance(x, Tensor):
            values.append(x)
            continue
        values.append(trace.value(x))
        node = x._node_now()
        if node is not None:
            tracked = True
            if type(node) is Node and state.grad_enabled:
                trace.check_history(x)
        elif x._lost is not None:
            lost = x._lost
    trace.admit(op, inputs, values, params)
    y = state.compute(op, values, params)
    y.weak = weak
    out = Tensor.__new__(Tensor)
    out._value = y
    trace.made.append(ref(out))
    if op.view and (op is not _RESHAPE or trace.reshapes_in_place(inputs[0], y.shape)):
        out._as_view(inputs[0], op, params)
        trace.alias(out, inputs[0], ((op, params),), y)
    if tracked and op.differentiable and state.grad_enabled and y.dtype.kind == "f":
        edges = tuple([x._node if isinstance(x, Tensor) else None for x in inputs])
        keeps = op.keeps[op.mask_of(edges)]
        kept = tuple([saved(x, k) for x, k in zip(inputs, keeps.inputs, strict=False)])
        cell = out._shared_cell() if keeps.y else None
        out._node = Node(
            op, kept, params, edges, state.module, keeps.values, y if keeps.y else None, cell
        )
    elif tracked or lost is not None:
        if lost is None:
            lost = (_loss(op), user_site(2)) if state.grad_enabled else state.switched_off
        out._lost = lost
    return out


def _half_lost(lost: tuple[str, Any]) -> GradError:
    """The error for a compiled function's result that meets what a gradient flows through."""
    return GradError(
        "the result of a compiled function has no history outside: no gradient would flow through",
        expected="one compiled function that computes the whole loss and calls backward()",
        got=f"{lost[0]} at {describe_site(lost[1])}",
        fix="move this into the compiled function, or take .detach() of the result as a constant",
    )


def _loss(op: Op) -> str:
    """Why the result of an op on tracked tensors is not tracked, although ops are recorded."""
    return "cast to whole numbers" if op.differentiable else f"{op.name} has no derivative"


def _explained(error: Exception, op: Op, values: list[Any], params: Params) -> Exception:
    """The op's own words where NumPy only says that it can't."""
    for v in values:
        if isinstance(v, GraphNode):
            return leaked(v)
    if isinstance(error, ChainruleError):
        return error
    if isinstance(error, MemoryError):
        return does_not_fit(op.name, op.spec(*values, **params), values)
    try:
        op.spec(*values, **params)
    except ChainruleError as explained:
        return explained
    return error


def _shares_memory(op: Op, y: Any, x: Any) -> bool:
    if op is not _RESHAPE:
        return True
    return y is x or y.base is x or (x.base is not None and y.base is x.base)


def _plain(op: Op, x: Any) -> Any:
    """A Tensor as it is, and every kind of number, NumPy's too, as a Python number."""
    if isinstance(x, Tensor) or type(x) in NUMBERS:
        return x
    if isinstance(x, np.generic) and x.dtype.kind in "fiub":
        return x.item()
    for kind in (bool, int, float):
        if isinstance(x, kind):
            return kind(x)
    raise ArgumentTypeError(
        f"{op.name}: works on Tensors and Python numbers",
        expected="a Tensor",
        got=type(x).__name__,
        fix="chainrule.tensor(x)",
    )


State.interpreter = State.tensors = staticmethod(apply)
