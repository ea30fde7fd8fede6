"""Looks as series: a layer's number over the steps, as powers of ten, and in fewer pieces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from ...markup import counted
from .look import Look

LOW, HIGH = 1e-4, 1e-2
"""The usual band of update:weight; 1e-3 is what to aim at."""
FEW = 10
"""So many looks are counted, more are told as a share."""


def names_of(looks: Iterable[Look]) -> list[str]:
    """The layers in the order in which they stand."""
    return list(dict.fromkeys(layer.name for look in looks for layer in look.layers))


def series_of(looks: Sequence[Look], name: str, number: str) -> list[float | None]:
    """A layer's number at every look."""
    layers = [look.layer(name) for look in looks]
    return [None if layer is None else getattr(layer, number) for layer in layers]


def pace_of(looks: Sequence[Look], name: str) -> list[float | None]:
    """A layer's update:weight at every look; None at a step with lr 0, which moves nothing."""
    ratios = series_of(looks, name, "ratio")
    return [None if look.lr == 0 else v for look, v in zip(looks, ratios, strict=True)]


def log10(value: float | None) -> float | None:
    """A power of ten; -inf for 0, nan for what has none.

    >>> log10(0.001), log10(0.0), log10(None)
    (-3.0, -inf, None)
    """
    if value is None or math.isnan(value):
        return value
    return math.log10(value) if value > 0 else -math.inf


def finite_of(values: Iterable[float | None]) -> list[float]:
    """Those that are there and finite."""
    return [v for v in values if v is not None and math.isfinite(v)]


def pooled(values: Sequence[float | None], pieces: int) -> list[float | None]:
    """Of each piece the value that lies farthest from the median; nan and inf win, then -inf.

    >>> pooled([1.0, 1.0, 9.0, 1.0], 2)
    [1.0, 9.0]
    """
    good = finite_of(values)
    middle = median(good) if good else 0.0
    found: list[float | None] = []
    for k in range(pieces):
        part = [v for v in values[k * len(values) // pieces : (k + 1) * len(values) // pieces]
                if v is not None]  # fmt: skip
        bad = sorted((v for v in part if not math.isfinite(v)), key=lambda v: v == -math.inf)
        found.append(bad[0] if bad else max(part, key=lambda v: abs(v - middle), default=None))
    return found


def outside(values: Iterable[float | None]) -> float:
    """The share of the known values that lie outside the usual band of update:weight."""
    held = [v for v in values if v is not None]
    return sum(not LOW <= v <= HIGH for v in held) / len(held) if held else 0.0


def looks_outside(values: Iterable[float | None]) -> str:
    """`outside` in words: of a few looks their number, which a percentage would make more of.

    >>> looks_outside([0.5, 0.001, None])
    '1 of 2 looks'
    """
    held = [v for v in values if v is not None]
    share = outside(held)
    if len(held) <= FEW:
        return f"{round(share * len(held))} of {counted(len(held), 'look')}"
    return f"{100 * share:.0f} % of the looks"


def last_with(looks: Sequence[Look], *numbers: str) -> Look:
    """The last look at which one of these numbers of a layer was computed; else the last one.

    A training that breaks off may end with a look without the probe.
    """
    known = (look for look in reversed(looks) for x in look.layers for n in numbers
             if getattr(x, n) is not None)  # fmt: skip
    return next(known, looks[-1])


def step_of(look: Look) -> str:
    """The step as a table of looks has it; the look that closes a fit stands at none."""
    return "end" if look.closing else str(look.step)


def dead_since(looks: Iterable[Look], name: str) -> dict[int, int]:
    """Since the look at which step each unit of a layer has been dead without a break.

    Looks that did not count dead units say nothing: neither that it is dead, nor that it is not.
    """
    since: dict[int, int] = {}
    for look in looks:
        x = look.layer(name)
        if x is not None and x.dead_units is not None:
            since = {u: since.get(u, look.at) for u in x.dead_units}
    return since
