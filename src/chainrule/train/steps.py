"""What steps amount to, however they were made; and the steps that Python makes one by one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from ..data import DataLoader
from ..errors import NonFiniteError
from ..nn.utils import clip_grad_norm_, clip_grad_value_
from ..tensor.core import Tensor
from ..tensor.memory import OutOfMemory, free_bytes
from ..tensor.random import generator_in_use
from .guard import SAFE_NORM, SAFE_RATE, Kept, gradient_norm
from .inputs import Batch, groups
from .kept_step import failed_step
from .losses import shares, weight_of

if TYPE_CHECKING:
    from .trainer import Trainer

LARGE = 2**20
"""Bytes of weights below which an update asks for no memory worth speaking of."""
ROOM = 8
"""Copies of the weights for which there must be memory, or an update is made with care."""


class Done(NamedTuple):
    """Steps that were made, an entry each: loss, gradient norm, weight in the epoch's mean.

    batches: of each step.  sizes: for each step the squared norm of every parameter's gradient.
    rates: the learning rate after each step, where a schedule moved it; else it is as it stands.
    error: what the schedule raised after the last step.
    """

    losses: Sequence[float]
    norms: Sequence[float]
    weights: Sequence[float]
    batches: int
    sizes: Any
    rates: Sequence[float] | None = None
    error: Exception | None = None


class EagerSteps:
    """Steps as one would write them by hand, with everything that can go wrong attended to."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def turns(self, loader: DataLoader, room: Callable[[], int]) -> Iterator[Done]:
        """The rest of an epoch, step by step."""
        for group in groups(loader, self.trainer.accumulate):
            yield self.step(group)

    def step(self, group: Sequence[Batch]) -> Done:
        """One update, and what follows it: the average of the weights, the schedule."""
        trainer = self.trainer
        try:
            loss, norm, sizes = self._update(group)
        except NonFiniteError as error:
            failed_step(trainer, group, error)
            raise
        if trainer.ema is not None:
            trainer.ema.update()
        ended = stepped(trainer)
        weight = sum([weight_of(trainer.objective, batch) for batch in group])
        return Done([loss], [norm], [weight], len(group), [sizes], None, ended)

    def _update(self, group: Sequence[Batch]) -> tuple[float, float, list[float]]:
        """One update from a batch, or from several whose gradients are accumulated."""
        trainer = self.trainer
        kept = Kept(self._fragile())
        trainer.optimizer.zero_grad()
        try:
            total = self._gradients(group)
        except (NonFiniteError, MemoryError):  # within detect_anomaly, or from the model itself
            kept.put_back()
            trainer.optimizer.zero_grad()
            raise
        sizes: list[float] = []
        norm = gradient_norm(trainer.parameters, sizes) if math.isfinite(total) else math.nan
        if not math.isfinite(norm):
            self._fail("the loss" if not math.isfinite(total) else "the gradient", kept, group)
        limit = trainer.clip_grad_norm
        if limit is not None and norm > 0.99 * limit:  # below, clipping multiplies by exactly 1
            clip_grad_norm_(trainer.parameters, limit)
        if trainer.clip_grad_value is not None:
            clip_grad_value_(trainer.parameters, trainer.clip_grad_value)
        if norm < SAFE_NORM and safe_rates(trainer) and self._is_roomy():
            trainer.optimizer.step()
        else:
            self._risky_step(kept)
        return total, norm, sizes

    def _gradients(self, group: Sequence[Batch]) -> float:
        """Backward as long as the loss is finite; gives the loss."""
        total = 0.0
        for batch, share in zip(group, shares(self.trainer.objective, group), strict=True):
            loss = self.trainer.compute_loss(batch)
            loss = loss * share if share != 1.0 else loss
            total += loss.item()
            if math.isfinite(total):
                loss.backward()
        return total

    def _risky_step(self, kept: Kept) -> None:
        """An update that may overflow, or find no memory; undone if it does."""
        trainer, optimizer = self.trainer, self.trainer.optimizer
        if not all(math.isfinite(g["lr"]) for g in optimizer.param_groups):
            self._fail("a learning rate", kept, ())
        weights = Kept([p._value for p in trainer.parameters])
        state = optimizer.state_dict()
        try:
            optimizer.step()
        except MemoryError as error:
            weights.put_back()
            optimizer.load_state_dict(state)
            kept.put_back()
            optimizer.zero_grad()
            raise OutOfMemory(
                f"the optimizer's step: {error or 'no memory'}; the weights are as before it",
                fix="an optimizer with less state, or float32 in place of float64", line="",
            ) from None  # fmt: skip
        slots = [v for s in optimizer.state.values() for v in s.values() if isinstance(v, Tensor)]
        if not all(np.isfinite(t._value).all() for t in (*trainer.parameters, *slots)):
            weights.put_back()
            optimizer.load_state_dict(state)
            self._fail("the update", kept, ())

    def _is_roomy(self) -> bool:
        """Whether an update of large weights will find the memory that it takes."""
        size = sum([p._value.nbytes for p in self.trainer.parameters])
        if size < LARGE:
            return True
        free = free_bytes()
        return free is None or free > ROOM * size

    def _fragile(self) -> list[Any]:
        """What a forward pass changes besides its results: random numbers drawn, buffers."""
        held = [d[name]._value for d, name in self.trainer.buffers if d[name] is not None]
        return [generator_in_use().state._value, *held]

    def _fail(self, what: str, kept: Kept, group: Sequence[Batch]) -> NoReturn:
        """Raises, with everything as it was after the last good step."""
        kept.put_back()
        error = self.trainer.guard.error(self.trainer, f"{what} is not finite", group)
        kept.put_back()
        self.trainer.optimizer.zero_grad()
        raise error


def stepped(trainer: Trainer) -> Exception | None:
    """Moves the schedule after a step, and gives what it raises."""
    try:
        trainer.schedule("step")
    except Exception as error:
        return error
    return None


def safe_rates(trainer: Trainer) -> bool:
    """Whether no learning rate is so large that an update by it may overflow."""
    return all(g["lr"] < SAFE_RATE for g in trainer.optimizer.param_groups)
