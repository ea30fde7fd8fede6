"""One program run four ways: line by line in NumPy, as loops, as arranged loops, natively."""

from __future__ import annotations

import math
from contextlib import ExitStack
from unittest import mock

import numpy as np

from chainrule import compiler
from chainrule import graph as G
from chainrule.compiler.llvm import emit, straight
from chainrule.compiler.loops.interpret import interpret
from chainrule.compiler.loops.lower import lower
from chainrule.compiler.loops.products import arrange
from chainrule.compiler.passes import border, dce, simplify, spell
from chainrule.runtime import executable
from compiler.processors import EXECUTABLE, HOST


def simplified(graph):
    """The graph after its passes, each of which must leave a valid one."""
    for step in (spell, border, simplify, dce):
        graph = step(graph)
        G.verify(graph)
    return graph


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


def natively(graph, arrays, target=HOST, threads=None, line=False):
    """The same in machine code, which may touch nothing around its arrays and its memory.

    With `threads` so many of them share even the smallest nests, all compiled in a hurry.
    `line`: tiny programs are one straight line, as they are for users; else they have loops like
    all others.
    """
    margins = []

    def empty(shape, dtype=np.float64):
        array, raw = with_margin(shape, np.dtype(dtype))
        margins.append(raw)
        return array

    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(np, "empty", empty))
        patches.enter_context(mock.patch.object(compiler, "key_of", return_value=None))  # no cache
        patches.enter_context(mock.patch.object(executable, "aligned", aligned(margins)))
        if not line:
            patches.enter_context(mock.patch.object(straight, "MOST", -1))
        if threads:
            patches.enter_context(mock.patch.object(emit, "WORTH", 0))
            patches.enter_context(mock.patch.object(emit, "LOSS", math.inf))
            patches.enter_context(
                mock.patch.object(executable.threads, "worthwhile", return_value=threads)
            )
        program = compiler.build(graph, target)
        given = [np.empty(a.shape, a.dtype) for a in arrays]
        for mine, a in zip(given, arrays, strict=True):
            mine[...] = a
        outputs = program.run(given)
    for raw in margins:
        around = np.r_[raw[:MARGIN], raw[-MARGIN:]]
        assert (around == 0xA5).all(), "written outside of an array"
    return [y.copy() for y in outputs], [x.copy() for x in given]


def aligned(margins):
    """Memory at lines of the cache, all 0, with margins as well."""

    def make(size):
        array, raw = with_margin(-(-size // 64) * 64, np.dtype(np.uint8), 64)
        array[...] = 0
        margins.append(raw)
        return array

    return make


MARGIN = 4096


def with_margin(shape, dtype, line=1):
    """An array, and the bytes in whose middle it lies."""
    size = math.prod(np.atleast_1d(np.asarray(shape, int)).tolist()) * dtype.itemsize
    raw = np.full(size + 2 * MARGIN + line, 0xA5, np.uint8)
    first = -raw.ctypes.data % line
    raw = raw[first : first + size + 2 * MARGIN]
    return raw[MARGIN : MARGIN + size].view(dtype).reshape(shape), raw


def ways(graph, arrays, targets=None):
    """name -> (outputs, inputs afterwards) of every other way to run a program."""
    targets = EXECUTABLE if targets is None else targets
    found = {"loops": by_loops(graph, arrays)}
    for bits in {t.bits for t in targets.values()}:
        found[f"arranged-{bits}"] = by_loops(graph, arrays, bits // 32)
    for name, target in targets.items():
        found[name] = natively(graph, arrays, target)
    found["line"] = natively(graph, arrays, line=True)
    found["threads"] = natively(graph, arrays, threads=3)
    assert same_bits(found["host"], found["threads"]), "not the same bits on three threads"
    return found


def hold(f, *arrays, updates=()):
    """Raises unless every way to run f gives the same.

    f gives its outputs; `updates` are (input, number of an output that is written into it).
    """
    graph = G.trace(f, *arrays)
    results = [(graph.inputs[i], graph.outputs[o]) for i, o in updates]
    graph = G.Graph(graph.inputs, graph.nodes, graph.outputs, results)
    outputs, left = by_lines(graph, arrays)
    for name, (found, after) in ways(graph, arrays).items():
        for y, w in zip((*found, *after), (*outputs, *left), strict=True):
            np.testing.assert_allclose(y, w, rtol=1e-5, atol=1e-5, err_msg=name)


def same_bits(one, other):
    """Whether two runs gave the same, to the last bit."""
    return all(
        a.tobytes() == b.tobytes() for x, y in zip(one, other, strict=True)
        for a, b in zip(x, y, strict=True)
    )  # fmt: skip
