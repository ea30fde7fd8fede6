"""`chainrule check-example`: a worked example, recomputed line by line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from ..derivation.example import NOT_CLAIMED, RIGHT, WRONG, Claim, Claims, Example
from ..derivation.record import CASE_STUDY, read
from ..derivation.writing import number
from .app import FAILED, OK, Command, UsageProblem
from .options import plain_option
from .terminal import Line, Terminal, detect, text_of, words
from .view.draw import Column, table

INDENT = " " * 3


def _said(claim: Claim) -> str:
    return f"{claim.verdict}: {claim.slip}" if claim.slip else claim.verdict


def _sign(claim: Claim, t: Terminal) -> tuple[str, str]:
    if claim.verdict == RIGHT:
        return t.signs.ok, "ok"
    return (t.signs.bad, "bad") if claim.verdict == WRONG else (t.signs.warn, "warn")


def listing(claims: Claims, t: Terminal) -> list[Line]:
    """A row a claim, with its slip below it; the verdict is the last to be left out."""
    shown = claims.lines
    columns = [
        Column("", [[_sign(c, t)] for c in shown], 9),
        Column("line", [[(c.name, "")] for c in shown], 9),
        Column("verdict", [[(c.verdict, "")] for c in shown], 9),
        Column("claimed", [[(c.claimed, "")] for c in shown], 8, True),
        Column("own gives", [[(number(c.own), "")] for c in shown], 6, True),
        Column("right", [[(number(c.right), "strong")] for c in shown], 7, True),
    ]
    head, *rows = table(columns, t.width)
    lines = [head]
    for claim, row in zip(shown, rows, strict=True):
        lines.append(row)
        said = [claim.slip] if claim.slip else []
        if "right" not in text_of(head) and claim.verdict != RIGHT:  # no room for these columns
            said.append(
                f"claimed {claim.claimed}, its own numbers give {number(claim.own)}, "
                f"right {number(claim.right)}"
            )
        for text in said:
            lines += [[(INDENT, ""), *line] for line in words(text, t.width - len(INDENT))]
    return lines


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
    letter, the layer and, in brackets, the unit from 1: z1[2], a1[2], yhat (or a2, of two layers),
    L, delta2, dL/dW1[1,2], dL/db2. Each line is held to as many digits as it has. Exit code 1 if
    one is wrong. Gradients that an example with gradients leaves out are given as well.

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
            for c in claims.lines:
                click.echo(f"{c.name}: claimed {c.claimed}, right {number(c.right)}, its own "
                           f"numbers give {number(c.own)}, {_said(c)}")  # fmt: skip
        else:
            for line in listing(claims, t):
                click.echo(t.paint(line), color=True)
        for text in (*claims.missing, claims.summary()):
            if plain:
                click.echo(text)
            else:
                for line in words(text, t.width, "", INDENT):
                    click.echo(t.paint(line), color=True)
    return OK if all(c.verdict in (RIGHT, NOT_CLAIMED) for c in claims) else FAILED
