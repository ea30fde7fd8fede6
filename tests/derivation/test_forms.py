"""Forms have the value of what they stand for, and read as a reader would write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chainrule import graph as G
from chainrule.derivation.elements import Elements, Place
from chainrule.derivation.forms import DRAWN, Forming, evaluate
from chainrule.derivation.writing import Numbers, Symbols
from chainrule.grad import gradients
from chainrule.ops import REGISTRY
from compiler.test_native import gradient, together, value

GOLDEN = Path(__file__).parent / "golden" / "rules.txt"
FLOAT64 = [np.dtype(np.float64)]
smooth = [op for op in REGISTRY.values() if op.differentiable]


def forming(elements):
    """Everything is spelled out down to the inputs."""
    inputs = set(map(id, elements.graph.inputs))
    return Forming(lambda p: None if id(p.node) in inputs else elements.of(p), elements.value)


def hold(graph, arrays):
    rng = np.random.default_rng(0)
    elements = Elements(graph, arrays)
    form = forming(elements).form
    for y in elements.graph.outputs:
        if getattr(y, "op", None) is None or y.dtype.kind != "f":
            continue
        places = list(np.ndindex(y.shape))
        for i in rng.permutation(len(places))[:6]:
            place = Place(y, places[i])
            found = evaluate(form(elements.of(place)), elements.at)
            np.testing.assert_allclose(found, elements.at(place), rtol=1e-11, atol=1e-12,
                                       err_msg=str(place))  # fmt: skip


@pytest.mark.parametrize(
    "op", [o for o in REGISTRY.values() if o.name not in DRAWN], ids=lambda op: op.name
)
def test_a_form_has_the_value_of_the_op(op):
    hold(*together(op, value, FLOAT64))


@pytest.mark.parametrize("op", smooth, ids=lambda op: op.name)
def test_a_form_has_the_value_of_the_gradient(op):
    hold(*together(op, gradient, FLOAT64))


def rule(op):
    """A line for the value and for each derivative of a function of numbers."""
    numbers = [np.asarray(0.7), np.asarray(0.4)][: len(op.input_names)]

    def f(*nodes):
        y = op(*nodes)
        return [y, *gradients(y, list(nodes))]

    graph = G.trace(f, *numbers, names=list(op.input_names))
    elements = Elements(graph, numbers)
    form = forming(elements).form
    symbols, figures = Symbols(str), Numbers(elements.at)
    for label, y in zip(["y", *(f"dy/d{n}" for n in op.input_names)], elements.graph.outputs,
                        strict=True):  # fmt: skip
        if getattr(y, "op", None) is None:
            yield f"  {label} = {y}"
            continue
        found = form(elements.of(Place(y, ())))
        value = evaluate(found, elements.at)
        yield f"  {label} = {symbols.text(found)} = {figures.text(found)} = {value:.6g}"


def rules():
    """The derivatives of all functions of numbers."""
    lines = []
    for op in smooth:
        if op.pointwise and op.name not in ("where", "cast", "detach"):
            lines += [op.name, *rule(op)]
    return "\n".join(lines) + "\n"


def test_the_rules_read_as_they_are_taught():
    assert rules() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":  # writes the golden text anew
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(rules(), encoding="utf-8")
