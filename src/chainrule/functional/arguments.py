"""Small checks that every function of this folder shares."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ops import reshape
from ..ops.core import Shape, Value, current, normalize_axes, normalize_axis


def axis_of(name: str, x: Value, dim: int) -> int:
    """One dimension of x, counted from the front."""
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise ArgumentTypeError(f"{name}: dim must be a whole number", got=repr(dim))
    return normalize_axis(name, dim, len(x.shape))


def axes_of(name: str, x: Value, dim: Any) -> tuple[int, ...]:
    """Several dimensions of x; None and () mean all of them."""
    if dim is None or dim == () or dim == []:
        return tuple(range(len(x.shape)))
    for d in dim if isinstance(dim, (tuple, list)) else (dim,):
        if isinstance(d, bool) or not hasattr(d, "__index__"):
            raise ArgumentTypeError(
                f"{name}: dim must be a whole number, or several in a tuple", got=repr(dim)[:80]
            )
    return normalize_axes(name, dim, len(x.shape))


def sizes_of(sizes: tuple[Any, ...]) -> Shape:
    """`f(2, 3)` and `f((2, 3))` alike."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    for n in sizes:
        if isinstance(n, bool) or (not isinstance(n, int) and not hasattr(n, "__index__")):
            raise ArgumentTypeError("a size must be a whole number", got=repr(n))
    return tuple(int(n) for n in sizes)


def shape_of(sizes: tuple[Any, ...]) -> Shape:
    """The shape of a new tensor: like `sizes_of`, and nothing below 0."""
    shape = sizes_of(sizes)
    if any(n < 0 for n in shape):
        raise ShapeError("a new tensor can't have a negative dimension", got=str(shape))
    return shape


def later(x: Value, check: Callable[[Any], Any], holds: Callable[[Value], Value]) -> None:
    """Lets `check` look at the values of x: now, or where they are known if x is recorded.

    check: raises for an array that is refused.  holds: whether none is, written in ops, for values
    that a compiled function computes itself.
    """
    trace = current.trace
    if trace is not None:
        trace.demand(x, check, holds)
    elif (values := getattr(x, "_value", None)) is not None:
        check(values)


def trust(x: Value) -> None:
    """Says that the values of an index were checked already."""
    if current.trace is not None:
        current.trace.trust(x)


def each_dimension(name: str, argument: str, value: Any, n: int, least: int) -> Shape:
    """A whole number, or one for each of n dimensions, all at least `least`, as a tuple."""
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    for size in sizes:
        if isinstance(size, bool) or not hasattr(size, "__index__"):
            raise ArgumentTypeError(
                f"{name}: {argument} must be a whole number, or {n} of them", got=repr(value)[:80]
            )
    if len(sizes) not in (1, n):
        raise SettingError(
            f"{name}: {argument} needs one number, or one for each of {n} dimensions",
            got=repr(value)[:80],
        )
    if any(size < least for size in sizes):
        raise SettingError(f"{name}: {argument} must be >= {least}", got=repr(value)[:80])
    return tuple(int(s) for s in sizes) if len(sizes) == n else (int(sizes[0]),) * n


class SettingError(ArgumentError, RuntimeError):
    """A setting that does not fit, for which PyTorch raises one or the other."""


def at_least_1d(x: Value) -> Value:
    """A 0-d value as one with a dimension of size 1."""
    return x if x.shape else reshape(x, shape=(1,))


def choice(name: str, argument: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raises unless value is one of the allowed words, and suggests the nearest."""
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, 1)
        raise ArgumentError(
            f"{name}: unknown {argument} {value!r}",
            expected=", ".join(repr(a) for a in allowed),
            fix=f"did you mean {near[0]!r}?" if near else None,
        )


def need_values(name: str, **given: Value) -> None:
    """Raises for lists, numbers and arrays where Tensors are needed."""
    for what, value in given.items():
        if not hasattr(value, "dtype") or isinstance(value, (np.ndarray, np.generic)):
            raise ArgumentTypeError(
                f"{name}: the {what} must be a Tensor",
                got=type(value).__name__,
                fix=f"chainrule.tensor({what})",
            )
