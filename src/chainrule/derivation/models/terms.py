"""What a loss is made of: a mean or a sum over examples, and the convention that it follows."""

from __future__ import annotations

import math
from typing import Any

from ...graph import Node
from ..elements import Place
from ..forms import Form, Forming, Product, Rest, Sum
from ..writing import ASCII, UNICODE, Symbols
from .program import Program, below

BACK = frozenset({"add", "sub", "neg", "mul", "div", "reshape", "cast", "where"})
"""What may stand between a sum over examples and the loss."""


class Loss:
    """The sums that a loss consists of.

    rows: the line whose rows are the examples, or None.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.sums = self._sums()
        self.rows = self._rows()

    def _sums(self) -> list[Node]:
        """The reductions to one number that the loss is made of."""
        found, stack, seen = [], [self.program.loss], set()
        while stack:
            node = stack.pop()
            if node in seen or node.op is None or node not in self.program.gradient:
                continue
            seen.add(node)
            if node.op.name in ("sum", "max", "min", "prod"):
                if math.prod(node.shape) == 1:
                    found.append(node)
            elif node.op.name in BACK and math.prod(node.shape) == 1:
                stack += [x for x in node.inputs if isinstance(x, Node)]
        return found

    def _rows(self) -> Node | None:
        """The terms of the largest sum of what the data have a part in."""
        found = [x for s in self.sums for x in s.inputs[:1]
                 if isinstance(x, Node) and x.shape and self._has_data(x)]  # fmt: skip
        return max(found, key=lambda x: math.prod(x.shape), default=None)

    def _has_data(self, node: Node) -> bool:
        """Whether parameters lead here, and something else too."""
        inputs = {n for n in below(node) if n.op is None}
        leaves = set(self.program.leaves.values())
        return bool(inputs & leaves) and any(n.shape for n in inputs - leaves)

    def conventions(self, ascii_only: bool = False) -> list[str]:
        """What the numbers mean: the loss as it was computed, its mean, its squares."""
        program = self.program
        signs = ASCII if ascii_only else UNICODE
        symbols = Symbols(lambda p: program.labels(p, ascii_only), signs)
        said = self._cross_entropy() + self._squares()
        if not said:
            text = symbols.text(self._first_terms())
            said = [f"L = {text if len(text) < 160 else text[:157] + '...'}"]
        said[0] = f"Convention: {said[0]}"
        said.append(
            "Indices count from 0. Everything is computed in float64 by the reference path, from "
            "the same rules; what is shown rounded is not computed with."
        )
        return said

    def _first_terms(self) -> Form:
        """The loss, a sum over examples by its first two terms."""
        return _abridged(self.written())

    def written(self) -> Form:
        """The loss with its sums written out, from what has a name."""
        program = self.program
        inside = Forming(self._written, program.elements.value)
        whole = Place(program.loss, (0,) * program.loss.ndim)
        return inside.form(program.elements.of(whole))

    def _written(self, place: Place) -> Any:
        program = self.program
        if place.node in self.sums:
            return program.elements.of(place)
        return None if program.labels.named(place.node) else program.elements.of(place)

    def _cross_entropy(self) -> list[str]:
        """The cross-entropy, with the weight of one example."""
        said = []
        for step in self.program.cancelled.found.values():
            values = self.program.array(step.weight)
            soft = step.axis is not None
            what = "-Σ target·ln softmax" if soft else "-(y ln σ + (1-y) ln(1-σ))"
            wrong = "softmax - target" if soft else "σ - y"
            counted = values[values != 0]
            if counted.size and (counted == counted.flat[0]).all():
                one = float(counted.flat[0])
                n = round(1 / one) if one else 0
                exact = n > 1 and abs(one * n - 1) < 1e-9
                who = f"each of its {counted.size} examples" if counted.size > 1 else "its example"
                factor = "" if one == 1 else f"1/{n} " if exact else f"{one:g} "
                said.append(f"L is a cross-entropy, {what}; {who} has the weight "
                            f"{factor.strip() or 1}, so its gradient is {factor}({wrong})."
                            )  # fmt: skip
            elif counted.size:
                said.append(f"L is a cross-entropy, {what}, of examples with weights "
                            f"from {counted.min():g} to {counted.max():g}.")  # fmt: skip
        return said

    def _squares(self) -> list[str]:
        """Squares, halved or not."""
        rows = self.rows
        if rows is None or rows.op is None or rows.op.name != "pow" or rows.inputs[1] != 2:
            return []
        g = self.program.gradient.get(rows)
        if g is None or not rows.size:
            return []
        each = float(self.program.array(g).flat[0])
        if rows.size == 1:
            how = f"{f'{each:g} times ' if each != 1 else ''}one square, so the gradient of its "
            how += f"difference d is {2 * each:g}·d"
        elif abs(each * rows.size - 1) < 1e-9:
            how = f"the mean of {rows.size} squares, so the gradient of each difference d is "
            how += f"2d/{rows.size}"
        else:
            how = f"{each:g} times each of {rows.size} squares, so the gradient of each "
            how += f"difference d is {2 * each:g}·d"
        whole = "is" if len(self.sums) == 1 else "has a part that is"
        return [f"L {whole} {how}. For ½d² halve every gradient."]


def _abridged(form: Form) -> Form:
    """A form with two terms of every long sum."""
    if isinstance(form, Sum) and len(form.terms) > 3:
        return Sum((*map(_abridged, form.terms[:2]), Rest(len(form.terms) - 2, 0.0)))
    if isinstance(form, Product):
        return Product(form.number, tuple(map(_abridged, form.factors)))
    return form
