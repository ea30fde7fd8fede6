"""The loop program: nests of loops over scalar expressions, run one after the other.

    program := "program" buffer* nest*
    buffer  := kind name ":" dtype "[" size* "]" ("order" dimension*)?
    nest    := "nest" name "[" (axis "<" extent)* "]" ("in order" | "in tiles")? let* write+
    let     := "let" name "=" expr
    write   := buffer "[" index* "]" ("=" | "+=") expr

A nest may run over its axes in any order, on any number of threads: each of their values writes
places of its own.  One that is marked "in order" may not, since its places, or its values, depend
on what it reads.  "in tiles": a matrix product, see `products`.  A name after `let` stands for an
expression that occurs several times.  Expressions are those of `expr`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .expr import Buffer, Builder, Expr
from .index import Axis, Index
from .text import buffer_text, nest_text

if TYPE_CHECKING:
    from .products import Product


class Write(NamedTuple):
    """buffer[place] = value, or += where it adds."""

    buffer: Buffer
    place: tuple[Index, ...]
    value: Expr
    adds: bool = False

    def __str__(self) -> str:
        sign = "+=" if self.adds else "="
        return f"{self.buffer}[{', '.join(map(repr, self.place))}] {sign} {self.value!r}"


class Nest:
    """Loops over `axes`, outermost first, around writes."""

    def __init__(
        self, name: str, axes: tuple[Axis, ...], writes: list[Write], in_order: bool = False
    ) -> None:
        self.name = name
        self.axes = axes
        self.writes = writes
        self.in_order = in_order
        self.product: Product | None = None  # where it is computed in tiles; see `products`
        self.scratch: list[Buffer] = []  # memory of its own, which is lost after it

    def __str__(self) -> str:
        return nest_text(self)


class Step(NamedTuple):
    """What the lowering did with a buffer: it 'reads' a value there, or 'writes' it."""

    action: str
    value: Any
    buffer: Buffer


class Program:
    """Buffers and the nests that fill them, and the trail of how they came about."""

    def __init__(self, make: Builder, inputs: list[Buffer], outputs: list[Buffer]) -> None:
        self.make = make
        self.inputs = inputs
        self.outputs = outputs
        self.temps: list[Buffer] = []
        self.nests: list[Nest] = []
        self.trail: list[Step] = []

    def __str__(self) -> str:
        buffers = (*self.inputs, *self.outputs, *self.temps)
        lines = ["program", *(f"  {buffer_text(b)}" for b in buffers)]
        return "\n".join([*lines, *map(str, self.nests)])
