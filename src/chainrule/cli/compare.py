"""`chainrule compare`: where runs differ, how each ended, and whether that is more than chance."""

from __future__ import annotations

import json
import math
import os
import sys
from itertools import combinations
from typing import Any

import click

from ..report.charts import figure, percent
from ..report.compare import (
    MOST_PAIRS,
    against,
    differing,
    endings,
    names_of,
    parting,
    rows_said,
)
from ..train import Run
from .app import Command, UsageProblem
from .options import find_run, plain_option, runs_dir
from .report import subject_with_rows
from .terminal import Line, Terminal, detect, words
from .view.draw import Column, table


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
    subjects = [subject_with_rows(run) for run in runs]
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
        a, b = pair["runs"]
        said = f"{a} and {b}: {pair['parting']} {rows_said(a, b, pair['rows'])}".rstrip()
        lines += [*([] if t.plain else [[]]), *words(said, t.width)]
    return lines


RANKS = {"run": 9, "lowest validation loss": 7, "training loss": 6,
         "epochs": 5, "seconds": 4, "ended by": 3, "steps": 2}  # fmt: skip
"""Which columns stay on a narrow terminal: those of held-out rows go last, after the name."""


def _outcomes(rows: list[dict[str, Any]], t: Terminal) -> list[Line]:
    if t.plain:
        return [[(", ".join(f"{k} {_said(k, v)}" for k, v in r.items()), "")] for r in rows]
    known = [k for k in rows[0] if any(r[k] is not None for r in rows)]
    columns = [
        Column(k, [[(_said(k, r[k]), "strong" if k == "run" else "")] for r in rows],
               8 if k.startswith("held-out") else RANKS.get(k, 1), k != "run")
        for k in known
    ]  # fmt: skip
    return table(columns, t.width)


def _said(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key.endswith(("accuracy", "rows right")):
        return percent(value, 2)
    return figure(value)
