"""How a network came to be: its weights at moments of the training, and the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..derivation.writing import number
from ..errors import ArgumentError
from ..ops.core import quietly
from ..tensor.autograd import no_grad
from ..tensor.core import wrap
from .network import Small
from .record import Recorded, forward, output_key, outputs_program

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
    with no_grad(), quietly():
        held = {k: wrap(a) for k, a in in_float64({"x": x, **weights}).items()}
        return np.asarray(forward(net, held)[output_key(net)])


def measured(net: Small, at: str, weights: dict[str, Any], x: Any, y: Any) -> Moment:
    """A moment with the mean loss and the share of right answers on examples, in float64."""
    out = outputs(net, x, weights)
    target = np.eye(out.shape[1])[np.asarray(y)]
    target = target * (1 - net.loss.smoothing) + net.loss.smoothing / out.shape[1]
    loss = float(net.loss.of(wrap(out), wrap(target)).item())
    return Moment(at, loss, float((out.argmax(1) == np.asarray(y)).mean()), weights)


def told(
    net: Small, moments: Sequence[tuple[str, Mapping[str, Any]]], data: tuple[Any, Any] | None,
    x: Any, y: Any,
) -> Training | None:  # fmt: skip
    """A training as a user tells it: state dicts by name, and the data."""
    if data is not None and (net.loss.kind != "cross_entropy" or not moments):
        raise ArgumentError(
            "playground: data are classes that were learned, seen at moments of the training",
            expected="CrossEntropyLoss, and moments",
            got=f"{net.loss.kind}, {len(moments)} moments",
            fix="moments=[('end', model.state_dict())]",
        )  # fmt: skip
    if not moments:
        return None
    held = [(str(at), by_key(state, net)) for at, state in moments]
    kept = thinned(held, max(MOST_NUMBERS // sum(a.size for a in net.arrays().values()), 2))
    says = f"{len(held)} moments of the training, {len(kept)} of them here."
    if data is None:
        recorded = Recorded(net, x, y)
        given = {k: recorded.values[k] for k in ("x", "y")}
        return Training(says, [
            Moment(at, float(recorded.run({**given, **in_float64(weights)})["L"]), None, weights)
            for at, weights in kept
        ])  # fmt: skip
    rows, classes = _examples(net, *data)
    says += f" Loss and right answers are those of all {len(rows)} examples."
    names = tuple(map(str, range(net.sizes[-1])))
    found = [measured(net, at, weights, rows, classes) for at, weights in kept]
    return Training(says, found, rows, classes, names)


def in_float64(weights: Mapping[str, Any]) -> dict[str, Any]:
    """The same numbers, to compute with."""
    return {k: np.ascontiguousarray(v, np.float64) for k, v in weights.items()}


def _examples(net: Small, x: Any, y: Any) -> tuple[Any, Any]:
    """Rows and classes; raises where they don't fit the network."""
    rows, classes = np.asarray(x), np.asarray(y)
    fits = rows.ndim == 2 and rows.shape[1] == net.sizes[0] and classes.shape == rows.shape[:1]
    whole = classes.dtype.kind in "iu"
    if not (fits and len(rows) and whole and np.isfinite(rows).all()
            and 0 <= classes.min() <= classes.max() < net.sizes[-1]):  # fmt: skip
        raise ArgumentError(
            "playground: data do not fit the network",
            expected=f"finite inputs (rows, {net.sizes[0]}) and classes (rows,) below "
            f"{net.sizes[-1]}", got=f"{rows.shape} and {classes.shape} of {classes.dtype}",
        )  # fmt: skip
    return rows.astype(np.float32 if rows.dtype == np.float32 else np.float64), classes


def by_key(held: Mapping[str, Any], net: Small) -> dict[str, Any]:
    """Weights by module path as the playground's, by key; raises where one is missing."""
    found: dict[str, Any] = {}
    for i, layer in enumerate(net.layers, 1):
        path = layer.path(held)
        for key, name, shape in (
            (f"W{i}", f"{path}weight", layer.weight.shape[::-1]),
            (f"b{i}", f"{path}bias", None if layer.bias is None else layer.bias.shape),
        ):
            if shape is None:
                continue
            value = np.array(held[name]) if name in held else None
            if value is None or value.shape != shape or not np.isfinite(value).all():
                raise ArgumentError(
                    f"playground: a moment has no such {name}", expected=f"finite numbers {shape}",
                    got="nothing" if value is None else str(value.shape),
                    fix="moments are copies of model.state_dict()",
                )  # fmt: skip
            found[key] = value.T if key[0] == "W" else value
    return found


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
