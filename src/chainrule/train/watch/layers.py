"""Which layers a model has, in the order in which it runs, each with the activation after it.

Found by running it: every module with weights of its own is a layer, and what it gives is caught on
the way.  An activation is the module that runs next, or relu, tanh or sigmoid called as a function
on what the layer gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ... import nn
from ...ops.core import Op, current
from ...tensor.core import Tensor
from ...tensor.interpreter import apply

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
               nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Tanh, nn.Sigmoid)  # fmt: skip
ACTING = (*ACTIVATIONS, nn.ParametricActivation)
"""With those that have weights of their own."""
FUNCTIONS = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}
NORMS = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.RMSNorm, nn.Scaling)
TABLES = (nn.Embedding, nn.CategoryEncoding)
CHANNELS_FIRST = (nn.Conv1d, nn.Conv2d, nn.BatchNorm2d, nn.GroupNorm)


@dataclass
class Stage:
    """A layer of one forward pass: what it gave (z), and what its activation made of that (a)."""

    name: str
    module: nn.Module
    z: Tensor | None = None
    a: Tensor | None = None
    activation: str | None = None
    by_function: bool = False  # the activation is a call of a function
    calls: int = 0
    used: list[str] = field(default_factory=list)  # the operations that took z

    @property
    def weights(self) -> list[tuple[str, Tensor]]:
        """Its own parameters without biases; all of them where it has nothing else."""
        return weights_of(self.module)

    @property
    def linear(self) -> bool:
        """Whether it mixes its inputs by weights, so that the ledger goes through it."""
        return not isinstance(self.module, (*NORMS, *TABLES))

    @property
    def units(self) -> int:
        """The axis of z along which its units lie."""
        return 1 if isinstance(self.module, CHANNELS_FIRST) else -1


def weights_of(module: nn.Module) -> list[tuple[str, Tensor]]:
    """A module's own parameters without biases; all of them where it has nothing else."""
    own: list[tuple[str, Tensor]] = list(module._own_parameters())
    return [(n, p) for n, p in own if "bias" not in n] or own


def layers_of(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules with weights of their own, in the order in which they were made.

    An activation belongs to the layer before it, with weights too.
    """
    named = model.named_modules()
    return [(n, m) for n, m in named if any(m._own_parameters()) and not isinstance(m, ACTING)]


class Recording:
    """An interpreter of Tensors that notes layers and activations while a model runs."""

    def __init__(self, model: nn.Module) -> None:
        self.stages: list[Stage] = []
        named = layers_of(model)
        self.known = {id(m): Stage(n or type(model).__name__, m) for n, m in named}
        self.heard = [m for m in model.modules() if id(m) in self.known or isinstance(m, ACTING)]
        self.by_output: dict[int, Stage] = {}
        self.kept: list[Any] = []  # alive, so that no id is given twice

    def __call__(self, op: Op, inputs: Sequence[Any], params: Any) -> Tensor:
        y = apply(op, inputs, params)
        if isinstance(current.module, ACTING):
            return y  # its hook tells of it
        for x in inputs:
            stage = self.by_output.get(id(x))
            if stage is None:
                continue
            stage.used.append(op.name)
            named = FUNCTIONS.get(op.name)
            if named is not None and stage.a is None:
                stage.a, stage.activation, stage.by_function = y, named, True
                self.kept.append(y)
        return y

    def __enter__(self) -> Recording:
        self.handles = [m.register_forward_hook(self._after) for m in self.heard]
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _after(self, module: nn.Module, args: Any, y: Any) -> None:
        value = y[0] if isinstance(y, tuple) and y else y
        if not isinstance(value, Tensor):
            return
        self.kept.append(value)
        stage = self.known.get(id(module))
        if stage is None:
            self._activated(type(module).__name__, value)
            return
        stage.calls += 1
        stage.z, stage.a, stage.activation, stage.used = value, None, None, []
        if stage.calls == 1:
            self.stages.append(stage)
        self.by_output[id(value)] = stage

    def _activated(self, name: str, value: Tensor) -> None:
        """The activation belongs to the last layer that mixes; a norm may lie between them."""
        for stage in reversed(self.stages):
            if stage.linear:
                if stage.a is None:
                    stage.a, stage.activation, stage.by_function = value, name, False
                return

    def finish(self) -> list[Stage]:
        """The layers that ran; a function counts as activation only where nothing else took z."""
        for stage in self.stages:
            if stage.by_function and len(stage.used) > 1:
                stage.a = stage.activation = None
        return self.stages
