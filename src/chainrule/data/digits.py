"""The embedded set: 1,797 handwritten digits, 8 x 8 pixels, 10 classes (UCI; see assets/)."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

from ..ops.random import unit_interval
from ..tensor.core import Tensor, wrap
from .dataset import Indices, TensorDataset
from .embedded import embedded

SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
SPLIT_SEED = 1998
"""The seed of the fixed split; it never changes, so that results can be compared for ever."""
TEST_SIZE = 360


class Digits(NamedTuple):
    """images (1797, 8, 8) float32 in [0, 1]; labels (1797,) int64; names of the classes."""

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]


class Split(NamedTuple):
    """Examples to learn from, and examples held out to test on."""

    train: TensorDataset
    test: TensorDataset


def load_digits() -> Digits:
    """The handwritten digits: image pixels are ink from 0 (none) to 1, labels the digits 0 to 9.

    Read from inside the package; nothing is downloaded.  Raises FormatError if the file was
    altered.  Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49 (CC BY 4.0).

    >>> from chainrule.data import load_digits
    >>> digits = load_digits()
    >>> digits.images.shape, digits.labels[:5]
    ((1797, 8, 8), tensor([0, 1, 2, 3, 4]))
    """
    packed = embedded("digits.csv.gz", SHA256)
    lines = zlib.decompress(packed, 31).decode("ascii").splitlines()
    table = np.loadtxt(lines, delimiter=",", dtype=np.float32)
    images = (table[:, :64] / np.float32(16)).reshape(-1, 8, 8)
    return Digits(wrap(images), wrap(table[:, 64].astype(np.int64)), tuple("0123456789"))


def split_indices(labels: Tensor) -> tuple[Indices, Indices]:
    """The fixed split of the digits: (train, test), 1,437 and 360 indices, each sorted.

    Of each class, as many examples are held out as its share says (the fractions that are left
    over go to the largest); those with the smallest random numbers under seed 1998 are taken.
    """
    digits = labels._value
    counts = np.bincount(digits, minlength=10)
    exact = counts * TEST_SIZE / len(digits)
    wanted = np.floor(exact).astype(np.int64)
    largest = np.argsort(wanted - exact, kind="stable")
    wanted[largest[: TEST_SIZE - wanted.sum()]] += 1
    numbers = unit_interval(np.array([SPLIT_SEED, 0], np.uint64), len(digits), 53)
    held_out = np.zeros(len(digits), bool)
    for digit, count in enumerate(wanted.tolist()):
        members = np.flatnonzero(digits == digit)
        held_out[members[np.argsort(numbers[members], kind="stable")[:count]]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def digits_split() -> Split:
    """The digits to learn from (1,437) and those held out (360): always the same, by class.

    Each is a TensorDataset of images (N, 8, 8) float32 and labels (N,) int64.

    >>> from chainrule.data import digits_split
    >>> train, test = digits_split()
    >>> len(train), len(test)
    (1437, 360)
    """
    digits = load_digits()
    both = TensorDataset(digits.images, digits.labels)
    train, test = (TensorDataset(*both.take(i)) for i in split_indices(digits.labels))
    return Split(train, test)
