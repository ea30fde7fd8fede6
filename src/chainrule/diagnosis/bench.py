"""A model on the bench: what preflight tries, it tries on copies."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import nn
from ..nn import Module
from ..ops.core import quietly
from ..optim import Adam, Optimizer
from ..tensor.autograd import enable_grad
from ..tensor.core import Tensor, wrap
from ..tensor.random import Generator, drawing_from

ONE_BATCH, LONGEST_S = 32, 1.0
"""Rows of the batch that is learned by heart; seconds after which a trial is over."""


@dataclass
class Bench:
    """A model with its loss, a batch (inputs, y), and perhaps an optimizer and a training step."""

    model: Module
    loss: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]
    y: Tensor
    optimizer: Optimizer | None = None
    step: Callable[..., Any] | None = None

    def copied(self, double: bool = False) -> Bench:
        """A copy without dropout; double: in float64."""
        model, loss = copy.deepcopy(self.model), copy.deepcopy(self.loss)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        inputs, y = self.inputs, self.y
        if double:
            model.double()
            if isinstance(loss, Module):
                loss.double()
            inputs = tuple(_double(x) for x in inputs)
            y = _double(y)
        return Bench(model, loss, inputs, y)

    def rows(self, count: int) -> Bench:
        """The same with the first rows only."""
        inputs = tuple(wrap(x._value[:count].copy()) for x in self.inputs)
        return Bench(self.model, self.loss, inputs, wrap(self.y._value[:count].copy()))

    def value(self) -> Tensor:
        """The loss."""
        return self.loss(self.model(*self.inputs), self.y)

    def learn(self, lr: float, steps: int) -> Iterator[float]:
        """Steps of Adam on the batch; the loss before each.  Changes the model."""
        optimizer = Adam(self.model.parameters(), lr)
        until = time.perf_counter() + LONGEST_S
        for _ in range(steps):
            optimizer.zero_grad()
            loss = self.value()
            yield float(loss.item())
            loss.backward()
            optimizer.step()
            if time.perf_counter() > until:
                return

    def all_right(self) -> bool | None:
        """Whether every row gets its class; None where the target is no class."""
        if self.y.dtype.kind not in "iu" or self.y.ndim != 1:
            return None
        out = self.model(*self.inputs)
        if not isinstance(out, Tensor) or out.ndim != 2 or out.shape[1] < 2:
            return None
        return bool((out._value.argmax(1) == self.y._value).all())


def _double(x: Tensor) -> Tensor:
    return wrap(x._value.astype(np.float64)) if x.dtype.kind == "f" else x


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within the block random numbers are drawn from a generator of its own."""
    with drawing_from(Generator().manual_seed(0)), enable_grad(), quietly():
        yield


def without_input(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Inputs that say nothing: 0 for floats, the first row's for all else."""
    return tuple(
        wrap(np.zeros_like(x._value)) if x.dtype.kind == "f"
        else wrap(np.broadcast_to(x._value[:1], x._value.shape).copy())
        for x in inputs
    )  # fmt: skip
