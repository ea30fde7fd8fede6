"""When two ways of running a program agree."""

from __future__ import annotations

import numpy as np

from chainrule import dtypes
from chainrule.ops.core import quietly


def scale_of(graph, arrays):
    """The largest number that a program meets on its way."""
    most = 1.0
    values = {id(n): a for n, a in zip(graph.inputs, arrays, strict=True)}
    with quietly():
        for node in graph.nodes:
            operands = [values.get(id(x), x) for x in node.inputs]
            y = values[id(node)] = node.op.forward(*operands, **node.params)
            size = np.abs(y)[np.isfinite(y)]
            if size.size and size.dtype.kind == "f":
                most = max(most, float(size.max()))
    return most


def narrow(graph):
    """Whether some value is a float32."""
    return any(n.dtype == dtypes.float32 for n in (*graph.inputs, *graph.nodes))


EITHER_ZERO = {"maximum", "minimum", "relu", "sign", "max", "min"}


def zeros_have_signs(graph):
    """Whether no line may choose freely between 0 and -0, as NumPy's own code does."""
    return not any(n.op.name in EITHER_ZERO for n in graph.nodes)


def agree(y, wanted, what, tolerance=0.0, signs=False):
    """Equal types, shapes and values; with `signs` a 0 differs from a -0."""
    assert (y.shape, y.dtype) == (wanted.shape, wanted.dtype), what
    if not tolerance or wanted.dtype.kind != "f":
        np.testing.assert_array_equal(y, wanted, err_msg=what)
    else:
        np.testing.assert_allclose(y, wanted, rtol=tolerance, atol=tolerance, err_msg=what)
    if signs and wanted.dtype.kind == "f":
        number = wanted == wanted
        assert np.array_equal(np.signbit(y)[number], np.signbit(wanted)[number]), what
