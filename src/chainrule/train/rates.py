"""The learning rate to try where one was too high: one answer for the error and for diagnose."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .. import optim
from .watch.look import Layer, Look

USUAL = {"SGD": 1e-2, "RMSprop": 1e-3}
"""Where PyTorch's default is not what is usual: too low without momentum, too high."""
UNKNOWN = 1e-3
BEYOND = 10.0
"""So many times the usual one is a rate that may be meant; more is tried nowhere."""
FIELDS = ("lr", "initial_lr", "max_lr")
"""What a parameter group holds of a rate: as it is, and what a schedule starts from or goes to."""


def usual_rate(optimizer: str) -> float:
    """The learning rate that an optimizer, by the name of its class, is usually begun with."""
    if optimizer in USUAL:
        return USUAL[optimizer]
    known = getattr(optim, optimizer, None) if optimizer in dir(optim) else None
    default = inspect.signature(known).parameters["lr"].default if known is not None else None
    return float(default) if isinstance(default, (int, float)) else UNKNOWN


def slower_rate(lr: float, optimizer: str, ratio: float | None = None) -> float:
    """A tenth of a rate; less, where steps change `ratio` of the weights, not 1 %.

    A tenth of an absurd rate is absurd: where that is still far beyond the usual rate of the
    optimizer, it is the usual one; and what `ratio` gives is at most as far beyond as may be meant.
    """
    usual = usual_rate(optimizer)
    if ratio is not None and math.isfinite(ratio) and ratio > 0.1:
        lower = min(float(f"{lr * 0.01 / ratio:.0e}"), BEYOND * usual)
    else:
        lower = usual if lr / 10 > BEYOND * usual else lr / 10
    return float(f"{lower:g}")


def highest_rate(groups: Sequence[Mapping[str, Any]]) -> float | None:
    """The highest finite rate that parameter groups know of, a schedule's included."""
    held = [g[k] for g in groups for k in FIELDS if isinstance(g.get(k), (int, float))]
    return max((float(v) for v in held if math.isfinite(v)), default=None)


def largest_change(looks: Sequence[Look]) -> tuple[float, Layer] | None:
    """What share of its weights the last step seen has changed of a layer, where that is most."""
    layers = looks[-1].layers if looks else []
    known = [(x.ratio, x) for x in layers if x.ratio is not None and not math.isnan(x.ratio)]
    return max(known, key=lambda pair: pair[0], default=None)
