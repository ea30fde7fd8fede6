"""The loop program: nests of loops over scalar expressions, run one after the other.

    program := "program" buffer* nest*
    buffer  := kind name ":" dtype "[" size* "]" ("order" dimension*)?
    nest    := "nest" "[" (axis "<" extent)* "]" (start)? write+
    start   := "first" buffer "[" index* "]" "=" expr        over all of the buffer
    write   := buffer "[" index* "]" ("=" | "+=") expr

A nest whose writes go to `buffer[axis*]` may run over its axes in any order, on any number of
threads; one that is marked "in order" may not, since its places depend on what it reads.
Expressions are those of `expr`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .expr import Buffer, Builder, Expr
from .index import Axis, Index

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
        loops = ", ".join(f"{a.name}<{a.extent}" for a in self.axes)
        head = f"nest {self.name} [{loops}]" + (" in order" if self.in_order else "")
        return "\n".join([head, *(f"  {w}" for w in self.writes)])


class Program:
    """Buffers and the nests that fill them."""

    def __init__(self, make: Builder, inputs: list[Buffer], outputs: list[Buffer]) -> None:
        self.make = make
        self.inputs = inputs
        self.outputs = outputs
        self.temps: list[Buffer] = []
        self.nests: list[Nest] = []

    def __str__(self) -> str:
        lines = ["program"]
        for b in (*self.inputs, *self.outputs, *self.temps):
            sizes = ",".join(map(str, b.shape))
            order = "" if b.order == tuple(range(len(b.shape))) else f" order {b.order}"
            lines.append(f"  {b.kind} {b.name}: {b.dtype.name}[{sizes}]{order}")
        return "\n".join([*lines, *map(str, self.nests)])
