"""`chainrule tune`: many settings for a table at once, the worse half leaves after each wave."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import click
import numpy as np

from ..errors import ArgumentError
from ..markup import counted
from ..train.tabular import Halving, Recipe, TableFit, TableModel, successive_halving
from .app import Command, UsageProblem, as_usage
from .evaluate import Evaluation
from .options import Number, Sizes, plain_option
from .recipe import DATA
from .settings import settings_option
from .tables.applied import Judged, evaluation
from .tables.choices import TableChoices, choose
from .tables.command_line import command_of
from .tables.options import Source, table_options
from .tables.prepare import Prepared, prepare
from .tables.said import baseline, headline_of, in_words
from .terminal import Line, Terminal, as_typed, detect, words
from .view.draw import Column, table

SCHEMA = "chainrule tuning 1"
SHOWN = 12
RANGES = {"lr": (0.1, 4.0), "weight_decay": (0.05, 5.0)}
"""Between which multiples of the recipe's own these are drawn, evenly in their logarithm."""


@click.command(cls=Command, short_help="Tries many settings for a table at once.")
@click.argument("data", type=Source(), metavar="TABLE")
@click.option("--configs", type=Number(2, 512, whole=True), help="Settings that start [32].")
@click.option(
    "--keep",
    type=Number(0, 1, open_low=True, open_high=True),
    help="Share that stays after each wave [0.5].",
)
@click.option("--layers", type=Sizes(), help="Sizes of hidden layers [256,256,256].")
@click.option("--epochs", type=Number(1, 10**6, whole=True), help="Passes over the rows [256].")
@click.option("--batch-size", type=Number(1, 10**9, whole=True), help="Rows an update [256].")
@click.option("--seed", type=Number(0, 2**63 - 1, whole=True), help="Same seed, same bits [0].")
@settings_option
@table_options
@click.option("--json", "as_json", is_flag=True, help="As JSON; what is found out on stderr.")
@plain_option
def command(
    data: str, configs: int | None, keep: float | None, as_json: bool, plain: bool, **chosen: Any
) -> None:  # fmt: skip
    """Tries settings for a TABLE: learning rate, weight decay, dropout, label smoothing.

    All settings train side by side as one program. Where the learning rate has come down to 0, the
    worse half leaves; the last one is trained when it is found. The recipe as it is is among them.
    Nothing is written: the command that is printed trains with the best.

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
    stream = sys.stderr if as_json else sys.stdout
    t = detect(stream, plain=plain)

    def say(lines: list[Line]) -> None:
        for line in lines:
            click.echo(t.paint(line), file=stream, color=True)

    rows = prepare(dataclasses.replace(c, folds=c.folds or 1), say, t)
    fit = rows.fit
    tried = drawn(fit.recipe, configs or 32, c.seed)
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


def splits(fit: TableFit) -> list[tuple[Any, Any]] | None:
    """Those of the networks that --folds asks for, None without: as `train` has them then."""
    members = fit.members.members
    return [(m.train, m.held_out) for m in members] if len(members) > 1 else None


def named(held: list[dict[str, Any]], fit: TableFit) -> list[dict[str, Any]]:
    """Rows of a Halving's table with scores as users know them, see `TableFit.named`."""
    return [{**r, "score": fit.named(r["score"])[1]} for r in held]


def drawn(r: Recipe, count: int, seed: int) -> list[dict[str, Any]]:
    """Settings around a recipe's: the first are its own."""
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
        found.append(made)
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
    best = ", ".join(f"{k} {v:g}" for k, v in top["settings"].items()) or "the recipe as it is"
    said = f"epoch {top['epochs']}: {left} of {len(held)} in, best {in_words(metric)} "
    said += f"{top['score']:.4g} ({best})"
    return words(said, t.width, indent="  ")


def lines_of(found: Halving, held: Evaluation | None, rows: Prepared, t: Terminal) -> list[Line]:
    """The settings that came farthest, and the winner's score."""
    top = named(found.table[:SHOWN], rows.fit)
    metric = in_words(rows.fit.named(0.0)[0])
    names = sorted({k for r in found.table for k in r["settings"]})
    own = {k: getattr(rows.fit.recipe, k) for k in names}
    columns = [
        Column(metric, [[(f"{r['score']:.4g}", "strong")] for r in top], 9, True),
        Column("epochs", [[(str(r["epochs"]), "")] for r in top], 8, True),
        *(Column(k.replace("_", " "), [[(f"{r['settings'].get(k, own[k]):g}", "")] for r in top],
                 5, True) for k in names),
    ]  # fmt: skip
    lines: list[Line] = [[], *table(columns, t.width)]
    if t.plain:
        told = [(r, r["settings"] or "as it is") for r in top]
        lines = [[(f"{metric} {r['score']:.4g} after {counted(r['epochs'], 'epoch')}: {how}", "")]
                 for r, how in told]  # fmt: skip
    if held is not None:
        base = baseline(rows.schema, rows.learned, rows.true)
        lines += [[], *headline_of(held, base, rows.schema, t)]
    return lines
