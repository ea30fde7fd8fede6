"""Layer functions: gradients against differences, and as recorded programs."""

from __future__ import annotations

import pytest
from layer_function_cases import CASES

import chainrule
from chainrule.check import gradcheck
from chainrule.tensor.core import wrap
from frozen import about, by_name
from recorded import assert_recorded

IN_PLACE = "batch_norm: running"  # a recorded program has no memory to write to
# statistics go in as constants, and a row that stands for padding is not learned
DETACHED = (IN_PLACE, "batch_norm: given", "embedding: padding")
SMOOTH = [
    c
    for c in CASES
    if not c.name.endswith((" ties", " nan"))
    and not c.name.startswith(DETACHED)
    and c.inputs[0].size
]


@pytest.mark.parametrize("cases", by_name(SMOOTH).values(), ids=by_name(SMOOTH))
def test_gradients_are_those_of_differences(cases):
    for case in cases:
        inputs = tuple(wrap(x.copy()).requires_grad_(x.dtype.kind == "f") for x in case.inputs)
        if any(x.requires_grad for x in inputs):
            with about(case.name):
                assert gradcheck(lambda *xs, case=case: case.run(chainrule, *xs), inputs)


RECORDED = by_name(c for c in CASES if not c.name.startswith(IN_PLACE))


@pytest.mark.parametrize("cases", RECORDED.values(), ids=RECORDED)
def test_it_is_recorded_without_a_look_at_values(cases):
    for case in cases:
        with about(case.name):
            assert_recorded(case)
