"""What a rule is: a name, thresholds that can be set, and a look at a story.

A new rule is one class in a file of `rules/`; being defined registers it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ..errors import ArgumentError
from .finding import Finding
from .story import Story

RULES: dict[str, type[Rule]] = {}
"""By name, in the order in which they are asked."""


class Rule:
    """Base of the rules; a subclass says in its docstring what it suspects and from what.

    id: its name.  thresholds: names and defaults, each of them a number; an instance has them as
    attributes.  asks: 'looks', 'rows', 'held out' or 'trainer': what it can't do without.
    """

    id: ClassVar[str] = ""
    thresholds: ClassVar[Mapping[str, float]] = {}
    asks: ClassVar[str] = "looks"

    def __init_subclass__(cls) -> None:
        RULES[cls.id] = cls

    def __init__(self, **chosen: float) -> None:
        for name, value in chosen.items():
            if name not in self.thresholds:
                raise ArgumentError(
                    f"rule {self.id}: there is no threshold {name!r}",
                    expected=", ".join(self.thresholds) or "none: it has no threshold",
                )
            ok = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not ok or not math.isfinite(value) or value < 0:
                raise ArgumentError(
                    f"rule {self.id}: {name} must be a finite number >= 0", got=repr(value)
                )
        for name, value in {**self.thresholds, **chosen}.items():
            setattr(self, name, float(value))

    def __getattr__(self, name: str) -> float:
        """Thresholds are set in __init__; this is what tells a type checker so."""
        raise AttributeError(name)

    def applies(self, story: Story) -> str | None:
        """Why it can't be asked, or None."""
        if self.asks == "looks" and not story.looks:
            how = "run(..., watch=TableWatch())" if story.recipe else (
                "Trainer(..., callbacks=[Watch()])")  # fmt: skip
            return f"the layers were not watched: {how}"
        if self.asks == "rows" and not story.rows:
            return "no epoch is finished"
        if self.asks == "held out" and not story.held_out:
            return "no rows were held out to the end and scored"
        if self.asks == "trainer" and story.recipe:
            return "it is for models of one's own"
        if self.asks == "trainer" and story.trainer is None:
            return "it needs the model: chainrule.diagnose(trainer), or chainrule preflight"
        return self.lacks(story)

    def lacks(self, story: Story) -> str | None:
        """What it would need to judge of what it asks for, where that is not there; else None."""
        return None

    def find(self, story: Story) -> Iterator[Finding]:
        """What it suspects."""
        raise NotImplementedError


def rules_with(thresholds: Mapping[str, Any] | None = None) -> list[Rule]:
    """All rules, with thresholds such as {'dead-relu.share': 0.3} in place of their own."""
    chosen: dict[str, dict[str, Any]] = {}
    for key, value in (thresholds or {}).items():
        rule, _, name = str(key).partition(".")
        if rule not in RULES or not name:
            raise ArgumentError(
                f"there is no threshold {key!r}", expected="RULE.NAME, RULE one of "
                + ", ".join(RULES), fix="vanishing.ratio=1e-4",
            )  # fmt: skip
        chosen.setdefault(rule, {})[name] = value
    return [rule(**chosen.get(name, {})) for name, rule in RULES.items()]
