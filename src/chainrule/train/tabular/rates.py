"""`find_rate`: learning rates for a table, tried side by side from the same start."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...errors import ArgumentError
from ..lr_find import LRFinding, Trial
from .data import TabularData
from .fitting import TableFit
from .judging import score
from .members import Member, Members

COUNT = 16
LOSSES = {
    "classification": "cross-entropy", "multilabel": "binary cross-entropy",
    "regression": "mean squared error in deviations of the target",
}  # fmt: skip
"""The loss of held-out rows, by task."""
BELOW, ABOVE = 30.0, 10.0
"""The rates go from the recipe's own through the first to its own times the second."""


def find_rate(
    fit: TableFit, *, lowest: float | None = None, highest: float | None = None, steps: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> LRFinding:  # fmt: skip
    """Tries 16 learning rates for a fit, as networks of one program that start alike.

    fit: it stays as it is; each rate has as many networks as it, with the rows that they learn from
    and are validated on.  lowest, highest: the rates lie evenly between, in their logarithm (the
    recipe's / 30 and its x 10).  steps: of each, up to whole epochs, with the recipe's course of
    the rate (100).  progress: told epochs made and epochs in all.

    A trial's loss is the validation loss of its best epoch, the mean over its networks, whatever
    the recipe's metric: so few steps tell rates apart by the loss sooner than by errors.  Suggested
    is the rate that is best with its two neighbours, by their mean, `near`, so that a lucky one
    does not count; None where that is not below the loss of an answer that knows no column.  Raises
    ArgumentError for a range that is none.

    >>> import chainrule
    >>> from chainrule.train.tabular import Recipe, TableFit, find_rate
    >>> fit = TableFit(chainrule.data.penguins(), "species", recipe=Recipe(hidden=(8,)))
    >>> found = find_rate(fit, steps=10)
    >>> len(found.trials), found.trials[0].lr < found.suggestion < found.trials[-1].lr
    (16, True)
    """
    base = fit.recipe.lr or 0.0
    low, high = lowest or base / BELOW, highest or base * ABOVE
    if not 0 < low < high < math.inf:
        raise ArgumentError("find_rate: lowest must be above 0 and below highest",
                            got=f"{low:g}, {high:g}")  # fmt: skip
    own = fit.members
    epochs = max(-(-steps // own.steps_an_epoch), 1)
    recipe = replace(fit.recipe, epochs=epochs, patience=None, metric="loss")
    rates = np.geomspace(low, high, COUNT).tolist()
    listed = [m._replace(recipe=replace(recipe, lr=lr)) for lr in rates for m in own.members]
    together = Members(fit.data, listed, fit.seed)
    together.run(epochs, lambda row: None if progress is None else progress(row["epoch"], epochs))
    best = np.where(together.diverged, math.inf, together.best)
    losses = best.reshape(COUNT, -1).mean(1)
    near = np.convolve(losses, np.ones(3) / 3, "valid")
    trials = [
        Trial(lr, float(loss), mean)
        for lr, loss, mean in zip(rates, losses, [None, *near.tolist(), None], strict=True)
    ]
    place = int(np.argmin(near))
    mean, lr = near[place], float(f"{rates[place + 1]:.1e}")
    start = float(np.mean([_blind(fit.data, m) for m in own.members]))
    (judge,) = fit.judged(math.nan)
    other = f", not by {judge}, which chooses the best epoch of a training"
    other = "" if judge == "val_loss" else other
    why = (f"rates are ranked by the validation loss ({LOSSES[fit.task]}){other}: as the mean of 3 "
           f"side by side it is lowest around {lr:.2g}: {mean:.4g}; knowing no column it is "
           f"{start:.4g}")  # fmt: skip
    taken = lr if mean < start else None
    return LRFinding([], [], [], trials, epochs * own.steps_an_epoch, taken, why)


def _blind(data: TabularData, member: Member) -> float:
    """The validation loss of the mean, or of the shares of classes, of the rows to learn from."""
    y = data.target[member.train]
    if data.task == "regression":
        z = y.mean(0)
    elif data.task == "multilabel":
        share = (y.sum(0) + 1) / (len(y) + 2)
        z = np.log(share / (1 - share))
    else:
        z = np.log(np.bincount(y, minlength=data.num_outputs) + 1.0)
    rows = member.held_out
    return score(data, np.broadcast_to(z, (len(rows), len(z))), rows, "loss")
