"""Many steps in machine code: what moves from step to step, and coming back now and then.

Inputs that are batches are rows of larger arrays: taken where they lie, or copied in the order of
row numbers. Other addresses move by a fixed distance: learning rates of every step, results that
are kept. A turn takes about 50 ms (see `pace`), so that signals, callbacks and progress get theirs.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from contextlib import ExitStack
from ctypes import addressof
from typing import Any, NamedTuple

import numpy as np

from . import threads
from .executable import Executable, address_of, aligned
from .pace import taken

HEAD = 9


class Moving(NamedTuple):
    """An argument whose address moves: its place in the table, its array, the distance.

    It begins `start` steps from the array's begin, and begins again there after `period` steps.
    """

    place: int
    rows: Any
    bytes_a_step: int
    start: int = 0
    period: int = 0


class Gathered(NamedTuple):
    """An argument that is a batch of chosen rows: its place in the table, the array of all rows."""

    place: int
    rows: Any


class Leg:
    """Steps of an executable that differ in addresses only.

    fixed: an array for every input and output of the program, None where it moves or is gathered.
    order: row numbers, (steps, batch), for gathered inputs.  watched: outputs (bool) of which false
    ends the steps.
    """

    def __init__(
        self, executable: Executable, fixed: Sequence[Any], moving: Sequence[Moving],
        gathered: Sequence[Gathered] = (), order: Any = None, watched: Sequence[int] = (),
    ) -> None:  # fmt: skip
        self.executable = executable
        self.fixed, self.moving, self.gathered = fixed, moving, gathered
        self.batch = 0 if order is None else order.shape[1]
        self.order = None if order is None else np.ascontiguousarray(order, np.int64)
        self.staged = [aligned(self.batch * g.rows[:1].nbytes) for g in gathered]
        self.watched = watched
        self.told: Any = None  # what the native loop was told; it writes the steps done into it

    @property
    def done(self) -> int:
        """How many steps have been made."""
        return 0 if self.told is None else int(self.told[1])

    def plan(self, count: int, flag: Any) -> Any:
        """What the native loop is told of `count` steps a round; fills the table too."""
        head = [0] * HEAD
        head[0], head[2] = count, address_of(flag)
        head[3], head[4], head[5] = len(self.moving), len(self.gathered), self.batch
        head[6] = 0 if self.order is None else address_of(self.order)
        head[8] = len(self.watched)
        e = self.executable
        e.point(self.fixed, e.new(self.fixed))
        for m in self.moving:
            begin = address_of(m.rows)
            end = begin + m.period * m.bytes_a_step if m.period else 0
            head += [m.place, begin + m.start * m.bytes_a_step, m.bytes_a_step, end, begin]
        for g, staged in zip(self.gathered, self.staged, strict=True):
            head += [address_of(g.rows), address_of(staged), g.rows[:1].nbytes]
            e.table[g.place] = address_of(staged)
        self.told = np.array([*head, *self.watched], np.int64)
        return self.told


class Steps:
    """Rounds of steps in machine code: in each, every leg makes its own number of them.

    drive: the address of the native loop (`compiler.llvm.driver`).  shares: steps of a round, leg
    by leg.  An epoch of equal batches is one leg; one whose last batch is smaller has two.
    """

    def __init__(self, drive: int, legs: Sequence[Leg], shares: Sequence[int]) -> None:
        kinds = [ctypes.c_void_p] + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
        self.call = ctypes.CFUNCTYPE(None, *kinds)(drive)
        self.flag = np.zeros(1, np.int64)  # not 0: ends before the next step
        self.legs, self.shares = legs, shares

    @property
    def done(self) -> list[int]:
        """How many steps each leg has made."""
        return [leg.done for leg in self.legs]

    def stop(self) -> None:
        """Ends the steps before the next one; may be called from any thread."""
        self.flag[0] = 1

    def run(self, rounds: int, team: int) -> list[int]:
        """So many rounds on so many threads, or fewer if they were ended; gives the steps made."""
        start = time.perf_counter()
        with ExitStack() as held:
            told = [rounds, len(self.legs)]
            for leg, share in zip(self.legs, self.shares, strict=True):
                e = leg.executable
                held.enter_context(e.lock)
                told += [address_of(leg.plan(share, self.flag)), e.address, addressof(e.table)]
            given = np.array(told, np.int64)
            sync = address_of(self.legs[0].executable.sync)
            calls = [(address_of(given), n, team, sync) for n in range(team)]
            threads.run_together(self.call, calls)
        taken(
            [leg.executable.pace for leg in self.legs], self.done,
            time.perf_counter() - start, team,
        )  # fmt: skip
        return self.done
