"""Where a number of a layer's inner lines is for its user: by example, position and feature.

A layer multiplies rows that it has laid out flat: the projection of attention is (B L, 3 E) within,
(B, L, 3 E) as soon as it shows it, and cut into heads after that.  A number is called by its place
in the shape that is shown, and so is the gradient of what is cut from it, where that is the same
number: att.matmul[1,2,9] rather than att.matmul[5,9], dL/datt.matmul[1,2,9] for dL/datt.permute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import ops
from ...graph import Node
from ..elements import Place

if TYPE_CHECKING:
    from .labels import Labels
    from .program import Program

CUT = (ops.reshape, ops.permute, ops.slice_)
"""Ops that give numbers of their operand, each once."""


class Shown:
    """The places by which numbers are called.

    views: an inner line with a name -> the line of more dimensions that shows it.  inner: a
    gradient -> the inner line that it is the gradient of, as it is shown.
    """

    def __init__(self, program: Program, labels: Labels) -> None:
        self.program, self.labels = program, labels
        self.readers: dict[Node, list[Node]] = {}
        for node in program.forward:
            for x in dict.fromkeys(x for x in node.inputs if isinstance(x, Node)):
                self.readers.setdefault(x, []).append(node)
        modules = program.recording.modules
        self.module_of = {node: modules.get(line) for line, node in program.now.items()}
        lines = [n for n in program.forward if self._is_inner(n)]
        self.views = {n: view for n in lines if (view := self._view(n)) is not None}
        self.inner = {g: n for n in lines
                      if (g := program.gradient.get(self.views.get(n, n))) is not None}  # fmt: skip

    def _is_inner(self, node: Node) -> bool:
        """Whether a line has a name, but is not what a layer or a function gives."""
        named = node in self.labels.names and node not in self.labels.results
        return named and node.op is not None and self.module_of.get(node) is not None

    def _view(self, node: Node) -> Node | None:
        """The reshape of a line into more dimensions, within its layer, that all read."""
        labels, readers = self.labels, self.readers.get(node, [])
        if len(readers) != 1 or readers[0].op is not ops.reshape:
            return None
        view = readers[0]
        within = self.module_of.get(view) is self.module_of[node]
        named = view in labels.names  # what the layer gives, say
        return view if within and not named and view.ndim > node.ndim else None

    def __call__(self, place: Place) -> Place:
        """The same number by the place that is shown."""
        node, at = place
        value = self.labels.of_gradient.get(node)
        if node in self.views:
            return Place(node, _moved(at, node.shape, self.views[node].shape))
        if value is None or value.shape != node.shape:
            return place
        if value in self.views:
            return Place(node, _moved(at, node.shape, self.views[value].shape))
        if value in self.labels.names:
            return place
        return self._cut_from(value, at) or place

    def _cut_from(self, value: Node, at: tuple[int, ...]) -> Place | None:
        """The gradient of a number that was cut out of an inner line, as that of the line."""
        while value.op in CUT:
            (x,) = value.inputs
            at = _behind(value, at)
            if not self._alone(x, at, value):
                return None
            value = x
            shown = self.program.gradient.get(x)  # a bias added changes no gradient
            inner = None if shown is None else self.inner.get(shown)
            if inner is not None:
                g = self.program.gradient.get(inner)
                return None if g is None else Place(g, at)
            if x in self.labels.names:
                return None
        return None

    def _alone(self, x: Node, at: tuple[int, ...], reader: Node) -> bool:
        """Whether nobody else reads a number: then its gradient is the one that reader gets."""
        for other in self.readers[x]:
            if other is reader:
                continue
            if other.op is not ops.slice_ or all(
                i in range(*r) for i, r in zip(at, other.params["ranges"], strict=True)
            ):
                return False
        return True


def _moved(at: tuple[int, ...], shape: Any, other: Any) -> tuple[int, ...]:
    """A place of one shape in another with as many numbers."""
    flat = int(np.ravel_multi_index(at, shape)) if at else 0
    return tuple(int(i) for i in np.unravel_index(flat, other))


def _behind(view: Node, at: tuple[int, ...]) -> tuple[int, ...]:
    """A place of a view in what it is a view of."""
    (x,) = view.inputs
    if view.op is ops.permute:
        axes = view.params["axes"]
        return tuple(at[axes.index(i)] for i in range(len(axes)))
    if view.op is ops.slice_:
        return tuple(
            a + i * step for i, (a, _, step) in zip(at, view.params["ranges"], strict=True)
        )
    return _moved(at, view.shape, x.shape)
