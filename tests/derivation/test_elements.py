"""Elements of every op and of its gradient are what the op computes."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.derivation.elements import Elements, Place
from chainrule.ops import REGISTRY
from compiler.test_native import gradient, together, value

FLOAT64 = [np.dtype(np.float64)]
EACH = 12  # elements of an output, drawn at random


def hold(graph, arrays):
    rng = np.random.default_rng(0)
    elements = Elements(graph, arrays)
    for y in elements.graph.outputs:
        if getattr(y, "op", None) is None:
            continue
        places = list(np.ndindex(y.shape))
        for i in rng.permutation(len(places))[:EACH]:
            place = Place(y, places[i])
            found = elements.value(elements.of(place))
            np.testing.assert_allclose(found, elements.at(place), rtol=1e-12, atol=1e-13,
                                       err_msg=str(place))  # fmt: skip


@pytest.mark.parametrize("op", REGISTRY.values(), ids=REGISTRY.keys())
def test_elements_of_an_op(op):
    hold(*together(op, value, FLOAT64))


@pytest.mark.parametrize(
    "op", [op for op in REGISTRY.values() if op.differentiable], ids=lambda op: op.name
)
def test_elements_of_a_gradient(op):
    hold(*together(op, gradient, FLOAT64))
