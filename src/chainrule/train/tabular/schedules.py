"""How learning rate, dropout and decay go over a fit: factors of t, the share of it that is done.

RealMLP's: Holzmüller, Grinsztajn and Steinwart 2024, section 3.
"""

from __future__ import annotations

import math

CYCLES = 4
"""Of the learning rate, each twice as long as the one before."""


def coslog(t: float, cycles: int = CYCLES) -> float:
    """(1 - cos(2 pi log2(1 + (2^cycles - 1) t))) / 2: waves from 0 to 1 to 0, ever longer.

    t: in [0, 1].  Wave i ends at t = (2^i - 1) / (2^cycles - 1); see `ends`.

    >>> from chainrule.train.tabular import coslog
    >>> [round(coslog(t / 15), 3) for t in (0, 0.5, 1, 3, 7, 15)]
    [0.0, 0.93, 0.0, 0.0, 0.0, 0.0]
    """
    return 0.5 * (1.0 - math.cos(2.0 * math.pi * math.log2(1.0 + (2.0**cycles - 1.0) * t)))


def flat_cos(t: float) -> float:
    """1 in the first half, then (1 + cos(pi (2 t - 1))) / 2, down to 0 at t = 1.

    >>> from chainrule.train.tabular import flat_cos
    >>> [flat_cos(t) for t in (0.0, 0.5, 0.75, 1.0)]
    [1.0, 1.0, 0.5, 0.0]
    """
    return 1.0 if t <= 0.5 else 0.5 * (1.0 + math.cos(math.pi * (2.0 * t - 1.0)))


def ends(epochs: int, cycles: int = CYCLES) -> list[int]:
    """The epochs with which the waves of `coslog` end, the last with the fit.

    >>> from chainrule.train.tabular import ends
    >>> ends(256)
    [17, 51, 119, 256]
    """
    last = 2**cycles - 1
    found = [math.floor(epochs * (2**i - 1) / last) for i in range(1, cycles)]
    return sorted({e for e in found if e > 0} | {epochs})
