"""Machine code as something to call with arrays."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

ALIGNMENT = 64


def aligned(size: int) -> Any:
    """Bytes that begin at a line of the cache."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


class Times:
    """What each step of building took, in milliseconds; cached: most of them were not needed."""

    def __init__(self) -> None:
        self.passes = self.lower = self.emit = self.llvm = self.link = 0.0
        self.cached = False

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Adds what the block takes to a step."""
        start = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, name, getattr(self, name) + 1e3 * (time.perf_counter() - start))

    def record(self) -> dict[str, float | bool]:
        """All of it by name, for a run's record."""
        return dict(vars(self))

    def __repr__(self) -> str:
        steps = [f"{k} {v:.1f}" for k, v in vars(self).items() if k != "cached" and v]
        return f"<{', '.join(steps)} ms{', cached' if self.cached else ''}>"


class Executable:
    """A compiled program: `run(arrays)` changes some of them in place and returns the outputs."""

    def __init__(
        self, code: Any, address: int, inputs: int, results: Sequence[tuple[Any, Any]], arena: int
    ) -> None:
        self.code = code
        self.call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
        self.inputs = inputs
        self.times = Times()
        self.results = list(results)
        self.arena = aligned(arena)
        self.table = (ctypes.c_void_p * (inputs + len(self.results) + 1))()
        self.table[inputs + len(self.results)] = self.arena.ctypes.data

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """One run on C-contiguous arrays of the types that the program was made for."""
        outputs = [np.empty(shape, dtype) for shape, dtype in self.results]
        table = self.table
        for i, a in enumerate((*arrays, *outputs)):
            table[i] = a.ctypes.data
        self.call(table)
        return outputs
