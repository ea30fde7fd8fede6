"""A turn of a native loop: some steps on rows of arrays in machine code, and what follows from
them in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import ChainruleError, NonFiniteError
from ..ops.core import current
from ..runtime.loop import Gathered, Leg, Moving, Steps
from ..runtime.signals import unbroken
from ..runtime.threads import worthwhile
from ..tensor.core import wrap
from .anomaly import run_watched
from .arguments import Call
from .execute import drive
from .program import Program

if TYPE_CHECKING:
    from .compiled import Compiled


SHAPES = ("reshape", "permute", "expand")


class Rows(NamedTuple):
    """Which rows a stretch of equal steps takes.

    numbers: row numbers, those of a step behind those of the step before; None: the rows from
    `first` on as they lie, `period` steps long and then again from the first.  done: steps of it
    that have been taken.
    """

    numbers: Any
    first: int
    size: int
    steps: int
    period: int = 0
    done: int = 0

    @property
    def left(self) -> int:
        """Steps of it that have not been taken."""
        return self.steps - self.done

    def batches(self, count: int) -> Any:
        """The row numbers of the next steps, (count, size)."""
        if self.numbers is None:
            places = self.done + np.arange(count)[:, np.newaxis]
            places = places % self.period if self.period else places
            return np.arange(self.size) + (self.first + places * self.size)
        first = self.first + self.done * self.size
        return self.numbers[first : first + count * self.size].reshape(count, self.size)

    def after(self, steps: int) -> Rows:
        """The stretch when some more steps have been taken."""
        return self._replace(done=self.done + steps)

    def turn(self, turns: Turns, before: tuple[Any, ...]) -> Turn:
        """One turn, of as many steps as fit into it."""
        return turns.run(self, before)


class Turn(NamedTuple):
    """What a turn gave: a row a step of every output of the program, and how it ended.

    good: steps that were made.  refused: why the step after them was not, though it was computed:
    it has changed nothing.  error: what the schedule raised after the last step.  rates: the
    learning rate of the first group after every step, where a schedule was stepped.
    """

    program: Program
    outputs: list[Any]
    good: int
    refused: ChainruleError | None = None
    error: Exception | None = None
    rates: Sequence[float] | None = None


class Turns:
    """Steps function(*before, *rows of the data), so many at a time as take about 50 ms.

    scheduler: stepped after every step.  usable: whether an update may be made with the settings
    that a schedule has just set; else the turn ends before it.  looked_at: the row numbers for
    which conditions on the data are examined, before the first step; None: all of them.
    """

    def __init__(
        self, compiled: Compiled, data: Sequence[Any], scheduler: Any = None, *,
        usable: Callable[[], bool] | None = None, looked_at: Any = None,
    ) -> None:  # fmt: skip
        self.compiled, self.data, self.scheduler = compiled, data, scheduler
        self.usable, self.looked_at = usable, looked_at
        self.checked: set[tuple[int, int]] = set()
        self.made = False  # whether the turn at hand has made a step
        self.last: Turn | None = None  # also where Ctrl-C is raised after it

    def run(self, rows: Rows, before: tuple[Any, ...] = (), most: int | None = None) -> Turn:
        """One turn, of `most` steps at most."""
        self.last = None
        if current.anomaly is not None:
            return self._watched(rows, before)
        program, undo, call = self._program(rows.size, before)  # anything may have changed since
        with program.lock:
            self.made = False
            try:
                turn = self._run(program, call, rows, rows.left if most is None else most)
            except BaseException:
                if not self.made:  # Ctrl-C is raised after steps that count
                    fail(program, undo)
                raise
        if not turn.good:
            fail(program, undo)
        return turn

    def look(self, size: int, before: tuple[Any, ...] = ()) -> Program:
        """The program of steps with so many rows; nothing is run, and nothing has changed."""
        program, undo, _ = self._program(size, before)
        with program.lock:
            fail(program, undo)
        return program

    def _program(
        self, size: int, before: tuple[Any, ...]
    ) -> tuple[Program, list[Callable[[], None]], Call]:
        args, call = self._call(size, before)
        return *self.compiled.program_for(args, call), call

    def recorded(self, size: int, before: tuple[Any, ...]) -> tuple[Program | None, Call]:
        """The program of steps with so many rows, if it was recorded, and a call of it."""
        _, call = self._call(size, before)
        return self.compiled.recorded(call), call

    def _call(self, size: int, before: tuple[Any, ...]) -> tuple[tuple[Any, ...], Call]:
        args = (*before, *[wrap(a[:size]) for a in self.data])
        return args, Call(args, {}, frozenset())

    def _run(self, program: Program, call: Call, rows: Rows, most: int) -> Turn:
        arrays = program._collect(call)
        self.check(program, arrays, call, rows.size)
        executable: Any = program.executable
        threads = worthwhile(executable.shared_work)
        if any(getattr(part, "is_first", False) for part in program.parts):
            most = 1
        count, team = executable.pace.plan(min(most, rows.left), threads)
        planned = None
        if self.scheduler is not None and count > 1:
            planned = Planned(self.scheduler, program, count, self.usable)
            if planned.count < 2:
                planned.settle(0)
                for part, _ in setting_places(program):
                    part.changed()  # it has read the settings of the steps that were planned
                planned = None
            count = 1 if planned is None else planned.count
        outputs = [np.empty((count, *s), d) for s, d in executable.results]
        given, back = executable.in_rows(arrays, executable.new(arrays))
        columns = () if planned is None else planned.columns(program)
        leg = self.leg(program, given, outputs, rows, count, columns)
        native = Steps(drive(), [leg], [count])
        books = partial(self._books, program, call, outputs, planned, back)
        return self.stepped(native, 1, team, books, planned)

    def stepped(
        self, native: Steps, rounds: int, team: int, books: Callable[[list[int]], Turn],
        planned: Planned | None,
    ) -> Turn:  # fmt: skip
        """The steps themselves, and the books after them: Ctrl-C does not come between.

        books: what follows from so many steps of each leg; it may be called twice.
        """

        def made() -> Turn:
            settled = False
            try:
                native.run(rounds, team)
                turn = books(native.done)
                settled = True
            except BaseException:  # a signal's handler of the user's: once more, from the beginning
                if not settled:
                    turn = books(native.done)
                self.last = self.scheduled(turn) if turn.good and planned is None else turn
                raise
            self.last = self.scheduled(turn) if turn.good and planned is None else turn
            return self.last

        return unbroken(native.stop, made)

    def _books(
        self, program: Program, call: Call, outputs: list[Any], planned: Planned | None,
        back: list[tuple[Any, Any]], steps: list[int],
    ) -> Turn:  # fmt: skip
        """What follows from steps that were done; all of it may be done twice."""
        (done,) = steps
        for array, copy in back:
            np.copyto(array, copy)
        if not done:  # Ctrl-C came before the first
            if planned is not None:
                planned.settle(0)
            return Turn(program, outputs, 0)
        refused = program._refused([o[done - 1] for o in outputs])
        good = done if refused is None else done - 1
        if planned is not None:
            planned.settle(good)
        if good:
            self.made = True
            program._settle(call, [o[good - 1] for o in outputs], good)
        rates = None if planned is None else planned.rates
        return Turn(program, outputs, good, refused, rates=rates)

    def scheduled(self, turn: Turn) -> Turn:
        """The turn of one step with what the schedule does after it."""
        if self.scheduler is None:
            return turn
        try:
            self.scheduler.step()
        except Exception as error:
            turn = turn._replace(error=error)
        return turn._replace(rates=[_first_rate(self.scheduler)])

    def _watched(self, rows: Rows, before: tuple[Any, ...]) -> Turn:
        """One step within detect_anomaly."""
        args = (*before, *[wrap(a[rows.batches(1)[0]]) for a in self.data])
        call = Call(args, {}, frozenset())
        program, undo = self.compiled.program_for(args, call)
        try:
            run = run_watched(program, call, undo, lambda: self.compiled.function(*args))
        except NonFiniteError:
            raise
        except ChainruleError as error:
            return Turn(program, [], 0, error)
        return self.scheduled(Turn(program, [o[np.newaxis] for o in run.outputs], 1))

    def leg(
        self, program: Program, arrays: list[Any], outputs: list[Any], rows: Rows, count: int,
        columns: Sequence[tuple[int, Any]] = (),
    ) -> Leg:  # fmt: skip
        """The next steps as addresses; columns: settings that change from step to step."""
        fixed: list[Any] = [*arrays, *[None] * len(outputs)]
        moving = [Moving(len(arrays) + i, o, o[:1].nbytes) for i, o in enumerate(outputs)]
        gathered = []
        for place, source in _batch_places(program):
            data, fixed[place] = self.data[source], None
            # where the step writes into the batch, that is a copy: the data stay as they are
            if rows.numbers is None and source not in program.written_arguments:
                start = rows.done % rows.period if rows.period else 0
                size = data[:1].nbytes * rows.size
                moving.append(Moving(place, data[rows.first :], size, start, rows.period))
            else:
                gathered.append(Gathered(place, data))
        order = rows.batches(count) if gathered else None
        for place, column in columns:
            fixed[place] = None
            moving.append(Moving(place, column, column.itemsize))
        watched = _watched(program, len(arrays), len(outputs))
        return Leg(program.executable, fixed, moving, gathered, order, watched)

    def check(self, program: Program, arrays: list[Any], call: Call, size: int) -> None:
        """Conditions on the inputs: on the data once for all rows, before anything is done."""
        start = _first_batch(program)
        for check in program.checks:
            number = program.number_of.get(check.node)
            source = program.unused.get(check.node)
            if number is not None and start <= number < start + len(program.from_arguments):
                source = program.from_arguments[number - start]
            if not isinstance(source, int):
                program._check(check, arrays, call)
                continue
            if (id(program), size) in self.checked:
                continue
            data = self.data[source]
            if self.looked_at is not None:
                data = data[self.looked_at]
            if all(op.name in SHAPES or op.name == "cast" for op, _ in check.path):
                casts = tuple((op, params) for op, params in check.path if op.name == "cast")
                program._check_array(check._replace(path=casts), data)  # the same values at once
                continue
            for first in range(0, len(data) - size + 1, size):
                program._check_array(check, data[first : first + size])
            program._check_array(check, data[len(data) - size :])
        self.checked.add((id(program), size))


class Planned:
    """The settings of every step of a turn, where a schedule changes them from step to step.

    count: for how many steps; fewer than `most` where the schedule raises, or sets what `usable`
    refuses.
    """

    def __init__(
        self, scheduler: Any, program: Program, most: int, usable: Callable[[], bool] | None
    ) -> None:
        self.scheduler = scheduler
        self.before = scheduler.state_dict()
        groups = scheduler.optimizer.param_groups
        self.groups = [{k: v for k, v in g.items() if k != "params"} for g in groups]
        self.rates: list[float] = []
        found = list(setting_places(program))
        self.tables = [np.empty((len(places), most)) for _, places in found]
        self.stepped = self.count = 0
        while self.count < most and (not self.count or usable is None or usable()):
            for (part, places), table in zip(found, self.tables, strict=True):
                part.changed()
                table[:, self.count] = [part.buffer[i] for i, _ in places]
            self.stepped += 1
            try:
                scheduler.step()
            except Exception:  # it is raised where the step has been made
                break
            self.count += 1
            self.rates.append(_first_rate(scheduler))

    def columns(self, program: Program, steps: Any = None) -> list[tuple[int, Any]]:
        """(place in a program's table, what stands there step by step); steps: those it makes."""
        chosen = slice(None) if steps is None else steps
        return [
            (place, np.ascontiguousarray(column[chosen]))
            for (_, places), table in zip(setting_places(program), self.tables, strict=True)
            for (_, place), column in zip(places, table, strict=True)
        ]

    def settle(self, done: int) -> None:
        """Puts the schedule where the steps ended."""
        if done == self.stepped:
            return
        for group, before in zip(self.scheduler.optimizer.param_groups, self.groups, strict=True):
            group.update(before)
        self.scheduler.load_state_dict(self.before)
        for _ in range(done):
            self.scheduler.step()


def _first_rate(scheduler: Any) -> float:
    return float(scheduler.optimizer.param_groups[0]["lr"])


def fail(program: Program, undo: list[Callable[[], None]]) -> None:
    """After a turn in which no step was made."""
    for part in program.parts:
        part.failed()
    for step in reversed(undo):
        step()


def _first_batch(program: Program) -> int:
    """The place in the table of the first input that is an argument."""
    behind = len(program.from_arguments) + len(program.from_numbers)
    return len(program.graph.inputs) - behind


def _batch_places(program: Program) -> Iterator[tuple[int, int]]:
    """(place in the table, number of the argument) of every argument that the program reads."""
    start = _first_batch(program)
    return ((start + i, source) for i, source in enumerate(program.from_arguments))


def setting_places(program: Program) -> Iterator[tuple[Any, list[tuple[int, int]]]]:
    """For every optimizer: (number of a setting, its place in the table)."""
    start = len(program.fixed)
    for part, wanted in program.picks:
        listed = list(range(len(part.inputs))) if wanted is None else wanted
        settings = len(getattr(part, "settings", ()))
        places = [(i, start + n) for n, i in enumerate(listed) if i < settings]
        if places:
            yield part, places
        start += len(listed)


def _watched(program: Program, inputs: int, outputs: int) -> list[int]:
    """The places in the table of the outputs that say whether a condition holds."""
    place = inputs + outputs - sum(1 if d.value is None else 2 for d in program.demands)
    found = []
    for demand in program.demands:
        found.append(place)
        place += 1 if demand.value is None else 2
    return found
