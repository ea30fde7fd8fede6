"""Machine code as something to call with arrays."""

from __future__ import annotations

import ctypes
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import threads
from .forks import renew_in_children
from .pace import Pace

ALIGNMENT = 64
SYNC_BYTES = 192
RAN = 2
"""How long the list is that `Executable.run` is given, once the program has run."""


def address_of(a: Any) -> int:
    """Where an array begins; a third of the time that `a.ctypes` takes."""
    address: int = a.__array_interface__["data"][0]
    return address


def aligned(size: int) -> Any:
    """Bytes that begin at a line of the cache, all 0."""
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -address_of(raw) % ALIGNMENT
    return raw[start : start + size]


_nothing: weakref.ref[Any] = weakref.ref(np.zeros(0))  # the array is gone at once


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
    """A compiled program: `run(arrays)` changes some of them in place and returns the outputs.

    code: what keeps the machine code alive.  address: of its function `step`.  inputs: how many
    there are.  results: shape and dtype of each output.  arena: bytes of temporary memory.
    shared_work: how many operations threads share, from which their number follows.  updated: the
    numbers of the inputs that it writes into.
    """

    def __init__(
        self, code: Any, address: int, inputs: int, results: Sequence[tuple[Any, Any]], arena: int,
        shared_work: int = 0, updated: Sequence[int] = (),
    ) -> None:  # fmt: skip
        self.code = code
        self.address = address
        self.times = Times()
        kinds = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
        self.call = ctypes.CFUNCTYPE(None, *kinds)(address)
        self.inputs = inputs
        self.results = list(results)
        self.shared_work = shared_work
        self.updated = frozenset(updated)
        self.arena = aligned(arena + ALIGNMENT)  # vectors may read a little past the end
        self.table = (ctypes.c_void_p * (inputs + len(self.results) + 1))()
        self.table[inputs + len(self.results)] = address_of(self.arena)
        self.known = [_nothing] * (inputs + len(self.results))
        self.renew()
        renew_in_children(self)
        self.pace = Pace()

    def renew(self) -> None:
        """Nobody runs it; its memory serves one run at a time."""
        self.lock = threading.Lock()
        self.sync = aligned(SYNC_BYTES)
        self.sync.view(np.int64)[16] = threads.yielding()

    def run(self, arrays: Sequence[Any], ran: list[Any] | None = None) -> list[Any]:
        """One run on arrays of the shapes and types that the program was made for.

        ran: is given the outputs, and then, in one go with the run, None.  So whoever catches an
        exception that a signal's handler raised in between knows whether the program has run.
        """
        outputs = [np.empty(shape, dtype) for shape, dtype in self.results]
        ran = [] if ran is None else ran
        ran.append(outputs)
        with self.lock:
            new = self.new(arrays)
            given, back = self.in_rows(arrays, new)
            self.point(given, new)
            for i, y in enumerate(outputs, self.inputs):
                self.table[i] = address_of(y)
            try:
                self.run_table(ran)
            finally:
                for a, copy in back if len(ran) == RAN else ():
                    np.copyto(a, copy)
        return outputs

    def new(self, arrays: Sequence[Any]) -> list[int]:
        """The places of the table that have not the addresses of these arrays.

        Most have: parameters and the optimizer's state stay where they are.
        """
        pairs = zip(self.known, arrays, strict=False)
        return [i for i, (known, a) in enumerate(pairs) if known() is not a]

    def point(self, arrays: Sequence[Any], new: Sequence[int]) -> None:
        """Writes the new addresses of arrays into the table; None: that place will move."""
        for i in new:
            a = arrays[i]
            self.known[i] = _nothing if a is None else weakref.ref(a)
            if a is not None:
                self.table[i] = address_of(a)

    def in_rows(
        self, arrays: Sequence[Any], new: Sequence[int]
    ) -> tuple[list[Any], list[tuple[Any, Any]]]:
        """(arrays in row-major order, copied where need be; (array, copy) to be written back)."""
        given = list(arrays)
        back = []
        for i in new:
            a = arrays[i]
            if not a.flags.c_contiguous:
                given[i] = np.ascontiguousarray(a)
                if i in self.updated:
                    back.append((a, given[i]))
        return given, back

    def run_table(self, ran: list[Any]) -> None:
        """One run on what the table of addresses points to; `ran` gets None with it."""
        count = threads.worthwhile(self.shared_work, threads.WORK_OF_ONE_RUN)
        sync = address_of(self.sync)
        threads.run_together(self.call, [(self.table, n, count, sync) for n in range(count)], ran)
