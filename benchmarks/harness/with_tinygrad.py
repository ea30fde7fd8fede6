"""tinygrad: the step under TinyJit; it compiles with clang."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np

from .eager import Steps, cut
from .workload import Absent, Workload, library


class TinygradSteps(Steps):
    """One step under TinyJit. A replay writes its loss where the last one stood."""

    def __init__(self, workload: Workload, threads: int) -> None:
        if "tinygrad" in workload.absent:
            raise Absent(workload.absent["tinygrad"])
        tinygrad = library("tinygrad")
        if shutil.which("clang") is None:
            raise Absent("tinygrad needs clang, which is not installed")
        optim = library("tinygrad.nn.optim")
        tensor = tinygrad.Tensor
        params = {name: tensor(w).realize() for name, w in workload.weights.items()}
        for p in params.values():
            p.requires_grad_() if hasattr(p, "requires_grad_") else p.is_param_()
        optimizer = make_optimizer(optim, workload, list(params.values()))

        @tinygrad.TinyJit
        def jitted(*batch: Any) -> Any:
            optimizer.zero_grad()
            loss = workload.tinygrad_loss(tinygrad, params, *batch)
            loss.backward()
            return loss.realize(*optimizer.schedule_step())

        def step(*batch: Any) -> Any:
            with tinygrad.Context(TRAINING=1):
                return jitted(*batch)

        arrays = tuple(a.astype(np.int32) if a.dtype == np.int64 else a for a in workload.arrays)
        batches = cut(workload, arrays)
        super().__init__(step, [tuple(tensor(a).realize() for a in batch) for batch in batches])

    def finish(self, loss: Any) -> None:
        loss.item()

    def every_loss(self, epochs: int) -> np.ndarray:
        """The loss of every step, each read before the next one overwrites it."""
        steps = [batch for _ in range(epochs) for batch in self.batches]
        return np.array([self.step(*batch).item() for batch in steps])


def make_optimizer(optim: Any, workload: Workload, params: list[Any]) -> Any:
    """The workload's optimizer by tinygrad's names."""
    rule = workload.optimizer
    make = getattr(optim, rule.name)
    if rule.name == "SGD":
        return make(params, lr=rule.lr)
    beta1, beta2 = rule.options.get("betas", (0.9, 0.999))
    return make(params, lr=rule.lr, b1=beta1, b2=beta2)
