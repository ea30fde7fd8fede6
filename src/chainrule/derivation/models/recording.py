"""A loss of the user's as a program, with what its inputs hold; nothing of the user's is touched.

A function is run once on nodes, as a compiled function is, and everything that this has done is
undone.  The gradients that the user's own `backward()` gives belong to the program: they are in
the user's dtype, by the reference path, one op of NumPy after the other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ... import ops
from ...errors import ArgumentTypeError, GradError
from ...grad import Leaf, gradients
from ...graph import Graph, Node, run
from ...graph.trace import Recorder
from ...jit.variables import Variables
from ...nn import Module
from ...nn.recorded import Modules
from ...ops.core import Op, Params, current, interpret, quietly
from ...tensor.autograd import _require_history, enable_grad, grad
from ...tensor.core import Tensor, wrap
from ...tensor.interpreter import apply_traced
from ...tensor.random import Draws
from ...tensor.tracing import Trace


@dataclass
class Recording:
    """A program whose first output is the loss.

    arrays: what each input holds, copied.  leaves: name -> input whose gradient is wanted.
    tensors: name -> the user's tensor.  loss: what the user's run gives.  backward: name -> what
    its backward() gives.  modules: line -> the innermost layer that made it.  paths: layer -> its
    name.
    """

    graph: Graph
    arrays: list[Any]
    leaves: dict[str, Node]
    tensors: dict[str, Tensor]
    loss: Any
    backward: dict[str, Any]
    modules: dict[Node, Any] = field(default_factory=dict)
    paths: dict[Any, str] = field(default_factory=dict)


class Cutting:
    """What an op call means here: as in a compiled function, but what no gradient flows through,
    by detach() or no_grad(), is cut off in the program too."""

    def __init__(self, trace: Trace, recorder: Recorder) -> None:
        self.trace, self.recorder = trace, recorder
        self.known: dict[Node, Tensor] = {}

    def __call__(self, op: Op, inputs: Sequence[Any], params: Params) -> Tensor:
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        tracked = any(x._node_now() is not None for x in tensors)
        if tracked and current.grad_enabled and len(tensors) > 1:
            inputs = [self.cut(x) if isinstance(x, Tensor) else x for x in inputs]
        return apply_traced(op, inputs, params)

    def cut(self, x: Tensor) -> Tensor:
        """A tensor that meets others in whose gradients it has no part, as a constant."""
        if x._node_now() is not None or x.dtype.kind != "f":
            return x
        node = self.trace.value(x)
        if node not in self.known:
            self.known[node] = wrap(self.recorder(ops.detach, (node,), {}))
        return self.known[node]


@contextmanager
def undone(trace: Trace) -> Iterator[Recorder]:
    """Within the block ops are written down; after it everything is as it was before."""
    state = current
    outer = (
        state.trace, state.compute, state.interpreter, state.tensors, state.grad_enabled,
        state.module,
    )  # fmt: skip
    recorder = trace.recorder = Recorder()
    state.trace, state.compute = trace, recorder
    state.interpreter = state.tensors = Cutting(trace, recorder)
    state.module = None
    try:
        with quietly():
            yield recorder
    finally:
        for part in list(trace.parts.values()):
            if hasattr(part, "restore"):
                part.restore()
        for undo in reversed(trace.undo):
            undo()
        trace.restore()
        (
            state.trace, state.compute, state.interpreter, state.tensors, state.grad_enabled,
            state.module,
        ) = outer  # fmt: skip


def record(function: Callable[[], Any], named: dict[str, Tensor], paths: dict[Any, str]
           ) -> Recording:  # fmt: skip
    """What a function without arguments computes.

    named: tensors by the names that they go by; others are found in the layers that are called.
    """
    needed = _needed(function)
    if needed:
        raise ArgumentTypeError(
            "explain: the function that gives the loss is called without arguments",
            got=f"it needs {', '.join(needed)}",
            fix="explain(lambda: loss_fn(model(x), y), ...)",
        )
    trace = Trace()
    trace.names.update({t: n for n, t in named.items()})
    with undone(trace) as recorder, enable_grad():
        trace.parts[Variables] = Variables(function, (), {}, [], trace)
        loss = checked(function())
        inputs = {t: place.node for t, place in trace.places.items() if type(t._node) is Leaf
                  and trace.existed(t) and not place.chain}  # fmt: skip
        tensors = [t for t, node in inputs.items() if place_is_start(trace, t)]
        outputs = [trace.value(loss), *_backward(trace, loss, tensors)]
        names = unique([trace.names.get(t, "") for t in tensors])
        leaves, kept = {}, {}
        for name, t in zip(names, tensors, strict=True):
            memory = trace.places[t].memory
            assert memory.start is not None
            leaves[name], kept[name] = memory.start, t
        graph = _pruned(recorder.nodes, list(trace.inputs), outputs, list(leaves.values()))
        for name, node in leaves.items():
            node.name = name
        arrays = [_array(trace.inputs[node].source, node) for node in graph.inputs]
        modules = trace.parts.get(Modules)
        for module in modules.held if modules is not None else ():
            add_paths(paths, module)
        made = [(r, trace.value(x)) for r in trace.made if (x := r()) is not None]
        del loss, x
    for held in (trace.places, trace.loose, trace.torn, trace.replaced, trace.consumed):
        held.clear()
    _fill(made, recorder, trace)
    outcome, *gradients = run(graph, *[a.copy() for a in arrays])
    backward = {n: g for n, g, x in zip(leaves, gradients, outputs[1:], strict=True)
                if x is not None}  # fmt: skip
    return Recording(graph, arrays, leaves, kept, outcome, backward,
                     {n: n.module for n in recorder.nodes}, paths)  # fmt: skip


def _fill(made: list[Any], recorder: Recorder, trace: Trace) -> None:
    """Gives a value to tensors that the function has put somewhere, such as into a list: they are
    what a call would have left there."""
    alive = [(t, node) for r, node in made if (t := r()) is not None]
    if alive:
        nodes = [node for _, node in alive]
        graph = _pruned(recorder.nodes, list(trace.inputs), nodes, [])
        arrays = [_array(trace.inputs[n].source, n) for n in graph.inputs]
        for (t, _), value in zip(alive, run(graph, *arrays), strict=True):
            t._value, t._node, t._base, t._chain = value, None, None, ()


def _backward(trace: Trace, loss: Tensor, tensors: list[Tensor]) -> list[Any]:
    """What backward() makes of the loss; of one that has gone backward, and been stepped, already,
    the same sweep over what was recorded."""
    _require_history(loss, "explain")
    try:
        found = grad(loss, tensors, retain_graph=True, allow_unused=True) if tensors else ()
    except GradError:
        starts = [trace.places[t].memory.start for t in tensors]
        with interpret(trace.recorder):
            return list(gradients(trace.value(loss), [n for n in starts if n is not None]))
    return [None if g is None else trace.value(g) for g in found]


def place_is_start(trace: Trace, t: Tensor) -> bool:
    """Whether a tensor is an input of the program, as a whole."""
    return trace.places[t].memory.start is not None


def _needed(function: Callable[..., Any]) -> list[str]:
    """The arguments that a function can't do without."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in kinds]


def checked(loss: Any) -> Tensor:
    """A loss, if it is one number."""
    if not isinstance(loss, Tensor):
        raise ArgumentTypeError(
            "explain: the function must return the loss", expected="a Tensor of one element",
            got=type(loss).__name__,
        )  # fmt: skip
    if loss.numel() != 1:
        raise GradError(
            "explain: a loss is one number", got=f"a tensor of shape {loss.shape}",
            fix=".mean() or .sum() of it",
        )  # fmt: skip
    return loss


def unique(names: list[str]) -> list[str]:
    """Every name once; tensors without a name are numbered."""
    found: list[str] = []
    for i, name in enumerate(names):
        name = name or f"tensor{i}"
        while name in found:
            name += "'"
        found.append(name)
    return found


def add_paths(paths: dict[Any, str], module: Module) -> None:
    """The names of a layer and of all in it, unless a layer around it has given them."""
    if module in paths:
        return
    taken = set(paths.values())
    for path, inner in module.named_modules():
        if path in taken and path:
            path = f"{type(module).__name__}.{path}"
        paths.setdefault(inner, path)


def _pruned(nodes: list[Node], inputs: list[Node], outputs: list[Any], leaves: list[Node]) -> Graph:
    """The program without what nothing depends on; leaves stay."""
    needed: set[Node] = set(leaves)
    stack = [x for x in outputs if isinstance(x, Node)]
    while stack:
        node = stack.pop()
        if node not in needed or node in leaves:
            needed.add(node)
            stack.extend(x for x in node.inputs if isinstance(x, Node) and x not in needed)
    return Graph([n for n in inputs if n in needed], [n for n in nodes if n in needed], outputs)


def _array(source: Any, node: Node) -> Any:
    """What an input holds now, as a copy."""
    if isinstance(source, Tensor):
        return source._value.copy()
    if isinstance(source, np.ndarray):
        return source.copy()
    if isinstance(source, Draws):
        return source.generator.state._value.copy()
    tensor = getattr(source, "tensor", None)
    if isinstance(tensor, Tensor) and tensor._grad is not None:
        return tensor._grad._value.copy()
    raise GradError(
        "explain: the loss depends on what an optimizer has done within the function",
        got=f"{node.name}", fix="leave step() out: return the loss only",
    )  # fmt: skip
