"""`chainrule compare`: where runs differ, how each ended, and whether that is more than chance."""

from __future__ import annotations

import json
import math
import os
import sys
from itertools import combinations
from typing import Any

import click
import numpy as np

from ..errors import ChainruleError
from ..report.compare import MOST_PAIRS, differing, endings, names_of, parted_by, parting
from ..report.subject import Subject
from ..train import Run
from .app import Command, UsageProblem
from .options import find_run, plain_option, runs_dir
from .report import whole_subject
from .terminal import Line, Terminal, detect, words
from .view.draw import Column, table

CHANCE = 0.05


@click.command(cls=Command, short_help="Compares the runs RUN, on the terminal.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@runs_dir
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@plain_option
def command(runs: tuple[str, ...], runs_dir: str, as_json: bool, plain: bool) -> None:
    """Says where runs differ, how each ended, and at which step and in which layer they part.

    Of two runs that were judged on the same rows it also says in how many just one is right, and
    how likely chance alone makes such a difference. `chainrule report RUN RUN` makes a page.

    \b
    Examples:
      chainrule compare digits-0001 digits-0002
      chainrule compare digits-0001 digits-0002 digits-0003 --json
    """
    found = [find_run(name, runs_dir) for name in runs]
    if len({os.path.realpath(r.path) for r in found}) < max(len(found), 2):
        raise UsageProblem(
            "compare: two runs or more, each named once", got=" ".join(runs),
            fix="chainrule runs lists them", line="",
        )  # fmt: skip
    held = compared(found)
    if as_json:
        click.echo(json.dumps(held, indent=2, allow_nan=False))
        return
    t = detect(sys.stdout, plain=plain)
    for line in lines_of(held, t):
        click.echo(t.paint(line), color=True)


def compared(runs: list[Run]) -> dict[str, Any]:
    """What --json prints."""
    subjects = [_subject(run) for run in runs]
    names = names_of(subjects)
    choices, outcomes = differing(names, subjects), endings(names, subjects)
    pairs = [
        {"runs": [names[a], names[b]], "parting": parting(subjects[a], subjects[b]),
         "rows": against(subjects[a], subjects[b])}
        for a, b in list(combinations(range(len(subjects)), 2))[:MOST_PAIRS]
    ]  # fmt: skip
    return {
        "schema": "chainrule comparison 1", "runs": names,
        "choices": [{"choice": r[0], "values": r[1:]} for r in choices.rows],
        "outcomes": [dict(zip(outcomes.columns, _plain(r), strict=True)) for r in outcomes.rows],
        "pairs": pairs,
    }  # fmt: skip


def _plain(row: list[Any]) -> list[Any]:
    return [None if isinstance(v, float) and not math.isfinite(v) else v for v in row]


def _subject(run: Run) -> Subject:
    """With what the model says of held-out rows, where it can be asked."""
    try:
        return whole_subject(run)
    except ChainruleError:
        from ..report.subject import subject_of

        return subject_of(run)


def against(a: Subject, b: Subject) -> dict[str, Any] | None:
    """Held-out rows that only one run gets right; None where they were judged on others.

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


def lines_of(held: dict[str, Any], t: Terminal) -> list[Line]:
    """Choices, ends and pairs."""
    lines: list[Line] = []
    if not held["choices"]:
        lines.append([("made with the same choices", "")])
    elif t.plain:
        for c in held["choices"]:
            pairs = zip(held["runs"], c["values"], strict=True)
            lines.append([(f"{c['choice']}: " + ", ".join(f"{n} {v}" for n, v in pairs), "")])
    else:
        columns = [Column("choice", [[(c["choice"], "")] for c in held["choices"]], 99)]
        for i, name in enumerate(held["runs"]):
            cells: list[Line] = [[(f"{c['values'][i]}", "strong")] for c in held["choices"]]
            columns.append(Column(name, cells, 50 - i))
        lines += [*table(columns, t.width), []]
    lines += _outcomes(held["outcomes"], t)
    for pair in held["pairs"]:
        said = f"{' and '.join(pair['runs'])}: {pair['parting']} {_rows(pair)}".rstrip()
        lines += [*([] if t.plain else [[]]), *words(said, t.width)]
    return lines


RANKS = {"run": 9, "held-out accuracy": 8, "held-out rmse": 8, "lowest validation loss": 7,
         "training loss": 6,
         "epochs": 5, "seconds": 4, "ended by": 3, "steps": 2}  # fmt: skip


def _outcomes(rows: list[dict[str, Any]], t: Terminal) -> list[Line]:
    if t.plain:
        return [[(", ".join(f"{k} {_said(k, v)}" for k, v in r.items()), "")] for r in rows]
    known = [k for k in rows[0] if any(r[k] is not None for r in rows)]
    columns = [
        Column(k, [[(_said(k, r[k]), "strong" if k == "run" else "")] for r in rows],
               RANKS.get(k, 1), k != "run")
        for k in known
    ]  # fmt: skip
    return table(columns, t.width)


def _said(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key.endswith("accuracy"):
        return f"{100 * value:.2f} %"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _rows(pair: dict[str, Any]) -> str:
    held = pair["rows"]
    if held is None:
        return ""
    a, b = pair["runs"]
    if not held["first"] + held["second"]:
        return f"Of {held['rows']} held-out rows they get the same ones right."
    verdict = "chance may well do that" if held["chance"] >= CHANCE else "more than chance"
    return (
        f"Of {held['rows']} held-out rows only {a} gets {held['first']} right and only {b} "
        f"{held['second']}: {verdict} (probability {held['chance']:.2g})."
    )
