"""Trying a fix: the first steps of a training once more, from the same start, with one change."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import NonFiniteError
from ..train import Trainer, Watch
from ..train.watch import Layer, Look
from .finding import Finding
from .trial import Trial, followed
from .verdict import Diagnosis, diagnose

STEPS = 200
LOWER = 0.99
"""A loss counts as lower below this share of the other."""


def often(every: int, steps: int) -> int:
    """The steps between two looks in a replay, so that there are some in few steps too."""
    return every if steps > every // 5 else max(steps // 4, 1)


@dataclass
class Replay:
    """The first steps of a training, made without a run: nothing is written."""

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
        seen = (getattr(look.layer(name), what, None) for look in reversed(self.looks))
        return next((v for v in seen if v is not None), None) if value is None else value


def replay(trainer: Trainer, watch: Watch, fit: Callable[[], Any]) -> Replay:
    """Trains by calling `fit`, and judges what `watch` saw."""
    began = time.perf_counter()
    failed = None
    try:
        fit()
    except NonFiniteError as error:
        failed = error.problem
    seconds = time.perf_counter() - began
    layers: list[Layer] = []
    last = None
    if watch.probe is not None and watch.problem is None and failed is None:
        layers, last = watch.probe.measure(), watch.probe.value
    first = watch.looks[0].probe if watch.looks else None
    return Replay(
        trainer.step, seconds, watch.looks, first, last, {x.name: x for x in layers},
        diagnose(trainer), failed,
    )  # fmt: skip


def compared(
    finding: Finding, place: int, command: str, base: Replay | str, other: Replay | str
) -> Trial:
    """A fix by the replays without and with it; where one was not made, why."""
    if isinstance(base, str) or isinstance(other, str):
        why = other if isinstance(other, str) else str(base)
        return Trial(place, command, 0, 0.0, "failed", *(None,) * 5, failed=why)
    return Trial(
        place, command, other.steps, other.seconds, _outcome(finding, base, other),
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
