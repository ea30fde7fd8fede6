"""Why a gradient is exactly 0, tiny, nan or infinite: the factor that is to blame."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from ...errors import describe_site, source_of
from ...graph import Node
from ...markup import counted
from ..elements import Place
from ..forms import ZERO, Form, Leaf, Number, Product, Sum, evaluate, leaves
from ..parts import Line, Section
from ..writing import Symbols
from .entry import Entry, unit_axis
from .linear import Path, Term
from .program import LONG

MOST = 5
"""So many reasons are listed."""
TINY = 1e-7
"""A gradient below this is too small for a step in float32 to be seen."""
KINKS = {
    "relu": "relu is off ({x} is not above 0)",
    "where": "masked out: where() takes the other branch",
    "max": "not the largest of its group", "min": "not the smallest of its group",
    "maximum": "the other operand of maximum (a clamp) is larger",
    "minimum": "the other operand of minimum (a clamp) is smaller",
    "gather": "not picked", "index_select": "its row is not looked up", "slice": "cut away",
    "floor": "floor has slope 0", "round": "round has slope 0", "sign": "sign has slope 0",
    "abs": "abs has slope 0 at 0",
}  # fmt: skip
"""Ops whose rule can give 0 without a factor that is 0."""


class Fault:
    """What is to be said of a gradient that does nothing, or does harm."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.program = entry.program
        self.known: dict[Place, str] = {}

    def section(self) -> Section | None:
        """The reason, or None for a gradient that is as it should be."""
        value = self.entry.value
        if not math.isfinite(value):
            return self.not_finite()
        if self.entry.place is None:
            return None
        if value == 0.0:
            return self.zero()
        return self.tiny() if abs(value) < TINY else None

    # ------------------------------------------------------------ nan and infinite

    def not_finite(self) -> Section:
        """The first line that is no number, in the order in which they were computed."""
        section = Section(f"WHY IT IS {self.entry.value}", "the first value that is no number")
        program = self.program
        for node in program.graph.inputs:
            if self._bad(node):
                where = self._where(node)
                section.lines.append(self._at(Place(node, where), "an input holds it"))
                return section
        for node in program.graph.nodes:
            if self._bad(node):
                place = Place(node, self._where(node))
                section.lines.append(self._origin(place))
                section.lines += [self._at(p, "went into it") for p in self._went_in(place)]
                return section
        return section

    def _bad(self, node: Node) -> bool:
        a = self.program.array(node)
        return a.dtype.kind == "f" and not bool(np.isfinite(a).all())

    def _where(self, node: Node) -> tuple[int, ...]:
        bad = ~np.isfinite(self.program.array(node))
        return tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))

    def _at(self, place: Place, note: str) -> Line:
        return Line(place, None, None, self.program.at(place), note)

    def _origin(self, place: Place) -> Line:
        """The line where it arose, with the op and the user's line."""
        node = place.node
        assert node.op is not None
        way = "on the way back, in the rule for" if node in self.program.backward else "made by"
        said = f"{way} {node.op.name}"
        line = next((x for x, y in self.program.now.items() if y is node), None)
        if line is not None and line.site is not None:
            said += f" at {describe_site(line.site)}  {source_of(line.site)}".rstrip()
        return self._at(place, said)

    def _went_in(self, place: Place) -> list[Place]:
        """The numbers that a line was made from, a few of them."""
        form = self.program.forming.form(self.program.elements.of(place))
        return list(dict.fromkeys(leaves(form)))[:4]

    # ------------------------------------------------------------ exactly 0

    def zero(self) -> Section:
        """For every term of the rule, the factor that is 0."""
        place = self.entry.place
        assert place is not None
        section = Section("WHY IT IS 0", "the factor that is 0 in each term of its rule")
        terms = list(self._all_terms(place))
        if not terms:
            section.lines.append(Line(self._kink(place) or "its rule gives 0"))
            return section
        reasons = Counter(self._reason(place, factor, following) for factor, following in terms)
        cancel = reasons.pop("", 0)
        if cancel:
            note = f"{cancel} of {counted(len(terms), 'term')}"
            section.lines.append(Line("not 0, but they cancel", note=note))
        for reason, count in reasons.most_common(MOST):
            section.lines.append(Line(reason, note=f"{count} of {counted(len(terms), 'term')}"))
        if len(reasons) > MOST:
            section.lines.append(Line(f"and {counted(len(reasons) - MOST, 'other reason')}"))
        return section

    def _all_terms(self, place: Place) -> Iterator[Term]:
        """The terms of a rule, those that are 0 too."""
        for term in self.entry.paths.linear(self.program.shortened(place, LONG, LONG)):
            if term.next is not None or term.factor != ZERO:  # which is where a kink has slope 0
                yield term

    def _reason(self, place: Place, factor: Form, following: Place | None) -> str:
        """Why a term is 0; nothing where it is not."""
        at = self.program.at
        if evaluate(factor, at) == 0.0:
            return self._zero_factor(factor, place)
        if following is None or at(following) != 0.0:
            return ""
        return self.why(following)

    def why(self, place: Place) -> str:
        """Why the gradient at a place further on is 0."""
        trail = [place]
        while True:
            if place in self.known:
                break
            terms = list(self._all_terms(place))
            reasons = [
                self._zero_factor(f, place) for f, _ in terms if evaluate(f, self.program.at) == 0.0
            ]
            ahead = [p for f, p in terms if evaluate(f, self.program.at) != 0.0 and p is not None]
            if not terms or (not ahead and not reasons):
                self.known[place] = self._kink(place) or f"{self._general(place)} is 0"
            elif reasons and len(reasons) == len(terms):
                self.known[place] = reasons[0]
            elif ahead and all(self.program.at(p) == 0.0 for p in ahead):
                place = ahead[0]
                trail.append(place)
                continue
            else:
                self.known[place] = f"the terms of {self._general(place)} cancel"
        for p in trail:
            self.known[p] = self.known[place]
        return self.known[place]

    def _zero_factor(self, factor: Form, place: Place) -> str:
        """The number in a factor that is 0, or its slope."""
        parts = factor.factors if isinstance(factor, Product) else (factor,)
        for part in parts:
            if evaluate(part, self.program.at) == 0.0:
                if isinstance(part, Leaf):
                    return f"{self._general(part.place)} is 0"
                named = list(dict.fromkeys(leaves(part)))
                if isinstance(part, Sum) and named:
                    value = self.program.at(named[0])
                    return f"the slope at {self._general(named[0])} is 0: saturated at {value:.6g}"
        return self._kink(place) or "a factor underflows"

    def _kink(self, place: Place) -> str:
        """The op whose rule gives 0 where it stands."""
        line = self.program.labels.of_gradient.get(place.node)
        if line is None:
            return ""
        name = self._general(Place(line, place.at))
        for reader in self.program.forward:
            if line in reader.inputs and reader.op is not None and reader.op.name in KINKS:
                return KINKS[reader.op.name].format(x=name) + (
                    f" at {name}" if "{x}" not in KINKS[reader.op.name] else "")  # fmt: skip
        return f"nothing of {name} reaches the loss"

    def _general(self, place: Place) -> str:
        """A place without its row: what is the same for many examples."""
        text = self.program.labels.of(place.node)
        if len(place.at) < 2:
            return text + (f"[{place.at[0]}]" if place.at else "")
        kept = {unit_axis(place.node)} if place.node.op is not None else {*range(1, len(place.at))}
        return f"{text}[{','.join(str(k) if d in kept else ':' for d, k in enumerate(place.at))}]"

    # ------------------------------------------------------------ tiny

    def tiny(self) -> Section | None:
        """The multipliers of the largest path, and how much each takes away."""
        if not self.entry.terms:
            return None
        if self.entry.cancels:
            section = Section(f"WHY IT IS SMALL ({self.entry.value:.1e})", "its terms cancel")
            what = "the sizes of its terms"
            section.lines.append(Line(what, None, None, self.entry.sizes,
                                      "of which only rounding is left"))  # fmt: skip
            return section
        term = self.entry.terms[0]
        path = Path(1.0, (term.factor,), ())
        if term.next is not None:
            behind = self.entry.paths.followed(term.next)
            path = Path(behind.value, (term.factor, *behind.factors), behind.places)
        at = self.program.at
        section = Section(f"WHY IT IS SMALL ({self.entry.value:.1e})",
                          "the multipliers of its largest path, by kind")  # fmt: skip
        kinds: dict[str, list[Form]] = {}
        for i, factor in enumerate(path.factors):
            for part in factor.factors if isinstance(factor, Product) else (factor,):
                kinds.setdefault(self._kind(part, i == 0), []).append(part)
            if isinstance(factor, Product) and factor.number != 1.0:
                kinds.setdefault("numbers of the rules", []).append(Number(factor.number))
        products = {k: math.prod(evaluate(p, at) for p in parts) for k, parts in kinds.items()}
        for kind in sorted(products, key=lambda k: abs(products[k])):
            parts = sorted(kinds[kind], key=lambda p: abs(evaluate(p, at)))
            smallest = self._symbols(parts[0])
            note = f"{len(parts)} of them, the smallest {smallest} = {evaluate(parts[0], at):.4g}"
            section.lines.append(Line(kind, None, None, products[kind],
                                      note if len(parts) > 1 else smallest))  # fmt: skip
        return section

    def _kind(self, part: Form, own: bool) -> str:
        """What sort of a multiplier it is; own: of the entry's own rule."""
        if isinstance(part, Leaf) and part.place.node in set(self.program.leaves.values()):
            return "weights"
        if not list(leaves(part)):
            return "numbers of the rules"
        return "the input" if own else "slopes, and the error at the loss"

    def _symbols(self, form: Form) -> str:
        return Symbols(self.program.labels).text(form)
