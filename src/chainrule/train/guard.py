"""The gradient's size at every step, and what is said when a number is no longer finite."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import NonFiniteError
from ..nn import Module
from ..ops.core import interpret
from ..tensor import anomaly
from ..tensor.autograd import no_grad
from ..tensor.core import Tensor
from .inputs import Batch
from .rates import highest_rate, largest_change, slower_rate
from .watch import Watch

if TYPE_CHECKING:
    from .trainer import Trainer

TREND = 5
SAFE_NORM, SAFE_RATE = 1e15, 1e10
"""Beyond these an update may overflow, so the weights are kept until it is known to be finite."""


def gradient_norm(parameters: Sequence[Tensor], squares: list[float] | None = None) -> float:
    """The norm of all gradients together; not finite only where a gradient is not.

    squares: gets the square of each parameter's own, for as far as it can be represented.
    """
    total = 0.0
    for p in parameters:
        square = 0.0
        if p._grad is not None:
            g = p._grad._value
            square = float(np.vdot(g, g))
            total += square
        if squares is not None:
            squares.append(square)
    if math.isfinite(total):
        return math.sqrt(total)
    grads = [p._grad._value for p in parameters if p._grad is not None]
    top = max(float(np.abs(g).max(initial=0.0)) for g in grads)
    if not math.isfinite(top):
        return top
    return top * math.sqrt(sum(float(np.square(g / top, dtype=np.float64).sum()) for g in grads))


class Origin(NamedTuple):
    """Where the first number that is not finite came from: an operation, a gradient, the batch."""

    text: str = ""
    op: str | None = None
    line: str | None = None
    layer: str | None = None
    values: str | None = None
    """Its result and its inputs in numbers."""
    gradient: str | None = None
    """The parameter whose gradient it is the first in."""

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON, without the sentence."""
        return {k: v for k, v in self._asdict().items() if k != "text"}


class Diverged(NonFiniteError):
    """A step that went to nan or infinity, with the numbers of its message as attributes."""

    def __init__(
        self, problem: str, trainer: Trainer, norms: Sequence[float], origin: Origin, **rows: Any
    ) -> None:
        super().__init__(problem, line="", **rows)
        self.origin = origin
        self.epoch = trainer.epoch + 1
        self.step = trainer.step + 1
        self.lr = trainer.lr
        self.advised_lr = advised_rate(trainer)
        self.grad_norms = list(norms)
        self.last_good_step = trainer.step


def layer_of(module: Any, trainer: Trainer) -> str:
    """Where an operation belongs to: the path of its layer in the model, the model, or the loss."""
    model, loss = trainer.model, trainer.loss
    path = next((n for n, m in model.named_modules() if m is module), None)
    if path is not None:
        return path or type(model).__name__
    kind = type(loss) if isinstance(loss, Module) else loss
    name = getattr(kind, "__name__", type(kind).__name__)
    return f"loss, {name}" if name.isidentifier() else "loss"


def origin_of(trainer: Trainer, batch: Batch, loss: Callable[[Batch], Any]) -> Origin | None:
    """Where the first number that is not finite comes from, in a batch and its loss."""
    for i, t in enumerate(batch):
        if t.dtype.kind == "f" and not np.isfinite(t._value).all():
            bad = np.flatnonzero(~np.isfinite(t._value.reshape(len(t._value), -1)).all(1))
            return Origin(f"the batch itself, value {i}, row {int(bad[0])}, is not finite")
    watch = anomaly.Watch(raises=False)
    with interpret(watch), no_grad():
        loss(batch)
    found = watch.made or watch.met
    if found is None:
        return None
    layer = layer_of(found.module, trainer)
    text = f"first in {found.describe(layer)}: {found.numbers}"
    return Origin(text, found.op.name, found.line, layer, found.numbers)


def told_by(error: NonFiniteError, trainer: Trainer) -> Origin:
    """What an error says of where it arose: one of detect_anomaly, or the user's own."""
    layer = None if error.module is None else layer_of(error.module, trainer)
    return Origin(error.got or "", error.op, error.line or None, layer, error.got)


def advised_rate(trainer: Trainer) -> float | None:
    """The learning rate to try where a training broke off; None where it has none to begin with.

    Where a step is made again, it is what was advised when it was kept.
    """
    if trainer.guard.advised is not None:
        return trainer.guard.advised
    highest = highest_rate(trainer.optimizer.param_groups)
    if highest is None or highest <= 0:
        return None
    looks = next((c.looks for c in trainer.callbacks if isinstance(c, Watch)), ())
    change = largest_change(looks)
    return slower_rate(highest, type(trainer.optimizer).__name__, change and change[0])


class Kept:
    """Buffers, and before a risky step weights and optimizer state, as they were."""

    def __init__(self, arrays: Sequence[Any]) -> None:
        self.pairs = [(a, a.copy()) for a in arrays]

    def put_back(self) -> None:
        """Undoes what was written since."""
        for array, before in self.pairs:
            np.copyto(array, before)


class Guard:
    """Watches the steps of one trainer: remembers the last norms, writes the error."""

    def __init__(self) -> None:
        self.norms: deque[float] = deque(maxlen=TREND)
        self.last_loss: float | None = None
        self.advised: float | None = None

    def passed(self, loss: float, norm: float) -> None:
        """A step went well."""
        self.norms.append(norm)
        self.last_loss = loss

    def error(self, trainer: Trainer, what: str, group: Sequence[Any] = ()) -> Diverged:
        """Where and when it happened, how the gradient grew, and what may help."""
        step, lr = trainer.step + 1, trainer.lr
        good = f"the last good step is {trainer.step}"
        if self.last_loss is not None:
            good += f" (loss {self.last_loss:.4g}); the weights are as they were after it"
        trend = ", ".join(f"{n:.3g}" for n in self.norms) or "none yet"
        where = self.origin(trainer, group)
        return Diverged(
            f"{what} at epoch {trainer.epoch + 1}, step {step} (lr {lr:g})",
            trainer,
            self.norms,
            where,
            expected=f"finite numbers; {good}",
            got=f"gradient norms of the steps before: {trend}"
            + (f"; {where.text}" if where.text else ""),
            fix=self.advice(trainer, group, what.startswith(("the loss", "the gradient"))),
        )

    def origin(self, trainer: Trainer, group: Sequence[Any]) -> Origin:
        """The first operation of the forward pass with a result that is not finite."""
        for batch in group:
            found = origin_of(trainer, batch, trainer.compute_loss)
            if found is not None:
                return found
        for name, p in trainer.model.named_parameters():
            if p._grad is not None and not np.isfinite(p._grad._value).all():
                return Origin(f"first in the gradient of {name}", gradient=name)
        return Origin()

    def advice(self, trainer: Trainer, group: Sequence[Any], computed: bool = False) -> str:
        """A smaller rate; scaled inputs where they are large.

        computed: whether it is the step's loss or gradient; before the first update no rate and no
        clipping changes these.
        """
        rate = advised_rate(trainer)
        if not math.isfinite(trainer.lr) or rate is None:
            return "a finite learning rate: look at the schedule"
        largest = max(
            (float(np.abs(t._value).max(initial=0.0)) for b in group for t in b[:-1]
             if t.dtype.kind == "f"), default=0.0,
        )  # fmt: skip
        advice = f"lr={rate:g}, or clip_grad_norm=1.0"
        if computed and trainer.step == 0:
            advice = ("a look at the first weights and at what this line computes: no step has "
                      "changed the weights yet, so that no learning rate mends it")  # fmt: skip
        if largest > 100 and math.isfinite(largest):
            advice += f", or inputs scaled to mean 0 and deviation 1 (now up to {largest:.3g})"
        return advice
