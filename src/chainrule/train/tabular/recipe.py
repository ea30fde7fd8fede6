"""The settings of a fit, with RealMLP's numbers where nothing is said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ...errors import ArgumentError
from ...functional.arguments import choice
from ...nn import TabularMLP
from ...nn.tabular import ACTIVATIONS
from ...ops.core import is_number
from .judging import MEASURES, OWN

OF_TASK: Mapping[str, Mapping[str, Any]] = {
    "classification": {"lr": 0.04, "activation": "selu", "label_smoothing": 0.1},
    "multilabel": {"lr": 0.04, "activation": "selu", "label_smoothing": 0.0},
    "regression": {"lr": 0.2, "activation": "mish", "label_smoothing": 0.0},
}
"""What depends on the task (appendix A of the paper)."""

COPIES, WAVES = 5, 3
"""A parameter, its two moments, its gradient and the best so far; turns, phases and cosines."""
BELOW_ONE = ("dropout", "label_smoothing")
COUNTS = ("epochs", "batch_size", "frequencies", "embedding_dim", "category_dim")


def _whole(value: Any, least: int) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and bool(value >= least)


@dataclass(frozen=True)
class Recipe:
    """How a TabularMLP is built and trained; None is the number of the task.

    lr: greatest learning rate (0.04, regression 0.2), over the fit as `coslog` goes.  weight_decay
    (0.02) and dropout (0.15): as `flat_cos` goes.  label_smoothing: (0.1 for classification).
    These four may differ between networks that are trained as one; what follows may not.  epochs:
    256.  batch_size: 256, or all rows where there are fewer; what is left over of an epoch is left
    out.  betas: of AdamW, (0.9, 0.95).  metric: what decides about the best epoch, early stopping
    and the winner of many settings: 'error' (share of wrong classes or labels, or root of the mean
    squared error, of a TableFit in deviations of the target), 'loss', or a metric of the task, in
    its own direction: 'roc_auc', 'f1', 'mae', .. ('error').  patience: a network ends after epoch
    e where it was better than before in b and e > 2 b + patience; None: never.
    hidden, activation, frequencies, embedding_dim, sigma, max_one_hot (10: eight categories,
    the unknown and the missing), category_dim: of the network, see nn.TabularMLP.

    >>> from chainrule.train.tabular import Recipe
    >>> Recipe(epochs=64).of("regression").lr
    0.2
    """

    lr: float | None = None
    weight_decay: float = 0.02
    dropout: float = 0.15
    label_smoothing: float | None = None
    epochs: int = 256
    batch_size: int = 256
    betas: tuple[float, float] = (0.9, 0.95)
    metric: str | None = None
    patience: int | None = None
    hidden: tuple[int, ...] = (256, 256, 256)
    activation: str | None = None
    frequencies: int = 16
    embedding_dim: int = 4
    sigma: float = 0.1
    max_one_hot: int = 10
    category_dim: int = 8

    def __post_init__(self) -> None:
        for name in ("lr", "weight_decay", *BELOW_ONE):
            value = getattr(self, name)
            low, high = 0.0, 1.0 if name in BELOW_ONE else math.inf
            sound = value is None or (is_number(value) and not isinstance(value, bool))
            if not sound or (value is not None and not low <= value < high):
                raise ArgumentError(f"Recipe: {name} must be a number in [0, {high})",
                                    got=repr(value))  # fmt: skip
        for name in COUNTS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(f"Recipe: {name} must be a whole number >= 1", got=repr(value))
        if self.metric is not None:
            choice("Recipe", "metric", self.metric, MEASURES)
        if self.activation is not None:
            choice("Recipe", "activation", self.activation, tuple(ACTIVATIONS))
        sizes = self.hidden if isinstance(self.hidden, (tuple, list)) else (None,)
        betas = self.betas if isinstance(self.betas, (tuple, list)) else ()
        for name, sound, wanted in (
            ("patience", self.patience is None or _whole(self.patience, 0),
             "a whole number >= 0, or None"),
            ("hidden", all(_whole(h, 1) for h in sizes), "whole numbers >= 1, as (64, 64)"),
            ("betas", len(betas) == 2 and all(is_number(b) and 0 <= b < 1 for b in betas),
             "two numbers in [0, 1)"),
            ("sigma", is_number(self.sigma) and 0 < self.sigma < math.inf, "a number > 0"),
            ("max_one_hot", _whole(self.max_one_hot, 0), "a whole number >= 0"),
        ):  # fmt: skip
            if not sound:
                raise ArgumentError(f"Recipe: {name} must be {wanted}",
                                    got=repr(getattr(self, name))[:60])  # fmt: skip
        object.__setattr__(self, "hidden", tuple(int(h) for h in self.hidden))

    def of(self, task: str) -> Recipe:
        """With the numbers of a task in place of None.

        Raises ArgumentError for a label_smoothing of a regression, which has no classes.
        """
        if task == "regression" and self.label_smoothing:
            raise ArgumentError(
                "Recipe: label_smoothing takes certainty from classes, and a regression has none",
                got=f"label_smoothing={self.label_smoothing:g}", fix="label_smoothing=None",
            )  # fmt: skip
        given = {"metric": self.measure, **OF_TASK[task]}
        return replace(self, **{k: v for k, v in given.items() if getattr(self, k) is None})

    @property
    def measure(self) -> str:
        """What decides: the metric, or 'error' where none is given."""
        return self.metric or OWN[0]

    def changed(self, settings: Mapping[str, Any]) -> Recipe:
        """With other settings; ArgumentError for one that there is not."""
        names = [f.name for f in fields(self)]
        unknown = [k for k in settings if k not in names]
        if unknown:
            raise ArgumentError(f"Recipe: there is no setting {unknown[0]!r}",
                                expected=", ".join(names))  # fmt: skip
        return replace(self, **settings)

    def network(self, data: Any) -> TabularMLP:
        """A network for some TabularData."""
        return TabularMLP(
            0 if data.numeric is None else data.numeric.shape[1], data.cardinalities,
            data.num_outputs, hidden=self.hidden, activation=self.activation or "selu",
            dropout=self.dropout, frequencies=self.frequencies, sigma=self.sigma,
            embedding_dim=self.embedding_dim, max_one_hot=self.max_one_hot,
            category_dim=self.category_dim, unknown=data.unknown,
            regression=data.task == "regression",
        )  # fmt: skip

    def bytes_for(self, data: Any, members: int, rows: int) -> int:
        """About how much memory so many networks of some TabularData take, started on `rows` rows.

        A bound from below: every parameter as COPIES numbers of 4 bytes, and the periodic
        embedding's waves of the largest batch as WAVES arrays.
        """
        numbers = 0 if data.numeric is None else data.numeric.shape[1]
        width = numbers * self.embedding_dim
        params = numbers * (self.frequencies + 1) * (self.embedding_dim + 1)
        for count in data.cardinalities:
            tabled = count > self.max_one_hot
            params += count * self.category_dim if tabled else 0
            width += self.category_dim if tabled else count
        for a, b in pairwise((width, *self.hidden, data.num_outputs)):
            params += a * b + b
        batch = max(rows, members * min(self.batch_size, rows))
        return 4 * (COPIES * members * params + WAVES * batch * numbers * self.frequencies)

    @property
    def together(self) -> tuple[Any, ...]:
        """What networks must have in common to be trained as one."""
        apart = ("lr", "weight_decay", *BELOW_ONE)
        return tuple(getattr(self, f.name) for f in fields(self) if f.name not in apart)
