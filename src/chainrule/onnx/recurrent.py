"""Recurrent layers over sequences of any length: one operator of ONNX for all times.

A recorded program has as many lines as a sequence has steps.  Where a length may grow, the layers
are recorded as one line instead, by ops that exist for this alone; ONNX has RNN, LSTM and GRU.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from .. import dtypes, ops
from .. import functional as F
from ..functional.recurrent import Weights
from ..nn import GRU, LSTM, RNN
from ..nn.recurrent import INSTEAD
from ..ops.core import Op, Spec
from .writer import Line, Writer


class Kind(NamedTuple):
    """How ONNX has a layer: the order of its gates by the places that they have here, settings."""

    name: str
    order: tuple[int, ...]
    settings: dict[str, Any]


KINDS: dict[type, Callable[[Any], Kind]] = {
    RNN: lambda layer: Kind("RNN", (0,), {"activations": [layer.nonlinearity.capitalize()]}),
    LSTM: lambda layer: Kind("LSTM", (0, 3, 1, 2), {}),
    GRU: lambda layer: Kind("GRU", (1, 0, 2), {"linear_before_reset": 1}),
}


class Own(Op, ABC):
    """An op of recordings for ONNX: none of those that programs are made of, and not registered."""

    def __init__(self) -> None:
        self.input_names = ("*",)
        self.variadic, self.spelled, self.scatters = True, False, False

    @abstractmethod
    def write(self, w: Writer, line: Line) -> str:
        """Adds what it is in ONNX; gives the name of its result."""


class Recurrence(Own):
    """y (T, B, H): all h of a layer in one direction, in the order of x (T, B, in).

    Inputs: x, W (1, rows, in), U (1, rows, H), both biases (1, 2 rows), h and, for LSTM, c
    (1, B, H).
    """

    def spec(self, *inputs: Any, **params: Any) -> Spec:
        """The times and rows of x, and the size of h."""
        x, h = inputs[0], inputs[4]
        return Spec((*x.shape[:2], h.shape[2]), x.dtype)

    def write(self, w: Writer, line: Line) -> str:
        """RNN, LSTM or GRU."""
        kind = line.p["kind"]
        x, weight, recurrent, bias, *states = line.x
        label = w.fresh(f"{w.place}/{kind.name}" if w.place else kind.name)
        outputs = [f"{label}/y", f"{label}/h", f"{label}/c"][: 1 + len(states)]
        node = w.helper.make_node(
            kind.name, [x, weight, recurrent, bias, "", *states], outputs, name=label,
            direction="reverse" if line.p["backwards"] else "forward",
            hidden_size=line.node.shape[2], **kind.settings,
        )  # fmt: skip
        w.nodes.append(node)
        w.cells[line.node] = outputs[-1]
        return w.put("Squeeze", outputs[0], w.whole(1))


class LastCell(Own):
    """c (1, B, H) after the last step of an LSTM's Recurrence, which is its input."""

    def spec(self, *inputs: Any, **params: Any) -> Spec:
        """One time of y."""
        (y,) = inputs
        return Spec((1, *y.shape[1:]), y.dtype)

    def write(self, w: Writer, line: Line) -> str:
        """The third result of the LSTM."""
        return w.cells[line.node.inputs[0]]


RECURRENCE, LAST_CELL = Recurrence(), LastCell()


@contextmanager
def in_one_line() -> Iterator[None]:
    """Within the block recurrent layers are recorded as one line for all times, in this thread.

    But for those that ONNX has no operator for, or runtimes none in their type: LSTM with
    projections, and all but float32.
    """
    before, INSTEAD.run = INSTEAD.run, _run
    try:
        yield
    finally:
        INSTEAD.run = before


def _able(layer: Any) -> bool:
    if type(layer) not in KINDS:
        return False
    return not layer.proj_size and layer.weight_ih_l0.dtype == dtypes.float32


def _run(layer: Any, x: Any, states: Sequence[Any], time: int) -> tuple[Any, list[Any]]:
    """What takes the place of a layer's `_run` (in evaluation mode)."""
    if not _able(layer):
        return cast("tuple[Any, list[Any]]", layer._run(x, states, time))
    kind = KINDS[type(layer)](layer)
    x = F.transpose(x, 0, 1) if time else x
    last: list[Any] = []
    for level in range(layer.num_layers):
        ways = []
        for backwards, suffix in enumerate(layer._suffixes(level)):
            start = [F.narrow(s, 0, len(last), 1) for s in states]
            held = _arranged(layer._weights(suffix), kind.order)
            y: Any = RECURRENCE(x, *held, *start, kind=kind, backwards=bool(backwards))
            ways.append(y)
            end = [F.select(y, 0, 0 if backwards else x.shape[0] - 1)]
            last.append((*end, *(F.select(LAST_CELL(y), 0, 0) for _ in start[1:])))
        x = ways[0] if len(ways) == 1 else F.cat(ways, -1)
    return F.transpose(x, 0, 1) if time else x, last


def _arranged(w: Weights, order: tuple[int, ...]) -> list[Any]:
    """W, U and the biases as ONNX has them: its order of the gates, directions first."""

    def gates(v: Any) -> list[Any]:
        size = v.shape[0] // len(order)
        return [F.narrow(v, 0, i * size, size) for i in order]

    rows = w.ih.shape[0]
    biases = [ops.full(shape=(2 * rows,), value=0.0, dtype=w.ih.dtype)]
    if w.b_ih is not None:
        biases = [*gates(w.b_ih), *gates(w.b_hh)]
    parts = [gates(w.ih), gates(w.hh), biases]
    return [F.unsqueeze(p[0] if len(p) == 1 else F.cat(p, 0), 0) for p in parts]
