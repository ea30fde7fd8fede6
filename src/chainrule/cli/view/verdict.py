"""A first judgement while training runs, from few numbers: what is said is a suspicion."""

from __future__ import annotations

import math
from collections.abc import Callable

from .facts import BAD, OK, WARN, Facts, Verdict
from .trend import slope

RATIO_LOW, RATIO_HIGH = 1e-4, 1e-2  # update:weight, the usual band
RATIO_FAR_LOW, RATIO_FAR_HIGH = 1e-6, 1e-1  # beyond: said in the verdict
DEAD, SATURATED = 0.5, 0.5  # share of a layer's units, of its values
DIVERGED, RISEN = 3.0, 1.3  # times the best training loss so far, for so many epochs:
LASTING = 3
STALE = 10  # epochs without a better validation loss


def ratio_word(ratio: float) -> str:
    """'ok', 'low' or 'high' for an update:weight ratio."""
    return "low" if ratio < RATIO_LOW else "high" if ratio > RATIO_HIGH else "ok"


def _not_finite(f: Facts) -> Verdict | None:
    for name, series in (("training", f.loss), ("validation", f.val_loss)):
        if series.now is not None and not math.isfinite(series.now):
            return Verdict(BAD, "loss-not-finite", f"the {name} loss is not finite")
    return None


def _rising(f: Facts) -> Verdict | None:
    best, rate = f.loss.best(), slope(f.loss.values[-4:])
    if best is None or f.loss.now is None or rate is None or rate <= 0:
        return None
    times = min(f.loss.values[-LASTING:]) / best[0] if best[0] > 0 else 1.0
    where = (
        f"for {LASTING} epochs the training loss is at least {times:.1f} times its best "
        f"(epoch {_at(f, best[1])})"
    )
    if times >= DIVERGED:
        return Verdict(BAD, "suspected:diverging", f"{where}. Suspected: lr too high")
    if times >= RISEN:
        return Verdict(WARN, "suspected:loss-rising", f"{where}. Suspected: lr too high")
    return None


def _ratios(f: Facts) -> Verdict | None:
    # Drawn by the schedule alone, a small step is no finding: `judged` leaves it out.
    judged = [(layer.judged, layer.name) for layer in f.layers if layer.judged is not None]
    if not judged:
        return None
    low, high = min(judged), max(judged)
    if high[0] > RATIO_FAR_HIGH:
        return Verdict(
            WARN, "suspected:update-high",
            f"{high[1]} changes by {high[0]:.1e} of its size a step. Suspected: lr too high",
        )  # fmt: skip
    if low[0] < RATIO_FAR_LOW:
        return Verdict(
            WARN, "suspected:update-low",
            f"{low[1]} changes by {low[0]:.1e} of its size a step. "
            "Suspected: lr too low, or no gradient reaches it",
        )  # fmt: skip
    return None


def _dead(f: Facts) -> Verdict | None:
    for layer in f.layers:
        if layer.dead is not None and layer.dead > DEAD:
            return Verdict(
                WARN, "suspected:dead-units",
                f"{layer.dead:.0%} of {layer.name}'s units are 0 on all probe rows. "
                "Suspected: lr too high or a bad start",
            )  # fmt: skip
        if layer.saturated is not None and layer.saturated > SATURATED:
            return Verdict(
                WARN, "suspected:saturated",
                f"{layer.saturated:.0%} of {layer.name}'s values lie where the activation is "
                "flat. Suspected: weights or inputs too large",
            )  # fmt: skip
    return None


def _stale(f: Facts) -> Verdict | None:
    best = f.val_loss.best()
    if best is None or len(f.val_loss.values) - best[1] < max(STALE, f.patience or 0):
        return None
    still = slope(f.loss.values)
    idle = len(f.val_loss.values) - best[1]
    if still is not None and still < -0.005:
        return Verdict(
            WARN, "suspected:overfitting",
            f"validation has not improved for {idle} epochs while training has. "
            "Suspected: overfitting",
        )  # fmt: skip
    return Verdict(
        WARN, "no-improvement", f"validation has not improved for {idle} epochs (best: epoch "
        f"{_at(f, best[1])})",
    )  # fmt: skip


RULES: tuple[Callable[[Facts], Verdict | None], ...] = (
    _not_finite, _rising, _dead, _ratios, _stale,
)  # fmt: skip
"""Worst first: the first that finds something speaks."""


def judge(f: Facts) -> Verdict:
    """The verdict on the facts as they stand."""
    if f.loss.now is None:
        return Verdict(OK, "starting", "starting: no epoch is finished yet")
    for rule in RULES:
        found = rule(f)
        if found is not None:
            return found
    return Verdict(OK, "healthy", "healthy." + _waiting(f))


def _waiting(f: Facts) -> str:
    best = f.val_loss.best()
    idle = len(f.val_loss.values) - best[1] if best else 0
    if not idle:
        return ""
    limit = f" (patience {f.patience})" if f.patience else ""
    return f" Validation has not improved for {idle} epoch{'s' * (idle > 1)}{limit}."


def _at(f: Facts, place: int) -> int:
    return f.first_epoch + place - 1
