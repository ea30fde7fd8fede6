"""What a training step is made of, counted: exact, and the same on every machine.

A number that has grown is work that was not there before; where it is meant, it is changed here.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest

import chainrule
from chainrule import graph as G
from chainrule import nn, ops, optim
from chainrule.compiler.llvm.emit import emit
from chainrule.compiler.loops.expr import walk
from chainrule.compiler.loops.memory import plan
from chainrule.compiler.pipeline import steps
from compiler.processors import FIXED

BATCH, WIDTH = 64, 32


@functools.cache
def forms(depth, optimizer="SGD", batch=BATCH, width=WIDTH):
    """step -> what it gives, for a training step of a network of `depth` layers of one width."""
    layers = [m for _ in range(depth) for m in (nn.Linear(width, width), nn.ReLU())]
    model = nn.Sequential(*layers)
    rule = getattr(optim, optimizer)(model.parameters(), lr=0.1)

    @chainrule.compile
    def step(x, t):
        rule.zero_grad()
        loss = nn.functional.mse_loss(model(x), t)
        loss.backward()
        rule.step()
        return loss

    step(chainrule.ones(batch, width), chainrule.zeros(batch, width))
    (graph,) = step.graphs
    return dict(steps(graph, FIXED["avx2"]))


def is_parameter(buffer):
    return buffer.name.endswith((".weight", ".bias"))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_nests_of_a_step(depth):
    """A layer: forward, backward, its weight, its bias, and a copy of its weight for the tiles."""
    program = forms(depth)["products"]
    products = [n for n in program.nests if n.product]
    copies = [n for n in program.nests if n.name.startswith("%p")]
    assert len(copies) == depth
    assert len(products) == 3 * depth - 1  # the first layer needs no gradient of its input
    assert len(program.nests) - len(copies) == 4 * depth  # the loss stands for that one


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_parameter_is_gone_through_once(optimizer):
    """Its update is part of the product that makes its gradient, which is never stored."""
    program = forms(2, optimizer)["products"]
    written = [w.buffer.name for n in program.nests for w in n.writes if is_parameter(w.buffer)]
    assert sorted(written) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    for nest in program.nests:
        for w in nest.writes:
            if w.buffer.name.endswith(".weight"):
                assert nest.product
                assert any(e.op == "dot" for e in walk(w.value))


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_memory_of_a_step(optimizer):
    """No gradient of a weight is kept: what is, are the outputs of the layers.

    To that comes what lives for a nest or two, and for Adam two numbers that all layers share.
    """
    outputs, passing = 4 * BATCH * WIDTH, 3 * 4 * WIDTH * WIDTH
    shared = 128 if optimizer == "Adam" else 0
    for depth in (2, 4):
        assert plan(forms(depth, optimizer)["products"])[1] == depth * outputs + passing + shared


def test_the_text_does_not_grow_with_layers_of_one_shape():
    """Their nests are one function each, and all products one or two kernels: calls are added."""
    texts = [emit(forms(depth)["products"], FIXED["avx2"]).text for depth in (2, 3, 4)]
    lengths = [text.count("\n") for text in texts]
    assert lengths[2] - lengths[1] == lengths[1] - lengths[0] < 50
    assert len({text.count("define ") for text in texts}) == 1


def test_a_tiny_program_reads_and_writes_every_number_once():
    """Two layers of two neurons, two examples: one straight line, with temporaries in registers."""
    text = emit(forms(2, batch=2, width=2)["products"], FIXED["avx2"]).text
    line = text[: text.index("define internal")]
    parameters, data, settings = 2 * (4 + 2), 2 * 4, 2  # lr and weight_decay
    assert line.count("= load float") + line.count("= load double") == parameters + data + settings
    assert line.count("  store ") == parameters + 1  # and the loss
    assert "phi" not in line


@pytest.mark.parametrize("count", [2, 3, 6])
def test_a_sum_of_products_keeps_one_value(count):
    """Each product adds to the sum of those before it; nothing is gone through by itself."""

    def f(*pairs):
        total = ops.matmul(*pairs[:2])
        for a, b in zip(pairs[2::2], pairs[3::2], strict=True):
            total = total + ops.matmul(a, b)
        return ops.relu(total)

    pairs = [np.zeros((WIDTH, WIDTH), np.float32)] * (2 * count)
    program = dict(steps(G.trace(f, *pairs), FIXED["avx2"]))["products"]
    assert len(program.nests) == count
    assert all(nest.product and len(nest.writes) == 1 for nest in program.nests)
    assert plan(program)[1] <= 2 * 4 * WIDTH * WIDTH


def test_a_product_that_others_read_too_is_kept():
    def f(a, b, c):
        y = ops.matmul(a, b)
        return y + ops.matmul(b, c), y * 2.0

    x = np.zeros((WIDTH, WIDTH), np.float32)
    program = dict(steps(G.trace(f, x, x, x), FIXED["avx2"]))["products"]
    assert len([n for n in program.nests if n.product]) == 2
