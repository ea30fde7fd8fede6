"""When a fit ends: after epochs, after steps, or when nothing changes any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, ArgumentTypeError
from ..ops.core import is_number

if TYPE_CHECKING:
    from .trainer import Trainer


class Limits:
    """Epochs and steps of this fit, the change of loss and the gradient norm that count as 0."""

    def __init__(
        self,
        epochs: int | None,
        steps: int | None,
        tol: float | None,
        grad_tol: float | None,
    ) -> None:
        for name, count in (("epochs", epochs), ("steps", steps)):
            if count is None:
                continue
            if isinstance(count, bool) or not isinstance(count, int):
                raise ArgumentTypeError(f"fit: {name} must be a whole number", got=repr(count))
            if count < 0:
                raise ArgumentError(f"fit: {name} must be >= 0", got=str(count))
        for name, bound in (("tol", tol), ("grad_tol", grad_tol)):
            if bound is not None and not (is_number(bound) and bound > 0):
                raise ArgumentError(f"fit: {name} must be a number > 0", got=repr(bound))
        if epochs is None and steps is None and tol is None and grad_tol is None:
            raise ArgumentError("fit: nothing says when to end", fix="epochs=10, steps=1000 or "
                                "tol=1e-6")  # fmt: skip
        self.epochs, self.steps, self.tol, self.grad_tol = epochs, steps, tol, grad_tol

    def out_of_steps(self, trainer: Trainer) -> bool:
        """Whether the last step of this fit is done."""
        return self.steps is not None and trainer.step - trainer.first_step >= self.steps

    def steps_in_all(self, batches: int, accumulate: int) -> int | None:
        """The most steps that there will be, with so many batches an epoch; None: no limit."""
        each = -(-batches // accumulate)
        known = [n for n in (self.steps, None if self.epochs is None else self.epochs * each)
                 if n is not None]  # fmt: skip
        return min(known, default=None)

    def reached(self, trainer: Trainer) -> str | None:
        """Why the fit is at its end, asked between epochs; None while it goes on."""
        done = trainer.epoch - trainer.first_epoch
        if self.converged(trainer.history.rows[len(trainer.history.rows) - done :]):
            return "converged"
        if self.epochs is not None and done >= self.epochs:
            return "epochs"
        return "steps" if self.out_of_steps(trainer) else None

    def converged(self, rows: list[dict[str, Any]]) -> bool:
        """Whether the loss stands still, or every gradient of the last epoch was small."""
        if rows and self.grad_tol is not None and rows[-1]["grad_norm"] < self.grad_tol:
            return True
        if self.tol is None or len(rows) < 2:
            return False
        change: float = abs(rows[-1]["loss"] - rows[-2]["loss"])
        return change < self.tol
