"""Whether the examples of a batch are independent, by backpropagation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ops.core import quietly
from ..tensor.autograd import enable_grad, grad, no_grad
from ..tensor.core import Tensor, wrap

CLOSE = 1e-5
"""Of the output's size: a difference below is rounding."""


def leak_of(model: Callable[..., Any], inputs: Sequence[Tensor], rows: int = 4) -> str | None:
    """How the output for the first example depends on another one; None where it does not.

    A gradient tells where inputs are floats; else the other examples are exchanged.
    """
    few = [wrap(x._value[:rows].copy()) for x in inputs]
    size = len(few[0])
    if size < 2:
        return None
    with enable_grad(), quietly():
        leaves = [x.requires_grad_() if x.dtype.kind == "f" else x for x in few]
        out = _first(model(*leaves))
        if out.ndim == 0 or out.shape[0] != size:
            return f"{size} examples give an output of shape {tuple(out.shape)}"
        floats = [x for x in leaves if x.requires_grad]
        if floats and out.requires_grad:
            return _by_gradient(out, floats)
    return _by_exchange(model, few, out)


def _first(y: Any) -> Tensor:
    return y[0] if isinstance(y, tuple) else y


def _by_gradient(out: Tensor, leaves: Sequence[Tensor]) -> str | None:
    chosen = np.zeros(out.shape, out.dtype)
    chosen[0] = np.random.default_rng(0).normal(size=out.shape[1:])  # a plain sum may cancel
    for g in grad(out, leaves, wrap(chosen), allow_unused=True):
        if g is None:
            continue
        sizes = np.abs(g._value.reshape(len(g._value), -1)).max(1, initial=0.0)
        other = 1 + int(np.argmax(sizes[1:]))
        if sizes[other] > CLOSE * max(float(sizes[0]), 1e-30):
            return f"|d out[0] / d in[{other}]| is {sizes[other]:.1e} (d out[0] / d in[0]: " \
                f"{sizes[0]:.1e}); it should be 0"  # fmt: skip
    return None


def _by_exchange(model: Callable[..., Any], inputs: Sequence[Tensor], out: Tensor) -> str | None:
    order = [0, *range(len(inputs[0]) - 1, 0, -1)]
    others = [wrap(np.concatenate([x._value[:1], _other(x._value[1:])])) for x in inputs]
    exchanged = [wrap(x._value[order].copy()) for x in inputs]
    with no_grad(), quietly():
        for changed in (exchanged, others):
            away = np.abs(_first(model(*changed))._value[0] - out._value[0]).max(initial=0.0)
            if away > CLOSE * max(float(np.abs(out._value[0]).max(initial=0.0)), 1e-30):
                return f"out[0] changes by {away:.1e} when the other examples do; it should not"
    return None


def _other(values: Any) -> Any:
    """Other values that the model can take, too: those of the first of them everywhere."""
    return np.broadcast_to(values[:1], values.shape).copy()
