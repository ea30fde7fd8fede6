"""What a chart is, before anyone draws it: numbers, names, and the words that go with them.

    chart   := title, summary, shows, healthy, here, picture?, columns, row*
    picture := lines | heat | histograms
    lines   := panel+ over one x            panel := series+, band?, mark*
    heat    := names by x, one number each
    histograms := a grid of counts

`svg.py` draws a picture once and for all, `vega.py` writes it as a Vega-Lite specification, and the
table of the chart is what remains where nothing can be seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from ..markup import BLUE as BLUE
from ..markup import VERMILLION as VERMILLION

GREEN, PURPLE, GREY = "#009E73", "#CC79A7", "#6E6E6E"
"""Okabe and Ito's colours that keep 3:1 on white and on #111827, and a grey that does."""
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, GREY)
DASHES = ((), (6, 4), (2, 3), (12, 4, 2, 4), (12, 5), (2, 7), (8, 3, 2, 3, 2, 3), (18, 4, 4, 4))
"""Strokes and gaps: lines that colours don't tell apart, on paper or to an eye, these do."""
BAD = "\u2716"
"""The sign in the place of a number that is not finite."""
NONE = "0"
"""The sign in the place of a 0 among powers of ten, which have no colour for it."""
NOT_COMPUTED = "not computed"
FLAT = 120
"""A panel lower than this has the words of its marks above it."""


@dataclass(frozen=True)
class Series:
    """Points in order; where y is None or not finite there is a gap.

    raw: what lies behind a smoothed line, drawn thinner.
    """

    name: str
    x: list[float]
    y: list[float | None]
    colour: str = BLUE
    dash: tuple[int, ...] = ()
    raw: bool = False


@dataclass(frozen=True)
class Panel:
    """Series over the common x; band: (low, high, what it is); marks: (x, what is there).

    share: whether the numbers are shares of 1, which the axis then doesn't leave.
    """

    y_title: str
    series: list[Series]
    log: bool = False
    band: tuple[float, float, str] | None = None
    marks: list[tuple[float, str]] = field(default_factory=list)
    height: int = 220
    share: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the axis: of all values, the band's included, and some room around them."""
        values = [v for s in self.series for v in s.y if v is not None and math.isfinite(v)]
        if self.log:
            values = [v for v in values if v > 0]
        if self.band is not None:
            values += self.band[:2]
        low, high = min(values, default=0.1 if self.log else 0.0), max(values, default=1.0)
        if not self.log:
            room = (high - low) * 0.05 or 0.05 * self.share
            low, high = (0.0 if 0 <= low < 0.3 * high else low - room), high + room
        return (max(low, 0.0), min(high, 1.0)) if self.share else (low, high)


@dataclass(frozen=True)
class Lines:
    """Panels under one another, with one x axis."""

    x_title: str
    panels: list[Panel]


@dataclass(frozen=True)
class Heat:
    """values[i][j]: the number of names[i] at x[j]; None where there is none.

    powers: whether the numbers are powers of ten, -inf that of 0; else they go from 0 to 1.
    """

    x_title: str
    y_title: str
    scale: str
    x: list[float]
    names: list[str]
    values: list[list[float | None]]
    powers: bool = True


@dataclass(frozen=True)
class Histogram:
    """Counts of equally wide bins from low to high."""

    row: str
    column: str
    low: float
    high: float
    counts: list[int]


@dataclass(frozen=True)
class Histograms:
    """A grid of histograms by row and column."""

    x_title: str
    parts: list[Histogram]
    colour: str = BLUE


Picture = Lines | Heat | Histograms


@dataclass(frozen=True)
class Chart:
    """A picture with its words and its table; without a picture there is only the table.

    id: its place on the page.  title: the one thing to take away.  more: how many rows the table
    leaves out.
    """

    id: str
    title: str
    summary: str
    shows: str
    healthy: str
    here: str
    columns: list[str]
    rows: list[list[Any]]
    picture: Picture | None = None
    more: int = 0


def said(value: Any, digits: int = 4) -> str:
    """A value for a reader: numbers with so many digits, None as what it is."""
    if value is None:
        return NOT_COMPUTED
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) < 1e6):
        return f"{int(value):,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(int(value))
    if 1e4 <= abs(value) < 1e9:
        return f"{value:,.0f}".replace(",", "\u202f")
    while f"{value:.{digits}g}" == "1" and value < 1:  # nearly 1 is not 1
        digits += 1
    return f"{value:.{digits}g}"


def figure(value: Any, digits: int = 4) -> str:
    """`said` for a terminal: its digits in one piece, to be copied.

    >>> figure(191688.4), figure(37.30502), figure(0.99997)
    ('191688', '37.31', '0.99997')
    """
    return said(value, digits).replace("\u202f", "")


def percent(share: float, digits: int = 0) -> str:
    """A share of 1 as per cent; 100 only of a share that is 1."""
    while share < 1 and digits < 9 and float(f"{100 * share:.{digits}f}") == 100:
        digits += 1
    return f"{100 * share:.{digits}f} %"


def finite(value: Any) -> bool:
    """Whether it is a number that can be drawn."""
    return isinstance(value, (int, float)) and math.isfinite(value)
