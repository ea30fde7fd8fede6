"""The map of a plane of inputs: which class where, the data, the line of each first unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from ..markup import escape
from .network import Small
from .training import GRID, Training, limits, outputs

SIDE, MARGIN, MOST_POINTS = 520, 30, 300


class Plane:
    """The map as it is at the last moment; the page's script draws the others the same way."""

    def __init__(self, net: Small, training: Training) -> None:
        self.net, self.training = net, training
        self.low, self.high = limits(training.x)
        self.drawn = min(len(training.x), MOST_POINTS)
        steps = (np.arange(GRID) + 0.5) / GRID
        across = [self.low[k] + steps * (self.high[k] - self.low[k]) for k in (0, 1)]
        grid = np.stack(np.meshgrid(across[0], across[1][::-1]), -1).reshape(-1, 2)
        self.classes = self.classes_of(grid).reshape(GRID, GRID)

    def classes_of(self, x: Any) -> Any:
        """The class at each point."""
        return outputs(self.net, x, self.net.arrays()).argmax(1)

    def here(self) -> str:
        """What the map shows, in words."""
        found = self.classes_of(self.training.x)
        right = int((found == np.asarray(self.training.y)).sum())
        shares = np.bincount(self.classes.ravel(), minlength=len(self.training.names))
        areas = ", ".join(
            f"{name} {100 * share / self.classes.size:.0f} %"
            for name, share in zip(self.training.names, shares, strict=True)
        )
        return f"{right} of {len(found)} examples are right; of the plane shown, class {areas}."

    def svg(self, example: Any) -> Markup:
        """The map."""
        end = SIDE + MARGIN
        parts = [
            f'<svg id="map" role="img" aria-labelledby="map-title" '
            f'viewBox="0 0 {SIDE + 2 * MARGIN} {SIDE + 2 * MARGIN}">',
            '<title id="map-title">Decisions of the network over the plane of its inputs</title>',
            f'<g id="areas">{"".join(self.areas())}</g>',
            f'<g id="lines">{"".join(self.lines())}</g>',
            f'<g id="points">{"".join(self.points())}</g>',
            f'<circle id="example" class="example" r="9" {_at(self.place(example), "c")}/>',
            f'<rect class="frame" x="{MARGIN}" y="{MARGIN}" width="{SIDE}" height="{SIDE}"/>',
            f'<text x="{MARGIN}" y="{end + 18}">{self.low[0]:.3g}</text>',
            f'<text x="{end}" y="{end + 18}" text-anchor="end">x₁ {self.high[0]:.3g}</text>',
            f'<text x="{MARGIN}" y="{MARGIN - 8}">x₂ {self.high[1]:.3g}</text>',
        ]
        parts += self.legend()
        return Markup("\n".join([*parts, "</svg>"]))

    def legend(self) -> list[str]:
        """Shapes and colours of the classes, at the top."""
        parts = []
        for k, name in enumerate(self.training.names):
            x = SIDE + MARGIN - 90 * (len(self.training.names) - k) + 10
            parts.append(f'<path class="point c{k % 5}" d="{shape(k, x, MARGIN - 13)}"/>')
            parts.append(f'<text x="{x + 10}" y="{MARGIN - 8}">class {escape(name[:6])}</text>')
        return parts

    def areas(self) -> list[str]:
        """Runs of one class in each row of the grid."""
        unit = SIDE / GRID
        found = []
        for r, row in enumerate(self.classes):
            start = 0
            for c in range(1, GRID + 1):
                if c == GRID or row[c] != row[start]:
                    found.append(
                        f'<rect class="area c{row[start] % 5}" x="{MARGIN + start * unit:.1f}" '
                        f'y="{MARGIN + r * unit:.1f}" width="{(c - start) * unit:.1f}" '
                        f'height="{unit:.1f}"/>'
                    )
                    start = c
        return found

    def points(self) -> list[str]:
        """The examples."""
        x, y = self.training.x[: self.drawn], self.training.y[: self.drawn]
        return [
            f'<path class="point c{int(k) % 5}" d="{shape(int(k), *self.place(p))}"/>'
            for p, k in zip(x, y, strict=True)
        ]

    def lines(self) -> list[str]:
        """Where the weighted sum of each unit of the first layer is 0."""
        first = self.net.layers[0]
        mean, std = self.net.scale or (0.0, 1.0)
        found = []
        for j in range(first.weight.shape[1]):
            w = first.weight[:, j] / std
            b = (0.0 if first.bias is None else first.bias[j]) - mean * w.sum()
            ends = self.border(w, b)
            if ends:
                (x1, y1), (x2, y2) = map(self.place, ends)
                at = 0.15 + 0.7 * (j * 0.37 % 1)
                found.append(
                    f'<line class="line" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
                    f'<text x="{x1 + at * (x2 - x1):.1f}" y="{y1 + at * (y2 - y1):.1f}">{j + 1}'
                    "</text>"
                )
        return found

    def border(self, w: Any, b: float) -> list[Any]:
        """The ends of the line w x + b = 0 within the frame, or nothing."""
        ends = []
        for k in (0, 1):
            for edge in (self.low[k], self.high[k]):
                if w[1 - k]:
                    p = [edge, edge]
                    p[1 - k] = -(b + w[k] * edge) / w[1 - k]
                    if self.low[1 - k] <= p[1 - k] <= self.high[1 - k]:
                        ends.append(p)
        return [ends[0], ends[-1]] if len(ends) > 1 else []

    def place(self, x: Any) -> tuple[float, float]:
        """Where a point of the plane is drawn."""
        right, up = (
            (float(np.ravel(x)[k]) - self.low[k]) / (self.high[k] - self.low[k]) for k in (0, 1)
        )
        return MARGIN + SIDE * right, MARGIN + SIDE * (1 - up)


def _at(place: tuple[float, float], prefix: str) -> str:
    return f'{prefix}x="{place[0]:.1f}" {prefix}y="{place[1]:.1f}"'


def shape(k: int, x: float, y: float) -> str:
    """A mark for class k: circle, square, triangle, diamond, cross."""
    x, y = round(x, 1), round(y, 1)
    return (
        f"M{x - 4:g} {y:g}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
        f"M{x - 4:g} {y - 4:g}h8v8h-8z",
        f"M{x:g} {y - 5:g}l5 9h-10z",
        f"M{x:g} {y - 6:g}l5 6l-5 6l-5 -6z",
        f"M{x - 5:g} {y - 1.5:g}h3.5v-3.5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5z",
    )[k % 5]
