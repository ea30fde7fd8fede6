"""Limiting gradients, and parameters as one long vector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ... import functional as F
from ... import ops
from ...errors import ArgumentError, ArgumentTypeError, NonFiniteError, ShapeError
from ...functional.arguments import later
from ...ops.arithmetic import nowhere
from ...ops.core import current
from ...tensor.autograd import no_grad
from ...tensor.core import Tensor, constant


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    if not isinstance(parameters, (Tensor, Iterable)):
        raise ArgumentTypeError(
            "clip: needs parameters", got=type(parameters).__name__, fix="model.parameters()"
        )
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in listed:
        if not isinstance(p, Tensor):
            raise ArgumentTypeError("clip: a parameter must be a Tensor", got=type(p).__name__)
    trace = current.trace
    if trace is not None:
        for p in listed:
            trace.gradient(p)
    return [p._grad for p in listed if p._grad is not None]


def _where_not_finite(grads: Sequence[Tensor]) -> str:
    """The first gradient that holds a nan or an infinity, and how many."""
    for i, g in enumerate(grads):
        bad = int((~np.isfinite(g._value)).sum())
        if bad:
            return f"; gradient {i} of shape {g.shape}: {bad} of {g.numel()} are nan or infinite"
    return "; finite gradients whose norm overflows" if grads else ""


def _check_total(grads: Sequence[Tensor], total: Any) -> None:
    if not math.isfinite(total):
        raise NonFiniteError(
            "the total norm of the gradients is not finite, so they can't be clipped",
            expected="finite gradients",
            got=f"norm {total}{_where_not_finite(grads)}",
            fix="a smaller lr, data without nan, or error_if_nonfinite=False",
        )


def _check_numbers(i: int, shape: tuple[int, ...], values: Any) -> None:
    if missing := int(np.isnan(values).sum()):
        raise NonFiniteError(
            "clip_grad_value_: a gradient holds nan, which can't be limited",
            expected="numbers or infinities",
            got=f"gradient {i} of shape {shape}: {missing} of {values.size} are nan",
            fix="a smaller lr, or data without nan",
        )


def _check_limit(name: str, limit: Any) -> None:
    """Raises unless a limit is at least 0; of a recorded number at every call."""

    def check(value: Any) -> None:
        if not value >= 0:
            raise ArgumentError(f"{name} must be >= 0", got=str(value))

    if isinstance(limit, Tensor):
        later(limit, check, lambda x: ops.ge(x, 0))
    else:
        check(limit)


def get_total_norm(
    tensors: Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """(sum |x|^p)^(1/p) over the elements of all the tensors, p = norm_type."""
    if not norm_type > 0:
        raise ArgumentError("get_total_norm: norm_type must be > 0", got=str(norm_type))
    listed = [t for t in tensors if t.numel()]
    if not listed:
        return constant(np.zeros((), np.float32))
    with no_grad():
        total = _norm(listed, norm_type)
    if error_if_nonfinite:
        later(total, partial(_check_total, listed if current.trace is None else ()), F.isfinite)
    return total


def _norm(tensors: list[Tensor], p: float) -> Tensor:
    """One sum a tensor and one root for all of them."""
    if math.isinf(p):
        return F.amax(F.stack([F.amax(ops.abs(t)) for t in tensors]))
    powers = [F.sum(ops.pow(t if p == 2 else ops.abs(t), p)) for t in tensors]
    total: Tensor = F.sum(F.stack(powers))
    return ops.sqrt(total) if p == 2 else ops.pow(total, 1 / p)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = True,
) -> Tensor:
    """Scales all gradients by min(1, max_norm / (norm + 1e-6)), in place; returns the norm before.

    Differs from PyTorch: a norm that is not finite raises (error_if_nonfinite=True by default),
    because scaling by it would fill every gradient with nan or 0.
    """
    _check_limit("clip_grad_norm_: max_norm", max_norm)
    grads = _gradients(parameters)
    total = get_total_norm(grads, norm_type, error_if_nonfinite)
    with no_grad():
        scale = ops.minimum(max_norm / (total + 1e-6), 1.0)
        for g in grads:
            g.mul_(scale.to(g.dtype))
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limits every element of every gradient to [-clip_value, clip_value], in place.

    Differs from PyTorch: a nan, which has no limit, raises before anything is changed.
    """
    _check_limit("clip_grad_value_: clip_value", clip_value)
    grads = _gradients(parameters)
    for i, g in enumerate(grads):
        later(g, partial(_check_numbers, i, g.shape), lambda x: nowhere(F.isnan(x)))
    with no_grad():
        for g in grads:
            g.clamp_(-clip_value, clip_value)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters behind one another."""
    return F.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vector: Tensor, parameters: Iterable[Tensor]) -> None:
    """Writes the parts of a long vector back into the parameters."""
    listed: list[Any] = list(parameters)
    total = sum(p.numel() for p in listed)
    if vector.shape != (total,):
        raise ShapeError(
            "vector_to_parameters: the vector does not fit the parameters",
            expected=f"({total},)",
            got=str(vector.shape),
        )
    start = 0
    with no_grad():
        for p in listed:
            p.copy_(vector[start : start + p.numel()].reshape(p.shape))
            start += p.numel()
