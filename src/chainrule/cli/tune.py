"""`chainrule tune`: many settings for a table at once, the worse half leaves after each wave."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Collection
from typing import Any

import click
import numpy as np

from ..errors import ArgumentError
from ..markup import counted
from ..nn.tabular import ACTIVATIONS
from ..report.charts import figure
from ..train.tabular import Halving, Recipe, TableFit, TableModel, successive_halving
from .app import Command, UsageProblem, as_usage
from .evaluate import Evaluation
from .options import Name, Number, Sizes, plain_option
from .recipe import DATA
from .settings import settings_option
from .tables.applied import Judged, evaluation
from .tables.choices import PATIENCE, VAL_SHARE, TableChoices, choose
from .tables.command_line import command_of
from .tables.options import Source, table_options_with
from .tables.prepare import Prepared, prepare
from .tables.said import baseline, headline_of, in_words
from .terminal import Line, Terminal, as_typed, detect, words
from .view.draw import Column, table

SCHEMA = "chainrule tuning 1"
SHOWN = 12
RANGES = {"lr": (0.1, 4.0), "weight_decay": (0.05, 5.0)}
"""Between which multiples of the recipe's own these are drawn, evenly in their logarithm."""
SEARCHED = ("lr", "weight_decay", "dropout", "label_smoothing")
SHARE = Number(0, 1, open_high=True)


@click.command(cls=Command, short_help="Tries many settings for a table at once.")
@click.argument("data", type=Source(), metavar="TABLE")
@click.option("--configs", type=Number(2, 512, whole=True), help="Settings that start [32].")
@click.option(
    "--keep",
    type=Number(0, 1, open_low=True, open_high=True),
    help="Share that stays after each wave [0.5].",
)
@click.option("--lr", type=Number(0, open_low=True), help="Learning rate [searched].")
@click.option("--weight-decay", type=Number(0), help="Pull of weights to 0 [searched].")
@click.option("--dropout", type=SHARE, help="Share of units left out in training [searched].")
@click.option("--label-smoothing", type=SHARE,
              help="Share of certainty taken from targets [searched].")  # fmt: skip
@click.option("--layers", type=Sizes(), help="Sizes of hidden layers [256,256,256].")
@click.option("--activation", type=Name(tuple(ACTIVATIONS)), help="Between the layers [by task].")
@click.option("--epochs", type=Number(1, 10**6, whole=True), help="Passes over the rows [256].")
@click.option("--batch-size", type=Number(1, 10**9, whole=True), help="Rows an update [256].")
@click.option("--patience", type=Number(1, 10**9, whole=True),
              help=f"Epochs that early stopping waits [{PATIENCE}].")  # fmt: skip
@click.option("--early-stopping/--no-early-stopping", default=None,
              help="Whether settings end that no longer improve [on].")  # fmt: skip
@click.option("--val-fraction", type=Number(0, 0.9),
              help=f"Share of rows to rank by, without --folds [{VAL_SHARE:g}].")  # fmt: skip
@click.option("--seed", type=Number(0, 2**63 - 1, whole=True), help="Same seed, same bits [0].")
@settings_option
@table_options_with(folds="[1]")
@click.option("--json", "as_json", is_flag=True, help="As JSON; what is found out on stderr.")
@plain_option
def command(
    data: str, configs: int | None, keep: float | None, as_json: bool, plain: bool, **chosen: Any
) -> None:  # fmt: skip
    """Tries settings for a TABLE: learning rate, weight decay, dropout, label smoothing.

    All settings train side by side as one program. Where the learning rate has come down to 0, the
    worse half leaves; the last one is trained when it is found. The recipe as it is is among them.
    Nothing is written: the command that is printed trains with the best. One of the four that is
    given, here or in the file of --config, is the same for all.

    Settings are ranked by their errors, or by --metric, on one fifth of the rows. With --folds each
    is so many networks, held out from other rows, and ranked by the mean: surer, and as many times
    as long.

    \b
    Examples:
      chainrule tune houses.csv --target price
      chainrule tune houses.csv --target price --configs 64 --layers 64,64
      chainrule tune houses.csv --target price --metric mae --folds 5
    """
    if data in DATA:
        raise UsageProblem("tune is for tables", got=data, fix=f"chainrule lr-find {data}", line="")
    given = {k: v for k, v in chosen.items() if v is not None and v != ()}
    c = choose(data, given)
    c = dataclasses.replace(c, folds=c.folds or 1)
    stream = sys.stderr if as_json else sys.stdout
    t = detect(stream, plain=plain)

    def say(lines: list[Line]) -> None:
        for line in lines:
            click.echo(t.paint(line), file=stream, color=True)

    rows = prepare(c, say, t)
    fit = rows.fit
    tried = drawn(fit.recipe, configs or 32, c.seed, _fixed(c, fit.recipe))
    told: list[list[Line]] = []

    def tell(held: list[dict[str, Any]]) -> None:
        lines = rung(named(held, fit), fit.named(0.0)[0], t)
        if lines not in told[-1:]:  # else all that were left had ended by themselves
            say(lines)
        told.append(lines)

    try:
        found = successive_halving(
            tried, fit.data, fit.recipe, splits=splits(fit), keep=keep or 0.5, seed=c.seed,
            on_rung=tell,
        )  # fmt: skip
    except ArgumentError as error:
        raise as_usage(error) from None
    held = scored(found, rows)
    if as_json:
        click.echo(json.dumps(as_data(found, held, c, fit), indent=2, allow_nan=False))
        return
    say(lines_of(found, held, rows, t))
    click.echo(as_typed(f"next  {command_of(c, found.best)}"))


def splits(fit: TableFit) -> list[tuple[Any, Any]]:
    """Those of the networks that `train` would make, whose score is then the one told here."""
    return [(m.train, m.held_out) for m in fit.members.members]


def _fixed(c: TableChoices, r: Recipe) -> tuple[str, ...]:
    """Which of what is searched was given; raises where nothing is left to search."""
    given = tuple(name for name in SEARCHED if getattr(c, name) is not None)
    searched = [name for name in SEARCHED if name != "label_smoothing" or r.label_smoothing]
    if set(searched) <= set(given):
        raise UsageProblem(
            "tune has nothing to search: all that it tries is given", line="",
            got=", ".join(f"{name.replace('_', ' ')} {getattr(c, name):g}" for name in given),
            fix=f"leave one out; or chainrule train {c.data} with them",
        )  # fmt: skip
    return given


def named(held: list[dict[str, Any]], fit: TableFit) -> list[dict[str, Any]]:
    """Rows of a Halving's table with scores as users know them, see `TableFit.named`."""
    return [{**r, "score": fit.named(r["score"])[1]} for r in held]


def drawn(
    r: Recipe, count: int, seed: int, fixed: Collection[str] = ()
) -> list[dict[str, Any]]:  # fmt: skip
    """Settings around a recipe's, the first are its own; what is fixed stays as the recipe's."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, Any]] = [{}]
    for _ in range(count - 1):
        made: dict[str, Any] = {"dropout": round(float(rng.uniform(0.0, 0.4)), 3)}
        for name, (low, high) in RANGES.items():
            value = float(getattr(r, name) or 0.0) * float(
                np.exp(rng.uniform(*np.log((low, high))))
            )
            made[name] = float(f"{value:.3g}")
        if r.label_smoothing:
            made["label_smoothing"] = float(rng.choice([0.0, 0.05, 0.1]))
        found.append({name: value for name, value in made.items() if name not in fixed})
    return found


def scored(found: Halving, rows: Prepared) -> Evaluation | None:
    """The winner on the rows that were held out to the end."""
    if rows.tested is None:
        return None
    model = TableModel(rows.fit.preprocessing, found.ensemble)
    scores, _ = model.judge(rows.tested)
    return evaluation(
        "the best", model, Judged(rows.tested, scores, rows.true, (), "held-out rows")
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def as_data(
    found: Halving, held: Evaluation | None, c: TableChoices, fit: TableFit
) -> dict[str, Any]:
    """What --json prints."""
    return {
        "schema": SCHEMA, "data": c.data, "target": list(c.target), "programs": found.programs,
        "best": found.best, "command": command_of(c, found.best), "metric": fit.named(0.0)[0],
        "folds": len(found.ensemble),
        "tried": [{**r, "score": _finite(r["score"])} for r in named(found.table, fit)],
        "evaluation": None if held is None else held.to_json(),
    }  # fmt: skip


def rung(held: list[dict[str, Any]], metric: str, t: Terminal) -> list[Line]:
    """How it stands after a wave."""
    top = held[0]
    left = sum(r["epochs"] == top["epochs"] for r in held)
    best = spelled(top["settings"]) or "the recipe as it is"
    said = f"epoch {top['epochs']}: {left} of {len(held)} in, best {in_words(metric)} "
    said += f"{figure(top['score'])} ({best})"
    return words(said, t.width, indent="  ")


def spelled(settings: dict[str, Any]) -> str:
    """`lr 0.02, label smoothing 0.1`."""
    return ", ".join(f"{in_words(k)} {v:g}" for k, v in settings.items())


def lines_of(found: Halving, held: Evaluation | None, rows: Prepared, t: Terminal) -> list[Line]:
    """The settings that came farthest, and the winner's score."""
    top = named(found.table[:SHOWN], rows.fit)
    metric = in_words(rows.fit.named(0.0)[0])
    names = sorted({k for r in found.table for k in r["settings"]})
    own = {k: getattr(rows.fit.recipe, k) for k in names}
    columns = [
        Column(metric, [[(figure(r["score"]), "strong")] for r in top], 9, True),
        Column("epochs", [[(str(r["epochs"]), "")] for r in top], 8, True),
        *(Column(in_words(k), [[(f"{r['settings'].get(k, own[k]):g}", "")] for r in top],
                 5, True) for k in names),
    ]  # fmt: skip
    lines: list[Line] = [[], *table(columns, t.width)]
    if t.plain:
        told = [(r, spelled(r["settings"]) or "the recipe as it is") for r in top]
        lines = []
        for r, how in told:
            after = counted(r["epochs"], "epoch")
            lines.append([(f"{metric} {figure(r['score'])} after {after}: {how}", "")])
    if held is not None:
        base = baseline(held, rows.schema, rows.learned, rows.true)
        lines += [[], *headline_of(held, base, rows.schema, t)]
    return lines
