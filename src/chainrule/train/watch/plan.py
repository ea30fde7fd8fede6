"""At which steps watching looks inside: a function of the step's number and the model's shapes.

The plan asks no clock, so that two runs of one seed look at the same steps.  What a look and a step
cost is estimated from the work that the shapes say, and looks lie farther apart than asked where
they would take too much of the time.  What they take in truth is measured and put on record; only
where that is above LIMIT a look of the plan is left out, which changes none of the others.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile

SHARE, OF_ALL = 0.02, 0.03
"""By the estimate, what looks may take of the time of the steps, and of the whole fit."""
LIMIT = 0.05
"""Of the time of a fit, what they may take in truth: where it is more, looks are left out."""
FREE_S = 0.25
"""Seconds that looks may take whatever their share, so that none is left out where a machine is
busy for a moment."""
STEP_S, STEP_RATE, EPOCH_S = 15e-6, 3e10, 600e-6
"""A compiled step: what it takes at least, and how many multiply-adds it makes in a second; what
comes between two epochs."""
LOOK_S, LAYER_S, LOOK_RATE, VALUE_S = 500e-6, 200e-6, 3e10, 1.5e-9
"""A look: what it takes at least, for each layer, for the work, and for each value."""
LEAST = 2
"""Looks at steps that every fit has, however short, if it has so many steps.  Where only the first
can be afforded, the others are brief: how far the step moves the weights, without the probe."""
MANY = 200
"""After so many looks the distance between them doubles: the record of a long run stays small."""


@dataclass(frozen=True)
class Costs:
    """What the shapes say: multiply-adds and values of one row, layers, weights; rows a step."""

    work: int
    values: int
    layers: int
    weights: int
    batch: int
    rows: int

    @property
    def step_s(self) -> float:
        """Estimated seconds of a training step."""
        return STEP_S + 3 * self.batch * self.work / STEP_RATE

    @property
    def look_s(self) -> float:
        """Estimated seconds of a look."""
        handled = self.rows * self.values * 4 + self.weights * 4
        work = 3 * self.rows * self.work / LOOK_RATE
        return LOOK_S + self.layers * LAYER_S + work + handled * VALUE_S

    def interval(self, every: int) -> int:
        """The steps between two looks once there are some: at least `every`."""
        return max(every, int(self.look_s / self.step_s / SHARE) + 1)

    def most(self, steps: int, epochs: float) -> int:
        """The looks that a fit of so many steps can afford, without the one that closes it."""
        return max(1, int(OF_ALL * (steps * self.step_s + epochs * EPOCH_S) / self.look_s) - 1)


def steps(every: int, interval: int) -> Iterator[int]:
    """The steps to look at: 1, one soon after, then every `every`, farther apart up to `interval`.

    Where looks are dear each of the first is three times as far from the start as the one before:
    a fit that goes wrong does so early, and few looks cost little.

    >>> from itertools import islice
    >>> list(islice(steps(100, 100), 7))
    [1, 21, 101, 201, 301, 401, 501]
    >>> list(islice(steps(100, 1000), 10))
    [1, 21, 101, 301, 901, 1901, 2901, 3901, 4901, 5901]
    """
    yield from (1 + n for n in sorted({0, every // 5}))
    offset = every
    for i in count(2):
        yield 1 + offset
        offset += max(every, min(interval << (i // MANY), 2 * offset))


def planned(first: int, last: int, most: int, every: int, interval: int) -> list[int]:
    """The steps from `first` to `last`; if too many, evenly chosen ones, the first among them.

    >>> planned(1, 950, 5, 100, 1000)
    [1, 21, 101, 301, 901]
    >>> planned(1, 950, 3, 100, 1000)
    [1, 21, 301]
    """
    found = list(takewhile(lambda n: n <= last, steps(every, interval)))
    found = found[bisect_left(found, first) :]
    if len(found) <= most:
        return found
    return [found[i * len(found) // most] for i in range(most)]


def next_step(after: int, every: int, interval: int) -> int:
    """The first step to look at beyond `after`."""
    return next(n for n in steps(every, interval) if n > after)


class Plan:
    """When one fit is looked into.

    every: steps between two looks, at least.  sparing: only as many looks as a fit from step
    `first` to `last` (None: not known) in so many epochs can afford.
    """

    def __init__(
        self, costs: Costs, every: int, sparing: bool, first: int, last: int | None, epochs: float
    ) -> None:
        self.every, self.interval = every, costs.interval(every)
        self.chosen: list[int] | None = None  # all the steps, where looks are spared
        self.few = False
        if sparing and last is not None:
            most = costs.most(last - first + 1, epochs)
            self.few = most < LEAST
            self.chosen = planned(first, last, max(most, LEAST), every, self.interval)

    def after(self, step: int) -> int:
        """The next step to look at, beyond a step."""
        if self.chosen is None:
            return next_step(step, self.every, self.interval)
        return next((n for n in self.chosen if n > step), sys.maxsize)

    def brief(self, step: int) -> bool:
        """Whether the look at a step does without the probe."""
        return self.few and self.chosen is not None and step > self.chosen[0]
