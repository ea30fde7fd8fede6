"""`chainrule playground`: a page that steps through a small network, number by number."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from ..derivation.record import case_study, read
from ..errors import ArgumentError, OutputError
from ..playground.document import Subject, html_of, trace_of
from ..playground.examples import RATE, descent, model_of, small_of
from ..playground.proof import proved
from ..train.files import write_text
from .app import Command, UsageProblem, as_usage
from .options import Number, find_run, runs_dir
from .replay import subject_of
from .terminal import as_typed

FILES = (".toml", ".yaml", ".yml", ".json")


@click.command(cls=Command, short_help="Writes a page that steps through a small network.")
@click.argument("what", required=False, metavar="[RUN|FILE.toml]")
@click.option("--example", type=Number(0, whole=True), help="Which row of the data [0].")
@click.option("-o", "--output", default="play.html", metavar="OUT.html", help="[play.html]")
@click.option("--moments", type=Number(0, 500, whole=True), default=41,
              help="Moments of the training that are kept; 0: none [41].")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The trace as JSON, in place of the page.")
@runs_dir
def command(
    what: str | None, example: int | None, output: str, moments: int, as_json: bool, runs_dir: str
) -> None:
    """Writes a page that steps through a small network, forward and backward.

    Number by number: play, change a weight and see what follows, be asked, go through the
    training with the border between the classes. One file, no network, no server. RUN is a run of
    small layers; its training is run again from its recipe to see the weights on the way. FILE is
    a network and an example, as for `chainrule explain`; without either it is the 2-2-1 network of
    the article.

    \b
    Examples:
      chainrule playground
      chainrule playground moons-0001 --example 17 -o moons.html
      chainrule playground moons --json > trace.json
    """
    try:
        subject = _subject(what, example, moments, runs_dir)
    except ArgumentError as error:
        raise as_usage(error) from None
    trace = trace_of(subject)
    if as_json:
        click.echo(json.dumps(trace, allow_nan=False))
        return
    path = Path(output)
    if not os.path.isdir(path.parent):
        raise OutputError(f"can't write {path}", got=f"no folder {path.parent}",
                          fix=f"mkdir -p {path.parent}", line="")  # fmt: skip
    page = html_of(subject, trace)
    write_text(path, page)
    click.echo(f"{len(trace['steps'])} steps through {subject.title}", err=True)
    if subject.proof:
        click.echo(subject.proof, err=True)
    click.echo(as_typed(f"page  {path} ({len(page.encode()) / 1000:.0f} kB): open it in a browser"))


def _subject(what: str | None, example: int | None, moments: int, folder: str) -> Subject:
    """What the page is about."""
    named = what is not None and Path(what).suffix in FILES
    if what is not None and not named:
        return subject_of(find_run(what, folder), example or 0, moments, sys.stderr)
    if example is not None:
        raise UsageProblem("--example picks a row of a run's data", expected="a RUN",
                           got=what or "the article's network", line="")  # fmt: skip
    network = read(what)[0] if what is not None else case_study()
    net = small_of(network)
    x, y = (network.arrays[k][0] for k in network.arrays if k.letter in "xy")
    model, loss = model_of(net)
    title = Path(what).name if what is not None else "the article's 2-2-1 network"
    return Subject(
        net, x, y, title, f"{net.words()}, one example", RATE, proved(net, model, loss, x, y),
        descent(net, x, y, moments) if moments else None,
    )  # fmt: skip
