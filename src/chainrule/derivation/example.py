"""A worked example of somebody else's, recomputed line by line.

A line can be right; right for the numbers that the example has above it, which are wrong; or wrong,
and then what was done instead can sometimes be told.  Gradients that the example leaves out are
given, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np

from .. import markup
from ..errors import FormatError
from ..markup import counted
from .derive import MOST_UNITS, Deriving
from .elements import Place
from .forms import Call, Form, Product, Sum, evaluate, leaves, negative
from .naming import ASCII, Naming
from .network import Network
from .parts import Name
from .writing import number

RIGHT, CARRIED, WRONG = "right", "right for its own numbers", "wrong"
NOT_CLAIMED = "not claimed"
NEAR = 0.1
"""A number is near another if no more than this share of the whole distance is left."""


@dataclass
class Claim:
    """A line of an example, and what became of it.

    claimed: as it is written, "" for a gradient that is left out.  own: what the example's numbers
    above it give.  right: what it should be.  slip: what seems to have been done instead.
    """

    name: str
    claimed: str
    own: float
    right: float
    verdict: str
    slip: str = ""


class Claims(list[Claim]):
    """What became of every line of an example, and the gradients that it leaves out.

    In a notebook it is a table.
    """

    def __init__(self, lines: list[Claim], missing: list[str]) -> None:
        super().__init__(lines)
        self.missing = missing

    @property
    def lines(self) -> list[Claim]:
        """What is claimed."""
        return [c for c in self if c.verdict != NOT_CLAIMED]

    def summary(self) -> str:
        """How many of each."""
        count = {v: sum(c.verdict == v for c in self) for v in (RIGHT, WRONG, CARRIED)}
        text = f"{counted(sum(count.values()), 'line')}: {count[RIGHT]} right, {count[WRONG]} wrong"
        carried = count[CARRIED]
        return text + (f", {carried} right for wrong numbers above them" if carried else "")

    def _repr_html_(self) -> str:
        signs = {RIGHT: "\u2714", WRONG: "\u2716", CARRIED: "!"}
        rows = [
            (signs[c.verdict], c.name, c.claimed, number(c.own), number(c.right),
             f"{c.verdict}: {c.slip}" if c.slip else c.verdict) for c in self.lines
        ]  # fmt: skip
        head = ("", "line", "claimed", "its own numbers give", "right", "verdict")
        left = [f"<p>{markup.escape(text)}</p>" for text in self.missing]
        return markup.block("Worked example, line by line",
                            markup.table(head, rows, self.summary(), (2, 3, 4)), *left)  # fmt: skip


class Example:
    """The claims of an example about a network; in a notebook, the table of what became of them.

    yhat may be called a and the number of the last layer, as other layers are.
    """

    def __init__(self, network: Network, claims: Mapping[str, str]) -> None:
        self.network = network
        self.naming = Naming(Deriving(network).derivation("", []), ASCII)
        places = {self.naming(p): p for name in network.nodes for p in network.places(name)}
        shown = [n for n in places if n.rstrip("0123456789,[]") not in ("x", "y")]
        last = "a" if self.naming.alone else f"a{len(network.layers)}"
        places = {n.replace(ASCII.prediction, last): p for n, p in places.items()} | places
        unknown = [name for name in claims if name not in places]
        if unknown:
            raise FormatError(
                "claims about what is not there", got=", ".join(unknown),
                expected=", ".join(shown),
            )  # fmt: skip
        self.claims: dict[Place, float] = {}
        self.places = {n: places[n] for n in claims}
        self.texts = {n: _decimal(n, text) for n, text in claims.items()}
        for n, text in self.texts.items():
            self.claims[places[n]] = float(text)
        self.known: dict[Place, float] = {}

    def _repr_html_(self) -> str:
        return self.check()._repr_html_()

    def check(self) -> Claims:
        """Every claim in its order, and the gradients of parameters that are left out."""
        lines = [self.checked(name, text) for name, text in self.texts.items()]
        names = self.left_out()
        for places in names.values():
            lines += [Claim(self.naming(p), "", self.computed(p), self.network.at(p), NOT_CLAIMED)
                      for p in places]  # fmt: skip
        return Claims(lines, [self.missing(*item) for item in names.items()])

    def left_out(self) -> dict[Name, list[Place]]:
        """The gradients of parameters that no claim is about; of an example with gradients."""
        gradients = [n for n in self.network.nodes if n.kind == "gradient"]
        places = {n: [p for p in self.network.places(n) if p not in self.claims] for n in gradients}
        if all(len(places[n]) == len(self.network.places(n)) for n in gradients):
            return {}
        return {n: places[n] for n in gradients if n.letter in "Wb" and places[n]}

    def missing(self, name: Name, places: list[Place]) -> str:
        """`not claimed: dL/dW1, right: [[-0.00139, ...]]`."""
        whole = self.network.array(name)
        if len(places) == whole.size:
            shape = self.network.arrays[name._replace(kind="")].shape
            said = _listed(whole.reshape(shape))
            if whole.size > MOST_UNITS:
                said = f"shape {list(shape)}, norm {number(float(np.linalg.norm(whole)))}"
            return f"{NOT_CLAIMED}: {self.naming.of(name)}, right: {said}"
        shown = [f"{self.naming(p)} = {number(self.network.at(p))}" for p in places[:MOST_UNITS]]
        more = len(places) - len(shown)
        said = ", ".join(shown) + (f", and {more} more" if more else "")
        return f"{NOT_CLAIMED}: {said} (right values)"

    def checked(self, name: str, text: Decimal) -> Claim:
        """One claim."""
        place = self.places[name]
        right = self.network.at(place)
        own = self.computed(place)
        claim = Claim(name, str(text), own, right, WRONG)
        if rounded(right, text) == text:
            claim.verdict = RIGHT
        elif rounded(own, text) == text:
            claim.verdict = CARRIED
        else:
            claim.slip = next(self.slips(place, text), "") or self.likely(place, text)
        return claim

    # ------------------------------------------------------------ the example's own numbers

    def own(self, place: Place) -> float:
        """A number as the example has it: claimed, or computed from what it claims."""
        claimed = self.claims.get(place)
        return self.computed(place) if claimed is None else claimed

    def computed(self, place: Place) -> float:
        """What the example's numbers above a line give for it."""
        if place not in self.known:
            given = place.node.op is None
            self.known[place] = (
                self.network.at(place) if given else evaluate(self.network.form(place), self.own)
            )
        return self.known[place]

    # ------------------------------------------------------------ slips

    def slips(self, place: Place, text: Decimal) -> Iterator[str]:
        """What would give the claimed number."""
        form = self.network.form(place)
        for at, whose in ((self.own, ""), (self.network.at, " (with the right numbers above)")):
            value = evaluate(form, at)
            if cut(value, text) == text:
                yield f"cut off instead of rounded{whose}"
            if len(text.as_tuple().digits) < 2:  # too few digits to tell more
                continue
            for candidate, words in self.candidates(form, at, place):
                if rounded(candidate, text) == text:
                    yield words + whose

    def likely(self, place: Place, text: Decimal) -> str:
        """What can be said of a number that no slip gives exactly."""
        said = self.twin(place, text)
        own, claimed = self.computed(place), float(text)
        form = self.network.form(place)
        again = evaluate(form, self.mended)
        if abs(again - claimed) < abs(own - claimed):
            changed = [p for p in leaves(form) if self.mended(p) != self.own(p)]
            values = ", ".join(f"{self.naming(p)} = {number(self.mended(p))}" for p in changed)
            said.append(f"with {values}, as its own formula gives, it is {number(again)}")
        near = [
            (words.count(" "), f"{words} it would be {number(candidate)}, which is near")
            for candidate, words in self.candidates(form, self.own, place)
            if words.startswith("without") and abs(candidate - claimed) < NEAR * abs(own - claimed)
        ]
        if near:  # a term of one number, a bias, is forgotten more easily than a product
            said.append(min(near)[1])
        return "; ".join(said)

    def mended(self, place: Place) -> float:
        """A number as the example has it; where that is a wrong line, what it should have got."""
        claimed = self.claims.get(place)
        if claimed is None:
            return self.computed(place)
        text = self.texts[self.naming(place)]
        return claimed if rounded(self.computed(place), text) == text else self.computed(place)

    def twin(self, place: Place, text: Decimal) -> list[str]:
        """Another unit that is claimed to be different, though it comes of the same numbers."""
        for other in self.network.places(self.network.names[id(place.node)]):
            name = self.naming(other)
            if other == place or name not in self.texts or self.texts[name] == text:
                continue
            pairs = list(zip(*(leaves(self.network.form(p)) for p in (place, other)), strict=False))
            equal = [(a, b) for a, b in pairs if a != b and self.own(a) == self.own(b)]
            if self.computed(other) == self.computed(place) and equal:
                why = " and ".join(
                    f"{self.naming(b)} = {self.naming(a)} = {self.own(a):g}" for a, b in equal
                )
                return [f"{why}, so it cannot differ from {name}"]
        return []

    def candidates(
        self, form: Form, at: Callable[[Place], float], place: Place
    ) -> Iterator[tuple[float, str]]:
        """(a number, what was done where it came out)."""
        value = evaluate(form, at)
        yield -value, "the sign is turned"
        yield 2 * value, "twice as large: another convention of the loss?"
        yield value / 2, "half as large: another convention of the loss?"
        if isinstance(form, Call) and form.name == "sigmoid":
            turned = Call(form.name, (negative(form.args[0]),))
            yield evaluate(turned, at), "the sign in sigma is turned: 1/(1 + e^z), not 1/(1 + e^-z)"
        parts = form.terms if isinstance(form, Sum) else ()
        for i, part in enumerate(parts):
            rest = parts[:i] + parts[i + 1 :]
            yield evaluate(Sum(rest), at), f"without {self.name(part)}"
        if isinstance(form, Product):
            for i, part in enumerate(form.factors):
                rest = form.factors[:i] + form.factors[i + 1 :]
                value = form.number * math.prod(evaluate(f, at) for f in rest)
                yield value, f"without the factor {self.name(part)}"
        for leaf in dict.fromkeys(leaves(form)):
            yield (
                evaluate(form, _moved(at, leaf, -1.0)),
                (f"the sign of {self.naming(leaf)} is turned"),
            )
            for power in (10.0, 0.1):
                taken = f"taken as {at(leaf) * power:g} instead of {at(leaf):g}"
                yield evaluate(form, _moved(at, leaf, power)), f"{self.naming(leaf)} {taken}"
        for other in self.network.places(self.network.names[id(place.node)]):
            if other != place:
                yield evaluate(self.network.form(other), at), f"that is {self.naming(other)}"

    def name(self, form: Form) -> str:
        """A term, by the names of what is in it."""
        return " ".join(self.naming(p) for p in leaves(form)) or f"{evaluate(form, self.own):g}"


def _moved(at: Callable[[Place], float], leaf: Place, by: float) -> Callable[[Place], float]:
    return lambda p: at(p) * by if p == leaf else at(p)


def _listed(a: np.ndarray) -> str:
    """Numbers in brackets, as they are shown."""
    if not a.ndim:
        return number(float(a))
    return f"[{', '.join(map(_listed, a))}]"


def _decimal(name: str, text: object) -> Decimal:
    try:
        found = Decimal(str(text))
        if found.is_finite():
            return found
    except InvalidOperation:
        pass
    raise FormatError(f"{name}: a claim must be a finite number", got=repr(text))


def rounded(value: float, like: Decimal) -> Decimal:
    """A number with as many digits behind the point as another."""
    return Decimal(repr(float(value))).quantize(like) if math.isfinite(value) else Decimal("NaN")


def cut(value: float, like: Decimal) -> Decimal:
    """The same, cut off."""
    if not math.isfinite(value):
        return Decimal("NaN")
    return Decimal(repr(float(value))).quantize(like, rounding="ROUND_DOWN")
