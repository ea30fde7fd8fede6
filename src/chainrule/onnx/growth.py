"""Which sizes of a program grow with the batch: found by recording it for several batch sizes.

A recorded program knows numbers only.  The same function recorded for 5, 7 and 11 rows takes the
same steps, and a number that differs between the three is scale * rows + offset; one that is
anything else is refused, with the line that needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import ExportError
from ..export.recording import Recorded, not_exported
from ..graph import Node
from ..ops.core import Shape

ROWS = (5, 7, 11)
"""Batch sizes that hardly any other size of a model is a multiple of."""
FIXED = "dynamic_batch=False: for the example's batch size alone"


class Dim(NamedTuple):
    """A size that is scale * rows + offset."""

    scale: int
    offset: int


Size = int | Dim


class Spec(NamedTuple):
    """The shape and type of a value, with sizes that may grow."""

    shape: tuple[Size, ...]
    dtype: Any


class Sizes:
    """A program whose sizes are numbers or grow; as `recordings` have it in common."""

    def __init__(self, owner: str, recordings: Sequence[Recorded], rows: Sequence[int]) -> None:
        self.owner, self.recordings, self.rows = owner, recordings, rows
        self.recorded = first = recordings[0]
        self.specs: dict[Node, Spec] = {}
        self.params: dict[Node, dict[str, Any]] = {}
        self.operands: dict[Node, tuple[Any, ...]] = {}
        for n, node in enumerate(first.graph.nodes):
            if any(len(r.graph.nodes) <= n for r in recordings):
                raise self._differs(node)
            self._line(node, [r.graph.nodes[n] for r in recordings])
        if len({len(r.graph.nodes) for r in recordings}) != 1:
            raise self._differs(first.graph.nodes[-1])
        for group in zip(*(r.arguments for r in recordings), strict=True):
            self._spec(group[0], group)
        for group in zip(*(r.values for r in recordings), strict=True):
            self._spec(group[0], group)
            self._constant(group)

    def _line(self, node: Node, lines: Sequence[Node]) -> None:
        """One line, in all recordings."""
        if len({line.op for line in lines}) != 1 or len({len(x.inputs) for x in lines}) != 1:
            raise self._differs(node)
        self._spec(node, lines)
        self.params[node] = {
            key: self._merged(node, [line.params[key] for line in lines]) for key in node.params
        }
        operands = []
        for group in zip(*(line.inputs for line in lines), strict=True):
            known = isinstance(group[0], Node)
            operands.append(group[0] if known else self._merged(node, group))
        self.operands[node] = tuple(operands)

    def _spec(self, node: Node, nodes: Sequence[Node]) -> None:
        shape: Any = self._merged(node, [n.shape for n in nodes])
        self.specs[node] = Spec(shape, node.dtype)

    def _merged(self, node: Node, values: Sequence[Any]) -> Any:
        """What a setting is for any number of rows."""
        first = values[0]
        if all(type(v) is type(first) and v == first for v in values):
            return first
        if isinstance(first, tuple) and len({len(v) for v in values}) == 1:
            parts = [self._merged(node, group) for group in zip(*values, strict=True)]
            return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
        if all(type(v) is int for v in values):
            scale = (values[1] - first) // (self.rows[1] - self.rows[0])
            found = Dim(scale, first - scale * self.rows[0])
            pairs = zip(values, self.rows, strict=True)
            if all(found.scale * n + found.offset == v for v, n in pairs):
                return found
        raise self._differs(node, ", ".join(map(repr, values)))

    def _constant(self, group: Sequence[Node]) -> None:
        arrays = [r.values[n] for r, n in zip(self.recordings, group, strict=True)]
        if not all(np.array_equal(a, arrays[0], equal_nan=a.dtype.kind == "f") for a in arrays):
            raise ExportError(
                f"{self.owner}: a constant of the model depends on the batch size",
                got=f"{group[0].name} {arrays[0].shape}", fix=FIXED,
            )  # fmt: skip

    def _differs(self, node: Node, values: str = "") -> ExportError:
        rows = ", ".join(map(str, self.rows))
        why = "it depends on the batch size in a way that can't be said in advance"
        got = f"for {rows} rows: {values or 'other steps'}"
        return not_exported(self.owner, self.recorded, node, why, got, FIXED)


def resized(x: Any, axis: int, rows: int) -> Any:
    """An array like an example, with another number of rows."""
    shape: Shape = tuple(x.shape)
    return np.zeros((*shape[:axis], rows, *shape[axis + 1 :]), x.dtype)
