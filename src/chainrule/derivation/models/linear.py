"""Gradients as what they are of the gradients behind them: every rule is linear in those.

A term of a gradient is factors times one gradient further on.  Following terms until none is left
gives the paths from an entry to the loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from ..elements import Place
from ..forms import (
    Call,
    Form,
    Leaf,
    Number,
    Power,
    Product,
    Rest,
    Sum,
    children,
    evaluate,
    multiplied,
)
from .program import Program


class Term(NamedTuple):
    """factor times the gradient at a place; next is None where the loss is reached."""

    factor: Form
    next: Place | None


class Path(NamedTuple):
    """The factors from an entry to the loss, the gradients on the way, and the product."""

    value: float
    factors: tuple[Form, ...]
    places: tuple[Place, ...]


class Paths:
    """All paths from places on to the loss: how many, and the largest few of each place.

    most: so many are kept of each place.  limit: no more terms than so are looked at.
    """

    def __init__(self, program: Program, *, most: int = 3, limit: int = 20_000) -> None:
        self.program = program
        self.most, self.limit = most, limit
        self.known: dict[Place, list[Term]] = {}
        self.counts: dict[Place, int] = {}
        self.best: dict[Place, list[Path]] = {}

    def terms(self, place: Place) -> list[Term]:
        """The terms of a gradient that are not 0."""
        if place not in self.known:
            at = self.program.at
            end = self.program.cancelled.form(place)
            found = [Term(end, None)] if end else self.linear(self.program.form(place))
            self.known[place] = [t for t in found if evaluate(t.factor, at) != 0.0]
        return self.known[place]

    def _is_gradient(self, place: Place) -> bool:
        return place.node in self.program.backward

    def _reaches(self, form: Form) -> bool:
        if isinstance(form, Leaf):
            return self._is_gradient(form.place)
        return any(map(self._reaches, children(form)))

    def linear(self, form: Form) -> Iterator[Term]:
        """A form as terms."""
        if isinstance(form, Leaf) and self._is_gradient(form.place):
            yield Term(Number(1.0), form.place)
        elif isinstance(form, Sum):
            for part in form.terms:
                yield from self.linear(part)
        elif isinstance(form, Product):
            through = [f for f in form.factors if self._reaches(f)]
            if len(through) != 1 or isinstance(through[0], (Call, Power)):
                yield Term(form, None)
                return
            others = [f for f in form.factors if f is not through[0]]
            for factor, following in self.linear(through[0]):
                yield Term(multiplied(Number(form.number), *others, factor), following)
        elif not isinstance(form, Rest):
            yield Term(form, None)

    # ------------------------------------------------------------ from the loss back to a place

    def explore(self, place: Place) -> bool:
        """Finds all paths from a place; False where there are too many places to look at."""
        order: list[Place] = []
        seen: set[Place] = set()
        stack: list[tuple[Place, bool]] = [(place, False)]
        looked_at = 0
        while stack:
            p, done = stack.pop()
            if done:
                order.append(p)
            elif p not in seen and p not in self.counts:
                seen.add(p)
                looked_at += len(self.terms(p))
                if looked_at > self.limit:
                    return False
                stack.append((p, True))
                stack += [(t.next, False) for t in self.terms(p) if t.next is not None]
        for p in order:
            self._settle(p)
        return True

    def _settle(self, place: Place) -> None:
        """The count and the largest paths of a place, from those of the places behind it."""
        at = self.program.at
        count, found = 0, []
        for factor, following in self.terms(place):
            value = evaluate(factor, at)
            if following is None:
                count += 1
                found.append(Path(value, (factor,), ()))
                continue
            count += self.counts[following]
            for path in self.best[following]:
                found.append(Path(value * path.value, (factor, *path.factors),
                                  (following, *path.places)))  # fmt: skip
        found.sort(key=lambda p: -abs(p.value) if math.isfinite(p.value) else -math.inf)
        self.counts[place], self.best[place] = count, found[: self.most]

    def followed(self, place: Place) -> Path:
        """The path that takes the largest term at every turn: for when there are too many."""
        at = self.program.at
        value = 1.0
        factors: list[Form] = []
        places: list[Place] = []
        while True:
            terms = self.terms(place)
            if not terms:
                return Path(0.0, tuple(factors), tuple(places))
            term = max(terms, key=lambda t: abs(evaluate(t.factor, at) * self._value(t.next)))
            value *= evaluate(term.factor, at)
            factors.append(term.factor)
            if term.next is None:
                return Path(value, tuple(factors), tuple(places))
            place = term.next
            places.append(place)

    def _value(self, place: Place | None) -> float:
        return 1.0 if place is None else self.program.at(place)

    def value(self, term: Term) -> float:
        """What a term adds to its gradient."""
        return evaluate(term.factor, self.program.at) * self._value(term.next)
