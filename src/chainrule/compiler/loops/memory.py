"""Where temporary values lie: in one piece of memory, over one another when their time is over.

Why: the activations of a step would otherwise take as much memory as there are lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .expr import Buffer, walk
from .program import Nest, Program

ALIGNMENT = 64
"""Bytes: a line of the cache, and the widest vector."""


def plan(program: Program, temps: Iterable[Buffer] | None = None) -> tuple[dict[str, int], int]:
    """(the offset in bytes of every temporary, the bytes of all together); or of some of them."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for time, nest in enumerate(program.nests):
        for buffer in touched(nest):
            first.setdefault(buffer.name, time)
            last[buffer.name] = time
    placed: list[tuple[int, int, int, int]] = []  # (from, to, start, end)
    offsets: dict[str, int] = {}
    wanted = [b for b in (program.temps if temps is None else temps) if b.name in first]
    for b in sorted(wanted, key=lambda b: -b.size * b.dtype.itemsize):
        size = -(-b.size * b.dtype.itemsize // ALIGNMENT) * ALIGNMENT
        begin, end = first[b.name], last[b.name]
        there = sorted((s, e) for f, t, s, e in placed if f <= end and begin <= t)
        offset = 0
        for s, e in there:
            if s - offset >= size:
                break
            offset = max(offset, e)
        offsets[b.name] = offset
        placed.append((begin, end, offset, offset + size))
    return offsets, max((e for *_, e in placed), default=0)


def touched(nest: Nest) -> Iterator[Buffer]:
    """The buffers that a nest reads or writes."""
    seen: set[int] = set()
    yield from nest.scratch
    for w in nest.writes:
        yield w.buffer
        exprs = [w.value, *(e for i in w.place for e in i.expressions())]
        for expr in exprs:
            for e in walk(expr, seen):
                if e.op == "load":
                    yield e.at[0]
