"""The computation graph: modules with what flows through them, forward and backward.

Values and gradients are those of one row in evaluation mode.  A module can be unfolded into its
units where the row was worked (see worked.py): of each layer those whose error is largest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .. import nn
from ..autograd import enable_grad, grad
from ..derivation.network import Network
from ..derivation.parts import Name
from ..markup import cut
from ..ops.core import quietly
from ..tensor.core import Tensor
from ..tensor.create import tensor
from ..train.evaluation import mode
from .charts import BLUE, VERMILLION, Chart, said
from .svg import frame, text

MOST_NODES, MOST_SHOWN = 150, 4
"""Modules in the picture, and units of a layer."""


@dataclass(frozen=True)
class Node:
    """A module, an input or the loss; group: the module that a unit belongs to."""

    id: str
    label: str
    kind: str
    group: str = ""


@dataclass(frozen=True)
class Edge:
    """What goes from one node to the next, and the gradient that comes back.

    value, gradient: as words; key: the weight in the formulas that it stands for; weight: its sign.
    """

    source: str
    target: str
    value: str
    gradient: str
    key: str = ""
    weight: float = 0.0


@dataclass
class Graph:
    """Modules, and below them the units of those that can be unfolded."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    units: list[Node] = field(default_factory=list)
    unit_edges: list[Edge] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """For the page's script."""
        parts = ("nodes", "edges", "units", "unit_edges")
        held = {k: [asdict(x) for x in getattr(self, k)] for k in parts}
        return {**held, "columns": self.columns}


def graph_of(model: nn.Module, loss: Any, row: Any, label: int) -> Graph | str:
    """The modules that a row goes through, in order, or why they are not shown."""
    row = np.ascontiguousarray(np.asarray(row)[None])
    x = tensor(row, requires_grad=row.dtype.kind == "f")
    target = tensor(np.array([label], np.int64))
    calls: list[tuple[str, nn.Module, list[Any], Tensor]] = []
    names = {id(m): n for n, m in model.named_modules() if not list(m.children())}

    def keep(module: nn.Module, args: Any, y: Tensor) -> None:
        calls.append((names[id(module)], module, list(args), y))

    handles = [m.register_forward_hook(keep) for m in model.modules() if id(m) in names]
    try:
        with mode(model, False), enable_grad(), quietly():
            total = loss(model(x), target)
            outputs = [t for t in (x, *(y for *_, y in calls))
                       if isinstance(t, Tensor) and t.requires_grad]  # fmt: skip
            found = list(grad(total, outputs, allow_unused=True))
    finally:
        for handle in handles:
            handle.remove()
    if len(calls) > MOST_NODES:
        return f"{len(calls)} modules; up to {MOST_NODES} are drawn here"
    gradients = {id(y): g for y, g in zip(outputs, found, strict=True)}
    g = Graph([Node("x", "x", f"input {_shape(x)}")])
    made = {id(x): "x"}
    for k, (name, module, args, y) in enumerate(calls):
        node = Node(f"m{k}", name or type(module).__name__, _kind(module))
        g.nodes.append(node)
        for a in args:
            if id(a) in made:
                g.edges.append(_edge(made[id(a)], node.id, a, gradients.get(id(a))))
        made[id(y)] = node.id
    g.nodes.append(Node("L", "L", type(loss).__name__))
    last = next((y for *_, y in reversed(calls)), None)
    if last is not None:
        edge = _edge(made[id(last)], "L", last, gradients.get(id(last)))
        g.edges.append(edge)
    g.nodes[-1] = Node("L", f"L = {said(float(total.item()), 6)}", type(loss).__name__)
    return g


def _edge(source: str, target: str, value: Any, gradient: Any) -> Edge:
    g = "not computed" if gradient is None else _size(gradient)
    return Edge(source, target, _size(value), g)


def _shape(t: Any) -> str:
    return "\u00d7".join(map(str, t.shape[1:])) or "1"


def _size(t: Any) -> str:
    values = np.asarray(t.detach(), np.float64)
    return said(float(values.reshape(-1)[0])) if values.size == 1 else (
        f"norm {said(float(np.linalg.norm(values)))}")  # fmt: skip


def _kind(module: nn.Module) -> str:
    if isinstance(module, nn.Linear):
        return f"Linear {module.in_features} to {module.out_features}"
    return type(module).__name__


# ---------------------------------------------------------------- units


def unfold(g: Graph, n: Network, linear: list[str]) -> None:
    """Adds the units of a worked network; linear: the names of its layers."""
    by_label = {node.label: node.id for node in g.nodes}
    shown = [_largest(n.array(Name("x")))]
    groups = ["x"]
    for i, name in enumerate(linear, 1):
        shown.append(_largest(n.array(Name("z", i, "gradient"))))
        groups.append(by_label.get(name, name))
    for i, (units, group) in enumerate(zip(shown, groups, strict=True)):
        letter = Name("x") if not i else Name("a", i)
        if letter not in n.nodes:
            letter = Name("z", i)
        values = n.array(letter).reshape(-1)
        g.columns.append(group)
        g.left_out[group] = values.size - len(units)
        for u in units:
            word = f"{letter.letter}{u + 1}"
            kind = said(float(values[u]))
            if i:
                error = float(n.array(Name("z", i, "gradient")).reshape(-1)[u])
                kind += f", \u03b4 {said(error, 3)}"
            g.units.append(Node(f"{group}.{u}", word, kind, group))
        if i:
            g.unit_edges += _weights(n, i, groups, shown)


def _largest(values: Any) -> list[int]:
    order = np.argsort(-np.abs(values.reshape(-1)), kind="stable")[:MOST_SHOWN]
    return sorted(map(int, order))


def _weights(n: Network, i: int, groups: list[str], shown: list[list[int]]) -> list[Edge]:
    w, gradient = n.array(Name("W", i)), n.array(Name("W", i, "gradient"))
    return [
        Edge(f"{groups[i - 1]}.{a}", f"{groups[i]}.{b}", said(float(w[a, b])),
             said(float(gradient[a, b]), 3), f"W-{i}-value-{a}-{b}", float(w[a, b]))
        for a in shown[i - 1] for b in shown[i]
    ]  # fmt: skip


# ---------------------------------------------------------------- pictures


def modules_svg(g: Graph) -> str:
    """The modules under one another, the value beside and the gradient against each arrow."""
    width, each = 520, 74
    rows = {node.id: k for k, node in enumerate(g.nodes)}
    parts = [ARROW]
    for k, node in enumerate(g.nodes):
        y = 6 + k * each
        parts.append(f'<rect class="box" x="130" y="{y}" width="260" height="38" rx="6"/>')
        parts.append(text(260, y + 16, cut(node.label, 30), "middle", "strong"))
        parts.append(text(260, y + 32, cut(node.kind, 36), "middle", "small"))
    for e in g.edges:
        a, b = rows[e.source], rows[e.target]
        top, bottom = 6 + a * each + 38, 6 + b * each
        if b == a + 1:
            parts.append(f'<path class="flow" d="M250 {top}V{bottom - 2}"/>')
            parts.append(f'<path class="back" d="M270 {bottom}V{top + 2}"/>')
            parts.append(text(242, (top + bottom) / 2 + 5, f"value {e.value}", "end", "small"))
            parts.append(text(278, (top + bottom) / 2 + 5, f"gradient {e.gradient}", kind="small"))
        else:  # past other modules
            parts.append(f'<path class="flow" d="M130 {top - 19}H100V{bottom + 19}H128"/>')
    label = f"{len(g.nodes)} modules from the input to the loss, with values and gradients"
    return frame("".join(parts), label, width, 6 + each * len(g.nodes) - 28)


ARROW = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>'
)


def units_svg(g: Graph) -> str:
    """The units in columns; a line is a weight, blue where positive, else vermillion."""
    columns = {c: [u for u in g.units if u.group == c] for c in g.columns}
    most = max(len(c) for c in columns.values())
    height = 60 + most * 62
    step = (760 - 110) / max(len(columns) - 1, 1)
    at: dict[str, tuple[float, float]] = {}
    names = {node.id: node.label for node in g.nodes}
    circles = []
    for k, (column, units) in enumerate(columns.items()):
        x = 55 + k * step
        circles.append(text(x, 16, cut(names.get(column, column), 12), "middle", "strong"))
        for j, unit in enumerate(units):
            y = 50 + (j + (most - len(units)) / 2) * 62
            at[unit.id] = (x, y)
            circles.append(_unit(unit, x, y))
        if g.left_out.get(column):
            circles.append(text(x, height - 4, f"and {g.left_out[column]} more", "middle", "small"))
    largest = max((abs(e.weight) for e in g.unit_edges), default=1.0) or 1.0
    lines = [_line(e, at, largest, len(g.unit_edges) <= 20) for e in g.unit_edges]
    label = "The units of every layer with their values and errors; lines are weights"
    return frame("".join(lines) + "".join(circles), label, 760, height)


def _unit(unit: Node, x: float, y: float) -> str:
    value, _, error = unit.kind.partition(", ")
    return (f'<circle class="box" cx="{x:.1f}" cy="{y:.1f}" r="15"/>'
            + text(x, y + 4, unit.label, "middle", "small")
            + text(x, y + 28, value, "middle", "small")
            + (text(x, y + 41, error, "middle", "small") if error else ""))  # fmt: skip


def _line(e: Edge, at: dict[str, tuple[float, float]], largest: float, named: bool) -> str:
    (x1, y1), (x2, y2) = at[e.source], at[e.target]
    colour = BLUE if e.weight >= 0 else VERMILLION
    dash = "" if e.weight >= 0 else ' stroke-dasharray="5 3"'
    width = 0.8 + 3 * abs(e.weight) / largest
    body = (
        f'<path class="weight" data-key="{e.key}" stroke="{colour}"{dash} '
        f'stroke-width="{width:.1f}" d="M{x1 + 15:.1f} {y1:.1f}L{x2 - 15:.1f} {y2:.1f}"/>'
    )
    if named:
        share = 0.3 if y1 <= y2 else 0.62
        x, y = x1 + (x2 - x1) * share, y1 + (y2 - y1) * share
        body += text(x, y - 3, e.gradient, "middle", "small")
        body += text(x, y + 12, e.value, "middle", "small")
    return body


def table(g: Graph) -> Chart:
    """The same as rows."""
    names = {node.id: node.label for node in [*g.nodes, *g.units]}
    rows: list[list[Any]] = [
        ["module", names[e.source], names[e.target], e.value, e.gradient] for e in g.edges
    ]
    groups = {u.id: f"{names.get(u.group, u.group)} {u.label}" for u in g.units}
    rows += [["weight", groups[e.source], groups[e.target], e.value, e.gradient]
             for e in g.unit_edges]  # fmt: skip
    last = g.edges[-1] if g.edges else None
    return Chart(
        "graph", f"One row through {len(g.nodes) - 2} modules to {g.nodes[-1].label}",
        f"{len(g.nodes)} modules, {len(g.edges)} connections"
        + (f", {len(g.unit_edges)} of the weights" if g.unit_edges else "") + ".",
        "What one row becomes on its way to the loss, and the gradient that comes back along the "
        "same way. Below, where the model is small enough to be worked, single units: their value, "
        "their error δ, and the weights between them, blue and solid where positive, vermillion "
        "and dashed where negative; of larger layers the units with the largest error.",
        "Gradients of similar size all the way back; none that is 0, none that is not computed.",
        f"The error at the output has {last.gradient}." if last else "Nothing was recorded.",
        ["what", "from", "to", "value", "gradient"], rows,
    )  # fmt: skip


def tree(model: nn.Module, g: Graph) -> list[dict[str, Any]]:
    """The modules as nested entries: name, kind, parameters, value and gradient behind them."""
    behind = {e.source: e for e in g.edges}
    ids = {node.label: node.id for node in g.nodes}

    def entry(path: str, module: nn.Module) -> dict[str, Any]:
        edge = behind.get(ids.get(path, ""))
        return {
            "name": path or type(module).__name__, "kind": _kind(module),
            "parameters": sum(p.numel() for p in module.parameters()),
            "value": edge.value if edge else "", "gradient": edge.gradient if edge else "",
            "parts": [entry(f"{path}.{n}" if path else n, m)
                      for n, m in module.named_children()],
        }  # fmt: skip

    return [entry("", model)]
