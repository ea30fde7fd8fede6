"""A loop program as the text of an LLVM module, in parts that can be compiled apart.

The module has one function, `step(ptr args, i64 tid, i64 threads, ptr sync)`.  args points to the
addresses of all inputs and outputs, in order, and of the memory for temporaries behind them.  Each
of `threads` threads calls it with its number; see `sync`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from ..loops.expr import Buffer
from ..loops.memory import plan, touched
from ..loops.program import Nest, Program
from .alike import Known, likeness, remembered
from .product import Products
from .straight import Straight, is_tiny
from .sync import NAME, define_barrier
from .target import Target
from .text import Function, Module, Part, V, whole

STEP = "step"
PARAMS = "ptr noalias %args, i64 %tid, i64 %threads"


class Call(NamedTuple):
    """A nest, the function that runs it, and the memory and the numbers that it is given."""

    name: str
    nest: Nest
    buffers: list[Buffer]
    numbers: list[int]
    shared: bool


WORTH = 40_000
"""Scalar operations from which on a nest is run by several threads."""


HASTY_NEST, HASTY_TILE, HASTY_CALL = 8.0, 400.0, 100.0
"""What haste costs (see `chill`), in scalar operations: for each of a nest, for a tile, a call."""
LOSS = 0.01
"""The share of a program's work that haste may cost in all."""


PART = 16_000
"""Letters that are worth a part of their own: about 10 ms, and each part costs 1 or 2 more."""


@dataclass
class Emitted:
    """A module, what stands at its end, the bytes of temporary memory, and how many operations are
    shared."""

    module: Module
    end: str
    arena: int
    shared_work: int

    @property
    def text(self) -> str:
        """All of it as one module: for reading."""
        return f"{self.module}{self.end}"

    @cached_property
    def names(self) -> dict[str, str]:
        """What its functions but the kernels are called in machine code."""
        return self.module.names()

    def parts(self, most: int, known: Container[str]) -> list[Part]:
        """What is not known, as so many texts at most, and one of what is cold."""
        parts = self.module.parts(PART, most, self.names, known)
        return [part._replace(text=part.text + self.end) for part in parts]

    def kernels(self) -> list[Part]:
        """What other programs have too."""
        return [part._replace(text=part.text + self.end) for part in self.module.apart()]


def emit(program: Program, target: Target) -> Emitted:
    """The module of a program for a processor."""
    module = Module()
    places = {b.name: i for i, b in enumerate((*program.inputs, *program.outputs))}
    if is_tiny(program):
        _straight(module, target, program, places)
        return Emitted(module, _end(target), 0, 0)
    offsets, arena = plan(program)
    calls: list[Call] = []
    known: dict[Any, Known] = {}  # by what nests have in common
    by_text: dict[str, str] = {}  # nests that differ in more may do the same
    total = 0
    haste: dict[str, float] = defaultdict(float)  # what it costs to compile them in a hurry
    for i, nest in enumerate(program.nests):
        work = work_of(nest)
        shared = is_shared(nest, work)
        total += work if shared else 0
        buffers = list(dict.fromkeys(touched(nest)))
        like, at = likeness(nest)
        there = known.get(like)
        if there is not None:
            name, numbers, cost = there.name, there.numbers_for(at), there.haste
        else:
            f, cost = _function(module, program, target, f"nest{i}", nest, buffers, shared)
            name, numbers = by_text.setdefault(f.body(), f.name), list(f.given.values())
            if name != f.name:
                module.functions.remove(f)
            new = remembered(f, name, cost, at)
            if new is not None:
                known[like] = new
        calls.append(Call(name, nest, buffers, numbers, shared))
        haste[name] += cost
    _step(module, target, calls, places, offsets, _span(offsets, program))
    haste[STEP] = HASTY_CALL * len(calls)
    chill({f.name: f for f in module.functions}, haste, sum(map(work_of, program.nests)))
    return Emitted(module, _end(target), arena, total)


def _function(
    module: Module, program: Program, target: Target, name: str, nest: Nest,
    buffers: list[Buffer], shared: bool,
) -> tuple[Function, float]:  # fmt: skip
    """The function of a nest, and what it loses where it is compiled in a hurry."""
    params = "".join(f", ptr %b{n}" for n in range(len(buffers)))
    f = module.function(name, f"i64 %tid, i64 %threads{params}", "#0 ")
    writer = Products(f, program, target)
    writer.pointers = {b.name: V(f"%b{n}", "ptr") for n, b in enumerate(buffers)}
    writer.shared = shared
    if nest.product is None:
        writer.nest(nest)
    else:
        writer.product_nest(nest, nest.product)
    return f, haste_of(nest, writer)


def _end(target: Target) -> str:
    """What LLVM is told about all functions."""
    width = f'"prefer-vector-width"="{target.bits}"'
    return f'\nattributes #0 = {{ nounwind {width} "target-cpu"="{target.cpu}" }}\n'


def haste_of(nest: Nest, writer: Products) -> float:
    """What a nest loses where it is compiled in a hurry, in scalar operations.

    A product loses something with each tile, since microkernels are not compiled so.
    """
    if nest.product is None:
        return HASTY_NEST * work_of(nest)
    return HASTY_TILE * writer.tiles(nest.product)


def chill(functions: dict[str, Function], costs: dict[str, float], work: int) -> None:
    """Marks as cold what together loses next to nothing: it is compiled in a fourth of the time.

    costs: of each function that may be.  work: of the whole program.
    """
    left = LOSS * work
    for name, cost in sorted(costs.items(), key=lambda c: (c[1], c[0])):
        left -= cost
        if left < 0:
            return
        functions[name].cold = True


def work_of(nest: Nest) -> int:
    """About how many scalar operations a nest takes."""
    places = 1
    for a in nest.axes:
        places *= a.extent
    return places * sum(w.value.cost + 1 for w in nest.writes)


def is_shared(nest: Nest, work: int) -> bool:
    """Whether several threads run a nest."""
    if nest.in_order or not nest.axes or work < WORTH:
        return False
    first = nest.axes[0] if nest.product is None else nest.product.rows
    return first.extent >= 4 or (nest.product is None and max(a.extent for a in nest.axes) >= 64)


Span = Callable[[str], tuple[int, int] | str]


def _span(offsets: dict[str, int], program: Program) -> Span:
    """What memory a buffer takes: a range of the temporary memory, or its own name."""
    sizes = {b.name: b.size * b.dtype.itemsize for b in program.temps}

    def span(name: str) -> tuple[int, int] | str:
        if name not in offsets:
            return name
        return offsets[name], offsets[name] + sizes[name]

    return span


def _meet(a: tuple[int, int] | str, b: tuple[int, int] | str) -> bool:
    """Whether two pieces of memory have a byte in common."""
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    return a[0] < b[1] and b[0] < a[1]


def _step(
    module: Module, target: Target, calls: list[Call], places: dict[str, int],
    offsets: dict[str, int], span: Span,
) -> None:  # fmt: skip
    """The function that runs all nests, with barriers where one needs what another made."""
    define_barrier(module, target)
    f = module.function(STEP, f"{PARAMS}, ptr %sync", "#0 ")
    used = list(dict.fromkeys(b for call in calls for b in call.buffers))
    pointers = _pointers(f, used, places, offsets)
    first = f.emit("icmp eq i64 %tid, 0", "i1")
    read: list[tuple[int, int] | str] = []
    written: list[tuple[int, int] | str] = []
    alone: list[Call] = []  # nests for one thread that follow one another
    before_shared = False  # whether a shared nest has run since the last barrier

    def run_alone() -> None:
        for waiting in alone:
            _call(f, waiting, pointers)

    def flush() -> None:
        if alone:
            f.when(first, run_alone)
            alone.clear()

    for call in calls:
        makes = [span(w.buffer.name) for w in call.nest.writes]
        makes += [span(b.name) for b in call.nest.scratch]
        uses = [span(b.name) for b in call.buffers]
        depends = (call.shared or before_shared) and (
            any(_meet(a, b) for a in written for b in uses)
            or any(_meet(a, b) for a in read for b in makes)
        )
        if depends:
            flush()
            f.do(f"call void @{NAME}(ptr %sync, i64 %threads)")
            read, written, before_shared = [], [], False
        read += uses
        written += makes
        if call.shared:
            flush()
            _call(f, call, pointers)
            before_shared = True
        else:
            alone.append(call)
    flush()
    f.do(f"call void @{NAME}(ptr %sync, i64 %threads)")


def _straight(
    module: Module, target: Target, program: Program, places: dict[str, int]
) -> None:  # fmt: skip
    """The function of a tiny program, which one thread runs."""
    define_barrier(module, target)
    f = module.function(STEP, f"{PARAMS}, ptr %sync", "#0 ")
    writer = Straight(f, program, target)
    used = list(dict.fromkeys(b for nest in program.nests for b in touched(nest)))
    kept = [b for b in used if b.kind != "temp"]
    writer.pointers = _pointers(f, kept, places, {})
    f.when(f.emit("icmp eq i64 %tid, 0", "i1"), lambda: writer.program(program))
    f.do(f"call void @{NAME}(ptr %sync, i64 %threads)")


def _call(f: Function, call: Call, pointers: dict[str, V]) -> None:
    given = "".join(f", {pointers[b.name]}" for b in call.buffers)
    given += "".join(f", i64 {n}" for n in call.numbers)
    f.do(f"call void @{call.name}(i64 %tid, i64 %threads{given})")


def _pointers(
    f: Function, buffers: list[Buffer], places: dict[str, int], offsets: dict[str, int]
) -> dict[str, V]:
    """The addresses of buffers, read from the table."""
    table, arena = V("%args", "ptr"), None
    found: dict[str, V] = {}
    for buffer in buffers:
        if buffer.name in places:
            at = f.shifted(table, whole(places[buffer.name]), "ptr")
            found[buffer.name] = f.emit(f"load ptr, {at}, align 8", "ptr")
        else:
            if arena is None:
                at = f.shifted(table, whole(len(places)), "ptr")
                arena = f.emit(f"load ptr, {at}, align 8", "ptr")
            found[buffer.name] = f.shifted(arena, whole(offsets[buffer.name]), "i8")
    return found
