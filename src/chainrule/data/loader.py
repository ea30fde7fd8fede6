"""DataLoader: batches of a dataset, in an order that can be taken up anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, StateError
from ..tensor.random import Generator
from .dataset import Indices, as_indices, examples, size_of, take
from .sampler import BatchSampler, RandomSampler, SeededSampler, SequentialSampler, check_count


class DataLoader:
    """Batches of a dataset: `for x, y in DataLoader(data, batch_size=32, shuffle=True): ...`.

    dataset: a Dataset, a tensor, an array, or anything with `__getitem__` and `__len__`.
    batch_size: examples a batch (default 1).  drop_last: leave out a last batch that is not full.
    shuffle: a new random order every epoch.  sampler: whose order to follow instead;
    batch_sampler: whose lists of indices to follow.  generator: where the seed comes from (default:
    the one that `chainrule.manual_seed` sets).
    collate_fn: makes a batch of a list of examples (default: `default_collate`).

    The order of an epoch is a pure function of (`seed`, `epoch`).  `position` counts the batches
    taken in this epoch; `state_dict()` holds all of it, and after `load_state_dict()` the next
    iteration gives exactly the batches that were left.  Leaving a loop early ends its epoch.

    Raises ArgumentError for an empty dataset, for a batch size below 1, and where `drop_last` would
    leave no batch.  Differs from PyTorch: data in memory are read a batch at a time, in this
    process; the seed is drawn once, not every epoch.

    >>> import chainrule
    >>> from chainrule.data import DataLoader, TensorDataset
    >>> x = chainrule.arange(5)
    >>> for batch, square in DataLoader(TensorDataset(x, x * x), batch_size=2):
    ...     print(batch, square)
    tensor([0, 1]) tensor([0, 1])
    tensor([2, 3]) tensor([4, 9])
    tensor([4]) tensor([16])
    """

    def __init__(
        self, dataset: Any, batch_size: int = 1, shuffle: bool = False, sampler: Any = None,
        batch_sampler: Any = None, collate_fn: Callable[[list[Any]], Any] | None = None,
        drop_last: bool = False, generator: Generator | None = None,
    ) -> None:  # fmt: skip
        self._size = size_of("DataLoader", dataset)
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.generator = generator
        _check_exclusive(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            self.batch_sampler = batch_sampler
            self.sampler = getattr(batch_sampler, "sampler", None)
        else:
            batch_size = check_count("DataLoader", "batch_size", batch_size)
            if sampler is None:
                sampler = (
                    RandomSampler(dataset, generator=generator)
                    if shuffle
                    else SequentialSampler(dataset)
                )
            self.sampler = sampler
            self.batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size: int | None = getattr(self.batch_sampler, "batch_size", None)
        self.drop_last: bool = getattr(self.batch_sampler, "drop_last", False)
        if self.drop_last and not len(self):
            raise ArgumentError(
                "DataLoader: drop_last leaves no batch at all",
                expected=f"a batch_size of at most {self._size}, the number of examples",
                got=f"batch_size {self.batch_size}",
            )
        self._epoch = 0
        self.position = 0
        self._resumed = False
        self._running: object = None

    def __len__(self) -> int:
        return len(self.batch_sampler)

    # ------------------------------------------------------------ where it stands

    @property
    def seed(self) -> int | None:
        """What the orders follow from; None where nothing is random."""
        return self.sampler.seed if isinstance(self.sampler, SeededSampler) else None

    @property
    def epoch(self) -> int:
        """The epoch that runs, or comes next: 0, 1, ...; setting it begins that epoch afresh."""
        return self._epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._epoch, self.position, self._resumed, self._running = int(value), 0, False, None

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, in numbers that JSON can hold."""
        return {
            "seed": self.seed,
            "epoch": self.epoch,
            "position": self.position,
            "batch_size": self.batch_size,
            "examples": self._size,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up an epoch where `state_dict()` left it; StateError where the data differ."""
        own = self.state_dict()
        missing = [k for k in own if k not in state_dict]
        if missing:
            raise StateError(
                "DataLoader: the state is not complete", expected=", ".join(own),
                got=f"missing: {', '.join(missing)}",
            )  # fmt: skip
        for key in ("batch_size", "examples"):
            if state_dict[key] != own[key]:
                raise StateError(
                    f"DataLoader: the state belongs to a loader with another {key}",
                    expected=f"{key} {own[key]}",
                    got=f"{key} {state_dict[key]}",
                    fix="the same data and batch_size as before, or start the epoch afresh",
                )
        if (state_dict["seed"] is None) != (own["seed"] is None):
            raise StateError(
                "DataLoader: the state and the loader differ in shuffle",
                expected="shuffled" if own["seed"] is not None else "not shuffled",
            )
        if state_dict["position"] > len(self):
            raise StateError(
                "DataLoader: the state's position lies behind the end of the epoch",
                expected=f"at most {len(self)}",
                got=str(state_dict["position"]),
            )
        if isinstance(self.sampler, SeededSampler):
            self.sampler.seed = state_dict["seed"]
        self.epoch = state_dict["epoch"]
        self.position = int(state_dict["position"])
        self._resumed = True

    # ------------------------------------------------------------ batches

    def batches(self, epoch: int, start: int = 0) -> Iterator[Indices]:
        """The example numbers of each batch of an epoch, from batch `start` on, as int64 arrays."""
        if isinstance(self.batch_sampler, BatchSampler):
            found: Any = self.batch_sampler.batches(epoch, start)
        else:
            if hasattr(self.batch_sampler, "set_epoch"):
                self.batch_sampler.set_epoch(epoch)
            found = (b for i, b in enumerate(self.batch_sampler) if i >= start)
        for indices in found:
            yield as_indices("DataLoader", indices, self._size)

    def fetch(self, indices: Indices) -> Any:
        """The examples at `indices` as one batch."""
        if self.collate_fn is None:
            return take(self.dataset, np.asarray(indices))
        return self.collate_fn(examples(self.dataset, np.asarray(indices)))

    def __iter__(self) -> Iterator[Any]:
        return self._run(self.reading())

    def reading(self) -> Reading:
        """Begins an epoch, or takes one up, for somebody who says which batches were taken."""
        if self.position and not self._resumed:  # a loop was left before its end
            self.epoch = self._epoch + 1
        self._resumed = False
        self._check_unchanged()
        self._running = run = Reading(self)
        return run

    def _run(self, run: Reading) -> Iterator[Any]:
        for i, indices in enumerate(self.batches(run.epoch, run.start), run.start + 1):
            batch = self.fetch(indices)
            run.reached(i)
            yield batch
        run.end()

    def _check_unchanged(self) -> None:
        size = len(self.dataset)
        if size != self._size:
            raise StateError(
                "DataLoader: the dataset changed its length after the loader was made",
                expected=f"{self._size} examples",
                got=str(size),
                fix="a new DataLoader",
            )


class Reading:
    """One pass over a loader: which epoch it is, and from which batch on it is read.

    What it says of its progress counts until the loader is read anew.
    """

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.epoch, self.start = loader.epoch, loader.position

    def reached(self, position: int) -> None:
        """So many batches of the epoch were taken."""
        if self.loader._running is self:
            self.loader.position = position

    def end(self) -> None:
        """The epoch is over."""
        if self.loader._running is self:
            self.loader.epoch = self.epoch + 1


def _check_exclusive(
    batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: Any
) -> None:
    for name, flag in (("shuffle", shuffle), ("drop_last", drop_last)):
        if not isinstance(flag, bool):
            raise ArgumentTypeError(f"DataLoader: {name} must be True or False", got=repr(flag))
    if sampler is not None and shuffle:
        raise ArgumentError("DataLoader: sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or drop_last or sampler):
        raise ArgumentError(
            "DataLoader: batch_sampler option is mutually exclusive with batch_size, shuffle, "
            "sampler, and drop_last"
        )
