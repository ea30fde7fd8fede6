"""`chainrule verify-resume`: a training killed and resumed, against one that is left alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from ..errors import ArgumentError
from ..runtime.threads import set_num_threads
from ..train import ResumeReport, Trainer, verify_resume
from ..train.tabular import TableFit, verify_table_resume
from ..train.verify import KilledAt, part_told
from . import recipe as recipes
from .app import FAILED, OK, as_usage
from .options import Number, plain_option, runs_dir
from .preflight import recipe_of
from .recipe import Recipe
from .tables.choices import TableChoices
from .tables.options import OfBoth, asked_for, table_options
from .tables.prepare import prepare
from .terminal import Line, Terminal, detect, words
from .train import recipe_options, refuse_of_tables, threads_option
from .view.draw import Column, table
from .waiting import waiting

KILLS = 6
WHOLE = Number(1, 10**9, whole=True)


@click.command(cls=OfBoth, short_help="Proves that a training resumes exactly.")
@click.argument("data", metavar="DATA|RUN")
@click.option("--short-steps", type=Number(2, 10**9, whole=True),
              help="Updates of the fit that is killed [about a second's].")  # fmt: skip
@click.option("--short-epochs", type=WHOLE, help="Its epochs, in place of updates.")
@click.option("--kills", type=WHOLE, default=KILLS, help=f"How often it is killed [{KILLS}].")
@click.option("--kill-seed", type=Number(0, 2**63 - 1, whole=True), default=0,
              help="Draws the moments [0].")  # fmt: skip
@recipe_options
@table_options
@threads_option
@runs_dir
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@plain_option
def command(
    data: str, short_steps: int | None, short_epochs: int | None, kills: int, kill_seed: int,
    threads: int | None, runs_dir: str, as_json: bool, plain: bool, **chosen: Any,
) -> int:  # fmt: skip
    """Proves that a training resumes exactly: the same arguments as `chainrule train`, or a RUN.

    A short form of it is trained twice: once to its end, and once killed (SIGKILL) again and again,
    after steps and while files are written, and resumed. Then every byte of the state is compared:
    weights, optimizer, schedule, random numbers, position in the data, early stopping, history and
    log. Nothing of a RUN is changed. Exit code 1 if anything differs.

    \b
    Examples:
      chainrule verify-resume digits
      chainrule verify-resume digits-0001 --kills 20
      chainrule verify-resume moons --optimizer sgd --short-epochs 5
      chainrule verify-resume houses.csv --target price
    """
    given = {key: value for key, value in chosen.items() if value not in (None, ())}
    c, _ = asked_for(data, runs_dir, given)
    if c is None:
        refuse_of_tables(data, given)
        prove = of_recipe(recipe_of(data, runs_dir, given), threads)
    else:
        prove = of_table(c, threads)
    try:
        with waiting("killed and resumed", "steps") as at:
            report = prove(
                epochs=short_epochs, steps=short_steps, kills=kills, seed=kill_seed,
                progress=lambda what, done, total: at(done, total, what),
            )  # fmt: skip
    except ArgumentError as error:
        raise as_usage(error) from None
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2, allow_nan=False))
    else:
        t = detect(sys.stdout, plain=plain)
        for line in lines_of(report, t):
            click.echo(t.paint(line), color=True)
    return OK if report.exact else FAILED


def of_recipe(r: Recipe, threads: int | None) -> Callable[..., ResumeReport]:
    """What proves it of a recipe."""
    try:
        parts = recipes.build(r)
    except ArgumentError as error:
        raise as_usage(error) from None
    return partial(
        verify_resume, partial(trainer_of, r, threads), parts.train, validation=parts.validation,
        batch_size=r.batch_size,
    )  # fmt: skip


def of_table(c: TableChoices, threads: int | None) -> Callable[..., ResumeReport]:
    """What proves it of a table."""
    rows = prepare(c, lambda lines: None, detect(sys.stdout, plain=True))
    return partial(verify_table_resume, partial(fit_of, rows.make, threads))


def trainer_of(r: Recipe, threads: int | None) -> Trainer:
    """A new trainer of a recipe, on so many threads."""
    if threads is not None:
        set_num_threads(threads)
    return recipes.trainer(recipes.build(r), r, [])


def fit_of(make: Callable[[], TableFit], threads: int | None) -> TableFit:
    """A new fit of a table, on so many threads."""
    if threads is not None:
        set_num_threads(threads)
    return make()


def lines_of(report: ResumeReport, t: Terminal) -> list[Line]:
    """The kills, the parts that were compared, and the verdict."""
    if t.plain:
        said = [f"{_killed(i, k)}." for i, k in enumerate(report.kills, 1)]
        said += [f"{p.name}: {part_told(p)}." for p in report.parts]
        return [[(text, "")] for text in [*said, *(f"{s}." for s in _ending(report))]]
    lines = _kills(report, t)
    wide = max(len(p.name) for p in report.parts) if t.width >= 60 else 0
    for p in report.parts:
        sign, style = (t.signs.bad, "bad") if p.differ else (t.signs.ok, "ok")
        if not p.values:
            sign, style = "-", "faint"
        head = f"{sign.ljust(2)} {p.name.ljust(wide)}  "
        for i, line in enumerate(words(part_told(p), max(t.width - len(head), 20))):
            lines.append([(head if i == 0 else " " * len(head), style), *line])
    styles = ["ok" if report.exact else "bad"]
    for i, text in enumerate(_ending(report)):
        lines += words(text, t.width, styles[0] if i == 0 else "")
    return lines


def _kills(report: ResumeReport, t: Terminal) -> list[Line]:
    def cells(values: list[Any]) -> list[Line]:
        return [[(str(v), "")] for v in values]

    kills = report.kills
    if not kills:
        return []
    columns = [
        Column("kill", cells(list(range(1, len(kills) + 1))), 5, True),
        Column("after step", cells([k.step for k in kills]), 4, True),
        Column("during", cells([k.doing for k in kills]), 2),
        Column("went on at", cells([k.resumed for k in kills]), 3, True),
        Column("steps made again", cells([k.again for k in kills]), 1, True),
    ]
    return [*table(columns, t.width), []]


def _killed(number: int, k: KilledAt) -> str:
    return (f"Kill {number}: after step {k.step}, during {k.doing}; went on at step "
            f"{k.resumed}")  # fmt: skip


def _ending(report: ResumeReport) -> list[str]:
    cost = f"{report.seconds:.1f} s without a kill; a kill cost {report.overhead_s:.2f} s"
    fix = [f"try: {report.fix}"] if report.fix else []
    return [report.verdict, *fix, cost, *(f"note: {n}" for n in report.notes), *report.said]
