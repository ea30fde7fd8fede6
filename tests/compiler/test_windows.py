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


def test_the_places_of_the_greatest():
    hold(lambda x: F.max_pool1d(x, 3, 2, padding=1, return_indices=True), np.round(draw(2, 3, 9)))
