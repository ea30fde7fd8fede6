"""Pooling and convolution: few nests, and the same values as line by line."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import functional as F
from chainrule import graph as G
from chainrule.compiler.pipeline import steps
from chainrule.grad import gradients
from chainrule.ops.core import Spec
from compiler.native import hold
from compiler.processors import FIXED

f32 = np.dtype(np.float32)


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(f32)


def nests(f, *shapes):
    """The loops of a program of float32 inputs."""
    graph = G.trace(f, *(Spec(shape, f32) for shape in shapes))
    return dict(steps(graph, FIXED["avx512"]))["products"].nests


# ---------------------------------------------------------------- pooling


def pooled(x, g, **settings):
    y = F.max_pool2d(x, 2, **settings)
    return [y, *gradients(y, [x], g=g)]


def test_pooling_goes_through_its_input_once_each_way():
    assert len(nests(pooled, (2, 3, 8, 8), (2, 3, 4, 4))) == 2


@pytest.mark.parametrize(
    ("settings", "sizes"), [({}, (3, 3)), ({"stride": 1, "padding": 1}, (7, 8))]
)
def test_the_first_of_equal_ones_is_chosen_and_nan_is_the_greatest(settings, sizes):
    x = np.round(draw(2, 3, 6, 7))
    x[0, 0, 2, 3] = x[1, 2, 1, 1] = np.nan
    hold(lambda x, g: pooled(x, g, **settings), x, draw(2, 3, *sizes))


def test_the_places_take_a_byte():
    (forward, _) = nests(pooled, (2, 3, 8, 8), (2, 3, 4, 4))
    assert sorted(str(w.buffer.dtype) for w in forward.writes) == ["float32", "uint8"]


def test_places_in_windows_of_more_than_256_take_more():
    (nest,) = nests(lambda x: F.max_pool1d(x, 256, return_indices=True), (1, 2, 512))
    assert sorted(str(w.buffer.dtype) for w in nest.writes) == ["float32", "int64"]


def test_the_places_of_the_greatest():
    hold(lambda x: F.max_pool1d(x, 3, 2, padding=1, return_indices=True), np.round(draw(2, 3, 9)))


# ---------------------------------------------------------------- convolution


def convolved(x, w, g, **settings):
    y = (F.conv1d if len(x.shape) == 3 else F.conv2d)(x, w, **settings)
    return [y, *gradients(y, [x, w], g=g)]


def test_no_memory_for_windows():
    """Products read them where they lie: what is stored is the image with its border, and copies
    of the weights."""
    image, weight = (4, 16, 12, 12), (24, 16, 3, 3)
    made = nests(lambda *a: convolved(*a, padding=1), image, weight, (4, 24, 12, 12))
    border = (14 / 12) ** 2
    assert all(w.buffer.size <= 4 * 24 * 12 * 12 * border for n in made for w in n.writes)
    products = [n.product for n in made if n.product]
    assert [p.listed for p in products] == [True] * 3


CASES = {
    "plain": ((2, 8, 7, 6), (20, 8, 3, 3), {}),
    "border": ((2, 8, 7, 6), (20, 8, 3, 2), {"padding": (1, 0)}),
    "wide border": ((1, 3, 5, 5), (16, 3, 2, 2), {"padding": 2}),
    "steps": ((2, 8, 9, 8), (20, 8, 3, 3), {"stride": 2, "padding": 1}),
    "apart": ((2, 8, 9, 8), (20, 8, 3, 3), {"dilation": 2, "padding": 2}),
    "groups": ((2, 16, 7, 6), (32, 8, 3, 3), {"groups": 2, "padding": 1}),
    "one by one": ((2, 20, 7, 6), (20, 20, 1, 1), {}),
    "a row": ((3, 8, 20), (24, 8, 5), {"padding": 2}),
}


QUICK = ("border", "steps")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_a_convolution_and_its_gradients(name):
    image, weight, settings = CASES[name]
    x, w = draw(*image), draw(*weight)
    spec = G.trace(lambda x, w: convolved(x, w, 1.0, **settings), x, w).outputs[0].spec
    hold(lambda x, w, g: convolved(x, w, g, **settings), x, w, draw(*spec.shape))


def test_a_layer_after_pooling_reads_in_even_steps():
    """The channels stand last in memory until a product wants an image in a row."""

    def network(x, w, v):
        y = F.max_pool2d(F.conv2d(x, w), 2)
        return F.linear(F.reshape(y, (16, -1)), v)

    made = nests(network, (16, 4, 10, 10), (16, 4, 3, 3), (24, 256))
    pool = next(n for n in made if "max" in str(n))
    (convolution, dense) = [n.product for n in made if n.product]
    assert convolution.column.at[0].shape == (36, 16)  # the weights, the channels side by side
    assert [w.buffer.order for w in pool.writes] == [tuple(range(5))]
    assert not dense.listed
