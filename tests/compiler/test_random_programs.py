"""Random programs: NumPy line by line, the loops' interpreter and native code agree."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import HealthCheck, assume, given, note, settings

from chainrule.compiler.loops import products
from compiler.agreement import agree, narrow, scale_of, zeros_have_signs
from compiler.drawn import Ref
from compiler.moves import MOVES, PLAIN, PRODUCTS, programs, updating
from compiler.native import by_lines, ways
from compiler.processors import EXECUTABLE, HOST

FEW = {"host": HOST}


def drawn(examples):
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    return settings(max_examples=examples, suppress_health_check=quiet)


def hold(graph, arrays, targets, exact=None, after=None):
    """All ways of running a program give what NumPy gives; exact values in every bit.

    exact: which outputs are; after: which inputs are, of those that the program writes into.
    """
    note(str(graph))
    scale = scale_of(graph, arrays)
    assume(scale < 1e6)
    rounding = scale * (2e-4 if narrow(graph) else 1e-10)
    signs = zeros_have_signs(graph)
    outputs, left = by_lines(graph, arrays)
    exact = exact or [False] * len(outputs)
    after = [(after or {}).get(i, True) for i in range(len(left))]
    for way, (found, written) in ways(graph, arrays, targets).items():
        for what, ys, ws, sure in (("output", found, outputs, exact),
                                   ("input", written, left, after)):  # fmt: skip
            for i, (y, w) in enumerate(zip(ys, ws, strict=True)):
                bound = 0.0 if sure[i] else rounding
                agree(y, w, f"{way}: {what} {i}", bound, signs and sure[i])


def hold_values(p, targets):
    hold(p.graph(), p.arrays, targets, [p.exact[i] for i in p.outputs])


def hold_updates(p, targets):
    places = [i for i in p.inputs if i >= 0]
    after = {
        places.index(i): not isinstance(v, Ref) or p.exact[v.number] for i, v in p.updates
    }  # fmt: skip
    hold(p.graph(), p.arrays, targets, [p.exact[i] for i in p.outputs], after)


def hold_gradient(p, targets):
    hold(p.gradient(), p.arrays, targets)


@drawn(10)
@given(programs())
def test_values(p):
    hold_values(p, FEW)


@drawn(10)
@given(updating())
def test_updates(p):
    hold_updates(p, FEW)


@drawn(10)
@given(programs(moves=PLAIN, special=True))
def test_infinities_and_nan(p):
    hold_values(p, FEW)


def hold_in_blocks(p, targets):
    """With the cache taken to be so small that products are cut into blocks, on all sides."""
    with mock.patch.multiple(products, BLOCK=4096, INNER=16, APART_BYTES=64, FAR=128):
        hold_values(p, targets)


@drawn(8)
@given(programs(moves=PRODUCTS, length=3))
def test_products_in_blocks(p):
    hold_in_blocks(p, FEW)


@drawn(10)
@given(programs(smooth=True, length=5))
def test_gradients(p):
    hold_gradient(p, FEW)


@pytest.mark.slow
@drawn(400)
@given(programs(length=10))
def test_values_on_every_processor(p):
    hold_values(p, EXECUTABLE)


@pytest.mark.slow
@drawn(400)
@given(updating(MOVES, length=8))
def test_updates_on_every_processor(p):
    hold_updates(p, EXECUTABLE)


@pytest.mark.slow
@drawn(200)
@given(programs(moves=PLAIN, special=True, length=8))
def test_infinities_and_nan_on_every_processor(p):
    hold_values(p, EXECUTABLE)


@pytest.mark.slow
@drawn(100)
@given(programs(moves=PRODUCTS, length=5))
def test_products_in_blocks_on_every_processor(p):
    hold_in_blocks(p, EXECUTABLE)


@pytest.mark.slow
@drawn(200)
@given(programs(smooth=True, length=8))
def test_gradients_on_every_processor(p):
    hold_gradient(p, EXECUTABLE)
