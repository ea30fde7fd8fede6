"""The validation of an epoch; one that is not finite is explained, and its batch is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..data import DataLoader
from ..errors import NonFiniteError
from ..tensor.core import Tensor
from ..tensor.random import generator_in_use
from .guard import Origin, origin_of, told_by
from .inputs import Batch
from .kept_step import VALIDATION, Failure, keep

if TYPE_CHECKING:
    from .trainer import Trainer


def validated(
    trainer: Trainer, loader: DataLoader, broken_off: Callable[[], bool]
) -> dict[str, Any] | None:
    """The results; None if it was broken off, and then nothing random was drawn.

    Raises NonFiniteError where the loss is not finite.  The first batch for which it is not is kept
    in the run's folder, with the weights.
    """
    before = generator_in_use().get_state()
    bad: list[tuple[int, Batch, Tensor, Origin | None]] = []

    def found(number: int, batch: Batch, state: Tensor, raised: bool) -> None:
        bad.append((number, batch, state, None if raised else loss_origin(trainer, batch, state)))

    try:
        results = trainer.evaluate_on(loader, broken_off, found)
    except NonFiniteError as error:  # within detect_anomaly, or from the model itself
        if bad:
            number, batch, state, _ = bad[0]
            keep(trainer, Failure(
                error, [batch], told_by(error, trainer), VALIDATION, number, state))  # fmt: skip
        raise
    if results is None:
        generator_in_use().set_state(before)
        return None
    if not math.isfinite(results["loss"]):
        raise _not_finite(trainer, results["loss"], bad)
    return results


def _not_finite(
    trainer: Trainer, loss: float, bad: list[tuple[int, Batch, Tensor, Origin | None]]
) -> NonFiniteError:
    row = trainer.row
    error = NonFiniteError(
        f"the validation loss is {loss} after epoch {row['epoch']}, step {trainer.step}, though "
        f"the training loss is {row['loss']:.4g}",
        expected="a finite loss on every example",
        fix="a look at the validation data's range, or a smaller lr",
        line="",
    )
    if bad:
        number, batch, state, origin = bad[0]
        origin = origin or Origin()
        error.got = said(number, origin)
        keep(trainer, Failure(error, [batch], origin, VALIDATION, number, state))
    return error


def said(number: int, origin: Origin) -> str:
    """Which batch it is, and where in it."""
    return f"batch {number} of the validation data" + (f", {origin.text}" if origin.text else "")


def loss_origin(trainer: Trainer, batch: Batch, state: Tensor) -> Origin | None:
    """Where in a batch's loss it begins; within `evaluation.mode`, with the weights in place.

    state: the random numbers to compute it with; those that come next stay what they are.
    """
    after = generator_in_use().get_state()
    generator_in_use().set_state(state)
    try:
        return origin_of(trainer, batch, lambda b: trainer.loss(trainer.model(*b[:-1]), b[-1]))
    finally:
        generator_in_use().set_state(after)
