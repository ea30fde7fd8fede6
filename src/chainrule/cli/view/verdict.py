"""The judgement while training runs: the worst finding of the rules of `diagnosis`."""

from __future__ import annotations

from typing import Any

from ...diagnosis import Finding, Story, judge, rules_with
from ...diagnosis.finding import ERROR, NOTE, SEVERITIES
from ...diagnosis.rules.units import Dead
from ...diagnosis.rules.updates import UpdateRatio
from ...markup import counted
from ...train import Watch
from ...train.recorder import describe
from .facts import BAD, OK, WARN, Facts, Verdict

RATIOS, DEAD = UpdateRatio(), Dead()
"""The rules whose thresholds mark single numbers of the table."""


def ratio_word(ratio: float) -> str:
    """'ok', 'low' or 'high' for an update:weight ratio."""
    return RATIOS.word(ratio)


def alarming(share: float | None) -> bool:
    """Whether so many of a layer's units, or values, should not be dead, or flat."""
    return share is not None and share > DEAD.share


class Judge:
    """Asks the rules that need no model, of what is known so far.

    Those that go by looks alone are asked again only when there is a new one.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        rules = [rule for rule in rules_with() if rule.asks != "trainer"]
        self.of_looks = [rule for rule in rules if rule.asks == "looks"]
        self.of_rows = [rule for rule in rules if rule.asks != "looks"]
        self.story: Story | None = None
        self.seen = self.rows = 0  # looks and epochs that were judged
        self.found: list[Finding] = []

    def __call__(self, f: Facts, trainer: Any) -> Verdict:
        """The verdict after an epoch."""
        looks = self.watch.looks
        if self.story is None or self.story.rows is not trainer.history.rows:
            self.story = Story(trainer.history.rows, looks, self.watch.start, describe(trainer))
        else:
            self.story.grow(self.rows)
        story, self.rows = self.story, len(trainer.history.rows)
        if len(looks) != self.seen:
            self.seen, self.found = len(looks), judge(story, self.of_looks).findings
        return verdict_of([*self.found, *judge(story, self.of_rows).findings], f)


def verdict_of(findings: list[Finding], f: Facts) -> Verdict:
    """The worst finding that is more than a note, or that all is well."""
    known = [x for x in findings if x.severity != NOTE]
    worst = min(known, key=lambda x: SEVERITIES.index(x.severity), default=None)
    if worst is None:
        return Verdict(OK, "healthy", "healthy." + _waiting(f))
    return Verdict(
        BAD if worst.severity == ERROR else WARN, f"suspected:{worst.id}",
        f"{worst.evidence}. Suspected: {worst.cause}",
    )  # fmt: skip


def _waiting(f: Facts) -> str:
    best = f.val_loss.best()
    idle = len(f.val_loss.values) - best[1] if best else 0
    if not idle:
        return ""
    limit = f" (patience {f.patience})" if f.patience else ""
    return f" Validation has not improved for {counted(idle, 'epoch')}{limit}."
