"""Whole epochs in machine code: what moves from step to step, and coming back now and then.

A `Loop` runs a compiled program many times.  Inputs that are batches are rows of larger arrays:
taken where they lie, or copied in the order of row numbers; other addresses move by a fixed
distance (learning rates step by step, outputs that are kept).  It returns to Python about every
50 ms, so that signals, callbacks and progress get their turn.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import threads
from .executable import Executable, aligned

HEAD = 8
TURN_SECONDS = 0.05


class Moving(NamedTuple):
    """An argument whose address moves: place in the table, array of a row a step."""

    place: int
    rows: Any
    bytes_a_step: int


class Gathered(NamedTuple):
    """An argument that is a batch of chosen rows: place in the table, the array of all rows."""

    place: int
    rows: Any


class Loop:
    """Many runs of an executable.

    drive: the address of the native loop (`compiler.llvm.driver`).  fixed: an array for every
    input and output of the program, None where it moves or is gathered.  order: row numbers of all
    steps, (steps, batch), where there are gathered inputs.
    """

    def __init__(
        self, executable: Executable, drive: int, fixed: Sequence[Any], moving: Sequence[Moving],
        gathered: Sequence[Gathered] = (), order: Any = None,
    ) -> None:  # fmt: skip
        self.executable = executable
        kinds = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
        self.call = ctypes.CFUNCTYPE(None, *kinds)(drive)
        self.flag = np.zeros(1, np.int64)  # not 0: ends before the next step
        self.fixed, self.moving, self.gathered = list(fixed), list(moving), list(gathered)
        self.batch = 0 if order is None else order.shape[1]
        self.order = None if order is None else np.ascontiguousarray(order, np.int64)
        self.staged = [aligned(self.batch * g.rows[:1].nbytes) for g in self.gathered]
        self.plan = np.zeros(HEAD + 3 * (len(self.moving) + len(self.gathered)), np.int64)
        self.step_seconds = 0.0  # the last measured time of a step

    def stop(self) -> None:
        """Ends the run before its next step; may be called from any thread."""
        self.flag[0] = 1

    def prepare(self, first: int) -> None:
        """Writes the plan for steps from `first` on, and the table."""
        plan, table = self.plan, self.executable.table
        plan[2] = self.flag.ctypes.data
        plan[3], plan[4], plan[5] = len(self.moving), len(self.gathered), self.batch
        if self.order is not None:
            plan[6] = self.order.ctypes.data + first * self.batch * 8
        place = HEAD
        for m in self.moving:
            plan[place : place + 3] = (
                m.place, m.rows.ctypes.data + first * m.bytes_a_step, m.bytes_a_step
            )  # fmt: skip
            place += 3
        for g, staged in zip(self.gathered, self.staged, strict=True):
            size = g.rows[:1].nbytes
            plan[place : place + 3] = g.rows.ctypes.data, staged.ctypes.data, size
            table[g.place] = staged.ctypes.data
            place += 3
        for i, a in enumerate(self.fixed):
            if a is not None:
                table[i] = a.ctypes.data

    def run(self, first: int, count: int) -> int:
        """Steps first .. first + count - 1, or fewer if `stop` was called; gives how many."""
        e = self.executable
        with e.lock:
            self.prepare(first)
            self.plan[0], self.plan[1] = count, 0
            team = threads.worthwhile(e.shared_work)
            plan, sync = self.plan.ctypes.data, e.sync.ctypes.data
            threads.run_together(lambda n: self.call(plan, e.address, e.table, n, team, sync), team)
        return int(self.plan[1])

    def turn(self, first: int, most: int) -> int:
        """About TURN_SECONDS worth of steps, at most so many; gives how many were done."""
        count = 1
        if self.step_seconds:
            count = max(1, min(most, int(TURN_SECONDS / self.step_seconds)))
        start = time.perf_counter()
        done = self.run(first, min(count, most))
        if done:
            now = (time.perf_counter() - start) / done
            # the first turn is one step, mostly overhead: later ones are trusted as they are
            self.step_seconds = max(now, 1e-8)
        return done
