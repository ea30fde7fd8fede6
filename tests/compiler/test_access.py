"""In what order memory is gone through: by columns side by side, in rows, part by part."""

from __future__ import annotations

import re
from unittest import mock

import numpy as np
import pytest

from chainrule import graph as G
from chainrule import ops
from chainrule.compiler.llvm import nest
from chainrule.compiler.llvm.emit import emit
from chainrule.compiler.loops.expr import walk
from chainrule.compiler.loops.verify import verify
from chainrule.compiler.pipeline import steps
from chainrule.ops.shape import FEW
from compiler.native import by_lines, natively, ways
from compiler.processors import EXECUTABLE, FIXED


def traced(f, *shapes):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(np.float32) for s in shapes]
    return G.trace(f, *arrays), arrays


def arranged(graph, name):
    return next(form for step, form in steps(graph, FIXED[name]) if step == "products")


def hold(graph, arrays):
    (wanted,), _ = by_lines(graph, arrays)
    for name, ((found, *_), _) in ways(graph, arrays, EXECUTABLE).items():
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4, err_msg=name)


# ---------------------------------------------------------------- sums of columns


def column_sums(x):
    return ops.sum(x, axis=(0,), keepdim=False)


@pytest.mark.parametrize(
    ("name", "columns", "lanes"),
    [
        ("avx512", 128, 64),
        ("avx512", 96, 32),
        ("avx512", 80, 16),
        ("avx2", 128, 16),
        ("neon", 16, 16),
    ],
)
def test_columns_are_summed_side_by_side(name, columns, lanes):
    """As many vectors as registers allow and the columns divide into."""
    graph, _ = traced(column_sums, (1000, columns))
    text = emit(arranged(graph, name), FIXED[name]).text
    assert f"fadd <{lanes} x float>" in text
    assert f"fadd <{2 * lanes} x float>" not in text


def test_columns_that_are_near_anyway_are_summed_by_the_vector():
    """Several vectors are several times the instructions to compile."""
    for rows, lanes in ((64, 16), (65, 64)):
        graph, _ = traced(column_sums, (rows, 128))
        text = emit(arranged(graph, "avx512"), FIXED["avx512"]).text
        assert {int(n) for n in re.findall(r"fadd <(\d+) x float>", text)} == {lanes}


def test_long_expressions_are_written_out_once_where_few_are_summed():
    for count, times in ((512, 1), (4096, 4)):
        graph, _ = traced(
            lambda x: ops.sum(ops.sqrt(x * x * x + x * 2.0 + x / 3.0), axis=(0,), keepdim=False),
            (count,),
        )
        text = emit(arranged(graph, "avx512"), FIXED["avx512"]).text
        assert text.count("@llvm.sqrt.v16f32(<16 x float> %") == times


def test_sums_of_rows_and_plain_values_take_one_vector():
    graph, _ = traced(lambda x: ops.sum(x, axis=(1,), keepdim=False) * 2.0, (128, 128))
    assert "<64 x float>" not in emit(arranged(graph, "avx512"), FIXED["avx512"]).text
    graph, _ = traced(lambda x: x * 2.0, (128, 128))
    assert "<64 x float>" not in emit(arranged(graph, "avx512"), FIXED["avx512"]).text


def test_a_column_is_summed_in_the_same_order():
    graph, arrays = traced(column_sums, (301, 128))
    (found,), _ = natively(graph, arrays)
    with mock.patch.object(nest, "abreast", return_value=1):
        (alone,), _ = natively(graph, arrays)
    assert found.tobytes() == alone.tobytes()
    (shared,), _ = natively(graph, arrays, threads=3)
    assert found.tobytes() == shared.tobytes()
    hold(graph, arrays)


# ---------------------------------------------------------------- products


def test_what_is_made_in_parts_is_read_where_it_is():
    """As rows: a product that takes all parts together needs no copy of them."""
    count = FEW + 2

    def f(w, *parts):
        joined = ops.concat(*[ops.reshape(p * 2.0, shape=(24, 1, 32)) for p in parts], axis=1)
        return ops.matmul(ops.reshape(joined, shape=(24 * count, 32)), w, ta=True)

    graph, arrays = traced(f, (24 * count, 16), *[(24, 32)] * count)
    made = arranged(graph, "avx512")
    (product,) = [n for n in made.nests if n.product]
    assert not [n for n in made.nests if n.name.startswith("%p")], str(product)
    hold(graph, arrays)


def test_what_the_writes_would_read_askew_is_turned_first():
    def f(x, y, z):
        return ops.matmul(x, y, tb=True) - ops.permute(z, axes=(1, 0))

    graph, arrays = traced(f, (64, 40), (48, 40), (48, 64))
    made = arranged(graph, "avx512")
    verify(made)
    (product,) = [n for n in made.nests if n.product]
    p = product.product
    for w in product.writes:
        for e in walk(w.value):
            if e.op == "load" and e.free & p.columns.bit:
                assert e.at[0].place(e.at[1]).coefficient(p.columns) == 1
    hold(graph, arrays)


@pytest.mark.parametrize(("count", "nests"), [(2, 1), (3, 3), (4, 4)])
def test_parts_of_a_concat_are_copied_one_by_one(count, nests):
    """Of two, each place asks which one is its: that can be done within another nest."""
    graph, arrays = traced(lambda *parts: ops.concat(*parts, axis=1) * 2.0, *[(5, 7)] * count)
    copies = [n for n in arranged(graph, "avx2").nests if "out" not in n.name]
    assert len(copies) == (0 if nests == 1 else nests)
    hold(graph, arrays)
