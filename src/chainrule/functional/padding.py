"""A border around a value: of one number, or of the value's own elements."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ops
from ..errors import ArgumentError, ShapeError
from ..ops.core import Value
from .arguments import choice

MODES = ("constant", "reflect", "replicate", "circular")


def pad(
    input: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Value:
    """x with a border: pairs (before, after), the last dimension first, as in PyTorch.

    mode: 'constant' (value, 0 by default; a width below 0 cuts), 'reflect' (mirrored at the edge
    element), 'replicate' (the edge element), 'circular' (the other end).
    """
    choice("pad", "mode", mode, MODES)
    if len(pad) % 2 or len(pad) > 2 * len(input.shape):
        raise ShapeError("pad: needs pairs, at most one a dimension", got=str(tuple(pad)))
    widths = [(0, 0)] * len(input.shape)
    for i in range(0, len(pad), 2):
        widths[-1 - i // 2] = (pad[i], pad[i + 1])
    if mode == "constant":
        return _constant(input, widths, 0.0 if value is None else value)
    if value is not None:
        raise ArgumentError(f"pad: mode {mode!r} takes no value", got=repr(value))
    for axis, (before, after) in enumerate(widths):
        if before or after:
            _check_widths(mode, axis, input.shape, before, after)
            input = _bordered(input, mode, axis, before, after)
    return input


def _constant(x: Value, widths: list[tuple[int, int]], value: float) -> Value:
    inside = tuple(
        (max(-a, 0), n - max(-b, 0), 1) for n, (a, b) in zip(x.shape, widths, strict=True)
    )
    if any(r != (0, n, 1) for r, n in zip(inside, x.shape, strict=True)):
        x = ops.slice_(x, ranges=inside)
    return ops.pad(x, widths=tuple((max(a, 0), max(b, 0)) for a, b in widths), value=value)


def _check_widths(mode: str, axis: int, shape: tuple[int, ...], before: int, after: int) -> None:
    n = shape[axis]
    most = {"reflect": n - 1, "circular": n}.get(mode, max(before, after) if n else 0)
    if min(before, after) < 0 or max(before, after) > most:
        limit = "" if mode == "replicate" else f" and <= {most}, of the {n} elements there"
        raise ShapeError(
            f"pad: a border is too wide for mode {mode!r}",
            expected=f"widths >= 0{limit}",
            got=f"({before}, {after}) at dimension {axis} of {shape}",
        )


def _bordered(x: Value, mode: str, axis: int, before: int, after: int) -> Value:
    """x with borders of its own elements along one dimension."""
    n = x.shape[axis]

    def part(start: int, stop: int) -> Value:
        return ops.slice_(x, ranges=tuple(
            (start, stop, 1) if i == axis else (0, m, 1) for i, m in enumerate(x.shape)
        ))  # fmt: skip

    def edge(start: int, width: int) -> Value:
        shape = (*x.shape[:axis], width, *x.shape[axis + 1 :])
        return ops.expand(part(start, start + 1), shape=shape)

    if mode == "replicate":
        left, right = edge(0, before), edge(n - 1, after)
    elif mode == "circular":
        left, right = part(n - before, n), part(0, after)
    else:
        left = ops.flip(part(1, before + 1), axis=(axis,))
        right = ops.flip(part(n - 1 - after, n - 1), axis=(axis,))
    return ops.concat(left, x, right, axis=axis)
