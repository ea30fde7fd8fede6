"""The functions of a C file: what each takes and gives, and where everything lies in memory."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..compiler.c import emit, memory_type
from ..compiler.loops.expr import Buffer
from ..compiler.loops.lower import lower
from ..compiler.loops.memory import plan
from ..compiler.loops.program import Program
from ..compiler.passes import border, dce, simplify, spell
from ..dtypes import DType
from ..graph import Graph, Node
from ..graph.trace import Recorder
from ..ops import logical_and, where
from ..ops.core import interpret
from .recording import Recorded

WORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void
volatile while main clamped memcpy memset
acos asin atan cbrt ceil copysign cos cosh div erf erfc exp expm fabs fdim floor fma fmax fmin fmod
frexp gamma hypot index ldexp lgamma log logb lrint lround modf nan nearbyint pow remainder rint
round scalbn signgam sin sinh sqrt tan tanh tgamma trunc abs
stdin stdout stderr fprintf fputs getchar printf scanf ungetc
find_number stop number numbers before
"""
"""What C, its library, or the program in the file has for itself."""


@dataclass
class Value:
    """A piece of memory with a name in C: a constant, or a field of the state.

    key: what it stands for, the same for all functions.  field: whether it is one of the state.
    """

    name: str
    label: str
    array: Any
    field: bool = False

    def place(self) -> str:
        """The pointer to it."""
        if not self.field:
            return self.name
        return f"s->{self.name}" if self.array.ndim else f"&s->{self.name}"


class Names:
    """Names of C, each given once."""

    def __init__(self) -> None:
        words = WORDS.split()
        self.taken: set[str] = {"s", *words, *(f"{word}f" for word in words)}

    def fresh(self, wanted: str) -> str:
        """A name like this one; what ends in a digit alone is for the variables of loops."""
        name = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        name = f"p{name}" if name[:1].isdigit() else name or "x"
        name = f"{name}_" if re.fullmatch(r"[a-z]+\d+", name) else name
        found, count = name, 1
        while found in self.taken:
            count += 1
            found = f"{name}_{count}_"
        self.taken.add(found)
        return found


@dataclass
class Function:
    """A function of the file.

    takes: name, input.  gives: name, output.  values: what other inputs are.  refusals: names of
    truths that must hold.  uses: whether it has a state.  local: whether only its file sees it.
    """

    name: str
    recorded: Recorded
    program: Program
    takes: list[tuple[str, Node]] = field(default_factory=list)
    gives: list[tuple[str, Buffer]] = field(default_factory=list)
    refusals: list[tuple[str, Buffer]] = field(default_factory=list)
    values: dict[Node, Value] = field(default_factory=dict)
    changed: frozenset[Node] = frozenset()
    arena: dict[DType, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    local: bool = False

    @property
    def uses(self) -> bool:
        """Whether it has a state."""
        return any(v.field for v in self.values.values())

    @property
    def answers(self) -> bool:
        """Whether it says if it has refused what it was given: a step always does."""
        return bool(self.refusals) or self.name == "train_step"

    @property
    def writes(self) -> bool:
        """Whether it changes the state."""
        return bool(self.changed) or bool(self.recorded.first)


def function_of(name: str, recorded: Recorded, loss: bool) -> Function:
    """A function before its values have places."""
    program: Any = checked(recorded)
    for step in (spell, border, simplify, dce, lower):
        program = step(program)
    made = Function(name, recorded, program)
    made.changed = frozenset(x for x, _ in recorded.graph.updates)
    names = Names()
    made.takes = [(names.fresh(n.name), n) for n in recorded.arguments]
    results = program.outputs[: recorded.returned]
    single = "loss" if loss and results and not results[0].shape else "y"
    for i, b in enumerate(results):
        wanted_name = single if len(results) == 1 else f"{single}_{i}"
        made.gives.append((names.fresh(wanted_name), b))
    for i, b in enumerate(program.outputs[recorded.returned :]):
        made.refusals.append((names.fresh(f"holds_{i}"), b))
    return made


def checked(recorded: Recorded) -> Graph:
    """The program with what must hold as its last outputs, and no update where it does not."""
    graph = recorded.graph
    recorder = Recorder()
    found = []
    with interpret(recorder):
        for check in recorded.checks:
            x: Any = check.node
            for op, params in check.path:
                x = op(x, **params)
            found.append(check.holds(x))
        found = [condition for condition in found if condition is not None]
        updates = list(graph.updates)
        if found:
            together = functools.reduce(logical_and, found)
            updates = [(x, where(together, v, x)) for x, v in updates]
    outputs = [*graph.outputs[: recorded.returned], *recorded.demands, *found]
    return Graph(graph.inputs, [*graph.nodes, *recorder.nodes], outputs, updates)


def shared_values(functions: Iterable[Function]) -> list[Value]:
    """The constants and fields of all functions: one that several read has one place."""
    functions = list(functions)
    found: dict[Any, Value] = {}
    for f in functions:
        for node, array in f.recorded.values.items():
            tensor = f.recorded.tensors.get(node)
            key = node if tensor is None else id(tensor)
            if key not in found:
                found[key] = Value("", node.name, array)
            found[key].field |= node in f.changed or _is_kept(f.recorded, node)
            f.values[node] = found[key]
    fields, constants = Names(), Names()
    for v in found.values():
        v.name = fields.fresh(v.label) if v.field else constants.fresh(f"c_{v.label}")
    return list(found.values())


def _is_kept(recorded: Recorded, node: Node) -> bool:
    """Settings of an optimizer, which may be changed between steps, and its first step."""
    return node in recorded.settings or node in recorded.first


def write(f: Function) -> dict[str, str]:
    """Fills in the lines of a function; gives the small functions that it calls."""
    places = {n.name: v.place() for n, v in f.values.items()}
    places |= {n.name: name for name, n in f.takes}
    places |= {b.name: name for name, b in f.gives}
    places |= {b.name: f"&{name}" for name, b in f.refusals}
    heads = [f"uint8_t {name};" for name, _ in f.refusals]
    by_type: dict[DType, list[Buffer]] = {}
    for b in f.program.temps:
        by_type.setdefault(b.dtype, []).append(b)
    number = 0
    for dtype, temps in by_type.items():
        offsets, size = plan(f.program, temps)
        f.arena[dtype] = -(-size // dtype.itemsize)
        kind = memory_type(dtype)
        for b in temps:
            if b.name in offsets:
                number += 1
                places[b.name] = f"temp{number}_"
                at = offsets[b.name] // dtype.itemsize
                heads.append(f"{kind} *const temp{number}_ = {arena_name(dtype)} + {at};")
    body = emit(f.program, places)
    unread = [f"(void){name};" for name, n in f.takes if n not in f.recorded.graph.inputs]
    ends = [f"{v.place().removeprefix('&')} = 0;"
            for n, v in f.values.items() if n in f.recorded.first]  # fmt: skip
    if f.refusals:
        ends.insert(0, f"if (!({' && '.join(n for n, _ in f.refusals)}))")
        ends.insert(1, "    return 1;")
    f.lines = [*heads, *unread, *body.lines, *ends]
    return body.helpers


def arena_name(dtype: DType) -> str:
    """The array that holds temporary values of a type."""
    return f"arena_{np.dtype(dtype).name}"
