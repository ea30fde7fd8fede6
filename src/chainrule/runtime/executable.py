"""Machine code as something to call with arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

ALIGNMENT = 64


def aligned(size: int) -> Any:
    """Bytes that begin at a line of the cache."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


class Executable:
    """A compiled program: `run(arrays)` changes some of them in place and returns the outputs."""

    def __init__(
        self, code: Any, address: int, inputs: int, results: Sequence[tuple[Any, Any]], arena: int
    ) -> None:
        self.code = code
        self.call = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
        self.inputs = inputs
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
