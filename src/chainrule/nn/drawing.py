"""A computation graph as a static picture: rows from the input down, an edge's value above its
gradient, and the same as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..markup import BLUE, VERMILLION, block, cut, escape, folded, number, picture, table
from .diagram import known

if TYPE_CHECKING:
    from .diagram import Diagram, Edge

WIDE, TALL, ROW, COLUMN, MARGIN = 200, 34, 96, 270, 20
READ = (
    "Beside each line: what goes forward, and below it, in italics, the gradient that comes back; "
    "the number itself, or the norm where there are several."
)


def diagram_html(d: Diagram) -> str:
    """Static HTML."""
    rows = [
        (d.nodes[e.source].label, d.nodes[e.target].label, str(tuple(e.shape)), known(e.value),
         known(e.gradient))
        for e in d.edges
    ]  # fmt: skip
    head = ("from", "to", "shape", "value or norm", "gradient")
    listed = folded("as a table", table(head, rows, numbers=(3, 4)))
    note = f" Modules are folded by {d.folded} levels." if d.folded else ""
    figure = f"<figure>{svg(d)}<figcaption>{escape(READ + note)}</figcaption></figure>"
    return block(f"Computation graph of {d.model}", figure, listed)


def ranks(d: Diagram) -> list[int]:
    """The row of each node: one below the lowest that it reads from; inputs just above a reader."""
    found = [0] * len(d.nodes)
    for i in range(len(d.nodes)):
        above = [found[e.source] + 1 for e in d.edges if e.target == i and e.source < i]
        found[i] = max(above, default=0)
    for i, node in enumerate(d.nodes):
        below = [found[e.target] for e in d.edges if e.source == i]
        if node.kind == "input" and below and not any(e.target == i for e in d.edges):
            found[i] = min(below) - 1
    return found


def svg(d: Diagram) -> str:
    """The picture."""
    rank = ranks(d)
    fed = {e.target for e in d.edges}
    order = sorted(range(len(d.nodes)), key=lambda i: (i not in fed, i))  # bare inputs to the right
    column = [0] * len(d.nodes)
    for n, i in enumerate(order):
        column[i] = sum(rank[j] == rank[i] for j in order[:n])
    places = [
        (MARGIN + WIDE / 2 + COLUMN * c, MARGIN + TALL / 2 + ROW * r)
        for c, r in zip(column, rank, strict=True)
    ]
    skips = sum(rank[e.target] - rank[e.source] > 1 for e in d.edges)
    width = round(MARGIN * 2 + COLUMN * (max(column, default=0) + 1) + (220 if skips else 0))
    height = round(MARGIN * 2 + TALL + ROW * max(rank, default=0))
    parts = []
    for n, e in enumerate(d.edges):
        parts.append(_edge(e, places[e.source], places[e.target],
                           rank[e.target] - rank[e.source], n))  # fmt: skip
    for node, (x, y) in zip(d.nodes, places, strict=True):
        colour = {"loss": VERMILLION, "module": BLUE}.get(node.kind, "currentColor")
        corner = 17 if node.kind == "input" else 4
        words = f"{node.label}: {node.type}" if node.type else node.label
        parts.append(
            f'<rect x="{x - WIDE / 2:g}" y="{y - TALL / 2:g}" width="{WIDE}" height="{TALL}" '
            f'rx="{corner}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{x:g}" y="{y + 5:g}" text-anchor="middle"><title>{escape(words)}</title>'
            f"{escape(cut(words, 28))}</text>"
        )
    says = f"{len(d.nodes)} nodes and {len(d.edges)} edges; the table and the text say the same."
    return picture(width, height, f"Computation graph of {d.model}", says, *parts)


def _edge(e: Edge, a: tuple[float, float], b: tuple[float, float], down: int, n: int) -> str:
    """A line from below a node to above another; around the nodes between where it skips rows."""
    (x1, y1), (x2, y2) = (a[0], a[1] + TALL / 2), (b[0], b[1] - TALL / 2)
    x, y = (x1 + x2) / 2 + 8, (y1 + y2) / 2
    path = f"M{x1:g} {y1:g}L{x2:g} {y2:g}"
    if down != 1:
        control = max(x1, x2) + WIDE / 2 + 90 + 50 * (n % 3)
        path = f"M{x1:g} {y1:g}C{control:g} {y1:g} {control:g} {y2:g} {x2:g} {y2:g}"
        x = (x1 + x2 + 6 * control) / 8 + 6  # beside the curve at its middle
    gradient = "gradient not computed" if e.gradient is None else f"∇ {number(e.gradient)}"
    sizes = "×".join(map(str, e.shape))
    value = f"{sizes}: {known(e.value)}" if sizes else known(e.value)
    tip = f"M{x2 - 4:g} {y2 - 8:g}L{x2:g} {y2:g}L{x2 + 4:g} {y2 - 8:g}"
    return (
        f'<path d="{path}{tip}" fill="none" stroke="currentColor" stroke-opacity=".7"/>'
        f'<text x="{x:g}" y="{y - 2:g}">{escape(value)}</text>'
        f'<text x="{x:g}" y="{y + 15:g}" font-style="italic">{escape(gradient)}</text>'
    )
