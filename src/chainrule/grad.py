"""Backpropagation: one sweep over recorded operations, from the last to the first.

Where `y = f(a, b)` was recorded and `g = dL/dy` is known, the op's rule gives dL/da and dL/db.
Contributions that meet at a value are added (the chain rule over all paths), and because every
operation is newer than what it read, going from the newest to the oldest means that a value's
gradient is complete when its turn comes.  No recursion: a chain of any length goes backward.

The same sweep serves plain values (`backward()`), Tensors that record again (`create_graph`) and
nodes of a traced program: rules are written in ops, and the current interpreter gives them
their meaning.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from types import FunctionType
from typing import Any

from .errors import GradError, Site, describe_site, user_site
from .graph.node import Node as GraphNode
from .ops import eq, full, ne, slice_, where, whole_of
from .ops.core import Op, Params, Shape, Value, changes, is_number

clock = itertools.count(1)
"""Orders everything that happens: operations recorded and values overwritten."""


class Cell:
    """What is known of a piece of memory that tensors share: when and where it was written."""

    changed: int = 0
    rebased: int = 0  # when the history of the tensor that owns the memory last changed by a write
    site: Site | None = None


class Handle:
    """Removes a hook: `handle.remove()`."""

    def __init__(self, hooks: dict[Handle, Any], function: Callable[..., Any]) -> None:
        self._hooks = hooks
        hooks[self] = function
        changes.note()

    def remove(self) -> None:
        """Takes this hook away, and no other that calls the same function; once is enough."""
        self._hooks.pop(self, None)
        changes.note()


class Leaf:
    """The end of the line: a tensor that the user made and whose gradient is wanted."""

    __slots__ = ("hooks", "ref", "seq")
    edges: tuple[Any, ...] = ()

    def __init__(self, ref: Callable[[], Any]) -> None:
        self.ref = ref
        self.seq = 0  # older than any operation
        self.hooks: dict[Handle, Callable[[Any], Any]] | None = None


class Node:
    """One recorded operation: what was computed from what, and what its rule needs of it.

    `inputs` holds, for each input, the value if the rule reads it, its shape if that is enough,
    else None.  `edges` holds where each input's gradient goes: a Node, a Leaf or None; `constants`
    the inputs that have none of these, so that the loss can be computed again and explained.
    """

    __slots__ = (
        "cell", "constants", "edges", "hooks", "inputs", "module", "op", "params", "reads",
        "retained", "seq", "site", "y",
    )  # fmt: skip

    def __init__(
        self, op: Op, inputs: tuple[Any, ...], params: Params, edges: tuple[Any, ...],
        module: Any, reads: bool, y: Any, cell: Cell | None,
    ) -> None:  # fmt: skip
        self.op = op
        self.inputs: Any = inputs
        self.params = params
        self.edges = edges
        self.y = y
        self.cell = cell
        self.constants: tuple[Any, ...] | None = None
        self.reads = reads  # whether a value, and not only a shape, is saved here
        self.seq = next(clock)
        self.site = user_site(2)
        self.module = module
        self.hooks: dict[Handle, Callable[[Any], Any]] | None = None
        self.retained: Callable[[], Any] | None = None

    def __repr__(self) -> str:
        return f"<{self.op.name} at {describe_site(self.site)}>"


class Freed:
    """Stands for the saved values of a graph that has gone backward already."""

    __slots__ = ("site",)

    def __init__(self, site: Site | None) -> None:
        self.site = site


class Reader:
    """How a sweep reads what nodes saved: as plain values, as Tensors, as nodes of a program."""

    watch: Callable[[Any, Value, Value], None] | None = None  # looks at what each rule gives

    def arguments(self, node: Node) -> tuple[Value, list[Value]]:
        """(y, inputs) as the rule wants them."""
        raise NotImplementedError

    def without_nan(self, g: Value, r: Value) -> Value:
        """r with 0 for nan where g is 0: what was masked to 0 stays 0, without 0 * inf = nan.

        Elsewhere r is left alone, even where it is 0 too: its own derivative need not be.
        """
        return where(eq(g, 0) & ne(r, r), 0.0, r)

    def hook(self, function: Callable[[Any], Any], g: Value) -> Value:
        """What a user's hook makes of a gradient."""
        raise NotImplementedError

    def retain(self, node: Any, g: Value) -> None:
        """Stores the gradient of a tensor that asked to keep it."""
        raise NotImplementedError


class Sweep:
    """The gradients on their way: what has arrived where, and what is to be done next."""

    def __init__(self, reader: Reader, route: Route | None, retain_graph: bool) -> None:
        self.reader = reader
        self.route = route
        self.freed = None if retain_graph else Freed(user_site(3))
        self.arrived: dict[Any, Value] = {}
        self.parts: dict[Any, tuple[Shape, dict[Any, Value]]] = {}  # what slices sent back
        self.queue: list[tuple[int, Any]] = []  # the newest first; no two nodes are of one age
        self.ends: dict[Any, Value] = {}
        self.shared: set[Any] = set()  # ends whose gradient may be somebody else's memory

    def deliver(self, edge: Any, g: Value) -> None:
        """Adds g to what has arrived at a node."""
        arrived = self.ends if type(edge) is Leaf else self.arrived
        held = arrived.get(edge)
        if held is None:
            arrived[edge] = g
            if arrived is self.arrived and edge not in self.parts:
                heappush(self.queue, (-edge.seq, edge))
        else:
            arrived[edge] = held + g
            self.shared.discard(edge)

    def hold(self, edge: Any, g: Value, ranges: Any, shape: Shape) -> None:
        """Keeps the gradient of a slice of a value until the value's turn comes.

        A loop that reads x[t] sends back as many parts as it has steps.  Each as an array of x's
        size would cost steps x size; together they cost one array.
        """
        if edge not in self.parts:
            self.parts[edge] = (shape, {})
            if type(edge) is not Leaf and edge not in self.arrived:
                heappush(self.queue, (-edge.seq, edge))
        parts = self.parts[edge][1]
        parts[ranges] = parts[ranges] + g if ranges in parts else g

    def join(self, edge: Any, g: Value | None) -> Value:
        """What slices sent to a value, as one gradient, and what else had arrived."""
        shape, parts = self.parts.pop(edge)
        total = whole_of(parts, shape)
        return total if g is None else g + total

    def run(self) -> None:
        """Goes from the newest node to the oldest; each is visited once, when complete."""
        queue, arrived, reader = self.queue, self.arrived, self.reader
        route, shared, parts = self.route, self.shared, self.parts
        deliver, watch = self.deliver, self.reader.watch
        masked = False
        while queue:
            node = heappop(queue)[1]
            g = self.join(node, arrived.pop(node, None)) if node in parts else arrived.pop(node)
            if node.hooks is not None or node.retained is not None or route is not None:
                g = self.attend(node, g)
                if route is not None and node not in route.passes:
                    continue
            op = node.op
            y, inputs = reader.arguments(node) if node.reads else (None, node.inputs)
            if op is slice_:
                if node.edges[0] is not None:
                    self.hold(node.edges[0], g, node.params["ranges"], inputs[0].shape)
                continue
            masked = masked or op.masks
            # one application of the chain rule: from dL/dy to the dL/dx of each input
            for edge, r in zip(node.edges, op.vjp(g, y, *inputs, **node.params), strict=True):
                if edge is None or r is None or (route is not None and edge not in route.useful):
                    continue
                if type(r) is FunctionType:
                    r = r()
                if masked and op.singular:
                    r = reader.without_nan(g, r)
                if watch is not None:
                    watch(node, g, r)
                if r is g:
                    shared.add(edge)
                deliver(edge, r)
            if self.freed is not None:
                node.constants = None
                if node.reads:
                    node.inputs = self.freed
                    node.y = None
        self.finish()

    def attend(self, node: Any, g: Value) -> Value:
        """What users asked for at a node on the way: hooks, kept and returned gradients."""
        if node.hooks is not None:
            for function in list(node.hooks.values()):
                g = self.reader.hook(function, g)
            self.shared.update(e for e in node.edges if e is not None)
        if node.retained is not None:
            self.reader.retain(node, g)
        if self.route is not None and node in self.route.wanted:
            self.ends[node] = g
            self.shared.add(node)
        return g

    def finish(self) -> None:
        """What leaves got in parts is joined; their hooks run when everything has arrived."""
        for leaf in list(self.parts):
            self.ends[leaf] = self.join(leaf, self.ends.get(leaf))
            self.shared.discard(leaf)
        for leaf, g in self.ends.items():
            if type(leaf) is Leaf and leaf.hooks is not None:
                for function in list(leaf.hooks.values()):
                    g = self.reader.hook(function, g)
                self.ends[leaf] = g
                self.shared.add(leaf)


class Route:
    """The part of a graph that lies between outputs and the inputs whose gradient is wanted."""

    def __init__(self, outputs: Iterable[Any], wanted: Iterable[Any]) -> None:
        self.wanted = set(wanted)
        self.useful: set[Any] = set(self.wanted)  # leads to a wanted node, or is one
        self.passes: set[Any] = set()  # has an edge that leads to a wanted node
        seen: set[Any] = set()
        stack = list(outputs)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(e for e in node.edges if e is not None and e not in seen)
        for node in sorted(seen, key=lambda n: n.seq):
            if any(e in self.useful for e in node.edges if e is not None):
                self.useful.add(node)
                self.passes.add(node)


def sweep(
    seeds: Iterable[tuple[Any, Value]],
    reader: Reader,
    *,
    route: Route | None = None,
    retain_graph: bool = False,
) -> Sweep:
    """Gradients at the ends of a graph, from the gradients `seeds` at its outputs.

    Without a route every leaf is an end; with one, only the wanted nodes, leaves or not, are.
    """
    state = Sweep(reader, route, retain_graph)
    for node, g in seeds:
        state.deliver(node, g)
        state.shared.add(node)
    state.run()
    return state


def check_saved(node: Node) -> None:
    """Raises if what the rule of a node reads was freed, or overwritten since it was saved."""
    if isinstance(node.inputs, Freed):
        raise GradError(
            "backward: this graph has gone backward before, and its values were freed",
            got=f"first backward at {describe_site(node.inputs.site)}, {node!r}",
            fix="backward(retain_graph=True) the first time, or build the graph again",
        )
    cells = [x._cell for x in node.inputs if hasattr(x, "_cell")]
    for cell in (*cells, node.cell):
        if cell is not None and cell.changed > node.seq:
            raise GradError(
                f"backward: a value that {node.op.name} needs for its gradient was overwritten by "
                "an in-place operation",
                expected=f"the value as {node.op.name} saw it at {describe_site(node.site)}",
                got=f"written in place at {describe_site(cell.site)}",
                fix="the same operation out of place there (y = y + 1, not y += 1)",
            )


class _Recorded:
    """A node of a traced program, as the sweep sees it."""

    __slots__ = ("edges", "node", "op", "params", "seq")
    hooks = None
    retained = None
    reads = True

    def __init__(self, node: GraphNode, views: dict[GraphNode, _Recorded]) -> None:
        self.node = node
        self.op = node.op
        self.params = node.params
        self.seq = node.seq
        self.edges = tuple(
            views.get(x) if isinstance(x, GraphNode) and x.dtype.kind == "f" else None
            for x in node.inputs
        )


class _Program(Reader):
    """Rules run on nodes: the backward pass becomes part of the program."""

    def arguments(self, node: Any) -> tuple[Value, list[Value]]:
        return node.node, list(node.node.inputs)


def gradients(
    output: GraphNode, inputs: Sequence[GraphNode], g: Value = 1.0
) -> list[GraphNode | None]:
    """d output / d inputs as nodes of the program that is being recorded; None where unused."""
    order, stack = {output}, [output]
    while stack:
        for x in stack.pop().inputs:
            if isinstance(x, GraphNode) and x not in order:
                order.add(x)
                stack.append(x)
    views: dict[GraphNode, _Recorded] = {}
    for node in sorted(order, key=lambda n: n.seq):
        if node.op is None or node.op.differentiable:
            views[node] = _Recorded(node, views)
    wanted = [views[x] for x in inputs if x in views]
    if is_number(g):
        g = full(shape=output.shape, value=float(g), dtype=output.dtype)
    route = Route([views[output]], wanted)
    done = sweep([(views[output], g)], _Program(), route=route, retain_graph=True)
    return [done.ends.get(views[x]) if x in views else None for x in inputs]
