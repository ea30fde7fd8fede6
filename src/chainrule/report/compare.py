"""Several runs on one page: what they were made with, where they part, how they end."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from ..diagnosis.finding import called
from ..markup import counted
from ..train.watch import Look
from .charts import Chart, said
from .learning import compared
from .looks import numbers_of
from .page import render
from .subject import Subject

SECTIONS = (
    ("verdict", "Where they part"), ("run", "What differs"), ("learning", "Learning"),
    ("results", "Results"), ("reading", "How to read"), ("numbers", "Data"),
)  # fmt: skip
CLOCK = {"seconds"}
"""Columns that no two runs share."""
MOST_PAIRS = 10
SCORES = ("accuracy", "rmse")
OF_LABELS = ("f1", "rows_right")
"""What is compared of runs, where they have it, whatever was asked for; of several labels a row."""
CHANCE = 0.05
"""A difference that chance makes less often than that is called more than chance."""


def build(subjects: list[Subject]) -> str:
    """The page of several runs as HTML."""
    names = names_of(subjects)
    charts: dict[str, Chart | None] = {
        "learning": compared({n: s.rows for n, s in zip(names, subjects, strict=True)}),
    }
    other = next(filter(None, (parted_by(*two) for two in combinations(subjects, 2))), None)
    if charts["learning"] and other is not None:
        charts["learning"] = replace(
            charts["learning"], title="The losses, which do not compare",
            here=f"The runs learn {other}; a lower loss of one of them says nothing.",
        )  # fmt: skip
    pairs = list(combinations(range(len(subjects)), 2))[:MOST_PAIRS]
    partings = [
        {"names": f"{names[a]} and {names[b]}", "words": _pair(names, subjects, a, b)}
        for a, b in pairs
    ]
    choices = differing(names, subjects)
    outcomes = _without_empty(endings(names, subjects))
    charts |= {"choices": choices, "outcomes": outcomes}
    title = f"{' and '.join(names) if len(names) < 4 else f'{len(names)} runs'} compared"
    count = len(choices.rows)
    sentence = (f"{len(names)} runs that differ in {counted(count, 'choice')}."
                if count else f"{len(names)} runs of one recipe.")  # fmt: skip
    return render("compare.html", title, charts, SECTIONS, name="-".join(names), partings=partings,
                  choices=choices, outcomes=outcomes, sentence=sentence)  # fmt: skip


def _pair(names: list[str], subjects: list[Subject], a: int, b: int) -> str:
    rows = rows_said(names[a], names[b], against(subjects[a], subjects[b]))
    return f"{parting(subjects[a], subjects[b])} {rows}".rstrip()


def names_of(subjects: list[Subject]) -> list[str]:
    """The runs' names; where two are alike, their folders."""
    names = [s.name for s in subjects]
    return names if len(set(names)) == len(names) else [s.folder for s in subjects]


def parting(a: Subject, b: Subject) -> str:
    """The first step where two runs differ, and in which layer, as far as it was recorded."""
    other = parted_by(a, b)
    if other is not None:
        return f"They learn {other}: neither their layers nor their losses compare."
    parts = [p for p in (_in_layers(a, b), _in_epochs(a, b)) if p]
    return " ".join(parts)


def parted_by(a: Subject, b: Subject) -> str | None:
    """What two runs learn that is not the same, in words; None where it may be the same.

    Of a table the contents of its file count, not where it lies.
    """
    ours, theirs = _source(a), _source(b)
    if ours is None or theirs is None:
        return None
    (name, content), (name_b, content_b) = ours, theirs
    if content != content_b:
        what = f"two versions of {name}" if name == name_b else f"{name} and {name_b}"
        return f"from different data, {what}"
    targets = [", ".join(_table(s).get("target") or []) for s in (a, b)]
    return None if targets[0] == targets[1] else f"different targets, {' and '.join(targets)}"


def _source(s: Subject) -> tuple[str, str] | None:
    """What a run learned from, by name and by what is in it; None where it does not say."""
    name, content = _table(s).get("data"), s.config.get("sha256")
    if name is None:
        name = content = (s.config.get("recipe") or {}).get("data")
    return (name, content) if isinstance(name, str) and isinstance(content, str) else None


def _table(s: Subject) -> dict[str, Any]:
    held = s.config.get("table")
    if not isinstance(held, dict):
        return {}
    return {**held, "batch_size": s.config.get("batch", held.get("batch_size"))}


def _in_layers(a: Subject, b: Subject) -> str:
    """By the looks inside, which are finer than epochs."""
    if not a.looks or not b.looks:
        return "What happened inside the layers was not recorded in both."
    theirs = {look.step: look for look in b.looks}
    same: Look | None = None
    for look in a.looks:
        other = theirs.get(look.step)
        if other is None or other.closing != look.closing:
            continue
        mine = {x.name: numbers_of(x) for x in look.layers}
        layers = {x.name: numbers_of(x) for x in other.layers}
        odd = [n for n in mine if n in layers and not _alike(mine[n], layers[n])]
        if set(mine) != set(layers):
            return f"They have other layers: {', '.join(sorted(set(mine) ^ set(layers)))}."
        if odd:
            since = "" if same is None else f" ({same.when} they were alike)"
            also = f"; also in {', '.join(odd[1:])}" if odd[1:] else ""
            x, y = mine[odd[0]], layers[odd[0]]
            key = next(k for k in x if _differ(x[k], y[k]))
            return (f"Diverged {look.when} in {called(odd[0])}{since}: {key} is "
                    f"{said(x[key], 6)} against {said(y[key], 6)}{also}.")  # fmt: skip
        same = look
    if same is None:
        return "They were looked into at different steps, so their layers can't be compared."
    if same.closing:
        return "Alike in every layer to the end, after the last step."
    return f"Alike in every layer up to step {same.step}, the last that was looked at in both."


def _alike(a: dict[str, float | None], b: dict[str, float | None]) -> bool:
    return not any(_differ(a[k], b[k]) for k in a)


def _differ(x: float | None, y: float | None) -> bool:
    """Whether both were computed and are not the same number; nan is nan."""
    return x is not None and y is not None and x != y and not (x != x and y != y)


def _in_epochs(a: Subject, b: Subject) -> str:
    for left, right in zip(a.rows, b.rows, strict=False):
        for key in left:
            if key in CLOCK or key not in right or not _differ(left[key], right[key]):
                continue
            if key == "step":
                return (f"Their epochs are not of one length: epoch {left.get('epoch')} ends at "
                        f"step {said(left[key])} against {said(right[key])}.")  # fmt: skip
            return (f"By epoch {left.get('epoch')} (step {left.get('step')}) the logs differ: "
                    f"{key} is {said(left[key], 6)} against {said(right[key], 6)}.")  # fmt: skip
    shorter = min(len(a.rows), len(b.rows))
    if not shorter:
        return "At least one of them has finished no epoch."
    more = "" if len(a.rows) == len(b.rows) else "; then one goes on and the other does not"
    return f"Their logs are equal for {shorter} epochs{more}."


def against(a: Subject, b: Subject) -> dict[str, Any] | None:
    """Held-out rows of classes that only one run gets right; None where they were judged on others.

    chance: the probability of so uneven a split, or a more uneven one, if both were equally good:
    the exact sign test of McNemar 1947.
    """
    if a.held is None or b.held is None or parted_by(a, b) is not None:
        return None
    same = a.held.x.shape == b.held.x.shape and np.array_equal(a.held.true, b.held.true)
    if not same or not np.array_equal(a.held.x, b.held.x):
        return None
    first, second = (h.predicted == h.true for h in (a.held, b.held))
    ours, theirs = int((first & ~second).sum()), int((second & ~first).sum())
    both = int((first & second).sum())
    return {"rows": len(first), "first": ours, "second": theirs, "both": both,
            "chance": sign_test(ours, theirs)}  # fmt: skip


def sign_test(ours: int, theirs: int) -> float:
    """P of a split at least as uneven as ours : theirs, both sides, if each is as likely.

    >>> sign_test(0, 5)
    0.0625
    """
    n = ours + theirs
    tail = sum(math.comb(n, k) for k in range(min(ours, theirs) + 1))
    return min(1.0, 2 * tail / 2**n)


def rows_said(ours: str, theirs: str, held: dict[str, Any] | None) -> str:
    """What `against` found of two runs of these names, as a sentence; '' where it is None."""
    if held is None:
        return ""
    if not held["first"] + held["second"]:
        return f"Of {held['rows']} held-out rows they get the same ones right."
    verdict = "chance may well do that" if held["chance"] >= CHANCE else "more than chance"
    return (
        f"Of {held['rows']} held-out rows only {ours} gets {held['first']} right and only {theirs} "
        f"{held['second']}: {verdict} (probability {held['chance']:.2g})."
    )


def differing(names: list[str], subjects: list[Subject]) -> Chart:
    """The choices and versions in which runs differ, a row each."""
    recipes = [s.config.get("recipe") or _table(s) for s in subjects]
    versions = [
        {"Chainrule": s.environment.get("chainrule"), "platform": s.environment.get("platform"),
         **(s.environment.get("packages") or {})} for s in subjects
    ]  # fmt: skip
    rows: list[list[Any]] = []
    for held in (recipes, versions):
        for key in dict.fromkeys(k for r in held for k in r):
            values = [r.get(key) for r in held]
            if any(v != values[0] for v in values):
                rows.append([key, *(_plain(v) for v in values)])
    return Chart("choices", "What the runs were made with, where it differs", "", "", "", "",
                 ["choice", *names], rows)  # fmt: skip


def _plain(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else (
        "none" if value is None else value)  # fmt: skip


def endings(names: list[str], subjects: list[Subject]) -> Chart:
    """How runs ended, a row each; with the metrics asked for, and F1 of several labels."""
    asked = list(dict.fromkeys([*SCORES, *(m for s in subjects for m in _asked(s))]))
    rows = []
    for name, s in zip(names, subjects, strict=True):
        result = s.result or {}
        last = s.rows[-1] if s.rows else {}
        best = [v for r in s.rows if isinstance(v := r.get("val_loss"), (int, float))]
        rows.append([name, result.get("stopped") or "unfinished", len(s.rows), last.get("step"),
                     last.get("loss"), min(best, default=None),
                     *(result.get(f"test_{m}") for m in asked),
                     sum(r.get("seconds") or 0.0 for r in s.rows)])  # fmt: skip
    heads = ["run", "ended by", "epochs", "steps", "training loss", "lowest validation loss",
             *(f"held-out {m.replace('_', ' ')}" for m in asked), "seconds"]  # fmt: skip
    return Chart("outcomes", "How the runs ended", "", "", "", "", heads, rows)


def _asked(s: Subject) -> list[str]:
    """The metrics by which a run of a table is judged, its target's first."""
    target = (s.config.get("schema") or {}).get("target") or {}
    metric, result = target.get("metric"), s.result or {}
    found = [metric] if isinstance(metric, str) else []
    return [*found, *(m for m in OF_LABELS if f"test_{m}" in result and "labels" in result)]


def _without_empty(chart: Chart) -> Chart:
    """A table without the columns in which no run has anything."""
    kept = [i for i in range(len(chart.columns)) if any(r[i] is not None for r in chart.rows)]
    rows = [[row[i] for i in kept] for row in chart.rows]
    return replace(chart, columns=[chart.columns[i] for i in kept], rows=rows)
