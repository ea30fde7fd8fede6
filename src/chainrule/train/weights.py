"""Weights as a dict of arrays: copied, put back, averaged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..functional import lerp
from ..nn import Module
from ..ops.core import arrays, interpret
from ..tensor.core import Tensor, wrap

Weights = dict[str, Tensor]


def copy_weights(weights: Mapping[str, Tensor]) -> Weights:
    """The same values in memory of their own."""
    return {name: wrap(t._value.copy()) for name, t in weights.items()}


class EMA:
    """A moving average of the weights: a' = decay a + (1 - decay) w after every step.

    decay: in [0, 1), usually 0.99 to 0.9999.  Buffers (running statistics) are not averaged.
    As PyTorch's AveragedModel with get_ema_multi_avg_fn.  Polyak and Juditsky 1992.
    """

    def __init__(self, model: Module, decay: float) -> None:
        if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0 <= decay < 1:
            raise ArgumentError("EMA: decay must be a number in [0, 1)", got=repr(decay))
        self.decay = decay
        self.parameters = dict(model.named_parameters())
        self.weights: Weights = {}
        self.restart()

    def restart(self) -> None:
        """The average starts from the weights as they are now."""
        self._take(self.parameters)

    def _take(self, weights: Mapping[str, Tensor]) -> None:
        """Other values in the memory of before: a compiled step goes on writing into it."""
        if self.weights.keys() != weights.keys():
            self.weights = copy_weights(weights)
        for name, t in weights.items():
            np.copyto(self.weights[name]._value, t._value)

    def update(self) -> None:
        """Takes the weights after a step in."""
        share = 1.0 - self.decay
        with interpret(arrays):
            for name, p in self.parameters.items():
                average = self.weights[name]._value
                np.copyto(average, lerp(average, p._value, share))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the model computes with the average; its own weights come back after."""
        pairs = [(p._value, self.weights[name]._value) for name, p in self.parameters.items()]
        kept = [own.copy() for own, _ in pairs]
        try:
            for own, average in pairs:
                np.copyto(own, average)
            yield
        finally:
            for (own, _), before in zip(pairs, kept, strict=True):
                np.copyto(own, before)

    def state_dict(self) -> dict[str, Any]:
        """The average and its decay."""
        return {"decay": self.decay, "weights": copy_weights(self.weights)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from an average that was saved."""
        self.decay = state["decay"]
        self._take(state["weights"])
