"""diagnose: every rule asked about one training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..train import open_run
from . import rules as rules  # registers them
from .finding import ERROR, NOTE, SEVERITIES, Finding
from .of_tables import settings_among
from .rule import Rule, rules_with
from .show import Block, as_html, as_text
from .story import Story

HEALTHY, NOTHING = "healthy", "nothing to judge yet"


@dataclass
class Diagnosis:
    """What the rules found: `findings`, worst first; `asked`; `skipped`, by rule, with the reason.

    begun: whether there is a training to judge: an epoch, or a look inside.
    It prints as text, shows as HTML in a notebook, and `to_json()` gives terms of JSON.
    """

    findings: list[Finding] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    begun: bool = True

    @property
    def state(self) -> str:
        """The worst severity beyond notes; else 'healthy', or that there is nothing to judge."""
        worst = next((f.severity for f in self.findings if f.severity != NOTE), None)
        return worst or (HEALTHY if self.begun and self.asked else NOTHING)

    @property
    def healthy(self) -> bool:
        """Whether there was something to judge, and nothing but notes was found."""
        return self.state == HEALTHY

    @property
    def failed(self) -> bool:
        """Whether there is a finding of severity error, or nothing to judge."""
        return self.state in (ERROR, NOTHING)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON."""
        return {
            "state": self.state, "healthy": self.healthy,
            "findings": [f.to_json() for f in self.findings],
            "asked": self.asked, "skipped": self.skipped,
        }  # fmt: skip

    def blocks(self) -> list[Block]:
        """What is shown, in any form."""
        found = [
            Block(f.severity, f"suspected: {f.title}", f.where,
                  [("evidence", f.evidence), ("cause", f.cause),
                   *(("fix", x.text) for x in f.fixes)])
            for f in self.findings
        ]  # fmt: skip
        if self.state == NOTHING:
            return [*found, Block(NOTE, NOTHING, self.said, [])]
        if self.healthy:
            return [Block("ok", "healthy", self.said, []), *found]
        return found

    @property
    def said(self) -> str:
        """How many rules were asked, and which were not and why."""
        reasons: dict[str, list[str]] = {}
        for rule, reason in self.skipped.items():
            reasons.setdefault(reason, []).append(rule)
        why = "; ".join(f"{', '.join(rules)} ({reason})" for reason, rules in reasons.items())
        begun = "" if self.begun else "no step was looked at and no epoch is finished; "
        return f"{begun}{len(self.asked)} rules asked" + (f". Not asked: {why}" if why else "")

    def __str__(self) -> str:
        return as_text(self.blocks())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.blocks(), "Diagnosis")


def diagnose(source: Any, thresholds: Mapping[str, float] | None = None) -> Diagnosis:
    """Judges a training by rules that name evidence, cause and fix.

    source: a Trainer, a History, a Run, or the path or name of a run.  What the layers did is known
    where a `train.Watch` was among the callbacks; the rules that need the model are asked of a
    Trainer.  thresholds: {'RULE.NAME': value} in place of the rules' own.

    Every finding is a suspicion, with the numbers that it rests on.  Raises ArgumentError for a
    threshold that there is not.  PyTorch has nothing like it; the starting values of the thresholds
    are those of SageMaker Debugger's and DL4J's rules where they have one, and as measured.

    >>> import chainrule
    >>> from chainrule import nn, optim
    >>> from chainrule.train import Trainer, Watch
    >>> _ = chainrule.manual_seed(0)
    >>> model, x = nn.Linear(2, 1), chainrule.randn(64, 2)
    >>> trainer = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1),
    ...                   callbacks=[Watch()])
    >>> _ = trainer.fit((x, x.sum(1, keepdim=True)), epochs=20)
    >>> chainrule.diagnose(trainer).healthy
    True
    """
    if isinstance(source, (str, Path)):
        source = open_run(source)
    return judge(Story.of(source), rules_with(thresholds))


def judge(story: Story, asked: Sequence[Rule]) -> Diagnosis:
    """What rules find in a story."""
    out = Diagnosis(begun=bool(story.rows or story.looks))
    for rule in asked:
        reason = rule.applies(story)
        if reason is not None:
            out.skipped[rule.id] = reason
            continue
        out.asked.append(rule.id)
        out.findings += rule.find(story)
    if story.recipe:
        for finding in out.findings:
            finding.fixes = settings_among(finding.fixes, story.recipe)
    out.findings.sort(key=lambda f: SEVERITIES.index(f.severity))
    return out
