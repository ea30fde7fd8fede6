"""Recording: the function runs once on nodes, and what it did becomes a Program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..errors import TraceError, describe_site, user_site
from ..grad import Leaf
from ..graph.node import Graph, Node
from ..ops import logical_and, where
from ..ops.core import current, interpret, quietly
from ..tensor.core import Tensor, wrap
from ..tensor.interpreter import apply_traced
from ..tensor.looking import COMPILED
from ..tensor.placing import Memory
from ..tensor.tracing import Trace
from .arguments import Call, rebuild, template
from .program import Effect, Program
from .variables import Variables

WORK: Any = 10_000  # how hard NumPy tries to find out whether two arrays overlap


def record(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], call: Call,
    static: frozenset[Any], names: list[str],
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
            given, named = _arguments(trace, args, kwargs, call, static, names)
            trace.parts[Variables] = Variables(function, args, kwargs, names, trace)
            result = function(*given, **named)
            program = _finish(trace, result, call)
            trace.restore()
            del given, named, result
            trace.close()
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
    trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any], call: Call,
    static: frozenset[Any], names: list[str],
) -> tuple[list[Any], dict[str, Any]]:  # fmt: skip
    """The arguments as the function gets them: numbers and arrays as Tensors."""
    places = iter(range(len(call.tensors)))
    counts = iter(range(len(call.numbers)))
    label = ""

    def tensor(x: Any) -> Tensor:
        i = next(places)
        if isinstance(x, Tensor):
            trace.arguments.setdefault(x, i)
            trace.names.setdefault(x, label)
            return x
        return wrap(trace.input(call.tensors[i], i, label))

    def number(x: Any) -> Tensor:
        like = np.zeros((), np.float64 if type(x) is float else np.int64)
        return wrap(trace.input(like, Number(next(counts)), label, weak=True))

    given = []
    for i, x in enumerate(args):
        label = names[i] if i < len(names) else f"argument {i}"
        given.append(x if i in static else rebuild(x, tensor, number))
    named = {}
    for label in sorted(kwargs):
        x = kwargs[label]
        named[label] = x if label in static else rebuild(x, tensor, number)
    return given, named


class Number:
    """The source of an input that is a Python number among the arguments."""

    def __init__(self, index: int) -> None:
        self.index = index


def _finish(trace: Trace, result: Any, call: Call) -> Program:
    """Everything that the function did, as a program."""
    trace.check_torn()
    trace.check_untouched()
    extra: list[tuple[Node, Node]] = []
    variables = trace.parts[Variables]
    for part in list(trace.parts.values()):
        if part is not variables:
            extra += part.finish(trace)
    variables.finish(trace)  # when the modules have put their buffers back
    outputs: list[Node] = []
    standing: list[str] = []
    build = template(result, lambda t: _returned(trace, t, outputs, standing))
    returned = len(outputs)
    effects = _effects(trace, outputs)
    memories = {id(p.memory): p.memory for p in trace.places.values()}
    written = [m for m in memories.values() if m.start is not None and m.node is not m.start]
    _check_apart(trace)
    updates = [(m.start, m.node) for m in written] + extra
    demanded = _demanded(trace, outputs)
    if demanded is not None:
        with interpret(trace.recorder):
            updates = [(x, where(demanded, new, x)) for x, new in updates if x is not None]
    graph = _pruned(trace, outputs, updates)
    program = Program(trace, graph, call, build, effects, [m.tensor for m in written])
    program.returned, program.standing = returned, standing
    return program


def _returned(
    trace: Trace, t: Tensor, outputs: list[Node], standing: list[str]
) -> Callable[[Any], Any]:
    """How a Tensor of the result is got at a call: one that went in comes out as it is.

    standing: gets the names of those.
    """
    place = trace.places.get(t)
    if trace.existed(t) and (place is None or not place.chain):
        standing.append(f"{trace.names.get(t, 'a tensor')} {t.shape}")
        index = trace.arguments.get(t)
        if index is not None:
            return lambda run: run.call.tensors[index]
        return lambda run: t
    outputs.append(trace.value(t))
    number = len(outputs) - 1
    if t._node_now() is None:
        return lambda run: wrap(run.outputs[number])
    lost = COMPILED, user_site(2)

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
        held = t if index is None else None
        leaf = type(t._node) is Leaf
        if leaf != (type(before.node) is Leaf) and type(t._node) in (Leaf, type(None)):
            effects.append(Effect(held, index, "leaf" if leaf else "constant", 0, None))
        if t not in trace.replaced or t._grad is before.grad is not None:
            continue
        grad = t._grad
        if grad is None:
            effects.append(Effect(held, index, "none", 0, None))
            continue
        place = trace.places.get(grad)
        if place is not None and place.memory.tensor is before.grad is not None:
            continue  # zeroed in place, and added to
        if t in trace.consumed and t not in trace.grads_read:
            effects.append(Effect(held, index, "used", 0, trace.consumed[t]))
            continue
        outputs.append(trace.value(grad))
        effects.append(Effect(held, index, "grad", len(outputs) - 1, None))
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


def _check_apart(trace: Trace) -> None:
    """Raises where memory that is written is also seen through another tensor."""
    places = trace.places.values()
    memories = {id(p.memory): p.memory for p in places if p.memory.tensor is not None}
    spans = []
    for m in memories.values():
        assert m.tensor is not None
        if m.tensor._value.size:
            spans.append((*byte_bounds(m.tensor._value), m))
    spans.sort(key=lambda span: span[0])
    reaching: list[tuple[int, Memory]] = []  # those that end behind the start of the next
    for start, end, m in spans:
        reaching = [(e, other) for e, other in reaching if e > start]
        for _, other in reaching:
            for one, two in ((m, other), (other, m)):
                if one.node is not one.start and _share(one, two):
                    raise TraceError(
                        "two tensors from outside share memory, and the compiled function writes "
                        "into one of them",
                        got=f"{_named(trace, one)} is written at {describe_site(one.site)}, and "
                        f"{_named(trace, two)} shows the same memory",
                        fix="use one of the two tensors only, or .clone() the other",
                    )
        reaching.append((end, m))


def _share(a: Memory, b: Memory) -> bool:
    assert a.tensor is not None
    assert b.tensor is not None
    try:
        return np.shares_memory(a.tensor._value, b.tensor._value, max_work=WORK)
    except np.exceptions.TooHardError:
        return True


def _named(trace: Trace, m: Memory) -> str:
    assert m.tensor is not None
    for t, place in trace.places.items():
        if place.memory is m and t in trace.older and t in trace.names:
            return f"{trace.names[t]} {t.shape}"
    return f"a tensor {m.tensor.shape}"


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
