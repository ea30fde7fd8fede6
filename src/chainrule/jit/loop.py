"""loop: a compiled step on batch after batch, without going back to Python between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import ops
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ops.core import arrays as on_arrays
from ..ops.core import interpret
from ..runtime.loop import Gathered, Moving, Steps, steps_a_turn
from ..tensor.core import Tensor, wrap
from ..tensor.random import generator_in_use
from .arguments import Call
from .execute import drive
from .program import Program, Run

if TYPE_CHECKING:
    from .compiled import Compiled


AT_ONCE = 1 << 20
"""Row numbers that are drawn before they are needed."""


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


class Epochs:
    """The rows of every step, epoch by epoch: whole batches, then the smaller rest."""

    def __init__(
        self, rows: int, batch_size: int | None, order: Any, epochs: int, shuffle: bool,
        drop_last: bool,
    ) -> None:  # fmt: skip
        _check_count("epochs", epochs, 1)
        size = rows if batch_size is None else batch_size
        _check_count("batch_size", size, 1)
        self.rows, self.epochs, self.shuffle = rows, epochs, shuffle
        self.order = None if order is None else _row_numbers(order, rows, epochs, shuffle)
        listed = rows if self.order is None else self.order.shape[-1]
        self.size, self.whole = size, listed // size
        self.rest = 0 if drop_last else listed % size
        self.a_epoch = self.whole + bool(self.rest)
        if not self.a_epoch:
            raise ArgumentError(
                "loop: no batch at all", expected="at least one whole batch, or drop_last=False",
                got=f"{listed} rows in batches of {size}",
            )  # fmt: skip

    def stretches(self) -> Iterator[Rows]:
        """Every stretch of steps with batches of one size, in order."""
        together = 1 if self.rest else max(1, AT_ONCE // self.rows)
        if self.order is None and not self.shuffle and not self.rest:
            together = self.epochs
        for first in range(0, self.epochs, together):
            count = min(together, self.epochs - first)
            numbers = self.numbers(range(first, first + count))
            if self.whole:
                yield Rows(numbers, 0, self.size, count * self.whole, self.whole)
            if self.rest:
                yield Rows(numbers, self.whole * self.size, self.rest, 1)

    def numbers(self, epochs: range) -> Any:
        """The row numbers of some epochs, without what a whole number of batches leaves over."""
        if self.order is None and not self.shuffle:
            return None
        found = []
        for epoch in epochs:
            if self.shuffle:
                with interpret(on_arrays):
                    order = ops.permutation(generator_in_use().next()._value, n=self.rows)
            else:
                given: Any = self.order
                order = given if given.ndim == 1 else given[epoch]
            found.append(order if self.rest else order[: self.whole * self.size])
        return np.concatenate(found)


class Loop:
    """One call of `Compiled.loop`."""

    def __init__(
        self, compiled: Compiled, data: Sequence[Any], epochs: Epochs, scheduler: Any,
        on_turn: Callable[[int, int], Any] | None,
    ) -> None:  # fmt: skip
        self.compiled, self.data, self.epochs = compiled, data, epochs
        self.scheduler, self.on_turn = scheduler, on_turn
        self.steps = epochs.epochs * epochs.a_epoch
        self.done = 0
        self.kept: list[Any] = []  # a row a step of every output
        self.checked: set[tuple[int, int]] = set()

    def run(self) -> Any:
        """All steps; what each gave, one behind the other."""
        for rows in self.epochs.stretches():
            call = Call(tuple(wrap(a[: rows.size]) for a in self.data), {}, frozenset())
            while rows.done < rows.steps:
                program = self.compiled.program_for(call)  # anything may have changed since
                rows = rows._replace(done=rows.done + self.turn(program, call, rows))
                if self.on_turn is not None and self.on_turn(self.done, self.steps):
                    return self.result(program)
        return self.result(program)

    def result(self, program: Program) -> Any:
        """What the function returns, with a leading dimension of steps."""
        stand_in: Any = _NoArguments()
        return program.result(Run(stand_in, [kept[: self.done] for kept in self.kept]))

    def turn(self, program: Program, call: Call, rows: Rows) -> int:
        """Some steps in machine code, and what follows from them in Python; gives how many."""
        with program.lock:
            arrays = program._collect(call)
            self.check(program, arrays, call, rows.size)
            executable: Any = program.executable
            count = steps_a_turn(executable, rows.steps - rows.done)
            outputs = [np.empty((count, *s), d) for s, d in executable.results]
            planned = None
            if self.scheduler is not None:
                planned = Planned(self.scheduler, program, count)
            native = self.native(program, arrays, outputs, rows, count, planned)
            done = native.run(count)
            if planned is not None:
                planned.settle(done)
            last = [o[done - 1] for o in outputs]
            try:
                program._examine(last)
                good = done
            except BaseException:
                good = done - 1  # the last step has changed nothing
                raise
            finally:
                for part in program.parts:
                    part.done(good)
            program._after(Run(call, last))
        if not self.kept:
            self.kept = [np.empty((self.steps, *o.shape[1:]), o.dtype) for o in outputs]
        for kept, o in zip(self.kept, outputs, strict=True):
            kept[self.done : self.done + done] = o[:done]
        self.done += done
        return done

    def native(
        self, program: Program, arrays: list[Any], outputs: list[Any], rows: Rows, count: int,
        planned: Planned | None,
    ) -> Steps:  # fmt: skip
        """The next steps as addresses."""
        fixed: list[Any] = [*arrays, *[None] * len(outputs)]
        moving = [Moving(len(arrays) + i, o, o[:1].nbytes) for i, o in enumerate(outputs)]
        gathered = []
        for place, source in _batch_places(program):
            data, fixed[place] = self.data[source], None
            if rows.numbers is None:
                start = rows.done % rows.period if rows.period else 0
                size = data[:1].nbytes * rows.size
                moving.append(Moving(place, data[rows.first :], size, start, rows.period))
            else:
                gathered.append(Gathered(place, data))
        order = None
        if gathered:
            first = rows.first + rows.done * rows.size
            chosen = rows.numbers[first : first + count * rows.size]
            order = chosen.reshape(count, rows.size)
        if planned is not None:
            for place, column in planned.columns:
                fixed[place] = None
                moving.append(Moving(place, column, column.itemsize))
        watched = _watched(program, len(arrays), len(outputs))
        return Steps(program.executable, drive(), fixed, moving, gathered, order, watched)

    def check(self, program: Program, arrays: list[Any], call: Call, size: int) -> None:
        """Conditions on the data, once for all rows, before anything is done."""
        if (id(program), size) in self.checked:
            return
        self.checked.add((id(program), size))
        start = _first_batch(program)
        for check in program.checks:
            number = program.number_of.get(check.node)
            source = program.unused.get(check.node)
            if number is not None and start <= number < start + len(program.from_arguments):
                source = program.from_arguments[number - start]
            if not isinstance(source, int):
                program._check(check, arrays, call)
                continue
            data = self.data[source]
            if all(op.name in ("reshape", "permute", "expand") for op, _ in check.path):
                program._check_array(check._replace(path=()), data)  # the same values, all at once
                continue
            for first in range(0, len(data) - size + 1, size):
                program._check_array(check, data[first : first + size])
            program._check_array(check, data[len(data) - size :])


class _NoArguments:
    """Stands for the call when results are put together: there is not one call but many."""

    @property
    def tensors(self) -> list[Any]:
        """What a function that returns an argument would give."""
        raise ArgumentTypeError(
            "loop: the function returns an argument as it is", fix="return x.clone()"
        )


class Planned:
    """The settings of every step of a turn, where a schedule changes them from step to step."""

    def __init__(self, scheduler: Any, program: Program, count: int) -> None:
        self.scheduler = scheduler
        self.before = scheduler.state_dict()
        groups = scheduler.optimizer.param_groups
        self.groups = [{k: v for k, v in g.items() if k != "params"} for g in groups]
        found = [(p, places) for p, places in _setting_places(program)]
        tables = [np.empty((len(places), count)) for _, places in found]
        for s in range(count):
            for (part, places), table in zip(found, tables, strict=True):
                part.changed()
                table[:, s] = [part.buffer[i] for i, _ in places]
            scheduler.step()
        self.columns = [
            (place, column)
            for (_, places), table in zip(found, tables, strict=True)
            for (_, place), column in zip(places, table, strict=True)
        ]

    def settle(self, done: int) -> None:
        """Puts the schedule where the steps ended."""
        for group, before in zip(self.scheduler.optimizer.param_groups, self.groups, strict=True):
            group.update(before)
        self.scheduler.load_state_dict(self.before)
        for _ in range(done):
            self.scheduler.step()


def _first_batch(program: Program) -> int:
    """The place in the table of the first input that is an argument."""
    behind = len(program.from_arguments) + len(program.from_numbers)
    return len(program.graph.inputs) - behind


def _batch_places(program: Program) -> Iterator[tuple[int, int]]:
    """(place in the table, number of the argument) of every argument that the program reads."""
    start = _first_batch(program)
    return ((start + i, source) for i, source in enumerate(program.from_arguments))


def _setting_places(program: Program) -> Iterator[tuple[Any, list[tuple[int, int]]]]:
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


def arrays_of(data: Any) -> list[Any]:
    """The arrays of a tuple of tensors and arrays with equally many rows."""
    listed = list(data) if isinstance(data, (tuple, list)) else [data]
    found = []
    for i, x in enumerate(listed):
        value = x._value if isinstance(x, Tensor) else x
        if not isinstance(value, np.ndarray) or not value.ndim:
            raise ArgumentTypeError(
                "loop: the data must be tensors or arrays with a row for every example",
                expected="(x, y) with equally many rows", got=f"{type(x).__name__} at place {i}",
            )  # fmt: skip
        found.append(np.ascontiguousarray(value))
    counts = {len(a) for a in found}
    if len(counts) != 1 or not found or counts == {0}:
        raise ShapeError(
            "loop: the parts of the data have different numbers of rows, or none",
            expected="equally many rows, at least one",
            got=", ".join(str(a.shape) for a in found) or "no data",
        )
    return found


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentTypeError(f"loop: {name} must be a whole number", got=repr(value))
    if value < least:
        raise ArgumentError(f"loop: {name} must be >= {least}", got=str(value))


def _row_numbers(order: Any, rows: int, epochs: int, shuffle: bool) -> Any:
    numbers = np.asarray(getattr(order, "_value", order))
    if shuffle:
        raise ArgumentError("loop: order and shuffle exclude each other")
    if numbers.dtype.kind not in "iu" or numbers.ndim not in (1, 2) or not numbers.size:
        raise ArgumentTypeError(
            "loop: order must hold row numbers, (rows,) for every epoch or (epochs, rows)",
            got=f"{numbers.dtype} {numbers.shape}",
        )
    if numbers.ndim == 2 and len(numbers) < epochs:
        raise ShapeError("loop: order has too few rows", expected=f"{epochs} epochs",
                         got=str(numbers.shape))  # fmt: skip
    if numbers.min() < 0 or numbers.max() >= rows:
        raise ArgumentError(
            "loop: a row number is out of range", expected=f"0 to {rows - 1}",
            got=f"{numbers.min()} to {numbers.max()}",
        )  # fmt: skip
    return numbers.astype(np.int64)
