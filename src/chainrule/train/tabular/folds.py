"""Which rows each network learns from, and which are held out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError, ArgumentTypeError, IndexRangeError
from ...tensor.random import Generator, randperm
from .data import TabularData

Split = tuple[Any, Any]
"""(rows to learn from, held-out rows or None)."""


def folds(data: TabularData, count: int, seed: int = 0) -> list[Split]:
    """Every row held out once: `count` parts of equal size, of equally many rows of each class.

    Raises ArgumentError for fewer than 2 parts, or more than rows.

    >>> import numpy as np
    >>> from chainrule.train.tabular import TabularData, folds
    >>> found = folds(TabularData(np.zeros((6, 1)), None, [0, 0, 0, 1, 1, 1]), 3)
    >>> [sorted((held_out // 3).tolist()) for _, held_out in found]
    [[0, 1], [0, 1], [0, 1]]
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= len(data):
        raise ArgumentError("folds: needs a number of parts", got=repr(count),
                            expected=f"2 to {len(data)}, the number of rows")  # fmt: skip
    order = randperm(len(data), generator=Generator().manual_seed(seed)).numpy()
    if data.task == "classification":
        order = order[np.argsort(data.target[order], kind="stable")]
    part = np.empty(len(data), np.int64)
    part[order] = np.arange(len(data)) % count
    return [(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(count)]


def hold_out(labels: Any, rows: int, share: float, seed: int = 0) -> Split:
    """Rows to learn from, and a share held out, of each class about as large a one.

    Of a class with two rows or more there is at least one on both sides, even if more rows than
    the share are held out by that; one with a single row is learned from where other classes have
    more.  labels: (rows,) whole numbers, or None.  Raises ArgumentError for too few rows.

    >>> from chainrule.train.tabular import hold_out
    >>> learned, held = hold_out([0, 0, 0, 0, 1, 1, 1, 1], 8, 0.25)
    >>> len(learned), sorted((held // 4).tolist())
    (6, [0, 1])
    """
    if not 0 < share < 1:
        raise ArgumentError("hold_out: the share held out must be a number in (0, 1)",
                            got=f"{share:g}")  # fmt: skip
    count = held_out_of(rows, share)
    if not 0 < count < rows:
        needed = next(n for n in itertools.count(2) if 0 < held_out_of(n, share) < n)
        raise ArgumentError(
            f"hold_out: too few rows to hold {share:g} of them out and learn from the rest",
            expected=f"at least {max(needed, 2)} rows", got=str(rows), fix="more rows", line="",
        )  # fmt: skip
    order = randperm(rows, generator=Generator().manual_seed(seed)).numpy()
    if labels is not None:
        order = order[np.argsort(np.asarray(labels)[order], kind="stable")]
    held = np.zeros(rows, bool)
    held[order[(np.arange(count) * rows + rows // 2) // count]] = True
    if labels is not None:
        _on_both_sides(held, order, np.asarray(labels))
    return np.flatnonzero(~held), np.flatnonzero(held)


def held_out_of(rows: int, share: float) -> int:
    """How many rows a share is."""
    return round(rows * share)


def _on_both_sides(held: Any, order: Any, labels: Any) -> None:
    """Moves a row of each class that stands on one side alone.  order: the rows class by class."""
    sizes = np.unique(labels, return_counts=True)[1]
    for mine in np.split(order, np.cumsum(sizes)[:-1]):
        if len(mine) == 1:
            held[mine] &= sizes.max() == 1
        elif held[mine].all() or not held[mine].any():
            held[mine[0]] = not held[mine[0]]


def checked(data: TabularData, splits: Sequence[Any]) -> list[Split]:
    """Splits that somebody gave, as row numbers."""
    if not len(splits):
        raise ArgumentError("splits: at least one is needed", expected="[(rows, held out), ..]")
    found = []
    for split in splits:
        if not isinstance(split, (tuple, list)) or len(split) != 2:
            raise ArgumentTypeError("splits: a split is a pair (rows, held-out rows or None)",
                                    got=type(split).__name__)  # fmt: skip
        train, held_out = (None if rows is None else _rows(data, rows) for rows in split)
        if train is None:
            raise ArgumentError("splits: there are no rows to learn from")
        if held_out is not None and np.intersect1d(train, held_out).size:
            raise ArgumentError("splits: a held-out row is learned from too",
                                got=f"row {np.intersect1d(train, held_out)[0]}")  # fmt: skip
        found.append((train, held_out))
    return found


def _rows(data: TabularData, rows: Any) -> Any:
    numbers = np.asarray(getattr(rows, "_value", rows))
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not numbers.size:
        raise ArgumentTypeError("splits: rows must be whole numbers, at least one",
                                got=f"{numbers.dtype} {numbers.shape}")  # fmt: skip
    if numbers.min() < 0 or numbers.max() >= len(data):
        raise IndexRangeError("splits: a row number is out of range",
                              expected=f"0 to {len(data) - 1}",
                              got=f"{numbers.min()} to {numbers.max()}")  # fmt: skip
    return numbers.astype(np.int64)
