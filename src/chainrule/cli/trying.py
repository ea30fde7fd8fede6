"""Trying a fix: the first steps of a run once more, from the same seed, with one choice changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ..diagnosis import Diagnosis, Finding, Fix, diagnose
from ..diagnosis.trial import Trial, followed
from ..errors import ChainruleError, NonFiniteError
from ..train import Watch
from ..train.watch import Layer, Look
from . import recipe as recipes
from .command_line import changed, command_of
from .recipe import Recipe

LOWER = 0.99
"""A loss counts as lower below this share of the other."""


@dataclass
class Replay:
    """The first steps of a recipe, trained without a run: nothing is written."""

    recipe: Recipe
    steps: int
    seconds: float
    looks: list[Look]
    first: float | None  # loss on the probe rows before the first step, and after the last
    last: float | None
    layers: dict[str, Layer]  # at the end
    found: Diagnosis
    failed: str | None = None

    @property
    def reached(self) -> float | None:
        """The loss at the end; that of the start where it broke off."""
        return self.last if self.failed is None else self.first

    def value(self, follow: tuple[str, str] | None) -> float | None:
        """A layer's number: of the end, or of the last look where only a step gives it."""
        if follow is None:
            return None
        what, name = follow
        held = self.layers.get(name)
        value = getattr(held, what, None)
        if value is None and self.looks:
            value = getattr(self.looks[-1].layer(name), what, None)
        return value


def replay(r: Recipe, steps: int, every: int) -> Replay:
    """Trains the first `steps` steps of a recipe as a run of it does, and judges them."""
    parts = recipes.build(r)
    watch = Watch(every if steps > every // 5 else max(steps // 4, 1))
    trainer = recipes.trainer(parts, r, [watch])
    began = time.perf_counter()
    failed = None
    try:
        trainer.fit(parts.train, validation=parts.validation, steps=min(steps, parts.total_steps),
                    batch_size=r.batch_size)  # fmt: skip
    except NonFiniteError as error:
        failed = error.problem
    seconds = time.perf_counter() - began
    layers: list[Layer] = []
    last = None
    if watch.probe is not None and watch.problem is None and failed is None:
        layers, last = watch.probe.measure(), watch.probe.value
    first = watch.looks[0].probe if watch.looks else None
    return Replay(
        r, trainer.step, seconds, watch.looks, first, last, {x.name: x for x in layers},
        diagnose(trainer), failed,
    )  # fmt: skip


@dataclass
class Tries:
    """Every fix that is a choice of the recipe, tried once; equal ones share a replay."""

    recipe: Recipe
    steps: int
    every: int
    held: dict[Recipe, Replay | str] = field(default_factory=dict)

    def of(self, recipe: Recipe) -> Replay | str:
        """The replay of a recipe, or why there is none."""
        if recipe not in self.held:
            try:
                self.held[recipe] = replay(recipe, self.steps, self.every)
            except ChainruleError as error:
                self.held[recipe] = error.problem
        return self.held[recipe]

    def same_as(self, looks: list[Look]) -> tuple[list[int], int | None]:
        """The steps at which the replay as it was has the run's loss, and the first where not."""
        base = self.of(self.recipe)
        mine = {} if isinstance(base, str) else {x.step: x.loss for x in base.looks}
        common = [x for x in looks if x.step in mine]
        odd = [x.step for x in common if x.loss != mine[x.step]]
        return [x.step for x in common if x.step not in odd], odd[0] if odd else None

    def tried(self, finding: Finding, place: int, fix: Fix) -> Trial | None:
        """One fix; None where it is no choice of the recipe, or changes nothing."""
        new = changed(self.recipe, fix.changes) if fix.changes else None
        if new is None:
            return None
        base, other = self.of(self.recipe), self.of(new)
        if isinstance(base, str) or isinstance(other, str):
            why = other if isinstance(other, str) else str(base)
            return Trial(place, command_of(new), 0, 0.0, "failed", *(None,) * 5, failed=why)
        return Trial(
            place, command_of(new), other.steps, other.seconds, _outcome(finding, base, other),
            followed(*finding.follow) if finding.follow else None,
            base.value(finding.follow), other.value(finding.follow), base.reached, other.last,
            other.failed,
        )  # fmt: skip


def _outcome(finding: Finding, base: Replay, other: Replay) -> str:
    if other.failed is not None:
        return "failed"
    if not _shows(finding, base.found):
        return "unclear"
    if _shows(finding, other.found):
        return "still there"
    if base.reached is None or other.last is None:
        return "gone"
    return "gone" if other.last < LOWER * base.reached else "no better"


def _shows(finding: Finding, found: Diagnosis) -> bool:
    return any(f.id == finding.id and f.title == finding.title for f in found)
