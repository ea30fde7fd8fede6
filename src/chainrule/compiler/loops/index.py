"""Where an element lies: whole numbers as sums of axes, in a normal form.

    index := const + coefficient * atom + ...
    atom  := axis | index "//" number | index "%" number | a whole number read from memory

Index maps of shape ops compose by arithmetic, and what divides out divides out here: reading a
contiguous array through a reshape leaves a plain sum of axes, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Axis:
    """A loop variable: 0 .. extent - 1."""

    __slots__ = ("bit", "extent", "name")

    def __init__(self, name: str, extent: int, bit: int) -> None:
        self.name = name
        self.extent = extent
        self.bit = bit  # 1 << number: sets of axes are whole numbers

    @property
    def free(self) -> int:
        """The set that holds this axis alone."""
        return self.bit

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest value."""
        return 0, max(self.extent - 1, 0)

    def __repr__(self) -> str:
        return self.name


class Part:
    """`index // by` or `index % by`, where that is no plain sum."""

    __slots__ = ("bounds", "by", "free", "index", "sign")

    def __init__(self, sign: str, index: Index, by: int) -> None:
        self.sign = sign
        self.index = index
        self.by = by
        self.free: int = index.free
        low, high = index.bounds
        self.bounds = (low // by, high // by) if sign == "//" else (0, by - 1)

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is Part
            and (self.sign, self.by) == (other.sign, other.by)
            and self.index == other.index
        )

    def __hash__(self) -> int:
        return hash((self.sign, self.by, self.index))

    def __repr__(self) -> str:
        return f"({self.index} {self.sign} {self.by})"


class Read:
    """A whole number that a program computes, kept within [0, size)."""

    __slots__ = ("bounds", "expr", "free")

    def __init__(self, expr: Any, size: int) -> None:
        self.expr = expr
        self.free = expr.free
        self.bounds = (0, max(size - 1, 0))

    def __eq__(self, other: object) -> bool:
        return type(other) is Read and self.expr is other.expr and self.bounds == other.bounds

    def __hash__(self) -> int:
        return hash((id(self.expr), self.bounds))

    def __repr__(self) -> str:
        return f"<{self.expr}>"


Atom = Axis | Part | Read


class Index:
    """const + sum of coefficient * atom; never changed once made."""

    __slots__ = ("_bounds", "_hash", "const", "free", "terms")

    def __init__(self, terms: dict[Atom, int], const: int) -> None:
        self.terms = terms
        self.const = const
        self._hash: int | None = None
        self._bounds: tuple[int, int] | None = None
        free = 0
        for atom in terms:
            free |= atom.free
        self.free: int = free

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest value that it can have."""
        if self._bounds is None:
            low = high = self.const
            for atom, c in self.terms.items():
                a, b = atom.bounds
                if c >= 0:
                    low, high = low + c * a, high + c * b
                else:
                    low, high = low + c * b, high + c * a
            self._bounds = low, high
        return self._bounds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.const == other.const and self.terms == other.terms

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self.const, frozenset(self.terms.items())))
        return self._hash

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return self if other == 0 else Index(self.terms, self.const + other)
        if not other.terms:
            return self + other.const
        if not self.terms:
            return other + self.const
        terms = dict(self.terms)
        for atom, c in other.terms.items():
            total = terms.get(atom, 0) + c
            if total:
                terms[atom] = total
            else:
                terms.pop(atom, None)
        return Index(terms, self.const + other.const)

    def __sub__(self, other: Index | int) -> Index:
        return self + (-other if isinstance(other, int) else other * -1)

    def __mul__(self, factor: int) -> Index:
        if factor == 1:
            return self
        if factor == 0:
            return Index({}, 0)
        return Index({a: c * factor for a, c in self.terms.items()}, self.const * factor)

    def __floordiv__(self, by: int) -> Index:
        if by == 1:
            return self
        whole, rest = self._split(by)
        low, high = rest.bounds
        if low // by == high // by:
            return whole + low // by
        if len(rest.terms) == 1 and not rest.const:
            ((atom, c),) = rest.terms.items()
            if c == 1 and isinstance(atom, Part) and atom.sign == "//":
                return whole + atom.index // (atom.by * by)
        return whole + _of(Part("//", rest, by))

    def __mod__(self, by: int) -> Index:
        if by == 1:
            return Index({}, 0)
        _, rest = self._split(by)
        low, high = rest.bounds
        if low // by == high // by:
            return rest - low // by * by
        return _of(Part("%", rest, by))

    def _split(self, by: int) -> tuple[Index, Index]:
        """(q, r) with self = q * by + r, where r holds what `by` does not divide."""
        whole: dict[Atom, int] = {}
        rest: dict[Atom, int] = {}
        for atom, c in self.terms.items():
            (whole if c % by == 0 else rest)[atom] = c
        quotient, remainder = divmod(self.const, by)
        return Index({a: c // by for a, c in whole.items()}, quotient), Index(rest, remainder)

    def joined(self) -> Index:
        """The same with n * (x // n) + x % n as x, and n * (x // n % m) + x % n as x % (n m)."""
        parts = [(a, c) for a, c in self.terms.items() if isinstance(a, Part)]
        for atom, c in parts:
            if atom.sign != "%":
                continue
            above = atom.index // atom.by
            for other, d in parts:
                if d != c * atom.by:
                    continue
                if above.terms == {other: 1} and not above.const:
                    whole = atom.index
                elif other.sign == "%" and other.index == above:
                    whole = atom.index % (atom.by * other.by)
                else:
                    continue
                rest = {a: n for a, n in self.terms.items() if a not in (atom, other)}
                return (Index(rest, self.const) + whole * c).joined()
        return self

    def split(self, axis: Axis) -> tuple[Index, Index] | None:
        """(what does not depend on an axis, what depends on it and on nothing else); None where
        the two can't be told apart."""
        inner = {a: c for a, c in self.terms.items() if a.free & axis.bit}
        if any(a.free != axis.bit for a in inner):
            return None
        rest = {a: c for a, c in self.terms.items() if a not in inner}
        return Index(rest, self.const), Index(inner, 0)

    def replaced(self, axis: Axis, by: Index) -> Index:
        """This index with another in the place of an axis; what is read must not depend on it."""
        if not self.free & axis.bit:
            return self
        total = Index({}, self.const)
        for atom, c in self.terms.items():
            if atom is axis:
                part = by
            elif isinstance(atom, Part):
                inner = atom.index.replaced(axis, by)
                part = inner // atom.by if atom.sign == "//" else inner % atom.by
            else:
                assert not atom.free & axis.bit, f"{atom!r} depends on {axis!r}"
                part = _of(atom)
            total = total + part * c
        return total

    def without(self, axis: Axis) -> Index:
        """This index where an axis, of which it is a plain multiple, is at 0."""
        return Index({a: c for a, c in self.terms.items() if a is not axis}, self.const)

    def reads(self, axis: Axis) -> bool:
        """Whether a number that is read depends on an axis."""
        return any(
            a.free & axis.bit and (isinstance(a, Read) or (isinstance(a, Part) and
                                                          a.index.reads(axis)))
            for a in self.terms
        )  # fmt: skip

    def expressions(self) -> Iterator[Any]:
        """The expressions whose values the index reads, however deep they lie."""
        for atom in self.terms:
            if isinstance(atom, Read):
                yield atom.expr
            elif isinstance(atom, Part):
                yield from atom.index.expressions()

    def coefficient(self, axis: Axis) -> int | None:
        """How far one step along an axis leads; None where that differs from step to step."""
        for atom in self.terms:
            if atom is not axis and atom.free & axis.bit:
                return None
        return self.terms.get(axis, 0)

    def __repr__(self) -> str:
        if not self.terms:
            return str(self.const)
        text = ""
        for atom, c in sorted(self.terms.items(), key=lambda t: -abs(t[1])):
            sign = "-" if c < 0 else "+" if text else ""
            size = "" if abs(c) == 1 else f"{abs(c)}*"
            text += f" {sign} {size}{atom!r}" if text else f"{sign}{size}{atom!r}"
        if self.const:
            text += f" {'-' if self.const < 0 else '+'} {abs(self.const)}"
        return text


def _of(atom: Atom) -> Index:
    return Index({atom: 1}, 0)


def constant(value: int) -> Index:
    """An index that is one number."""
    return Index({}, value)


def along(axis: Axis) -> Index:
    """The index that is an axis itself; 0 where the axis has one place only."""
    return Index({axis: 1} if axis.extent != 1 else {}, 0)


def read(expr: Any, size: int) -> Index:
    """The index that an expression gives."""
    return _of(Read(expr, size))


def flatten(index: tuple[Index, ...], shape: tuple[int, ...]) -> Index:
    """The place in row-major order."""
    total = constant(0)
    for i, n in zip(index, shape, strict=True):
        total = total * n + i
    return total


def unflatten(place: Index, shape: tuple[int, ...]) -> tuple[Index, ...]:
    """The dimensions' indices of a place in row-major order."""
    if 0 in shape:  # there is no place, and nothing to divide by
        return tuple([constant(0)] * len(shape))
    result: list[Index] = []
    for i, n in enumerate(reversed(shape)):
        last = i == len(shape) - 1
        result.append(place if last else place % n)
        if not last:
            place = place // n
    return tuple(reversed(result))
