"""Pictures as SVG without any program: what a page shows before scripts run, and what is printed.

Colours of text and axes are the page's (classes `ink`, `axis`, `grid`), so one picture does for
light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..markup import colour_at, cut, escape, stretches
from .charts import (
    BAD,
    FLAT,
    NONE,
    Heat,
    Histogram,
    Histograms,
    Lines,
    Panel,
    Picture,
    Series,
    finite,
    said,
)

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 74, 172, 14, 40


class Scale:
    """Numbers onto pixels, linear or by powers of ten."""

    def __init__(self, low: float, high: float, start: float, stop: float, log: bool) -> None:
        self.log = log
        if high <= low:
            room = abs(low) * 0.1 or 1.0
            low, high = (low / 2, high * 2) if log else (low - room, high + room)
        self.low, self.high, self.start, self.stop = low, high, start, stop

    def __call__(self, value: float) -> float:
        at, low, high = value, self.low, self.high
        if self.log:
            at, low, high = (math.log10(max(v, 1e-300)) for v in (value, low, high))
        share = (at - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.stop - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within the scale."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            step = max((last - first) // most + 1, 1)
            found = [10.0**k for k in range(first, last + 1, step)]
            if len(found) >= 2:
                return found
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step_ = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
        count = math.ceil(self.low / step_ - 1e-9)
        found = []
        while count * step_ <= self.high * (1 + 1e-12) + 1e-300 and len(found) < 50:
            found.append(count * step_)
            count += 1
        return found


def draw(picture: Picture, label: str) -> str:
    """The picture as an <svg> with a title for those who cannot see it."""
    if isinstance(picture, Lines):
        body, height = _lines(picture)
    elif isinstance(picture, Heat):
        body, height = _heat(picture)
    else:
        body, height = _histograms(picture)
    return frame(body, label, WIDTH, height)


def frame(body: str, label: str, width: float, height: float) -> str:
    """A drawing of that size; a small one is not blown up."""
    limit = f' style="max-width:{width:g}px"' if width < WIDTH else ""
    return (
        f'<svg class="chart"{limit} viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(label)}</title>{body}</svg>"
    )


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "ink") -> str:
    """Words at a place."""
    return (f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
            f"{escape(words)}</text>")  # fmt: skip


def number(value: float) -> str:
    """A tick's number."""
    if value and (abs(value) >= 1e5 or abs(value) < 1e-3):
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.4g}"


# ---------------------------------------------------------------- lines


def _lines(picture: Lines) -> tuple[str, float]:
    xs = [x for p in picture.panels for s in p.series for x in s.x]
    x = Scale(min(xs, default=0), max(xs, default=1), LEFT, WIDTH - RIGHT, False)
    parts = []
    y = float(TOP)
    for i, panel in enumerate(picture.panels):
        last = i + 1 == len(picture.panels)
        parts.append(_panel(panel, x, y, y + panel.height, picture.x_title if last else ""))
        y += panel.height + (BOTTOM if last else 24)
    return "".join(parts), y


def y_scale(panel: Panel, top: float, bottom: float) -> Scale:
    """The scale of a panel's values, its band included."""
    return Scale(*panel.ends, bottom, top, panel.log)


def _panel(panel: Panel, x: Scale, top: float, bottom: float, x_title: str) -> str:
    y = y_scale(panel, top, bottom)
    parts = [axes(x, y, x_title, panel.y_title)]
    if panel.band is not None:
        low, high, name = panel.band
        parts.append(f'<rect class="band" x="{x.start}" y="{y(high):.1f}" '
                     f'width="{x.stop - x.start}" height="{y(low) - y(high):.1f}"/>')  # fmt: skip
        parts.append(text(x.stop - 4, y(high) + 15, name, "end", "faint"))
    for at, words in panel.marks:
        parts.append(f'<path class="mark" d="M{x(at):.1f} {top:g}V{bottom:g}"/>')
        end = x(at) > (x.start + x.stop) / 2
        at_y = top + 12 if panel.height >= FLAT else top - 5  # a curve would cross the words
        parts.append(text(x(at) + (-5 if end else 5), at_y, words, "end" if end else "start"))
    for s in panel.series:
        parts.append(_series(s, x, y))
    parts.append(_labels(panel.series, x, y, top, bottom))
    return "".join(parts)


def axes(x: Scale, y: Scale, x_title: str, y_title: str) -> str:
    """Lines, ticks and their numbers; without a title x has lines only."""
    parts = []
    for v in y.ticks(5):
        parts.append(f'<path class="grid" d="M{x.start} {y(v):.1f}H{x.stop}"/>')
        parts.append(text(x.start - 8, y(v) + 4, number(v), "end"))
    for v in x.ticks(8):
        parts.append(f'<path class="axis" d="M{x(v):.1f} {y.start:g}v5"/>')
        if x_title:
            parts.append(text(x(v), y.start + 19, number(v), "middle"))
    parts.append(f'<path class="axis" d="M{x.start} {y.stop:g}V{y.start:g}H{x.stop}"/>')
    middle = (y.start + y.stop) / 2
    parts.append(f'<text class="ink" transform="translate(16 {middle:.0f}) rotate(-90)" '
                 f'text-anchor="middle">{escape(y_title)}</text>')  # fmt: skip
    if x_title:
        parts.append(text((x.start + x.stop) / 2, y.start + 37, x_title, "middle"))
    return "".join(parts)


def _series(s: Series, x: Scale, y: Scale) -> str:
    runs: list[list[str]] = [[]]
    lost = []
    for at, v in zip(s.x, s.y, strict=True):
        if v is not None and finite(v) and not (y.log and v <= 0):
            runs[-1].append(f"{x(at):.1f} {y(v):.1f}")
            continue
        if v is not None and not finite(v):
            lost.append(text(x(at), y.stop + 12, BAD, "middle", "bad"))
        if runs[-1]:
            runs.append([])
    style = f'stroke="{s.colour}" class="{"raw" if s.raw else "line"}"'
    dash = dashes(s)
    line = "".join("M" + "L".join(r) for r in runs if len(r) > 1)
    dots = "".join(_dot(r[0], s.colour) for r in runs if len(r) == 1)
    return (f'<path {style}{dash} d="{line}"/>' if line else "") + dots + "".join(lost[:20])


def dashes(s: Series) -> str:
    """How a line is broken, as an attribute."""
    return f' stroke-dasharray="{" ".join(map(str, s.dash))}"' if s.dash else ""


def _dot(place: str, colour: str) -> str:
    cx, cy = place.split()
    return f'<circle cx="{cx}" cy="{cy}" r="3" fill="{colour}"/>'


def _labels(series: Sequence[Series], x: Scale, y: Scale, top: float, bottom: float) -> str:
    """The name of every line at its end, without lying over one another."""
    ends = []
    for s in series:
        last = next((v for v in reversed(s.y) if v is not None and finite(v)), None)
        if last is not None and not s.raw and not (y.log and last <= 0):
            ends.append((y(last), s))
    ends.sort(key=lambda e: e[0])
    spread = apart([e[0] for e in ends], 17, top + 8, bottom)
    parts = []
    for at, (end, s) in zip(spread, ends, strict=True):
        dash = dashes(s)
        parts.append(f'<path class="lead" d="M{x.stop + 2} {end:.1f}L{x.stop + 8} {at:.1f}"/>')
        parts.append(
            f'<path class="line" stroke="{s.colour}"{dash} d="M{x.stop + 8} {at:.1f}h26"/>'
        )
        parts.append(text(x.stop + 38, at + 4, cut(s.name, 19)))
    return "".join(parts)


def apart(places: list[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending places moved as little as keeps them `gap` from each other, within bounds."""
    moved: list[float] = []
    for p in places:
        moved.append(max(p, moved[-1] + gap if moved else low))
    for i in range(len(moved) - 1, -1, -1):
        limit = high if i + 1 == len(moved) else moved[i + 1] - gap
        moved[i] = min(moved[i], limit)
    return moved


# ---------------------------------------------------------------- heat


def _heat(h: Heat) -> tuple[str, float]:
    values = [v for row in h.values for v in row if v is not None and finite(v)]
    low, high = math.floor(min(values, default=-1)), math.ceil(max(values, default=0))
    low, high = (low, max(high, low + 1)) if h.powers else (0, 1)
    each = min(max(260 / max(len(h.names), 1), 17), 34)
    left = 130.0
    width = (WIDTH - left - RIGHT) / max(len(h.x), 1)
    parts = []
    signs: list[str] = []
    cells: dict[str, list[str]] = {}
    for i, (name, row) in enumerate(zip(h.names, h.values, strict=True)):
        top = TOP + i * each
        parts.append(text(left - 8, top + each / 2 + 4, cut(name, 15), "end"))
        for fill, start, stop in stretches([_fill(v, low, high) for v in row]):
            wide = (stop - start) * width + 0.3
            if fill in (LOST, ZERO):
                middle = left + (start + stop) / 2 * width
                sign, kind = (BAD, "bad") if fill == LOST else (NONE, "strong")
                signs.append(text(middle, top + each / 2 + 4, sign, "middle", kind))
            cells.setdefault(fill, []).append(
                f"M{left + start * width:.1f} {top:.1f}h{wide:.1f}v{each - 1:.1f}h{-wide:.1f}z"
            )
    parts += [f'<path {fill} d="{"".join(d)}"/>' for fill, d in cells.items()]
    parts += signs
    bottom = TOP + each * len(h.names)
    for k in sorted({round(j * (len(h.x) - 1) / 6) for j in range(7)}) if h.x else []:
        parts.append(text(left + (k + 0.5) * width, bottom + 18, number(h.x[k]), "middle"))
    parts.append(text((left + WIDTH - RIGHT) / 2, bottom + 36, h.x_title, "middle"))
    return "".join(parts) + _legend(h, low, high), max(bottom + 42, TOP + 220)


LOST, ZERO = 'class="none bad"', 'class="none zero"'
"""Cells that get a sign in place of a colour."""


def _fill(v: float | None, low: int, high: int) -> str:
    if v is None:
        return 'class="none"'
    if math.isnan(v) or v == math.inf:
        return LOST
    if v == -math.inf:
        return ZERO
    step = round((max(v, low) - low) / (high - low) * 24) / 24  # so that neighbours join
    return f'fill="{colour_at(step)}"'


def _legend(h: Heat, low: int, high: int) -> str:
    """The colours with a number at every power of ten, or at the ends; the signs that there are."""
    x, top, height = WIDTH - RIGHT + 16, TOP + 26, 120
    parts = [text(x, TOP + 10, h.scale)]
    values = [v for row in h.values for v in row if v is not None]
    parts += _scale(h, low, high, x, top, height) if any(map(finite, values)) else []
    at = top + height + 21
    parts.append(f'<rect x="{x}" y="{at - 11}" width="18" height="12" class="none"/>')
    parts.append(text(x + 24, at, "not computed", kind="small"))
    for fill, sign, kind, words in ((ZERO, NONE, "strong", "exactly 0"),
                                    (LOST, BAD, "bad", "not finite")):  # fmt: skip
        if any(_fill(v, low, high) == fill for v in values):
            at += 20
            parts.append(text(x + 9, at, sign, "middle", kind))
            parts.append(text(x + 24, at, words, kind="small"))
    return "".join(parts)


def _scale(h: Heat, low: int, high: int, x: float, top: float, height: float) -> list[str]:
    parts = []
    for k in range(24):
        share = 1 - k / 23
        parts.append(f'<rect x="{x}" y="{top + k * height / 24:.1f}" width="18" '
                     f'height="{height / 24 + 0.5:.1f}" fill="{colour_at(share)}"/>')  # fmt: skip
    step = max((high - low) // 6, 1)
    for power in range(low, high + 1, step):
        at = top + height * (high - power) / (high - low)
        parts.append(f'<path class="axis" d="M{x + 18} {at:.1f}h5"/>')
        parts.append(text(x + 27, at + 4, f"1e{power}" if h.powers and power else f"{power:d}"
                          if not h.powers else "1"))  # fmt: skip
    return parts


# ---------------------------------------------------------------- histograms


def _histograms(g: Histograms) -> tuple[str, float]:
    rows = list(dict.fromkeys(p.row for p in g.parts))
    columns = list(dict.fromkeys(p.column for p in g.parts))
    left, each = 110.0, 92.0
    width = (WIDTH - left - 10) / max(len(columns), 1)
    parts = [text(left + (j + 0.5) * width, 16, cut(c, 28), "middle")
             for j, c in enumerate(columns)]  # fmt: skip
    for p in g.parts:
        i, j = rows.index(p.row), columns.index(p.column)
        parts.append(histogram(p, left + j * width + 8, 26 + i * each, width - 16, each - 34,
                               g.colour))  # fmt: skip
    for i, name in enumerate(rows):
        parts.append(text(left - 8, 26 + i * each + 34, cut(name, 14), "end"))
    bottom = 26 + each * len(rows)
    parts.append(text((left + WIDTH) / 2, bottom + 12, g.x_title, "middle"))
    return "".join(parts), bottom + 22


def histogram(h: Histogram, x: float, y: float, width: float, height: float, colour: str) -> str:
    """Bars with the ends of their axis."""
    top = max(h.counts, default=0) or 1
    each = width / max(len(h.counts), 1)
    bars = "".join(f"V{y + height - n / top * height:.1f}h{each:.2f}" for n in h.counts)
    bars = f"M{x:.1f} {y + height:.1f}{bars}V{y + height:.1f}z" if any(h.counts) else ""
    parts = [f'<path fill="{colour}" d="{bars}"/>'] if bars else []
    parts.append(f'<path class="axis" d="M{x:.1f} {y + height:.1f}h{width:.1f}"/>')
    if h.low < 0 < h.high:
        zero = x + width * -h.low / (h.high - h.low)
        parts.append(f'<path class="mark" d="M{zero:.1f} {y:.1f}v{height:.1f}"/>')
    parts.append(text(x, y + height + 14, said(h.low, 2), kind="small"))
    parts.append(text(x + width, y + height + 14, said(h.high, 2), "end", "small"))
    return "".join(parts)
