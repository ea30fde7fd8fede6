"""Recurrent layers: one step of each kind of cell, and a pass over a sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .. import ops
from ..ops.core import Value
from .linear_algebra import linear
from .shaping import select, stack

State = tuple[Value, ...]
"""(h,), or (h, c) for an LSTM: (B, hidden) each."""


class Weights(NamedTuple):
    """What one layer learns in one direction; the sizes of the gates lie behind one another."""

    ih: Value
    hh: Value
    b_ih: Value | None = None
    b_hh: Value | None = None
    hr: Value | None = None


Step = Callable[[Value, State, Weights], State]
"""From the input's part of the gates (B, gates), a state and weights to the next state."""


def _gates(a: Value, count: int) -> list[Value]:
    """(B, count H) cut into `count` parts."""
    rows, size = a.shape[0], a.shape[1] // count
    return [
        ops.slice_(a, ranges=((0, rows, 1), (i * size, (i + 1) * size, 1))) for i in range(count)
    ]


def tanh_step(gates: Value, state: State, w: Weights) -> State:
    """h' = tanh(W x + U h + b)."""
    return (ops.tanh(gates + ops.matmul(state[0], w.hh, tb=True)),)


def relu_step(gates: Value, state: State, w: Weights) -> State:
    """h' = max(W x + U h + b, 0)."""
    return (ops.relu(gates + ops.matmul(state[0], w.hh, tb=True)),)


def lstm_step(gates: Value, state: State, w: Weights) -> State:
    """c' = f c + i g, h' = o tanh(c'), with i, f, o = sigmoid(W x + U h + b), g = tanh of the same.

    With projection weights P: h' = P (o tanh(c')).
    """
    h, c = state
    i, f, g, o = _gates(gates + ops.matmul(h, w.hh, tb=True), 4)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    h = ops.sigmoid(o) * ops.tanh(c)
    return (h if w.hr is None else ops.matmul(h, w.hr, tb=True)), c


def gru_step(gates: Value, state: State, w: Weights) -> State:
    """h' = n + z (h - n), with r, z = sigmoid(W x + U h + b), n = tanh(W x + b + r (U h + b))."""
    (h,) = state
    r, z, n = _gates(gates, 3)
    hr, hz, hn = _gates(linear(h, w.hh, w.b_hh), 3)
    n = ops.tanh(n + ops.sigmoid(r + hr) * hn)
    return (n + ops.sigmoid(z + hz) * (h - n),)


def input_gates(step: Step, x: Value, w: Weights) -> Value:
    """W x + b for all of x (..., in) at once, with both biases where they only add up."""
    bias = w.b_ih
    if bias is not None and w.b_hh is not None and step is not gru_step:
        bias = bias + w.b_hh
    return linear(x, w.ih, bias)


def run_layer(
    step: Step, x: Value, state: State, w: Weights, axis: int, backwards: bool
) -> tuple[Value, State]:
    """All h along the axis of time of x, in the order of the input, and the last state."""
    gates = input_gates(step, x, w)
    times = range(x.shape[axis])
    outputs = []
    for t in reversed(times) if backwards else times:
        state = step(select(gates, axis, t), state, w)
        outputs.append(state[0])
    return stack(outputs[::-1] if backwards else outputs, axis), state
