"""Training steps as one program: recorded once, run many at a time in machine code.

The program makes an update only where it is finite and can't overflow.  Where it is not, nothing
has changed, and the step is made again by `EagerSteps`, which knows what to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import functional as F
from .. import ops
from ..data import DataLoader
from ..dtypes import float64
from ..errors import ChainruleError, NonFiniteError, RecompileError, TraceError
from ..functional.arguments import later
from ..jit import compile
from ..jit.turn import Rows, Turn, Turns
from ..runtime.threads import worthwhile
from ..tensor.autograd import drop_gradients, no_grad
from ..tensor.core import Tensor, wrap
from ..tensor.memory import OutOfMemory, step_does_not_fit
from .guard import SAFE_NORM
from .inputs import Batch, groups
from .kept_step import failed_step
from .losses import row_weights, shares, weight_of
from .rows import InRows, in_rows, numbers_of, stretches
from .steps import Done, EagerSteps, safe_rates, stepped

if TYPE_CHECKING:
    from .trainer import Trainer


UNCOMPILED = "Trainer(..., compile=False)"


class RefusedError(NonFiniteError):
    """A step that was computed and not made, because it is not sure to leave finite numbers."""


def training_step(
    trainer: Trainer, model: Any, loss: Any, optimizer: Any, ema: Any, limits: tuple[Any, Any],
    share: Any, parts: tuple[Any, ...], *batch: Any,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """One update: the loss, the gradient's norm before clipping, and its square by parameter.

    parts: what the loss of each batch is multiplied by, where there are several; each is a tuple
    then.  Objects are arguments so that another model, loss or optimizer is another program.
    """
    own = set(trainer.parameters)
    others = [p for p in model.parameters() if p not in own]  # their gradients nobody asks for
    optimizer.zero_grad()
    drop_gradients(others, True)
    losses = []
    for part, one in zip(parts or (None,), batch if parts else (batch,), strict=True):
        value = trainer.compute_loss(one)
        value = value if part is None else value * part
        value.backward()
        losses.append(ops.cast(value.detach().reshape(()), dtype=float64))
    drop_gradients(others, True)
    total: Any = sum(losses[1:], losses[0])
    with no_grad():
        gradients = [p.grad for p in trainer.parameters]
        sizes = F.stack([_square(g, total) for g in gradients])
        norm = ops.sqrt(F.sum(sizes))
        later(F.isfinite(total) & (norm < SAFE_NORM), _refuse, lambda held: held)
        _clip([g for g in gradients if g is not None], norm, *limits)
    optimizer.step()
    if ema is not None:
        with no_grad():
            for name, p in ema.parameters.items():
                ema.weights[name].copy_(F.lerp(ema.weights[name], p.detach(), share))
    return total, norm, sizes


def _square(g: Any, total: Any) -> Any:
    return total * 0.0 if g is None else ops.cast(F.sum(g * g), dtype=float64)


def _refuse(held: Any) -> None:
    if not held:
        raise RefusedError("the step was not made")


def _clip(gradients: list[Tensor], norm: Any, most: Any, bound: Any) -> None:
    """As clip_grad_norm_ and clip_grad_value_ do, with the norm that is known already."""
    if most is not None:
        scale = ops.minimum(most / (norm + 1e-6), 1.0)
        for g in gradients:
            g.mul_(scale.to(g.dtype))
    if bound is not None:
        for g in gradients:
            g.copy_(ops.minimum(ops.maximum(g, -bound), bound))


def counts_steps(scheduler: Any) -> bool:
    """Whether a schedule is one of ours: it follows from the number of steps, and may run ahead."""
    inner = getattr(scheduler, "_schedulers", ())
    ours = type(scheduler).__module__.startswith("chainrule.") and "step" not in vars(scheduler)
    return ours and all(counts_steps(s) for s in inner)


def _made(turn: Turn, weights: Any) -> Done:
    losses, norms, sizes = (o[: turn.good] for o in turn.outputs[:3])
    return Done(
        losses.tolist(), norms.tolist(), weights.tolist(), 1, sizes, turn.rates, turn.error
    )  # fmt: skip


def _next(found: InRows, rows: Rows) -> Batch:
    """The batch of the next step."""
    return tuple(wrap(a[numbers_of(rows)[rows.done]]) for a in found.arrays)


def _weights(loss: Any, arrays: Any, numbers: Any) -> Any:
    """What the batches weigh in the mean over the epoch: see `weight_of`."""
    each = row_weights(loss, arrays)
    if each is None:
        return np.full(len(numbers), float(numbers.shape[1]))
    return each[numbers].sum(1)


@contextmanager
def in_memory(rows: int) -> Iterator[None]:
    """Within the block a MemoryError says how many rows a batch may have."""
    try:
        yield
    except OutOfMemory:
        raise
    except MemoryError as error:
        raise step_does_not_fit(rows, error) from None


class CompiledSteps:
    """Makes the steps of a trainer by a compiled function."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.eager = EagerSteps(trainer)
        self.step = compile(training_step)

    def turns(self, loader: DataLoader, room: Callable[[], int]) -> Iterator[Done]:
        """The rest of an epoch: many steps at a time where batches are rows of arrays.

        room: the steps until somebody has to see the state as it is then.
        """
        found = in_rows(loader) if self.trainer.accumulate == 1 else None
        if found is None:
            for group in groups(loader, self.trainer.accumulate):
                yield self._one(group)
            return
        reading = loader.reading()
        at = reading.start
        for rows in stretches(found, loader, reading.epoch, reading.start):
            for done in self._stretch(found, rows, room):
                at += len(done.losses)
                reading.reached(at)
                yield done
        reading.end()

    def _stretch(self, found: InRows, rows: Rows, room: Callable[[], int]) -> Iterator[Done]:
        """Steps with batches of one size."""
        trainer = self.trainer
        numbers = numbers_of(rows)
        weights = _weights(trainer.objective, found.arrays, numbers)
        scheduler = trainer.scheduler if trainer.schedule_by == "step" else None
        plain = scheduler is None or counts_steps(scheduler)
        turns = Turns(
            self.step, found.arrays, scheduler, usable=lambda: safe_rates(trainer),
            looked_at=numbers.reshape(-1),
        )  # fmt: skip
        while rows.left:
            at = rows.done
            made = None
            if safe_rates(trainer):
                most = room() if plain else 1
                turn = self._turn(turns, rows, most, found)
                if turn is not None and turn.good:
                    made = _made(turn, weights[at : at + turn.good])
            if made is None:
                made = self.eager.step([_next(found, rows)])
            yield made
            rows = rows.after(len(made.losses))

    def _turn(self, turns: Turns, rows: Rows, most: int, found: InRows) -> Turn | None:
        """Some steps; None where the first was refused, though no operation is to blame."""
        try:
            with in_memory(rows.size):
                turn: Turn = self._compiled(turns.run, rows, (*self._before(), ()), most)
                return turn
        except RefusedError:
            return None
        except NonFiniteError as error:  # within detect_anomaly, or of the user's own
            failed_step(self.trainer, [_next(found, rows)], error)
            raise

    def _one(self, group: Sequence[Batch]) -> Done:
        """A step from batches that somebody else has made."""
        trainer = self.trainer
        if not safe_rates(trainer):
            return self.eager.step(group)
        parts = tuple(shares(trainer.objective, group)) if len(group) > 1 else ()
        batch = [tuple(b) for b in group] if parts else list(group[0])
        known = self.step.traces
        try:
            args = (*self._before(), parts, *batch)
            with in_memory(sum(len(b[0]) for b in group)):
                found = self._compiled(self.step, *args)
        except ChainruleError as error:
            if self.step.traces != known and not isinstance(error, RefusedError):
                if isinstance(error, NonFiniteError):
                    failed_step(trainer, group, error)
                raise
            return self.eager.step(group)
        loss, norm, sizes = (t._value for t in found)
        ended = stepped(trainer)
        weight = sum([weight_of(trainer.objective, b) for b in group])
        return Done([float(loss)], [float(norm)], [weight], len(group), [sizes], None, ended)

    @property
    def cached(self) -> bool:
        """Whether the code of all programs so far was there already, from an earlier run."""
        known = self.step.known()
        return bool(known) and all(p.executable.times.cached for p in known)

    @property
    def threads(self) -> int:
        """The most threads that a program of these steps runs on."""
        return max((worthwhile(p.executable.shared_work) for p in self.step.known()), default=1)

    def _before(self) -> tuple[Any, ...]:
        """The arguments before the batch, but for `parts`."""
        t = self.trainer
        limits = tuple(
            None if n is None else float(n) for n in (t.clip_grad_norm, t.clip_grad_value)
        )
        share = None if t.ema is None else 1.0 - t.ema.decay
        return t, t.model, t.objective, t.optimizer, t.ema, limits, share

    def _compiled(self, run: Callable[..., Any], *args: Any) -> Any:
        """A run, with the way out where something can't be compiled."""
        try:
            return run(*args)
        except (TraceError, RecompileError) as error:
            error.fix = f"{error.fix}; or {UNCOMPILED}" if error.fix else UNCOMPILED
            raise
        except NotImplementedError as error:
            raise TraceError(
                "this training step can't be compiled", got=str(error), fix=UNCOMPILED, line=""
            ) from error
