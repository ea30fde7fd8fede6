"""show: a text for every step, and errors that say what would help."""

from __future__ import annotations

import pytest

import chainrule
from chainrule.compiler import show
from chainrule.compiler.llvm import build
from chainrule.compiler.pipeline import STEPS
from chainrule.compiler.show import STAGES
from chainrule.errors import ArgumentError, ArgumentTypeError
from compiler.processors import FIXED
from compiler.shown import two_layers


@pytest.mark.parametrize("stage", [*STAGES, *(step.name for step in STEPS)])
def test_every_step_has_a_text(stage):
    build.ready_for_all()
    first = {
        "loops": "program",
        "products": "program",
        "llvm": "define",
        "asm": "\t.",
        "object": "\t.",
    }
    for target in FIXED.values():
        text = show(two_layers(), stage, target)
        assert text.startswith(first.get(stage, "graph(")) or stage in ("asm", "object")
        assert len(text.splitlines()) > 10


def test_a_compiled_function_shows_all_of_its_programs():
    @chainrule.compile
    def double(x):
        return x * 2.0

    with pytest.raises(ArgumentError, match="call the function once"):
        show(double)
    double(chainrule.ones(3))
    double(chainrule.ones(2, 2))
    assert show(double, "loops").count("program") == 2


def test_what_can_not_be_shown():
    with pytest.raises(ArgumentTypeError, match="a Graph or a compiled function"):
        show(lambda x: x)
    with pytest.raises(ArgumentError, match="graph, loops, llvm, asm"):
        show(two_layers(), "ptx")
