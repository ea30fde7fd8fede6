"""The model applied without learning: evaluation and prediction, in evaluation mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..data import DataLoader
from ..errors import ArgumentError, NonFiniteError
from ..functional import cat
from ..nn import Module
from ..ops.core import changes, quietly
from ..tensor.autograd import no_grad
from ..tensor.core import Tensor
from ..tensor.random import generator_in_use
from .inputs import Batch, as_batch
from .losses import weight_of

OnBad = Callable[[int, Batch, Any, bool], None]
"""Gets a batch's number from 1, the batch, the random numbers before it, whether it raised."""


@contextmanager
def mode(model: Module, training: bool) -> Iterator[None]:
    """Training or evaluation mode within the block; every module gets its own mode back."""
    before = [(m, m.training) for m in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.__dict__["training"] = was
        changes.note()


def evaluate(
    model: Module, loss: Any, metrics: Sequence[Any], loader: DataLoader,
    broken_off: Callable[[], Any] = lambda: False, on_bad: OnBad | None = None,
) -> dict[str, Any] | None:  # fmt: skip
    """Mean loss and metrics over a loader; None if it was broken off in between.

    on_bad: told of the first batch whose loss is not finite, or raises NonFiniteError.
    """
    total = weight = 0.0
    for metric in metrics:
        metric.reset()
    with mode(model, False), no_grad(), quietly():
        for number, raw in enumerate(loader, 1):
            batch = as_batch(raw)
            state = None if on_bad is None else generator_in_use().get_state()
            try:
                prediction = model(*batch[:-1])
                value = loss(prediction, batch[-1]).item()
            except NonFiniteError:
                if on_bad is not None:
                    on_bad(number, batch, state, True)
                raise
            if on_bad is not None and not math.isfinite(value):
                on_bad(number, batch, state, False)
                on_bad = None
            n = weight_of(loss, batch)
            total += value * n
            weight += n
            for metric in metrics:
                metric.update(prediction, batch[-1])
            if broken_off():
                return None
    return {"loss": total / weight, **{m.name: m.compute() for m in metrics}}


def predict(model: Module, inputs: tuple[Tensor, ...], batch_size: int) -> Tensor:
    """The model's outputs for all rows, computed batch by batch."""
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        number = isinstance(batch_size, (int, float, np.number))
        raise ArgumentError(
            "predict: batch_size must be a whole number >= 1",
            got=repr(batch_size) if number else f"a {type(batch_size).__name__}",
            fix=None if number else "several inputs in a tuple: predict((x1, x2))",
        )
    lengths = {len(t) for t in inputs}
    if len(lengths) != 1 or 0 in lengths:
        raise ArgumentError(
            "predict: needs inputs with the same number of rows, at least one",
            got=", ".join(str(t.shape) for t in inputs),
        )
    (rows,) = lengths
    with mode(model, False), no_grad(), quietly():
        parts = [
            model(*[t[start : start + batch_size] for t in inputs])
            for start in range(0, rows, batch_size)
        ]
    return parts[0] if len(parts) == 1 else cat(parts)
