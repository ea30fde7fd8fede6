"""One program run four ways: line by line in NumPy, as loops, as arranged loops, natively."""

from __future__ import annotations

import math
from unittest import mock

import numpy as np

from chainrule import compiler
from chainrule import graph as G
from chainrule.compiler.loops.expr import walk
from chainrule.compiler.loops.interpret import interpret
from chainrule.compiler.loops.lower import lower
from chainrule.compiler.loops.maths import SPELLED
from chainrule.compiler.loops.products import arrange
from chainrule.compiler.passes import dce, simplify, spell
from compiler.processors import EXECUTABLE, HOST


def simplified(graph):
    """The graph after its passes, each of which must leave a valid one."""
    for step in (spell, simplify, dce):
        graph = step(graph)
        G.verify(graph)
    return graph


def unspelled(graph):
    """Functions of a program that native code can't do yet."""
    program = lower(simplified(graph))
    found = {e.op: e for n in program.nests for w in n.writes for e in walk(w.value)}
    missing = set()
    for name in set(UNSURE) & found.keys():
        e = found[name]
        try:
            if SPELLED[name](program.make, *e.args) is e:
                missing.add(name)
        except KeyError:
            missing.add(name)
    return missing


UNSURE = (
    "expm1", "log1p", "sin", "cos", "softplus", "erf", "floor_div", "remainder", "pow",
)  # fmt: skip


def by_lines(graph, arrays):
    """(outputs, the inputs afterwards) by NumPy."""
    given = [a.copy() for a in arrays]
    return list(G.run(graph, *given)), given


def by_loops(graph, arrays, lanes=None):
    """The same by the interpreter of loops, with products arranged where lanes are given."""
    program = lower(simplified(graph))
    if lanes:
        program = arrange(program, lanes)
    given = [a.copy() for a in arrays]
    return interpret(program, given), given


def natively(graph, arrays, target=HOST):
    """The same in machine code, which may touch nothing around its arrays and its memory."""
    margins = []

    def empty(shape, dtype=np.float64):
        array, raw = with_margin(shape, np.dtype(dtype))
        margins.append(raw)
        return array

    with mock.patch.object(np, "empty", empty):
        program = compiler.build(graph, target)
        given = [np.empty(a.shape, a.dtype) for a in arrays]
        for mine, a in zip(given, arrays, strict=True):
            mine[...] = a
        outputs = program.run(given)
    for raw in margins:
        around = np.r_[raw[:MARGIN], raw[-MARGIN:]]
        assert (around == 0xA5).all(), "written outside of an array"
    return [y.copy() for y in outputs], [x.copy() for x in given]


MARGIN = 4096


def with_margin(shape, dtype):
    """An array, and the bytes in whose middle it lies."""
    size = math.prod(np.atleast_1d(np.asarray(shape, int)).tolist()) * dtype.itemsize
    raw = np.full(size + 2 * MARGIN, 0xA5, np.uint8)
    return raw[MARGIN : MARGIN + size].view(dtype).reshape(shape), raw


def ways(graph, arrays, targets=None):
    """name -> (outputs, inputs afterwards) of every other way to run a program."""
    targets = EXECUTABLE if targets is None else targets
    found = {"loops": by_loops(graph, arrays)}
    for bits in {t.bits for t in targets.values()}:
        found[f"arranged-{bits}"] = by_loops(graph, arrays, bits // 32)
    for name, target in targets.items():
        found[name] = natively(graph, arrays, target)
    return found
