"""Compiling as one list of named steps.  What loads LLVM is imported from here on only."""

from __future__ import annotations

from ..graph import Graph
from ..runtime.executable import Times
from ..runtime.threads import get_num_threads
from .compiled import Compiled, Facts
from .llvm.build import compile_text, compile_texts
from .llvm.driver import driver
from .llvm.emit import emit
from .llvm.target import Target
from .loops.lower import lower
from .loops.products import arrange
from .passes import dce, simplify, spell


def compile_graph(graph: Graph, target: Target, times: Times) -> Compiled:
    """The object files of a graph."""
    with times.step("passes"):
        for step in (spell, simplify, dce):
            graph = step(graph)
    with times.step("lower"):
        program = arrange(lower(graph), target.lanes(4))
    with times.step("emit"):
        emitted = emit(program, target, get_num_threads())
    with times.step("llvm"):
        objects = compile_texts(emitted.texts, target)
    results = tuple((b.shape, b.dtype.name) for b in program.outputs)
    facts = Facts(len(program.inputs), results, emitted.arena, emitted.shared_work)
    return Compiled(facts, objects)


def compile_driver(target: Target) -> Compiled:
    """The object file of the native loop."""
    return Compiled(Facts(0, (), 0, 0), [compile_text(driver(target), target)])
