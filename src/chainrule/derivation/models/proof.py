"""The proof: the user's own backward(), and a difference of the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..derive import STEPS
from ..elements import Place
from ..parts import Line, Section
from .program import Program

TOLERANCE = {"float32": 2e-3, "float64": 1e-8}
"""How far backward() may be off, of the largest entry that it has."""


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
                          f"{_off(own, want)} {_mark(agrees)}"))  # fmt: skip
        if not math.isfinite(want):
            lines.append(Line("finite difference", note="none: the gradient is not a number"))
            section = Section("CHECK", "the same number by another way", lines)
            return Proof(section, lines[0].note.endswith("✔") and agrees)
        found, step, noise = self.difference(name, at)
        close = same(found, want, 1e-7 * scale + noise)
        lines.append(Line(f"finite difference, h = {step:.0e}", None, None, found,
                          f"{_off(found, want)} {_mark(close)}"))  # fmt: skip
        section = Section("CHECK", "the same number by two other ways", lines)
        return Proof(section, lines[0].note.endswith("✔") and agrees and close)

    def parameters(self, names: list[str]) -> Proof:
        """The proof of whole parameters: backward() everywhere, a difference at the largest."""
        lines = [self.same_loss()]
        marks = [lines[0].note.endswith("✔")]
        for name in names:
            line, agrees = self.parameter(name)
            lines.append(line)
            marks.append(agrees)
        how = "the largest difference from backward() of your run, relative to the largest entry; "
        section = Section("CHECK", how + "and that entry by a finite difference", lines)
        return Proof(section, all(marks))

    def parameter(self, name: str) -> tuple[Line, bool]:
        """The proof of one parameter."""
        g, given = self.program.gradient_of(name), self.backward.get(name)
        given = np.zeros(g.shape) if given is None else given
        label = f"∂L/∂{self.program.labels.of(self.program.leaf(name))}"
        scale = _scale(g)
        if not scale:
            agrees = _same_bad(given, g) or not np.abs(given).max(initial=0.0)
            said = "no gradient that is not 0" if np.isfinite(g).all() else "not finite in both"
            return Line(label, None, None, None, f"{said} {_mark(agrees)}"), agrees
        at = tuple(int(i) for i in np.unravel_index(int(np.abs(g).argmax()), g.shape))
        off = float(np.abs(given - g).max())
        allowed = relative(given.dtype, scale)
        if off > allowed:
            allowed = self.allowed(name, at, given.dtype, scale)
        agrees = off <= allowed
        if agrees and scale <= allowed:
            said = "0 but for rounding: its terms cancel"
            return Line(label, None, None, None, f"{said} {_mark(agrees)}"), agrees
        found, _, noise = self.difference(name, at)
        close = same(found, float(g[at]), 1e-7 * scale + noise)
        note = f"{_mark(agrees)}   {_off(found, float(g[at]))} {_mark(close)}"
        return Line(label, None, None, off / scale, note), agrees and close

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
                    f"here {here:.9g}, {_off(own, here)} {_mark(agrees)}")  # fmt: skip

    # ------------------------------------------------------------ differences

    def difference(self, name: str, at: Any) -> tuple[float, float, float]:
        """(slope of the loss along one number, step, what rounding may add to it)."""
        want = float(self.program.gradient_of(name)[at])
        noise = self.noise()
        best: tuple[float, float, float, float] | None = None
        with np.errstate(all="ignore"):
            for step in STEPS:  # a shorter one where a kink lies within reach
                h, found = self._slope(name, at, step)
                off = abs(found - want)
                if best is None or off < best[0] or not math.isfinite(best[0]):
                    best = off, found, h, noise / h
                if off <= 1e-7 * abs(want) + noise / h:
                    break
        assert best is not None
        return best[1:]

    def _slope(self, name: str, at: Any, step: float) -> tuple[float, float]:
        """From four points, so that the error falls with the fourth power of the step."""
        program = self.program
        base = program.array(program.leaf(name))
        h = step * max(1.0, abs(float(base[at])))
        found = []
        for k in (1, -1, 2, -2):
            moved = base.copy()
            moved[at] += k * h
            found.append(program.loss_with({name: moved}))
        return h, (8 * (found[0] - found[1]) - (found[2] - found[3])) / (12 * h)

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


def same(a: float, b: float, allowed: float) -> bool:
    """Whether two numbers agree; nan agrees with nan, and an infinity with itself."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return a == b or (math.isnan(a) and math.isnan(b))
    return abs(a - b) <= allowed or a == b


def _same_bad(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.isfinite(a), np.isfinite(b))) and not np.isfinite(b).all()


def _scale(g: Any) -> float:
    """The largest size of an entry; 0 where not all are finite."""
    return float(np.abs(g).max(initial=0.0)) if np.isfinite(g).all() else 0.0


def _off(a: float, b: float) -> str:
    """How far a number is off, relative to the larger."""
    if math.isfinite(b) and not math.isfinite(a):
        return f"{b:.6g} has no room in that dtype"
    if a == b or (math.isnan(a) and math.isnan(b)):
        return "the same"
    return f"relative difference {abs(a - b) / max(abs(a), abs(b)):.1e}"


def _mark(agrees: bool) -> str:
    return "✔" if agrees else "✖"
