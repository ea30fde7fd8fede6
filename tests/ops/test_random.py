"""Philox 4x32-10 against the vectors its authors publish, and what is drawn with it."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import ops
from chainrule.ops import random
from chainrule.ops.core import arrays, interpret
from chainrule.ops.random import Random, philox, random_words, unit_interval
from chainrule.ops.special import erf, normal_quantile
from chainrule.tensor.core import wrap

DRAWS = [op for op in ops.REGISTRY.values() if isinstance(op, Random)]

# Random123's kat_vectors for philox4x32 with 10 rounds: counter (4), key (2), result (4)
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text: str) -> list[int]:
    return [int(w, 16) for w in text.split()]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_known_answers(counter, key, result):
    c, k = words(counter), words(key)
    index = np.array([c[0] | c[1] << 32], np.uint64)
    got = philox(k[0] | k[1] << 32, c[2] | c[3] << 32, index)
    assert [int(w) for w in got[0]] == words(result)


def test_the_layout_of_a_draw():
    """Block i of a draw is the cipher of (i, draw): a number depends on its place alone."""
    state = np.array([5, 9], np.uint64)
    every = random_words(state, 40)
    block = philox(5, 9, np.array([7], np.uint64))[0]
    np.testing.assert_array_equal(every[28:32], block)
    np.testing.assert_array_equal(random_words(state, 11), every[:11])


@pytest.mark.parametrize("op", DRAWS, ids=lambda op: op.name)
def test_the_same_bits_every_time_and_wherever(op):
    for sample in op.samples(np.random.default_rng(0)):
        with interpret(arrays):
            first = op(*sample.inputs, **sample.params)
        again = op(*(wrap(x) for x in sample.inputs), **sample.params).numpy()
        assert first.tobytes() == again.tobytes()
        other = sample.inputs[0] + np.array([0, 1], np.uint64)
        assert op.forward(other, **sample.params).tobytes() != first.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(shape=st.lists(st.integers(0, 9), max_size=3), run=st.sampled_from([4, 8, 64]))
def test_a_draw_made_in_runs_has_the_bits_of_one_made_at_once(dtype, shape, run):
    state, given_run = np.array([5, 9], np.uint64), random.RUN
    for op in (ops.uniform, ops.normal):
        whole = op.forward(state, shape=tuple(shape), dtype=np.dtype(dtype))
        try:
            random.RUN = run
            parts = op.forward(state, shape=tuple(shape), dtype=np.dtype(dtype))
        finally:
            random.RUN = given_run
        assert parts.shape == whole.shape == tuple(shape)
        assert parts.tobytes() == whole.tobytes()


def test_a_draw_longer_than_a_run():
    state, n = np.array([5, 9], np.uint64), 2 * random.RUN + 3
    for dtype, bits in ((np.float32, 24), (np.float64, 53)):
        drawn = ops.uniform.forward(state, shape=(n,), dtype=np.dtype(dtype))
        np.testing.assert_array_equal(drawn, unit_interval(state, n, bits).astype(dtype))


def test_a_quantile_does_not_depend_on_its_neighbours():
    u = np.array([2.0**-53, 1e-12, 0.05, 0.075, 0.3, 0.5, 0.925, 0.99, 1 - 2.0**-53])
    assert normal_quantile(u).tolist() == [float(normal_quantile(np.float64(v))) for v in u]
    middle = u[3:6]
    assert normal_quantile(middle).tolist() == normal_quantile(u)[3:6].tolist()


def test_frozen_draws():
    """Seeds mean the same numbers in every later version."""
    chainrule.manual_seed(7)
    uniform = [0.9545971155166626, 0.7501521706581116, 0.11417734622955322]
    assert chainrule.rand(3).tolist() == uniform
    assert chainrule.randperm(6).tolist() == [4, 1, 0, 5, 3, 2]
    normal = [1.5713829973889, -0.26421826246721736]
    assert chainrule.randn(2, dtype=chainrule.float64).tolist() == normal


@pytest.mark.parametrize("bits", [24, 53])
def test_uniform_bounds_and_grid(bits):
    u = unit_interval(np.array([1, 2], np.uint64), 100_000, bits)
    assert u.min() >= 0
    assert u.max() < 1
    assert (u * 2.0**bits == np.floor(u * 2.0**bits)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments(dtype):
    """Mean and variance of 200,000 numbers lie within 4.5 of their standard errors."""
    n = 200_000
    generator = chainrule.Generator().manual_seed(3)
    u = chainrule.rand(n, dtype=dtype, generator=generator).numpy().astype(np.float64)
    z = chainrule.randn(n, dtype=dtype, generator=generator).numpy().astype(np.float64)
    for values, moments in ((u, (1 / 2, 1 / 3, 1 / 4, 1 / 5)), (z, (0, 1, 0, 3))):
        for k, wanted in enumerate(moments, start=1):
            powers = values**k
            error = powers.std() / n**0.5
            assert abs(powers.mean() - wanted) < 4.5 * error, f"moment {k}"
    assert np.isfinite(z).all()
    neighbours = np.corrcoef(u[:-1], u[1:])[0, 1]
    assert abs(neighbours) < 4.5 / n**0.5


def test_quantiles_undo_the_distribution():
    u = np.concatenate([np.geomspace(1e-300, 0.4, 400), np.linspace(0.4, 1 - 1e-12, 400)[1:]])
    x = normal_quantile(u)
    inner = np.abs(x) < 5
    back = 0.5 * (1 + erf(x[inner] * np.sqrt(0.5)))
    np.testing.assert_allclose(back, u[inner], rtol=0, atol=1e-15)
    assert (np.diff(x) > 0).all()


def test_permutations_are_permutations():
    counts = np.zeros((4, 4))
    generator = chainrule.Generator().manual_seed(1)
    for _ in range(2000):
        p = chainrule.randperm(4, generator=generator).numpy()
        assert sorted(p.tolist()) == [0, 1, 2, 3]
        counts[np.arange(4), p] += 1
    assert np.abs(counts - 500).max() < 4.5 * np.sqrt(2000 * 0.25 * 0.75)


def test_two_threads_never_get_the_same_draw():
    generator, drawn = chainrule.Generator().manual_seed(0), []

    def draw() -> None:
        for _ in range(500):
            drawn.append(chainrule.rand(1, dtype=chainrule.float64, generator=generator).item())

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=draw) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(before)
    assert len(set(drawn)) == len(drawn) == 2000


def test_what_is_refused_draws_nothing():
    chainrule.manual_seed(3)
    before = chainrule.get_rng_state().tolist()
    with pytest.raises(RuntimeError, match="negative dimension"):
        chainrule.rand(2, -1)
    assert chainrule.get_rng_state().tolist() == before
