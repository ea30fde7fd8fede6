"""Columns as numbers that a network takes: numbers on one scale, dates as parts."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CLIP = 3.0
"""No scaled value is farther from 0 than this."""
HUGE = 1e30
DAY_US = 86_400_000_000
PARTS = {"month": 12, "weekday": 7, "hour": 24}
"""The parts of a date that come round, and how often."""


@dataclass(frozen=True)
class Scaling:
    """z = (x - median) / spread, y = z / sqrt(1 + (z/3)^2): robust scaling, smoothly clipped.

    spread is q0.75 - q0.25; where that is 0, half the range; where that is 0 too, y = 0. median
    and spread are kept at half their size: the range of float64 values can be no float64.

    Source: D. Holzmueller, L. Grinsztajn, I. Steinwart, Better by Default, NeurIPS 2024, section 3.
    """

    half_median: float
    half_spread: float

    @classmethod
    def of(cls, x: Any) -> Scaling:
        """By the values of a column that are there (x: (n,) float64, n >= 1)."""
        half = np.sort(x) * 0.5
        low, median, high = np.quantile(half, (0.25, 0.5, 0.75)).tolist()
        spread = high - low
        if spread == 0.0:
            spread = 0.5 * (float(half[-1]) - float(half[0]))
        return cls(median, spread)

    def apply(self, x: Any) -> Any:
        """(n,) float64, nan taken for the median, to (n,) float32 between -3 and 3."""
        if self.half_spread == 0.0:
            return np.zeros(len(x), np.float32)
        with np.errstate(over="ignore"):
            z = (x * 0.5 - self.half_median) / self.half_spread
        z = np.clip(np.where(np.isnan(x), 0.0, z), -HUGE, HUGE)
        return (z / np.hypot(1.0, z / CLIP)).astype(np.float32)

    @classmethod
    def from_json(cls, data: dict[str, float]) -> Scaling:
        """What `to_json` gave; TypeError or ValueError for anything else."""
        found = cls(**{k: float(v) for k, v in data.items()})
        if not (math.isfinite(found.half_median) and math.isfinite(found.half_spread)):
            raise ValueError("a scale that is not finite")
        return found

    def to_json(self) -> dict[str, float]:
        """The two numbers, exactly."""
        return asdict(self)


def days_of(moments: Any) -> Any:
    """(n,) datetime64[us] as days since 1970, nan where NaT."""
    whole = moments.astype(np.int64)
    return np.where(np.isnat(moments), np.nan, whole / DAY_US)


def part_of(moments: Any, part: str) -> Any:
    """(n,) float64 how far a date is in its year, week or day, from 0 to 1; nan where NaT."""
    gone = np.isnat(moments)
    at = np.where(gone, np.datetime64(0, "us"), moments)
    if part == "month":
        share = at.astype("M8[M]").astype(np.int64) % 12 / 12
    elif part == "weekday":  # 1970 began on a Thursday
        share = (at.astype("M8[D]").astype(np.int64) + 3) % 7 / 7
    else:
        share = at.astype(np.int64) % DAY_US / DAY_US
    return np.where(gone, np.nan, share)


def round_trip(share: Any) -> tuple[Any, Any]:
    """What comes round as a point of the circle: (sin 2 pi s, cos 2 pi s), (0, 0) where nan."""
    angle = 2 * np.pi * np.where(np.isnan(share), 0.0, share)
    there = ~np.isnan(share)
    return tuple((f(angle) * there).astype(np.float32) for f in (np.sin, np.cos))
