"""The network as a picture: units in columns, on each edge its weight, under it the gradient.

Small networks have all numbers written; in larger ones the page writes those of the step.
Everything is drawn here, once; the page's script only exchanges texts and classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from ..derivation.writing import number
from ..markup import escape
from .record import output_key
from .steps import Steps

MOST_UNITS, MOST_CROSSING = 5, 3
"""All numbers are written where no layer has more units than the first, and each has a layer of at
most the second on one side: there no two labels meet."""


@dataclass(frozen=True)
class Sizes:
    """Distances in a picture."""

    column: int
    unit: int
    radius: int
    margin: int


WIDE, NARROW = Sizes(310, 150, 34, 70), Sizes(190, 34, 13, 60)


class Picture:
    """The picture of a network with its numbers."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.net, self.values, self.labels = steps.net, steps.values, steps.labels
        self.pairs = list(pairwise(steps.sizes))
        self.written = max(steps.sizes) <= MOST_UNITS and all(
            min(pair) <= MOST_CROSSING for pair in self.pairs
        )
        self.size = WIDE if self.written else NARROW
        self.tall = max(max(steps.sizes), 2 if self.written else 4)
        self.width = self.size.column * len(steps.sizes) + 2 * self.size.margin
        self.height = self.size.unit * self.tall + 20

    def svg(self) -> Markup:
        """All of it."""
        shape = "-".join(map(str, self.steps.sizes))
        parts = [
            f'<svg id="net" role="img" aria-labelledby="net-title net-text" '
            f'viewBox="0 0 {self.width} {self.height}" '
            f'class="{"written" if self.written else "dense"}">',
            f'<title id="net-title">The network, {escape(shape)}</title>',
            '<desc id="net-text">On each edge its weight and, below, the gradient of the loss by '
            "it; in each unit its value. The table of all steps holds the same numbers.</desc>",
        ]
        for i in range(1, len(self.steps.sizes)):
            parts += self.edges(i)
        for i in range(len(self.steps.sizes)):
            parts += [self.unit(i, j) for j in range(self.steps.sizes[i])]
        parts.append(self.loss())
        return Markup("\n".join([*parts, "</svg>"]))

    # ------------------------------------------------------------ places

    def place(self, column: int, unit: int) -> tuple[float, float]:
        """The middle of a unit."""
        n = self.steps.sizes[column] if column < len(self.steps.sizes) else 1
        top = (self.tall - n) / 2
        x = self.size.margin + self.size.column * column
        return x, (top + unit + 0.5) * self.size.unit + (0 if self.written else 10)

    # ------------------------------------------------------------ parts

    def edges(self, i: int) -> list[str]:
        """The weights of a layer."""
        found = []
        for k in range(self.steps.sizes[i - 1]):
            for j in range(self.steps.sizes[i]):
                at = k * self.steps.sizes[i] + j
                w = float(self.values[f"W{i}"].ravel()[at])
                (x1, y1), (x2, y2) = self.place(i - 1, k), self.place(i, j)
                found.append(
                    f'<g class="edge{" minus" if w < 0 else ""}" data-ref="W{i},{at}">'
                    f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" '
                    f'stroke-width="{thickness(w):.2f}"/>'
                    + (self.edge_texts(i, at, (x1, y1, x2, y2)) if self.written else "")
                    + "</g>"
                )
        return found

    def edge_texts(self, i: int, at: int, line: tuple[float, float, float, float]) -> str:
        """Weight and gradient, along the edge, near the end with fewer edges."""
        x1, y1, x2, y2 = line
        angle = math.degrees(math.atan2(y2 - y1, x2 - x1))
        before, behind = self.pairs[i - 1]
        few = min(before, behind) < MOST_CROSSING and before != behind
        near = 0.34 if few else 0.27  # where there are no crossings
        share = 1 - near if before < behind else near
        x, y = x1 + share * (x2 - x1), y1 + share * (y2 - y1)
        turned = f'transform="rotate({angle:.2f} {x:.1f} {y:.1f})" x="{x:.1f}"'
        return (
            self.text(f"W{i}", at, f'{turned} y="{y - 6:.1f}"', "value")
            + self.text(f"dW{i}", at, f'{turned} y="{y + 16:.1f}"', "gradient")
        )  # fmt: skip

    def text(self, key: str, at: int, where: str, kind: str, before: str = "") -> str:
        """A number that the page keeps up to date."""
        shown = shown_number(float(self.values[key].ravel()[at]))
        head = f'<text class="{kind}" data-text="{key},{at}" data-before="{escape(before)}" {where}'
        return f"{head}>{escape(before)}{shown}</text>"

    def unit(self, i: int, j: int) -> str:
        """A unit with its name, value, error and bias."""
        x, y = self.place(i, j)
        key = "x" if i == 0 else self.steps.layer_output(i)
        r = self.size.radius
        value = float(self.values[key].ravel()[j])
        name = self.labels[key][j]
        parts = [
            f'<g class="unit{" minus" if value < 0 else ""}" data-ref="{key},{j}">',
            f"<title>{escape(name)}</title>",
            f'<circle cx="{x:g}" cy="{y:g}" r="{r}"/>',
        ]
        if self.written:
            parts.append(f'<text class="name" x="{x:g}" y="{y - r - 8:g}">{escape(name)}</text>')
            parts.append(self.text(key, j, f'x="{x:g}" y="{y + 5:g}"', "inside"))
            if i == 0 and self.net.scale is not None:
                scaled = f"{self.labels['u'][j]} "
                parts.append(self.text("u", j, f'x="{x:g}" y="{y + r + 18:g}"', "value", scaled))
            if i:
                error = self.labels[f"dz{i}"][j]
                parts.append(self.text(f"dz{i}", j, f'x="{x:g}" y="{y + r + 18:g}"', "gradient",
                                       f"{error} "))  # fmt: skip
                if f"b{i}" in self.values:
                    parts.append(self.text(f"b{i}", j, f'x="{x:g}" y="{y + r + 36:g}"', "value",
                                           f"{self.labels[f'b{i}'][j]} "))  # fmt: skip
        else:
            sign = "\u2212" if value < 0 else "+"
            parts.append(f'<text class="inside sign" x="{x:g}" y="{y + 5:g}">{sign}</text>')
        return "".join([*parts, "</g>"])

    def loss(self) -> str:
        """The loss, behind the outputs."""
        columns = len(self.steps.sizes)
        x, y = self.place(columns, 0)
        x -= self.size.column * 0.25
        key = output_key(self.net)
        lines = []
        for j in range(self.steps.sizes[-1]):
            x1, y1 = self.place(columns - 1, j)
            lines.append(
                f'<line class="to-loss" x1="{x1 + self.size.radius:g}" y1="{y1:g}" '
                f'x2="{x - 34:g}" y2="{y:g}"/>'
            )
        if self.written and self.steps.sizes[-1] == 1:
            middle = (self.place(columns - 1, 0)[0] + x) / 2
            lines.append(self.text(f"d{key}", 0, f'x="{middle:g}" y="{y + 18:g}"', "gradient"))
        box = f'<rect x="{x - 34:g}" y="{y - 22:g}" width="84" height="44" rx="6"/>'
        value = self.text("L", 0, f'x="{x + 8:g}" y="{y + 5:g}"', "inside")
        name = f'<text class="name" x="{x + 8:g}" y="{y - 30:g}">loss L</text>'
        group = f'<g class="unit loss" data-ref="L,0">{box}{name}{value}</g>'
        return "".join(lines) + group


def thickness(w: float) -> float:
    """How wide an edge is drawn: more for large weights, up to a bound."""
    return 0.6 + 3.4 * min(abs(w) / 2, 1.0)


def shown_number(value: float) -> str:
    """Short, for a picture: as assets/page.js writes it."""
    return number(value, 4)
