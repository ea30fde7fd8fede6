"""`chainrule whatif`: a run's first steps, and its next one, with another choice."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ..diagnosis.what_if import HEADS, STEPS, NextStep, WhatIf, next_step
from ..errors import ChainruleError
from ..nn import CrossEntropyLoss
from ..train import Run
from ..train.evaluation import mode
from .app import Command, UsageProblem
from .command_line import changed, command_of
from .diagnose import recipe_of, watched_every
from .explained import batch_of, optimizer_of
from .options import Number, find_run, plain_option, run_argument, runs_dir
from .predict import restored
from .recipe import Recipe, load
from .terminal import Line, Terminal, as_typed, detect, words
from .train import choices
from .trying import Tries
from .view.draw import Column, table

AT_THE_START = ("layers", "init", "seed", "batch_size", "schedule")
"""Choices that a step of a trained model can't be made with: only the replay has them."""
LEFT_OUT = ("--epochs", "--steps", "--tol", "--patience", "--val-fraction")
"""Choices of when a training ends, which its first steps don't see."""


def change_options(function: Any) -> Any:
    """The choices of a recipe that the first steps depend on."""
    for flag, kind, text, _ in reversed([c for c in choices() if c[0] not in LEFT_OUT]):
        function = click.option(flag, type=kind, help=f"{text}.")(function)
    return function


@click.command(cls=Command, short_help="Replays the start of a RUN with a change, side by side.")
@run_argument()
@change_options
@click.option("--first", "steps", type=Number(1, 10**7, whole=True), default=STEPS,
              help=f"So many steps from the start [{STEPS}].")  # fmt: skip
@runs_dir
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@plain_option
def command(run: str, steps: int, runs_dir: str, as_json: bool, plain: bool, **chosen: Any) -> None:
    """Shows what a change of lr, activation, first weights or the like would do to a RUN.

    The first steps are trained again from the run's seed, as it was and with the change: loss,
    gradients, update:weight, verdict.  Then the next step after the run's last checkpoint is made
    both ways, on the first batch, without dropout; first weights, layers, seed, batch size and
    schedule change only the start.  Choices that are not given stay those of the run, and nothing
    is written.

    \b
    Examples:
      chainrule whatif moons --lr 0.1
      chainrule whatif digits-0001 --activation tanh --init xavier --first 300
      chainrule whatif moons --optimizer sgd --lr 0.5 --json
    """
    found = find_run(run, runs_dir)
    recipe = recipe_of(found)
    if recipe is None:
        raise UsageProblem(
            f"whatif: {found.name} was not made by `chainrule train` on a data set of its own, so "
            "its start can't be repeated", fix="in Python, chainrule.what_if(trainer, lr=0.1)",
            line="",
        )  # fmt: skip
    changes = {k: v for k, v in chosen.items() if v is not None}
    new = changed(recipe, changes) if changes else None
    if new is None:
        raise UsageProblem("whatif: nothing is changed", got=" ".join(changes) or "no choice",
                           fix=f"chainrule whatif {found.name} --lr {recipe.lr * 10:g}",
                           line="")  # fmt: skip
    held = compared(found, recipe, new, changes, steps)
    if as_json:
        data = {"run": found.name, "command": command_of(new), **held.to_json()}
        click.echo(json.dumps(data, indent=2, allow_nan=False))
        return
    t = detect(sys.stdout, plain=plain)
    for line in lines_of(found.name, held, command_of(new), t):
        click.echo(t.paint(line), color=True)


def compared(run: Run, recipe: Recipe, new: Recipe, changes: dict[str, Any], steps: int) -> WhatIf:
    """Both replays and both next steps.  Raises ChainruleError where one can't be made."""
    tries = Tries(recipe, steps, watched_every(run))
    base, other = (tries.made(r) for r in (recipe, new))
    told = {k: list(v) if isinstance(v, tuple) else v for k, v in changes.items()}
    held = WhatIf(told, steps, base, other)
    early = [k for k in changes if k in AT_THE_START]
    if len(early) == len(changes):
        held.why = f"Only the start depends on {', '.join(early)}: no next step is shown."
        return held
    try:
        held.following = _following(run, recipe, recipe), _following(run, recipe, new)
    except ChainruleError as error:
        held.why = f"No next step is shown: {error.problem}."
    return held


def _following(run: Run, recipe: Recipe, new: Recipe) -> NextStep:
    """The step after the last checkpoint, with the choices of `new` that a trained model can have.

    Another kind of optimizer begins without what the run's own has kept.
    """
    sets = load(recipe.data)
    kept = {k: getattr(recipe, k) for k in AT_THE_START}
    new = changed(new, kept) or new
    model, _ = restored(run, new, len(sets.names))
    made, _, step = optimizer_of(run, recipe, model, new)
    loss, (x, y) = CrossEntropyLoss(label_smoothing=new.label_smoothing), batch_of(
        sets, recipe, None)  # fmt: skip
    with mode(model, False):
        return next_step(lambda: loss(model(x), y), model, made, step + 1, new.clip_grad_norm)


def lines_of(name: str, held: WhatIf, command: str, t: Terminal) -> list[Line]:
    """The two side by side; --plain: a sentence a row."""
    rows = held.rows()
    lines = [[(f"{name}. {held.title}.", "")]] if t.plain else words(
        f"{name}: {held.title}", t.width, "strong")  # fmt: skip
    if t.plain:
        lines += [[(f"{a}: {b} {HEADS[1]}, {c} {HEADS[2]}.", "")] for a, b, c in rows]
    else:
        verdicts = [r for r in rows if r[0] == "verdict"]
        shown = [r for r in rows if r not in verdicts]
        columns = [Column(HEADS[i], [[(r[i], "")] for r in shown], 9 - i, i > 0) for i in range(3)]
        lines += table(columns, t.width)
        for _, before, after in verdicts:
            lines += words(f"verdict as it was: {before}; with the change: {after}", t.width)
    lines += words(held.why, t.width, "faint") if held.why and not t.plain else []
    lines += [[(held.why, "")]] if held.why and t.plain else []
    return [*lines, [("all of it: ", ""), (as_typed(command), "strong")]]
