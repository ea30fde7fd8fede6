"""A chart of the report on the terminal: bars for lines, shades for a heat map, a table, words."""

from __future__ import annotations

import math

from ...report.charts import (
    NOT_COMPUTED,
    Chart,
    Heat,
    Histograms,
    Lines,
    Panel,
    Series,
    said,
)
from ...train.watch.series import finite_of, log10, pooled
from ..terminal import Line, Terminal, crop, words
from .draw import Column, table
from .trend import sparkline

NAMES, MOST_ROWS, MOST_CELLS = 19, 24, 120
"""Columns of a name; rows of a heat map or a table; cells of a row."""
TAIL = 24
"""Columns kept for the numbers behind a line."""


def chart_lines(c: Chart, t: Terminal) -> list[Line]:
    """The chart as lines that fit; --plain: its title, summary and what is seen, one a line."""
    if t.plain:
        said_ = dict.fromkeys(s for s in (c.title, c.summary, c.here) if s)
        marks = [f"{p.y_title}: {m}" for p in _panels(c) for m in _marks(p)]
        return [[(_sentence(s), "")] for s in (*said_, *marks)]
    lines = words(c.title, t.width, "strong")
    if isinstance(c.picture, Heat):
        lines += _heat(c.picture, t)
    elif isinstance(c.picture, Lines):
        for panel in c.picture.panels:
            lines += _panel(panel, c.picture.x_title, t)
    elif isinstance(c.picture, Histograms):
        lines += _histograms(c.picture, t)
    else:
        lines += _table(c, t)
    return [crop(line, t.width) for line in [*lines, *words(c.here, t.width, "faint")]]


def _sentence(text: str) -> str:
    return text if text[-1] in ".!?" else text + "."


def _panels(c: Chart) -> list[Panel]:
    return c.picture.panels if isinstance(c.picture, Lines) else []


def _marks(p: Panel) -> list[str]:
    return [f"step {at:g}: {what}" for at, what in p.marks]


def _name(text: str, t: Terminal) -> str:
    """A name cut to its column; the terminal may have no dots in one."""
    return (text if len(text) <= NAMES else text[: NAMES - 2] + "..").ljust(NAMES)


def _room(t: Terminal, tail: int) -> int:
    return max(min(t.width - NAMES - 2 - tail, MOST_CELLS), 5)


def _fitted(values: list[float | None], room: int) -> list[float | None]:
    """As many as there is room for: of many the unusual ones, few each several times."""
    if len(values) >= room:
        return pooled(values, room)
    return [v for v in values for _ in range(room // len(values))]


# ---------------------------------------------------------------- lines


def _panel(p: Panel, x_title: str, t: Terminal) -> list[Line]:
    """A bar line for each series, with its numbers; then what is marked."""
    shown = [s for s in p.series if not s.raw]
    lines: list[Line] = [[(p.y_title, "faint")]]
    lines += [_bars(s, p, t) for s in shown]
    ends = [x for s in shown for x in s.x]
    if ends:
        lines.append([(" " * (NAMES + 1) + f"{x_title} {min(ends):g} to {max(ends):g}", "faint")])
    for mark in _marks(p):
        lines += words(mark, t.width, "", "    ")
    return lines


def _bars(s: Series, p: Panel, t: Terminal) -> Line:
    """Name, bars and ends; on a logarithmic scale 0 is a 0."""
    room = _room(t, TAIL)
    powers = [log10(v) if p.log else v for v in s.y]
    cells = _fitted(powers, room)
    drawn = sparkline([math.nan if v is None else v for v in cells], t.signs.spark, room)
    drawn = "".join("0" if v == -math.inf else c for v, c in zip(cells, drawn, strict=True))
    good = finite_of(s.y)
    if not good:
        return [(_name(s.name, t), ""), (f" {NOT_COMPUTED}", "")]
    tail = f"  {said(good[0], 3)} to {said(good[-1], 3)}"
    return [(f"{_name(s.name, t)} ", ""), (drawn.ljust(room), "bar"), (tail, "")]


def _histograms(g: Histograms, t: Terminal) -> list[Line]:
    """The counts of each part as bars from low to high."""
    lines: list[Line] = []
    for part in g.parts[: 3 * MOST_ROWS]:
        room = min(_room(t, TAIL), len(part.counts))
        counts = [float(n) for n in part.counts]
        cells = [sum(counts[k * len(counts) // room : (k + 1) * len(counts) // room])
                 for k in range(room)]  # fmt: skip
        drawn = sparkline(cells, t.signs.spark, room)
        span = f"  {said(part.low, 2)} to {said(part.high, 2)}"
        head = part.column.split(",")[0]
        lines.append([(_name(f"{part.row} {head}", t), ""), (f" {drawn}", "bar"), (span, "")])
    return lines


# ---------------------------------------------------------------- heat


def _heat(h: Heat, t: Terminal) -> list[Line]:
    """A row of shades for each name: a shade is a power of ten, or a fifth of 0 to 1."""
    rows = [_fitted(row, _room(t, 0)) for row in h.values[:MOST_ROWS]]
    top = math.floor(max(finite_of(v for row in rows for v in row), default=0.0))
    lines: list[Line] = [
        [(f"{_name(name, t)} ", ""), ("".join(_shade(v, h, top, t) for v in row), "bar")]
        for name, row in zip(h.names, rows, strict=False)
    ]
    if len(h.names) > MOST_ROWS:
        lines.append([(f"and {len(h.names) - MOST_ROWS} more", "faint")])
    lines.append([(" " * (NAMES + 1) + f"{h.x_title} {h.x[0]:g} to {h.x[-1]:g}", "faint")])
    return [*lines, *words(_legend(h, top, t), t.width, "faint")]


def _shade(v: float | None, h: Heat, top: int, t: Terminal) -> str:
    shades = t.signs.shades
    if v is None:
        return "?"
    if math.isnan(v) or v == math.inf:
        return t.signs.bad
    last = len(shades) - 1
    if not h.powers:
        return shades[min(max(int(v * len(shades)), 0), last)]
    return "0" if v == -math.inf else shades[max(last + math.floor(v) - top, 0)]


def _legend(h: Heat, top: int, t: Terminal) -> str:
    shades = t.signs.shades
    last = len(shades) - 1
    if not h.powers:
        said_ = [f"{shades[k]} from {k / len(shades):g}" for k in range(last, 0, -1)]
    else:
        said_ = [f"{shades[last - k]} 1e{top - k}" for k in range(last)]
    return (f"{h.scale}: {', '.join(said_)} and up; blank below; 0 none at all; "
            f"{t.signs.bad} not finite; ? not computed")  # fmt: skip


# ---------------------------------------------------------------- table


def _table(c: Chart, t: Terminal) -> list[Line]:
    """The first rows; the last column, where words may be long, stands below its row."""
    rows = c.rows[:MOST_ROWS]
    columns = [
        Column(head, [[(_cell(row[i]), "")] for row in rows], 99 - i,
               any(isinstance(row[i], (int, float)) for row in rows))
        for i, head in enumerate(c.columns)
    ]  # fmt: skip
    wide = columns[-1] if columns[-1].width > t.width // 2 else None
    lines = table(columns[:-1] if wide else columns, t.width)
    if wide is not None:
        for row, cell in zip(rows, wide.cells, strict=True):
            lines += words(f"{row[0]}: {c.columns[-1]} {cell[0][0]}", t.width, "", "    ")
    left = len(c.rows) - len(rows) + c.more
    return [*lines, [(f"and {left} more", "faint")]] if left else lines


def _cell(v: object) -> str:
    return "-" if v is None else said(v, 3)
