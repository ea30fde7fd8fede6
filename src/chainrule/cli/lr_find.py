"""`chainrule lr-find`: which learning rate to take, tried on copies."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import click

from ..errors import ArgumentError
from ..train import LRFinding, lr_find
from ..train.lr_find import NEARLY
from . import recipe as recipes
from .app import FAILED, OK, as_usage
from .command_line import changed, command_of
from .options import Number, plain_option, runs_dir
from .preflight import recipe_of
from .recipe import Recipe
from .tables import rates
from .tables.choices import NOT_FOR_TABLES
from .tables.options import OfBoth, asked_for, table_options_with
from .terminal import Line, Terminal, as_typed, detect, words
from .train import recipe_options, refuse_of_tables
from .view.draw import Column, bar, table
from .waiting import waiting

ROWS = 12
"""How many rates of the sweep are shown."""


class OfRates(OfBoth):
    """Without the options that say how long a table trains, and when it ends."""

    not_for_tables = (*NOT_FOR_TABLES, *rates.UNHEARD)


@click.command(cls=OfRates, short_help="Tries learning rates before a training.")
@click.argument("data", metavar="DATA|RUN")
@recipe_options
@table_options_with(folds="[1]", judged=False)
@click.option("--lowest", type=Number(0, open_low=True), help="Where the sweep begins [1e-05].")
@click.option("--highest", type=Number(0, open_low=True), help="Where it ends [10].")
@click.option("--sweep-steps", type=Number(10, 10**6, whole=True), help="Its steps [120].")
@click.option("--trial-steps", type=Number(10, 10**6, whole=True), help="Steps a rate [100].")
@runs_dir
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@plain_option
def command(
    data: str, runs_dir: str, as_json: bool, plain: bool, lowest: float | None,
    highest: float | None, sweep_steps: int | None, trial_steps: int | None, **chosen: Any,
) -> int:  # fmt: skip
    """Tries learning rates for a training, given as to `chainrule train`, or for a RUN.

    For a data set first the rate grows with every step until the loss runs away. The rates below
    that are then each trained for some steps from the same start: what is suggested has been tried.
    For a table 16 rates are trained side by side and ranked by the loss of the validation rows, not
    by the metric that chooses a training's best epoch; with --folds it is the mean over as many
    networks a rate. Nothing is written, and no run changes. Exit code 1 if no rate lowers the loss.

    \b
    Examples:
      chainrule lr-find digits
      chainrule lr-find moons --optimizer sgd --layers 8,8
      chainrule lr-find digits-0001 --trial-steps 400
      chainrule lr-find houses.csv --target price
    """
    given = {key: value for key, value in chosen.items() if value not in (None, ())}
    asked = {"lowest": lowest, "highest": highest, "steps": sweep_steps, "trial_steps": trial_steps}
    wanted = {k: v for k, v in asked.items() if v is not None}
    t = detect(sys.stdout, plain=plain)
    c, run = asked_for(data, runs_dir, given)
    if c is not None:
        found, own = rates.find(c, wanted, t, as_json=as_json)
        rule, lr = "adamw", own.lr or 0.0
        following = None if found.suggestion is None else (
            rates.command_for(c, run, found.suggestion))  # fmt: skip
    else:
        refuse_of_tables(data, given)
        r = recipe_of(data, runs_dir, given)
        try:
            found = find(r, wanted)
        except ArgumentError as error:
            raise as_usage(error) from None
        rule, lr = r.optimizer, r.lr
        following = None if found.suggestion is None else (
            command_of(changed(r, {"lr": found.suggestion}) or r))  # fmt: skip
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        for line in lines_of(found, rule, lr, t):
            click.echo(t.paint(line), color=True)
        if following:
            click.echo(as_typed(f"next  {following}"))
    return FAILED if found.suggestion is None else OK


def find(r: Recipe, asked: dict[str, Any]) -> LRFinding:
    """Rates for a recipe, with its data, clipping and batches."""
    parts = recipes.build(r)
    trainer = recipes.trainer(parts, r, [])
    with waiting("rates", "steps") as progress:
        return lr_find(
            trainer, parts.train, batch_size=r.batch_size, progress=progress, **asked
        )  # fmt: skip


def lines_of(found: LRFinding, rule: str, lr: float, t: Terminal) -> list[Line]:
    """The sweep and the trials as tables with bars, then what to take.

    rule, lr: the optimizer, and the rate that the recipe has.
    """
    start = found.smoothed[0] if found.smoothed else max(
        (x.loss for x in found.trials if math.isfinite(x.loss)), default=1.0)  # fmt: skip
    every = max(len(found.lrs) // ROWS, 1)
    sweep = list(zip(found.lrs, found.smoothed, strict=True))[::every]
    tried = [(x.lr, x.loss) for x in found.trials]
    near = [x.near for x in found.trials]
    what = "loss" if sweep else "validation loss"  # a table's rates are tried without a sweep
    if t.plain:
        lines: list[Line] = [[(f"sweep: lr {x:.2g}, loss {y:.4g}", "")] for x, y in sweep]
        lines += [
            [(f"tried: lr {x:.2g}, {_after(y, found.steps, what)}" + _beside(mean), "")]
            for (x, y), mean in zip(tried, near, strict=True)
        ]
    else:
        lines = _bars("sweep: lr", "loss", sweep, start, t) if sweep else []
        if tried:
            lines += [[], *_bars(f"{found.steps} steps with", what, tried, start, t, near)]
    said = f"{found.why[0].upper()}{found.why[1:]}."
    took = "No suggestion."
    if found.suggestion is not None:
        own = f"the recipe has {lr:g}{_as_good(found, lr)}"
        took = f"Take lr {found.suggestion:g} for {rule}; {own}."
    style = "bad" if found.suggestion is None else "ok"
    return [*lines, *words(said, t.width), *words(took, t.width, style)]


def _as_good(found: LRFinding, lr: float) -> str:
    """Whether a rate that was tried, by its mean with its neighbours, is about the best."""
    near = {t.lr: t.near for t in found.trials if t.near is not None}
    beside = min(near, key=lambda tried: abs(math.log(tried / lr)), default=None)
    if beside is None or not min(near) <= lr <= max(near):
        return ""
    mean, best = near[beside], min(near.values())
    return f", which is about as good ({mean:.4g})" if mean <= best / NEARLY else ""


def _after(loss: float, steps: int, what: str) -> str:
    return f"{what} {loss:.4g} after {steps} steps" if math.isfinite(loss) else "diverges"


def _beside(mean: float | None) -> str:
    return "" if mean is None else f"; {_told(mean)} with its neighbours"


def _told(loss: float) -> str:
    return f"{loss:.4g}" if math.isfinite(loss) else "diverges"


def _bars(
    head: str, what: str, rows: list[tuple[float, float]], start: float, t: Terminal,
    near: Sequence[float | None] = (),
) -> list[Line]:  # fmt: skip
    """A row a rate; the bar is the loss, as long at the start as the whole column.

    near: of each the mean with its neighbours, where rates are compared by that.
    """
    means: list[Column] = []
    if any(mean is not None for mean in near):
        told = [[("" if mean is None else _told(mean), "")] for mean in near]
        means = [Column("mean of 3", told, 9, True)]
    room = max(min(t.width - 36 - len(what) - 11 * len(means), 40), 8)
    shares = [min(y / start, 1.0) if math.isfinite(y) else 1.0 for _, y in rows]
    return table(
        [
            Column(head, [[(f"{lr:.2g}", "")] for lr, _ in rows], 9, True),
            Column(what, [[(_told(y), "")] for _, y in rows], 8, True),
            *means,
            Column("", [bar(s, room, t.signs) for s in shares], 1),
        ],
        t.width,
    )  # fmt: skip
