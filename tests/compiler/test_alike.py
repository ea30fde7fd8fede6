"""Nests whose text is not written again get the text that they would have got."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given

from chainrule import graph as G
from chainrule import ops
from chainrule.compiler.llvm import emit
from chainrule.compiler.pipeline import steps
from compiler.moves import MOVES, programs, updating
from compiler.native import hold
from compiler.processors import FIXED
from compiler.test_random_programs import drawn
from small_programs import training_step


def written(graph, name="avx512"):
    """(the text, how many nests there are, how many were written) where likeness is asked for,
    and the text where it is not."""
    program = next(form for step, form in steps(graph, FIXED[name]) if step == "products")
    with mock.patch.object(emit, "_function", wraps=emit._function) as seen:
        text = emit.emit(program, FIXED[name]).text
    with mock.patch.object(emit, "likeness", side_effect=lambda nest: (object(), {})):
        return text, len(program.nests), seen.call_count, emit.emit(program, FIXED[name]).text


def hold_text(graph):
    text, _, _, plain = written(graph)
    assert text == plain


@given(programs(moves=MOVES))
@drawn(30)
def test_random_programs_have_the_same_text(p):
    hold_text(p.graph())


@pytest.mark.slow
@given(programs(moves=MOVES))
@drawn(300)
def test_many_random_programs_have_the_same_text(p):
    hold_text(p.graph())
    hold_text(p.gradient())


@pytest.mark.slow
@given(updating())
@drawn(150)
def test_programs_that_write_in_place_have_the_same_text(p):
    hold_text(p.graph())


def steps_in_time(x, w):
    """Each reads another part of x, and what the one before it made."""
    h = ops.sum(x, axis=(1,), keepdim=False)
    for t in range(x.shape[1]):
        now = ops.slice_(x, ranges=((0, 8, 1), (t, t + 1, 1), (0, 40, 1)))
        h = ops.tanh(ops.reshape(now, shape=(8, 40)) + ops.matmul(h, w))
    return h


def test_steps_in_time_are_written_a_few_times():
    x, w = np.ones((8, 12, 40), np.float32), np.ones((40, 40), np.float32)
    text, nests, count, plain = written(G.trace(steps_in_time, x, w))
    assert text == plain
    assert nests >= x.shape[1]
    assert count <= 6  # the first steps, whose places begin at 0 and at 1, and all others
    rng = np.random.default_rng(0)
    hold(steps_in_time, *(rng.normal(size=a.shape).astype(np.float32) / 4 for a in (x, w)))


def test_layers_are_written_once():
    text, nests, count, plain = written(training_step(layers=8, n=64, rows=64)[0])
    assert text == plain
    assert count < nests / 2


def products_of_parts(places):
    """Products of parts of a matrix, with a column of it added: the first of each of the two."""

    def f(x, w):
        found = []
        for first, other in places:
            part = ops.slice_(x, ranges=((0, 32, 1), (first, first + 20, 1)))
            added = ops.slice_(x, ranges=((0, 32, 1), (other, other + 1, 1)))
            found.append(ops.tanh(ops.matmul(part, w) + ops.expand(added, shape=(32, 40))))
        return tuple(found)

    return f


@pytest.mark.parametrize("places", [((5, 5), (7, 5)), ((7, 5), (5, 5)), ((5, 5), (7, 7))])
def test_operands_that_begin_where_something_else_lies(places):
    """By chance, of which a nest like it knows nothing."""
    x, w = np.ones((32, 60), np.float32), np.ones((20, 40), np.float32)
    hold_text(G.trace(products_of_parts(places), x, w))


def test_products_of_other_parts_are_written_once():
    x, w = np.ones((32, 60), np.float32), np.ones((20, 40), np.float32)
    graph = G.trace(products_of_parts([(n, n + 3) for n in range(2, 12)]), x, w)
    _, nests, count, _ = written(graph)
    assert (nests, count) == (20, 2)  # each copies its weights
