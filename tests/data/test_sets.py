"""The embedded digits, the made problems, and the search for what is not a number."""

from __future__ import annotations

import hashlib
import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from chainrule import Generator
from chainrule.data import digits, digits_split, find_nonfinite, load_digits, random_split, toy
from chainrule.errors import ArgumentError, FormatError

TOYS = {
    name: f
    for name, f in vars(toy).items()
    if inspect.isfunction(f) and f.__module__ == toy.__name__ and not name.startswith("_")
}


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def test_digits_are_the_published_ones():
    data = load_digits()
    assert data.images.shape == (1797, 8, 8)
    assert (data.images.dtype.name, data.labels.dtype.name) == ("float32", "int64")
    pixels = np.asarray(data.images) * 16
    assert (pixels == np.round(pixels)).all()
    assert (pixels.min(), pixels.max(), pixels.sum()) == (0, 16, 561718)
    assert np.bincount(np.asarray(data.labels)).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip
    assert data.names == tuple("0123456789")


def test_an_altered_file_is_refused(monkeypatch):
    monkeypatch.setattr(digits, "SHA256", "0" * 64)
    with pytest.raises(FormatError, match=r"digits.csv.gz"):
        load_digits()


def test_the_held_out_digits_never_change():
    train, test = digits.split_indices(load_digits().labels)
    assert sha256(train.astype("<i8")) == (
        "93b1031c01246f8ee6ae9a2efbfb04e3871f871f97ca8bc5eb9149124e5d5aeb"
    )
    assert sha256(test.astype("<i8")) == (
        "94e753d675294bd8c1ba2c0913ce203e9611d051bacbee0ab6dddc000befb41f"
    )
    assert sorted([*train, *test]) == list(range(1797))


def test_the_split_holds_out_a_fifth_of_each_class():
    split = digits_split()
    held = np.bincount(np.asarray(split.test.tensors[1]))
    kept = np.bincount(np.asarray(split.train.tensors[1]))
    assert held.sum() == 360
    assert (np.abs(held - (held + kept) * 360 / 1797) < 1).all()


@pytest.mark.parametrize("make", TOYS.values(), ids=TOYS)
def test_a_split_by_the_same_seed_does_not_follow_the_data(make):
    """Both count draws from a seed: at the same counts, a split of moons would be by angle."""
    x, _ = make(2000, seed=7)
    part, _ = random_split(x, [0.3, 0.7], generator=Generator().manual_seed(7))
    x, part = np.asarray(x, np.float64), np.asarray(part.indices)
    error = x.std(0) * np.sqrt(1 / 600 - 1 / 2000)
    assert (np.abs(x[part].mean(0) - x.mean(0)) < 5 * error).all()


@pytest.mark.parametrize("make", TOYS.values(), ids=TOYS)
def test_toys_are_seeded_and_typed(make):
    x, y = make(50, seed=3)
    assert x.dtype.name == "float32"
    assert (len(x), len(y)) == (50, 50)
    again, other = make(50, seed=3), make(50, seed=4)
    assert x.tolist() == again[0].tolist()
    assert y.tolist() == again[1].tolist()
    assert x.tolist() != other[0].tolist()
    if y.dtype.name == "int64":
        counts = np.bincount(np.asarray(y))
        assert counts.max() - counts.min() <= 1
    clean, noisy = (np.asarray(make(50, noise=s, seed=3)[0]) for s in (0.0, 0.2))
    if make is not toy.sine:
        assert 0.1 < (noisy - clean).std() < 0.3
    for bad in ({"n": 0}, {"noise": -1}, {"noise": float("nan")}, {"seed": -1}):
        with pytest.raises(ArgumentError):
            make(**bad)


def test_toys_lie_where_they_should():
    x, y = (np.asarray(a) for a in toy.circles(40, noise=0))
    assert np.allclose(np.hypot(*x.T), np.where(y == 0, 1, 0.5))
    x, y = (np.asarray(a) for a in toy.xor(40, noise=0))
    assert ((x[:, 0] * x[:, 1] < 0) == (y == 1)).all()
    x, y = (np.asarray(a) for a in toy.sine(40, noise=0))
    assert np.allclose(y, np.sin(2 * np.pi * x), atol=1e-6)
    x, y = (np.asarray(a) for a in toy.moons(40, noise=0))
    assert np.allclose(np.hypot(*(x[y == 0]).T), 1)


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)))
def test_nonfinite_rows_and_columns(x):
    found = find_nonfinite(x)
    bad = np.argwhere(~np.isfinite(x.reshape(len(x), -1)))
    assert found.count == len(bad)
    assert found.rows.tolist() == sorted(set(bad[:, 0].tolist()))
    assert found.columns.tolist() == sorted(set(bad[:, 1].tolist()))


def test_whole_numbers_are_finite():
    assert find_nonfinite(np.arange(3)).count == 0
