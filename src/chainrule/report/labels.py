"""Results on rows with several labels each: how well each is found, and the worst rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..train.metrics import label_area, over_labels
from .charts import Chart, percent, said
from .results import WORST

NEVER, NO_ROWS = "never predicted", "no rows"
MOST = 6
"""So many labels of a row are named; more are counted."""


@dataclass(frozen=True)
class Found:
    """A label: in how many rows it is, in how many it is predicted, and in how many both.

    roc_auc: how likely a row that has it gets a higher probability than one that has it not; None
    where all rows are alike.
    """

    name: str
    rows: int
    predicted: int
    right: int
    roc_auc: float | None = None

    @property
    def precision(self) -> float | None:
        """right / predicted: the share of its predictions that are right; None without any."""
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """right / rows: the share of its rows that is found; None without any."""
        return self.right / self.rows if self.rows else None

    @property
    def f1(self) -> float | None:
        """2 right / (rows + predicted): their harmonic mean; None where the label never occurs."""
        both = self.rows + self.predicted
        return 2 * self.right / both if both else None

    def to_json(self) -> dict[str, Any]:
        """Counts and shares by name."""
        return {**vars(self), "precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True)
class Labels:
    """Held-out rows with a probability for each label: true and p (N, L).

    told: what a row holds, in words.
    """

    true: Any
    p: Any
    names: tuple[str, ...]
    told: Callable[[int], str]

    @property
    def wanted(self) -> Any:
        """Whether a row has a label."""
        return np.asarray(self.true) > 0.5

    @property
    def predicted(self) -> Any:
        """Whether a label is predicted: a probability above one half."""
        return self.p > 0.5

    @property
    def losses(self) -> Any:
        """The mean over the labels of -ln of what is given to what is true, for each row."""
        with np.errstate(divide="ignore"):
            return -np.log(np.where(self.wanted, self.p, 1 - self.p)).mean(1)

    @property
    def f1(self) -> float:
        """The mean over the labels; of one that never occurs it is 0."""
        return over_labels("f1", self.p, self.wanted, 0.5)

    @property
    def labels_right(self) -> float:
        """The share of all labels of all rows that is right."""
        return float((self.predicted == self.wanted).mean())

    @property
    def rows_right(self) -> int:
        """Rows whose labels are all right."""
        return int((self.predicted == self.wanted).all(1).sum())

    def each(self) -> list[Found]:
        """The labels in their order."""
        both = self.predicted & self.wanted
        areas = [self._area(k) for k in range(len(self.names))]
        counts = zip(self.names, self.wanted.sum(0).tolist(), self.predicted.sum(0).tolist(),
                     both.sum(0).tolist(), areas, strict=True)  # fmt: skip
        return [Found(*c) for c in counts]

    def _area(self, k: int) -> float | None:
        p = self.p[:, k]
        return label_area(p, self.wanted[:, k]) if np.isfinite(p).all() else None

    def worst(self) -> list[int]:
        """The rows with the highest loss, the worst first."""
        return [int(i) for i in np.argsort(-self.losses, kind="stable")[:WORST]]

    def wrong(self, i: int) -> str:
        """What is wrong with a row, the surest mistake first: `missed a (0.1), added b (0.8)`."""
        wanted, found = self.wanted[i], self.predicted[i]
        order = np.argsort(-np.abs(self.p[i] - wanted), kind="stable")
        parts = [
            f"{'missed' if wanted[k] else 'added'} {self.names[k]} ({said(float(self.p[i, k]), 3)})"
            for k in order.tolist() if wanted[k] != found[k]
        ]  # fmt: skip
        more = f" and {len(parts) - MOST} more" if len(parts) > MOST else ""
        return ", ".join(parts[:MOST]) + more if parts else "all labels right"


def table(h: Labels) -> Chart:
    """Every label with its counts, precision, recall and F1."""
    found = h.each()
    rows: list[list[Any]] = [
        [f.name, f.rows, f.predicted, f.right, NEVER if f.precision is None else f.precision,
         NO_ROWS if f.recall is None else f.recall, NO_ROWS if f.f1 is None else f.f1]
        for f in found
    ]  # fmt: skip
    scored = [(f.f1, -i, f) for i, f in enumerate(found) if f.f1 is not None]
    here = "No label is in a row, and none is predicted."
    if scored:
        worst = min(scored)[2]
        here = (f"Least well found is {worst.name}: {worst.right} of the {worst.rows} rows that "
                f"have it, and {worst.predicted - worst.right} that don't.")  # fmt: skip
    return Chart(
        "labels", f"F1 {said(h.f1)}, the mean over {len(found)} labels",
        f"{h.rows_right} of {len(h.true)} held-out rows have all labels right; of all labels of "
        f"all rows {percent(h.labels_right, 2)} are.",
        "For every label the rows that have it, those for which it is predicted (a probability "
        "above one half), and those where both hold; precision is the share of its predictions "
        "that are right, recall the share of its rows that is found, F1 their harmonic mean.",
        "Precision and recall near 1 and near each other for every label, the rare ones too.",
        here, ["label", "rows", "predicted", "right", "precision", "recall", "F1"], rows,
    )  # fmt: skip


def worst(h: Labels) -> list[dict[str, Any]]:
    """The rows with the highest loss, in words."""
    losses = h.losses
    return [{"inputs": h.told(i), "wrong": h.wrong(i), "loss": said(float(losses[i]))}
            for i in h.worst()]  # fmt: skip
