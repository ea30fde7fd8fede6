"""What is said of an array: its spread, its dead units, the values where it is flat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .look import BINS, Bins, Layer

MOST = 8192
"""Of a larger array every n-th value is counted; its least and greatest are still of them all."""
NEARLY_ALL = 0.99
"""A unit is dead if it is 0 on more than this share of the probe's rows."""
FLAT_TANH, FLAT_SIGMOID = 0.97, 0.47
"""|y| of tanh, |y - 1/2| of sigmoid beyond which they are flat."""


def thinned(values: Any) -> Any:
    """The array as one row, or every n-th value of it."""
    flat = values.reshape(-1)
    return flat[:: -(-flat.size // MOST)] if flat.size > MOST else flat


def bins(values: Any) -> Bins | None:
    """The histogram of the finite values; None where there are none."""
    if not values.size:
        return None
    low, high = float(values.min()), float(values.max())
    counted = thinned(values)
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = values[np.isfinite(values)]
        if not finite.size:
            return None
        low, high = float(finite.min()), float(finite.max())
        counted = thinned(finite)
    width = (high / BINS) - (low / BINS)  # of one part; high - low may overflow
    if not width > 0:
        counts = np.zeros(BINS, np.int64)
        counts[0] = counted.size
    else:
        # in float64: a width of float32 numbers near the smallest is 0 as one of them
        places = (counted.astype(np.float64) / width - low / width).astype(np.int64)
        np.minimum(np.maximum(places, 0, out=places), BINS - 1, out=places)
        counts = np.bincount(places, minlength=BINS)
    return Bins(low, high, counts.tolist())


def norm(values: Any) -> float:
    """The Euclidean norm, in float64 where the square overflows."""
    flat = values.reshape(-1)
    square = float(np.vdot(flat, flat))
    if 1e-30 < square < 1e30:
        return float(np.sqrt(square))
    return float(np.linalg.norm(flat.astype(np.float64)))


def moved(layer: Layer, before: Sequence[Any], after: Sequence[Any]) -> None:
    """How large a layer's weights were, and how far a step moved them."""
    layer.weight = math.hypot(*map(norm, before))
    layer.update = math.hypot(*(norm(b - a) for a, b in zip(before, after, strict=True)))
    layer.ratio = layer.update / layer.weight if layer.weight else None


def spread_of(values: Any) -> tuple[float, float]:
    """Mean and deviation, as `mean` and `std` give them but in one pass less."""
    flat = values.reshape(-1)
    mean = np.add.reduce(flat) / flat.size
    return float(mean), norm(flat - mean) / math.sqrt(flat.size)


def dead_units(values: Any, axis: int) -> Any:
    """The units that are 0 on nearly all rows, by number.  axis: along which the units lie."""
    others = tuple(i for i in range(values.ndim) if i != axis % values.ndim)
    return np.flatnonzero((values == 0).mean(others) > NEARLY_ALL)


def flat_share(values: Any, activation: str | None) -> float | None:
    """The share of values where tanh or sigmoid is flat; None for other activations."""
    if activation == "Tanh":
        return float((np.abs(values) > FLAT_TANH).mean())
    if activation == "Sigmoid":
        return float((np.abs(values - 0.5) > FLAT_SIGMOID).mean())
    return None


def twins(weights: Any, gradients: Any) -> list[list[int]]:
    """Rows that are equal in weights and in gradients, in groups of two and more."""
    rows = np.concatenate([a.reshape(len(a), -1) for a in (*weights, *gradients)], 1)
    found: dict[bytes, list[int]] = {}
    for i, row in enumerate(rows + 0.0):  # -0 becomes 0
        found.setdefault(row.tobytes(), []).append(i)
    return [group for group in found.values() if len(group) > 1]
