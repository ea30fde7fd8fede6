"""A finding: what is suspected, on which evidence, by which cause, and what may mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..train.files import worded
from ..train.watch import Look

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
"""Worst first.  A note is worth knowing and no fault."""

ERROR_TERM, SLOPE, INPUT, WEIGHTS = "error", "slope", "input", "weights"
"""The factors of a gradient: error x slope x input; the error comes back through the weights."""


@dataclass(frozen=True)
class Fix:
    """Something to try.

    text: in words, and in terms of Python.  changes: the same as choices of `chainrule train`
    (activation, init, lr, clip_grad_norm, ...), empty where there is no such choice.  code: it is
    a change of a model, a loss or a loop of one's own, of which a table's fit has none.
    """

    text: str
    changes: dict[str, Any] = field(default_factory=dict)
    code: bool = False


@dataclass
class Finding:
    """What one rule suspects.

    id: of the rule.  layers: their names, worst first.  steps: the first and the last step at which
    it was seen.  evidence: a sentence; numbers: the same as numbers.  cause: a sentence;
    multiplier: the factor of error x slope x input (or the weights) that it blames, if it can tell.
    follow: the number that a fix should change: a field of `train.watch.Layer`, and the layer.
    after: it was not seen before the last step was made, but on the weights that the fit leaves.
    """

    id: str
    severity: str
    title: str
    evidence: str
    cause: str
    layers: list[str] = field(default_factory=list)
    steps: tuple[int, int] | None = None
    numbers: dict[str, Any] = field(default_factory=dict)
    multiplier: str | None = None
    fixes: list[Fix] = field(default_factory=list)
    follow: tuple[str, str] | None = None
    after: bool = False

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON."""
        return {
            "id": self.id, "severity": self.severity, "title": self.title, "layers": self.layers,
            "steps": None if self.steps is None else list(self.steps), "evidence": self.evidence,
            "numbers": {k: worded(v) for k, v in self.numbers.items()}, "cause": self.cause,
            "multiplier": self.multiplier,
            "fixes": [{"text": f.text, "changes": f.changes} for f in self.fixes],
        }  # fmt: skip

    @property
    def where(self) -> str:
        """`fc1, fc2 and 3 more, since step 21`."""
        shown = ", ".join(map(called, self.layers[:3]))
        more = f" and {len(self.layers) - 3} more" if len(self.layers) > 3 else ""
        parts = [shown + more] if shown else []
        if self.steps is not None:
            first, last = self.steps
            at = f"at step {first}" if first == last else f"steps {first} to {last}"
            parts.append("after the last step" if self.after else at)
        return ", ".join(parts)


def span(seen: Sequence[Look]) -> tuple[int, int]:
    """The first and the last step at which there were these looks, of those that were made."""
    return seen[0].at, seen[-1].at


def called(name: str) -> str:
    """A layer's name in a sentence: that of a Sequential's third part is `layer 2`, not `2`."""
    return f"layer {name}" if name.split(".")[-1].isdigit() else name


def percent(share: float) -> str:
    """`62 %`; `99.6 %` where a whole number would say all or nothing."""
    whole = f"{share * 100:.0f}"
    return (
        f"{share * 100:.1f} %"
        if whole in ("0", "100") and share not in (0.0, 1.0)
        else f"{whole} %"
    )


def listed(names: list[Any], most: int = 8) -> str:
    """The first few, and how many more there are."""
    head = ", ".join(map(str, names[:most]))
    return head + (f" and {len(names) - most} more" if len(names) > most else "")
