"""One entry of a gradient: which examples carry it, which units, which paths; one path in full."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from ...graph import Node
from ...markup import counted
from ..derive import FIRST, MOST_UNITS
from ..elements import Place
from ..forms import Leaf, evaluate, multiplied
from ..parts import Line, Section
from .linear import Path, Paths, Term
from .program import LONG, Program
from .tangents import tangents
from .terms import Loss

MOST_LAYERS = 6
"""Of more layers than these only the largest unit of each is shown."""


class Entry:
    """The gradient of one number of a parameter.

    top: so many examples, units and paths are shown; the rest is summed.
    """

    def __init__(self, program: Program, name: str, at: tuple[int, ...], *, top: int = 3) -> None:
        self.program = program
        self.name, self.index, self.top = name, at, top
        self.leaf = program.leaf(name)
        self.place: Place | None = None
        line = program.gradient.get(self.leaf)
        if line is not None:
            self.place = Place(line, at)
        self.value = 0.0 if self.place is None else program.at(self.place)
        self.label = program.labels(Place(self.leaf, at))

    @cached_property
    def tangents(self) -> dict[int, Any]:
        """How every line moves with this number."""
        graph = self.program.forward_graph
        return tangents(graph, self.program.elements.arrays, self.leaf, self.index)

    @cached_property
    def paths(self) -> Paths:
        """The paths to the loss."""
        return Paths(self.program, most=self.top)

    @cached_property
    def terms(self) -> list[Term]:
        """What the gradient adds up from, the largest first."""
        assert self.place is not None
        form = self.program.shortened(self.place, LONG, FIRST)
        found = self.paths.linear(form)
        if self.program.cancelled.form(self.place) is not None:
            found = iter(self.paths.terms(self.place))
        return sorted((t for t in found if self.paths.value(t)),
                      key=lambda t: -abs(self.paths.value(t)))  # fmt: skip

    @cached_property
    def sizes(self) -> float:
        """What the terms of the rule would add up to, were all of one sign."""
        return 0.0 if self.place is None else self.program.sizes(self.place)

    @property
    def cancels(self) -> bool:
        """Whether nothing but rounding is left of terms that are not 0."""
        return abs(self.value) < 1e-9 * self.sizes

    def flow(self, node: Node) -> Any:
        """What reaches the loss through each number of a line; None where nothing does."""
        g = self.program.gradient.get(node)
        moved = self.tangents.get(id(node))
        return None if g is None or moved is None else self.program.array(g) * moved

    # ------------------------------------------------------------ sections

    def sections(self) -> Iterator[Section]:
        """All of it, for a gradient that is a number."""
        yield self.whole()
        if not math.isfinite(self.value) or self.place is None or self.cancels:
            return
        for section in (self.examples(), self.through(), *self.along()):
            if section is not None and section.lines:
                yield section

    def whole(self) -> Section:
        """The rule that gives the entry."""
        section = Section("THE ENTRY", "what its rule adds up")
        if self.place is None:
            section.lines.append(Line(f"∂L/∂{self.label}", None, None, 0.0,
                                      "the loss does not depend on it"))  # fmt: skip
        else:
            section.lines.append(self.engine(self.place))
        return section

    def engine(self, place: Place, note: str = "") -> Line:
        """A line as the engine computes it, its largest terms only."""
        program = self.program
        form = program.shortened(place, MOST_UNITS, FIRST)
        return Line(place, form, form, program.at(place), note)

    def share(self, value: float) -> str:
        """How much of the entry something is."""
        if not self.value:
            return ""
        share = value / self.value
        if abs(share) >= 100:
            return f"{share:.3g} times it"
        return f"{share:.0%} of it" if abs(share) >= 0.005 or not share else "less than 1% of it"

    def ranked(
        self, values: Any, name: Any, what: str, whose: str = "", top: int = 0
    ) -> list[Line]:
        """The largest few of some parts of the entry, and the rest as one.

        what: one of them; whose: what follows it, where there are several too.
        """
        order = np.argsort(-np.abs(values), kind="stable")
        shown = [i for i in order[: top or self.top] if values[i] != 0.0]
        lines = [Line(name(int(i)), None, None, float(values[i]), self.share(values[i]))
                 for i in shown]  # fmt: skip
        left = [i for i in order[len(shown) :] if values[i] != 0.0]
        if left:
            rest = float(values[left].sum())
            said = counted(len(left), f"more {what}") + whose
            lines.append(Line(f"+ {said}", None, None, rest, self.share(rest)))
        zero = len(values) - len(shown) - len(left)
        if zero and lines:
            more = f"{zero} of {len(values)} {'carries' if zero == 1 else 'carry'} nothing"
            lines[-1].note = "; ".join(n for n in (lines[-1].note, more) if n)
        return lines

    def left(self, values: Any) -> str:
        """How much of the sizes is left where parts of both signs cancel."""
        sizes = float(np.abs(values).sum())
        share = abs(float(values.sum())) / sizes if sizes else 1.0
        return f"; they cancel but for {share:.2g} of their sizes" if share < 0.2 else ""

    def examples(self) -> Section | None:
        """Which rows of the loss carry the entry: exactly, for any program."""
        loss = Loss(self.program)
        node = loss.rows
        if node is None or node.shape[0] < 2:
            return None
        flow = self.flow(node)
        if flow is None:
            return None
        values = flow.reshape(flow.shape[0], -1).sum(1)
        section = Section("EXAMPLES", f"the share of each of the {node.shape[0]} rows of the loss")
        section.note += self.left(values)
        section.lines += self.ranked(values, lambda i: f"example {i}", "example")
        other = self.value - float(values.sum())
        if abs(other) > 1e-9 * float(np.abs(values).sum()):
            section.lines.append(Line("other parts of the loss", None, None, other,
                                      self.share(other)))  # fmt: skip
        return section

    def through(self) -> Section | None:
        """Which units of each layer behind carry the entry, over all examples."""
        section = Section("THROUGH", "the units that carry it, all examples together")
        found: dict[str, Any] = {}
        for node in self.program.labels.results:
            flow = self.flow(node) if node.ndim > 1 else None
            if flow is None or node.op is None or node.op.moves:
                continue
            axis = unit_axis(node)
            values = np.moveaxis(flow, axis, 0).reshape(flow.shape[axis], -1).sum(1)
            if np.count_nonzero(values) > 1:
                found = {k: v for k, v in found.items() if not (
                    v.shape == values.shape and np.allclose(v, values, 1e-9, 0.0))}  # fmt: skip
                found[self.program.labels.of(node)] = values  # of equal ones the last
        top = self.top if len(found) <= MOST_LAYERS else 1
        for label, values in found.items():
            section.lines += self.ranked(values, lambda i, label=label: f"{label} unit {i}",
                                         "unit", f" of {label}", top)  # fmt: skip
            around = self.value - float(values.sum())
            if abs(around) > 1e-9 * float(np.abs(values).sum()):
                section.lines.append(Line(f"around {label}", None, None, around,
                                          self.share(around)))  # fmt: skip
        return section

    # ------------------------------------------------------------ along single paths

    def along(self) -> list[Section]:
        """The paths of the largest term, and the largest of them in full."""
        if not self.terms:
            return []
        term = self.terms[0]
        if term.next is None or self.program.gradient[self.program.loss] is term.next.node:
            return []
        explored = self.paths.explore(term.next)
        if explored:
            best, count = self.paths.best[term.next], self.paths.counts[term.next]
        else:
            best, count = [self.paths.followed(term.next)], None
        if not best:
            return []
        whole = [Path(evaluate(term.factor, self.program.at) * p.value,
                      (term.factor, *p.factors), (term.next, *p.places)) for p in best]  # fmt: skip
        return [self.listed(term, whole, count), self.spelled(whole[0])]

    def listed(self, term: Term, paths: list[Path], count: int | None) -> Section:
        """The largest paths of a term as products, and the rest as one number."""
        assert term.next is not None
        labels = self.program.labels
        total = self.paths.value(term)
        number = "paths" if count is None else counted(count, "path")
        carries = "carries" if count == 1 else "carry"
        said = f"{number} from {labels(term.next)} to the loss, which {carries} "
        section = Section("PATHS", said + (self.share(total) or "nothing"))
        for k, path in enumerate(paths, 1):
            form = multiplied(*path.factors)
            name = f"path {k}" if len(paths) > 1 else "the path"
            note = self._by_way(path)
            section.lines.append(
                Line(
                    name,
                    form,
                    form,
                    path.value,
                    "; ".join(x for x in (self.share(path.value), note) if x),
                )
            )
        if count is None:
            section.lines.append(Line("all others", None, None, total - paths[0].value,
                                      "too many to be counted; this one takes the largest turn "
                                      "at every layer"))  # fmt: skip
        elif count > len(paths):
            rest = total - math.fsum(p.value for p in paths)
            left = counted(count - len(paths), "more path")
            section.lines.append(Line(f"+ {left}", None, None, rest,
                                      self.share(rest)))  # fmt: skip
        return section

    def _by_way(self, path: Path) -> str:
        """The layers that a path passes, by their units."""
        labels = self.program.labels
        passed = []
        for place in path.places:
            line = labels.of_gradient.get(place.node)
            if line is not None and line in labels.results and place.node.shape == line.shape:
                passed.append(labels(Place(line, place.at)))
        return "by way of " + ", ".join(passed) if passed else ""

    def spelled(self, path: Path) -> Section:
        """Every line of a path, from the entry to the loss."""
        program = self.program
        section = Section("SPELLED OUT", "the largest path, one rule a line")
        for place in path.places:
            if self.program.labels.of_gradient.get(place.node) is program.loss:
                continue
            line = self.engine(place, self.remark(place))
            layer = self.program.labels.of_gradient.get(place.node) in self.program.labels.results
            if layer or not isinstance(line.symbols, Leaf):  # else only moved from place to place
                section.lines.append(line)
            end = program.cancelled.form(place)
            if end is not None:
                section.lines.append(
                    Line(place, end, end, program.at(place),
                         "everything else cancels: prediction - target")
                )  # fmt: skip
        return section

    def remark(self, place: Place) -> str:
        """What a rule of a kink has decided."""
        line = self.program.labels.of_gradient.get(place.node)
        if line is None or line.shape != place.node.shape:
            return ""
        for reader in self.program.forward:
            if line in reader.inputs and reader.op is not None and reader.op.name == "relu":
                x = self.program.at(Place(line, place.at))
                name = self.program.labels(Place(line, place.at))
                return f"relu is {'on' if x > 0 else 'off'}: {name} = {x:.6g}"
        return ""


def unit_axis(node: Node) -> int:
    """The dimension of the units of a layer: channels of an image, features of a sequence."""
    return node.ndim - 1 if node.ndim in (2, 3) else 1
