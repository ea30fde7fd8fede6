"""Whether what was learned holds beyond the training data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

from ..finding import NOTE, WARNING, Finding, Fix, listed, percent
from ..rule import Rule
from ..story import Story


class Overfit(Rule):
    """Validation gets worse while training gets better.

    epochs: since the best validation loss (10).  worse: validation loss / best (1.1), and by more
    than `size` of the first one (0.05).  A note where early stopping keeps the best weights.
    """

    id = "overfit"
    thresholds: ClassVar = {"epochs": 10, "worse": 1.1, "size": 0.05}
    asks = "rows"

    def lacks(self, story: Story) -> str | None:
        """A loss of rows held back."""
        if not story.column("val_loss"):
            return "no validation loss in the log"
        few = len(story.rows) <= self.epochs
        return f"it takes more than {self.epochs:g} epochs" if few else None

    def find(self, story: Story) -> Iterator[Finding]:
        """Of the last epoch against the best."""
        val, train = story.column("val_loss"), story.column("loss")
        if len(val) <= self.epochs or len(train) != len(val):
            return
        course = story.course("val_loss")
        if course is None or not math.isfinite(val[-1]):
            return
        best, row = course.best, story.rows[course.at]
        idle, then = len(story.rows) - 1 - course.at, row.get("loss", math.nan)
        far = val[-1] > self.worse * best and val[-1] - best > self.size * abs(course.first)
        if idle < self.epochs or not far or not train[-1] < then:
            return
        kept = story.keeps_best
        yield Finding(
            self.id, NOTE if kept else WARNING, "overfitting",
            f"validation loss {best:.4g} (epoch {row.get('epoch')}) -> {val[-1]:.4g} while the "
            f"training loss went {then:.4g} -> {train[-1]:.4g}",
            "the weights learn what only the training rows have in common"
            + ("; the best epoch's weights are kept" if kept else ""),
            [], None, {"best": best, "now": val[-1], "epochs": idle}, None,
            [*([] if kept else [Fix("EarlyStopping", {"patience": 10})]),
             Fix("Dropout", {"dropout": 0.3}),
             Fix("weight_decay=0.01", {"weight_decay": 0.01}), Fix("more rows")],
        )  # fmt: skip


class Underfit(Rule):
    """Training and validation have come to rest, both high: a note, since data may not allow more.

    epochs: the window (10).  share: loss / that of an ignorant answer above this (0.6).  change:
    less than this share an epoch (0.005).
    """

    id = "underfit"
    thresholds: ClassVar = {"epochs": 10, "share": 0.6, "change": 0.005}
    asks = "rows"

    def lacks(self, story: Story) -> str | None:
        """Epochs, and what to compare with."""
        few = len(story.rows) < self.epochs
        return f"it takes {self.epochs:g} epochs" if few else None

    def find(self, story: Story) -> Iterator[Finding]:
        """Of the last epochs."""
        losses = story.column("loss")[-max(int(self.epochs), 2) :]
        expected = story.expected
        if len(losses) < self.epochs or expected is None or not all(map(math.isfinite, losses)):
            return
        change = abs(losses[-1] - losses[0]) / (len(losses) - 1)
        share = losses[-1] / expected if expected > 0 else 0.0
        if not self.share < share <= 0.95 or change > self.change * losses[-1]:
            return
        yield Finding(
            self.id, NOTE, "little is learned",
            f"the training loss rests at {losses[-1]:.4g}, {percent(share)} of what an answer that "
            "knows nothing has",
            "too small a network, too low an lr, or data that do not allow more",
            [], None, {"loss": losses[-1], "share": share}, None,
            [Fix("a wider network", {"layers": [256, 128]}), Fix("more epochs")],
        )  # fmt: skip


class Imbalance(Rule):
    """One class has far more rows than another, or is hardly ever recognised.

    ratio: rows of the largest / of the smallest class (10).  error: share of a class's held-out
    rows that are taken for others (0.7).
    """

    id = "imbalance"
    thresholds: ClassVar = {"ratio": 10, "error": 0.7}
    asks = "any"

    def find(self, story: Story) -> Iterator[Finding]:
        """Of the training rows, and of the confusion matrix where there is one."""
        counts = [n for n in story.start.get("class_counts") or () if isinstance(n, int) and n > 0]
        weigh = Fix("CrossEntropyLoss(weight=...), or a WeightedRandomSampler", code=True)
        if len(counts) > 1 and max(counts) > self.ratio * min(counts):
            yield Finding(
                self.id, WARNING, "classes of very different size",
                f"the largest class has {max(counts)} rows, the smallest {min(counts)}",
                "the loss is nearly that of the large class: it pays to forget the small one", [],
                None, {"largest": max(counts), "smallest": min(counts)}, None, [weigh],
            )  # fmt: skip
        missed: list[tuple[float, int]] = []
        if story.rows and not story.learned(0.9):
            return  # of a network that has learned nothing, this says nothing of the classes
        for i, row in enumerate(story.confusion):
            wrong = 1 - row[i] / sum(row) if sum(row) >= 10 else 0.0
            if wrong > self.error:
                missed.append((wrong, i))
        if missed:
            missed.sort(reverse=True)
            yield Finding(
                self.id, WARNING, "classes that are not recognised",
                f"class {listed([i for _, i in missed])}: {percent(missed[0][0])} of its held-out "
                "rows are taken for others",
                "too few rows, or rows like those of another class", [], None,
                {"error": missed[0][0]}, None, [weigh],
            )  # fmt: skip
