"""`chainrule check-example`: a worked example, recomputed line by line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from ..derivation.example import RIGHT, WRONG, Claim, Example
from ..derivation.record import CASE_STUDY, read
from ..derivation.writing import number
from .app import FAILED, OK, Command, UsageProblem
from .options import plain_option
from .terminal import Line, Terminal, detect
from .view.draw import Column, table


def _said(claim: Claim) -> str:
    if claim.verdict == WRONG:
        return f"wrong: {claim.slip}" if claim.slip else "wrong"
    return claim.verdict


def _sign(claim: Claim, t: Terminal) -> tuple[str, str]:
    if claim.verdict == RIGHT:
        return t.signs.ok, "ok"
    return (t.signs.bad, "bad") if claim.verdict == WRONG else (t.signs.warn, "warn")


def listing(claims: list[Claim], t: Terminal) -> list[Line]:
    """A row a claim."""
    columns = [
        Column("", [[_sign(c, t)] for c in claims], 5),
        Column("line", [[(c.name, "")] for c in claims], 9),
        Column("claimed", [[(c.claimed, "")] for c in claims], 8, True),
        Column("from above", [[(number(c.own), "faint")] for c in claims], 4, True),
        Column("right", [[(number(c.right), "strong")] for c in claims], 7, True),
        Column("verdict", [[(_said(c), "")] for c in claims], 6),
    ]
    return table(columns, t.width)


def summary(claims: list[Claim]) -> str:
    """How many of each."""
    wrong = sum(c.verdict == WRONG for c in claims)
    right = sum(c.verdict == RIGHT for c in claims)
    carried = len(claims) - wrong - right
    text = f"{len(claims)} lines: {right} right, {wrong} wrong"
    return text + (f", {carried} right for wrong numbers above them" if carried else "")


@click.command(
    "check-example", cls=Command, short_help="Recomputes a worked example, names wrong lines."
)
@click.argument("file", metavar="seed221|FILE")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@plain_option
def command(file: str, as_json: bool, plain: bool) -> int:
    """Recomputes a worked example, and names each line that is wrong.

    FILE holds a small network, an example and what is claimed of them, as TOML (or YAML, or JSON):
    x, y, layers with weight, bias and activation, and claims such as "z1[2]" = 0.29. A name is a
    letter, the layer and, in brackets, the unit from 1: z1[2], a1[2], yhat, L, delta2,
    dL/dW1[1,2], dL/db2. Each line is held to as many digits as it has. Exit code 1 if one is wrong.

    \b
    Examples:
      chainrule check-example seed221
      chainrule check-example article.yaml --json
    """
    network, given = read(CASE_STUDY if file == "seed221" else file)
    if not given:
        raise UsageProblem(f"{file} claims nothing", expected='claims, such as "L" = 0.017',
                           line="")  # fmt: skip
    claims = Example(network, given).check()
    if as_json:
        click.echo(json.dumps([asdict(c) for c in claims], indent=2))
    else:
        t = detect(sys.stdout, plain=plain)
        if plain:
            for c in claims:
                click.echo(f"{c.name}: claimed {c.claimed}, right {number(c.right)}, its own "
                           f"numbers give {number(c.own)}, {_said(c)}")  # fmt: skip
        else:
            for line in listing(claims, t):
                click.echo(t.paint(line), color=True)
        click.echo(summary(claims))
    return OK if all(c.verdict == RIGHT for c in claims) else FAILED
