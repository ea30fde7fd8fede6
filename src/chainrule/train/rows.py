"""Data whose batches are rows of arrays in memory, which machine code can read by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..data import ConcatDataset, DataLoader, Subset, TensorDataset
from ..data.dataset import as_indices
from ..data.sampler import BatchSampler
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


def stretches(found: InRows, loader: DataLoader, epoch: int, start: int) -> Iterator[Rows]:
    """The rest of an epoch from a batch on: whole batches, then the smaller last one."""
    sampler: Any = loader.batch_sampler
    size = sampler.batch_size
    order = as_indices("DataLoader", sampler.order(epoch), len(loader.dataset))
    numbers = np.ascontiguousarray(found.numbers(order[start * size :]), np.int64)
    first = 0
    listed: Any = numbers
    if len(numbers) and np.array_equal(numbers, np.arange(numbers[0], numbers[0] + len(numbers))):
        listed, first = None, int(numbers[0])  # they lie in a row: nothing is copied
    whole, rest = divmod(len(numbers), size)
    if whole:
        yield Rows(listed, first, size, whole, whole)
    if rest:
        yield Rows(listed, first + whole * size, rest, 1, 1)


def numbers_of(rows: Rows) -> Any:
    """The row numbers of a stretch, a row a step."""
    end = rows.first + rows.size * rows.steps
    if rows.numbers is None:
        return np.arange(rows.first, end).reshape(rows.steps, rows.size)
    return rows.numbers[rows.first : end].reshape(rows.steps, rows.size)
