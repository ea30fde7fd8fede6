"""Data whose batches are rows of arrays in memory, which machine code can read by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import ConcatDataset, DataLoader, Subset, TensorDataset
from ..data.dataset import as_indices
from ..data.sampler import BatchSampler
from ..jit.rounds import Rounds
from ..jit.turn import Rows


class InRows:
    """The arrays of a dataset, and which of their rows its examples are (None: each its own)."""

    def __init__(self, arrays: list[Any], rows: Any = None) -> None:
        self.arrays = arrays
        self.rows = rows

    def numbers(self, order: Any) -> Any:
        """The row numbers of examples."""
        return order if self.rows is None else self.rows[order]


def in_rows(loader: DataLoader) -> InRows | None:
    """The arrays that the batches of a loader are rows of, or None where it makes them itself."""
    ordinary = type(loader) is DataLoader and type(loader.batch_sampler) is BatchSampler
    if not ordinary or loader.collate_fn is not None:
        return None
    found = _of(loader.dataset)
    return found if found is not None and len(found.arrays) > 1 else None


def _of(dataset: Any) -> InRows | None:
    if type(dataset) is TensorDataset:
        return InRows([np.ascontiguousarray(t._value) for t in dataset.tensors])
    if type(dataset) is Subset:
        beneath = _of(dataset.dataset)
        if beneath is None:
            return None
        return InRows(beneath.arrays, beneath.numbers(dataset.indices))
    if type(dataset) is not ConcatDataset:
        return None
    parts = [_of(d) for d in dataset.datasets]
    kinds = [[(a.dtype, a.shape[1:]) for a in p.arrays] for p in parts if p is not None]
    if len(kinds) < len(parts) or any(k != kinds[0] for k in kinds):
        return None
    listed = [
        [a if p.rows is None else a[p.rows] for a in p.arrays] for p in parts if p is not None
    ]
    return InRows([np.concatenate(column) for column in zip(*listed, strict=True)])


def rest_of_epoch(
    found: InRows, loader: DataLoader, epoch: int, start: int
) -> Rows | Rounds | None:  # fmt: skip
    """An epoch from a batch on: whole batches, and the smaller last one; None: it is over."""
    sampler: Any = loader.batch_sampler
    size = sampler.batch_size
    order = as_indices("DataLoader", sampler.order(epoch), len(loader.dataset))
    numbers: Any = np.ascontiguousarray(found.numbers(order[start * size :]), np.int64)
    first = 0
    whole, rest = divmod(len(numbers), size)
    if len(numbers) and np.array_equal(numbers, np.arange(numbers[0], numbers[0] + len(numbers))):
        first, numbers = int(numbers[0]), None  # they lie in a row: nothing is copied
    if whole and rest:
        return Rounds.of(numbers, whole * size + rest, size, 1, first)
    if whole or rest:
        return Rows(numbers, first, size if whole else rest, whole or 1, whole or 1)
    return None


def numbers_of(rows: Rows | Rounds) -> list[Any]:
    """The row numbers of an epoch's steps, (steps, size) for either size of batch."""
    if isinstance(rows, Rounds):
        return [*numbers_of(rows.whole), *numbers_of(rows.rest)]
    end = rows.first + rows.size * rows.steps
    numbers = np.arange(rows.first, end) if rows.numbers is None else rows.numbers[rows.first : end]
    return [numbers.reshape(rows.steps, rows.size)]


def next_numbers(rows: Rows | Rounds) -> Any:
    """The row numbers of the next step."""
    return [batch for numbers in numbers_of(rows) for batch in numbers][rows.done]
