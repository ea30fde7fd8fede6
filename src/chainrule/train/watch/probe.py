"""What happens inside the layers, read from a fixed batch of rows without touching training.

The probe runs forward and backward in evaluation mode and asks for the gradients alone, which
leaves every `.grad` as it is.  The numbers of the ledger are quotients of norms of gradients that
the sweep computed, so gain = weights x slope holds but for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ... import nn
from ...nn import Module
from ...ops.core import interpret, quietly
from ...tensor.autograd import enable_grad, gradients_to_read
from ...tensor.core import Tensor
from ...tensor.random import Generator, drawing_from
from ..evaluation import mode
from .layers import Recording, Stage, weights_of
from .look import Layer
from .numbers import bins, dead_units, flat_share, norm, spread_of, thinned, twins
from .plan import Costs

ZEROED = ("ReLU", "ReLU6")


class Probe:
    """Measures the layers of a model on one batch (x1, ..., y).

    loss: function of (prediction, target).  After `measure`, `value` is the loss, and `output` what
    the model gave.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    >>> x = chainrule.randn(8, 2)
    >>> [layer.name for layer in Probe(model, nn.MSELoss(), (x, x.sum(1, keepdim=True))).measure()]
    ['0', '2']
    """

    def __init__(self, model: Module, loss: Callable[..., Tensor], batch: Sequence[Tensor]) -> None:
        self.model, self.loss, self.batch = model, loss, tuple(batch)
        self.value: float | None = None
        self.output: Tensor | None = None
        self.work = self.values = 0  # multiply-adds and values of one row
        self.stages: list[Stage] = []
        self.generator = Generator().manual_seed(0)

    def measure(self, *, find_twins: bool = False) -> list[Layer]:
        """Every layer: spread, dead and flat units, the gain ledger, gradients of the weights."""
        loss, stages = self._forward()
        self.value, self.stages = float(loss.item()), stages
        wanted = _tracked([t for s in stages for t in (s.z, s.a)])
        weights = {id(s): _tracked([p for _, p in weights_of(s.module)]) for s in stages}
        wanted += [p for held in weights.values() for p in held]
        found: dict[int, Any] = {}
        if wanted and loss.requires_grad and math.isfinite(self.value):
            given = gradients_to_read(loss, wanted)
            found = {id(t): g for t, g in zip(wanted, given, strict=True) if g is not None}
        layers = [_layer(s, [found.get(id(p)) for p in weights[id(s)]], find_twins) for s in stages]
        chain = [(s, x) for s, x in zip(stages, layers, strict=True) if s.linear and s.calls == 1]
        norms = {i: norm(g) for i, g in found.items()}
        for (here, layer), (above, _) in pairwise(chain):
            _ledger(layer, norms.get(id(here.z)), norms.get(id(here.a)), norms.get(id(above.z)))
        if not self.values:  # the same at every look
            rows = max(len(self.batch[-1]), 1)
            self.work = sum(work_of(s) for s in stages) // rows
            self.values = sum(values_of(s) for s in stages) // rows
        for stage in stages:  # what it gave is no longer needed
            stage.z = stage.a = None
        return layers

    def costs(self, batch: int) -> Costs:
        """What a look costs, and a step on so many rows; after `measure`."""
        return Costs(
            work=self.work, values=self.values, layers=len(self.stages),
            weights=sum(p.numel() for p in self.model.parameters()), batch=batch,
            rows=len(self.batch[-1]) if self.batch else 0,
        )  # fmt: skip

    def _forward(self) -> tuple[Tensor, list[Stage]]:
        recording = Recording(self.model)
        with (
            mode(self.model, False), drawing_from(self.generator), enable_grad(), quietly(),
            recording, interpret(recording),
        ):  # fmt: skip
            self.output = self.model(*self.batch[:-1])
            loss = self.loss(self.output, self.batch[-1])
        return loss, recording.finish()


def _tracked(tensors: Sequence[Tensor | None]) -> list[Tensor]:
    """The tensors that a gradient can be asked for, each once."""
    return list({id(t): t for t in tensors if t is not None and t.requires_grad}.values())


def _layer(stage: Stage, gradients: Sequence[Any], find_twins: bool) -> Layer:
    layer = Layer(stage.name, type(stage.module).__name__, stage.activation)
    value = stage.z if stage.a is None else stage.a
    if value is not None and value._value.dtype.kind == "f" and value._value.size:
        _describe(layer, value._value, stage)
    known = [g for g in gradients if g is not None]
    if known:
        layer.gradients = bins(
            np.concatenate([thinned(g) for g in known]) if known[1:] else known[0]
        )
        layer.grad = math.hypot(*map(norm, known))
    if find_twins and known:
        layer.twins = _twins(stage, known)
    return layer


def _describe(layer: Layer, value: Any, stage: Stage) -> None:
    with quietly():
        layer.mean, layer.std = spread_of(value)
        layer.activations = bins(value)
        if stage.activation in ZEROED and value.ndim > 1:
            dead = dead_units(value, stage.units)
            layer.dead = len(dead) / value.shape[stage.units]
            layer.dead_units = dead.tolist()
        layer.saturated = flat_share(value, stage.activation)


def _twins(stage: Stage, gradients: Sequence[Any]) -> list[list[int]] | None:
    """Only where a row of the weight is a unit, and something reaches them."""
    own = weights_of(stage.module)
    if not stage.linear or len(own) != 1 or len(gradients) != 1 or own[0][1].ndim < 2:
        return None
    bias = getattr(stage.module, "bias", None)
    values = [own[0][1]._value]
    if isinstance(bias, Tensor) and len(bias._value) == len(values[0]):
        values.append(bias._value)
    return twins(values, gradients)


def work_of(stage: Stage) -> int:
    """Multiply-adds of a layer in one forward pass: each weight is used at every position."""
    if stage.z is None or not stage.linear or not stage.z.ndim:
        return 0
    positions = stage.z.numel() // max(stage.z.shape[stage.units], 1)
    return stage.calls * positions * sum(p.numel() for _, p in weights_of(stage.module))


def values_of(stage: Stage) -> int:
    """Values that a layer handles in one forward pass: its outputs, and a convolution's windows."""
    if stage.z is None:
        return 0
    values = stage.z.numel()
    if isinstance(stage.module, (nn.Conv1d, nn.Conv2d)):
        values += work_of(stage) // max(stage.z.shape[1], 1)
    return values


def _ledger(layer: Layer, here: float | None, after: float | None, above: float | None) -> None:
    """|error here| / |error above| = weights (above -> activation) x slope (activation -> here)."""
    if here is None or not above:
        return
    layer.gain = here / above
    if after:
        layer.weights, layer.slope = after / above, here / after
