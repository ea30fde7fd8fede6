"""Cross-entropy behind a softmax: what its gradient comes to when everything else cancels, a - y.

The rule of ln softmax is g - e^l sum(g).  With w = -sum(g), the weight that the example has in the
loss, y = -g / w is the target, smoothed and weighted as the user wanted it, and the gradient is
w (a - y) with a = e^l.  It is a step of its own, held to what the rule gives.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ChainruleError
from ...graph import Node
from ..elements import Place
from ..forms import Form, Leaf, Sum, evaluate, leaves, multiplied, negative
from .views import behind_views

if TYPE_CHECKING:
    from .program import Program


class DerivationError(ChainruleError, ArithmeticError):
    """A step of a derivation does not have the value that the engine computed: our mistake."""


class Cancelled:
    """The gradients of what goes into a ln softmax, as weight (softmax - target)."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.found: dict[Node, tuple[Node, Node, Node, int]] = {}
        readers: dict[Any, int] = {}
        for line in program.lines:
            for x in line.inputs:
                if isinstance(x, Node):
                    readers[x] = readers.get(x, 0) + 1
        for line in program.lines:
            if line.op is not None and line.op.name == "log_softmax":
                (x,) = line.inputs
                if readers[x] == 1:
                    self._add(program.now[line], program.now[x], line.params["axis"])

    def _add(self, result: Node, x: Node, axis: int) -> None:
        program = self.program
        g_line, out = program.gradient.get(result), program.gradient.get(x)
        if g_line is None or out is None:
            return
        g = program.array(g_line)
        weight = -g.sum(axis, keepdims=True)
        sure = np.abs(weight) > 1e-9 * np.abs(g).sum(axis, keepdims=True)
        with np.errstate(all="ignore"):
            target = np.where(sure, -g / weight, 0.0)
        labels = program.labels
        of = labels.of(behind_views(Place(x, (0,) * x.ndim)).node)
        weight_name, target_name = (
            f"{n}({of})" if labels.taken[n] else n for n in ("weight", "target")
        )
        self.found[out] = (
            program.given(weight_name, np.where(sure, weight, 0.0).squeeze(axis)),
            program.given(f"softmax({of})", np.exp(program.array(result))),
            program.given(target_name, target),
            axis,
        )

    def form(self, place: Place) -> Form | None:
        """weight (softmax - target) for a gradient that comes to this; else None."""
        seen = behind_views(place)
        found = self.found.get(seen.node)
        if found is None:
            return None
        weight, a, y, axis = found
        row = seen.at[:axis] + seen.at[axis + 1 :]
        if not abs(self.program.array(weight)[row]) > 0.0:
            return None  # the example does not count, or its targets cancel
        left = Sum((Leaf(Place(a, seen.at)), negative(Leaf(Place(y, seen.at)))))
        form = multiplied(Leaf(Place(weight, row)), left)
        self.hold(form, place)
        return form

    def hold(self, form: Form, place: Place) -> None:
        """Raises unless a form has the value that the engine computed."""
        at = self.program.at
        value, wanted = evaluate(form, at), at(place)
        scale = max(abs(at(leaf)) for leaf in leaves(form))
        if not math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-14 * max(scale, 1.0)):
            raise DerivationError("a step does not come out", expected=str(wanted), got=str(value))
