"""What microkernels fetch while they compute: the memory that the writes on a tile will touch."""

from __future__ import annotations

import re
from unittest import mock

import numpy as np
import pytest

from chainrule import graph as G
from chainrule import ops
from chainrule.compiler.llvm import ahead
from chainrule.compiler.llvm.ahead import lines, streams
from chainrule.compiler.llvm.emit import emit
from chainrule.compiler.llvm.product import SLAB, tile_shape
from chainrule.compiler.loops import products
from chainrule.compiler.loops.expr import walk
from chainrule.compiler.pipeline import steps
from compiler.native import natively
from compiler.processors import EXECUTABLE, FIXED

SHAPES = ((40, 64), (64, 80), (40, 80), (40, 80), (80,), (80, 40))


def momentum(x, y, p, m, bias, apart):
    """A product whose writes go through two matrices, a row that stays, and one askew."""
    m = m * 0.5 + ops.matmul(x, y)
    return m, p - m + bias + ops.permute(apart, axes=(1, 0))


@pytest.fixture(autouse=True)
def nothing_is_small(monkeypatch):
    monkeypatch.setattr(ahead, "SMALL", 0)


def program(target):
    arrays = [np.ones(s, np.float32) for s in SHAPES]
    graph = G.trace(momentum, *arrays, names=["x", "y", "p", "m", "bias", "apart"])
    x, results = graph.inputs, graph.outputs
    graph = G.Graph(x, graph.nodes, [], [(x[3], results[0]), (x[2], results[1])])
    made = next(form for name, form in steps(graph, target) if name == "products")
    return graph, made


@pytest.mark.parametrize(("width", "wanted"), [(128, [0, 64]), (65, [0, 64]), (16, [0])])
def test_lines_of_a_row(width, wanted):
    assert lines(width) == wanted


def test_what_the_writes_go_through_row_by_row():
    """The row is near already, and what lies askew was turned by a copy."""
    _, made = program(FIXED["avx512"])
    (nest,) = [n for n in made.nests if n.product]
    found = [buffer.name for buffer, _ in streams(nest, nest.product)]
    assert sorted(found) == ["%p0", "m", "p"]
    read = {e.at[0].name for w in nest.writes for e in walk(w.value) if e.op == "load"}
    assert read == {"x", "y", "bias", *found}


def test_what_stays_near_is_not_fetched(monkeypatch):
    monkeypatch.setattr(ahead, "SMALL", 1 << 20)
    _, made = program(FIXED["avx512"])
    (nest,) = [n for n in made.nests if n.product]
    assert streams(nest, nest.product) == []


@pytest.mark.parametrize(("name", "vector"), [("avx512", 64), ("avx2", 32), ("neon", 16)])
def test_every_line_of_a_tile_is_in_the_table_once(name, vector):
    _, made = program(FIXED[name])
    text = emit(made, FIXED[name]).text
    tiles = {(int(r), int(v)) for r, v in re.findall(r"call void @tile_float32_(\d+)x(\d+)", text)}
    rows, vectors = max(tiles)
    sizes = {int(n) for n in re.findall(r"alloca ptr, i64 (\d+)", text)}
    assert 3 * rows * -(-vectors * vector // 64) + ahead.PAD in sizes
    assert "@llvm.prefetch" in text


def test_values_are_those_of_the_product():
    graph, _ = program(FIXED["avx512"])
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(np.float32) for s in SHAPES]
    x, y, p, m, bias, apart = arrays
    _, left = natively(graph, arrays)
    new = m * np.float32(0.5) + x @ y
    np.testing.assert_allclose(left[3], new, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(left[2], p - new + bias + apart.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("target", EXECUTABLE.values(), ids=EXECUTABLE)
def test_rows_that_are_read_by_number_with_something_done_to_each_tile(target):
    """What the product is made of is no business of the function that is done to its tiles."""
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=s).astype(np.float32) for s in ((100, 40), (40, 64)))
    rows = rng.integers(0, 100, 200)

    def twice(x, rows, w):
        y = ops.matmul(ops.index_select(x, rows, axis=0), w)
        return y, y * 2.0

    graph = G.trace(twice, x, rows, w)
    (y, doubled), _ = natively(graph, [x, rows, w], target)
    np.testing.assert_allclose(y, x[rows] @ w, rtol=1e-4, atol=1e-4)
    assert (doubled == y * 2).all()


# ---------------------------------------------------------------- what later tiles read

K, ROWS, COLUMNS = 40, 200, 128


def gathered(w, x, old):
    """The rows of its row operand lie side by side, far apart along k."""
    return old * 0.5 + ops.matmul(w, x, ta=True)


def along(w, x, old):
    """The rows of its row operand lie along k."""
    return old * 0.5 + ops.matmul(w, x)


def tables(graph, name):
    """(the product, sizes of the tables that its tiles fetch from)."""
    made = next(f for step, f in steps(graph, FIXED[name]) if step == "products")
    (nest,) = [n for n in made.nests if n.product]
    text = emit(made, FIXED[name]).text
    return nest.product, {int(n) for n in re.findall(r"alloca ptr, i64 (\d+)", text)}


def shape_of_a_tile(name, in_slabs):
    return tile_shape(FIXED[name], COLUMNS // FIXED[name].lanes(4), ROWS, in_slabs)


def lines_of_a_tile(name, in_slabs):
    """(how many lines a tile has, how many tiles lie side by side)."""
    rows, vectors = shape_of_a_tile(name, in_slabs)
    across = COLUMNS // (vectors * FIXED[name].lanes(4))
    return rows * -(-vectors * FIXED[name].bits // 512), across


@pytest.mark.parametrize("inner", [512, 16])
@pytest.mark.parametrize("f", [gathered, along])
def test_what_later_tiles_read_is_fetched_by_those_before(f, inner):
    """Each tile fetches its part of what the next slab or the next row of tiles reads.

    Where k comes in blocks, so are the sums so far of the tile beside it.
    """
    rng = np.random.default_rng(0)
    shape = (K, ROWS) if f is gathered else (ROWS, K)
    arrays = [rng.normal(size=s).astype(np.float32) for s in (shape, (K, COLUMNS), (ROWS, COLUMNS))]
    graph = G.trace(f, *arrays)
    small = {"APART_BYTES": 64, "INNER": inner, "BLOCK": inner * COLUMNS * 4}
    with mock.patch.multiple(products, **small), mock.patch.object(ahead, "NEAR", 0):
        for name in ("avx512", "avx2", "neon"):
            own, across = lines_of_a_tile(name, f is gathered)
            product, found = tables(graph, name)
            assert product.gathered == (f is gathered)
            streamed = (3 if product.partial else 2) * own
            rows = shape_of_a_tile(name, f is gathered)[0]
            k = min(K, product.blocks.inner)
            if f is gathered:
                part = -(-k // (SLAB // rows * across)) * SLAB * 4 // 64
            else:
                part = rows * -(-(-(-k // across) * 4) // 64)
            assert streamed + part + ahead.PAD in found
        w, x, old = arrays
        wanted = old * np.float32(0.5) + (w.T if f is gathered else w) @ x
        for target in EXECUTABLE.values():
            (y,), _ = natively(graph, arrays, target)
            np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)
