"""Entries of the ops that make one element of many."""

from __future__ import annotations

from .. import dtypes
from ..dtypes import DType
from .pointwise import COMPUTED
from .writer import Line, Writer, entry

REDUCED = {
    "sum": "ReduceSum", "prod": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin",
    "logsumexp": "ReduceLogSumExp",
}  # fmt: skip


def _within(w: Writer, x: str, dtype: DType) -> tuple[str, DType]:
    """A value in a type that ONNX computes in, and that type."""
    return (x, dtype) if dtype in COMPUTED else (w.cast(x, dtypes.int64, dtype), dtypes.int64)


@entry(*REDUCED)
def reduction(w: Writer, line: Line) -> str:
    """Over the dimensions `axis`; over none it changes the type at most."""
    x, dtype = line.x[0], line.ins[0].dtype
    if line.op in ("sum", "prod"):
        x, dtype = w.cast(x, line.dtype, dtype), line.dtype
    x, dtype = _within(w, x, dtype)
    if line.p["axis"]:
        axes = w.whole(*line.p["axis"])
        x = w.put(REDUCED[line.op], x, axes, keepdims=int(line.p["keepdim"]))
    return w.cast(x, line.dtype, dtype)


@entry("softmax", "log_softmax")
def softmax(w: Writer, line: Line) -> str:
    """Shares along a dimension, or their logarithms."""
    kind = "Softmax" if line.op == "softmax" else "LogSoftmax"
    return w.put(kind, line.x[0], axis=line.p["axis"])


@entry("argmax", "argmin")
def place_of_extremum(w: Writer, line: Line) -> str:
    """The first place of the greatest or smallest."""
    (x, dtype), axis = _within(w, line.x[0], line.ins[0].dtype), line.p["axis"]
    if dtype == dtypes.int64:  # for which runtimes have no ArgMax
        places = w.sorted(x, w.whole(1), axis, line.op == "argmax")
        return w.put("Squeeze", places, w.whole(axis))
    return w.put("ArgMax" if line.op == "argmax" else "ArgMin", x, axis=axis, keepdims=0)


@entry("cumsum")
def cumsum(w: Writer, line: Line) -> str:
    """Sums so far."""
    x = w.cast(line.x[0], line.dtype, line.ins[0].dtype)
    return w.put("CumSum", x, w.like(line.p["axis"], dtypes.int64))
