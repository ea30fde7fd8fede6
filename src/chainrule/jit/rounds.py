"""Epochs whose last batch is smaller, in machine code from begin to end.

A smaller batch is a program of its own.  In a turn of rounds both programs make their steps one
after the other, epoch by epoch; what they have in common (parameters, the optimizer's state, its
count of steps) is the same memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..ops.core import current
from ..runtime.loop import Leg, Steps
from ..runtime.pace import plan_rounds
from ..runtime.threads import worthwhile
from ..tensor.random import Draws
from .arguments import Call
from .execute import drive
from .program import Program
from .turn import Planned, Rows, Turn, Turns, fail, setting_places


class Rounds(NamedTuple):
    """A stretch of epochs: in each so many whole batches, then the smaller rest.

    whole, rest: the rows of either, of all epochs.  each: whole batches of an epoch.  done: steps
    of it that have been taken.
    """

    whole: Rows
    rest: Rows
    each: int
    done: int = 0

    @classmethod
    def of(cls, numbers: Any, listed: int, size: int, epochs: int) -> Rounds:
        """numbers: row numbers, `listed` an epoch; None: the rows as they lie, in every epoch."""
        each, rest = divmod(listed, size)
        if numbers is None:
            return cls(
                Rows(None, 0, size, epochs * each, each),
                Rows(None, each * size, rest, epochs, 1), each,
            )  # fmt: skip
        parts = np.split(numbers.reshape(epochs, listed), [each * size], 1)
        whole, last = (np.ascontiguousarray(part).reshape(-1) for part in parts)
        return cls(Rows(whole, 0, size, epochs * each), Rows(last, 0, rest, epochs), each)

    @property
    def left(self) -> int:
        """Steps of it that have not been taken."""
        return self.whole.steps + self.rest.steps - self.done

    def after(self, steps: int) -> Rounds:
        """The stretch when some more steps have been taken."""
        return self._replace(done=self.done + steps)

    def parts(self) -> tuple[Rows, Rows]:
        """Whole batches and rests, from where it stands on."""
        rest = self.done // (self.each + 1)
        return self.whole.after(self.done - rest), self.rest.after(rest)

    def turn(self, turns: Turns, before: tuple[Any, ...]) -> Turn:
        """One turn: whole epochs, or steps of one size where it can't be."""
        place = self.done % (self.each + 1)
        if not place:
            found = _Pair(turns, self, before).turn()
            if found is not None:
                return found
        whole, rest = self.parts()
        if place < self.each:
            return turns.run(whole, before, self.each - place)
        return turns.run(rest, before, 1)


class _Pair:
    """The programs of whole batches and of the rest, about to take turns."""

    def __init__(self, turns: Turns, rounds: Rounds, before: tuple[Any, ...]) -> None:
        self.turns, self.rounds, self.before = turns, rounds, before
        self.shares = [rounds.each, 1]
        self.programs: list[Program] = []
        self.calls: list[Call] = []
        self.outputs: list[list[Any]] = []
        self.common: list[tuple[Any, Any]] = []  # counts that stand for the same, in either
        self.planned: Planned | None = None  # settings that a schedule changes from step to step

    def turn(self) -> Turn | None:
        """So many epochs as fit into a turn; None where they can't be made like that."""
        turns = self.turns
        turns.last = None
        if current.anomaly is not None:
            return None
        turns.made = False
        try:
            for rows in self.rounds.parts():
                program, call = turns.recorded(rows.size, self.before)
                if program is None:
                    return None
                self.programs.append(program)
                self.calls.append(call)
            whole, rest = self.programs
            if whole is rest or not _alternate(whole, rest):
                return None
            with whole.lock, rest.lock:
                return self.run(self.rounds.left // sum(self.shares))
        finally:
            if not turns.made:
                self.settle_schedule(0)
                for program in reversed(self.programs):  # draws are given back as they were taken
                    fail(program, [])

    def run(self, most: int) -> Turn | None:
        """The epochs, if their programs are known well enough."""
        arrays = [p._collect(c) for p, c in zip(self.programs, self.calls, strict=True)]
        for part in self.programs[1].parts:
            if isinstance(part, Draws):
                part.failed()  # the first program's part counts for both
        if any(getattr(part, "is_first", False) for p in self.programs for part in p.parts):
            return None
        self.common = _in_common(self.programs, arrays)
        executables = [p.executable for p in self.programs]
        threads = worthwhile(executables[0].shared_work)
        plan = plan_rounds([e.pace for e in executables], self.shares, most, threads)
        if plan is None or not self.plan_settings(plan[0]):
            return None
        legs = self.legs(arrays, plan[0])
        if legs is None:
            return None
        native = Steps(drive(), legs, self.shares)
        return self.turns.stepped(native, *plan, self.books, self.planned)

    def plan_settings(self, count: int) -> bool:
        """The settings of every step, where there is a schedule; False where it may end early."""
        turns, steps = self.turns, count * sum(self.shares)
        if turns.scheduler is None:
            return True
        self.planned = Planned(turns.scheduler, self.programs[0], steps, turns.usable)
        return self.planned.count == steps

    def settle_schedule(self, done: int) -> None:
        """Puts the schedule where the steps ended."""
        if self.planned is not None:
            self.planned.settle(done)

    def legs(self, arrays: list[list[Any]], count: int) -> list[Leg] | None:
        """The steps of both programs as addresses; None where they would not share all memory."""
        found = []
        for n, (program, rows) in enumerate(zip(self.programs, self.rounds.parts(), strict=True)):
            self.turns.check(program, arrays[n], self.calls[n], rows.size)
            e, steps = program.executable, count * self.shares[n]
            given, back = e.in_rows(arrays[n], e.new(arrays[n]))
            if back:  # a parameter that does not lie row by row: a copy of it would be two
                return None
            self.outputs.append([np.empty((steps, *s), d) for s, d in e.results])
            columns: list[tuple[int, Any]] = []
            if self.planned is not None:
                columns = self.planned.columns(program, self.is_rest(self.planned.count) == n)
            found.append(self.turns.leg(program, given, self.outputs[n], rows, steps, columns))
        return found

    def books(self, steps: Sequence[int]) -> Turn:
        """What follows from steps that were done; all of it may be done twice."""
        whole = self.programs[0]
        done = sum(steps)
        for array, other in self.common:
            np.copyto(other, array)
        if not done:
            return Turn(whole, [], 0)
        refused = self.refused(done)
        good = done if refused is None else done - 1
        self.settle_schedule(good)
        if good:
            self.turns.made = True
        counts = self.counts(good)
        last = self.last(good)
        for n in (1 - last, last):  # what the last step leaves (a gradient) is what stays
            if counts[n]:
                values = [o[counts[n] - 1] for o in self.outputs[n]]
                self.programs[n]._settle(self.calls[n], values, good)
            else:
                fail(self.programs[n], [])
        ours, theirs = (o[: whole.returned] for o in self.outputs)
        outputs = [self.in_order(a, b, counts) for a, b in zip(ours, theirs, strict=True)]
        rates = None if self.planned is None else self.planned.rates
        return Turn(whole, outputs, good, refused, rates=rates)

    def counts(self, steps: int) -> tuple[int, int]:
        """How many of so many steps are whole batches, and how many rests."""
        rests = steps // (self.rounds.each + 1)
        return steps - rests, rests

    def is_rest(self, steps: int) -> Any:
        """For each of so many steps whether it is a rest."""
        return np.arange(steps) % (self.rounds.each + 1) == self.rounds.each

    def last(self, steps: int) -> int:
        """Which program made the last of so many steps."""
        return int(steps > 0 and not steps % (self.rounds.each + 1))

    def refused(self, done: int) -> Any:
        """Why the last of the steps was refused, though it was computed; or None."""
        n = self.last(done)
        place = self.counts(done)[n] - 1
        return self.programs[n]._refused([o[place] for o in self.outputs[n]])

    def in_order(self, whole: Any, rest: Any, counts: tuple[int, int]) -> Any:
        """What the steps gave, in the order in which they were made."""
        out = np.empty((sum(counts), *whole.shape[1:]), whole.dtype)
        is_rest = self.is_rest(len(out))
        out[~is_rest], out[is_rest] = whole[: counts[0]], rest[: counts[1]]
        return out


def _alternate(a: Program, b: Program) -> bool:
    """Whether the steps of one program may stand between those of the other."""
    kinds = [p.executable.results[: p.returned] for p in (a, b)]
    if kinds[0] != kinds[1] or len(a.parts) != len(b.parts):
        return False
    pairs = zip(a.parts, b.parts, strict=True)
    alternate = all(hasattr(x, "alternates") and x.alternates(y) for x, y in pairs)
    return alternate and all(_finds_gradients(p, q) for p in (a, b) for q in (a, b))


def _finds_gradients(program: Program, before: Program) -> bool:
    """Whether gradients are there, or not, as a program needs it, after a step of another."""
    if program.from_grads:
        return False
    left = {}
    for tensor, argument, kind, *_ in before.effects:
        if kind not in ("used", "none", "grad"):
            return False
        left[id(tensor), argument] = kind == "grad"
    return all(left.get((id(t), n), there) is there for t, n, there in program.grads)


def _in_common(programs: list[Program], arrays: list[list[Any]]) -> list[tuple[Any, Any]]:
    """Gives the second program the first one's settings and counts; pairs of what is counted.

    Settings are no such pair: the second part knows those of its own that it has last read.
    """
    first, second = programs
    settings = {place for _, places in setting_places(second) for _, place in places}
    count = sum(len(p.inputs) if wanted is None else len(wanted) for p, wanted in first.picks)
    start, place = len(first.fixed), len(second.fixed)
    common = []
    for n, array in enumerate(arrays[0][start : start + count], place):
        other = arrays[1][n]
        if other is not array:
            arrays[1][n] = array
            if n not in settings:
                common.append((array, other))
    return common
