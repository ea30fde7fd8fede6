"""A loop program as the text of one LLVM module.

The module has one function, `step(ptr args)`: args points to the addresses of all inputs and
outputs, in order, and of the memory for temporaries behind them.
"""

from __future__ import annotations

from typing import NamedTuple

from ..loops.memory import plan, touched
from ..loops.program import Nest, Program
from .product import Products
from .target import Target
from .text import Function, Module, V, whole


class Emitted(NamedTuple):
    """The text of a module, and the bytes of temporary memory that it needs."""

    text: str
    arena: int


def emit(program: Program, target: Target) -> Emitted:
    """The module of a program for a processor."""
    module = Module()
    offsets, arena = plan(program)
    places = {b.name: i for i, b in enumerate((*program.inputs, *program.outputs))}
    names = []
    for i, nest in enumerate(program.nests):
        f = module.function(f"nest{i}", "ptr noalias %args", "#0 ")
        writer = Products(f, program, target)
        writer.pointers = _pointers(f, nest, places, offsets)
        if nest.product is None:
            writer.nest(nest)
        else:
            writer.product_nest(nest, nest.product)
        names.append(f.name)
    step = module.function("step", "ptr noalias %args", "#0 ")
    for name in names:
        step.do(f"call void @{name}(ptr %args)")
    width = f'"prefer-vector-width"="{target.bits}"'
    text = f'{module}\nattributes #0 = {{ nounwind {width} "target-cpu"="{target.cpu}" }}\n'
    return Emitted(text, arena)


def _pointers(
    f: Function, nest: Nest, places: dict[str, int], offsets: dict[str, int]
) -> dict[str, V]:
    """The addresses of what a nest touches, read from the table."""
    table, arena = V("%args", "ptr"), None
    found: dict[str, V] = {}
    for buffer in touched(nest):
        if buffer.name in found:
            continue
        if buffer.name in places:
            at = f.shifted(table, whole(places[buffer.name]), "ptr")
            found[buffer.name] = f.emit(f"load ptr, {at}, align 8", "ptr")
        else:
            if arena is None:
                at = f.shifted(table, whole(len(places)), "ptr")
                arena = f.emit(f"load ptr, {at}, align 8", "ptr")
            found[buffer.name] = f.shifted(arena, whole(offsets[buffer.name]), "i8")
    return found
