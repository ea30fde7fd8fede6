"""The four equations of backpropagation on a chain of linear layers: forward, BP1 to BP4.

    BP1  error at the output    dL/dz of the last layer
    BP2  error sent back        dL/dz of a layer = (W of the next one, its error) * slope
    BP3  biases                 dL/db = the error, over all examples
    BP4  weights                dL/dW = input * error, over all examples

A line of more than MOST_UNITS numbers is shown by its size and its largest few.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...graph import Node
from ...nn import Linear
from ..derive import FIRST, MOST_UNITS
from ..elements import Place
from ..forms import (
    Call,
    Form,
    Leaf,
    Number,
    Power,
    Product,
    Sum,
    added,
    evaluate,
    multiplied,
    shortened,
)
from ..parts import Line, Section
from .layers import Layers, Station, largest, norm_of
from .program import Program, below
from .terms import Loss
from .views import behind_views

DEEP, FEW = 6, 2
"""Of more layers than DEEP, each line is shown by its FEW largest numbers."""


class Equations:
    """A program as a chain of linear layers with what works number by number between them."""

    def __init__(self, program: Program, layers: Layers) -> None:
        self.program, self.layers = program, layers
        self.stations = layers.stations
        self.first = FIRST if len(self.stations) <= DEEP else FEW

    def holds(self) -> bool:
        """Whether the program is such a chain."""
        if not self.stations or not all(isinstance(s.module, Linear) for s in self.stations):
            return False
        leaves = set(self.program.leaves.values())
        own = {self.program.leaf(n) for s in self.stations for n in self.named(s)}
        return leaves <= own and all(map(self._follows, [None, *self.stations], self.stations))

    def _follows(self, before: Station | None, here: Station) -> bool:
        """Whether nothing but activations stands between a layer and the one before it."""
        if before is None:
            return True
        if here.input is None or not isinstance(before.result, Node):
            return False
        between = below(here.input) - below(before.result)
        return before.result in below(here.input) and all(
            n.op is None or n.op.pointwise or n.op.moves for n in between
        )

    def named(self, station: Station) -> list[str]:
        """The names of a layer's parameters, weights first."""
        tensors = {id(t): n for n, t in self.program.recording.tensors.items()}
        return [tensors[id(p)] for _, p in station.module.named_parameters(recurse=False)
                if id(p) in tensors]  # fmt: skip

    def sections(self) -> list[Section]:
        """All of it."""
        made = [self.forward(), self.bp1()]
        if len(self.stations) > 1:
            made.append(self.bp2())
        return [*made, *self.gradients()]

    # ------------------------------------------------------------ lines

    def lines(self, node: Node, note: str = "") -> Iterator[Line]:
        """The numbers of a line, or the largest where there are many."""
        program = self.program
        for place in self.places(node):
            form = program.shortened(place, MOST_UNITS, FIRST)
            yield Line(place, form, form, program.at(place), note)
        yield from self.rest(node)

    def places(self, node: Node) -> list[Place]:
        """What is shown of a line."""
        a = self.program.array(node)
        most = MOST_UNITS if self.first == FIRST else FEW
        if a.size <= most:
            return [Place(node, at) for at in np.ndindex(a.shape)]
        return [Place(node, tuple(map(int, np.unravel_index(i, a.shape))))
                for i in largest(a, self.first)]  # fmt: skip

    def rest(self, node: Node) -> list[Line]:
        """What is not shown of it."""
        a = self.program.array(node)
        left = a.size - len(self.places(node))
        if not left:
            return []
        return [
            Line(f"and {left} more", None, None, norm_of(a), f"norm of all, shape {[*a.shape]}")
        ]

    def after(self, station: Station, following: Station | None) -> list[Node]:
        """The named results between a layer and the next one, or the loss."""
        labels, program = self.program.labels, self.program
        end = program.loss if following is None else following.input
        inside = below(end) if isinstance(end, Node) else set()
        inside -= below(station.result)
        order = {n: i for i, n in enumerate(program.forward)}
        found = [n for n in labels.results if n in inside and n in program.gradient and n.shape]
        return sorted(found, key=lambda n: order[n])

    def chain(self) -> list[tuple[Station, Station | None]]:
        """Every layer with the one that follows it."""
        return list(zip(self.stations, [*self.stations[1:], None], strict=True))

    # ------------------------------------------------------------ the sections

    def forward(self) -> Section:
        """Weighted sums, activations, probabilities, the loss."""
        section = Section("FORWARD", "from the inputs to the loss")
        for station, following in self.chain():
            for node in (station.result, *self.after(station, following)):
                section.lines += self.lines(node)
        section.lines += self.softmax()
        section.lines.append(self.loss())
        return section

    def loss(self) -> Line:
        """The loss, as a cross-entropy or as the user's sum."""
        program = self.program
        place = Place(program.loss, (0,) * program.loss.ndim)
        value = program.at(place)
        terms = list(self._cross_entropy())
        form = self._short(added(terms) if terms else Loss(program).written())
        if not math.isclose(evaluate(form, program.at), value, rel_tol=1e-9):
            form = program.shortened(place, MOST_UNITS, FIRST)
        return Line(place, form, form, value)

    def _cross_entropy(self) -> Iterator[Form]:
        """-weight target ln prediction, of every class that is a target."""
        program = self.program
        steps = list(program.cancelled.found.values())
        if len(steps) != 1 or steps[0].axis is None:
            return
        weight, prediction, target, _ = steps[0]
        axis = steps[0].axis % target.ndim
        for at in map(tuple, np.argwhere(program.array(target))):
            row = Place(weight, at[:axis] + at[axis + 1 :])
            yield multiplied(Number(-1.0), Leaf(row), Leaf(Place(target, at)),
                             Call("log", (Leaf(Place(prediction, at)),)))  # fmt: skip

    def _short(self, form: Form) -> Form:
        """A form with the largest terms of its sums."""
        if isinstance(form, Product):
            return Product(form.number, tuple(map(self._short, form.factors)))
        return shortened(form, self.program.at, MOST_UNITS, FIRST)

    def softmax(self) -> Iterator[Line]:
        """The probabilities of a softmax that belongs to the cross-entropy."""
        program = self.program
        logits = {g: x for x, g in program.gradient.items()}
        for out, step in program.cancelled.found.items():
            if step.axis is None or out not in logits:
                continue
            for place in self.places(step.prediction):
                form = self._softmax(Place(logits[out], place.at), step.axis)
                value = program.at(place)
                fits = math.isclose(evaluate(form, program.at), value, rel_tol=1e-9)
                yield Line(place, form if fits else None, form if fits else None, value)
            yield from self.rest(step.prediction)

    def _softmax(self, place: Place, axis: int) -> Form:
        def power(k: int) -> Form:
            at = (*place.at[:axis], k, *place.at[axis + 1 :])
            return Call("exp", (Leaf(behind_views(Place(place.node, at))),))

        axis %= len(place.at)
        total: Form = Sum(tuple(map(power, range(place.node.shape[axis]))))
        total = shortened(total, self.program.at, MOST_UNITS, FIRST)
        return Product(1.0, (power(place.at[axis]), Power(total, -1.0)))

    def bp1(self) -> Section:
        """The error at the output."""
        section = Section("BP1", "the error at the output")
        program, last = self.program, self.stations[-1]
        for node in reversed(self.after(last, None)):
            if program.gradient[node] in program.backward:
                section.lines += self.lines(program.gradient[node], "how wrong")
        for place in self.places(program.gradient[last.result]):
            form = program.shortened(place, MOST_UNITS, FIRST)
            section.lines.append(Line(place, form, form, program.at(place)))
            end = program.cancelled.form(place)
            if end is not None:
                note = "everything else cancels: prediction - target"
                section.lines.append(Line(place, end, end, program.at(place), note))
        section.lines += self.rest(program.gradient[last.result])
        return section

    def bp2(self) -> Section:
        """The error sent back, layer by layer."""
        section = Section("BP2", "the error sent back: weights × error, and × slope")
        gradient = self.program.gradient
        for station, following in reversed(self.chain()[:-1]):
            for node in (*reversed(self.after(station, following)), station.result):
                section.lines += self.lines(gradient[node])
        return section

    def gradients(self) -> list[Section]:
        """Biases and weights, the last layer's first."""
        biases = Section("BP3", "biases: the error, all examples together")
        weights = Section("BP4", "weights: input × error, all examples together")
        for station in reversed(self.stations):
            for name in self.named(station):
                leaf = self.program.leaf(name)
                if leaf in self.program.gradient:
                    section = weights if leaf.ndim > 1 else biases
                    section.lines += self.lines(self.program.gradient[leaf])
        return [s for s in (biases, weights) if s.lines]
