"""The grid of r-xla's MLP benchmark: total time of ten epochs, compile time included.

1,024 rows of 10 numbers, a linear target with noise, relu, SGD with rate 0.0001, in order.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from harness.dense import Dense
from harness.workload import Rule

ROWS, FEATURES, EPOCHS = 1024, 10, 10
BATCHES, HIDDEN, WIDTHS = (32, 64, 128), (0, 4, 8), (10, 20, 40, 80, 160)


class Cell(Dense):
    """One network of the grid."""

    def data(self) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(ROWS, FEATURES))
        y = x @ rng.normal(size=(FEATURES, 1)) + 0.1 * rng.normal(size=(ROWS, 1))
        return x.astype(np.float32), y.astype(np.float32)


def cell(batch: int, hidden: int, width: int) -> Cell:
    """The network with so many hidden layers of a width; none at all is a linear model."""
    return Cell(
        title=f"{hidden} hidden layers of {width}, batch {batch}" if hidden else
        f"no hidden layer, batch {batch}",
        sizes=(FEATURES, *[width] * hidden, 1),
        activation="relu",
        batch=batch,
        batches=ROWS // batch,
        epochs=EPOCHS,
        optimizer=Rule("SGD", lr=1e-4),
    )  # fmt: skip


WORKLOAD = [
    cell(batch, hidden, width)
    for hidden, width, batch in product(HIDDEN, WIDTHS, BATCHES)
    if hidden or width == WIDTHS[0]
]
