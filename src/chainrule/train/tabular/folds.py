"""Which rows each network learns from, and which are held out."""

from __future__ import annotations

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

    labels: (rows,) whole numbers, or None.  Raises ArgumentError where one of the two is empty.

    >>> from chainrule.train.tabular import hold_out
    >>> learned, held = hold_out([0, 0, 0, 0, 1, 1, 1, 1], 8, 0.25)
    >>> len(learned), sorted((held // 4).tolist())
    (6, [0, 1])
    """
    count = round(rows * share)
    if not 0 < share < 1 or not 0 < count < rows:
        raise ArgumentError("hold_out: a share that leaves rows on both sides", expected="0 to 1",
                            got=f"{share:g} of {rows} rows")  # fmt: skip
    order = randperm(rows, generator=Generator().manual_seed(seed)).numpy()
    if labels is not None:
        order = order[np.argsort(np.asarray(labels)[order], kind="stable")]
    held = np.zeros(rows, bool)
    held[order[(np.arange(count) * rows + rows // 2) // count]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


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
