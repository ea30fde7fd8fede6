"""What was seen inside the layers, as charts ask for it (see `train.Watch`)."""

from __future__ import annotations

from pathlib import Path

from ..train.watch import Layer, Look, looks_in
from .charts import Histogram

NUMBERS = ("grad", "weight", "update", "ratio", "gain", "weights", "slope", "dead", "saturated",
           "mean", "std")  # fmt: skip


def read_looks(path: Path) -> list[Look] | None:
    """The looks of a run in order of their steps; None where the run has none.

    A last line that was cut off is left out.  Raises FormatError for what is no look.
    """
    return looks_in(path) or None


def begun(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]


def numbers_of(layer: Layer) -> dict[str, float | None]:
    """What is compared of a layer, by name."""
    return {name: getattr(layer, name) for name in NUMBERS}


def histogram(layer: Layer, what: str, column: str = "") -> Histogram | None:
    """The counts of 'activations' or 'gradients', where there are any."""
    held = getattr(layer, what)
    if held is None:
        return None
    return Histogram(layer.name, column, held.low, held.high, held.counts)
