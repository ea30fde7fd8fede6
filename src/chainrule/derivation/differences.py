"""A gradient held against a difference of the loss, and what may be said of it.

    slope = (8 (L(h) - L(-h)) - (L(2h) - L(-2h))) / 12h

so that the error falls with the fourth power of the step h.  The same four points give the slope
from either side: where these differ however short the step, the point is a kink, and no difference
says what the rule should give, but only between which two numbers.  And a gradient that is no
larger than what rounding does to the difference is not checked by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..markup import counted

STEPS = 1e-3, 1e-4, 1e-5, 1e-6
"""Distances of finite differences."""
AGREES, DIFFERS, TOO_SMALL, KINK = "agrees", "differs", "too small", "kink"
CLOSE = 1e-7
"""How far a difference may be off, of the largest gradient of its kind."""
TELLS = 1e-3
"""A difference further off than this share of the gradient itself says nothing of it."""


class Difference(NamedTuple):
    """value: the slope with the step h.  allowed: how far it may be off, rounding included.

    left, right: the slopes from either side.
    """

    verdict: str
    value: float
    h: float
    allowed: float
    left: float
    right: float

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the gradient."""
        return self.verdict != DIFFERS

    def said(self, want: float) -> str:
        """The verdict on a gradient in words, with a sign where there is one."""
        if self.verdict == TOO_SMALL:
            return "too small to be checked by a difference: it may be off by " + (
                f"{self.allowed:.0e}, which is more than the gradient"
                if self.allowed > abs(want) else f"{self.allowed:.0e}"
            )  # fmt: skip
        if self.verdict == KINK:
            return f"{self.sides(want)} \N{HEAVY CHECK MARK}"
        return f"{off(self.value, want)} {mark(self.holds)}"

    def sides(self, want: float) -> str:
        """Which side's slope a rule takes at a kink."""
        near = 1e-4 * max(abs(self.left), abs(self.right), abs(want))
        taken = f"{want:.6g}, between the two"
        for side, slope in (("below", self.left), ("above", self.right)):
            if abs(slope - want) <= near:
                taken = f"the one from {side}"
        return (f"slope {self.left:.6g} from below, {self.right:.6g} from above; the rule takes "
                f"{taken}")  # fmt: skip


def measured(
    loss: Callable[[float], float], base: float, want: float, scale: float, noise: float
) -> Difference:
    """A gradient against differences.

    loss: the loss with one number moved by so much.  base: that number.  want: its gradient.
    scale: the largest gradient of its kind.  noise: how far rounding can move the loss.
    """
    best: tuple[float, float, float, float, float] | None = None
    with np.errstate(all="ignore"):
        here = loss(0.0)
        for step in STEPS:  # a shorter one where a kink lies within reach
            h = step * max(1.0, abs(base))
            slopes = _slopes(loss, here, h)
            missed = abs(slopes[0] - want)
            if best is None or missed < best[0] or not math.isfinite(best[0]):
                best = missed, h, *slopes
            if missed <= CLOSE * abs(want) + noise / h:
                break
        assert best is not None
        missed, h, value, left, right = best
        allowed = CLOSE * scale + noise / h
        gap = _gap(left, right, noise / h)
        if gap:
            h /= 10
            _, closer, further = _slopes(loss, here, h)
            if _gap(closer, further, noise / h) > gap / 3:  # curvature shrinks with the step
                low, high = sorted((closer, further))
                near = 1e-4 * max(abs(low), abs(high)) + allowed
                verdict = KINK if low - near <= want <= high + near else DIFFERS
                return Difference(verdict, value, best[1], allowed, closer, further)
    if not same(value, want, allowed):
        verdict = DIFFERS
    elif want and missed > TELLS * abs(want):
        verdict = TOO_SMALL
    else:
        verdict = AGREES
    return Difference(verdict, value, best[1], allowed, left, right)


def _slopes(loss: Callable[[float], float], here: float, h: float) -> tuple[float, float, float]:
    """(the slope, from below, from above)."""
    above, below, far_above, far_below = (loss(k * h) for k in (1, -1, 2, -2))
    return (
        (8 * (above - below) - (far_above - far_below)) / (12 * h),
        (3 * here - 4 * below + far_below) / (2 * h),
        (4 * above - 3 * here - far_above) / (2 * h),
    )


def _gap(left: float, right: float, noise: float) -> float:
    """How far the slopes from both sides are apart; 0 where curvature or rounding may do that."""
    gap = abs(left - right)
    enough = 1e-3 * max(abs(left), abs(right)) + 20 * noise
    return gap if math.isfinite(gap) and gap > enough else 0.0


def summary(found: list[tuple[float, Difference]], total: int) -> tuple[str, bool]:
    """(`9 of 9 gradients agree with finite differences, worst relative difference 1.1e-09`, whether
    that holds) for gradients with their differences, of so many that there are."""
    wrong = sum(d.verdict == DIFFERS for _, d in found)
    kept = [(g, d) for g, d in found if d.verdict in (AGREES, KINK)]
    count = f"{len(kept)} of {counted(len(found), 'gradient')}"
    if len(found) < total:
        count += f" (the largest of {total})"
    worst = max((relative_difference(d.value, g) for g, d in kept if g and d.verdict == AGREES),
                default=0.0)  # fmt: skip
    agree = "agrees" if len(kept) == 1 else "agree"
    said = f"{count} {agree} with finite differences, worst relative difference {worst:.1e}"
    kinks = sum(d.verdict == KINK for _, d in found)
    small = len(found) - len(kept) - wrong
    if kinks:
        said += f"; {kinks} at a kink"
    if small:
        said += f"; {small} too small to be checked by a difference"
    if wrong or kept:
        said += f" {mark(not wrong)}"
    return said, not wrong


def same(a: float, b: float, allowed: float) -> bool:
    """Whether two numbers agree; nan agrees with nan, and an infinity with itself."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return a == b or (math.isnan(a) and math.isnan(b))
    return abs(a - b) <= allowed or a == b


def relative_difference(a: float, b: float) -> float:
    """How far two numbers are apart, relative to the larger."""
    return 0.0 if a == b else abs(a - b) / max(abs(a), abs(b))


def off(a: float, b: float) -> str:
    """How far a number is off, in words."""
    if math.isfinite(b) and not math.isfinite(a):
        return f"{b:.6g} has no room in that dtype"
    if a == b or (math.isnan(a) and math.isnan(b)):
        return "the same"
    if not b:
        return "0 but for rounding"
    return f"relative difference {relative_difference(a, b):.1e}"


def mark(agrees: bool) -> str:
    """The sign of a comparison."""
    return "\N{HEAVY CHECK MARK}" if agrees else "\N{HEAVY MULTIPLICATION X}"
