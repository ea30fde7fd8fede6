"""How a network came to be: its weights at moments of the training, and the data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..derivation.writing import number
from ..ops.core import quietly
from ..tensor.autograd import no_grad
from ..tensor.core import wrap
from .network import Small
from .record import forward, output_key, outputs_program

GRID = 60
"""Points of the plane's map, each way."""
MOST_NUMBERS = 30_000
"""Weights in all moments together: beyond it, fewer moments are kept."""


@dataclass
class Moment:
    """Weights at a moment, by key (W1, b1, ...), the loss and the share of right answers."""

    at: str
    loss: float
    accuracy: float | None
    weights: dict[str, Any]


@dataclass
class Training:
    """Moments in order, the data that were learned, and a sentence on where they come from.

    x: (rows, inputs) or None.  y: classes (rows,).
    """

    says: str
    moments: list[Moment]
    x: Any = None
    y: Any = None
    names: tuple[str, ...] = ()

    @property
    def accurate(self) -> bool:
        """Whether there are shares of right answers."""
        return all(m.accuracy is not None for m in self.moments)

    def rows(self) -> list[dict[str, str]]:
        """For the table."""
        return [
            {"at": m.at, "loss": number(m.loss),
             "accuracy": "" if m.accuracy is None else f"{100 * m.accuracy:.1f} %"}
            for m in self.moments
        ]  # fmt: skip

    def as_data(self, net: Small) -> dict[str, Any]:
        """For JSON: weights as they are in float32 or float64."""
        found: dict[str, Any] = {
            "says": self.says,
            "dtype": str(next(iter(self.moments[0].weights.values())).dtype),
            "moments": [
                {"at": m.at, "loss": _number(m.loss), "accuracy": m.accuracy,
                 "weights": {k: shortest(v) for k, v in m.weights.items()}}
                for m in self.moments
            ],
            "examples": None,
            "map": None,
        }  # fmt: skip
        if self.x is not None:
            found["examples"] = {"x": [shortest(r) for r in self.x], "y": [int(c) for c in self.y],
                                 "classes": list(self.names)}  # fmt: skip
            if self.x.shape[1] == 2:
                low, high = limits(self.x)
                rows = GRID * GRID + len(self.x)
                found["map"] = {
                    "grid": GRID, "low": low, "high": high, "program": outputs_program(net, rows),
                }  # fmt: skip
        return found


def outputs(net: Small, x: Any, weights: dict[str, Any]) -> Any:
    """What the network gives for rows of inputs, in float64."""
    named = {"x": x, **weights}
    with no_grad(), quietly():
        held = {k: wrap(np.ascontiguousarray(a, np.float64)) for k, a in named.items()}
        return np.asarray(forward(net, held)[output_key(net)])


def measured(net: Small, at: str, weights: dict[str, Any], x: Any, y: Any) -> Moment:
    """A moment with the mean loss and the share of right answers on examples, in float64."""
    out = outputs(net, x, weights)
    target = np.eye(out.shape[1])[np.asarray(y)]
    target = target * (1 - net.loss.smoothing) + net.loss.smoothing / out.shape[1]
    loss = float(net.loss.of(wrap(out), wrap(target)).item())
    return Moment(at, loss, float((out.argmax(1) == np.asarray(y)).mean()), weights)


def _number(x: float) -> float | str:
    return x if math.isfinite(x) else str(x)


def shortest(values: Any) -> list[float]:
    """The shortest decimals that give the same numbers again in the array's own dtype."""
    flat = np.ravel(values)
    if flat.dtype == np.float32:
        return [float(np.format_float_scientific(v)) for v in flat]
    return [float(v) for v in flat]


def limits(x: Any) -> tuple[list[float], list[float]]:
    """A square around the data, with room at its sides."""
    x = np.asarray(x, np.float64)
    middle = (x.min(0) + x.max(0)) / 2
    half = max(float((x.max(0) - x.min(0)).max()) / 2, 1e-6) * 1.15
    return [float(m - half) for m in middle], [float(m + half) for m in middle]


T = TypeVar("T")


def thinned(moments: list[T], most: int) -> list[T]:
    """At most so many moments, the first and the last among them, more of the early ones."""
    if len(moments) <= most:
        return moments
    last = len(moments) - 1
    kept = sorted({round(last * (i / (most - 1)) ** 2) for i in range(most)})
    return [moments[i] for i in kept]
