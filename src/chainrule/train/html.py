"""A history in a notebook: its curves, what they say in words, and the table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..markup import BLUE, VERMILLION, block, escape, folded, number, picture, table
from .callbacks import mode_of
from .watch.html import figures

if TYPE_CHECKING:
    from .history import History

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BELOW = 560, 200, 64, 110, 14, 24
MOST_POINTS, MOST_ROWS = 400, 200
COUNTERS = ("epoch", "step", "seconds")
STEEP = 50.0
"""Losses that fall by more than this factor are drawn on a logarithmic scale."""

Curve = list[tuple[float, float]]


def history_html(history: History) -> str:
    """Static HTML: a chart for each quantity, with its validation beside it; what a Watch saw."""
    rows = history.rows
    title = f"History: {len(rows)} epochs, {_ended(history)}"
    if not rows:
        return block(title, "<p>No epoch is complete yet.</p>")
    names = [k for k in dict.fromkeys(k for r in rows for k in r) if _numbers(rows, k)]
    charts = [
        chart(rows, name)
        for name in names
        if name not in COUNTERS and not (name.startswith("val_") and name[4:] in names)
    ]
    seen = figures(history.watch) if history.watch and history.watch.looks else []
    return block(title, *charts, folded("all epochs as a table", _table(rows)), *seen)


def _ended(history: History) -> str:
    if history.interrupted:
        return f"interrupted by {history.signal}"
    return f"ended by {history.stopped}" if history.stopped else "not ended"


def _numbers(rows: list[dict[str, Any]], name: str) -> bool:
    return any(_is_number(r.get(name)) for r in rows)


def _is_number(v: Any) -> bool:
    return isinstance(v, (int, float)) and not isinstance(v, bool)


def curve(rows: list[dict[str, Any]], name: str) -> Curve:
    """(epoch, value) of the rows that have both as finite numbers."""
    found = []
    for i, row in enumerate(rows, 1):
        v: Any = row.get(name)
        if _is_number(v) and math.isfinite(v):
            found.append((float(row.get("epoch", i)), float(v)))
    return found


def says(rows: list[dict[str, Any]], name: str) -> str:
    """A curve in a sentence: where it starts and ends, and its best."""
    points = curve(rows, name)
    odd = sum(1 for r in rows if _is_number(r.get(name)) and not math.isfinite(r[name]))
    text = f"{name}: never finite"
    if points:
        text = f"{name}: {number(points[0][1])} to {number(points[-1][1])}"
        best = best_of(name, points)
        if best is not None:
            text += f", best {number(best[1])} in epoch {best[0]:g}"
    return text + (f"; not finite in {odd} epochs" if odd else "")


def best_of(name: str, points: Curve) -> tuple[float, float] | None:
    """The best point, of what can be better or worse."""
    if name in ("lr", "grad_norm") or not points:
        return None
    return (min if mode_of(name) == "min" else max)(points, key=lambda p: p[1])


def chart(rows: list[dict[str, Any]], name: str) -> str:
    """A curve, and dashed beside it that of the validation."""
    both = [n for n in (name, f"val_{name}") if _numbers(rows, n)]
    curves = {n: thinned(curve(rows, n)) for n in both}
    everything = [p for c in curves.values() for p in c]
    text = "; ".join(says(rows, n) for n in both)
    if not everything:
        return f"<p>{escape(text)}</p>"
    low, high = min(v for _, v in everything), max(v for _, v in everything)
    logarithmic = "loss" in name and low > 0 and high / low > STEEP
    scale = Scale([x for x, _ in everything], low, high, logarithmic)
    parts = scale.axes()
    ends: list[float] = []
    for n, points in curves.items():
        parts += _drawn(n, points, scale, ends)
    text += " (logarithmic scale)" if logarithmic else ""
    title = f"{name} by epoch"
    drawn = picture(WIDTH, HEIGHT, title, text, *parts)
    return f"<figure>{drawn}<figcaption>{escape(text)}</figcaption></figure>"


def _drawn(name: str, points: Curve, scale: Scale, ends: list[float]) -> list[str]:
    """A line, solid or dashed, with its name at its end."""
    if not points:
        return []
    checked = name.startswith("val_")
    dash = ' stroke-dasharray="6 4"' if checked else ""
    colour = VERMILLION if checked else BLUE
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(scale, points))
    x, y = scale(points[-1])
    label = y + 4
    while any(abs(label - other) < 15 for other in ends):
        label += 15
    ends.append(label)
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
    best = best_of(name, points)
    if best is not None:
        x1, y1 = scale(best)
        dot += f'<circle cx="{x1:.1f}" cy="{y1:.1f}" r="6" fill="none" stroke="{colour}"/>'
    line = f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
    return [line, dot, f'<text x="{x + 8:.1f}" y="{label:.1f}">{escape(name[:14])}</text>']


class Scale:
    """Epochs and values as places in the picture."""

    def __init__(self, x: list[float], low: float, high: float, logarithmic: bool) -> None:
        self.x0, self.x1 = min(x), max(x)
        self.low, self.high, self.logarithmic = low, high, logarithmic

    def __call__(self, point: tuple[float, float]) -> tuple[float, float]:
        x, v = point
        right = (x - self.x0) / (self.x1 - self.x0) if self.x1 > self.x0 else 0.5
        low, high, v = (self.bent(n) for n in (self.low, self.high, v))
        up = v / high * 0.5 if not high - low < math.inf else 0.5
        if low < high < math.inf and high - low < math.inf:
            up = (v - low) / (high - low)
        return (LEFT + right * (WIDTH - LEFT - RIGHT),
                TOP + (1 - up) * (HEIGHT - TOP - BELOW))  # fmt: skip

    def bent(self, v: float) -> float:
        """The value on its scale."""
        return math.log10(v) if self.logarithmic else v

    def axes(self) -> list[str]:
        """The two ends of each axis, with a line at the foot."""
        foot, end = HEIGHT - BELOW, WIDTH - RIGHT
        return [
            f'<path d="M{LEFT} {TOP}V{foot}H{end}" fill="none" stroke="currentColor" '
            'stroke-opacity=".6"/>',
            f'<text x="{LEFT - 6}" y="{TOP + 5}" text-anchor="end">{number(self.high)}</text>',
            f'<text x="{LEFT - 6}" y="{foot}" text-anchor="end">{number(self.low)}</text>',
            f'<text x="{LEFT}" y="{foot + 18}">epoch {self.x0:g}</text>',
            f'<text x="{end}" y="{foot + 18}" text-anchor="end">{self.x1:g}</text>',
        ]


def thinned(points: Curve) -> Curve:
    """At most so many points: of each stretch its first, lowest and highest, and the last of all.

    So no peak is hidden by leaving points out.
    """
    if len(points) <= MOST_POINTS:
        return points
    stretch = math.ceil(3 * len(points) / MOST_POINTS)
    kept = set()
    for start in range(0, len(points), stretch):
        part = range(start, min(start + stretch, len(points)))
        by_value = sorted(part, key=lambda i: points[i][1])
        kept |= {start, by_value[0], by_value[-1]}
    return [points[i] for i in sorted(kept | {len(points) - 1})]


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(k for r in rows for k in r))
    shown = rows
    caption = ""
    if len(rows) > MOST_ROWS:
        shown = rows[: MOST_ROWS // 2] + rows[-MOST_ROWS // 2 :]
        caption = f"{len(rows)} epochs; the first and the last {MOST_ROWS // 2} are shown"
    cells = [[_cell(r.get(n)) for n in names] for r in shown]
    return table(names, cells, caption, numbers=range(len(names)))


def _cell(v: Any) -> str:
    if v is None:
        return "not computed"
    return number(v) if isinstance(v, float) else str(v)
