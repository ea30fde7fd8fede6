"""A recorded loss in float64, with the gradient of every value on the way to it.

What was drawn at random stays as it was drawn, in the user's dtype: a dropout mask is given, not
explained.  Everything else is computed afresh from the inputs, so that no rounded number is used.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from ... import dtypes, ops
from ...errors import ArgumentError, some_names
from ...grad import gradients
from ...graph import Graph, Node, run, trace
from ...ops.core import Spec, quietly
from ..elements import Elements, Place
from ..forms import DRAWN, Form, Forming, Rest, Sum, shortened
from .cancelled import Cancelled
from .labels import Labels
from .recording import Recording

LONG = 1000
"""Of a sum with so many terms or more, only the largest are written as formulas."""


class Program:
    """Values and gradients by line, in float64.

    graph: all of it, spelled out.  loss: its line.  leaves: name -> input.  forward: the lines that
    lead to the loss, in order.  gradient: a line of those -> the line of its gradient.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.arrays = list(map(_wide, recording.arrays))
        self.lines: list[Node] = []  # of the recording, as the outputs of the new program name them
        graph = trace(self._replay, *self._specs(), names=self._names())
        with quietly():
            self.elements = Elements(graph, [*self.arrays, *self.drawn.values()])
        self._take(self.elements.graph)
        self.adopted: list[Elements] = []
        self.labels = Labels(self)
        self.cancelled = Cancelled(self)
        self.forming = Forming(self._inside, self.elements.value)

    # ------------------------------------------------------------ recording again

    @cached_property
    def drawn(self) -> dict[Node, Any]:
        """What random lines gave, by line: computed from their own inputs."""
        graph = self.recording.graph
        random = [n for n in graph.nodes if n.op is not None and n.op.name in DRAWN]
        if not random:
            return {}
        needed: set[Node] = set()
        stack: list[Any] = list(random)
        while stack:
            node = stack.pop()
            if isinstance(node, Node) and node not in needed:
                needed.add(node)
                stack.extend(node.inputs)
        lines = [n for n in graph.nodes if n in needed]
        values = run(Graph(graph.inputs, lines, random), *self.recording.arrays)
        return {n: _wide(v) for n, v in zip(random, values, strict=True)}

    def _specs(self) -> list[Any]:
        return [*self.arrays, *self.drawn.values()]

    def _names(self) -> list[str]:
        inputs = [n.name for n in self.recording.graph.inputs]
        return [
            *inputs,
            *(f"{n.op.name if n.op else 'drawn'}{i}" for i, n in enumerate(self.drawn)),
        ]

    def _replay(self, *nodes: Node) -> list[Any]:
        """The lines again, in float64, and the gradients of all that have one."""
        recording = self.recording
        graph = recording.graph
        now: dict[Node, Any] = dict(zip([*graph.inputs, *self.drawn], nodes, strict=True))
        loss = graph.outputs[0]
        wanted = below(loss)
        for node in graph.nodes:
            if node in wanted and node not in now:
                operands = [now[x] if isinstance(x, Node) else x for x in node.inputs]
                params = {k: _wide_dtype(v) for k, v in node.params.items()}
                assert node.op is not None
                if node.dtype.kind == "f" and not any(
                    isinstance(x, Node) and x.dtype.kind == "f" for x in operands
                ):  # of numbers alone: they would take the default dtype
                    operands = [_widened(x) for x in operands]
                now[node] = node.op(*operands, **params)
        self.lines = [n for n in now if n in wanted or n in graph.inputs]
        values = [now[n] for n in self.lines]
        floats = [x for x in dict.fromkeys(values) if x.dtype.kind == "f"]
        self.loss_line = now[loss]
        found = dict(zip(floats, gradients(now[loss], floats), strict=True))
        self.gradient_places = [i for i, x in enumerate(values) if found.get(x) is not None]
        return [*values, *(found[values[i]] for i in self.gradient_places)]

    def _take(self, graph: Graph) -> None:
        """Finds the lines of the spelled program again: they are its outputs."""
        self.graph = graph
        count = len(self.lines)
        self.now = dict(zip(self.lines, graph.outputs[:count], strict=True))
        self.loss: Node = self.now[self.recording.graph.outputs[0]]
        self.leaves = {name: self.now[n] for name, n in self.recording.leaves.items()
                       if n in self.now}  # fmt: skip
        self.gradient: dict[Node, Node] = {}
        for i, g in zip(self.gradient_places, graph.outputs[count:], strict=True):
            self.gradient.setdefault(graph.outputs[i], g)
        leading = below(self.loss)
        self.forward = [n for n in graph.nodes if n in leading]
        self.backward = {n for n in graph.nodes if n not in leading}

    def given(self, name: str, array: Any) -> Node:
        """A value that no line has, under a name of its own: to write a step with."""
        node = Node(None, (), {}, Spec(array.shape, array.dtype), name)
        self.elements.arrays[id(node)] = array
        self.labels.give(node, name)
        return node

    def adopt(self, elements: Elements, names: dict[Node, str]) -> None:
        """Takes lines of another program, under their names there, into the derivation."""
        self.elements.arrays.update(elements.arrays)
        self.adopted.append(elements)  # alive, so that ids stay their own
        self.labels.names.update(names)

    # ------------------------------------------------------------ asking

    def _inside(self, place: Place) -> Any:
        """The expression of a place that has no name of its own."""
        if place.node.op is None or self.labels.named(place.node):
            return None
        return self.elements.of(place)

    def form(self, place: Place) -> Form:
        """How the number at a place is computed from those that have names."""
        return self.forming.form(self.elements.of(place))

    def shortened(self, place: Place, most: int, kept: int) -> Form:
        """The same; of a sum with more terms than `most` the largest few, and the rest as one.

        A very long sum is never written out: its terms are weighed as numbers first.
        """
        total = self._sum(place)
        if total is None or len(total.args) < LONG:
            return shortened(self.form(place), self.at, most, kept)
        values = np.array([float(self.elements.value(e)) for e in total.args])
        sizes = np.where(np.isnan(values), np.inf, np.abs(values))
        largest = np.sort(np.argsort(-sizes, kind="stable")[:kept])
        rest = float(np.delete(values, largest).sum())
        terms = [self.forming.form(total.args[i]) for i in largest]
        return Sum((*terms, Rest(len(values) - kept, rest)))

    def _sum(self, place: Place) -> Any:
        """The sum that a number is, behind views, choices and casts; None where it is none."""
        e, value = self.elements.of(place), self.elements.value
        while e.op in ("select", "cast", "load"):
            if e.op == "select":
                e = e.args[1] if value(e.args[0]) else e.args[2]
            elif e.op == "cast":
                e = e.args[0]
            else:
                inner = Place(e.at[0], tuple(i.const for i in e.at[1]))
                outside = bool(e.args) and not value(e.args[0])
                if outside or inner.node.op is None or self.labels.named(inner.node):
                    return None
                e = self.elements.of(inner)
        return e if e.op == "total" and e.at == "sum" else None

    def sizes(self, place: Place) -> float:
        """What the terms of a number would add up to, were all of one sign."""
        total = self._sum(place)
        if total is None:
            return abs(self.at(place))
        return math.fsum(abs(float(self.elements.value(e))) for e in total.args)

    def at(self, place: Place) -> float:
        """The number at a place."""
        return float(self.elements.at(place))

    def array(self, node: Node) -> Any:
        """All numbers of a line."""
        return self.elements.arrays[id(node)]

    def place(self, name: str, at: tuple[int, ...]) -> Place:
        """An entry of a leaf."""
        return Place(self.leaf(name), at)

    def leaf(self, name: str) -> Node:
        """A parameter, by its name."""
        if name not in self.leaves:
            raise ArgumentError(
                f"explain: there is no parameter {name!r} that the loss depends on",
                expected=some_names(self.leaves, 120) or "a tensor that requires a gradient",
            )
        return self.leaves[name]

    def gradient_of(self, name: str) -> Any:
        """The gradient of a parameter, as an array; zeros where the loss does not depend on it."""
        leaf = self.leaf(name)
        g = self.gradient.get(leaf)
        return np.zeros(leaf.shape) if g is None else self.array(g)

    @cached_property
    def forward_graph(self) -> Graph:
        """From the inputs to the loss alone."""
        return Graph(self.graph.inputs, self.forward, [self.loss])

    @cached_property
    def _moving_graph(self) -> Graph:
        """The same for other values of the parameters: what is detached stays as it is."""
        cut = [n for n in self.forward if n.op is ops.detach]
        lines = [n for n in self.forward if n.op is not ops.detach]
        return Graph([*self.graph.inputs, *cut], lines, [self.loss])

    def loss_with(self, changed: dict[str, Any]) -> float:
        """The loss with other values of some parameters."""
        graph = self._moving_graph
        others = {id(self.leaf(name)): a for name, a in changed.items()}
        arrays = [others.get(id(n), self.array(n)) for n in graph.inputs]
        return float(run(graph, *arrays)[0].reshape(()))


def below(node: Node) -> set[Node]:
    """A line and all that it is computed from."""
    found: set[Node] = set()
    stack: list[Any] = [node]
    while stack:
        n = stack.pop()
        if isinstance(n, Node) and n not in found:
            found.add(n)
            stack.extend(n.inputs)
    return found


def _widened(x: Any) -> Any:
    return ops.full(shape=(), value=x, dtype=dtypes.float64) if type(x) is float else x


def _wide(array: Any) -> Any:
    """Numbers with a point in float64."""
    array = np.asarray(array)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _wide_dtype(value: Any) -> Any:
    return dtypes.float64 if isinstance(value, np.dtype) and value.kind == "f" else value
