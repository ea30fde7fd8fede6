"""Compiling as one list of named steps; what each gives can be printed (see `show`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..graph import Graph
from .llvm.build import compile_text
from .llvm.emit import emit
from .llvm.target import Target
from .loops.lower import lower
from .loops.products import arrange
from .passes import dce, simplify, spell


class Step(NamedTuple):
    """name, and what makes the next form of a program out of the one before."""

    name: str
    run: Callable[[Any, Target], Any]


STEPS = (
    Step("spell", lambda graph, target: spell(graph)),
    Step("simplify", lambda graph, target: simplify(graph)),
    Step("dce", lambda graph, target: dce(graph)),
    Step("loops", lambda graph, target: lower(graph)),
    Step("products", lambda program, target: arrange(program, target.lanes(4))),
    Step("llvm", lambda program, target: emit(program, target)),
    Step("object", lambda emitted, target: compile_text(emitted.text, target)),
)
"""A Graph three times, a loop Program twice, the text of an LLVM module, an object file."""

Observer = Callable[[str, Any, Any], None]
_observers: list[Observer] = []


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Within it `observer(name, before, after)` sees every step: tests verify there."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def steps(graph: Graph, target: Target) -> Iterator[tuple[str, Any]]:
    """(name, result) of each step, as it is done."""
    form: Any = graph
    for step in STEPS:
        before, form = form, step.run(form, target)
        for observer in _observers:
            observer(step.name, before, form)
        yield step.name, form
