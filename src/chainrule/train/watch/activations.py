"""What units give over the steps, in a notebook: histograms side by side, dead units, flat ones.

A look without the probe leaves a gap: what was not computed is not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from statistics import median

from ...markup import BLUE, VERMILLION, cut, escape, folded, number, picture, table
from .look import BINS, Bins, Layer, Look
from .series import dead_since, names_of, step_of

WIDTH, LEFT, RIGHT, TOP, ROW, BELOW = 560, 110, 96, 20, 4, 24
ROWS, SHARES = 20, 34
"""Parts of the axis of values, and how high the panel of shares is."""
MOST_COLUMNS, MOST_LAYERS, MOST_LINES, MOST_UNITS = 60, 6, 120, 12
SHADES = 8
BENT = 20.0
"""Where the widest histogram is so many times the median one, the axis is logarithmic far out."""
SAID = (
    "Each column is a look on {data}, in evaluation mode; the stronger the blue, the more values "
    "lie there. A framed column is a look without them. Dead: a unit that gives 0 on more than "
    "99 % of these rows. Flat: values of tanh beyond 0.97 either way, of sigmoid outside 0.03 to "
    "0.97."
)


def activation_parts(looks: Sequence[Look], data: str) -> list[str]:
    """A picture of each layer and the tables.  data: the rows that the looks are on, in words."""
    names = [n for n in names_of(looks) if any(_bins(x.layer(n)) for x in looks)]
    if not names:
        return ["<p>What the units give was not computed.</p>"]
    more = len(names) - MOST_LAYERS
    left = f" {more} more layer{'s are' if more > 1 else ' is'} in the table." if more > 0 else ""
    return [
        f"<p>What the units give, layer by layer. {escape(SAID.format(data=data) + left)}</p>",
        *(_figure(looks, n, data) for n in names[:MOST_LAYERS]),
        folded("what the units give as a table", _table(looks, names)),
        folded("dead units by number", _units(looks, names, data)),
    ]


def _figure(looks: Sequence[Look], name: str, data: str) -> str:
    layers = [looks[i].layer(name) for i in _spread(len(looks), MOST_COLUMNS)]
    held = [_bins(x) for x in layers]
    values = Values([h for h in held if h is not None])
    each = (WIDTH - LEFT - RIGHT) / len(held)
    parts = [f'<text x="{LEFT}" y="14">{escape(cut(_named(looks, name), 60))}</text>']
    parts += _cells([None if h is None else values.shares(h) for h in held], each)
    parts += _axis(values)
    foot = TOP + ROWS * ROW
    lines = [_line([getattr(x, key, None) for x in layers], each, foot + 12, colour, dash, word)
             for key, colour, dash, word in (("dead", BLUE, "", "dead"),
                                             ("saturated", VERMILLION, "5 3", "flat"))]  # fmt: skip
    if any(lines):
        parts += [_text(LEFT - 8, foot + 20, "100 %", "end"),
                  _text(LEFT - 8, foot + 12 + SHARES, "0 %", "end"), *lines,
                  _rule(foot + 12 + SHARES)]  # fmt: skip
        foot += 12 + SHARES
    parts.append(_text(LEFT, foot + 18, f"step {looks[0].at}"))
    parts.append(_text(WIDTH - RIGHT, foot + 18, str(looks[-1].at), "end"))
    title, says = f"What {name} gives", _said(looks, name, data, values.bent)
    drawn = picture(WIDTH, foot + BELOW, title, says, *parts)
    return f"<figure>{drawn}<figcaption>{escape(f'{title}. {says}')}</figcaption></figure>"


class Values:
    """An axis of values for several histograms; logarithmic far out where they differ widely."""

    def __init__(self, held: Sequence[Bins]) -> None:
        self.least, self.most = min(h.low for h in held), max(h.high for h in held)
        halves = [w for h in held if (w := h.high / 2 - h.low / 2) > 0]
        self.unit = median(halves) if halves else 1.0
        self.bent = self.most / 2 - self.least / 2 > BENT * self.unit
        low, high = self._on(self.least), self._on(self.most)
        room = 0.0 if high > low else max(abs(low) * 0.1, 1e-30)
        self.low, self.high = low - room, high + room

    def _on(self, v: float) -> float:
        times = v / self.unit
        if not self.bent:
            return times
        if math.isfinite(times):
            return math.asinh(times)
        return math.copysign(math.log(2) + math.log(abs(v)) - math.log(self.unit), v)

    def at(self, v: float) -> float:
        """Where a value lies, from 0 to 1."""
        return (self._on(v) - self.low) / (self.high - self.low)

    def shares(self, h: Bins) -> list[float]:
        """The share of a histogram's values in each of ROWS equal parts of the axis, from below.

        >>> values = Values([Bins(0.0, 1.0, [1] * 40)])
        >>> [round(v, 3) for v in values.shares(Bins(0.0, 0.5, [1] * 40))[8:12]]
        [0.1, 0.1, 0.0, 0.0]
        """
        found, total = [0.0] * ROWS, max(sum(h.counts), 1)
        edges = [ROWS * self.at(_along(h, k / BINS)) for k in range(BINS + 1)]
        for k, count in enumerate(h.counts):
            if not count:
                continue
            low, high = edges[k], max(edges[k + 1], edges[k])
            first, last = (min(max(int(v), 0), ROWS - 1) for v in (low, high))
            if first == last or h.low == h.high:
                found[first] += count / total
                continue
            for i in range(first, last + 1):
                part = (min(high, i + 1) - max(low, i)) / (high - low)
                found[i] += max(part, 0.0) * count / total
        return found


def _cells(columns: Sequence[list[float] | None], each: float) -> list[str]:
    """The histograms side by side, one path for each shade; a frame where there is none."""
    top = max(v for c in columns if c is not None for v in c)
    paths: dict[int, list[str]] = {}
    frames = []
    for j, column in enumerate(columns):
        x = LEFT + j * each
        if column is None:
            frames.append(f'<rect x="{x:.1f}" y="{TOP}" width="{each:.1f}" height="{ROWS * ROW}" '
                          'fill="none" stroke="currentColor" stroke-opacity="0.5"/>')  # fmt: skip
            continue
        shades = [math.ceil(SHADES * math.sqrt(v / top)) if v > 0 else 0 for v in column]
        i = 0
        for shade, group in groupby(shades):
            high = len(list(group))
            y = TOP + (ROWS - i - high) * ROW
            i += high
            if shade:
                paths.setdefault(shade, []).append(
                    f"M{x:.1f} {y}h{each:.1f}v{high * ROW}h-{each:.1f}z")  # fmt: skip
    drawn = [f'<path fill="{BLUE}" fill-opacity="{s / SHADES:g}" d="{"".join(d)}"/>'
             for s, d in sorted(paths.items())]  # fmt: skip
    return [*frames, *drawn, *_legend(top)]


def _legend(top: float) -> list[str]:
    """What a shade stands for."""
    parts = []
    for i, shade in enumerate((SHADES, SHADES * 3 // 4, SHADES // 2, SHADES // 4)):
        y = TOP + i * 18
        parts.append(f'<rect x="{WIDTH - RIGHT + 14}" y="{y}" width="14" height="14" fill="{BLUE}" '
                     f'fill-opacity="{shade / SHADES:g}" stroke="currentColor"/>')  # fmt: skip
        share = 100 * top * (shade / SHADES) ** 2
        parts.append(_text(WIDTH - RIGHT + 34, y + 12, f"{share:.2g} %"))
    return parts


def _axis(values: Values) -> list[str]:
    """The ends of the axis of values, and its 0."""
    parts = [_text(LEFT - 8, TOP + 10, f"{values.most:.3g}", "end"),
             _text(LEFT - 8, TOP + ROWS * ROW, f"{values.least:.3g}", "end")]  # fmt: skip
    if values.least < 0 < values.most:
        y = TOP + ROWS * ROW * (1 - values.at(0.0))
        parts.append(_rule(y))
        if TOP + 24 < y < TOP + ROWS * ROW - 14:
            parts.append(_text(LEFT - 8, round(y) + 5, "0", "end"))
    return parts


def _line(shares: Sequence[float | None], each: float, top: float, colour: str, dash: str,
          word: str) -> str:  # fmt: skip
    """A share over the steps, broken where it is not known; nothing where it never is."""
    known = [v for v in shares if v is not None and math.isfinite(v)]
    if not known:
        return ""
    path, broken = [], True
    for j, v in enumerate(shares):
        if v is None or not math.isfinite(v):
            broken = True
            continue
        y = top + SHARES * (1 - v)
        path.append(f"M{LEFT + j * each:.1f} {y:.1f}" if broken else f"V{y:.1f}")
        path.append(f"h{each:.1f}")
        broken = False
    style = f' stroke-dasharray="{dash}"' if dash else ""
    y = top + SHARES * (1 - known[-1])
    return (
        f'<path fill="none" stroke="{colour}" stroke-width="2"{style} d="{"".join(path)}"/>'
        + _text(WIDTH - RIGHT + 6, round(y) + 5, f"{word} {_percent(known[-1])}")
    )


def _rule(y: float) -> str:
    return (f'<path fill="none" stroke="currentColor" stroke-opacity="0.5" '
            f'd="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')  # fmt: skip


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


# ---------------------------------------------------------------- in words


def _said(looks: Sequence[Look], name: str, data: str, bent: bool) -> str:
    """A layer's course in sentences."""
    known = [(k.at, x) for k in looks if (x := k.layer(name)) is not None and _bins(x)]
    ends = known[:: len(known) - 1] if len(known) > 1 else known
    said = ["; ".join(f"step {step}: {_ends_of(x)}" for step, x in ends) + "."]
    if all(x.dead is None and x.saturated is None for _, x in known):
        said.append("Dead units are counted after a ReLU, flat values after tanh and sigmoid.")
    elif known[-1][1].dead_units is not None:
        said.append(_dead(looks, name, data))
    gaps = len(looks) - len(known)
    if gaps:
        said.append(f"{gaps} of {len(looks)} looks did not compute it.")
    if bent:
        said.append("The axis of values is logarithmic far from 0.")
    return " ".join(said)


def _ends_of(x: Layer) -> str:
    h = _bins(x)
    assert h is not None
    shares = [f"{_percent(v)} {word}" for v, word in ((x.dead, "dead"), (x.saturated, "flat"))
              if v is not None]  # fmt: skip
    return ", ".join([f"from {number(h.low)} to {number(h.high)}", *shares])


def _dead(looks: Sequence[Look], name: str, data: str) -> str:
    since = dead_since(looks, name)
    if not since:
        return f"No unit is dead on {data}."
    units = [f"{u} (since step {s})" for u, s in sorted(since.items())[:MOST_UNITS]]
    more = len(since) - len(units)
    return (f"Dead on {data}: unit{'s' * (len(since) > 1)} {', '.join(units)}"
            + (f" and {more} more" if more else "") + ".")  # fmt: skip


def _table(looks: Sequence[Look], names: Sequence[str]) -> str:
    each = max(MOST_LINES // len(names), 3)
    places = _spread(len(looks), each)
    rows = []
    for name in names:
        for i in places:
            x = looks[i].layer(name)
            h = _bins(x)
            five = ["not computed"] * 5 if h is None else [
                number(quantile(h, q)) for q in (0.0, 0.25, 0.5, 0.75, 1.0)]  # fmt: skip
            shares = [getattr(x, key, None) for key in ("dead", "saturated")]
            said = ["not computed" if v is None else _percent(v) for v in shares]
            rows.append([name, step_of(looks[i]), *five, *said])
    left = len(looks) > len(places)
    caption = f"{len(places)} of {len(looks)} looks, evenly spread" if left else ""
    head = ("layer", "step", "least", "a quarter below", "half below", "three quarters below",
            "greatest", "dead", "flat")  # fmt: skip
    return table(head, rows, caption, numbers=range(1, 9))


def _units(looks: Sequence[Look], names: Sequence[str], data: str) -> str:
    """Every dead unit by its number, those of one moment together."""
    rows = []
    for name in names:
        since = dead_since(looks, name)
        for step in sorted(set(since.values())):
            units = sorted(u for u, s in since.items() if s == step)
            rows.append([name, str(step), str(len(units)), runs_of(units), data])
    if not rows:
        return f"<p>No unit is dead on {escape(data)}.</p>"
    return table(("layer", "since step", "units", "by number, from 0", "0 on"), rows,
                 numbers=(1, 2))  # fmt: skip


def runs_of(numbers: Sequence[int]) -> str:
    """Numbers in order, neighbours as one.

    >>> runs_of([0, 1, 2, 7, 9])
    '0-2, 7, 9'
    """
    found: list[list[int]] = []
    for n in numbers:
        if found and found[-1][1] == n - 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def quantile(h: Bins, share: float) -> float:
    """The value below which a share of a histogram's values lies.

    >>> quantile(Bins(0.0, 40.0, [1] * 40), 0.25)
    10.0
    """
    wanted, seen = share * sum(h.counts), 0
    for k, count in enumerate(h.counts):
        if count and seen + count >= wanted:
            return _along(h, (k + (wanted - seen) / count) / BINS)
        seen += count
    return h.high


def _along(h: Bins, place: float) -> float:
    """The value at a place of a histogram, from 0 for its low end to 1 for its high one."""
    wide = h.high - h.low
    if math.isinf(wide):
        return h.low * (1 - place) + h.high * place
    return min(h.low + wide * place, h.high)  # a sum of parts would lose the smallest numbers


def _named(looks: Sequence[Look], name: str) -> str:
    """The layer, with its activation where one is known."""
    kinds = [x.activation for k in looks if (x := k.layer(name)) is not None and x.activation]
    return f"{name}, {kinds[-1]}" if kinds else name


def _bins(x: Layer | None) -> Bins | None:
    """The histogram of what a layer gives, where it has finite ends."""
    h = None if x is None else x.activations
    return h if h is not None and math.isfinite(h.low) and math.isfinite(h.high) else None


def _spread(size: int, most: int) -> list[int]:
    """Places evenly spread, the first and the last among them."""
    pieces = min(size, most)
    return [k * (size - 1) // (pieces - 1) for k in range(pieces)] if pieces > 1 else [0]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
