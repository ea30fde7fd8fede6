"""Learning curves: loss and metrics over the steps, the learning rate below."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..markup import counted
from ..train.metrics import METRICS
from .charts import (
    BLUE,
    COLOURS,
    DASHES,
    GREEN,
    PURPLE,
    VERMILLION,
    Chart,
    Lines,
    Panel,
    Series,
    finite,
    percent,
    said,
)  # fmt: skip
from .thin import kept, smoothed

MOST_POINTS, MOST_ROWS, MOST_DROPS = 320, 60, 4
"""Of each series in a picture and in a table; and marked drops of the learning rate."""
APART = 100
"""A loss whose values are so many times apart, and above 0, has a logarithmic scale."""
SMOOTH_FROM = 40
"""Epochs from which a smoothed line is drawn over the raw one."""
NOT_METRICS = {"epoch", "step", "loss", "val_loss", "lr", "grad_norm", "seconds"}


BOTH = (
    " (solid) and on the rows held back for validation (dashed); below, what else was measured",
    "Both losses fall and then level off close to each other. Training that goes on falling while "
    "validation rises is learning by heart",
)
JUDGED = (
    "; below, what was measured on rows held back for validation",
    "The loss falls, and what was measured on the rows held back gets better and then levels off. "
    "Where it gets worse while the loss goes on falling, the rows are learned by heart",
)
ALONE = ("; below, what else was measured", "The loss falls and then levels off")
"""What a chart shows and what is healthy, with a validation loss, with only metrics of rows held
back, and without such rows."""


def column(rows: list[dict[str, Any]], name: str) -> list[float | None]:
    """A column of the log; None in rows without it."""
    return [float(v) if isinstance(v := row.get(name), (int, float)) else None for row in rows]


def best_of(
    values: Sequence[float | None], largest: bool = False, last: bool = False
) -> int | None:
    """Where the best value stands: of equal ones the first, or the last."""
    good = [i for i, v in enumerate(values) if finite(v)]
    pick = max if largest else min
    return pick(reversed(good) if last else good, key=lambda i: values[i] or 0.0) if good else None


def higher_is_better(name: str) -> bool:
    """Whether a column of the log is better the higher it is."""
    metric = METRICS.get(name.removeprefix("val_"))
    return "acc" in name if metric is None else metric.higher_is_better


def _called(name: str) -> str:
    """A column that is neither a loss nor a rate, at the start of a sentence."""
    if not name.startswith("val_"):
        return name
    return f"Validation {name.removeprefix('val_').replace('_', ' ')}"


def learning(rows: list[dict[str, Any]]) -> Chart | None:
    """The chart of a run's log; None before its first epoch."""
    if not rows:
        return None
    columns = {k: column(rows, k) for k in _names(rows)}
    steps = [float(row.get("step", i)) for i, row in enumerate(rows, 1)]
    best = best_of(columns["val_loss"]) if "val_loss" in columns else None
    chosen = kept([v for k, v in columns.items() if k != "lr"], MOST_POINTS)
    loss = _loss(columns, steps, chosen, rows, best)
    panels = [loss]
    panels += [
        _panel(columns, steps, chosen, [k], k.removeprefix("val_").replace("_", " "), PURPLE)
        for k in columns
        if k not in ("loss", "val_loss", "lr")
    ]
    if "lr" in columns:
        panels.append(_rate(columns, steps, chosen))
    seen = BOTH if "val_loss" in columns else (
        JUDGED if any(k.startswith("val_") for k in columns) else ALONE)  # fmt: skip
    return Chart(
        "learning", _title(columns, best, rows), _summary(columns, rows),
        f"The loss after every epoch, on the rows learned from{seen[0]}, and the learning rate at "
        "the same steps. Where a line is smoothed, the raw values lie thin behind it."
        + (" The loss stands on a logarithmic scale, since its values are more than a hundred "
           "times apart." if loss.log else ""),
        f"{seen[1]}; a loss that jumps or rises asks for a smaller learning rate.",
        " ".join([_here(columns, best, rows), *(e.sentence for e in events(columns, steps))]),
        ["epoch", "step", *columns],
        [[rows[i].get("epoch"), rows[i].get("step"), *(columns[k][i] for k in columns)]
         for i in chosen],
        Lines("step", panels), len(rows) - len(chosen),
    )  # fmt: skip


def _scaled(title: str, series: list[Series], log: bool) -> Panel:
    """A panel whose title says that its scale is logarithmic, where it is."""
    return Panel(f"{title} (log scale)" if log else title, series, log)


def _names(rows: list[dict[str, Any]]) -> list[str]:
    found = dict.fromkeys(k for row in (rows[0], rows[-1]) for k, v in row.items()
                          if k not in NOT_METRICS and isinstance(v, (int, float)))  # fmt: skip
    ends = [k for k in ("loss", "val_loss") if k in rows[0] or k in rows[-1]]
    return [*ends, *list(found)[:3], *(["lr"] if "lr" in rows[-1] else [])]


def _loss(columns: Any, steps: Any, chosen: Any, rows: Any, best: int | None) -> Panel:
    names = [k for k in ("loss", "val_loss") if k in columns]
    panel = _panel(columns, steps, chosen, names, "loss", BLUE)
    if best is not None:
        panel.marks.append((steps[best], f"best, epoch {rows[best].get('epoch')}"))
    return panel


def _panel(
    columns: Any, steps: list[float], chosen: list[int], names: list[str], title: str, first: str
) -> Panel:
    series = []
    looks = {
        "loss": ("training", BLUE, DASHES[0]),
        "val_loss": ("validation", VERMILLION, DASHES[1]),
    }
    for k in names:
        name, colour, dash = looks.get(k, (_called(k).lower(), first, DASHES[1]))
        x = [steps[i] for i in chosen]
        y = [columns[k][i] for i in chosen]
        if len(steps) >= SMOOTH_FROM:
            series.append(Series(f"{name}, raw", x, y, colour, dash, raw=True))
            smooth = smoothed(columns[k], max(len(steps) // 60, 1))
            y = [smooth[i] for i in chosen]
        series.append(Series(name, x, y, colour, dash))
    values = [v for s in series for v in s.y if finite(v) and v is not None]
    share = _of_shares(names[0]) and all(0 <= v <= 1 for v in values)
    wide = title == "loss" and max(values, default=1) > APART * min(values, default=1) > 0
    return replace(_scaled(title, series, wide), share=share)


def _of_shares(name: str) -> bool:
    """Whether a column of the log is a share of 1, as far as its name tells."""
    metric = METRICS.get(name.removeprefix("val_"))
    return "acc" in name if metric is None else metric.share


def _rate(columns: Any, steps: list[float], chosen: list[int]) -> Panel:
    lr = columns["lr"]
    places = sorted({*chosen, *kept([lr], 200)})
    line = Series("learning rate", [steps[i] for i in places], [lr[i] for i in places], GREEN)
    marks = [(e.step, e.mark) for e in events(columns, steps)]
    return Panel("learning rate", [line], height=90, marks=marks)


@dataclass(frozen=True)
class Event:
    """What the learning rate did at a step, for a mark and as a sentence with its effect."""

    step: float
    mark: str
    sentence: str


def events(columns: Any, steps: list[float]) -> list[Event]:
    """The end of a warm-up and the steps down of the learning rate, with what the loss did."""
    lr, loss = columns.get("lr"), columns["loss"]
    top = best_of(lr, largest=True) if lr else None
    if top is None:
        return []
    found = []
    if lr[top] and lr[0] is not None and lr[0] < lr[top] and _rises(lr[: top + 1]):
        effect = f", loss {said(loss[0], 3)} to {said(loss[top], 3)}" if finite(loss[top]) else ""
        place = f"The warm-up of the learning rate ends at step {steps[top]:g}"
        found.append(Event(steps[top], f"warm-up ends{effect}", f"{place}{effect}."))
    return found + [
        Event(steps[i], f"× {factor:.2g}{_effect(change, ', loss {:+.0f} %')}",
              f"At step {steps[i]:g} the learning rate is multiplied by {factor:.2g}"
              + (f": the loss {'rose' if change > 0 else 'fell'} by {abs(change):.3g} %."
                 if change is not None else "."))
        for i, factor, change in _drops(lr, loss)
    ]  # fmt: skip


def _level(a: float, b: float | None) -> bool:
    return b is not None and 0.99 * a <= b <= 1.01 * a


def _rises(values: list[float | None]) -> bool:
    known = [v for v in values if v is not None]
    return all(a <= b for a, b in itertools.pairwise(known))


def _effect(change: float | None, form: str) -> str:
    return "" if change is None else form.format(change)


def _drops(
    lr: list[float | None], loss: list[float | None]
) -> list[tuple[int, float, float | None]]:
    """Where the learning rate falls by a step, by which factor, and the loss's change in %."""
    found: list[tuple[int, float, float | None]] = []
    for i in range(1, len(lr) - 1):
        before, now, after = lr[i - 1], lr[i], lr[i + 1]
        if not before or not now or now > 0.8 * before:
            continue
        if not _level(now, after) or (i > 1 and not _level(before, lr[i - 2])):
            continue  # a slope, or a wave's trough
        one, two = loss[i - 1], loss[i + 1]
        change = None
        if one and two is not None and finite(one) and finite(two):
            change = 100 * (two - one) / abs(one)
        found.append((i, now / before, change))
    return found[:MOST_DROPS]


# ---------------------------------------------------------------- words


def _title(columns: Any, best: int | None, rows: Any) -> str:
    loss, val = columns["loss"], columns.get("val_loss")
    bad = next((i for i, v in enumerate(loss) if v is None or not math.isfinite(v)), None)
    if bad is not None:
        return f"The loss is not finite from epoch {rows[bad].get('epoch')} on"
    if best is not None and val is not None:
        if best < len(rows) - 1:
            return f"Validation loss stops improving at epoch {rows[best].get('epoch')}"
        return f"Validation loss is lowest in the last epoch, {rows[best].get('epoch')}"
    ends = [v for v in (loss[0], loss[-1]) if v is not None]
    word = "falls" if ends[-1] < ends[0] else "does not fall"
    return f"The training loss {word} from {said(ends[0])} to {said(ends[-1])}"


def trend(values: list[float | None]) -> str:
    """How the last ten values go, in words."""
    last = [v for v in values[-10:] if v is not None and math.isfinite(v)]
    if len(last) < 3 or not last[0]:
        return "too few epochs for a trend"
    change = (last[-1] - last[0]) / abs(last[0])
    if abs(change) < 0.01:
        return f"flat over the last {len(last)} epochs"
    word = "rising" if change > 0 else "falling"
    return f"{word} by {percent(abs(change), 1)} over the last {len(last)}"


def course(
    name: str, values: list[float | None], epochs: list[Any], largest: bool = False,
    last: bool = False,
) -> str:  # fmt: skip
    """Start, end, best and trend in one sentence."""
    best = best_of(values, largest, last)
    if best is None:
        return f"{name}: no finite value."
    good = [v for v in values if v is not None and math.isfinite(v)]
    word = "highest" if largest else "lowest"
    lost = len(values) - len(good)
    more = f"; {lost} of {len(values)} values missing or not finite" if lost else ""
    return (f"{name}: {said(good[0])} at the start, {said(good[-1])} at the end, {word} "
            f"{said(values[best])} at epoch {epochs[best]}, {trend(values)}{more}.")  # fmt: skip


def _summary(columns: Any, rows: Any) -> str:
    epochs = [row.get("epoch") for row in rows]
    parts = [course("Training loss", columns["loss"], epochs)]
    if "val_loss" in columns:
        parts.append(course("Validation loss", columns["val_loss"], epochs))
    parts += [
        course(_called(k), v, epochs, higher_is_better(k), last="val_loss" not in columns)
        for k, v in columns.items()
        if k not in ("loss", "val_loss", "lr")
    ]
    return " ".join(parts)


def _judged(columns: Any, rows: Any) -> str:
    """Where rows were held back but only a metric was kept of them, as of tables.

    Of equally good epochs the last counts there.
    """
    name = next((k for k in columns if k.startswith("val_")), None)
    best = None if name is None else best_of(columns[name], higher_is_better(name), last=True)
    if name is None or best is None:
        return "No validation rows."
    return (f"{_called(name)} is best at epoch {rows[best].get('epoch')} of "
            f"{len(rows)}: {said(columns[name][best])}.")  # fmt: skip


def _here(columns: Any, best: int | None, rows: Any) -> str:
    loss, val = columns["loss"], columns.get("val_loss")
    if not all(map(finite, loss)):
        return "The loss left the finite numbers: everything after that is void."
    if val is None or best is None:
        return f"{_judged(columns, rows)} The training loss is {trend(loss)}."
    gap = f"At the end validation is {said(val[-1])} and training {said(loss[-1])}"
    after = len(rows) - 1 - best
    if not after:
        return f"{gap}; the best epoch is the last, so more epochs may help."
    worse = val[-1] - val[best] if finite(val[-1]) and finite(val[best]) else 0.0
    epochs = counted(after, "epoch")
    return (f"{gap}. The lowest validation loss, {said(val[best])}, came {epochs} before the end; "
            f"it has risen by {said(worse)} since.")  # fmt: skip


def compared(runs: dict[str, list[dict[str, Any]]]) -> Chart | None:
    """The losses of several runs on one chart."""
    panels = {"loss": "training loss", "val_loss": "validation loss"}
    made, table = [], []
    for key, title in panels.items():
        series = []
        for i, (name, rows) in enumerate(runs.items()):
            values = column(rows, key)
            if best_of(values) is None:
                continue
            places = kept([values], MOST_POINTS)
            steps = [float(rows[k].get("step", k)) for k in places]
            series.append(Series(name, steps, [values[k] for k in places],
                                 COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]))  # fmt: skip
        if series:
            made.append(_scaled(title, series, _positive(series)))
    shown = ["epoch", "step", "loss", *(["val_loss"] if len(made) > 1 else [])]
    for name, rows in runs.items():
        places = kept([column(rows, "loss")], MOST_ROWS)
        table += [[name, *(rows[k].get(key) for key in shown)] for k in places]
    if not made:
        return None
    ends = {n: column(r, "val_loss" if len(made) > 1 else "loss") for n, r in runs.items()}
    places_ = {n: best_of(v) for n, v in ends.items()}
    lowest = {n: ends[n][i] for n, i in places_.items() if i is not None}
    least = min(v or 0.0 for v in lowest.values())
    first = [n for n, v in lowest.items() if v == least]
    what = "validation" if len(made) > 1 else "training"
    return Chart(
        "learning",
        f"{' and '.join(first)} {'reaches' if len(first) == 1 else 'reach'} the lowest {what} "
        f"loss, {said(least)}",
        " ".join(f"{n}: lowest {what} loss {said(v)}." for n, v in lowest.items()),
        "The losses of all runs at the same steps, on a logarithmic scale.",
        "Runs of one recipe and one seed lie on each other exactly.",
        f"The lowest {what} losses lie between {said(min(v or 0 for v in lowest.values()))} and "
        f"{said(max(v or 0 for v in lowest.values()))}.",
        ["run", *(panels.get(k, k) for k in shown)], table, Lines("step", made),
    )  # fmt: skip


def _positive(series: list[Series]) -> bool:
    return all(v is None or v > 0 or math.isnan(v) for s in series for v in s.y)
