"""`chainrule whatif`: a run's first steps, and its next one, with another choice."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import click

from ..diagnosis.following import NextStep, awake, next_step, rate_of
from ..diagnosis.tries import onward
from ..diagnosis.what_if import FRESH, HEADS, STEPS, WhatIf
from ..errors import ChainruleError
from ..nn import Module
from ..train import Run, Trainer
from ..train.state import restore
from .app import Command, UsageProblem
from .command_line import changed, command_of
from .diagnose import watched_every
from .options import Number, find_run, plain_option, run_argument, runs_dir
from .recipe import OPTIMIZERS, Parts, Recipe, build, trainer
from .terminal import Line, Terminal, as_typed, detect, words
from .train import choices
from .trying import Tries, recipe_to_repeat
from .view.draw import Column, table

AT_THE_START = ("layers", "init", "seed", "batch_size", "schedule")
"""Choices that a step of a trained model can't be made with: only the replay and the first step
have them."""
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
    gradients, update:weight, verdict.  Then the very next step after the run's last checkpoint is
    made both ways: its loss before and after, gradient and update of every layer.  First weights,
    layers, seed, batch size and schedule change only the start: for them it is the first step.
    Choices that are not given stay those of the run, and nothing is written.

    \b
    Examples:
      chainrule whatif moons --lr 0.1
      chainrule whatif digits-0001 --activation tanh --init xavier --first 300
      chainrule whatif moons --optimizer sgd --lr 0.5 --json
    """
    found = find_run(run, runs_dir)
    recipe = recipe_to_repeat(found, "whatif", "chainrule.what_if(trainer, lr=0.1)")
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
        held.following = _first(recipe), _first(new)
        held.note = f"Only the start depends on {', '.join(early)}: the step shown is the first."
        return held
    try:
        (was, said), (now, _) = _following(run, recipe, recipe), _following(run, recipe, new)
    except ChainruleError as error:
        held.note = f"No next step is shown: {error.problem}."
        return held
    held.following = was, now
    fresh = recipe.optimizer != new.optimizer
    held.note = " ".join([*([said] if said else []), *([FRESH] if fresh else [])])
    return held


def _first(recipe: Recipe) -> NextStep:
    """The first step of a recipe."""
    parts = build(recipe)
    return next_step(_trainer(parts, recipe), parts.train, batch_size=recipe.batch_size)


def _following(run: Run, recipe: Recipe, new: Recipe) -> tuple[NextStep, str]:
    """The step after the last checkpoint, with the choices of `new` that a trained model can have.

    And what is to be said of it.
    """
    new = changed(new, {k: getattr(recipe, k) for k in AT_THE_START}) or new
    state = run.checkpoints.load().state
    parts = build(recipe)
    base = _trainer(parts, recipe)
    restore(base, {**state, "callbacks": []})
    said = awake(base)
    again = base
    if new != recipe:
        parts = build(new)
        parts.model.load_state_dict(state["model"])
        made = _with(base.optimizer, parts.model, recipe, new)
        again = _trainer(replace(parts, optimizer=made, scheduler=None), new)
        again.step, again.epoch, again.pending = base.step, base.epoch, base.pending
    pending = again.pending
    if pending is not None and pending["loader"] is not None:
        pending["loader"] = onward(pending["loader"], parts.steps_per_epoch)
    again.batch, again.trained = 0, False
    return next_step(again, parts.train, batch_size=recipe.batch_size), said


def _with(made: Any, model: Module, r: Recipe, new: Recipe) -> Any:
    """An optimizer with the choices of another recipe, at the same place of its schedule.

    Another kind of optimizer begins without what this one has kept.
    """
    place = rate_of(made) / r.lr
    other = OPTIMIZERS[new.optimizer](model.named_parameters(), new)
    if new.optimizer == r.optimizer:
        other.load_state_dict({"state": made.state_dict()["state"],
                               "param_groups": other.state_dict()["param_groups"]})  # fmt: skip
    for group in other.param_groups:
        group["lr"] = new.lr * place
    return other


def _trainer(parts: Parts, recipe: Recipe) -> Trainer:
    """What makes one step of a recipe: by Python, and without anybody who stops it early."""
    return trainer(parts, replace(recipe, patience=None, eager=True), [])


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
    lines += words(held.note, t.width, "faint") if held.note and not t.plain else []
    lines += [[(held.note, "")]] if held.note and t.plain else []
    return [*lines, [("all of it: ", ""), (as_typed(command), "strong")]]
