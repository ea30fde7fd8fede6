"""How far predicted amounts are off, on rows that were held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

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
    """A target's true and predicted amounts (N,), and where each row stands."""

    name: str
    true: Any
    predicted: Any
    places: list[str]

    @property
    def errors(self) -> Any:
        """predicted - true."""
        return self.predicted - self.true

    @property
    def rmse(self) -> float:
        """The root of the mean squared error."""
        return float(np.sqrt((self.errors**2).mean()))

    @property
    def spread(self) -> float:
        """The root of the mean squared distance from the mean: what the mean itself would get."""
        return float(self.true.std())

    @property
    def r2(self) -> float:
        """The share of the variance that is explained, as `chainrule evaluate` has it."""
        if not self.spread:
            return float(self.rmse == 0)
        return 1 - (self.rmse / self.spread) ** 2


def against(a: Amounts, id: str) -> Chart:
    """True against predicted amounts, in groups of rows by what is predicted."""
    groups = [g for g in np.array_split(np.argsort(a.predicted, kind="stable"), GROUPS) if len(g)]
    x = [float(a.predicted[g].mean()) for g in groups]
    y: list[float | None] = [float(a.true[g].mean()) for g in groups]
    rows = [
        [f"{said(float(a.predicted[g].min()))} to {said(float(a.predicted[g].max()))}", len(g),
         p, t, float(np.sqrt((a.errors[g] ** 2).mean()))]
        for g, p, t in zip(groups, x, y, strict=True)
    ]  # fmt: skip
    bias = float(a.errors.mean())
    panel = Panel(f"mean of what is true, {a.name}", [
        Series("as predicted", x, list(x), GREY, DASHES[1]),
        Series("held-out rows", x, y, BLUE)])  # fmt: skip
    return Chart(
        id, f"{a.name}: off by {said(a.rmse)} (root mean square)",
        f"Held-out rows: {len(a.true)}. r2, the share of the variance that is explained: "
        f"{said(a.r2)}; the mean of what was true would be off by {said(a.spread)}.",
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
