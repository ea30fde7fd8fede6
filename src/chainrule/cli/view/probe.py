"""What happens inside the layers, read from a fixed batch of rows without touching training.

The probe runs forward and backward in evaluation mode through hooks, and asks for gradients with
`grad`, which leaves every `.grad` as it is.  The numbers of the ledger are quotients of norms of
gradients that the sweep computed, so gain = weights x slope holds but for rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import nn
from ...autograd import enable_grad, grad
from ...ops.core import quietly
from ...tensor.core import Tensor
from ...train.evaluation import mode
from .facts import LayerFacts

Activation = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Tanh,
              nn.Sigmoid)  # fmt: skip
ZEROED = (nn.ReLU, nn.ReLU6)
NEARLY_ALL = 0.99
"""A unit is dead if it is 0 on more than this share of the probe's rows."""


@dataclass
class Stage:
    """A linear layer and the activation after it, where there is one."""

    name: str
    linear: nn.Linear
    activation: nn.Module | None


def stages_of(model: nn.Module) -> list[Stage]:
    """The linear layers in order, each with the activation that follows."""
    stages: list[Stage] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            stages.append(Stage(name, module, None))
        elif isinstance(module, Activation) and stages and stages[-1].activation is None:
            stages[-1].activation = module
    return stages


class Probe:
    """Measures the layers of a model on one batch."""

    def __init__(self, model: nn.Module, loss: Callable[..., Tensor], x: Tensor, y: Tensor) -> None:
        self.model, self.loss, self.x, self.y = model, loss, x, y
        self.stages = stages_of(model)

    def measure(self) -> list[LayerFacts]:
        """Dead and saturated shares and the gain ledger of every layer."""
        loss, outputs = self._forward()
        wanted = [t for t in outputs if t is not None]
        with quietly():
            found = iter(grad(loss, wanted))
        norms = [None if t is None else _norm(next(found)) for t in outputs]
        facts = []
        for i, stage in enumerate(self.stages):
            facts.append(LayerFacts(stage.name))
            self._shares(facts[-1], stage, outputs[2 * i + 1])
            if i + 1 < len(self.stages):
                _ledger(facts[-1], norms[2 * i], norms[2 * i + 1], norms[2 * i + 2])
        return facts

    def _forward(self) -> tuple[Tensor, list[Tensor | None]]:
        """The loss; z and a of every stage (a: None without an activation)."""
        seen: dict[int, Tensor] = {}

        def keep(module: nn.Module, args: Any, y: Tensor) -> None:
            seen[id(module)] = y

        watched = [m for s in self.stages for m in (s.linear, s.activation) if m is not None]
        handles = [m.register_forward_hook(keep) for m in watched]
        try:
            with mode(self.model, False), enable_grad(), quietly():
                loss = self.loss(self.model(self.x), self.y)
        finally:
            for handle in handles:
                handle.remove()
        outputs: list[Tensor | None] = []
        for s in self.stages:
            outputs += [seen[id(s.linear)], seen.get(id(s.activation))]
        return loss, outputs

    def _shares(self, facts: LayerFacts, stage: Stage, a: Tensor | None) -> None:
        if a is None:
            return
        value = np.asarray(a.detach())
        if isinstance(stage.activation, ZEROED):
            facts.dead = float(((value == 0).mean(0) > NEARLY_ALL).mean())
        elif isinstance(stage.activation, nn.Tanh):
            facts.saturated = float((np.abs(value) > 0.97).mean())
        elif isinstance(stage.activation, nn.Sigmoid):
            facts.saturated = float((np.abs(value - 0.5) > 0.47).mean())


def _ledger(
    facts: LayerFacts, here: float | None, after: float | None, above: float | None
) -> None:
    """|error here| / |error above| = weights (above -> activation) x slope (activation -> here)."""
    if here and after and above:
        facts.gain, facts.weights, facts.slope = here / above, after / above, here / after


def _norm(t: Any) -> float:
    return float(np.linalg.norm(np.asarray(t.detach())))
