"""Which sizes of a program grow with its inputs: found by recording it for several of their sizes.

A recorded program knows numbers only.  The same function recorded for 5, 7 and 11 rows takes the
same steps, and a number that differs between the three is scale * rows + offset; where several
sizes grow, products of them too.  What is anything else is refused, with the line that needs it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ..errors import ExportError
from ..export.recording import Recorded, not_exported
from ..graph import Node

BATCH = "batch"
"""The name of the size that is the batch, unless it is given another."""
TRIED = ((5, 7, 11), (13, 17, 23), (19, 29, 31), (37, 41, 43))
"""Of each size that grows, those that are recorded: hardly any other size is a multiple of them."""

Point = Mapping[str, int]


class Dim(NamedTuple):
    """A size that is a sum of products: (names of the sizes that are multiplied, factor) each.

    The constant, which comes last, has no names.
    """

    terms: tuple[tuple[tuple[str, ...], int], ...]

    def at(self, point: Point) -> int:
        """The number that it is for these sizes."""
        return sum(math.prod((point[n] for n in names), start=k) for names, k in self.terms)

    def __str__(self) -> str:
        text = ""
        for names, k in self.terms:
            head = "" if abs(k) == 1 and names else str(abs(k))
            sign = "-" if k < 0 else "+" if text else ""
            text += sign + "*".join(([head] if head else []) + list(names))
        return text


Size = int | Dim


class Spec(NamedTuple):
    """The shape and type of a value, with sizes that may grow."""

    shape: tuple[Size, ...]
    dtype: Any


def product(sizes: Sequence[Size]) -> Size:
    """The number of elements of a shape."""
    total: dict[tuple[str, ...], int] = {(): 1}
    for n in sizes:
        terms = n.terms if isinstance(n, Dim) else (((), n),)
        made: dict[tuple[str, ...], int] = {}
        for a, j in total.items():
            for b, k in terms:
                key = tuple(sorted((*a, *b)))
                made[key] = made.get(key, 0) + j * k
        total = made
    return _sum(total)


def _sum(terms: Mapping[tuple[str, ...], int]) -> Size:
    kept = {names: k for names, k in terms.items() if k}
    if not any(kept):
        return kept.get((), 0)
    return Dim(tuple(sorted(kept.items(), key=lambda t: (-len(t[0]), t[0]))))


def points(names: Sequence[str]) -> list[Point]:
    """The sizes for which a program is recorded: every pair of the first two, and the third ones.

    The first is the base; those that follow differ from it in one size.
    """
    base = {name: TRIED[i][0] for i, name in enumerate(names)}
    second = {name: TRIED[i][1] for i, name in enumerate(names)}
    third = {name: TRIED[i][2] for i, name in enumerate(names)}
    found: list[Point] = [base]
    for count in range(1, len(names) + 1):
        found += [{**base, **{n: second[n] for n in some}} for some in combinations(names, count)]
    return [*found, third] if names else found


class Sizes:
    """A program whose sizes are numbers or grow; as `recordings`, one a point, have it in common.

    batch: the name of the size that is the batch.
    """

    def __init__(
        self, owner: str, recordings: Sequence[Recorded], at: Sequence[Point], batch: str = BATCH
    ) -> None:
        self.owner, self.recordings, self.at, self.batch = owner, recordings, at, batch
        self.names = list(at[0])
        self.recorded = first = recordings[0]
        self.products = [c for n in range(len(self.names) + 1)
                         for c in combinations(self.names, n)]  # fmt: skip
        self.specs: dict[Node, Spec] = {}
        self.params: dict[Node, dict[str, Any]] = {}
        self.operands: dict[Node, tuple[Any, ...]] = {}
        for n, node in enumerate(first.graph.nodes):
            if any(len(r.graph.nodes) <= n for r in recordings):
                raise self._steps(node)
            self._line(node, [r.graph.nodes[n] for r in recordings])
        if len({len(r.graph.nodes) for r in recordings}) != 1:
            raise self._steps(first.graph.nodes[-1])
        for group in zip(*(r.arguments for r in recordings), strict=True):
            self._spec(group[0], group)
        for group in zip(*(r.values for r in recordings), strict=True):
            self._spec(group[0], group)
            self._constant(group)

    def _line(self, node: Node, lines: Sequence[Node]) -> None:
        """One line, in all recordings."""
        if len({line.op for line in lines}) != 1 or len({len(x.inputs) for x in lines}) != 1:
            raise self._steps(node)
        self._spec(node, lines)
        self.params[node] = {
            key: self._merged(node, [line.params[key] for line in lines]) for key in node.params
        }
        operands = []
        for group in zip(*(line.inputs for line in lines), strict=True):
            known = isinstance(group[0], Node)
            operands.append(group[0] if known else self._merged(node, group))
        self.operands[node] = tuple(operands)

    def _spec(self, node: Node, nodes: Sequence[Node]) -> None:
        shape: Any = self._merged(node, [n.shape for n in nodes])
        self.specs[node] = Spec(shape, node.dtype)

    def _merged(self, node: Node, values: Sequence[Any]) -> Any:
        """What a setting is for any sizes."""
        first = values[0]
        if all(type(v) is type(first) and v == first for v in values):
            return first
        if isinstance(first, tuple) and len({len(v) for v in values}) == 1:
            parts = [self._merged(node, group) for group in zip(*values, strict=True)]
            return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
        if all(type(v) is int for v in values):
            found = self._fitted(values)
            if found is not None:
                return found
        raise self._differs(node, self._growing(values), list(map(repr, values)))

    def _fitted(self, values: Sequence[int]) -> Size | None:
        """The sum of products that has these values."""
        table = [[math.prod(p[n] for n in names) for names in self.products] for p in self.at]
        factors = np.linalg.lstsq(np.array(table, np.float64), np.array(values, np.float64))[0]
        found = _sum({names: round(float(k))
                      for names, k in zip(self.products, factors, strict=True)})  # fmt: skip
        if isinstance(found, Dim):
            same = all(found.at(p) == v for p, v in zip(self.at, values, strict=True))
            return found if same else None
        return None

    def _constant(self, group: Sequence[Node]) -> None:
        arrays = [r.values[n] for r, n in zip(self.recordings, group, strict=True)]
        if not all(np.array_equal(a, arrays[0], equal_nan=a.dtype.kind == "f") for a in arrays):
            raise ExportError(
                f"{self.owner}: a constant of the model depends on {self._called(self.names)}",
                got=f"{group[0].name} {arrays[0].shape}", fix=self._fixed(self.names),
            )  # fmt: skip

    # ------------------------------------------------------------ what is refused

    def _growing(self, values: Sequence[Any]) -> list[str]:
        """The sizes on which values depend; all where none does so alone."""
        alone = values[1 : 1 + len(self.names)]
        return [n for n, v in zip(self.names, alone, strict=False) if v != values[0]] or self.names

    def _called(self, names: Sequence[str]) -> str:
        return " and ".join("the batch size" if n == self.batch else f"{n!r}" for n in names)

    def _fixed(self, names: Sequence[str]) -> str:
        """What makes the sizes those of the example."""
        others = [repr(n) for n in names if n != self.batch]
        told = [f"{' and '.join(others)} left out of dynamic_axes"] if others else []
        told += ["dynamic_batch=False"] if self.batch in names else []
        which = "batch size" if self.batch in names and not others else "size"
        return f"{' and '.join(told)}: for the example's {which} alone"

    def _steps(self, node: Node) -> ExportError:
        """The error for other steps in another recording."""
        counts = [[(x.op, len(x.inputs)) for x in r.graph.nodes] for r in self.recordings]
        return self._differs(node, self._growing(counts))

    def _differs(
        self, node: Node, names: Sequence[str], values: Sequence[str] | None = None
    ) -> ExportError:
        why = f"it depends on {self._called(names)} in a way that can't be said in advance"
        seen: dict[tuple[int, ...], str] = {}
        for p, v in zip(self.at, values or ["other steps"] * len(self.at), strict=True):
            seen.setdefault(tuple(p[n] for n in names), v)
        sizes = [", ".join(map(str, column)) for column in zip(*seen, strict=True)]
        sized = " and ".join(
            f"{told} {'rows' if n == self.batch else 'of ' + repr(n)}"
            for n, told in zip(names, sizes, strict=True)
        )
        got = f"for {sized}: {'other steps' if values is None else ', '.join(seen.values())}"
        return not_exported(self.owner, self.recorded, node, why, got, self._fixed(names))
