"""Expressions in a normal form: the way a reader would write them.

    form    := number | leaf | sum | product | power | call | rest
    sum     := (sign form)*         flat; numbers added up
    product := number, form*        flat; numbers multiplied; equal factors are a power
    power   := form ^ number
    call    := name, form*          a function, such as exp
    rest    := count, number        terms of a long sum that are not written

Rules are written for machines: g * (y * -2 + 2) is what a reader knows as 2 g (1 - y).  Nothing is
cancelled and nothing is multiplied out, so a form has the value of its expression, but for the
rounding of a sum in another order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compiler.loops.expr import Expr
from ..ops import REGISTRY
from .elements import Place


@dataclass(frozen=True)
class Number:
    """A number that stands in the rule or in the program."""

    value: float


@dataclass(frozen=True)
class Leaf:
    """A number of the program that has a name."""

    place: Place


@dataclass(frozen=True)
class Sum:
    """Terms added up."""

    terms: tuple[Form, ...]


@dataclass(frozen=True)
class Product:
    """A number times factors."""

    number: float
    factors: tuple[Form, ...]


@dataclass(frozen=True)
class Power:
    """A base to a power that is one number; 1/x is x to the power of -1."""

    base: Form
    exponent: float


@dataclass(frozen=True)
class Call:
    """A function of forms, by the name of its op."""

    name: str
    args: tuple[Form, ...]


@dataclass(frozen=True)
class Rest:
    """So many terms that are left out, and what they add up to."""

    count: int
    value: float


DRAWN = frozenset({"uniform", "normal", "permutation"})
"""Ops whose results are given: how bits are mixed explains nothing."""

Form = Number | Leaf | Sum | Product | Power | Call | Rest
ZERO, ONE = Number(0.0), Number(1.0)


class Forming:
    """Brings expressions into forms.

    inside: the expression of a place that has no name, or None where it has one.  value: what an
    expression is; it decides which branch of a case is written.
    """

    def __init__(
        self, inside: Callable[[Place], Expr | None], value: Callable[[Expr], Any]
    ) -> None:
        self.inside = inside
        self.value = value
        self.known: dict[int, tuple[Expr, Form]] = {}

    def form(self, e: Expr) -> Form:
        """The form of an expression."""
        found = self.known.get(id(e))
        if found is None:
            found = self.known[id(e)] = (e, self.made(e))
        return found[1]

    def made(self, e: Expr) -> Form:
        """The same, not looked up."""
        if e.op == "const":
            return Number(float(e.at))
        if e.op == "load":
            if e.args and not self.value(e.args[0]):
                return ZERO
            place = Place(e.at[0], tuple(i.const for i in e.at[1]))
            drawn = place.node.op is not None and place.node.op.name in DRAWN
            inner = None if drawn else self.inside(place)
            return Leaf(place) if inner is None else self.form(inner)
        if e.op == "select":
            return self.form(e.args[1] if self.value(e.args[0]) else e.args[2])
        args = [self.form(a) for a in e.args]
        if e.op == "cast":
            return args[0]
        if e.op == "total" and e.at == "sum":
            return added(args)
        if e.op == "total":
            return Call({"prod": "product"}.get(e.at, e.at), tuple(args))
        make = ARITHMETIC.get(e.op)
        if make is not None:
            return make(*args)
        return Call(e.op, tuple(args))


# ---------------------------------------------------------------- arithmetic


def added(terms: list[Form]) -> Form:
    """A sum: flat, its numbers added up and last unless it begins with one."""
    flat = [t for term in terms for t in (term.terms if isinstance(term, Sum) else (term,))]
    number = sum(t.value for t in flat if isinstance(t, Number))
    first = bool(flat) and isinstance(flat[0], Number)
    rest: list[Form] = [t for t in flat if not isinstance(t, Number)]
    if number:
        rest.insert(0 if first else len(rest), Number(number))
    if not rest:
        return ZERO
    return rest[0] if len(rest) == 1 else Sum(tuple(rest))


def multiplied(*parts: Form) -> Form:
    """A product: flat, its numbers multiplied, equal factors as a power."""
    number = 1.0
    powers: dict[tuple[Form, bool], float] = {}  # x times 1/x is left as it is
    for part in parts:
        for base, exponent in _factors(part):
            if isinstance(base, Number):
                number *= base.value**exponent
            else:
                key = base, exponent > 0
                powers[key] = powers.get(key, 0.0) + exponent
    if number == 0.0:
        return ZERO
    factors = tuple(raised(base, exponent) for (base, _), exponent in powers.items())
    if not factors:
        return Number(number)
    return factors[0] if number == 1.0 and len(factors) == 1 else Product(number, factors)


def _factors(form: Form) -> Iterator[tuple[Form, float]]:
    if isinstance(form, Product):
        yield Number(form.number), 1.0
        for f in form.factors:
            yield from _factors(f)
    elif isinstance(form, Power):
        yield form.base, form.exponent
    else:
        yield form, 1.0


def raised(base: Form, exponent: float) -> Form:
    """A power."""
    if isinstance(base, Number) and (base.value > 0 or exponent == int(exponent) > 0):
        return Number(base.value**exponent)
    return Power(base, exponent) if exponent != 1.0 else base


def negative(form: Form) -> Form:
    """-x; of a sum, every term."""
    if isinstance(form, Sum):
        return Sum(tuple(negative(t) for t in form.terms))
    return multiplied(Number(-1.0), form)


def _power(base: Form, exponent: Form) -> Form:
    if isinstance(exponent, Number):
        return raised(base, exponent.value)
    return Call("pow", (base, exponent))


def _fma(a: Form, b: Form, c: Form) -> Form:
    return added([multiplied(a, b), c])


ARITHMETIC: dict[str, Callable[..., Form]] = {
    "add": lambda a, b: added([a, b]),
    "sub": lambda a, b: added([a, negative(b)]),
    "neg": negative,
    "mul": multiplied,
    "div": lambda a, b: multiplied(a, raised(b, -1.0)),
    "pow": _power,
    "sqrt": lambda x: Call("sqrt", (x,)),
    "rsqrt": lambda x: raised(Call("sqrt", (x,)), -1.0),
    "fma": _fma,
}


# ---------------------------------------------------------------- numbers


def evaluate(form: Form, at: Callable[[Place], float]) -> float:
    """The number that a form is, from those of its leaves."""
    if isinstance(form, (Number, Rest)):
        return form.value
    if isinstance(form, Leaf):
        return float(at(form.place))
    args = [evaluate(f, at) for f in children(form)]
    if isinstance(form, Sum):
        return math.fsum(args) if all(map(math.isfinite, args)) else sum(args)
    if isinstance(form, Product):
        return form.number * math.prod(args)
    if isinstance(form, Power):
        return float(np.float64(args[0]) ** form.exponent)
    if form.name in TOTALS:
        return float(TOTALS[form.name](args))
    return float(REGISTRY[form.name].forward(*map(np.float64, args)))


TOTALS: dict[str, Callable[[list[float]], float]] = {
    "max": np.max, "min": np.min, "product": np.prod,
}  # fmt: skip


def shortened(form: Form, at: Callable[[Place], float], most: int, kept: int) -> Form:
    """A form; of a sum with more terms than `most`, the largest few in their order."""
    if not isinstance(form, Sum) or len(form.terms) <= most:
        return form
    values = [evaluate(t, at) for t in form.terms]
    largest = set(sorted(range(len(values)), key=lambda i: -abs(values[i]))[:kept])
    left = math.fsum(v for i, v in enumerate(values) if i not in largest)
    terms = [t for i, t in enumerate(form.terms) if i in largest]
    return Sum((*terms, Rest(len(values) - kept, left)))


def leaves(form: Form) -> Iterator[Place]:
    """The named numbers in a form, from left to right."""
    if isinstance(form, Leaf):
        yield form.place
        return
    for part in children(form):
        yield from leaves(part)


def children(form: Form) -> tuple[Form, ...]:
    """The forms directly below one."""
    if isinstance(form, Sum):
        return form.terms
    if isinstance(form, Product):
        return form.factors
    if isinstance(form, Power):
        return (form.base,)
    return form.args if isinstance(form, Call) else ()
