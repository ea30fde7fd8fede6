"""Forms as text: in symbols, and with numbers in their place.

2(y - t)·σ(z)(1 - σ(z))
2 × (-0.268941) × 0.731059 × 0.268941
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from ..ops import REGISTRY
from .elements import Place
from .forms import Call, Form, Leaf, Number, Power, Product, Rest, Sum, evaluate, raised

SUM, PRODUCT, POWER, ATOM = 1, 2, 3, 4
"""How tightly things bind."""


class Signs(NamedTuple):
    """How signs are written: times between numbers, dot between symbols, names of functions."""

    times: str
    dot: str
    functions: dict[str, str]
    powers: dict[str, str]


UNICODE = Signs("×", "·", {"sigmoid": "σ({x})", "sqrt": "√({x})"}, {"2": "²", "3": "³"})
ASCII = Signs("*", "*", {}, {})


def number(value: float, digits: int = 6) -> str:
    """A number with so many digits behind the point; as it is where it is whole or short."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    if 10.0 ** -(digits - 2) <= abs(value) < 1e6:
        text = f"{value:.{digits}f}"
        short = f"{value:.{digits}g}"
        return short if float(short) == value and len(short) < len(text) else text
    return f"{value:.{digits - 3}e}"


class Symbols:
    """Writes a form with the names of its leaves."""

    def __init__(self, name: Callable[[Place], str], signs: Signs = UNICODE) -> None:
        self.name = name
        self.signs = signs

    def text(self, form: Form, least: int = SUM) -> str:
        """A form, in brackets where it binds less tightly than its place asks for."""
        text, binds = self.plain(form)
        return f"({text})" if binds < least else text

    def plain(self, form: Form) -> tuple[str, int]:
        """(a form, how tightly it binds)."""
        if isinstance(form, Number):
            return number(form.value), ATOM if form.value >= 0 else SUM
        if isinstance(form, Leaf):
            return self.name(form.place), ATOM
        if isinstance(form, Rest):
            return self.rest(form), ATOM
        if isinstance(form, Sum):
            return self.sum(form), SUM
        if isinstance(form, Product):
            return self.product(form)
        if isinstance(form, Power):
            if form.exponent < 0:
                return self.product(Product(1.0, (form,)))
            return self.power(form.base, form.exponent), POWER
        return self.call(form)

    def rest(self, form: Rest) -> str:
        """Terms that are left out."""
        return f"{form.count} more"

    def sum(self, form: Sum) -> str:
        """Terms with their signs, one that is added first."""
        terms = list(form.terms)
        first = next((i for i, t in enumerate(terms) if not is_negative(t)), 0)
        terms.insert(0, terms.pop(first))
        text = self.text(terms[0], PRODUCT if first else SUM)
        for t in terms[1:]:
            if is_negative(t):
                text += f" - {self.text(without_sign(t), PRODUCT)}"
            else:
                text += f" + {self.text(t, PRODUCT)}"
        return text

    def product(self, form: Product) -> tuple[str, int]:
        """Factors side by side, and what is divided by behind a line."""
        above = [f for f in form.factors if not _divides(f)]
        below = [f for f in form.factors if isinstance(f, Power) and f.exponent < 0]
        sign = "-" if form.number < 0 else ""
        text = self.factors(abs(form.number), above)
        if below:
            under = self.factors(1.0, [raised(f.base, -f.exponent) for f in below])
            text += f" / {under}" if len(below) == 1 else f" / ({under})"
        return sign + text, PRODUCT if not sign else SUM

    def factors(self, value: float, factors: list[Form]) -> str:
        """A number and factors, without a dot before a bracket."""
        parts = [number(value)] if value != 1.0 or not factors else []
        parts += [self.text(f, POWER) for f in factors]
        text = parts[0]
        for p in parts[1:]:
            text += p if p.startswith("(") else f"{self.signs.dot}{p}"
        return text

    def power(self, base: Form, exponent: float) -> str:
        """A base with its exponent above it."""
        e = number(exponent)
        return self.text(base, ATOM) + self.signs.powers.get(e, f"^{e}")

    def call(self, form: Call) -> tuple[str, int]:
        """A function, as its op is written."""
        op = REGISTRY.get(form.name)
        if form.name == "pow":
            return "^".join(self.text(a, ATOM) for a in form.args), POWER
        listed = [self.text(a) for a in form.args]
        if op is None or op.variadic or len(op.input_names) != len(listed):
            return f"{form.name}({', '.join(listed)})", ATOM
        pattern = self.signs.functions.get(form.name, op.math)
        closed = pattern.startswith("(") or (pattern.endswith((")", "|")) and " / " not in pattern)
        if not closed:
            listed = [self.text(a, POWER) for a in form.args]
        text = pattern.format(**dict(zip(op.input_names, listed, strict=True)))
        return text, ATOM if closed else SUM


class Numbers(Symbols):
    """Writes a form with the values of its leaves: a step of a calculation.

    What stands in a factor is worked out; the outermost sum or product is written out.
    """

    def __init__(
        self, at: Callable[[Place], float], signs: Signs = UNICODE, digits: int = 6
    ) -> None:
        super().__init__(lambda place: number(float(at(place)), digits), signs)
        self.at = at
        self.digits = digits

    def plain(self, form: Form) -> tuple[str, int]:
        """(a form, how tightly it binds): a negative number binds as a sum does."""
        if isinstance(form, Leaf):
            return self.worked(form)
        return super().plain(form)

    def rest(self, form: Rest) -> str:
        """What they add up to."""
        text, binds = self.worked(Number(form.value))
        return text if binds > SUM else f"({text})"

    def worked(self, form: Form) -> tuple[str, int]:
        """A form as the one number that it is."""
        value = evaluate(form, self.at)
        return number(value, self.digits), SUM if value < 0 else ATOM

    def call(self, form: Call) -> tuple[str, int]:
        """A sigmoid as what is worked out for it; other functions by their names."""
        if form.name != "sigmoid":
            return super().call(form)
        return f"1 / (1 + e^{exponent_of(form, self.at, self.digits)})", PRODUCT

    def factors(self, value: float, factors: list[Form]) -> str:
        """Numbers with signs between them."""
        parts = [number(value, self.digits)] if value != 1.0 or not factors else []
        for f in factors:
            text, binds = self.worked(f)
            parts.append(text if binds > SUM else f"({text})")
        return f" {self.signs.times} ".join(parts)


def exponent_of(form: Call, at: Callable[[Place], float], digits: int) -> str:
    """What e is raised to in a sigmoid, 1 / (1 + e^-x), without zeros that say nothing."""
    return f"{-evaluate(form.args[0], at):.{digits}g}"


def _divides(form: Form) -> bool:
    return isinstance(form, Power) and form.exponent < 0


def is_negative(form: Form) -> bool:
    """Whether a term is written with a minus before it."""
    return isinstance(form, (Number, Product)) and (
        form.value if isinstance(form, Number) else form.number
    ) < 0  # fmt: skip


def without_sign(form: Form) -> Form:
    """A negative term without its minus."""
    if isinstance(form, Number):
        return Number(-form.value)
    assert isinstance(form, Product)
    if form.number == -1.0 and len(form.factors) == 1:
        return form.factors[0]
    return Product(-form.number, form.factors)
