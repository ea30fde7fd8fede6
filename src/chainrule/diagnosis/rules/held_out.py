"""Whether what was learned answers rows that were held out to the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from ...markup import counted
from ..finding import ERROR, Finding, Fix, percent
from ..rule import Rule
from ..story import Story, number


class HeldOut(Rule):
    """On the rows held out to the end the network is no better than an answer that knows nothing.

    epochs, steps: a training of fewer epochs (5) and fewer steps (50) is not judged, nor one of
    fewer held-out rows (40).  Of numbers: r2 <= 0, and absolute errors of at least this share of
    those of the median: mae (0.95), since one wild row can spoil r2 alone.  Of classes: no more
    rows are right than the most frequent class gives, and neither the area under the ROC curve nor
    who is taken for whom tells the classes apart; a difference counts from so many standard
    deviations: luck (1).  Of several labels a row: so it is with all of them together, and none is
    told apart by far (3 standard deviations).
    """

    id = "held-out"
    thresholds: ClassVar = {"epochs": 5, "steps": 50, "rows": 40, "mae": 0.95, "luck": 1.0}
    asks = "held out"

    def lacks(self, story: Story) -> str | None:
        """Epochs and rows."""
        step = number(story.rows[-1].get("step")) if story.rows else 0.0
        if len(story.rows) < self.epochs and not step >= self.steps:
            return f"it takes {self.epochs:g} epochs or {self.steps:g} steps"
        first = story.labels[0][0] if story.labels else story.confusion
        rows = sum(map(sum, first)) if first else number(story.result.get("test_rows"))
        if rows < self.rows:
            return f"{counted(int(rows), 'held-out row')}: it takes {self.rows:g}"
        return None

    def find(self, story: Story) -> Iterator[Finding]:
        """Of the scores in the result."""
        matrix = story.confusion
        if story.labels:
            evidence = self._of_labels([(Counts.of(m), auc) for m, auc in story.labels])
        elif matrix:
            evidence = self._of_classes(matrix, story.result)
        else:
            evidence = self._of_numbers(story)
        if evidence is None:
            return
        said, numbers = evidence
        look = Fix("a look at inputs and targets side by side: other columns, more rows")
        cause = ("the target does not follow from these inputs, or there are too few rows to see "
                 "how; ")  # fmt: skip
        if story.learned(0.9):
            cause += "what was learned is what only the training rows have in common"
            fixes = [look, Fix("more weight_decay", {"weight_decay": 0.1})]
        else:
            cause += "or lr and network are such that not even the training rows are learned"
            fixes = [look, Fix("another lr: chainrule lr-find"), Fix("more epochs")]
        yield Finding(
            self.id, ERROR, "no better than a guess on held-out rows", said, cause, [], None,
            numbers, None, fixes,
        )  # fmt: skip

    def _of_numbers(self, story: Story) -> tuple[str, dict[str, Any]] | None:
        held = story.result
        rows, r2, mae, guess = (
            number(held.get(k)) for k in ("test_rows", "test_r2", "test_mae", "guess_mae")
        )
        if not (rows >= self.rows and r2 <= 0) or mae < self.mae * guess:
            return None
        return (f"r2 {r2:.4g} on {rows:.0f} held-out rows; the mean alone has 0",
                {"r2": r2, "rows": rows})  # fmt: skip

    def _of_classes(
        self, matrix: list[list[int]], held: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        of = Counts.of(matrix)
        if of.rows < self.rows or of.most == of.rows:
            return None
        right, guess = of.right / of.rows, of.most / of.rows
        auc = number(held.get("test_roc_auc"))
        if of.better > self.luck or of.agreement > self.luck:
            return None
        if auc > 0.5 + self.luck * of.auc_error:
            return None
        said = (f"{percent(right)} of {of.rows} held-out rows are right; the most frequent class "
                f"alone is {percent(guess)} of them")  # fmt: skip
        return said, {"right": right, "guess": guess, "rows": of.rows}

    def _of_labels(self, labels: list[tuple[Counts, float]]) -> tuple[str, dict[str, Any]] | None:
        known = [(of, auc) for of, auc in labels if of.rows >= self.rows and of.most < of.rows]
        kinds = [
            [of.better for of, _ in known], [of.agreement for of, _ in known],
            [(auc - 0.5) / of.auc_error for of, auc in known if math.isfinite(auc)],
        ]  # fmt: skip
        if not known or any(_told(held, self.luck) for held in kinds):
            return None
        n = sum(of.rows for of, _ in known)
        right, guess = (sum(getattr(of, k) for of, _ in known) / n for k in ("right", "most"))
        rows = known[0][0].rows
        said = (f"{percent(right)} of {len(known)} labels on {rows} held-out rows are right; for "
                f"each its most frequent answer alone gives {percent(guess)}")  # fmt: skip
        return said, {"right": right, "guess": guess, "rows": rows, "labels": len(known)}


def _told(deviations: list[float], luck: float) -> bool:
    """Whether something is told apart: all together, or one alone by far."""
    if not deviations:
        return False
    together = sum(deviations) / math.sqrt(len(deviations))
    return together > luck or max(deviations) > max(luck, FAR)


FAR = 3.0
"""Standard deviations that hardly one of some labels has by chance."""


class Counts(NamedTuple):
    """What a confusion matrix says: rows, those that are right, those of the largest class.

    agreement: how far more rows are right than answers dealt out at random among them would have,
    in standard deviations; 0 where all have one answer.  auc_error: the standard deviation of the
    area under the ROC curve of an answer that knows nothing, of the smallest class.
    """

    rows: int
    right: int
    most: int
    agreement: float
    auc_error: float

    @property
    def better(self) -> float:
        """How far more are right than the most frequent class gives, in standard deviations."""
        guess = self.most / self.rows
        return (self.right - self.most) / math.sqrt(self.rows * guess * (1 - guess))

    @classmethod
    def of(cls, matrix: list[list[int]]) -> Counts:
        """Of counts [true][predicted]."""
        true = [sum(row) for row in matrix]
        told = [sum(column) for column in zip(*matrix, strict=True)]
        n, right = sum(true), sum(row[i] for i, row in enumerate(matrix))
        if n < 2:
            return cls(n, right, max(true, default=0), 0.0, math.inf)
        both = sum(a * b for a, b in zip(true, told, strict=True))
        mixed = sum(a * b * (a + b) for a, b in zip(true, told, strict=True))
        variance = (both**2 + n**2 * both - n * mixed) / (n**2 * (n - 1))
        agreement = (right - both / n) / math.sqrt(variance) if variance > 0 else 0.0
        few = min(a for a in true if a)
        error = math.sqrt((n + 1) / (12 * few * (n - few))) if few < n else math.inf
        return cls(n, right, max(true), agreement, error)
