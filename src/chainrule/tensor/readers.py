"""How a sweep reads what nodes saved: as arrays, as nodes of a program, as Tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentTypeError
from ..grad import Reader, check_saved
from ..ops import add, where
from ..ops.core import current, interpret
from . import core

if TYPE_CHECKING:
    from .core import Tensor


class Plain(Reader):
    """Rules run on arrays: the ordinary, fastest backward."""

    def arguments(self, node: Any) -> tuple[Any, list[Any]]:
        saved = node.inputs
        if type(saved) is not tuple:
            check_saved(node)
        values = []
        for x in saved:
            if isinstance(x, core.Tensor):
                cell = x._cell
                if cell is not None and cell.changed > node.seq:
                    check_saved(node)
                values.append(x._value)
            else:
                values.append(x)
        cell = node.cell
        if cell is not None and cell.changed > node.seq:
            check_saved(node)
        return node.y, values

    def without_nan(self, g: Any, r: Any) -> Any:
        missing = np.isnan(r)  # mostly nothing is, and an array can be asked
        return where(missing & np.equal(g, 0), 0.0, r) if missing.any() else r

    def hook(self, function: Callable[[Any], Any], g: Any) -> Any:
        with interpret(current.tensors):
            replaced = function(core.wrap(g))
        return g if replaced is None else _hooked(replaced, g)._value

    def retain(self, node: Any, g: Any) -> None:
        holder = node.retained()
        if holder is not None:
            accumulate(holder, core.wrap(np.array(g)))


class Traced(Plain):
    """Rules run on nodes of the program that is being recorded."""

    def arguments(self, node: Any) -> tuple[Any, list[Any]]:
        check_saved(node)
        value = current.trace.value
        saved = node.inputs
        return node.y, [value(x) if isinstance(x, core.Tensor) else x for x in saved]

    def without_nan(self, g: Any, r: Any) -> Any:
        return Reader.without_nan(self, g, r)

    def hook(self, function: Callable[[Any], Any], g: Any) -> Any:
        with interpret(current.tensors):
            replaced = function(core.wrap(g))
        return g if replaced is None else current.trace.value(_hooked(replaced, g))

    def retain(self, node: Any, g: Any) -> None:
        holder = node.retained()
        if holder is not None:
            accumulate(holder, core.wrap(g), current.trace)


class Recording(Reader):
    """Rules run on Tensors: the backward pass can itself be differentiated."""

    def arguments(self, node: Any) -> tuple[Any, list[Any]]:
        check_saved(node)
        inputs = [
            x if not isinstance(x, core.Tensor) or x._node is edge else _again(x, edge)
            for x, edge in zip(node.inputs, node.edges, strict=True)
        ]
        y = None if node.y is None else core.wrap(node.y, node)
        return y, inputs

    def hook(self, function: Callable[[Any], Any], g: Any) -> Any:
        replaced = function(g)
        return g if replaced is None else _hooked(replaced, g)

    def retain(self, node: Any, g: Any) -> None:
        holder = node.retained()
        if holder is not None:
            accumulate(holder, g, current.trace)


def _again(x: Tensor, edge: Any) -> Tensor:
    """A saved value with the history that it had when it was saved."""
    trace = current.trace
    return core.wrap(x._value if trace is None else trace.value(x), edge)


def _hooked(replaced: Any, g: Any) -> Tensor:
    if not isinstance(replaced, core.Tensor) or replaced.shape != np.shape(g):
        raise ArgumentTypeError(
            "hook: must return None or a gradient of the same shape",
            expected=f"None or a Tensor of {np.shape(g)}",
            got=type(replaced).__name__,
        )
    return replaced


def accumulate(holder: Tensor, g: Tensor, trace: Any = None) -> None:
    """Adds g to `.grad`.  trace: the program that is being recorded."""
    held = holder._grad if trace is None else trace.gradient(holder)
    if held is None:
        if trace is not None:
            trace.hold(holder, grad=True)
        holder._grad = g
    elif g._node is not None or held._node is not None:
        if trace is not None:
            trace.hold(holder, grad=True)
        before, current.grad_enabled = current.grad_enabled, True
        try:
            holder._grad = held + g
        finally:
            current.grad_enabled = before
    else:
        if trace is None:
            np.add(held._value, g._value, out=held._value)
        else:
            trace.write(held, trace.recorder(add, (trace.value(held), trace.value(g)), {}))
        held._note_write()


PLAIN, TRACED, RECORDING = Plain(), Traced(), Recording()
