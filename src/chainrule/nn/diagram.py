"""The computation graph of a loss: modules and the ops between them, with what flows through.

record:  every op of one run, and the call of a module that it belongs to
fold:    one node a call of an innermost module; of deeper modules as few as fit the picture
edges:   tensors that go from one node to another, each with its gradient
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError
from ..markup import number
from ..ops.core import current
from ..tensor.autograd import enable_grad, grad
from ..tensor.core import Tensor, wrap
from ..tensor.looking import no_trace
from ..tensor.random import get_rng_state, set_rng_state
from .module import Module
from .summary import copied, run_as, tensors_in

SCHEMA = "chainrule diagram 1"
MOST_NODES = 40
"""Beyond it modules are folded into those that hold them."""

STEPS = ("module", "op")
"""Kinds of nodes that can be folded."""


@dataclass
class Node:
    """An input, a call of a module, or an op outside of modules.

    kind: 'input', 'module', 'op' or 'loss'.  parameters: numbers in its parameters.
    """

    label: str
    kind: str
    type: str
    parameters: int = 0


@dataclass
class Edge:
    """A tensor that goes from a node to another.

    value, gradient: the number where there is one, else the norm; None where not computed.
    """

    source: int
    target: int
    shape: list[int]
    value: float | None
    gradient: float | None


@dataclass
class Diagram:
    """Nodes in the order in which they ran, and the edges between them."""

    model: str
    nodes: list[Node]
    edges: list[Edge]
    folded: int

    def as_data(self) -> dict[str, Any]:
        """For JSON; what is not finite is a text."""
        edges = [
            {k: _plain(v) if k in ("value", "gradient") else v for k, v in asdict(e).items()}
            for e in self.edges
        ]
        return {"schema": SCHEMA, "model": self.model, "folded": self.folded,
                "nodes": [asdict(n) for n in self.nodes], "edges": edges}  # fmt: skip

    def __str__(self) -> str:
        lines = []
        for i, node in enumerate(self.nodes):
            count = f", {node.parameters:,} parameters" if node.parameters else ""
            lines.append(f"{i}  {node.label}  {node.type}{count}".rstrip())
            lines += [
                f"     from {e.source} {self.nodes[e.source].label}: {said(e)}"
                for e in self.edges
                if e.target == i
            ]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from .drawing import diagram_html

        return diagram_html(self)


def said(edge: Edge) -> str:
    """What flows along an edge, in words."""
    shape = f"({', '.join(map(str, edge.shape))}{',' if len(edge.shape) == 1 else ''})"
    one = math.prod(edge.shape) == 1
    return (
        f"{shape}, {'value' if one else 'norm'} {known(edge.value)}, "
        f"gradient {known(edge.gradient)}"
    )


def known(v: float | None) -> str:
    """A number of an edge, where there is one."""
    return "not computed" if v is None else number(v)


def _plain(v: float | None) -> Any:
    return v if v is None or math.isfinite(v) else str(v)


def diagram(model: Module, input: Any, target: Any = None, loss: Any = None) -> Diagram:
    """The computation graph of loss(model(input), target), with values and gradients on its edges.

    input: a Tensor, or a tuple or list of them.  loss: a module or function of output and target,
    and None for the model alone: then gradients are not computed.  The model runs once, as a copy
    in evaluation mode; nothing of it is changed.  Each node is a call of an innermost module, or
    an op outside of those; above 40 nodes, modules are folded into those that hold them.

    `print(...)` is a tree as text, a notebook shows a picture, `.as_data()` is for JSON.  PyTorch
    has no such function; the packages torchview and torchviz draw such graphs, without gradients.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(2, 1, bias=False))
    >>> model.load_state_dict({"0.weight": chainrule.tensor([[0.5, 2.0]])}) and None
    >>> x, y = chainrule.tensor([[1.0, 1.0]]), chainrule.tensor([[2.0]])
    >>> chainrule.diagram(model, x, y, nn.MSELoss())
    0  input
    1  target
    2  0  Linear, 2 parameters
         from 0 input: (1, 2), norm 1.414, gradient 2.062
    3  loss  MSELoss
         from 2 0: (1, 1), value 2.5, gradient 1
         from 1 target: (1, 1), value 2, gradient not computed
    4  result
         from 3 loss: (), value 0.25, gradient 1
    """
    if not isinstance(model, Module):
        raise ArgumentTypeError("diagram: needs a Module", got=type(model).__name__)
    if loss is None and target is not None:
        raise ArgumentError("diagram: a target is for a loss", expected="loss=nn.MSELoss()")
    no_trace("diagram", "call it outside the compiled function")
    given = list(input) if isinstance(input, (tuple, list)) else [input]
    record = _Record(copied("diagram", model), loss)
    record.run(given, target)
    return record.diagram(type(model).__name__)


class _Record:
    """The ops of one run, each with the call that it belongs to."""

    def __init__(self, twin: Module, loss: Any) -> None:
        self.twin, self.loss = twin, loss
        self.paths = {id(m): p for p, m in twin.named_modules()}
        self.calls: list[tuple[str, str, str, Any]] = []  # path, kind, type, module
        self.open: list[int] = []  # calls of innermost modules that are running
        self.maker: dict[int, int] = {}  # tensor -> the call that made it
        self.held: list[Tensor] = []  # so that no id is used twice
        self.flows: dict[tuple[int, int], Tensor] = {}  # (call, tensor) -> the tensor
        self.gradients: dict[int, Any] = {}
        self.in_loss = False

    # ------------------------------------------------------------ running

    def run(self, given: list[Any], target: Any) -> None:
        """Runs model and loss, then backward."""
        inputs = [self._input(v, n, len(given)) for n, v in enumerate(given)]
        wanted = None if target is None else self._input(target, -1, 1)
        for module in self.twin.modules():
            if not any(True for _ in module.children()):
                module.register_forward_pre_hook(self._enter)
                module.register_forward_hook(self._leave)
        state = get_rng_state()
        try:
            with enable_grad(), self._watching():
                out = run_as("diagram", lambda: self.twin.eval()(*inputs))
                if self.loss is not None:
                    self.in_loss = True
                    self.calls.append(("loss", "loss", _type(self.loss), None))
                    self.open = [len(self.calls) - 1]
                    out = run_as("diagram", lambda: self.loss(out, wanted))
        finally:
            set_rng_state(state)
        self._end(out)

    def _input(self, value: Any, n: int, count: int) -> Any:
        """An input as a tensor of its own, whose gradient is wanted where it has one."""
        if not isinstance(value, (Tensor, np.ndarray)):
            return value
        array = np.array(value.detach() if isinstance(value, Tensor) else value)
        t = wrap(array)
        if n >= 0 and array.dtype.kind == "f":
            t.requires_grad_()
        name = "target" if n < 0 else "input" if count == 1 else f"input {n + 1}"
        self.calls.append((name, "input", "", None))
        self._made(t, len(self.calls) - 1)
        return t

    def _enter(self, module: Module, args: Any) -> None:
        self.calls.append((self.paths[id(module)] or "the model", "module",
                           type(module).__name__, module))  # fmt: skip
        self.open.append(len(self.calls) - 1)

    def _leave(self, module: Module, args: Any, output: Any) -> None:
        self.open.pop()

    @contextmanager
    def _watching(self) -> Iterator[None]:
        outer = current.interpreter

        def watched(op: Any, inputs: Any, params: Any) -> Any:
            y = outer(op, inputs, params)
            if self.open:
                call = self.open[-1]
            else:
                path = self.paths.get(id(current.module), "")
                self.calls.append((path, "op", op.name, None))
                call = len(self.calls) - 1
            for x in inputs:
                if isinstance(x, Tensor) and self.maker.get(id(x), call) != call:
                    self.flows[call, id(x)] = x
            self._made(y, call)
            return y

        current.interpreter = watched
        try:
            yield
        finally:
            current.interpreter = outer

    def _made(self, t: Tensor, call: int) -> None:
        self.maker[id(t)] = call
        self.held.append(t)

    def _end(self, out: Any) -> None:
        """The result as a node, and the gradients of what flows."""
        results = [t for t in tensors_in(out) if id(t) in self.maker]
        self.calls.append(("result", "input", "", None))
        for t in results:
            self.flows[len(self.calls) - 1, id(t)] = t
        scalar = self.loss is not None and len(results) == 1 and results[0].numel() == 1
        flowing = {i: t for (_, i), t in self.flows.items() if t.requires_grad}
        if scalar and flowing and results[0].requires_grad:
            found = grad(results[0].reshape(()), list(flowing.values()), allow_unused=True)
            self.gradients = dict(zip(flowing, found, strict=True))

    # ------------------------------------------------------------ folding

    def diagram(self, name: str) -> Diagram:
        """Nodes and edges, folded until they are few enough."""
        depth = deepest = max((c[0].count(".") + 1 for c in self.calls), default=1)
        groups = list(range(len(self.calls)))
        while depth > 0 and len(set(groups)) > MOST_NODES:
            groups = self._folded(depth)
            depth -= 1
        few = MOST_NODES - sum(kind not in STEPS for _, kind, _, _ in self.calls)
        while few > 0 and len(set(groups)) > MOST_NODES:  # neighbours, though nothing holds them
            groups = self._in_stretches(groups, -(-len(set(groups)) // few))
        return self._drawn(name, groups, deepest - depth)

    def _in_stretches(self, groups: list[int], length: int) -> list[int]:
        """Groups of so many neighbouring groups."""
        found: dict[int, int] = {}
        first, count = -1, length
        for g in dict.fromkeys(groups):
            if self.calls[g][1] not in STEPS or count >= length:
                first, count = g, 0
            found[g] = first
            count = length if self.calls[g][1] not in STEPS else count + 1
        return [found[g] for g in groups]

    def _folded(self, depth: int) -> list[int]:
        """For each call the first of those that are one with it: neighbours below one module."""
        groups: list[int] = []
        for i, (path, kind, _, _) in enumerate(self.calls):
            head = ".".join(path.split(".")[:depth])
            before = self.calls[i - 1] if i else ("", "input", "", None)
            same = (
                kind in STEPS and before[1] in STEPS
                and ".".join(before[0].split(".")[:depth]) == head
            )  # fmt: skip
            groups.append(groups[-1] if same else i)
        return groups

    def _drawn(self, name: str, groups: list[int], folded: int) -> Diagram:
        place = {g: i for i, g in enumerate(dict.fromkeys(groups))}
        nodes = [self._node(g, [i for i, x in enumerate(groups) if x == g]) for g in place]
        edges: dict[tuple[int, int], Edge] = {}
        for (call, i), t in self.flows.items():
            source, target = place[groups[self.maker[i]]], place[groups[call]]
            if source != target:
                edges.setdefault((i, target), Edge(
                    source, target, list(t.shape), _size(t.detach().numpy()),
                    _size(g.detach().numpy()) if (g := self.gradients.get(i)) is not None else None,
                ))  # fmt: skip
        return Diagram(name, nodes, list(edges.values()), folded)

    def _node(self, first: int, members: list[int]) -> Node:
        path, kind, kind_name, module = self.calls[first]
        if len(members) == 1:
            count = 0 if module is None else sum(p.numel() for p in module.parameters())
            label = f"{path}: {kind_name}" if kind == "op" and path else path or kind_name
            return Node(label, kind, "" if kind == "op" else kind_name, count)
        modules = {id(m): m for i in members if (m := self.calls[i][3]) is not None}
        held = {id(p): p.numel() for m in modules.values() for p in m.parameters()}
        paths = [self.calls[i][0].split(".") for i in members]
        shared = []
        for parts in zip(*paths, strict=False):
            if len(set(parts)) > 1 or not parts[0]:
                break
            shared.append(parts[0])
        ends = [p[0] or "the model" for p in (paths[0], paths[-1])]
        label = ".".join(shared) or (ends[0] if ends[0] == ends[1] else " to ".join(ends))
        return Node(label, "module", f"{len(members)} steps", sum(held.values()))


def _type(loss: Any) -> str:
    return type(loss).__name__ if isinstance(loss, Module) else getattr(loss, "__name__", "loss")


def _size(a: Any) -> float | None:
    """One number as it is, else the norm."""
    if not a.size:
        return None
    flat = np.asarray(a, np.float64).ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        return float(flat[0]) if a.size == 1 else float(np.sqrt((flat * flat).sum()))
