"""What came of a fix that was tried: as a sentence, as JSON, and back from a run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import FormatError
from ..train.files import MissingFileError, read_json, worded

FILE = "diagnosis.json"
"""In a run's folder: what `chainrule diagnose RUN --try` found and tried."""

FOLLOWED = {"grad": "|grad|", "dead": "dead share", "saturated": "flat share",
            "ratio": "update:weight", "std": "deviation"}  # fmt: skip
VERDICTS = {
    "unclear": "it does not show in so few steps without the fix either",
    "no better": "gone, but the loss is no better",
}


@dataclass
class Trial:
    """One fix of one finding, tried: the number that it should change, the loss, and the verdict.

    outcome: 'gone'; 'no better' (gone, but the loss is not lower); 'still there'; 'failed'; or
    'unclear' where the finding does not show in so few steps even without the fix.  before, after:
    without and with the fix, the number that is named by `followed`.
    """

    fix: int  # its place in the finding's list, from 1
    command: str  # what makes the change: to type, or in terms of Python
    steps: int
    seconds: float
    outcome: str
    followed: str | None
    before: float | None
    after: float | None
    loss_before: float | None
    loss_after: float | None
    failed: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON."""
        return {k: worded(v) for k, v in vars(self).items()}

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Trial:
        """Back from terms of JSON.  Raises TypeError, ValueError or KeyError for other terms."""
        values = {f.name: held[f.name] for f in fields(cls)}
        for key in ("before", "after", "loss_before", "loss_after"):
            values[key] = None if values[key] is None else float(values[key])
        return cls(**{**values, "fix": int(values["fix"]), "seconds": float(values["seconds"])})

    @property
    def said(self) -> str:
        """The trial as a sentence."""
        if self.failed is not None:
            return f"fix {self.fix}: failed: {self.failed}"
        parts = []
        if self.followed is not None and self.before is not None and self.after is not None:
            parts.append(f"{self.followed} {self.before:.1e} -> {self.after:.1e}")
        if self.loss_before is not None and self.loss_after is not None:
            parts.append(f"loss {self.loss_before:.4g} -> {self.loss_after:.4g}")
        return (f"fix {self.fix}, {self.steps} steps from the same seed, without -> with: "
                f"{', '.join(parts)} ({self.seconds:.1f} s): "
                f"{VERDICTS.get(self.outcome, self.outcome)}")  # fmt: skip


def followed(what: str, layer: str) -> str:
    """The name of a number of a layer, as a trial tells it."""
    return f"{FOLLOWED.get(what, what)} of {layer}"


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The fix to keep: of those after which the finding is gone the one with the lowest loss."""
    gone = [t for t in trials if t.outcome == "gone"]
    return min(gone, key=lambda t: t.loss_after or 0.0) if gone else None


def tried_in(run: str | Path) -> dict[tuple[str, str], list[Trial]]:
    """The trials in a run's folder by rule and title of their finding; none where none was made.

    Raises FormatError where the file is not what `chainrule diagnose --try` writes.
    """
    path = Path(run) / FILE
    try:
        found = read_json(path)["findings"]
        return {(f["id"], f["title"]): [Trial.from_json(t) for t in f["tried"]] for f in found}
    except MissingFileError:
        return {}
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise FormatError(f"{path} holds no diagnosis", got=str(error)[:60],
                          fix="delete it, or chainrule diagnose RUN --try again", line=""
                          ) from None  # fmt: skip
