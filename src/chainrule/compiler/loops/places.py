"""Which places a loop program visits: by the bounds of indices, by conditions, or one by one.

Where bounds alone decide nothing, the axes are gone through in all their places, or in those at
their ends where that would be too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .expr import Expr
from .index import Axis, Index, Part, Read, flatten

MANY = 1 << 18
"""From so many places on only those at the ends are looked at."""


class Points:
    """Every combination of the values of axes and of numbers that are read."""

    def __init__(self, axes: Sequence[Axis], indices: Iterable[Index], *conditions: Expr) -> None:
        atoms: dict[Any, None] = dict.fromkeys(axes)
        for i in indices:
            _collect(i, atoms)
        for c in conditions:
            _collect_from(c, atoms)
        ranges = [range(a.bounds[0], a.bounds[1] + 1) for a in atoms]
        self.all = _count(ranges) <= MANY
        if not self.all:
            ranges = [_ends(r, 2 if len(ranges) > 6 else 5) for r in ranges]
        self.shape = tuple(len(r) for r in ranges)
        self.at = {
            a: np.reshape(np.asarray(r), [-1 if d == n else 1 for d in range(len(ranges))])
            for n, (a, r) in enumerate(zip(atoms, ranges, strict=True))
        }

    def index(self, i: Index) -> Any:
        """The values of an index."""
        total: Any = np.int64(i.const)
        for atom, c in i.terms.items():
            total = total + self._atom(atom) * c
        return total

    def _atom(self, atom: Any) -> Any:
        if isinstance(atom, Part):
            inner = self.index(atom.index)
            return inner // atom.by if atom.sign == "//" else inner % atom.by
        return self.at[atom]

    def everywhere(self, x: Any) -> Any:
        """One value for every point."""
        return np.broadcast_to(x, self.shape)

    def flat(self, place: Sequence[Index], shape: Sequence[int]) -> Any:
        """The places as numbers of elements in row-major order."""
        total: Any = np.int64(0)
        for i, n in zip(place, shape, strict=True):
            total = total * n + self.index(i)
        return self.everywhere(total)

    def holds(self, condition: Expr | None) -> Any:
        """Where a condition holds, or may hold: what it reads from memory is not known."""
        known = None if condition is None else self._truth(condition)
        return self.everywhere(True if known is None else known)

    def _truth(self, e: Expr) -> Any:
        """The values of a condition; None where they are not known."""
        if e.op == "and":
            known = [t for t in map(self._truth, e.args) if t is not None]
            return np.logical_and.reduce(np.broadcast_arrays(*known)) if known else None
        if e.op == "const":
            return np.bool_(e.at)
        if e.op in _COMPARE:
            a, b = map(self._number, e.args)
            return None if a is None or b is None else _COMPARE[e.op](a, b)
        return None

    def _number(self, e: Expr) -> Any:
        return self.index(e.at) if e.op == "index" else e.at if e.op == "const" else None


_COMPARE = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal,
}  # fmt: skip


def _count(ranges: Sequence[Any]) -> int:
    total = 1
    for r in ranges:
        total *= max(len(r), 1)
    return total


def _ends(r: range, most: int) -> Any:
    values = [*r[: most - most // 2], *r[max(len(r) - most // 2, 0) :]]
    return sorted(set(values))


def _collect(index: Index, atoms: dict[Any, None]) -> None:
    for atom in index.terms:
        if isinstance(atom, Part):
            _collect(atom.index, atoms)
        else:
            atoms[atom] = None


def _collect_from(condition: Expr, atoms: dict[Any, None]) -> None:
    if condition.op == "index":
        _collect(condition.at, atoms)
    elif condition.op in _COMPARE or condition.op == "and":
        for a in condition.args:
            _collect_from(a, atoms)


def reads(index: Index) -> bool:
    """Whether a place depends on numbers that are read."""
    atoms: dict[Any, None] = {}
    _collect(index, atoms)
    return any(isinstance(a, Read) for a in atoms)


def within(index: Index, size: int, condition: Expr | None) -> bool:
    """Whether an index stays in [0, size) wherever a condition holds."""
    low, high = index.bounds
    if low >= 0 and high < size:
        return True
    if condition is None:
        points = Points((), (index,))
        places = points.everywhere(points.index(index))
        return bool(places.min() >= 0 and places.max() < size)
    for base, least, most in _limits(condition):
        shift = index - base
        if not shift.terms:
            low, high = max(low, least + shift.const), min(high, most + shift.const)
    if low >= 0 and high < size:
        return True
    points = Points((), (index,), condition)
    places = points.everywhere(points.index(index))[points.holds(condition)]
    return not places.size or bool(places.min() >= 0 and places.max() < size)


def _limits(condition: Expr) -> list[tuple[Index, int, int]]:
    """(index, least, most) of everything that a condition says of indices."""
    if condition.op == "and":
        return [x for a in condition.args for x in _limits(a)]
    if condition.op not in _COMPARE or [a.op for a in condition.args] != ["index", "const"]:
        return []
    index, number = (a.at for a in condition.args)
    low, high = index.bounds
    least = {"ge": number, "gt": number + 1, "eq": number}.get(condition.op, low)
    most = {"le": number, "lt": number - 1, "eq": number}.get(condition.op, high)
    return [(index, least, most)]


def digits(index: Index) -> list[Axis] | None:
    """The axes of which an index is the number that they are the digits of: 14 i + j with j < 14.

    None for anything else.
    """
    step, axes = 1, []
    for atom, c in sorted(index.terms.items(), key=lambda t: t[1]):
        if not isinstance(atom, Axis) or c != step:
            return None
        axes.append(atom)
        step *= atom.extent
    return None if index.const else axes


def _flat(place: Sequence[Index], shape: Sequence[int]) -> Index:
    return flatten(tuple(place), tuple(shape)).joined()


def covers(place: Sequence[Index], shape: Sequence[int]) -> bool:
    """Whether every element is some place of the axes, as far as can be seen without looking."""
    axes = digits(_flat(place, shape))
    return axes is not None and _count([range(a.extent) for a in axes]) == _count(
        [range(n) for n in shape]
    )


def apart(place: Sequence[Index], shape: Sequence[int], axes: Sequence[Axis]) -> bool:
    """Whether different values of the axes give different places."""
    alone = {a for i in (*place, _flat(place, shape)) for a in digits(i) or ()}
    if all(a in alone or a.extent == 1 for a in axes):
        return True
    points = Points(axes, place)
    return points.all and bool(np.bincount(points.flat(place, shape).ravel()).max() <= 1)
