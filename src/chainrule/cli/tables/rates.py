"""`lr-find` for a table: rates as networks side by side, and the command that takes the best."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import click
from click.core import ParameterSource

from ...errors import ArgumentError
from ...train import LRFinding, Run
from ...train.tabular import Recipe, find_rate
from ..app import UsageProblem, as_usage
from ..terminal import Line, Terminal
from ..waiting import waiting
from .choices import TableChoices
from .command_line import command_of, command_with
from .prepare import prepare

UNHEARD = ("epochs", "patience", "early_stopping")
"""Options of a training that trials of a table have no use for, besides the metric."""


def _refuse_unheard() -> None:
    """Raises for one that was typed; in a file of --config it is for the training that follows."""
    asking = click.get_current_context()
    for name in ("metric", *UNHEARD):
        if asking.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            flag = f"--{name.replace('_', '-')}"
            raise UsageProblem(
                f"{flag} is not for lr-find of a table: each rate is trained for --trial-steps "
                "and judged by the validation loss", got=flag, line="",
                fix=f"without {flag}; it is for the training with the rate that is found",
            )  # fmt: skip


def find(
    c: TableChoices, asked: dict[str, Any], t: Terminal, *, as_json: bool
) -> tuple[LRFinding, Recipe]:
    """What the rates gave, and the recipe that they were tried for."""
    _refuse_unheard()
    asked = dict(asked)
    if "steps" in asked:
        raise UsageProblem("--sweep-steps: for a table there is no sweep, only trials",
                           fix="--trial-steps", line="")  # fmt: skip
    if "trial_steps" in asked:
        asked["steps"] = asked.pop("trial_steps")

    def say(lines: list[Line]) -> None:
        for line in lines:
            click.echo(t.paint(line), file=sys.stderr if as_json else sys.stdout, color=True)

    fit = prepare(dataclasses.replace(c, folds=c.folds or 1), say, t).fit
    try:
        with waiting("rates", "epochs") as progress:
            return find_rate(fit, progress=progress, **asked), fit.recipe
    except ArgumentError as error:
        raise as_usage(error) from None


def command_for(c: TableChoices, run: Run | None, lr: float) -> str:
    """The command that trains with a rate: as typed, or as a run was made."""
    new = {"lr": lr}
    return command_of(c, new) if run is None else command_with(run, new)
