"""Trying a fix: the first steps of a training once more, from the same start, with one change."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import NonFiniteError
from ..train import Trainer, Watch
from ..train.files import worded
from ..train.watch import Layer, Look
from .finding import Finding
from .verdict import Diagnosis, diagnose

STEPS = 200
LOWER = 0.99
"""A loss counts as lower below this share of the other."""
FOLLOWED = {"grad": "|grad|", "dead": "dead share", "saturated": "flat share",
            "ratio": "update:weight", "std": "deviation"}  # fmt: skip
SAID = {
    "unclear": "it does not show in so few steps without the fix either",
    "no better": "gone, but the loss is no better",
}


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
        if value is None and self.looks:
            value = getattr(self.looks[-1].layer(name), what, None)
        return value


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


@dataclass
class Trial:
    """One fix of one finding, tried: the number that it should change, the loss, and the verdict.

    outcome: 'gone'; 'no better' (gone, but the loss is not lower); 'still there'; 'failed'; or
    'unclear' where the finding does not show in so few steps even without the fix.
    """

    fix: int  # its place in the finding's list, from 1
    command: str  # what makes the change: to type, or in terms of Python
    steps: int
    seconds: float
    outcome: str
    before: float | None
    after: float | None
    loss_before: float | None
    loss_after: float | None
    failed: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON."""
        return {k: worded(v) for k, v in vars(self).items()}


def compared(
    finding: Finding, place: int, command: str, base: Replay | str, other: Replay | str
) -> Trial:
    """A fix by the replays without and with it; where one was not made, why."""
    if isinstance(base, str) or isinstance(other, str):
        why = other if isinstance(other, str) else str(base)
        return Trial(place, command, 0, 0.0, "failed", None, None, None, None, why)
    return Trial(
        place, command, other.steps, other.seconds, _outcome(finding, base, other),
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


def told(trial: Trial, finding: Finding) -> str:
    """A trial as a sentence."""
    if trial.failed is not None:
        return f"fix {trial.fix}: failed: {trial.failed}"
    parts = []
    if finding.follow is not None and trial.before is not None and trial.after is not None:
        what = FOLLOWED.get(finding.follow[0], finding.follow[0])
        parts.append(f"{what} of {finding.follow[1]} {trial.before:.1e} -> {trial.after:.1e}")
    if trial.loss_before is not None and trial.loss_after is not None:
        parts.append(f"loss {trial.loss_before:.4g} -> {trial.loss_after:.4g}")
    said = SAID.get(trial.outcome, trial.outcome)
    return (f"fix {trial.fix}, {trial.steps} steps from the same seed, without -> with: "
            f"{', '.join(parts)} ({trial.seconds:.1f} s): {said}")  # fmt: skip


def best_of(trials: list[Trial]) -> Trial | None:
    """The fix to keep: of those by which the finding is gone, that with the lowest loss."""
    kept = [t for t in trials if t.outcome == "gone"]
    return min(kept, key=lambda t: t.loss_after or 0.0, default=None)
