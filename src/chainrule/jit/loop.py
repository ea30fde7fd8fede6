"""loop: a compiled step on batch after batch, without going back to Python between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ops.core import arrays as on_arrays
from ..ops.core import interpret
from ..tensor.core import Tensor
from ..tensor.random import generator_in_use
from .program import Program, Run
from .turn import Rows, Turn, Turns

if TYPE_CHECKING:
    from .compiled import Compiled


AT_ONCE = 1 << 20
"""Row numbers that are drawn before they are needed."""


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
        self.turns = Turns(compiled, data, scheduler)
        self.epochs, self.on_turn = epochs, on_turn
        self.steps = epochs.epochs * epochs.a_epoch
        self.done = 0
        self.kept: list[Any] = []  # a row a step of every output

    def run(self) -> Any:
        """All steps; what each gave, one behind the other."""
        for stretch in self.epochs.stretches():
            rows = stretch
            while rows.left:
                turn = self.turns.run(rows)
                self.keep(turn)
                if turn.refused is not None:
                    raise turn.refused
                if turn.error is not None:
                    raise turn.error
                rows = rows.after(turn.good)
                if self.on_turn is not None and self.on_turn(self.done, self.steps):
                    return self.result(turn.program)
        return self.result(turn.program)

    def keep(self, turn: Turn) -> None:
        """Puts what a turn gave behind what there is."""
        if not self.kept:
            self.kept = [np.empty((self.steps, *o.shape[1:]), o.dtype) for o in turn.outputs]
        # results come first; gradients that the program after the first one gives too are behind
        for kept, o in zip(self.kept, turn.outputs, strict=False):
            kept[self.done : self.done + turn.good] = o[: turn.good]
        self.done += turn.good

    def result(self, program: Program) -> Any:
        """What the function returns, with a leading dimension of steps."""
        stand_in: Any = _NoArguments()
        return program.result(Run(stand_in, [kept[: self.done] for kept in self.kept]))


class _NoArguments:
    """Stands for the call when results are put together: there is not one call but many."""

    @property
    def tensors(self) -> list[Any]:
        """What a function that returns an argument would give."""
        raise ArgumentTypeError(
            "loop: the function returns an argument as it is", fix="return x.clone()"
        )


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
