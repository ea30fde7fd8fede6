"""Samplers: which examples come when.

The order of an epoch is a pure function of (seed, epoch): `sampler.order(epoch)` can be asked for
any epoch at any time, and nothing that runs in between changes it.  So training goes on in the
middle of an epoch after knowing two numbers, the epoch and the batches taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ArgumentTypeError
from ..ops.random import random_words
from ..tensor.core import wrap
from ..tensor.random import Generator, generator_in_use, multinomial, randint, randperm
from .dataset import Indices, as_indices, size_of

_DRAWS = 1 << 63
"""Orders use the upper half of a seed's draws, so that they never repeat those of a Generator."""


def check_count(owner: str, name: str, value: Any) -> int:
    """A whole number >= 1, or ArgumentError."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < 1:
        raise ArgumentError(
            f"{owner}: {name} should be a positive integer value, but got {name}={value!r}",
            expected="a whole number >= 1",
            got=f"{type(value).__name__} {value!r}",
        )
    return int(value)


class Sampler:
    """Base of samplers: write `__iter__`, which gives example numbers, and `__len__`.

    An epoch can be taken up in its middle exactly if `__iter__` depends on nothing but the epoch
    that `set_epoch(epoch)`, if there, was told.
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__(): write one")


class OrderedSampler(Sampler):
    """Base of our samplers: `order(epoch)` gives the example numbers of an epoch as an int64 array.

    Iterating gives the order of epoch 0, then that of epoch 1, and so on.
    """

    epoch: int = 0

    def order(self, epoch: int) -> Indices:
        """The example numbers of one epoch, in order."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        now = self.epoch
        self.epoch += 1
        return iter(self.order(now).tolist())


class SequentialSampler(OrderedSampler):
    """0, 1, 2, ... in every epoch."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def order(self, epoch: int) -> Indices:
        """0, 1, 2, ..."""
        return np.arange(len(self.data_source), dtype=np.int64)


class SeededSampler(OrderedSampler):
    """Base of random samplers.

    `seed` is drawn once from the generator (or from the default one, as `manual_seed` set it), when
    the first order is asked for.
    """

    def __init__(self, generator: Generator | None) -> None:
        if generator is not None and not isinstance(generator, Generator):
            raise ArgumentTypeError(
                f"{type(self).__name__}: generator must be a chainrule.Generator",
                got=type(generator).__name__,
                fix="chainrule.Generator().manual_seed(0)",
            )
        self.generator = generator
        self._seed: int | None = None

    @property
    def seed(self) -> int:
        """What the orders follow from."""
        if self._seed is None:
            state = (self.generator or generator_in_use()).next()
            low, high = (int(w) for w in random_words(state._value, 2))
            self._seed = low | high << 32
        return self._seed

    @seed.setter
    def seed(self, value: int) -> None:
        self._seed = int(value)

    def generator_of(self, epoch: int) -> Generator:
        """A generator at the place in the stream of random numbers that belongs to an epoch."""
        at = Generator()
        at.set_state(np.array([self.seed, _DRAWS + epoch], np.uint64))
        return at


class RandomSampler(SeededSampler):
    """All examples in random order; with `replacement`, `num_samples` drawn independently.

    num_samples: how many an epoch (default: as many as there are); without replacement, more than
    there are means a new random order each time they are used up.

    >>> import chainrule
    >>> from chainrule.data import RandomSampler
    >>> s = RandomSampler(range(5), generator=chainrule.Generator().manual_seed(0))
    >>> sorted(s.order(0).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(
        self, data_source: Any, replacement: bool = False, num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(generator)
        self.data_source = data_source
        self.replacement = _flag("RandomSampler", replacement)
        size_of("RandomSampler", data_source)
        self._num_samples = (
            None
            if num_samples is None
            else check_count("RandomSampler", "num_samples", num_samples)
        )

    @property
    def num_samples(self) -> int:
        """How many examples an epoch has."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __len__(self) -> int:
        return self.num_samples

    def order(self, epoch: int) -> Indices:
        """A random order that belongs to (seed, epoch)."""
        size, count = len(self.data_source), self.num_samples
        if self.replacement:
            return randint(size, (count,), generator=self.generator_of(epoch))._value
        if count <= size:
            return randperm(size, generator=self.generator_of(epoch))._value[:count]
        rounds = -(-count // size)
        orders = [
            randperm(size, generator=self.generator_of(epoch * rounds + r))._value
            for r in range(rounds)
        ]
        return np.concatenate(orders)[:count]


class SubsetRandomSampler(SeededSampler):
    """Given examples in random order, each once."""

    def __init__(self, indices: Any, generator: Generator | None = None) -> None:
        super().__init__(generator)
        size = np.iinfo(np.int64).max
        self.indices = as_indices("SubsetRandomSampler", indices, size)
        if not len(self.indices):
            raise ArgumentError("SubsetRandomSampler: no indices", expected="at least one")

    def __len__(self) -> int:
        return len(self.indices)

    def order(self, epoch: int) -> Indices:
        """A random order of the indices that belongs to (seed, epoch)."""
        places = randperm(len(self.indices), generator=self.generator_of(epoch))._value
        return self.indices[places]


class WeightedRandomSampler(SeededSampler):
    """Examples drawn with probabilities proportional to `weights` (N,): P(i) = w_i / sum w.

    Raises ArgumentError for negative or non-finite weights, and, without replacement, where fewer
    than `num_samples` weights are positive.
    """

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__(generator)
        self.weights = np.asarray(getattr(weights, "_value", weights), np.float64)
        self.num_samples = check_count("WeightedRandomSampler", "num_samples", num_samples)
        self.replacement = _flag("WeightedRandomSampler", replacement)
        if self.weights.ndim != 1:
            raise ArgumentError(
                "WeightedRandomSampler: weights should be a 1d sequence",
                got=f"shape {self.weights.shape}",
            )
        bad = np.flatnonzero(~(np.isfinite(self.weights) & (self.weights >= 0)))
        if bad.size or not self.weights.sum() > 0:
            raise ArgumentError(
                "WeightedRandomSampler: weights must be finite, >= 0 and not all 0",
                got=f"{self.weights[bad[0]]} at place {bad[0]}" if bad.size else "sum 0",
            )
        positive = int((self.weights > 0).sum())
        if not replacement and positive < num_samples:
            raise ArgumentError(
                "WeightedRandomSampler: more samples than examples with a weight above 0",
                got=f"num_samples {num_samples}, {positive} such examples",
                fix="replacement=True",
            )

    def __len__(self) -> int:
        return self.num_samples

    def order(self, epoch: int) -> Indices:
        """The draws that belong to (seed, epoch)."""
        at, p = self.generator_of(epoch), wrap(self.weights)
        return multinomial(p, self.num_samples, self.replacement, generator=at)._value


class BatchSampler(OrderedSampler):
    """The indices of a sampler in batches; `drop_last` leaves out a last batch that is not full."""

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool = False) -> None:
        self.sampler = sampler
        self.batch_size = check_count("BatchSampler", "batch_size", batch_size)
        self.drop_last = _flag("BatchSampler", drop_last, "drop_last")

    def __len__(self) -> int:
        size = len(self.sampler)
        return size // self.batch_size if self.drop_last else -(-size // self.batch_size)

    def order(self, epoch: int) -> Indices:
        """The example numbers of one epoch, those of a dropped batch left out."""
        whole = order_of(self.sampler, epoch)
        cut = len(whole) % self.batch_size if self.drop_last else 0
        return whole[: len(whole) - cut]

    def batches(self, epoch: int, start: int = 0) -> Iterator[Indices]:
        """The batches of one epoch from number `start` on, as int64 arrays."""
        order = self.order(epoch)
        for i in range(start * self.batch_size, len(order), self.batch_size):
            yield order[i : i + self.batch_size]

    def __iter__(self) -> Iterator[Any]:
        now = self.epoch
        self.epoch += 1
        return (b.tolist() for b in self.batches(now))


def order_of(sampler: Any, epoch: int) -> Indices:
    """The order of an epoch from one of our samplers, or from any iterable of indices."""
    if isinstance(sampler, OrderedSampler):
        return sampler.order(epoch)
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(epoch)
    return np.fromiter((int(i) for i in sampler), dtypes.int64)


def _flag(owner: str, value: Any, name: str = "replacement") -> bool:
    if not isinstance(value, bool):
        raise ArgumentTypeError(
            f"{owner}: {name} should be a boolean value, but got {name}={value!r}"
        )
    return value
