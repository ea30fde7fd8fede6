"""The proof: the user's own backward(), and a difference of the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..differences import KINK, Difference, mark, measured, off, same, summary
from ..elements import Place
from ..parts import Line, Section
from .kinks import kinks
from .program import Program
from .tangents import tangents

TOLERANCE = {"float32": 2e-3, "float64": 1e-8}
"""How far backward() may be off, of the largest entry that it has."""
EVERY = 50
"""Of so many gradients each is held against a difference; of more, the largest of a parameter."""


@dataclass
class Proof:
    """What agrees: the loss and the gradient of the user's run, and a finite difference."""

    section: Section
    holds: bool


class Checking:
    """Compares what was derived with what was run."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.loss = program.recording.loss.reshape(())
        self.backward = program.recording.backward

    def entry(self, name: str, at: tuple[int, ...]) -> Proof:
        """The proof of one entry."""
        g = self.program.gradient_of(name)
        want, scale = float(g[at]), _scale(g)
        given = self.backward.get(name)
        own = 0.0 if given is None else float(given[at])
        dtype = self.loss.dtype if given is None else given.dtype
        lines = [self.same_loss()]
        agrees = same(own, want, relative(dtype, scale))
        agrees = agrees or same(own, want, self.allowed(name, at, dtype, scale))
        lines.append(Line(f"backward() of your run, {dtype}", None, None, own,
                          f"{off(own, want)} {mark(agrees)}"))  # fmt: skip
        if not math.isfinite(want):
            lines.append(Line("finite difference", note="none: the gradient is not a number"))
            section = Section("CHECK", "the same number by another way", lines)
            return Proof(section, lines[0].note.endswith("✔") and agrees)
        found = self.difference(name, at)
        lines.append(Line(f"finite difference, h = {found.h:.0e}", None, None, found.value,
                          self.said(found, name, at)))  # fmt: skip
        section = Section("CHECK", "the same number by two other ways", lines)
        return Proof(section, lines[0].note.endswith("✔") and agrees and found.holds)

    def parameters(self, names: list[str]) -> Proof:
        """The proof of whole parameters: backward() everywhere, a difference at the largest.

        Of a few numbers at all of them.
        """
        lines = [self.same_loss()]
        marks = [lines[0].note.endswith("✔")]
        for name in names:
            line, agrees = self.parameter(name)
            lines.append(line)
            marks.append(agrees)
        total = sum(self.program.gradient_of(name).size for name in names)
        found = [(float(self.program.gradient_of(n)[at]), self.difference(n, at))
                 for n in names for at in self.tried(n, total <= EVERY)]  # fmt: skip
        said, agrees = summary(found, total)
        note = "the largest difference from backward() of your run, relative to the largest entry; "
        if found:
            lines.append(Line("all of these", note=said))
        section = Section("CHECK", note + "and that entry by a finite difference", lines)
        return Proof(section, all(marks) and agrees)

    def tried(self, name: str, every: bool) -> list[tuple[int, ...]]:
        """The entries that are held against differences; none where not all are finite."""
        g = self.program.gradient_of(name)
        if not g.size or not np.isfinite(g).all():
            return []
        if every:
            return list(np.ndindex(g.shape))
        return [tuple(int(i) for i in np.unravel_index(int(np.abs(g).argmax()), g.shape))]

    def parameter(self, name: str) -> tuple[Line, bool]:
        """The proof of one parameter."""
        g, given = self.program.gradient_of(name), self.backward.get(name)
        given = np.zeros(g.shape) if given is None else given
        label = f"∂L/∂{self.program.labels.of(self.program.leaf(name))}"
        scale = _scale(g)
        if not scale:
            agrees = _same_bad(given, g) or not np.abs(given).max(initial=0.0)
            said = "no gradient that is not 0" if np.isfinite(g).all() else "not finite in both"
            return Line(label, None, None, None, f"{said} {mark(agrees)}"), agrees
        at = tuple(int(i) for i in np.unravel_index(int(np.abs(g).argmax()), g.shape))
        off_by = float(np.abs(given - g).max())
        allowed = relative(given.dtype, scale)
        if off_by > allowed:
            allowed = self.allowed(name, at, given.dtype, scale)
        agrees = off_by <= allowed
        if agrees and scale <= allowed:
            said = "0 but for rounding: its terms cancel"
            return Line(label, None, None, None, f"{said} {mark(agrees)}"), agrees
        found = self.difference(name, at)
        where = f"[{','.join(map(str, at))}]" if at else ""
        note = (f"{mark(agrees)}   {label}{where} = {g[at]:.6g}, difference {found.value:.6g} "
                f"(h = {found.h:.0e}): {self.said(found, name, at)}")  # fmt: skip
        return Line(label, None, None, off_by / scale, note), agrees and found.holds

    def said(self, found: Difference, name: str, at: Any) -> str:
        """The verdict of a difference, with the op of a kink."""
        said = found.said(float(self.program.gradient_of(name)[at]))
        if found.verdict != KINK:
            return said
        program = self.program
        moved = tangents(program.forward_graph, program.elements.arrays, program.leaf(name), at)
        ops = kinks(program, moved)
        return f"the point is a kink{f', {ops}' if ops else ''}: {said}"

    def allowed(self, name: str, at: tuple[int, ...], dtype: Any, scale: float) -> float:
        """How far backward() may be off: more where terms cancel, which the dtype then rounds."""
        line = self.program.gradient.get(self.program.leaf(name))
        if line is None:
            return 0.0
        sizes = self.program.sizes(Place(line, at))
        return relative(dtype, scale) + 100 * float(np.finfo(dtype).eps) * sizes

    def same_loss(self) -> Line:
        """The loss of the user's run against the one that is explained."""
        here = self.program.at(Place(self.program.loss, (0,) * self.program.loss.ndim))
        own = float(self.loss)
        eps = float(np.finfo(self.loss.dtype).eps)
        agrees = same(own, here, 1e4 * eps * max(abs(here), 1e-3))
        return Line(f"loss of your run, {self.loss.dtype}", None, None, own,
                    f"here {here:.9g}, {off(own, here)} {mark(agrees)}")  # fmt: skip

    # ------------------------------------------------------------ differences

    def difference(self, name: str, at: Any) -> Difference:
        """The slope of the loss along one number."""
        program = self.program
        g = program.gradient_of(name)
        base = program.array(program.leaf(name))

        def loss(by: float) -> float:
            moved = base.copy()
            moved[at] += by
            return program.loss_with({name: moved})

        return measured(loss, float(base[at]), float(g[at]), _scale(g), self.noise())

    def noise(self) -> float:
        """How far rounding can move the loss: of every value, times the loss's slope there."""
        program = self.program
        total = 0.0
        for line, g in program.gradient.items():
            terms = np.abs(program.array(g) * program.array(line))
            total += float(terms[np.isfinite(terms)].sum())
        return 8 * float(np.finfo(np.float64).eps) * total


def relative(dtype: Any, scale: float) -> float:
    """How far a number of that dtype may be off, where the largest of its kind is `scale`."""
    return TOLERANCE.get(str(dtype), 1e-8) * scale


def _same_bad(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.isfinite(a), np.isfinite(b))) and not np.isfinite(b).all()


def _scale(g: Any) -> float:
    """The largest size of an entry; 0 where not all are finite."""
    return float(np.abs(g).max(initial=0.0)) if np.isfinite(g).all() else 0.0
