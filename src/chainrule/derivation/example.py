"""A worked example of somebody else's, recomputed line by line.

A line can be right; right for the numbers that the example has above it, which are wrong; or wrong,
and then what was done instead can sometimes be told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from ..errors import FormatError
from .derive import Deriving
from .elements import Place
from .forms import Form, Product, Sum, evaluate, leaves
from .naming import ASCII, Naming
from .network import Network

RIGHT, CARRIED, WRONG = "right", "right for its own numbers", "wrong"


@dataclass
class Claim:
    """A line of an example, and what became of it.

    own: what the example's numbers above it give.  right: what it should be.  slip: what seems to
    have been done instead.
    """

    name: str
    claimed: str
    own: float
    right: float
    verdict: str
    slip: str = ""


class Example:
    """The claims of an example about a network."""

    def __init__(self, network: Network, claims: Mapping[str, str]) -> None:
        self.network = network
        self.naming = Naming(Deriving(network).derivation("", []), ASCII)
        places = {self.naming(p): p for name in network.nodes for p in network.places(name)}
        unknown = [name for name in claims if name not in places]
        if unknown:
            raise FormatError(
                "claims about what is not there", got=", ".join(unknown),
                expected=", ".join(n for n in places if n[0] not in "xy"),
            )  # fmt: skip
        self.claims: dict[Place, float] = {}
        self.places = {n: places[n] for n in claims}
        self.texts = {n: _decimal(n, text) for n, text in claims.items()}
        for n, text in self.texts.items():
            self.claims[places[n]] = float(text)
        self.known: dict[Place, float] = {}

    def check(self) -> list[Claim]:
        """Every claim in its order."""
        return [self.checked(name, text) for name, text in self.texts.items()]

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
            claim.slip = next(self.slips(place, text), "")
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

    def candidates(
        self, form: Form, at: Callable[[Place], float], place: Place
    ) -> Iterator[tuple[float, str]]:
        """(a number, what was done where it came out)."""
        value = evaluate(form, at)
        yield -value, "the sign is turned"
        yield 2 * value, "twice as large: another convention of the loss?"
        yield value / 2, "half as large: another convention of the loss?"
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
