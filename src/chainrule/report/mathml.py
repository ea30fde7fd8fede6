"""Forms as MathML, which browsers draw and read aloud by themselves.

A long sum is several formulas side by side, so that lines can break between its terms; the whole
line in plain letters stands in `alttext` and once more as text to be copied.
"""

from __future__ import annotations

import math

from ..derivation.elements import Place
from ..derivation.forms import Call, Form, Leaf, Product, Sum
from ..derivation.mathml import MathML, infix, mi, mo
from ..derivation.naming import SHORT, numbered
from ..derivation.parts import Derivation, Line, Name
from ..derivation.text import Text
from ..derivation.writing import (
    ATOM,
    POWER,
    PRODUCT,
    SUM,
    is_negative,
    number,
    without_sign,
)
from ..markup import escape

LONG = 3
"""Factors that stay on one line."""
MINUS = "\u2212"
HAT = '<mover accent="true"><mi>y</mi><mo>^</mo></mover>'


def mn(value: float, digits: int = 6) -> str:
    """A number."""
    text = number(value, digits)
    if not math.isfinite(value):
        return f"<mtext>{text}</mtext>"
    mantissa, _, exponent = text.replace("-", MINUS).partition("e")
    if not exponent:
        return f"<mn>{mantissa}</mn>"
    exponent = exponent.replace(f"{MINUS}0", MINUS)
    power = f"<msup><mn>10</mn><mn>{exponent}</mn></msup>"
    return f"<mrow><mn>{mantissa}</mn><mo>\u00d7</mo>{power}</mrow>"


def key_of(name: Name, place: Place) -> str:
    """What links a factor on the page with its line in the picture of the network."""
    return "-".join([name.letter, str(name.layer or 0), name.kind or "value",
                     *map(str, place.at[-2:])])  # fmt: skip


class Maths(MathML):
    """Writes forms in symbols, or with numbers in their place, in the notation of the article.

    linked: weights carry the key of their line in the picture, and can be reached by Tab.
    """

    minus, times = MINUS, "\u22c5"

    def __init__(
        self, d: Derivation, *, numbers: bool, digits: int = 6, linked: bool = False
    ) -> None:
        super().__init__(str, (lambda place: float(d.at(place))) if numbers else None, digits)
        self.d, self.linked = d, linked
        self.alone = len(d.activations) == 1

    def number(self, value: float) -> str:
        """A number; powers of ten are written as such."""
        return mn(value, self.digits)

    def more(self, count: int) -> str:
        """So many terms that are left out."""
        return f"<mtext>{count} more</mtext>"

    # ------------------------------------------------------------ names

    def name(self, place: Place) -> str:
        """The name of a place."""
        name = self.d.names[id(place.node)]
        indices = numbered(place)
        if name.kind == "slope":
            function = self.d.activations[name.layer or 0]
            inside = self.letter(Name("z", name.layer), indices)
            letter = mi(SHORT.get(function, function))
            return f"<msup>{letter}<mo>&#x2032;</mo></msup>{mo('(')}{inside}{mo(')')}"
        if name.kind == "gradient" and name.letter == "z" and not self.alone:
            return self.letter(Name("\u03b4", name.layer), indices)
        plain = self.letter(name._replace(kind=""), indices)
        if name.kind == "gradient":
            d = mi("\u2202")
            return f"<mfrac><mrow>{d}{mi('L')}</mrow><mrow>{d}{plain}</mrow></mfrac>"
        return plain

    def letter(self, name: Name, indices: tuple[int, ...]) -> str:
        """A letter, its layer above, its unit below."""
        letter = name.letter
        body = HAT if letter == "ŷ" else mi(letter)
        layer = None if self.alone else name.layer
        above = "" if layer is None else f"<mn>{layer}</mn>"
        below = f"<mtext>{','.join(map(str, indices))}</mtext>" if indices else ""
        if above and below:
            return f"<msubsup>{body}{below}{above}</msubsup>"
        if above or below:
            tag = "msup" if above else "msub"
            return f"<{tag}>{body}{above}{below}</{tag}>"
        return body

    # ------------------------------------------------------------ forms

    def lines(self, form: Form) -> list[str]:
        """A form as pieces between which a line may break: terms, or the factors of a long row."""
        long = isinstance(form, Product) and len(form.factors) > LONG
        return self.pieces(form) if long or isinstance(form, Sum) else [self.markup(form)]

    def terms(self, form: Sum) -> list[str]:
        """The terms with their signs, in the order in which they stand."""
        pieces = []
        for k, term in enumerate(form.terms):
            negative = is_negative(term)
            body = self.markup(without_sign(term) if negative else term, PRODUCT)
            if k or negative:
                body = infix(MINUS if negative else "+") + body
            pieces.append(body)
        return pieces

    def leaf(self, form: Form) -> tuple[str, int]:
        """A named number; it carries what links it with the picture."""
        assert isinstance(form, Leaf)
        value = self.at(form.place) if self.at else 0.0
        body = self.number(value) if self.at else self.name(form.place)
        name = self.d.names[id(form.place.node)]
        if self.linked and name.letter == "W" and not name.kind:
            key = escape(key_of(name, form.place))
            stop = ' tabindex="0"' if not self.at else ""
            body = f'<mrow data-key="{key}"{stop}>{body}</mrow>'
        return body, ATOM if value >= 0 else SUM

    def multiplied(self, value: float, factors: list[Form]) -> list[str]:
        """A number, unless it is 1, and factors, of which one alone needs no brackets."""
        parts = [self.number(value)] if value != 1.0 or not factors else []
        alone = not parts and len(factors) == 1
        return parts + [self.markup(f, SUM if alone else POWER) for f in factors]

    def call(self, form: Call) -> tuple[str, int]:
        """A function."""
        args = mo(",").join(self.markup(a) for a in form.args)
        if form.name == "sqrt":
            return f"<msqrt>{args}</msqrt>", ATOM
        if form.name == "exp":
            return f"<msup>{mi('e')}<mrow>{args}</mrow></msup>", POWER
        name = {"log": "ln", "sigmoid": "\u03c3", "maximum": "max"}.get(form.name, form.name)
        return f"{mi(name)}{mo('(')}{args}{mo(')')}", ATOM


class Formulas:
    """Writes the lines of a derivation."""

    def __init__(self, d: Derivation, text: Text, *, linked: bool = False) -> None:
        self.text = text
        self.symbols = Maths(d, numbers=False, digits=text.digits, linked=linked)
        self.values = Maths(d, numbers=True, digits=text.digits, linked=linked)

    def line(self, line: Line) -> dict[str, object]:
        """name, note, and pieces of MathML between which the line may break."""
        name, symbols, numbers, value, note = self.text.row(line)
        pieces: list[str] = []
        if not isinstance(line.what, str):
            pieces.append(self.symbols.markup(Leaf(line.what)))
        if line.symbols is not None:
            pieces += _equal(self.symbols.lines(line.symbols))
        if line.numbers is not None and numbers:
            pieces += _equal(self.values.lines(line.numbers))
        if line.value is not None:
            shown = mn(line.value, self.text.digits)
            pieces += _equal([shown]) if pieces else [shown]
        whole = " = ".join(t for t in (name, symbols, numbers, value) if t)
        made = [f"<math>{p}</math>" for p in pieces]
        if made:
            made[0] = made[0].replace("<math>", f'<math alttext="{escape(whole)}">', 1)
        words = name if isinstance(line.what, str) else ""
        return {"name": words, "note": note, "pieces": made, "text": whole}


def _equal(pieces: list[str]) -> list[str]:
    return [infix("=") + pieces[0], *pieces[1:]]
