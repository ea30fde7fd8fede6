"""What a curve does, as a sparkline and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

WINDOW = 10
FLAT = 0.005  # a change of less than half a per cent an epoch
STEEPEST = 100.0  # of a logarithm: beyond, its exponential may overflow
BAND = 0.02  # within 2 per cent of now: not moved since


def sparkline(values: Sequence[float], levels: str, size: int = WINDOW) -> str:
    """The last `size` values as bars between their least and greatest; '?' where not finite."""
    shown = list(values)[-size:]
    finite = [v for v in shown if math.isfinite(v)]
    if not finite:
        return "?" * len(shown)
    low, high = min(finite), max(finite)
    top = len(levels) - 1
    half = high / 2 - low / 2  # the difference itself may overflow

    def level(v: float) -> int:
        return round((v / 2 - low / 2) / half * top) if half else 0

    return "".join(levels[level(v)] if math.isfinite(v) else "?" for v in shown)


def slope(values: Sequence[float]) -> float | None:
    """Relative change an epoch over the window (-0.03: falls by 3 %), by least squares on logs."""
    shown = list(values)[-WINDOW:]
    if len(shown) < 2 or not all(math.isfinite(v) and v > 0 for v in shown):
        return None
    n = len(shown)
    logs = [math.log(v) for v in shown]
    centre, mean = (n - 1) / 2, sum(logs) / n
    rise = sum((i - centre) * (v - mean) for i, v in enumerate(logs))
    return math.expm1(min(rise / sum((i - centre) ** 2 for i in range(n)), STEEPEST))


def flat_since(values: Sequence[float], first_epoch: int = 1) -> int:
    """The epoch from which on the curve stayed within 2 % of where it is now."""
    now = values[-1]
    since = len(values) - 1
    while since > 0 and abs(values[since - 1] - now) <= BAND * abs(now):
        since -= 1
    return first_epoch + since


def in_words(values: Sequence[float], first_epoch: int = 1) -> str:
    """'falling 3.1 %/epoch', 'rising ...', 'flat since 32', or '' for too few values."""
    if values and not math.isfinite(values[-1]):
        return "not finite"
    rate = slope(values)
    if rate is None:
        return ""
    if abs(rate) < FLAT:
        return f"flat since {flat_since(values, first_epoch)}"
    if rate > 10:
        return "rising > 1000 %/epoch"
    return f"{'falling' if rate < 0 else 'rising'} {abs(rate) * 100:.1f} %/epoch"
