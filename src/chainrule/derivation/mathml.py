"""Forms as MathML: what a browser sets as a formula and a screen reader speaks.

Only mrow, mi, mn, mo, msub, msup and mfrac are used, which all browsers set alike; every text is
escaped, so a name from the user's program stays a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..markup import escape
from ..ops import REGISTRY
from .elements import Place
from .forms import Call, Form, Leaf, Number, Power, Product, Rest, Sum, evaluate, raised
from .writing import ATOM, POWER, PRODUCT, SUM, exponent_of, is_negative, number, without_sign

INDEXED = re.compile(r"(.+)\[([-\d,]+)\](′?)", re.S)
PATTERN = re.compile(r"\{(\w+)\}")
PARTIAL = "∂L/∂"


def mi(text: str) -> str:
    """A name."""
    return f"<mi>{escape(text)}</mi>"


def mn(value: float, digits: int = 6) -> str:
    """A number; what is negative is a row with its sign."""
    return _signed(number(value, digits))


def _signed(text: str) -> str:
    if text.startswith("-"):
        return f"<mrow><mo>-</mo><mn>{escape(text[1:])}</mn></mrow>"
    return f"<mn>{escape(text)}</mn>"


def mo(text: str) -> str:
    """A sign."""
    return f"<mo>{escape(text)}</mo>"


def infix(text: str) -> str:
    """A sign between two things, the first of which stands before this row."""
    return f'<mo form="infix">{escape(text)}</mo>'


def mrow(*parts: str) -> str:
    """Parts in a row."""
    return f"<mrow>{''.join(parts)}</mrow>"


def name(text: str) -> str:
    """A name with what is written around it: ∂L/∂fc1[3,7] as a fraction and indices."""
    if text.startswith(PARTIAL):
        below = mrow(mo("∂"), name(text[len(PARTIAL) :]))
        return f"<mfrac>{mrow(mo('∂'), mi('L'))}{below}</mfrac>"
    found = INDEXED.fullmatch(text)
    if found is None:
        return mi(text)
    letter, index, prime = found.groups()
    return f"<msub>{mi(letter + prime)}<mn>{escape(index)}</mn></msub>"


class MathML:
    """Writes a form with the names of its leaves, or, given what they are, with their numbers.

    A step in numbers is written as in text: what stands in a factor is worked out.
    """

    minus, times = "-", "·"

    def __init__(
        self, label: Callable[[Place], str], at: Callable[[Place], float] | None = None,
        digits: int = 6,
    ) -> None:  # fmt: skip
        self.label, self.at, self.digits = label, at, digits

    def number(self, value: float) -> str:
        """A number as it is shown."""
        return mn(value, self.digits)

    def more(self, count: int) -> str:
        """So many terms that are left out."""
        return mrow(mn(count), mi("more"))

    def markup(self, form: Form, least: int = SUM) -> str:
        """A form, in brackets where it binds less tightly than its place asks for."""
        text, binds = self.plain(form)
        return mrow(mo("("), text, mo(")")) if binds < least else text

    def plain(self, form: Form) -> tuple[str, int]:
        """(a form, how tightly it binds)."""
        if isinstance(form, Leaf):
            return self.leaf(form)
        if isinstance(form, Rest) and self.at is None:
            return self.more(form.count), ATOM
        if isinstance(form, (Number, Rest)):
            return self.number(form.value), ATOM if form.value >= 0 else SUM
        if isinstance(form, Sum):
            return self.sum(form), SUM
        if isinstance(form, Product):
            return self.product(form)
        if isinstance(form, Power):
            if form.exponent < 0:
                return self.product(Product(1.0, (form,)))
            base = self.markup(form.base, ATOM)
            return f"<msup>{base}{self.number(form.exponent)}</msup>", POWER
        return self.call(form)

    def leaf(self, form: Form) -> tuple[str, int]:
        """A name, or the number that a form is."""
        if self.at is None:
            assert isinstance(form, Leaf)
            return name(self.label(form.place)), ATOM
        value = evaluate(form, self.at)
        return self.number(value), SUM if value < 0 else ATOM

    def pieces(self, form: Form) -> list[str]:
        """A formula in pieces that lines can break between: its terms, or its factors."""
        if isinstance(form, Sum):
            return self.terms(form)
        if isinstance(form, Product) and len(form.factors) > 1 and form.number > 0:
            above = [f for f in form.factors if not (isinstance(f, Power) and f.exponent < 0)]
            if len(above) == len(form.factors):
                parts = self.multiplied(form.number, above)
                sign = infix(self.times if self.at is None else "×")
                return [p if not i else mrow(sign, p) for i, p in enumerate(parts)]
        return [self.markup(form)]

    def sum(self, form: Sum) -> str:
        """Terms with their signs, one that is added first."""
        return mrow(*self.terms(form))

    def terms(self, form: Sum) -> list[str]:
        """The terms, each with its sign."""
        terms = list(form.terms)
        first = next((i for i, t in enumerate(terms) if not is_negative(t)), 0)
        terms.insert(0, terms.pop(first))
        parts = [self.markup(terms[0], PRODUCT if first else SUM)]
        for t in terms[1:]:
            sign = self.minus if is_negative(t) else "+"
            parts.append(
                mrow(infix(sign), self.markup(without_sign(t) if is_negative(t) else t, PRODUCT))
            )
        return parts

    def product(self, form: Product) -> tuple[str, int]:
        """Factors side by side, and what is divided by under a line."""
        above = [f for f in form.factors if not (isinstance(f, Power) and f.exponent < 0)]
        below = [raised(f.base, -f.exponent) for f in form.factors
                 if isinstance(f, Power) and f.exponent < 0]  # fmt: skip
        text = self.factors(abs(form.number), above)
        if below:
            text = f"<mfrac>{text}{self.factors(1.0, below)}</mfrac>"
        return (mrow(mo(self.minus), text), SUM) if form.number < 0 else (text, PRODUCT)

    def factors(self, value: float, factors: list[Form]) -> str:
        """A number and factors with a sign between them."""
        parts = self.multiplied(value, factors)
        sign = mo(self.times if self.at is None else "×")
        return parts[0] if len(parts) == 1 else mrow(sign.join(parts))

    def multiplied(self, value: float, factors: list[Form]) -> list[str]:
        """A number, unless it is 1, and factors."""
        parts = [self.number(value)] if value != 1.0 or not factors else []
        for f in factors:
            if self.at is None:
                parts.append(self.markup(f, POWER))
            else:
                text, binds = self.leaf(f)
                parts.append(text if binds > SUM else mrow(mo("("), text, mo(")")))
        return parts

    def call(self, form: Call) -> tuple[str, int]:
        """A function, as its op is written."""
        op = REGISTRY.get(form.name)
        if form.name == "pow":
            base, exponent = form.args
            return f"<msup>{self.markup(base, ATOM)}{self.markup(exponent)}</msup>", POWER
        if form.name == "sigmoid" and self.at is not None:
            power = _signed(exponent_of(form, self.at, self.digits))
            below = mrow(mn(1), mo("+"), f"<msup>{mi('e')}{power}</msup>")
            return f"<mfrac>{mn(1)}{below}</mfrac>", PRODUCT
        if op is None or op.variadic or len(op.input_names) != len(form.args):
            parts = mo(",").join(self.markup(a) for a in form.args)
            return mrow(mi(form.name), mo("("), parts, mo(")")), ATOM
        closed = op.math.endswith((")", "|")) and " / " not in op.math
        given = {n: self.markup(a, SUM if closed else POWER)
                 for n, a in zip(op.input_names, form.args, strict=True)}  # fmt: skip
        pieces = PATTERN.split(op.math)
        parts_ = [given[p] if i % 2 else mi(p) for i, p in enumerate(pieces) if p]
        return mrow(*parts_), ATOM if closed else SUM
