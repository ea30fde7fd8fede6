"""Programs of a few lines, each of which was once compiled wrongly."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import graph as G
from chainrule import ops
from compiler.native import by_lines, by_loops, hold, natively


@pytest.mark.parametrize(("old", "new"), [((1, 0), (0,)), ((0, 3), (2, 0, 5)), ((0,), (0, 2))])
def test_an_empty_value_under_another_shape(old, new):
    hold(lambda x: ops.neg(ops.reshape(x, shape=new)), np.zeros(old))


@pytest.mark.parametrize("columns", [17, 40, 64, 100])
def test_tiles_within_a_panel(columns):
    """Panels are four vectors wide, tiles of processors with few registers two."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=s).astype(np.float32) for s in ((16, 33), (columns, 33)))
    hold(lambda x, y: ops.add(ops.matmul(x, y, tb=True), 1.0), a, b)


def test_a_product_of_no_matrices():
    hold(ops.matmul, np.zeros((0, 5, 16)), np.zeros((0, 16, 64)))


def test_what_is_shown_of_an_input_is_its_value_before_it_was_written():
    hold(lambda x, y: (x, y), np.ones(3), np.zeros(3), updates=[(0, 1)])
    hold(lambda x, y: (x, x * 2.0), np.ones(3), np.zeros(3), updates=[(0, 1)])


def test_an_input_is_taken_over_before_it_is_written():
    hold(lambda x, y: (y, y * 2.0), np.ones(3), np.full(3, 5.0), updates=[(0, 0), (1, 1)])
    hold(lambda x, y: (y, x), np.ones(3), np.full(3, 5.0), updates=[(0, 0), (1, 1)])


def test_where_a_scattered_value_lies():
    order = lambda x: ops.argsort(x, axis=0, descending=False)  # noqa: E731
    hold(lambda x: ops.flip(order(x), axis=(0,)), np.array([3, 1, 2]))
    rows = np.array([2, 0, 2])
    x = np.arange(12.0).reshape(3, 4)
    hold(lambda x, i: ops.index_add(x, i, axis=0, size=3) * 2.0, x, rows)
    hold(lambda x, i: ops.index_add(x, i, axis=1, size=3) * 2.0, x.T.copy(), rows)


def test_truths_that_add_up_at_one_place():
    hold(lambda x, i: ops.index_add(x, i, axis=0, size=2), np.array([True, True]), np.array([1, 1]))


def test_a_number_without_dimensions_is_padded():
    hold(lambda x: ops.pad(x, widths=(), value=1.0), np.asarray(2.0))


def test_a_product_of_rows_from_the_last_to_the_first():
    rng = np.random.default_rng(0)
    x, w, y = (rng.normal(size=(16, 16)).astype(np.float32) for _ in range(3))
    hold(lambda x, w, y: ops.matmul(ops.flip(ops.matmul(x, w), axis=(0,)), y), x, w, y)
    hold(lambda x, w, y: ops.matmul(ops.flip(x, axis=(0,)), ops.flip(y, axis=(1,))), x, w, y)


def test_no_products_of_matrices_that_are_cut_into_panels():
    a, b = (np.zeros(s, np.float32) for s in ((0, 17, 3), (0, 17, 100)))
    hold(lambda x, y: ops.matmul(x, y, ta=True), a, b)


@pytest.mark.parametrize("kept", [False, True])
def test_a_chain_that_is_longer_than_functions_may_call_one_another(kept):
    """As one expression, or with every line as a result: in one nest as far as it goes."""

    def chain(x):
        values = [x]
        for i in range(400):
            values.append(ops.neg(values[-1]) if i % 9 else ops.sin(values[-1]))
        return values[200:] if kept else values[-1]

    x = np.linspace(-2, 2, 5, dtype=np.float32)
    graph = G.trace(chain, x)
    (wanted, _), (found, _) = by_lines(graph, [x]), natively(graph, [x])
    for y, w in zip(found, wanted, strict=True):
        np.testing.assert_allclose(y, w, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((8195,), (0,)), ((3, 8193), (0, 1)), ((8195, 2), (0,)), ((2, 3, 4099), (0, 2))],
)
def test_a_sum_in_blocks(shape, axis):
    """Whole numbers, whose sums are exact: each counts once."""
    x = np.random.default_rng(0).integers(0, 99, shape).astype(np.float32)
    graph = G.trace(lambda x: ops.sum(ops.relu(x), axis=axis, keepdim=False), x)
    (wanted, _), (loops, _) = by_lines(graph, [x]), by_loops(graph, [x])
    for found in (loops, natively(graph, [x])[0], natively(graph, [x], threads=3)[0]):
        np.testing.assert_array_equal(found[0], wanted[0])


@pytest.mark.parametrize("shape", [(1 << 20, 3), (3, 1_500_007)])
def test_a_long_sum_is_as_exact_as_a_short_one(shape):
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    axis = (int(np.argmax(shape)),)
    graph = G.trace(lambda x: ops.sum(x, axis=axis, keepdim=False), x)
    (found,), _ = natively(graph, [x])
    np.testing.assert_allclose(found, x.sum(axis, dtype=np.float64), rtol=1e-6)
