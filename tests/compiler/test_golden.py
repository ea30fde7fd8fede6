"""The texts of a few programs: what the compiler makes of them is seen in every change of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.compiler import show
from chainrule.compiler.loops.text import number
from compiler.processors import FIXED
from compiler.shown import SHOWN

FOLDER = Path(__file__).parent / "golden"


def golden(f):
    """The text of a program: its graph after all passes, and its loops for 16 lanes."""
    graph = f()
    parts = [show(graph, stage, FIXED["avx512"]) for stage in ("graph", "loops")]
    return "\n\n".join([f.__doc__, *parts]) + "\n"


@pytest.mark.parametrize("name", SHOWN)
def test_the_text_is_the_one_that_was_looked_at(name):
    """Where a change is meant, `python tests/compiler/make_golden.py` writes the new texts."""
    assert golden(SHOWN[name]) == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def test_there_are_no_others():
    assert {p.stem for p in FOLDER.glob("*.txt")} == set(SHOWN)


@given(st.floats(width=32), st.floats())
def test_a_number_reads_back_as_itself(narrow, wide):
    for dtype, x in ((np.float32, narrow), (np.float64, wide)):
        value = dtype(x)
        np.testing.assert_equal(dtype(number(value.item(), np.dtype(dtype))), value)
