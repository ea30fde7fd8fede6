"""Temporaries lie over one another only when no nest still needs them."""

from __future__ import annotations

import pytest

from chainrule import dtypes
from chainrule.compiler.loops import index as ix
from chainrule.compiler.loops.expr import Buffer, Builder
from chainrule.compiler.loops.memory import touched
from chainrule.compiler.loops.program import Nest, Write


@pytest.mark.parametrize("depth", range(4))
@pytest.mark.parametrize("writes", [True, False], ids=["written place", "read place"])
def test_a_buffer_that_an_index_reads_is_touched_however_deep_it_lies(depth, writes):
    make = Builder()
    axis = make.axis("i", 8)
    place = ix.along(axis)
    x, y = (Buffer(name, (64,), dtypes.float32, "temp") for name in "xy")
    rows = Buffer("rows", (8,), dtypes.int64, "temp")
    deep = ix.read(make.load(rows, (place,)), 64)
    for by in range(2, 2 + depth):
        deep = (deep + ix.along(axis)) // by if by % 2 else (deep + ix.along(axis)) % (30 * by)
    there, here = ((deep,), (place,)) if writes else ((place,), (deep,))
    nest = Nest("n", (axis,), [Write(y, there, make.load(x, here))])
    assert {b.name for b in touched(nest)} == {"x", "y", "rows"}
