"""A watch in a notebook: how gradients flow, what they change, and what units give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from ...markup import block, colour_at, cut, escape, folded, number, picture, stretches, table
from .activations import activation_parts
from .series import (
    HIGH,
    LOW,
    dead_since,
    finite_of,
    last_with,
    log10,
    looks_outside,
    names_of,
    outside,
    pace_of,
    pooled,
    series_of,
    step_of,
)

if TYPE_CHECKING:
    from .look import Layer, Look
    from .watch import Watch

WIDTH, LEFT, RIGHT, TOP, ROW, BELOW = 560, 110, 96, 6, 20, 26
MOST_COLUMNS, MOST_LAYERS, MOST_LOOKS, MOST_UNITS = 80, 24, 100, 20
SHADES = 12
NONE = "not computed"
SIGNS = {"bad": "\u2716", "zero": "0"}
"""In place of a colour: a number that is not finite, and one that is 0."""


def watch_html(watch: Watch) -> str:
    """Static HTML of what a watch saw."""
    looks = watch.looks
    if not looks:
        return block("Watch: no look yet", f"<p>{escape(watch.problem or 'No step was made.')}</p>")
    steps = f"steps {looks[0].at} to {looks[-1].at}"
    return block(f"Watch: {len(looks)} looks, {steps}", *figures(watch))


def figures(watch: Watch) -> list[str]:
    """Heat maps of gradients, update:weight and what units give, the last look; all as tables."""
    looks = watch.looks
    names, last = names_of(looks), last_with(looks, "gain", "dead", "saturated")
    if not names:
        return ["<p>No layer with weights.</p>"]
    return [
        _figure(looks, names, "grad", "|gradient| by layer and step", _flow(looks, names)),
        _figure(looks, names, "ratio", "update:weight by layer and step", _pace(looks, names)),
        table(("layer", "|gradient|", "update:weight", "gain = weights \u00d7 slope", "dead",
               "flat", "dead units"), [_last(looks, x) for x in last.layers],
              f"The last look that saw all of it, {last.when}; dead and flat on "
              f"{watch.data}",
              numbers=range(1, 6)),
        *activation_parts(looks, watch.data),
        folded("gradients as a table", _table(looks, names, "grad")),
        folded("update:weight as a table", _table(looks, names, "ratio")),
    ]  # fmt: skip


def _flow(looks: Sequence[Look], names: list[str]) -> str:
    """The gradient in a sentence."""
    found = {n: finite_of(series_of(looks, n, "grad")) for n in names}
    text = "Median |gradient|: " + ", ".join(
        f"{n} {number(median(v))}" if v else f"{n} {NONE}" for n, v in found.items())  # fmt: skip
    odd = [n for n in names if any(v is not None and not math.isfinite(v)
                                   for v in series_of(looks, n, "grad"))]  # fmt: skip
    return text + (f". Not finite in {', '.join(odd)}." if odd else ".")


def _pace(looks: Sequence[Look], names: list[str]) -> str:
    """What lies outside the usual band."""
    ratios = {n: pace_of(looks, n) for n in names}
    apart = [f"{n} at {looks_outside(r)}" for n, r in ratios.items() if outside(r)]
    band = f"the usual {LOW:g} to {HIGH:g}"
    if not any(v is not None for row in ratios.values() for v in row):
        return "update:weight was not computed."
    return f"Outside {band}: {', '.join(apart)}." if apart else f"Every layer is within {band}."


def _figure(looks: Sequence[Look], names: list[str], what: str, title: str, says: str) -> str:
    shown = names[:MOST_LAYERS]
    if len(names) > len(shown):
        says += f" {len(names) - len(shown)} more layers are in the table."
    pieces = min(len(looks), MOST_COLUMNS)
    powers = {n: pooled([log10(v) for v in series_of(looks, n, what)], pieces) for n in shown}
    good = finite_of(v for row in powers.values() for v in row)
    low, high = math.floor(min(good, default=-1)), math.ceil(max(good, default=0))
    high = max(high, low + 1)
    parts = _cells(powers, low, high)
    foot = TOP + ROW * len(shown)
    parts.append(f'<text x="{LEFT}" y="{foot + 18}">step {looks[0].at}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{foot + 18}" text-anchor="end">'
                 f"{looks[-1].at}</text>")  # fmt: skip
    decades = range(high, low - 1, -max((high - low) // 4, 1))
    for i, power in enumerate(decades):
        y = TOP + 4 + i * 18
        colour = colour_at((power - low) / (high - low))
        parts.append(f'<rect x="{WIDTH - RIGHT + 14}" y="{y}" width="14" height="14" '
                     f'fill="{colour}" stroke="currentColor"/>'
                     f'<text x="{WIDTH - RIGHT + 34}" y="{y + 12}">1e{power}</text>')  # fmt: skip
    height = max(foot + BELOW, TOP + 18 * len(decades) + 8)
    drawn = picture(WIDTH, height, title, says, *parts)
    return f"<figure>{drawn}<figcaption>{escape(f'{title}. {says}')}</figcaption></figure>"


def _cells(powers: dict[str, list[float | None]], low: int, high: int) -> list[str]:
    """A row of cells for each layer; what is not finite has a sign, what is missing a frame."""
    parts = []
    for i, (name, row) in enumerate(powers.items()):
        top, width = TOP + i * ROW, (WIDTH - LEFT - RIGHT) / len(row)
        parts.append(f'<text x="{LEFT - 8}" y="{top + 14}" text-anchor="end">'
                     f"{escape(cut(name, 14))}</text>")  # fmt: skip
        for fill, first, last in stretches([_fill(v, low, high) for v in row]):
            x, wide = LEFT + first * width, (last - first) * width
            style = f'fill="{fill}"' if fill[0] == "#" else 'fill="none" stroke="currentColor"'
            parts.append(f'<rect x="{x:.1f}" y="{top}" width="{wide:.1f}" height="{ROW - 2}" '
                         f"{style}/>")  # fmt: skip
            if fill in SIGNS:
                parts.append(f'<text x="{x + wide / 2:.1f}" y="{top + 14}" '
                             f'text-anchor="middle">{SIGNS[fill]}</text>')  # fmt: skip
    return parts


def _fill(v: float | None, low: int, high: int) -> str:
    if v is None:
        return "none"
    if not math.isfinite(v):
        return "zero" if v == -math.inf else "bad"
    return colour_at(round((max(v, low) - low) / (high - low) * SHADES) / SHADES)


def _last(looks: Sequence[Look], x: Layer) -> list[str]:
    gain = NONE if x.gain is None else number(x.gain)
    if x.gain is not None and x.weights is not None and x.slope is not None:
        gain += f" = {number(x.weights)} \u00d7 {number(x.slope)}"
    since = dead_since(looks, x.name)
    units = [f"{u} (since step {since[u]})" for u in (x.dead_units or [])[:MOST_UNITS]]
    more = len(x.dead_units or []) - len(units)
    said = ", ".join(units) + (f" and {more} more" if more else "")
    shares = [NONE if v is None else f"{100 * v:.0f} %" for v in (x.dead, x.saturated)]
    return [x.name, _cell(x.grad), _cell(x.ratio), gain, *shares,
            NONE if x.dead_units is None else said or "none"]  # fmt: skip


def _table(looks: Sequence[Look], names: list[str], what: str) -> str:
    pieces = min(len(looks), MOST_LOOKS)
    places = [k * len(looks) // pieces for k in range(pieces)]
    columns = [series_of([looks[i] for i in places], n, what) for n in names]
    rows = [[step_of(looks[i]), *(_cell(c[k]) for c in columns)] for k, i in enumerate(places)]
    left = len(looks) - pieces
    caption = f"{pieces} of {len(looks)} looks, evenly spread" if left else ""
    return table(["step", *names], rows, caption, numbers=range(len(names) + 1))


def _cell(v: float | None) -> str:
    return NONE if v is None else number(v)
