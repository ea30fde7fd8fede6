"""Inside the layers: what the units give, what gradients they get, which of them are dead."""

from __future__ import annotations

from ..markup import counted
from ..train.watch import Look
from ..train.watch.series import dead_since, last_with, names_of
from .charts import BLUE, GREEN, Chart, Histogram, Histograms, said
from .looks import begun, histogram

MOST_LAYERS = 8
MOST_UNITS = 40
HEALTHY = {
    "activations": "Spread out, neither piled up at one end (saturated) nor all at 0 (dead).",
    "gradients": "Centred at 0, of similar width in all layers.",
}
WORDS = {"activations": "what the units give", "gradients": "the gradients of the weights"}


def histograms(looks: list[Look], what: str) -> Chart | None:
    """'activations' or 'gradients' at the start, in the middle and at the end."""
    seen = [k for k in looks if any(histogram(x, what) for x in k.layers)]
    if not seen:
        return None
    chosen = list({k.step: k for k in (seen[0], seen[len(seen) // 2], seen[-1])}.values())
    titles = dict(zip((k.step for k in chosen), _titles(len(chosen)), strict=True))
    names = [n for n in names_of(chosen) if any(
        x.name == n and histogram(x, what) for k in chosen for x in k.layers)]  # fmt: skip
    parts, rows = [], []
    for k in chosen:
        for x in k.layers:
            h = histogram(x, what, f"{titles[k.step]}, {k.when.removeprefix('at ')}")
            if h is None:
                continue
            if x.name in names[:MOST_LAYERS]:
                parts.append(h)
            rows.append([x.name, k.step, h.low, h.high, sum(h.counts),
                         " ".join(map(str, h.counts))])  # fmt: skip
    left = len(names) - MOST_LAYERS
    return Chart(
        what, _title(what, names[0], [p for p in parts if p.row == names[0]]),
        f"Counts {', '.join(k.when for k in chosen)}; {counted(len(names), 'layer')}.",
        f"How often {WORDS[what]} take which value, layer by layer, at {_MOMENTS[len(chosen)]}. "
        "The upright line is 0."
        + (f" {left} more layers are in the table." if left > 0 else ""),
        HEALTHY[what],
        _here(what, chosen),
        ["layer", "step", "low", "high", "values", "counts of equal bins"], rows,
        Histograms("value", parts, BLUE if what == "activations" else GREEN),
    )  # fmt: skip


_MOMENTS = {1: "one moment", 2: "two moments", 3: "three moments"}


def _titles(count: int) -> tuple[str, ...]:
    return {1: ("the one look",), 2: ("start", "end")}.get(count, ("start", "middle", "end"))


def _title(what: str, name: str, parts: list[Histogram]) -> str:
    """How the width of the first layer's values changes."""
    first, last = (p.high - p.low for p in (parts[0], parts[-1]))
    if not (first > 0 and last > 0) or 0.67 < last / first < 1.5:
        return f"The {what} of {name} keep their width"
    word, factor = ("wider", last / first) if last > first else ("narrower", first / last)
    return f"The {what} of {name} get {said(factor, 2)} times {word}"


def _here(what: str, chosen: list[Look]) -> str:
    parts = []
    for x in chosen[-1].layers:
        mean, std, h = x.mean, x.std, histogram(x, what)
        if what == "gradients" and h is not None:
            parts.append(f"{x.name} from {said(h.low, 3)} to {said(h.high, 3)}")
        elif what == "activations" and mean is not None and std is not None:
            parts.append(f"{x.name} has mean {said(mean, 3)} and spread {said(std, 3)}")
    return ("At the end " + "; ".join(parts) + ".") if parts else "Mean and spread: not computed."


def units(looks: list[Look]) -> Chart | None:
    """Dead and saturated units, by name and since when; None where nobody counted them."""
    last = last_with(looks, "dead", "saturated")
    if all(x.dead is None and x.saturated is None for x in last.layers):
        return None
    rows = []
    for x in last.layers:
        since = dead_since(looks, x.name)
        rows.append([x.name, x.activation or "none", x.dead, x.saturated,
                     _units(x.dead_units, since)])  # fmt: skip
    dead = [r for r in rows if isinstance(r[2], float) and r[2] > 0]
    flat = [r for r in rows if isinstance(r[3], float) and r[3] > 0.5]
    title = "No unit is dead and no layer is saturated"
    if dead:
        title = f"{len(dead)} of {len(rows)} layers have dead units"
    elif flat:
        title = f"{flat[0][0]} is saturated"
    elif all(r[2] is None for r in rows):  # no activation that can die
        title = "No layer is saturated"
    elif all(r[3] is None for r in rows):
        title = "No unit is dead"
    return Chart(
        "units", title, f"{begun(last.when)}, the last look that saw it.",
        "The share of units that give 0 for every row looked at (dead), and the share of values "
        "where the activation is flat (saturated), with the units by number from 0.",
        "None dead, few saturated. A dead unit gets no gradient and can't come back by itself.",
        f"{title} {last.when}.",
        ["layer", "activation", "dead", "saturated", "dead units"], rows,
    )  # fmt: skip


def _units(units: list[int] | None, since: dict[int, int]) -> str | None:
    if units is None:
        return None
    shown = ", ".join(f"{u} (since step {since[u]})" for u in units[:MOST_UNITS])
    more = len(units) - MOST_UNITS
    return (shown + (f" and {more} more" if more > 0 else "")) or "none"
