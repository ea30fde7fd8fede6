"""What was seen inside the layers: layers.jsonl of a run, one line a look."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FormatError
from .charts import Histogram, finite

NUMBERS = ("grad", "weight", "update", "ratio", "gain", "weights", "slope", "dead", "saturated",
           "mean", "std")  # fmt: skip
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class Layer:
    """One layer at one step; a number that was not computed is None.

    numbers: by name (see NUMBERS).  activations, gradients: (low, high, counts).
    """

    name: str
    kind: str
    activation: str | None
    numbers: dict[str, float | None]
    dead_units: list[int] | None
    activations: tuple[float, float, list[int]] | None
    gradients: tuple[float, float, list[int]] | None

    def histogram(self, what: str, column: str) -> Histogram | None:
        """The counts of 'activations' or 'gradients', where there are any."""
        held = getattr(self, what)
        if held is None or not (finite(held[0]) and finite(held[1])):
            return None
        return Histogram(self.name, column, *held)


@dataclass(frozen=True)
class Look:
    """All layers at one step."""

    step: int
    epoch: int | None
    loss: float | None
    overhead: float | None
    layers: list[Layer]


def read_looks(path: Path) -> list[Look] | None:
    """The looks of a run in order of their steps; None where the run has none.

    A last line that was cut off is left out.  Raises FormatError for what is no look.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return None
    return [_look(line, f"{path.name}:{i}") for i, line in enumerate(lines, 1)] or None


def _look(line: bytes, where: str) -> Look:
    try:
        held = json.loads(line)
        layers = [_layer(x) for x in held["layers"]]
        return Look(int(held["step"]), held.get("epoch"), _number(held.get("loss")),
                    _number(held.get("overhead")), layers)  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FormatError(
            f"{where} is no look inside the layers", got=f"{type(error).__name__}: {error}"[:80],
            fix="chainrule train writes it anew", line="",
        ) from None  # fmt: skip


def _layer(held: dict[str, Any]) -> Layer:
    return Layer(
        str(held["name"]), str(held.get("kind", "")), held.get("activation"),
        {name: _number(held.get(name)) for name in NUMBERS}, held.get("dead_units"),
        _counts(held.get("activations")), _counts(held.get("gradients")),
    )  # fmt: skip


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        return NOT_FINITE[value]
    return float(value)


def _counts(held: Any) -> tuple[float, float, list[int]] | None:
    if held is None:
        return None
    low, high = _number(held["low"]), _number(held["high"])
    if low is None or high is None:
        return None
    return low, high, [int(n) for n in held["counts"]]


def names_of(looks: Iterable[Look]) -> list[str]:
    """The layers in the order in which they stand."""
    return list(dict.fromkeys(layer.name for look in looks for layer in look.layers))


def series_of(looks: list[Look], name: str, number: str) -> list[float | None]:
    """A layer's number at every look."""
    found: list[float | None] = []
    for look in looks:
        layer = next((x for x in look.layers if x.name == name), None)
        found.append(None if layer is None else layer.numbers[number])
    return found
