"""How far predicted amounts are off, on rows that were held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..train.metrics import rmse, scored
from .charts import (
    BLUE,
    DASHES,
    GREY,
    Chart,
    Histogram,
    Histograms,
    Lines,
    Panel,
    Series,
    said,
)

GROUPS, BINS, WORST = 10, 30, 12
MOST = 4
"""Of several targets, those that have charts."""


@dataclass(frozen=True)
class Amounts:
    """A target's true and predicted amounts (N,), and where each row stands.

    mean: of the rows learned from, the answer that knows nothing of a row.
    """

    name: str
    true: Any
    predicted: Any
    places: list[str]
    mean: float

    @property
    def errors(self) -> Any:
        """predicted - true."""
        return self.predicted - self.true

    def score(self, name: str) -> float | None:
        """A metric of these rows; None where so few of them have none."""
        return scored(name, self.predicted, self.true)

    @property
    def rmse(self) -> float:
        """The root of the mean squared error."""
        return float(rmse(self.predicted, self.true))

    @property
    def of_mean(self) -> float:
        """The rmse of the mean of the rows learned from."""
        return float(rmse(np.full(len(self.true), self.mean), self.true))


def table(held: list[Amounts]) -> Chart:
    """The targets with their scores, each in its own unit."""
    better = [a.name for a in held if a.rmse < a.of_mean]
    here = f"Better than the mean of the rows learned from: {', '.join(better) or 'no target'}."
    return Chart(
        "targets", f"{len(better)} of {len(held)} targets are predicted better than by their mean",
        f"Held-out rows: {len(held[0].true)}.",
        "For every target, in its unit, how far predictions are off: the root of the mean square "
        "(rmse) and the mean (mae), r2, the share of the variance that is explained, and the rmse "
        "of an answer that knows nothing of a row: the mean of the rows learned from.",
        "An rmse well below that of the mean for every target; r2 near 1.",
        here, ["target", "rmse", "mae", "r2", "rmse of the mean"],
        [[a.name, a.rmse, a.score("mae"), a.score("r2"), a.of_mean] for a in held],
    )  # fmt: skip


def against(a: Amounts, id: str) -> Chart:
    """True against predicted amounts, in groups of rows by what is predicted."""
    groups = [g for g in np.array_split(np.argsort(a.predicted, kind="stable"), GROUPS) if len(g)]
    x = [float(a.predicted[g].mean()) for g in groups]
    y: list[float | None] = [float(a.true[g].mean()) for g in groups]
    rows = [
        [f"{said(float(a.predicted[g].min()))} to {said(float(a.predicted[g].max()))}", len(g),
         p, t, float(rmse(a.predicted[g], a.true[g]))]
        for g, p, t in zip(groups, x, y, strict=True)
    ]  # fmt: skip
    bias = float(a.errors.mean())
    panel = Panel(f"mean of what is true, {a.name}", [
        Series("as predicted", x, list(x), GREY, DASHES[1]),
        Series("held-out rows", x, y, BLUE)])  # fmt: skip
    return Chart(
        id, f"{a.name}: off by {said(a.rmse)} (root mean square)",
        f"Held-out rows: {len(a.true)}. r2, the share of the variance that is explained: "
        f"{said(a.score('r2'))}; the mean of the rows learned from would be off by "
        f"{said(a.of_mean)}.",
        "Rows in ten groups by what is predicted: of each group the mean of what is true. The "
        "dashed line is where both are equal.",
        "On the dashed line from end to end. A flatter line than that means that high predictions "
        "are too high and low ones too low.",
        f"On average predictions are {said(abs(bias))} too {'high' if bias > 0 else 'low'}.",
        ["predicted", "rows", "mean predicted", "mean true", "off by (root mean square)"], rows,
        Lines(f"mean predicted, {a.name}", [panel]),
    )  # fmt: skip


def spread(a: Amounts, id: str) -> Chart:
    """How errors are spread, and the worst rows."""
    low, high = float(a.errors.min()), float(a.errors.max())
    high = high if high > low else low + 1.0
    counts = np.histogram(a.errors, BINS, (low, high))[0].tolist()
    order = np.argsort(-np.abs(a.errors), kind="stable")[:WORST]
    rows = [
        [a.places[i], float(a.true[i]), float(a.predicted[i]), float(a.errors[i])]
        for i in order.tolist()
    ]
    half = float(np.median(np.abs(a.errors)))
    return Chart(
        id, f"{a.name}: half of the rows are off by less than {said(half)}",
        f"Errors (predicted less true) from {said(low)} to {said(high)}.",
        "How many held-out rows are off by how much; the table has the worst of them.",
        "A narrow heap around 0. A long tail to one side: rows of a kind that was not learned.",
        f"The worst row is off by {said(float(abs(a.errors[order[0]])))}: {a.places[order[0]]}.",
        ["row", "true", "predicted", "error"], rows,
        Histograms("predicted less true", [Histogram("rows", a.name, low, high, counts)]),
        max(len(a.true) - WORST, 0),
    )  # fmt: skip
