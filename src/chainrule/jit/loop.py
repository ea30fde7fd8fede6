"""loop: a compiled step on batch after batch, without going back to Python between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..errors import ArgumentError, ArgumentTypeError, ChainruleError, ShapeError
from ..ops.core import arrays as on_arrays
from ..ops.core import interpret
from ..tensor.random import generator_in_use
from .loop_arguments import (
    arrays_of,
    check_on_turn,
    check_scheduler,
    row_numbers,
    whole_number,
)
from .program import Program, Run
from .rounds import Rounds
from .turn import Rows, Turn, Turns

if TYPE_CHECKING:
    from .compiled import Compiled


AT_ONCE = 1 << 20
"""Row numbers that are drawn before they are needed."""


class Epochs:
    """The rows of every step, epoch by epoch: whole batches, then the smaller rest."""

    def __init__(
        self, rows: int, batch_size: int | None, order: Any, epochs: int | None, shuffle: bool,
        drop_last: bool,
    ) -> None:  # fmt: skip
        if epochs is not None:
            epochs = whole_number("epochs", epochs, 1)
        size = whole_number("batch_size", rows if batch_size is None else batch_size, 1)
        self.order = None if order is None else row_numbers(order, rows, epochs, shuffle)
        if epochs is None:
            epochs = 1 if self.order is None or self.order.ndim == 1 else len(self.order)
        self.rows, self.epochs, self.shuffle = rows, epochs, shuffle
        listed = rows if self.order is None else self.order.shape[-1]
        self.size, self.whole, self.listed = size, listed // size, listed
        self.rest = 0 if drop_last else listed % size
        self.a_epoch = self.whole + bool(self.rest)
        if not self.a_epoch:
            raise ArgumentError(
                "loop: no batch at all", expected="at least one whole batch, or drop_last=False",
                got=f"{listed} rows in batches of {size}",
            )  # fmt: skip

    def stretches(self) -> Iterator[Rows | Rounds]:
        """Every stretch of steps, in order: of one size, or epochs that end with a smaller rest."""
        together = max(1, AT_ONCE // self.rows)
        if self.order is None:  # drawn for one epoch or more, or none is
            together = (1 if self.rest else together) if self.shuffle else self.epochs
        for first in range(0, self.epochs, together):
            count = min(together, self.epochs - first)
            numbers = self.numbers(range(first, first + count))
            if self.whole and self.rest:
                yield Rounds.of(numbers, self.listed, self.size, count)
            elif self.whole:
                yield Rows(numbers, 0, self.size, count * self.whole, self.whole)
            else:
                yield Rows(numbers, 0, self.rest, count, 1)

    def numbers(self, epochs: range) -> Any:
        """The row numbers of some epochs, without what a whole number of batches leaves over."""
        if self.order is None and not self.shuffle:
            return None
        kept = self.listed if self.rest else self.whole * self.size
        if self.shuffle:
            return np.concatenate([self.drawn()[:kept] for _ in epochs])
        given: Any = self.order
        if given.ndim == 1:
            return np.tile(given[:kept], len(epochs))
        return given[epochs.start : epochs.stop, :kept].reshape(-1)

    def drawn(self) -> Any:
        """A new order of all rows."""
        with interpret(on_arrays):
            return ops.permutation(generator_in_use().next()._value, n=self.rows)


def run_loop(
    compiled: Compiled, before: tuple[Any, ...], data: Any, batch_size: int | None = None,
    order: Any = None, epochs: int | None = None, *, shuffle: bool = False,
    drop_last: bool = False, scheduler: Any = None,
    on_turn: Callable[[int, int], Any] | None = None,
) -> Any:  # fmt: skip
    """`Compiled.loop`, with the arguments that every step gets before its batch."""
    check_scheduler(scheduler)
    check_on_turn(on_turn)
    arrays = arrays_of(data)
    rows = Epochs(len(arrays[0]), batch_size, order, epochs, shuffle, drop_last)
    return Loop(compiled, before, arrays, rows, scheduler, on_turn).run()


class Loop:
    """One call of `Compiled.loop`.  before: arguments of every step in front of the batch."""

    def __init__(
        self, compiled: Compiled, before: tuple[Any, ...], data: Sequence[Any], epochs: Epochs,
        scheduler: Any, on_turn: Callable[[int, int], Any] | None,
    ) -> None:  # fmt: skip
        self.turns = Turns(compiled, data, scheduler)
        self.before, self.epochs, self.on_turn = before, epochs, on_turn
        self.steps = epochs.epochs * epochs.a_epoch
        self.done = 0

    def run(self) -> Any:
        """All steps; what each gave, one behind the other."""
        self.prepare()
        try:
            self.make()
        except BaseException as error:
            self.note(error)
            raise
        return self.result()

    def prepare(self) -> None:
        """Finds out before the first step what no step would be kept for: all results must have a
        place behind those of the step before, the last ones of an epoch too."""
        size, rest = self.epochs.size, self.epochs.rest
        self.program = self.turns.look(size if self.epochs.whole else rest, self.before)
        if self.program.standing:
            raise ArgumentTypeError(
                "loop: the function returns an argument or a parameter as it is",
                expected="results that every step makes anew",
                got=f"{self.program.standing[0]}, as it is",
                fix="return .clone() of it, or nothing",
            )
        self.kinds = _kinds(self.program)
        self.kept = [np.empty((self.steps, *shape), dtype) for shape, dtype in self.kinds]
        if self.epochs.whole and rest:
            self.check(self.look_at_rest(rest), f"the last batch of an epoch, {_rows(rest)},")

    def look_at_rest(self, rest: int) -> Program:
        """The program of the last, smaller batch of an epoch."""
        try:
            return self.turns.look(rest, self.before)
        except ChainruleError as error:
            error.steps = f"none was made; it is about the last batch of an epoch, {_rows(rest)}"
            if "drop_last=True" not in (error.fix or ""):
                error.fix = f"{error.fix}; or drop_last=True" if error.fix else "drop_last=True"
            raise

    def check(self, program: Program, which: str) -> None:
        """Raises where the results of a program don't fit behind those of the first."""
        found = _kinds(program)
        if found == self.kinds:
            return
        differ = [i for i, pair in enumerate(zip(self.kinds, found, strict=False))
                  if pair[0] != pair[1]]  # fmt: skip
        wanted, came = f"{len(self.kinds)} results", f"{len(found)} results"
        if differ:
            i = differ[0]
            wanted, came = (f"{kinds[i][1]} {kinds[i][0]}" for kinds in (self.kinds, found))
        raise ShapeError(
            f"loop: {which} gives results of another shape",
            expected=f"{wanted}, as the first batch gives",
            got=came if not differ else f"{came} for result {differ[0]}",
            fix="drop_last=True, or return what does not depend on the batch size, as a mean",
        )

    def make(self) -> None:
        """The steps."""
        for stretch in self.epochs.stretches():
            rows = stretch
            while rows.left:
                turn = rows.turn(self.turns, self.before)
                self.keep(turn)
                if turn.refused is not None:
                    raise turn.refused
                if turn.error is not None:
                    raise turn.error
                rows = rows.after(turn.good)
                if self.on_turn is not None and self.on_turn(self.done, self.steps):
                    return

    def keep(self, turn: Turn) -> None:
        """Puts what a turn gave behind what there is."""
        self.turns.last = None
        if not turn.good:
            return
        if turn.program is not self.program:
            self.check(turn.program, f"step {self.done + 1}")
        # results come first; gradients and conditions are behind them
        for kept, o in zip(self.kept, turn.outputs, strict=False):
            kept[self.done : self.done + turn.good] = o[: turn.good]
        self.done += turn.good

    def note(self, error: BaseException) -> None:
        """Tells with an error where the loop was, and hands out what it has so far."""
        if self.turns.last is not None:  # Ctrl-C is raised after steps that count
            self.keep(self.turns.last)
        if hasattr(error, "results"):  # of a loop within this one
            return
        error.results = self.result()  # type: ignore[attr-defined]
        epoch = min(self.done // self.epochs.a_epoch + 1, self.epochs.epochs)
        text = f"ended after {self.done} of {self.steps}, in epoch {epoch}; what they returned: "
        text += "the error's .results"
        if isinstance(error, ChainruleError):
            error.steps = text
        else:
            error.add_note(f"loop: {text}")

    def result(self) -> Any:
        """What the function returns, with a leading dimension of steps."""
        none: Any = None  # there is not one call but many
        return self.program.result(Run(none, [kept[: self.done] for kept in self.kept]))


def _rows(count: int) -> str:
    return f"of {count} row{'s' if count > 1 else ''}"


def _kinds(program: Program) -> list[tuple[tuple[int, ...], Any]]:
    """Shape and type of everything that the function returns."""
    results = program.executable.results[: program.returned]
    return [(tuple(shape), np.dtype(dtype)) for shape, dtype in results]
