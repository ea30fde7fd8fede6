"""Cross-entropy: what its gradient comes to when everything else cancels, a - y.

Behind a softmax the rule of ln softmax is g - e^l sum(g).  With w = -sum(g), the weight that the
example has in the loss, y = -g / w is the target, smoothed and weighted as the user wanted it, and
the gradient is w (a - y) with a = e^l.  Behind a sigmoid a the gradients of ln a and ln(1 - a) are
-w y and -w (1 - y), and what reaches the sigmoid's input is w (a - y) again; of logits it is the
slope of softplus less the target.  It is a step of its own, held to what the rules give.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...errors import ChainruleError
from ...graph import Node
from ...ops import REGISTRY, sigmoid
from ...ops.core import quietly
from ..elements import Place
from ..forms import Form, Leaf, Sum, evaluate, leaves, multiplied, negative
from .views import behind_views

if TYPE_CHECKING:
    from .program import Program

detach = REGISTRY["detach"]


class DerivationError(ChainruleError, ArithmeticError):
    """A step of a derivation does not have the value that the engine computed: our mistake."""


class Step(NamedTuple):
    """weight (prediction - target); axis: the dimension of the classes, which a weight has not."""

    weight: Node
    prediction: Node
    target: Node
    axis: int | None


class Cancelled:
    """The gradients of what goes into a cross-entropy, as weight (prediction - target)."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.found: dict[Node, Step] = {}
        self.readers: dict[Any, list[Node]] = {}
        for line in program.lines:
            for x in line.inputs:
                if isinstance(x, Node):
                    self.readers.setdefault(x, []).append(line)
        with quietly():
            for line in program.lines:
                name = line.op.name if line.op is not None else ""
                if name == "log_softmax" and len(self.readers[line.inputs[0]]) == 1:
                    self._softmax(line)
                elif name == "sigmoid":
                    self._probabilities(line)
                elif name == "softplus":
                    self._logits(line)

    # ------------------------------------------------------------ finding them

    def _softmax(self, line: Node) -> None:
        """ln softmax, whatever its gradient is."""
        program, axis = self.program, line.params["axis"]
        x, result = program.now[line.inputs[0]], program.now[line]
        g_line, out = program.gradient.get(result), program.gradient.get(x)
        if g_line is None or out is None or not self._last(g_line):
            return
        g = program.array(g_line)
        weight = -g.sum(axis, keepdims=True)
        sure = np.abs(weight) > 1e-9 * np.abs(g).sum(axis, keepdims=True)
        target = np.where(sure, -g / weight, 0.0)
        of = self._called(x)
        self.found[out] = Step(
            self._given("weight", of, np.where(sure, weight, 0.0).squeeze(axis)),
            program.given(f"softmax({of})", np.exp(program.array(result))),
            self._given("target", of, target),
            axis,
        )

    def _probabilities(self, line: Node) -> None:
        """A sigmoid whose ln a and ln(1 - a) are looked at."""
        program = self.program
        z, a = program.now[line.inputs[0]], program.now[line]
        logs = [self._gradient(n) for n in self._logarithms(line)]
        out = program.gradient.get(z)
        if out is None or len(logs) != 2 or any(g is None or g.shape != a.shape for g in logs):
            return
        weight = -(logs[0] + logs[1])
        target = self._target(np.where(weight != 0, -logs[0] / weight, 0.0), a)
        self._keep(out, weight, a, target)

    def _logits(self, line: Node) -> None:
        """softplus of plus or minus x, from which x times the target is taken."""
        program = self.program
        x = line.inputs[0]
        if x.op is not None and x.op.name == "mul":
            x = next((n for n in x.inputs if program.now.get(n) in program.gradient), x)
        node = program.now[x]
        out, weight = program.gradient.get(node), self._gradient(line)
        if out is None or weight is None or weight.shape != node.shape:
            return
        a = sigmoid.forward(program.array(node))
        target = self._target(np.where(weight != 0, a - program.array(out) / weight, 0.0), node)
        if target is not None:
            self._keep(out, weight, program.given(f"σ({self._called(node)})", a), target)

    def _logarithms(self, line: Node) -> list[Node]:
        """The lines ln a and ln(1 - a) of a line a, as many as there are, in this order."""
        found: dict[bool, Node] = {}
        stack = [(line, False)]
        while stack:
            node, turned = stack.pop()
            for reader in self.readers.get(node, []):
                name = reader.op.name if reader.op is not None else ""
                if name == "log" or (name == "log1p" and turned):
                    if self.program.now[reader] in self.program.gradient:
                        found[turned] = reader
                elif name == "where":
                    stack.append((reader, turned))
                elif name == "neg" or (name == "sub" and reader.inputs[0] == 1):
                    stack.append((reader, True))
        return [found[turned] for turned in (False, True) if turned in found]

    def _gradient(self, line: Node) -> Any:
        """The gradient of a line of the loss, which depends on no parameter any more."""
        g = self.program.gradient.get(self.program.now[line])
        return self.program.array(g) if g is not None and self._last(g) else None

    def _last(self, gradient: Node) -> bool:
        """Whether no parameter has a part in a gradient: nothing but the loss lies behind."""
        parameters = set(self.program.leaves.values())
        seen: set[Node] = set()
        stack = [gradient]
        while stack:
            node = stack.pop()
            if node in parameters:
                return False
            if node not in seen and node.op is not detach:
                seen.add(node)
                stack += [x for x in node.inputs if isinstance(x, Node) and x.dtype.kind == "f"]
        return True

    def _target(self, values: Any, like: Node) -> Node | None:
        """The value of the program that a target is; None where none is equal to it."""
        for node in (*self.program.graph.inputs, *self.program.forward):
            fits = node.shape == like.shape and node.dtype.kind == "f"
            if fits and np.allclose(self.program.array(node), values, 1e-9, 1e-12):
                return node
        return None

    def _keep(self, out: Node, weight: Any, prediction: Node, target: Node | None) -> None:
        """A step, if it is what the rules come to, all over."""
        if target is None:
            return
        program = self.program
        value = weight * (program.array(prediction) - program.array(target))
        if np.allclose(value, program.array(out), 1e-9, 1e-14):
            self.found[out] = Step(self._given("weight", self._called(prediction), weight),
                                   prediction, target, None)  # fmt: skip

    def _called(self, node: Node) -> str:
        return self.program.labels.of(behind_views(Place(node, (0,) * node.ndim)).node)

    def _given(self, name: str, of: str, array: Any) -> Node:
        taken = self.program.labels.taken[name]
        return self.program.given(f"{name}({of})" if taken else name, array)

    # ------------------------------------------------------------ asking

    def form(self, place: Place) -> Form | None:
        """weight (prediction - target) for a gradient that comes to this; else None."""
        seen = behind_views(place)
        step = self.found.get(seen.node)
        if step is None:
            return None
        axis = step.axis
        row = seen.at if axis is None else seen.at[:axis] + seen.at[axis + 1 :]
        if not abs(self.program.array(step.weight)[row]) > 0.0:
            return None  # the example does not count, or its targets cancel
        a, y = (Leaf(Place(n, seen.at)) for n in (step.prediction, step.target))
        form = multiplied(Leaf(Place(step.weight, row)), Sum((a, negative(y))))
        self.hold(form, place)
        return form

    def hold(self, form: Form, place: Place) -> None:
        """Raises unless a form has the value that the engine computed."""
        at = self.program.at
        value, wanted = evaluate(form, at), at(place)
        scale = max(abs(at(leaf)) for leaf in leaves(form))
        if not math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-14 * max(scale, 1.0)):
            raise DerivationError("a step does not come out", expected=str(wanted), got=str(value))
