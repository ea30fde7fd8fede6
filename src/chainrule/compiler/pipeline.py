"""Compiling as one list of named steps; what each gives can be printed (see `show`).

What loads LLVM is imported from here on only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import FormatError
from ..graph import Graph
from ..runtime.executable import Times
from ..runtime.threads import get_num_threads
from . import cache
from .compiled import Compiled, Facts
from .hardware import processor
from .key import name_of
from .llvm.build import compile_text, compile_texts
from .llvm.driver import DRIVE, driver
from .llvm.emit import STEP, Emitted, emit
from .llvm.target import Target
from .llvm.text import Part, called
from .loops.lower import lower
from .loops.products import arrange
from .passes import border, dce, simplify, spell


class Step(NamedTuple):
    """name, the part of the time that it counts to, and what makes the next form of a program."""

    name: str
    part: str
    run: Callable[[Any, Target], Any]


STEPS = (
    Step("spell", "passes", lambda graph, target: spell(graph)),
    Step("border", "passes", lambda graph, target: border(graph)),
    Step("simplify", "passes", lambda graph, target: simplify(graph)),
    Step("dce", "passes", lambda graph, target: dce(graph)),
    Step("loops", "lower", lambda graph, target: lower(graph)),
    Step("products", "lower", lambda program, target: arrange(program, target.lanes(4))),
    Step("llvm", "emit", lambda program, target: emit(program, target)),
    Step("object", "llvm", lambda emitted, target: objects(emitted, target)),
)
"""A Graph four times, a loop Program twice, the texts of LLVM modules, object files."""

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


def steps(graph: Graph, target: Target, times: Times | None = None) -> Iterator[tuple[str, Any]]:
    """(name, result) of each step, as it is done."""
    times = times or Times()
    form: Any = graph
    for step in STEPS:
        with times.step(step.part):
            before, form = form, step.run(form, target)
        for observer in _observers:
            observer(step.name, before, form)
        yield step.name, form


@dataclass(eq=False)
class Made:
    """An object file that this process has made: what for, its functions, and what they call."""

    target: Target
    names: frozenset[str]
    code: bytes
    kernels: list[bytes]
    needs: list[Made] = field(default_factory=list)

    def whole(self, found: dict[int, Made]) -> None:
        """Adds it, and what it needs, and what that needs."""
        if id(self) not in found:
            found[id(self)] = self
            for made in self.needs:
                made.whole(found)


_made: deque[Made] = deque(maxlen=32)


def _complete(target: Target) -> list[Made]:
    """What this process has made and still has, with all that it needs.

    What needs something older is left out: else each could need the one before, without end.
    """
    kept = list(_made)
    numbers = {id(made) for made in kept}
    found = []
    for made in kept:
        parts: dict[int, Made] = {}
        made.whole(parts)
        if made.target == target and parts.keys() <= numbers:
            found.append(made)
    return found


def objects(emitted: Emitted, target: Target) -> list[bytes]:
    """The object files of a program.

    Kernels are compiled once a machine.  What another program of this process has too, such as
    the same step with fewer rows, is taken from there.
    """
    there = {n: made for made in _complete(target) for n in made.names}
    parts = emitted.parts(get_num_threads(), there)
    codes, kernels = _compiled(parts, emitted.kernels(), target)
    fresh = [
        Made(target, frozenset(part.names), code, kernels)
        for part, code in zip(parts, codes, strict=True)
    ]
    there |= {n: made for made in fresh for n in made.names}
    for made, part in zip(fresh, parts, strict=True):
        others = sorted(called(part.text) - made.names)
        made.needs = [there[n] for n in others if n in there]
    _made.extend(fresh)
    used: dict[int, Made] = {}
    for name in emitted.names.values():
        there[name].whole(used)
    shared = [*kernels, *(code for made in used.values() for code in made.kernels)]
    return [*(made.code for made in used.values()), *dict.fromkeys(shared)]


def _compiled(
    parts: list[Part], kernels: list[Part], target: Target
) -> tuple[list[bytes], list[bytes]]:
    """The object files of parts, and of kernels, of which most are found."""
    names = [name_of("kernel", repr(target), str(processor()), part.text) for part in kernels]
    found = [None if name is None else cache.read(name, _only, program=False) for name in names]
    missing = [part for part, code in zip(kernels, found, strict=True) if code is None]
    wanted = [*parts, *missing]
    cold = {part.text for part in wanted if part.cold}
    made = compile_texts([part.text for part in wanted], target, cold)
    fresh = iter(made[len(parts) :])
    codes = []
    for name, code in zip(names, found, strict=True):
        if code is None:
            code = next(fresh)
            if name is not None:
                cache.write(name, {}, [code])
        codes.append(code)
    return made[: len(parts)], codes


def _only(header: dict[str, Any], parts: list[bytes]) -> bytes:
    """The one part of a kept kernel."""
    if len(parts) != 1:
        raise FormatError("cache: a kernel is one part", got=str(len(parts)))
    return parts[0]


def compile_graph(graph: Graph, target: Target, times: Times) -> Compiled:
    """The object files of a graph."""
    made = dict(steps(graph, target, times))
    program, emitted = made["products"], made["llvm"]
    results = tuple((b.shape, b.dtype.name) for b in program.outputs)
    numbers = {id(x): i for i, x in enumerate(graph.inputs)}
    updated = tuple(numbers[id(x)] for x, _ in graph.updates)
    facts = Facts(
        len(program.inputs),
        results,
        emitted.arena,
        emitted.shared_work,
        updated,
        emitted.names[STEP],
    )
    return Compiled(facts, made["object"])


def compile_driver(target: Target) -> Compiled:
    """The object file of the native loop."""
    return Compiled(Facts(0, (), 0, 0, (), DRIVE), [compile_text(driver(target), target)])
