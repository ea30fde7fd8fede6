"""Forms as MathML, which browsers draw and read aloud by themselves.

A long sum is several formulas side by side, so that lines can break between its terms; the whole
line in plain letters stands in `alttext` and once more as text to be copied.
"""

from __future__ import annotations

import math
from html import escape

from ..derivation.elements import Place
from ..derivation.forms import Call, Form, Leaf, Number, Power, Product, Rest, Sum, raised
from ..derivation.naming import SHORT, numbered
from ..derivation.parts import Derivation, Line, Name
from ..derivation.text import Text
from ..derivation.writing import ATOM, POWER, PRODUCT, SUM, number

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


def mi(letter: str) -> str:
    return f"<mi>{escape(letter)}</mi>"


def mo(sign: str) -> str:
    return f"<mo>{escape(sign)}</mo>"


def between(sign: str) -> str:
    """A sign that begins a formula and still stands between two sides."""
    return f'<mo form="infix">{escape(sign)}</mo>'


def key_of(name: Name, place: Place) -> str:
    """What links a factor on the page with its line in the picture of the network."""
    return "-".join([name.letter, str(name.layer or 0), name.kind or "value",
                     *map(str, place.at[-2:])])  # fmt: skip


class Maths:
    """Writes forms in symbols, or with numbers in their place.

    linked: weights carry the key of their line in the picture, and can be reached by Tab.
    """

    def __init__(
        self, d: Derivation, *, numbers: bool, digits: int = 6, linked: bool = False
    ) -> None:
        self.d, self.numbers, self.digits, self.linked = d, numbers, digits, linked
        self.alone = len(d.activations) == 1

    # ------------------------------------------------------------ names

    def name(self, place: Place) -> str:
        """The name of a place."""
        name = self.d.names[id(place.node)]
        indices = numbered(place)
        if name.kind == "slope":
            function = self.d.activations[name.layer or 0]
            inside = self.plain(Name("z", name.layer), indices)
            letter = mi(SHORT.get(function, function))
            return f"<msup>{letter}<mo>&#x2032;</mo></msup>{mo('(')}{inside}{mo(')')}"
        if name.kind == "gradient" and name.letter == "z" and not self.alone:
            return self.plain(Name("\u03b4", name.layer), indices)
        plain = self.plain(name._replace(kind=""), indices)
        if name.kind == "gradient":
            d = mi("\u2202")
            return f"<mfrac><mrow>{d}{mi('L')}</mrow><mrow>{d}{plain}</mrow></mfrac>"
        return plain

    def plain(self, name: Name, indices: tuple[int, ...]) -> str:
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

    def terms(self, form: Form) -> list[str]:
        """A form as pieces between which a line may break."""
        if not isinstance(form, Sum):
            return [self.inside(form)]
        pieces = []
        for k, term in enumerate(form.terms):
            sign, positive = _signed(term)
            body = self.inside(positive, PRODUCT)
            if k or sign:
                body = between(MINUS if sign else "+") + body
            pieces.append(body)
        return pieces

    def inside(self, form: Form, least: int = SUM) -> str:
        """A form, in brackets where it binds less tightly than its place asks for."""
        text, binds = self.written(form)
        return f"{mo('(')}{text}{mo(')')}" if binds < least else text

    def written(self, form: Form) -> tuple[str, int]:
        """(a form, how tightly it binds)."""
        if isinstance(form, Leaf):
            return self.leaf(form)
        if isinstance(form, Number):
            return mn(form.value, self.digits), ATOM if form.value >= 0 else SUM
        if isinstance(form, Rest):
            if not self.numbers:
                return f"<mtext>{form.count} more</mtext>", ATOM
            return mn(form.value, self.digits), ATOM if form.value >= 0 else SUM
        if isinstance(form, Sum):
            return "".join(self.terms(form)), SUM
        if isinstance(form, Product):
            return self.product(form)
        if isinstance(form, Power):
            if form.exponent < 0:
                return self.product(Product(1.0, (form,)))
            base = f"<mrow>{self.inside(form.base, ATOM)}</mrow>"
            return f"<msup>{base}{mn(form.exponent)}</msup>", POWER
        return self.call(form)

    def leaf(self, form: Leaf) -> tuple[str, int]:
        """A named number; it carries what links it with the picture."""
        value = float(self.d.at(form.place)) if self.numbers else 0.0
        body = mn(value, self.digits) if self.numbers else self.name(form.place)
        name = self.d.names[id(form.place.node)]
        if self.linked and name.letter == "W" and not name.kind:
            key = escape(key_of(name, form.place))
            stop = ' tabindex="0"' if not self.numbers else ""
            body = f'<mrow data-key="{key}"{stop}>{body}</mrow>'
        return body, ATOM if value >= 0 else SUM

    def product(self, form: Product) -> tuple[str, int]:
        """Factors side by side; what is divided by, below a line."""
        above = [f for f in form.factors if not _divides(f)]
        below = [f for f in form.factors if _divides(f)]
        text = self.factors(abs(form.number), above)
        if below:
            under = [raised(f.base, -f.exponent) for f in below if isinstance(f, Power)]
            bottom = self.factors(1.0, list(under))
            text = f"<mfrac><mrow>{text}</mrow><mrow>{bottom}</mrow></mfrac>"
        if form.number < 0:
            return mo(MINUS) + text, SUM
        return text, PRODUCT

    def factors(self, value: float, factors: list[Form]) -> str:
        """A number and factors with signs between them."""
        parts = [mn(value, self.digits)] if value != 1.0 or not factors else []
        alone = not parts and len(factors) == 1
        parts += [self.inside(f, SUM if alone else POWER) for f in factors]
        return mo("\u00d7" if self.numbers else "\u22c5").join(parts)

    def call(self, form: Call) -> tuple[str, int]:
        """A function."""
        args = mo(",").join(self.inside(a) for a in form.args)
        if form.name == "sqrt":
            return f"<msqrt>{args}</msqrt>", ATOM
        if form.name == "exp":
            return f"<msup>{mi('e')}<mrow>{args}</mrow></msup>", POWER
        name = {"log": "ln", "sigmoid": "\u03c3", "maximum": "max"}.get(form.name, form.name)
        return f"{mi(name)}{mo('(')}{args}{mo(')')}", ATOM


def _divides(form: Form) -> bool:
    return isinstance(form, Power) and form.exponent < 0


def _signed(term: Form) -> tuple[bool, Form]:
    """(whether it is subtracted, what then is added)."""
    if isinstance(term, Number) and term.value < 0:
        return True, Number(-term.value)
    if isinstance(term, Rest) and term.value < 0:
        return False, term
    if isinstance(term, Product) and term.number < 0:
        if term.number == -1.0 and len(term.factors) == 1:
            return True, term.factors[0]
        return True, Product(-term.number, term.factors)
    return False, term


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
            pieces.append(self.symbols.inside(Leaf(line.what)))
        if line.symbols is not None:
            pieces += _equal(self.symbols.terms(line.symbols))
        if line.numbers is not None and numbers:
            pieces += _equal(self.values.terms(line.numbers))
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
    return [between("=") + pieces[0], *pieces[1:]]
