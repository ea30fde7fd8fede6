"""Small problems made by a seed: the same numbers on every machine.

Each function gives (x, y): x (n, 2) float32 and y (n,) int64 classes, the classes in turn; `sine`
gives x (n, 1) and y (n, 1), both float32.  `noise` is the standard deviation of what is added.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..ops.random import unit_interval
from ..ops.special import normal_quantile
from ..tensor.core import Tensor, wrap
from .sampler import check_count

Pair = tuple[Tensor, Tensor]
STREAM = 1 << 62
"""Where the draws of this module begin: far from those of a Generator with the same seed, or a
random_split of moons under one seed would sort them by their angle."""


class _Draws:
    """Arrays of random numbers, one after the other, that follow from a seed."""

    def __init__(self, owner: str, n: int, noise: float, seed: int) -> None:
        self.n = check_count(owner, "n", n)
        if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise < 1e9:
            raise ArgumentError(
                f"{owner}: noise must be a number >= 0", expected="a finite number", got=repr(noise)
            )
        check_count(owner, "seed", seed + 1)
        self.noise, self.seed, self.count = noise, seed, STREAM

    def uniform(self, *shape: int) -> Any:
        state = np.array([self.seed, self.count], np.uint64)
        self.count += 1
        return unit_interval(state, math.prod(shape), 53).reshape(shape)

    def normal(self, *shape: int) -> Any:
        return normal_quantile(np.clip(self.uniform(*shape), 2.0**-54, 1 - 2.0**-53))

    def classes(self, number: int) -> Any:
        return np.arange(self.n, dtype=np.int64) % number

    def pair(self, x: Any, y: Any) -> Pair:
        """The points with noise, and their classes."""
        x = x + self.noise * self.normal(*x.shape)
        return wrap(x.astype(np.float32)), wrap(y)


def moons(n: int = 200, noise: float = 0.1, seed: int = 0) -> Pair:
    """Two half circles that reach into each other: (cos t, sin t) and (1 - cos t, 1/2 - sin t).

    >>> from chainrule.data import moons
    >>> x, y = moons(6)
    >>> x.shape, y
    ((6, 2), tensor([0, 1, 0, 1, 0, 1]))
    """
    draws = _Draws("moons", n, noise, seed)
    t, y = math.pi * draws.uniform(n), draws.classes(2)
    upper = np.stack([np.cos(t), np.sin(t)], 1)
    lower = np.stack([1 - np.cos(t), 0.5 - np.sin(t)], 1)
    return draws.pair(np.where(y[:, None] == 0, upper, lower), y)


def circles(n: int = 200, noise: float = 0.1, seed: int = 0, factor: float = 0.5) -> Pair:
    """A circle of radius 1 (class 0) around one of radius `factor` (class 1)."""
    draws = _Draws("circles", n, noise, seed)
    t, y = 2 * math.pi * draws.uniform(n), draws.classes(2)
    radius = np.where(y == 0, 1.0, factor)
    return draws.pair(np.stack([radius * np.cos(t), radius * np.sin(t)], 1), y)


def spiral(
    n: int = 300, noise: float = 0.05, seed: int = 0, classes: int = 3, turns: float = 0.7
) -> Pair:
    """As many spiral arms as classes.

    At radius r in [0, 1], the arm of class k of K stands at the angle 2 pi (turns r + k / K).
    """
    draws = _Draws("spiral", n, noise, seed)
    check_count("spiral", "classes", classes)
    r, y = draws.uniform(n), draws.classes(classes)
    angle = 2 * math.pi * (turns * r + y / classes)
    return draws.pair(np.stack([r * np.cos(angle), r * np.sin(angle)], 1), y)


def xor(n: int = 200, noise: float = 0.1, seed: int = 0) -> Pair:
    """The corners of a square, (+-1, +-1); the class is 1 where the signs differ."""
    draws = _Draws("xor", n, noise, seed)
    corner = draws.classes(4)
    right, up = corner % 2, corner // 2
    return draws.pair(2.0 * np.stack([right, up], 1) - 1, right ^ up)


def blobs(n: int = 200, noise: float = 0.4, seed: int = 0, classes: int = 2) -> Pair:
    """Round clouds, one a class, with their centres equally far apart on the unit circle."""
    draws = _Draws("blobs", n, noise, seed)
    check_count("blobs", "classes", classes)
    y = draws.classes(classes)
    angle = 2 * math.pi * y / classes
    return draws.pair(np.stack([np.cos(angle), np.sin(angle)], 1), y)


def sine(n: int = 200, noise: float = 0.1, seed: int = 0, periods: float = 1.0) -> Pair:
    """y = sin(2 pi periods x) + noise, x uniform on [0, 1)."""
    draws = _Draws("sine", n, noise, seed)
    x = draws.uniform(n, 1)
    y = np.sin(2 * math.pi * periods * x) + noise * draws.normal(n, 1)
    return wrap(x.astype(np.float32)), wrap(y.astype(np.float32))
