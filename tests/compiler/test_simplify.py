"""What simplify must not do."""

import numpy as np

from chainrule import ops
from chainrule.compiler.passes import simplify
from chainrule.graph import run, trace
from chainrule.ops.core import Spec


def test_a_number_takes_its_type_from_an_operand_that_stays():
    """Both sides are full of numbers in float64: at least one must keep that type."""

    def chosen(c):
        one = ops.full(shape=(1,), value=0.1, dtype=np.dtype(np.float64))
        return ops.where(c, ops.expand(one, shape=(3,)), 0.0)

    graph = simplify(trace(chosen, Spec((3,), np.dtype(np.bool_))))
    (node,) = graph.outputs
    assert node.op.meeting_dtype(node.inputs) == node.dtype == np.float64
    (y,) = run(graph, np.array([True, False, True]))
    assert y.tolist() == [0.1, 0.0, 0.1]
