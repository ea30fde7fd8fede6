"""What `loop` is given, examined before anything is done."""

from __future__ import annotations

import inspect
import operator
from typing import Any

import numpy as np

from ..dtypes import ALL, as_dtype
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..tensor.core import Tensor


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
        found.append(np.ascontiguousarray(value, _dtype_of(value, i)))
    counts = {len(a) for a in found}
    if len(counts) != 1 or not found or counts == {0}:
        raise ShapeError(
            "loop: the parts of the data have different numbers of rows, or none",
            expected="equally many rows, at least one",
            got=", ".join(str(a.shape) for a in found) or "no data",
        )
    return found


def _dtype_of(array: Any, place: int) -> Any:
    try:
        return as_dtype(array.dtype)
    except ArgumentTypeError:
        raise ArgumentTypeError(
            "loop: the data hold what no tensor can hold",
            expected=", ".join(d.name for d in ALL),
            got=f"{array.dtype} at place {place}",
            fix="x.astype('float32')" if array.dtype.kind in "fc" else "numbers for it",
        ) from None


def whole_number(name: str, value: Any, least: int) -> int:
    """A count, from whatever Python takes for a whole number."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise ArgumentTypeError(
            f"loop: {name} must be a whole number", expected=f"an int >= {least}", got=repr(value)
        ) from None
    if found < least:
        raise ArgumentError(f"loop: {name} must be >= {least}", got=str(found))
    return found


def row_numbers(order: Any, rows: int, epochs: int | None, shuffle: bool) -> Any:
    """The row numbers of `order`; epochs: None where it says itself how many there are."""
    numbers = np.asarray(getattr(order, "_value", order))
    if shuffle:
        raise ArgumentError("loop: order and shuffle exclude each other")
    if numbers.dtype.kind not in "iu" or numbers.ndim not in (1, 2) or not numbers.size:
        raise ArgumentTypeError(
            "loop: order must hold row numbers, (rows,) for every epoch or (epochs, rows)",
            got=f"{numbers.dtype} {numbers.shape}",
        )
    if numbers.ndim == 2 and epochs is not None and len(numbers) < epochs:
        raise ShapeError("loop: order has too few rows", expected=f"{epochs} epochs",
                         got=str(numbers.shape))  # fmt: skip
    if numbers.min() < 0 or numbers.max() >= rows:
        raise ArgumentError(
            "loop: a row number is out of range", expected=f"0 to {rows - 1}",
            got=f"{numbers.min()} to {numbers.max()}",
        )  # fmt: skip
    return numbers.astype(np.int64)


def check_scheduler(scheduler: Any) -> None:
    """Raises unless it can be stepped after every step, ahead of the steps, and put back."""
    if scheduler is None:
        return
    needs = ("step", "state_dict", "load_state_dict", "optimizer")
    lacks = [name for name in needs if not hasattr(scheduler, name)]
    if not lacks and _steps_alone(scheduler):
        return
    several = isinstance(scheduler, (list, tuple))
    raise ArgumentTypeError(
        "loop: scheduler can't be stepped after every step",
        expected="a schedule of chainrule.optim.lr_scheduler whose step() needs no argument",
        got=f"{type(scheduler).__name__}" + (f" without {lacks[0]}" if lacks else ""),
        fix="ChainedScheduler([...]) for several" if several else "step it by hand, every epoch",
    )


def _steps_alone(scheduler: Any) -> bool:
    return not getattr(scheduler, "needs_metric", False) and _accepts(scheduler.step)


def _accepts(function: Any, *args: Any) -> bool:
    try:
        inspect.signature(function).bind(*args)
    except TypeError:
        return False
    except ValueError:  # of a built-in function nothing is known
        return True
    return True


def check_on_turn(on_turn: Any) -> None:
    """Raises unless it is None or can be called with two numbers."""
    if on_turn is not None and not (callable(on_turn) and _accepts(on_turn, 0, 0)):
        raise ArgumentTypeError(
            "loop: on_turn must be a function", expected="on_turn(done, steps), or None",
            got=repr(on_turn),
        )  # fmt: skip
