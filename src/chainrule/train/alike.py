"""Two run folders compared: the last checkpoint, the weights that were kept, the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .packing import pack
from .run import Run
from .state import COUNTERS

PARTS: dict[str, tuple[str, ...]] = {
    "weights": ("model", "loss"),
    "optimizer": ("optimizer",),
    "scheduler": ("scheduler",),
    "random numbers": ("rng", "seed"),
    "loader position": ("loader", "batch", "trained"),
    "average of weights": ("ema",),
    "callbacks": ("callbacks",),
    "history": ("rows",),
    "counters": (*(c for c in COUNTERS if c != "batch"), "stop", "sums", "norms", "last_loss"),
}
"""What a Trainer's checkpoint holds, by the words of the report; early stopping is among the
callbacks."""

TIMED = ("seconds",)
"""Measured times, which no two runs share."""


@dataclass
class Part:
    """A part of the state: its values and bytes, how many of them differ, and the first that does.

    values: 0 where the training has no such part.
    """

    name: str
    values: int = 0
    bytes: int = 0
    differ: int = 0
    first: str | None = None

    def compare(self, place: str, a: Any, b: Any) -> None:
        """Takes in one value as it is in the one run and in the other."""
        self.values += 1
        x, y = _bytes(a), _bytes(b)
        self.bytes += len(x)
        if x != y:
            self.differ += 1
            self.first = self.first or f"{place}: {_told(a, b)}"


def compared(one: Run, other: Run, parts: Mapping[str, tuple[str, ...]]) -> list[Part]:
    """Every part of two runs of the same fit, byte by byte.  parts: as PARTS is."""
    a, b = (run.checkpoints.load().state for run in (one, other))
    found = [part_of(name, keys, a, b) for name, keys in parts.items()]
    kept = Part("model.safetensors")
    x, y = ((run.path / "model.safetensors").read_bytes() for run in (one, other))
    kept.compare(f"{len(x):,} bytes", x, y)
    log = Part("log")
    _each(log, "", _leaves(one.rows), _leaves(other.rows))
    return [*found, kept, log]


def part_of(name: str, keys: tuple[str, ...], a: Mapping[str, Any], b: Mapping[str, Any]) -> Part:
    """The values below some keys of two states."""
    part = Part(name)
    for key in keys:
        held = [_leaves(state.get(key)) for state in (a, b)]
        _each(part, key, *held)
    return part


def _each(part: Part, key: str, a: dict[str, Any], b: dict[str, Any]) -> None:
    for place in dict.fromkeys([*a, *b]):
        where = f"{key}{place}".lstrip(".")
        part.compare(where, a.get(place, "nothing"), b.get(place, "nothing"))


def _leaves(value: Any) -> dict[str, Any]:
    """Numbers, texts and arrays of a state by their place; nothing where it is None."""
    body, tensors = pack(value)
    arrays = {name: np.asarray(t._value) for name, t in tensors.items()}
    return dict(_walk(body, "", arrays))


def _walk(value: Any, place: str, arrays: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and set(value) == {"$tensor"}:
        yield place, arrays[value["$tensor"]]
    elif isinstance(value, dict):
        for key, held in value.items():
            if key not in TIMED:
                yield from _walk(held, place if key[:1] == "$" else f"{place}.{key}", arrays)
    elif isinstance(value, list):
        for i, held in enumerate(value):
            yield from _walk(held, f"{place}.{i}", arrays)
    elif value is not None:
        yield place, value


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}".encode() + value.tobytes()
    return repr(value).encode()


def _told(a: Any, b: Any) -> str:
    if isinstance(a, bytes):
        return "other bytes"
    arrays = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    if not arrays or (a.shape, a.dtype) != (b.shape, b.dtype):
        x, y = (_short(v) for v in (a, b))
        return f"{x} without, {y} with kills"
    raw = [np.ascontiguousarray(v).reshape(-1, 1).view(np.uint8) for v in (a, b)]
    odd = np.flatnonzero((raw[0] != raw[1]).any(1))
    x, y = (v.reshape(-1)[odd[0]].item() for v in (a, b))
    return f"{x!r} without, {y!r} with kills, at {int(odd[0])}; {odd.size} of {a.size} numbers"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return repr(value)[:40]
