"""Early stopping of a NeuralNet..., over the epochs of one `fit` or of many `partial_fit`."""

from __future__ import annotations

from typing import Any

from ..tensor.core import wrap
from ..train import EarlyStopping, Trainer


class Stopping(EarlyStopping):
    """EarlyStopping that goes on counting from call to call, where a call is one epoch."""

    by_call = False

    @classmethod
    def of(cls, trainer: Trainer) -> Stopping | None:
        """The one among a trainer's callbacks."""
        return next((c for c in trainer.callbacks if isinstance(c, cls)), None)

    @property
    def ended(self) -> bool:
        """Whether patience is at its end."""
        return self.waited >= self.patience

    def on_fit_start(self, trainer: Trainer) -> None:
        """Starts to count again, unless this is one call of many."""
        if not self.by_call:
            super().on_fit_start(trainer)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Puts the best weights back: after the last of many calls only."""
        if not self.by_call or self.ended:
            super().on_fit_end(trainer)

    def given(self) -> dict[str, Any]:
        """Where it stands, in numbers and arrays."""
        weights = {n: t._value.copy() for n, t in (self.weights or {}).items()}
        return {**self.state_dict(), "weights": weights}

    def take(self, state: dict[str, Any]) -> None:
        """Goes on from what `given` gave."""
        weights = {n: wrap(a.copy()) for n, a in state["weights"].items()}
        self.load_state_dict({**state, "weights": weights or None})
