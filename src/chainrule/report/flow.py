"""How the gradient flows back: its size in every layer over the steps, and what it changed."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

from ..train.watch import Layer, Look
from ..train.watch.series import (
    HIGH,
    LOW,
    finite_of,
    last_with,
    log10,
    looks_outside,
    names_of,
    outside,
    pace_of,
    pooled,
    series_of,
)
from .charts import (
    BAD,
    COLOURS,
    DASHES,
    NONE,
    Chart,
    Heat,
    Lines,
    Panel,
    Series,
    finite,
    said,
)
from .learning import MOST_POINTS
from .looks import begun
from .thin import kept

MOST_COLUMNS, MOST_CELLS, MOST_LINES = 120, 1500, len(DASHES)
ENOUGH = 4
"""So many steps with a number make a line; where there are fewer it is said how to get more."""
FAR = 1e-3
"""A first layer's gradient below this share of the last's is said to vanish."""


def trouble(name: str, powers: dict[str, list[float | None]]) -> float:
    """How far a layer's size typically is from that of the others at the same look, in powers of
    ten; infinite where it once was no number or 0."""
    if any(v is not None and not finite(v) for v in powers[name]):
        return math.inf
    far = []
    for i, value in enumerate(powers[name]):
        others = finite_of(row[i] for n, row in powers.items() if n != name)
        if value is not None and others:
            far.append(abs(value - median(others)))
    return median(far) if far else 0.0


def gradient_flow(looks: list[Look]) -> Chart:
    """The heat map of layers and steps."""
    names = names_of(looks)
    powers = {n: [log10(v) for v in series_of(looks, n, "grad")] for n in names}
    order = sorted(names, key=lambda n: -trouble(n, powers))
    pieces = min(len(looks), MOST_COLUMNS, max(MOST_CELLS // len(names), 20))
    x = [float(looks[k * len(looks) // pieces].step) for k in range(pieces)]
    heat = Heat("step", "layer", "|gradient|", x, order,
                [pooled(powers[n], pieces) for n in order])  # fmt: skip
    last: dict[str, Any] = {
        n: next((v for v in reversed(powers[n]) if v is not None), None) for n in names
    }
    table = kept([powers[n] for n in names], 2 * MOST_COLUMNS)
    grads = {n: series_of(looks, n, "grad") for n in names}
    title, here = _none_words(names, powers, looks) or _flow_words(names, powers)
    return Chart(
        "flow", title,
        "At the last look: " + ", ".join(
            f"{n} {said(0 if v == -math.inf else 10 ** v if finite(v) else v, 3)}"
            for n, v in last.items()
        ) + ".",
        "The size of the gradient of every layer's weights, step by step; a colour step is a share "
        f"of a power of ten, {NONE} a gradient that is exactly 0, {BAD} one that is not finite. "
        "The layer that differs most from the others stands on top. "
        + ("Where several looks share a cell it shows the most unusual of them."
           if pieces < len(looks) else "Every look is a cell.")
        + (" What was seen after the last step stands at the step that would come next."
           if looks[-1].closing else ""),
        "Layers of similar colour, within two powers of ten from first to last layer. Rows that "
        "get darker towards the input are a vanishing gradient, brighter ones an exploding one.",
        here, ["step", *names],
        [[looks[i].step, *(grads[n][i] for n in names)] for i in table],
        heat, len(looks) - len(table),
    )  # fmt: skip


def _none_words(
    names: list[str], powers: dict[str, list[float | None]], looks: list[Look]
) -> tuple[str, str] | None:
    """What is seen where a gradient is exactly 0 at the end: then nothing reaches those weights."""
    since: dict[str, int] = {}
    known = [n for n in names if any(v is not None for v in powers[n])]
    for n in known:
        for v, look in zip(reversed(powers[n]), reversed(looks), strict=True):
            if v is not None and v != -math.inf:
                break
            if v is not None:
                since[n] = look.at
    if not since or any(v == math.inf or v != v for n in names for v in powers[n] if v is not None):
        return None
    all_of = "every layer" if len(since) == len(known) > 1 else " and ".join(list(since)[:2])
    more = f" and {len(since) - 2} more" if all_of != "every layer" and len(since) > 2 else ""
    return (
        f"The gradient of {all_of}{more} is 0: nothing reaches the weights",
        "Exactly 0 to the last look: "
        + ", ".join(f"{n} since step {step}" for n, step in since.items()) + ".",
    )  # fmt: skip


def _flow_words(names: list[str], powers: dict[str, list[float | None]]) -> tuple[str, str]:
    """The title, and what is seen here."""
    bad = [
        n for n in names if any((v is not None and v in (math.inf,)) or v != v for v in powers[n])
    ]
    if bad:
        return f"The gradient of {bad[0]} is not finite", f"Not finite in {', '.join(bad)}."
    ends = []
    for n in (names[0], names[-1]):
        good = [v for v in powers[n] if v is not None and finite(v)]
        ends.append(median(good) if good else None)
    if ends[0] is None or ends[1] is None or len(names) < 2:
        return "The gradient of one layer over the steps", "There are no two layers to compare."
    factor = 10 ** (ends[0] - ends[1])
    words = (f"In the median over the looks the gradient of {names[0]}, the first layer, is "
             f"{said(factor, 3)} times that of {names[-1]}, the last.")  # fmt: skip
    if factor < FAR:
        return f"The gradient vanishes on its way to {names[0]}", words
    if factor > 1 / FAR:
        return f"The gradient grows on its way to {names[0]}", words
    return "The gradient reaches every layer", words


def update_ratios(looks: list[Look]) -> Chart:
    """Size of the update over size of the weights, per layer, with its band."""
    looks = [look for look in looks if not look.closing] or looks  # no step was made with those
    names = names_of(looks)
    ratios = {n: pace_of(looks, n) for n in names}
    apart = {n: outside(ratios[n]) for n in names}
    order = sorted(names, key=lambda n: (-apart[n], -_from_band(ratios[n])))
    shown = order[:MOST_LINES]
    places = kept([ratios[n] for n in names], MOST_POINTS)
    steps = [float(look.step) for look in looks]
    series = [
        Series(n, [steps[i] for i in places], [ratios[n][i] for i in places],
               COLOURS[k % len(COLOURS)], DASHES[k])
        for k, n in enumerate(shown)
    ]  # fmt: skip
    worst = order[0]
    known = [n for n in names if any(v is not None for v in ratios[n])]
    inside = [n for n in known if not apart[n]]
    title = "Every layer changes at a usual pace"
    here = "Inside the band at every look: " + (", ".join(inside) or "no layer") + "."
    told = {n: looks_outside(ratios[n]) for n in order if apart[n]}
    for share in dict.fromkeys(told.values()):
        here += f" {', '.join(n for n in told if told[n] == share)}: outside at {share}."
    most = max(sum(v is not None for v in ratios[n]) for n in names)
    here += _few(most)
    if len(known) < len(names):
        lost = ", ".join(n for n in names if n not in known)
        title = here = f"The pace of {lost} was not computed"
    if apart[worst]:
        title = f"{worst} is outside the usual pace at {looks_outside(ratios[worst])}"
    left = len(names) - len(shown)
    return Chart(
        "ratios", title,
        "Median of update:weight: "
        + ", ".join(f"{n} {said(_median(ratios[n]), 3)}" for n in names) + ".",
        "How much one step changes a layer's weights, as a share of their size."
        + (f" The {left} layers that are least outside the band are in the table only."
           if left else ""),
        f"Between {LOW:g} and {HIGH:g}, the band; near 1e-3 is a good aim. Above it the learning "
        "rate is too high for that layer, below it the layer hardly learns. At the end of a "
        "schedule the pace falls with the learning rate: that is no fault.",
        here,
        ["step", *names], [[looks[i].step, *(ratios[n][i] for n in names)] for i in places],
        None if most < ENOUGH else Lines(
            "step", [Panel("update : weight", series, True, (LOW, HIGH, "usual"), height=240)]
        ),
        len(looks) - len(places),
    )  # fmt: skip


def _from_band(values: list[float | None]) -> float:
    """How far the value farthest outside the band is from it, in powers of ten."""
    powers = [log10(v) for v in values if v is not None and not LOW <= v <= HIGH]
    middle = (math.log10(LOW) + math.log10(HIGH)) / 2
    return max((abs(p - middle) for p in powers if p is not None and p == p), default=0.0)


def _few(most: int) -> str:
    """What helps where hardly a step was looked at."""
    if not 0 < most < ENOUGH:
        return ""
    return (f" Only {most} step{'s were' if most > 1 else ' was'} looked at: train --watch-every "
            "10, or Watch(every=10), looks at more.")  # fmt: skip


def _median(values: list[float | None]) -> float | None:
    good = [v for v in values if v is not None and finite(v)]
    return median(good) if good else None


def _guilty(layer: Layer, gain: float) -> str:
    """Which of the two multipliers is to blame for a gain, where both were computed."""
    weights, slope = layer.weights, layer.slope
    if weights is None or slope is None:
        return "; its weights and slope were not told apart"
    size = "smaller" if gain < 1 else "larger"
    guilty = "slope" if (slope < weights) == (size == "smaller") else "weights"
    return (f"; the {size} multiplier is its {guilty} (weights {said(weights, 3)}, slope "
            f"{said(slope, 3)})")  # fmt: skip


def ledger(looks: list[Look]) -> Chart:
    """Gain = weights times slope, layer by layer, at the last look."""
    last = last_with(looks, "gain")
    at = begun(last.when)
    rows = [[layer.name, layer.activation or "none",
             layer.gain, layer.weights, layer.slope]
            for layer in last.layers]  # fmt: skip
    gains = [(layer.gain, layer) for layer in last.layers
             if layer.gain is not None and finite(layer.gain)]  # fmt: skip
    title = here = "The gain was not computed in any layer"
    if gains:
        gain, layer = max(gains, key=lambda g: abs(log10(g[0]) or 0.0))
        title = f"{layer.name} multiplies the error that reaches it by {said(gain, 3)}"
        here = f"{at} {layer.name} is farthest from 1{_guilty(layer, gain or 0.0)}."
    return Chart(
        "ledger", title,
        f"{at}, the last look that saw it: " + ", ".join(
            f"{layer.name} {said(g, 3)}" for g, layer in gains) + "." if gains else "",
        "How the error changes on its way back through a layer: gain = weights × slope. The last "
        "layer has none: the error starts there.",
        "Gains near 1. A product of many gains below 1 is a vanishing gradient, above 1 an "
        "exploding one; the two multipliers say whether weights or slope are to blame.",
        here, ["layer", "activation", "gain", "weights", "slope"], rows,
    )  # fmt: skip
