"""Recording: the function runs once on nodes, and what it did becomes a Program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import TraceError, describe_site, user_site
from ..grad import Leaf
from ..graph.node import Graph, Node
from ..ops import logical_and, where
from ..ops.core import current, interpret, quietly
from ..tensor.core import Tensor, wrap
from ..tensor.interpreter import apply_traced
from ..tensor.tracing import Memory, Trace
from .arguments import Call, rebuild, template
from .program import Effect, Program
from .variables import Variables

WORK: Any = 10_000  # how hard NumPy tries to find out whether two arrays overlap


def record(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], call: Call,
    static: frozenset[Any],
) -> Program:  # fmt: skip
    """The program of a function for arguments like these.  After an error nothing has changed."""
    trace = Trace()
    state = current
    outer = (
        state.trace, state.compute, state.interpreter, state.tensors, state.grad_enabled,
        state.module,
    )  # fmt: skip
    state.trace, state.compute = trace, trace.recorder
    state.interpreter = state.tensors = apply_traced
    try:
        with quietly():
            trace.parts[Variables] = Variables(function, trace)
            given, named = _arguments(trace, args, kwargs, call, static)
            result = function(*given, **named)
            program = _finish(trace, result, call)
    except BaseException:
        for part in trace.parts.values():
            if hasattr(part, "restore"):
                part.restore()
        for undo in reversed(trace.undo):
            undo()
        raise
    finally:
        trace.restore()
        (
            state.trace, state.compute, state.interpreter, state.tensors, state.grad_enabled,
            state.module,
        ) = outer  # fmt: skip
    return program


def _arguments(
    trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], call: Call, static: frozenset[Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as the function gets them: numbers and arrays as Tensors."""
    places = iter(range(len(call.tensors)))
    counts = iter(range(len(call.numbers)))

    def tensor(x: Any) -> Tensor:
        i = next(places)
        if isinstance(x, Tensor):
            trace.arguments.setdefault(x, i)
            return x
        return wrap(trace.input(call.tensors[i], i, f"argument_{i}"))

    def number(x: Any) -> Tensor:
        i = next(counts)
        like = np.zeros((), np.float64 if type(x) is float else np.int64)
        return wrap(trace.input(like, Number(i), f"number_{i}", weak=True))

    given = [x if i in static else rebuild(x, tensor, number) for i, x in enumerate(args)]
    named = {}
    for name in sorted(kwargs):
        x = kwargs[name]
        named[name] = x if name in static else rebuild(x, tensor, number)
    return given, named


class Number:
    """The source of an input that is a Python number among the arguments."""

    def __init__(self, index: int) -> None:
        self.index = index


def _finish(trace: Trace, result: Any, call: Call) -> Program:
    """Everything that the function did, as a program."""
    extra: list[tuple[Node, Node]] = []
    for part in list(trace.parts.values()):
        extra += part.finish(trace)
    outputs: list[Node] = []
    build = template(result, lambda t: _returned(trace, t, outputs))
    effects = _effects(trace, outputs)
    memories = {id(p.memory): p.memory for p in trace.places.values()}
    written = [m for m in memories.values() if m.start is not None and m.node is not m.start]
    _check_apart(trace, written)
    updates = [(m.start, m.node) for m in written] + extra
    demanded = _demanded(trace, outputs)
    if demanded is not None:
        with interpret(trace.recorder):
            updates = [(x, where(demanded, new, x)) for x, new in updates if x is not None]
    graph = _pruned(trace, outputs, updates)
    return Program(trace, graph, call, build, effects, [m.tensor for m in written])


def _returned(trace: Trace, t: Tensor, outputs: list[Node]) -> Callable[[Any], Any]:
    """How a Tensor of the result is got at a call: one that went in comes out as it is."""
    place = trace.places.get(t)
    if trace.existed(t) and (place is None or not place.chain):
        index = trace.arguments.get(t)
        if index is not None:
            return lambda run: run.call.tensors[index]
        return lambda run: t
    outputs.append(trace.value(t))
    number = len(outputs) - 1
    if t._node_now() is None:
        return lambda run: wrap(run.outputs[number])
    lost = "computed inside a compiled function", user_site(2)

    def cut(run: Any) -> Tensor:
        out = wrap(run.outputs[number])
        out._lost = lost
        return out

    return cut


def _effects(trace: Trace, outputs: list[Node]) -> list[Effect]:
    """What is done to the user's tensors after each call: gradients set, kept or used up."""
    effects = []
    for t, before in trace.held.items():
        index = trace.arguments.get(t)
        leaf = type(t._node) is Leaf
        if leaf != (type(before.node) is Leaf) and type(t._node) in (Leaf, type(None)):
            effects.append(Effect(t, index, "leaf" if leaf else "constant", 0, None))
        if t not in trace.replaced or t._grad is before.grad is not None:
            continue
        grad = t._grad
        if grad is None:
            effects.append(Effect(t, index, "none", 0, None))
            continue
        place = trace.places.get(grad)
        if place is not None and place.memory.tensor is before.grad is not None:
            continue  # zeroed in place, and added to
        if t in trace.consumed and t not in trace.grads_read:
            effects.append(Effect(t, index, "used", 0, trace.consumed[t]))
            continue
        outputs.append(trace.value(grad))
        effects.append(Effect(t, index, "grad", len(outputs) - 1, None))
    return effects


def _demanded(trace: Trace, outputs: list[Node]) -> Node | None:
    """Adds the outputs by which conditions are examined; gives the condition for any update."""
    together: Node | None = None
    for demand in trace.demands:
        outputs.append(demand.holds)
        if demand.value is not None:
            outputs.append(demand.value)
        with interpret(trace.recorder):
            together = demand.holds if together is None else logical_and(together, demand.holds)
    return together


def _check_apart(trace: Trace, written: list[Memory]) -> None:
    """Raises where memory that is written is also seen through another tensor."""
    memories = {
        id(p.memory): p.memory for p in trace.places.values() if p.memory.tensor is not None
    }
    for m in written:
        assert m.tensor is not None
        for other in memories.values():
            assert other.tensor is not None
            if other is m or not np.may_share_memory(m.tensor._value, other.tensor._value):
                continue
            try:
                shared = np.shares_memory(m.tensor._value, other.tensor._value, max_work=WORK)
            except np.exceptions.TooHardError:
                shared = True
            if shared:
                raise TraceError(
                    "two tensors from outside share memory, and the compiled function writes into "
                    "one of them",
                    got=f"{_named(trace, m)} is written at {describe_site(m.site)}, and "
                    f"{_named(trace, other)} shows the same memory",
                    fix="use one of the two tensors only, or .clone() the other",
                )


def _named(trace: Trace, m: Memory) -> str:
    assert m.tensor is not None
    name = trace.names.get(m.tensor)
    if name is None and m.tensor in trace.arguments:
        name = f"argument {trace.arguments[m.tensor]}"
    return f"{name or 'a tensor'} {m.tensor.shape}"


def _pruned(trace: Trace, outputs: list[Node], updates: list[Any]) -> Graph:
    """The program without what nothing depends on."""
    needed: set[Node] = set()
    stack: list[Any] = [*outputs, *(v for _, v in updates), *(x for x, _ in updates)]
    while stack:
        node = stack.pop()
        if isinstance(node, Node) and node not in needed:
            needed.add(node)
            stack.extend(node.inputs)
    nodes = [n for n in trace.recorder.nodes if n in needed]
    inputs = [n for n in trace.inputs if n in needed]
    return Graph(inputs, nodes, outputs, updates)
