"""Which dimensions of the inputs may have any size, and what each is called."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError
from ..export.recording import Recorded, record_model
from ..graph import Node
from ..nn.recurrent import INSTEAD
from ..ops.core import current
from ..tensor.core import Tensor
from .growth import BATCH, TRIED, Point

Asked = Mapping[str, Mapping[int, str] | Sequence[int]]
"""For inputs by name: dimension -> the name of its size, or a list of dimensions."""


class Axes(NamedTuple):
    """For every input: dimension -> the name of its size.  batch: the name of the batch's."""

    inputs: list[dict[int, str]]
    batch: str

    @property
    def names(self) -> list[str]:
        """All sizes that grow, each once."""
        return list(dict.fromkeys(name for axes in self.inputs for name in axes.values()))


class Called(NamedTuple):
    """A call of a recurrent layer, as lines of the recording."""

    layer: Any
    x: Node
    states: list[Node]


class Straight(NamedTuple):
    """What goes straight into recurrent layers: input -> the dimension that is its batch.

    beyond: the path and type of a recurrent layer that wants its batch second, but reads what
    other layers have made.
    """

    batch: dict[Node, int]
    beyond: list[str]


def recorded(owner: str, model: Any, args: tuple[Any, ...]) -> tuple[Recorded, Straight]:
    """The program for the example, and where recurrent layers have its batch."""
    calls: list[Called] = []
    with _noting(calls):
        found = record_model(owner, model, args)
    straight = Straight({}, [])
    for layer, x, states in calls:
        if len(x.shape) != 3:
            continue
        if x in found.arguments:
            straight.batch[x] = 0 if layer.batch_first else 1
        elif not layer.batch_first:
            path, kind = found.paths.get(layer, ""), type(layer).__name__
            straight.beyond.append(f"{path} ({kind})" if path else kind)
        for s in states:
            if s in found.arguments:
                straight.batch[s] = 1  # (layers, B, ..), whatever batch_first is
    return found, straight


@contextmanager
def _noting(calls: list[Called]) -> Iterator[None]:
    """Within the block the calls of recurrent layers that this thread records are noted."""

    def note(layer: Any, x: Tensor, hx: Any) -> None:
        trace = current.trace
        if trace is not None:
            states = hx if isinstance(hx, (tuple, list)) else (hx,)
            held = [trace.value(s) for s in states if s is not None]
            calls.append(Called(layer, trace.value(x), held))

    before, INSTEAD.called = INSTEAD.called, note
    try:
        yield
    finally:
        INSTEAD.called = before


def chosen(
    owner: str, found: Recorded, straight: Straight, names: Sequence[str], *, dynamic_batch: bool,
    batch_dim: int | None, dynamic_axes: Asked | None,
) -> Axes:  # fmt: skip
    """The dimensions that grow: those asked for, and every input's batch."""
    asked = _asked(owner, found, names, dynamic_axes or {})
    inputs = [dict(axes) for axes in asked]
    if not dynamic_batch:
        return _checked(owner, found, names, Axes(inputs, BATCH))
    rows = []
    for node, name, axes in zip(found.arguments, names, asked, strict=True):
        given = next((d for d, size in axes.items() if size == BATCH), batch_dim)
        axis = straight.batch.get(node, 0) if given is None else given
        if not 0 <= axis < node.ndim:
            raise ArgumentTypeError(
                f"{owner}: an input has no dimension {axis} that could be the batch",
                got=f"{name} of shape {tuple(node.shape)}",
                fix="dynamic_batch=False, or another batch_dim",
            )  # fmt: skip
        rows.append(axis)
    called = (axes[axis] for axes, axis in zip(asked, rows, strict=True) if axis in axes)
    batch = next(called, BATCH)
    for axes, axis in zip(inputs, rows, strict=True):
        axes.setdefault(axis, batch)
    return _checked(owner, found, names, Axes(inputs, batch))


def _asked(owner: str, found: Recorded, names: Sequence[str], given: Asked) -> list[dict[int, str]]:
    """`dynamic_axes` for every input, whole and checked."""
    if not isinstance(given, Mapping):
        raise ArgumentTypeError(
            f"{owner}: dynamic_axes must be a dict from inputs to their dimensions",
            expected="such as {'x': {1: 'time'}}", got=type(given).__name__,
        )  # fmt: skip
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            raise ArgumentError(
                f"{owner}: dynamic_axes names an input that there is not", got=repr(name),
                expected=", ".join(map(repr, names)),
                fix=f"did you mean {near[0]!r}?" if near else None,
            )  # fmt: skip
    return [_of_input(owner, name, tuple(node.shape), given.get(name, {}))
            for node, name in zip(found.arguments, names, strict=True)]  # fmt: skip


def _of_input(owner: str, name: str, shape: tuple[int, ...], axes: Any) -> dict[int, str]:
    if isinstance(axes, (list, tuple)):
        axes = {d: f"{name}_dim_{d}" for d in axes}
    if not isinstance(axes, Mapping) or not all(
        type(d) is int and isinstance(size, str) and size.isidentifier() for d, size in axes.items()
    ):
        raise ArgumentTypeError(
            f"{owner}: dynamic_axes of {name!r}", got=repr(axes)[:60],
            expected="{dimension: name of its size}, or a list of dimensions",
        )  # fmt: skip
    for d in axes:
        if not -len(shape) <= d < len(shape):
            raise ArgumentError(
                f"{owner}: dynamic_axes: {name!r} has no dimension {d}", got=f"shape {shape}",
                expected=f"0 to {len(shape) - 1}",
            )  # fmt: skip
    return {d % len(shape): size for d, size in axes.items()}


def _checked(owner: str, found: Recorded, names: Sequence[str], axes: Axes) -> Axes:
    """Raises where one name stands for two sizes of the example, or there are too many."""
    if len(axes.names) > len(TRIED):
        raise ArgumentError(f"{owner}: too many sizes grow", expected=f"at most {len(TRIED)}",
                            got=", ".join(axes.names))  # fmt: skip
    seen: dict[str, tuple[int, str]] = {}
    for node, name, held in zip(found.arguments, names, axes.inputs, strict=True):
        for d, size in held.items():
            here = (int(node.shape[d]), f"{name} dimension {d}")
            n, where = seen.setdefault(size, here)
            if n != here[0] and size != axes.batch:
                raise ArgumentError(
                    f"{owner}: dynamic_axes gives two sizes one name, {size!r}",
                    got=f"{n} at {where}, {here[0]} at {here[1]}", fix="a name for each",
                )  # fmt: skip
    return axes


def resized(args: tuple[Any, ...], axes: Axes, point: Point) -> tuple[Any, ...]:
    """An example with other sizes, in tuples and lists too."""
    held = iter(axes.inputs)

    def part(x: Any) -> Any:
        if isinstance(x, (tuple, list)):
            return tuple(part(v) for v in x)
        if not isinstance(x, (Tensor, np.ndarray)):
            return x
        shape = list(x.shape)
        for d, name in next(held).items():
            shape[d] = point[name]
        return np.zeros(shape, x.dtype)

    return tuple(part(x) for x in args)
