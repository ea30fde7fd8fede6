"""Trying a fix: the first steps of a run once more, from the same seed, with one choice changed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..diagnosis.finding import Finding, Fix
from ..diagnosis.trial import Trial
from ..diagnosis.trying import Replay, compared, often, replay
from ..errors import ChainruleError, FormatError
from ..train import Run, Watch
from ..train.watch import Look
from . import recipe as recipes
from .app import UsageProblem
from .command_line import changed, command_of
from .recipe import Recipe
from .settings import FILE as SETTINGS
from .tables.choices import is_table_run
from .tables.command_line import command_with


def recipe_of(run: Run) -> Recipe | None:
    """The recipe of a run of `chainrule train` on a data set; None for a table, or Python's."""
    try:
        return None if is_table_run(run.config) else recipes.from_config(run.config, str(run.path))
    except FormatError:
        return None


Typing = Callable[[Mapping[str, Any]], str | None]
"""Gives the command that trains with some choices changed; None where none does."""


def typing_of(run: Run) -> Typing:
    """The commands for a run: of its recipe, or for a table of its settings; else none at all."""
    if is_table_run(run.config):
        return lambda changes: command_with(run, changes) if changes else None
    return typing_with(recipe_of(run))


def typing_with(recipe: Recipe | None) -> Typing:
    """The commands for a recipe; none where that is None, or the changes change nothing."""

    def typed_with(changes: Mapping[str, Any]) -> str | None:
        new = changed(recipe, changes) if recipe is not None and changes else None
        return None if new is None else command_of(new)

    return typed_with


def recipe_to_repeat(run: Run, asked: str, python: str) -> Recipe:
    """The recipe of a run whose start is to be trained again; raises where a run has none.

    asked: what was typed; python: what does the same for a Trainer.
    """
    if is_table_run(run.config):
        settings = shlex.quote(str(run.path / SETTINGS))
        raise UsageProblem(
            f"{asked}: {run.name} is a run of a table, and only runs of data sets have a start "
            "that is trained again", line="",
            fix=f"chainrule train --config {settings} with another choice, then chainrule compare",
        )  # fmt: skip
    recipe = recipe_of(run)
    if recipe is None:
        raise UsageProblem(
            f"{asked}: {run.name} was not made by `chainrule train`, so its start can't be "
            "repeated", fix=f"in Python, {python}", line="",
        )  # fmt: skip
    return recipe


def replayed(r: Recipe, steps: int, every: int) -> Replay:
    """Trains the first `steps` steps of a recipe as a run of it does, and judges them."""
    parts = recipes.build(r)
    watch = Watch(often(every, steps))
    trainer = recipes.trainer(parts, r, [watch])
    return replay(trainer, watch, lambda: trainer.fit(
        parts.train, validation=parts.validation, steps=min(steps, parts.total_steps),
        batch_size=r.batch_size,
    ))  # fmt: skip


@dataclass
class Tries:
    """Every fix that is a choice of the recipe, tried once; equal ones share a replay."""

    recipe: Recipe
    steps: int
    every: int
    held: dict[Recipe, Replay | str] = field(default_factory=dict)

    def made(self, recipe: Recipe) -> Replay:
        """The replay of a recipe.  Raises ChainruleError where it can't be made."""
        if not isinstance(self.held.get(recipe), Replay):
            self.held[recipe] = replayed(recipe, self.steps, self.every)
        found = self.held[recipe]
        assert isinstance(found, Replay)
        return found

    def of(self, recipe: Recipe) -> Replay | str:
        """The replay of a recipe, or why there is none."""
        if recipe not in self.held:
            try:
                return self.made(recipe)
            except ChainruleError as error:
                self.held[recipe] = error.problem
        return self.held[recipe]

    def same_as(self, looks: list[Look]) -> tuple[list[int], int | None]:
        """The steps at which the replay as it was has the run's loss, and the first where not."""
        base = self.of(self.recipe)
        mine = (
            {} if isinstance(base, str) else {x.step: x.loss for x in base.looks if not x.closing}
        )
        common = [x for x in looks if x.step in mine and not x.closing]
        odd = [x.step for x in common if x.loss != mine[x.step]]
        return [x.step for x in common if x.step not in odd], odd[0] if odd else None

    def tried(self, finding: Finding, place: int, fix: Fix) -> Trial | None:
        """One fix; None where it is no choice of the recipe, or changes nothing."""
        new = changed(self.recipe, fix.changes) if fix.changes else None
        if new is None:
            return None
        return compared(finding, place, command_of(new), self.of(self.recipe), self.of(new))
