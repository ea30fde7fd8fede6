"""Datasets: what can give an example by its number, and, where it can, a whole batch at once.

`take(dataset, indices)` is the one way in which a batch is read.  Arrays in memory answer it with
one indexing of each array; only a dataset that knows no better is asked row by row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, IndexRangeError, ShapeError
from ..tensor.core import Tensor, wrap
from ..tensor.create import as_tensor, from_numpy
from ..tensor.random import Generator, randperm
from .collate import collate

Indices = Any
"""A one-dimensional int64 array of example numbers."""


class Dataset:
    """Base of datasets: write `__getitem__(index)` and `__len__()`.

    `__getitems__(indices)`, if there, gives a list of examples in one call.  `take(indices)` gives
    a whole batch; a dataset whose data lie in arrays overrides it with one indexing of each array.

    >>> from chainrule.data import DataLoader, Dataset
    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, index):
    ...         return index, float(index**2)
    >>> next(iter(DataLoader(Squares(), batch_size=3)))
    [tensor([0, 1, 2]), tensor([0., 1., 4.], dtype=float64)]
    """

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__(index): write one")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__(): write one")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])

    def take(self, indices: Indices) -> Any:
        """The examples at `indices` (an int64 array), as one batch."""
        return collate(examples(self, indices), indices)


class LengthError(ShapeError, AssertionError):
    """Arrays of one dataset with different numbers of examples."""


class TensorDataset(Dataset):
    """Tensors or arrays with one example a row: example i is `(t[i] for t in tensors)`.

    A batch is read by one indexing of each array, never row by row.  Raises where the numbers of
    rows differ.  Differs from PyTorch: NumPy arrays are taken as they are, too.

    >>> import numpy as np
    >>> from chainrule.data import TensorDataset
    >>> data = TensorDataset(np.eye(3, dtype=np.float32), np.array([0, 1, 2]))
    >>> data[1]
    (tensor([0., 1., 0.]), tensor(1))
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ArgumentError("TensorDataset: needs at least one tensor")
        self.tensors = tuple(as_tensor(t) for t in tensors)
        for i, t in enumerate(self.tensors):
            if not t.ndim:
                raise ShapeError(
                    "TensorDataset: a tensor needs one row an example", got=f"0-d at place {i}"
                )
        counts = [len(t) for t in self.tensors]
        if len(set(counts)) > 1:
            raise LengthError(
                "TensorDataset: size mismatch between tensors",
                expected="the same number of rows in each",
                got=f"numbers of rows {counts}",
            )

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def take(self, indices: Indices) -> list[Tensor]:
        """The rows at `indices` of each tensor."""
        return [rows(t._value, indices) for t in self.tensors]


class Subset(Dataset):
    """The examples of a dataset at given indices, in that order."""

    def __init__(self, dataset: Any, indices: Any) -> None:
        self.dataset = dataset
        self.indices = as_indices("Subset", indices, size_of("Subset", dataset))

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[int(self.indices[index])]

    def __getitems__(self, indices: Indices) -> list[Any]:
        return examples(self.dataset, self.indices[np.asarray(indices)])

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: Indices) -> Any:
        """The examples at `indices` of this subset, read from the dataset beneath at once."""
        return take(self.dataset, self.indices[indices])


class ConcatDataset(Dataset):
    """Datasets behind one another, as one."""

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset: needs at least one dataset")
        self.cumulative_sizes = np.cumsum([size_of("ConcatDataset", d) for d in self.datasets])

    def __len__(self) -> int:
        return int(self.cumulative_sizes[-1])

    def __getitem__(self, index: int) -> Any:
        size = len(self)
        if not -size <= index < size:
            raise _out_of_range(index, size)
        index = index % size
        part = int(np.searchsorted(self.cumulative_sizes, index, "right"))
        return self.datasets[part][index - self._start(part)]

    def _start(self, part: int) -> int:
        return int(self.cumulative_sizes[part - 1]) if part else 0

    def take(self, indices: Indices) -> Any:
        """One read of each dataset that holds some of the examples, put in the order asked for."""
        if not all(in_memory(d) for d in self.datasets):
            return super().take(indices)
        part_of = np.searchsorted(self.cumulative_sizes, indices, "right")
        parts = np.unique(part_of)
        places = [np.flatnonzero(part_of == p) for p in parts]
        batches = [
            take(self.datasets[p], indices[at] - self._start(p))
            for p, at in zip(parts.tolist(), places, strict=True)
        ]
        return _merge(batches, np.argsort(np.concatenate(places)))


def _merge(batches: list[Any], order: Indices) -> Any:
    first = batches[0]
    if isinstance(first, Tensor):
        shapes = [b.shape[1:] for b in batches]
        if len(set(shapes)) > 1:
            raise ShapeError(
                "ConcatDataset: the datasets hold examples of different shapes",
                got=", ".join(str(s) for s in dict.fromkeys(shapes)),
                fix="pad the examples to one shape, or give a collate_fn",
            )
        return wrap(np.concatenate([b._value for b in batches])[order])
    return [_merge(list(column), order) for column in zip(*batches, strict=True)]


def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset]:
    """Subsets without overlap, drawn at random by the generator's seed.

    lengths: numbers of examples, which add up to len(dataset), or fractions that add up to 1 (what
    rounding leaves over goes to the first ones).  Raises ArgumentError where they don't.

    >>> import chainrule
    >>> from chainrule.data import random_split
    >>> g = chainrule.Generator().manual_seed(0)
    >>> [len(part) for part in random_split(range(10), [0.75, 0.25], generator=g)]
    [8, 2]
    """
    size = size_of("random_split", dataset)
    counts = _counts(list(lengths), size)
    order = randperm(size, generator=generator)._value
    ends = np.cumsum(counts)
    return [Subset(dataset, order[e - c : e]) for e, c in zip(ends, counts, strict=True)]


def _counts(lengths: list[float], size: int) -> list[int]:
    if any(isinstance(n, bool) or not isinstance(n, (int, float, np.number)) for n in lengths):
        raise ArgumentTypeError("random_split: lengths must be numbers", got=repr(lengths))
    if any(not n >= 0 for n in lengths):
        raise ArgumentError("random_split: lengths must be >= 0", got=repr(lengths))
    total = math.fsum(lengths)
    if math.isclose(total, 1.0, abs_tol=1e-6) and size != 1:
        counts = [math.floor(size * n) for n in lengths]
        for i in range(size - sum(counts)):
            counts[i % len(counts)] += 1
    elif all(n == int(n) for n in lengths) and total == size:
        counts = [int(n) for n in lengths]
    else:
        raise ArgumentError(
            "random_split: sum of input lengths does not equal the length of the input dataset",
            expected=f"counts that add up to {size}, or fractions that add up to 1",
            got=f"{lengths}, which add up to {total:g}",
        )
    if 0 in counts:
        raise ArgumentError(
            "random_split: a part would be empty",
            expected="at least one example in each part",
            got=f"counts {counts} of {size} examples",
        )
    return counts


# ---------------------------------------------------------------- reading any dataset


def size_of(owner: str, dataset: Any) -> int:
    """The number of examples; raises where there is none or it can't be known."""
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise ArgumentTypeError(
            f"{owner}: a dataset needs __getitem__ and __len__",
            got=type(dataset).__name__,
            fix="TensorDataset(x, y) for arrays",
        )
    size = len(dataset)
    if not size:
        raise ArgumentError(
            f"{owner}: the dataset is empty",
            expected="at least one example",
            got=f"{type(dataset).__name__} of length 0",
        )
    return size


def in_memory(dataset: Any) -> bool:
    """Whether a batch of it is one indexing of arrays."""
    if isinstance(dataset, Subset):
        return in_memory(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        return all(in_memory(d) for d in dataset.datasets)
    return isinstance(dataset, (TensorDataset, Tensor, np.ndarray))


def take(dataset: Any, indices: Indices) -> Any:
    """The examples at `indices` (an int64 array) as one batch, read at once where possible."""
    if not len(indices):
        raise ArgumentError("DataLoader: an empty batch", expected="at least one example")
    if isinstance(dataset, Dataset):
        return dataset.take(indices)
    if isinstance(dataset, (Tensor, np.ndarray)):
        return rows(np.asarray(getattr(dataset, "_value", dataset)), indices)
    return collate(examples(dataset, indices), indices)


def examples(dataset: Any, indices: Indices) -> list[Any]:
    """The examples at `indices` as a list, by `__getitems__` where the dataset has it."""
    if hasattr(dataset, "__getitems__"):
        found = list(dataset.__getitems__(indices))
        if len(found) != len(indices):
            raise ShapeError(
                f"{type(dataset).__name__}.__getitems__ must give one example an index",
                expected=f"{len(indices)} examples",
                got=str(len(found)),
            )
        return found
    return [dataset[i] for i in indices.tolist()]


def rows(array: Any, indices: Indices) -> Tensor:
    """The rows of an array at `indices`, copied."""
    try:
        return from_numpy(array.take(indices, axis=0))
    except IndexError:
        size = len(array)
        outside = indices[(indices < -size) | (indices >= size)]
        raise _out_of_range(int(outside[0]), size) from None


def as_indices(owner: str, indices: Any, size: int) -> Indices:
    """An int64 array of example numbers below `size`, or an error that says which is wrong."""
    if not hasattr(indices, "__array__"):
        indices = list(indices)
    array = np.asarray(getattr(indices, "_value", indices))
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ArgumentTypeError(
            f"{owner}: indices must be whole numbers in one dimension",
            got=f"{array.dtype} of shape {array.shape}",
            fix="np.flatnonzero(mask) for a mask" if array.dtype.kind == "b" else None,
        )
    outside = array[(array < -size) | (array >= size)]
    if outside.size:
        raise _out_of_range(int(outside[0]), size)
    return array.astype(np.int64) % size if size else array.astype(np.int64)


def _out_of_range(index: int, size: int) -> IndexRangeError:
    return IndexRangeError(
        f"index {index} is out of range for a dataset of {size} examples",
        expected=f"0 to {size - 1}",
        got=str(index),
    )
