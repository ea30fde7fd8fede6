"""Results on rows that were held out: who is taken for whom, how sure, and the worst of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..train.metrics import confusion_matrix
from ..train.metrics.probabilities import reliability
from .charts import BLUE, DASHES, GREY, Chart, Lines, Panel, Series, percent, said

WORST, BINS = 12, 10


@dataclass(frozen=True)
class Held:
    """Held-out rows with a probability for each class: x (N, ...), true (N,), p (N, C).

    told: what each row holds, in words, where x doesn't say it.
    """

    x: Any
    true: Any
    p: Any
    names: tuple[str, ...]
    told: list[str] | None = None

    @property
    def predicted(self) -> Any:
        """The class of each row."""
        return self.p.argmax(1)

    @property
    def right(self) -> int:
        """Rows that are classified right."""
        return int((self.predicted == self.true).sum())

    @property
    def losses(self) -> Any:
        """-ln of what the true class gets; inf where that is 0."""
        given = self.p[np.arange(len(self.true)), self.true]
        with np.errstate(divide="ignore"):
            return -np.log(given)


@dataclass(frozen=True)
class Cell:
    """Counts of a true and a predicted class; share of the row, and how dark the cell is."""

    count: int
    share: float | None
    shade: int
    right: bool

    @property
    def words(self) -> str:
        """The share of the row."""
        return "no rows" if self.share is None else percent(self.share, int(self.count > 0))


def confusion(h: Held) -> tuple[Chart, list[list[Cell]]]:
    """The table of true against predicted classes."""
    size = len(h.names)
    matrix = confusion_matrix(h.predicted, h.true, num_classes=size)
    cells = []
    for i, row in enumerate(matrix.tolist()):
        total = sum(row)
        cells.append([Cell(n, n / total if total else None,
                           -(-4 * n // total) if total else 0, i == j)
                      for j, n in enumerate(row)])  # fmt: skip
    pairs = sorted(((matrix[i, j], i, j) for i in range(size) for j in range(size) if i != j),
                   reverse=True)  # fmt: skip
    n, i, j = pairs[0] if pairs else (0, 0, 0)
    title = f"{h.right} of {len(h.true)} held-out rows are classified right"
    here = "No row is taken for another class."
    if n:
        here = (f"Most often {h.names[i]} is taken for {h.names[j]}: {n} of "
                f"{int(matrix[i].sum())} rows.")  # fmt: skip
    return Chart(
        "confusion", title, f"Accuracy {percent(h.right / len(h.true), 2)}.",
        "For every true class (row) how often each class (column) was predicted: the number of "
        "rows, and the share of the true class.",
        "Almost everything on the diagonal, and no column that draws rows from many classes.",
        here, ["true class", *(f"predicted {c}" for c in h.names)],
        [[h.names[i], *row] for i, row in enumerate(matrix.tolist())],
    ), cells  # fmt: skip


def calibration(h: Held) -> Chart:
    """How often the prediction is right, by how sure it was."""
    found = reliability(h.p, h.true, BINS)
    rows: list[list[Any]] = []
    x, y = [], []
    bins = zip(found.rows.tolist(), found.sure.tolist(), found.right.tolist(), strict=True)
    for k, (n, sure, right) in enumerate(bins):
        name = f"{k / BINS:g} to {(k + 1) / BINS:g}"
        if not n:
            rows.append([name, 0, "no rows", "no rows"])
            continue
        rows.append([name, n, sure / n, right / n])
        x.append(sure / n)
        y.append(right / n)
    mean, accuracy = float(h.p.max(1).mean()), h.right / len(h.true)
    bold = mean - accuracy
    word = (
        "too sure" if bold > 0.02 else "too cautious" if bold < -0.02 else "about as sure as right"
    )
    least = min(x, default=0.0)
    panel = Panel("share that is right", [
        Series("as sure as right", [least, 1.0], [least, 1.0], GREY, DASHES[1]),
        Series("this model", x, list(y), BLUE)], share=True)  # fmt: skip
    return Chart(
        "calibration", f"The model is {word}",
        f"Mean confidence {said(mean)}, accuracy {said(accuracy)}, "
        f"expected calibration error {said(found.error, 3)}.",
        "Rows grouped by the probability of the predicted class: of each group the share that is "
        "right. The dashed line is where both are equal.",
        "On the dashed line. Below it the model is too sure, above it too cautious; label "
        "smoothing makes models cautious on purpose.",
        f"{int(found.rows[-1])} of {len(h.true)} rows lie in the surest tenth.",
        ["confidence", "rows", "mean confidence", "share right"], rows,
        Lines("probability of the predicted class", [panel]),
    )  # fmt: skip


def worst(h: Held) -> list[int]:
    """The rows with the highest loss, the worst first."""
    return [int(i) for i in np.argsort(-h.losses, kind="stable")[:WORST]]


def image_svg(pixels: Any, label: str) -> str:
    """A small picture: ink from 0 to 1, dark on light whatever the theme."""
    values = np.asarray(pixels, np.float64)
    rows, columns = values.shape
    low, high = float(values.min()), float(values.max())
    shares = (values - low) / (high - low) if high > low else np.zeros_like(values)
    parts = [f'<rect width="{columns}" height="{rows}" fill="#fff"/>']
    greys = np.round(255 * (1 - shares)).astype(np.int64)
    for grey in np.unique(greys[shares > 0]):
        cells = "".join(f"M{j} {i}h1v1h-1z" for i, j in np.argwhere(greys == grey).tolist())
        parts.append(f'<path fill="#{3 * f"{grey:02x}"}" d="{cells}"/>')
    return (f'<svg class="thumb" viewBox="0 0 {columns} {rows}" role="img" aria-label="{label}" '
            f'shape-rendering="crispEdges">{"".join(parts)}</svg>')  # fmt: skip
