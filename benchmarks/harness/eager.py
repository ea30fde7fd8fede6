"""Contestants with PyTorch's names: PyTorch and Chainrule, step by step or compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from .workload import Absent, Workload, has, library


class Steps:
    """A training that is driven from Python: one call a step, over batches cut beforehand."""

    whole_epochs = False

    def __init__(self, step: Any, batches: list[tuple[Any, ...]]) -> None:
        self.step = step
        self.batches = batches

    def one(self) -> None:
        """The first step of an epoch, finished when this returns."""
        self.finish(self.step(*self.batches[0]))

    def run(self, epochs: int) -> None:
        """So many epochs, finished when this returns; losses are dropped, as a loop drops them."""
        step, batches = self.step, self.batches
        loss = None
        for _ in range(epochs):
            for batch in batches:
                loss = step(*batch)
        self.finish(loss)

    def finish(self, loss: Any) -> None:
        """Waits until a step is done, where a library works on after its call returned."""

    def every_loss(self, epochs: int) -> np.ndarray:
        """So many epochs, and the loss of every step."""
        losses = [self.step(*batch) for _ in range(epochs) for batch in self.batches]
        return np.array([loss if isinstance(loss, float) else loss.item() for loss in losses])


def cut(workload: Workload, arrays: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """The batches of an epoch: views of the data, in order."""
    size = workload.batch
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, workload.rows, size)]


def make_step(lib: Any, workload: Workload, **tuning: Any) -> Any:
    """One training step, as everyone writes it for PyTorch."""
    lacking = [name for name in workload.needs if not has(lib, name)]
    if lacking:
        raise Absent(f"{lib.__name__} has no {', '.join(lacking)}")
    model = workload.module(lib)
    model.load_state_dict({name: lib.tensor(w) for name, w in workload.weights.items()})
    rule = workload.optimizer
    make = getattr(lib.optim, rule.name)
    optimizer = make(model.parameters(), lr=rule.lr, **rule.options, **tuning)

    def step(*batch: Any) -> Any:
        optimizer.zero_grad()
        loss = workload.loss(lib, model, *batch)
        loss.backward()
        optimizer.step()
        return loss

    step.model = model  # type: ignore[attr-defined]
    return step


def tensors(lib: Any, workload: Workload) -> tuple[Any, ...]:
    """The data as tensors."""
    return tuple(lib.tensor(a) for a in workload.arrays)


def torch_training(workload: Workload, threads: int, *, fused: bool, compiled: bool) -> Steps:
    """PyTorch, with its default or its fused optimizer; `compiled`: torch.compile of the step."""
    torch = library("torch")
    torch.set_num_threads(threads)
    step = make_step(torch, workload, **({"fused": True} if fused else {}))
    if compiled:
        step = torch.compile(step)
    return Steps(step, cut(workload, tensors(torch, workload)))


def chainrule_eager(workload: Workload, threads: int) -> Steps:
    """Chainrule without its compiler."""
    lib = library("chainrule")
    return Steps(make_step(lib, workload), cut(workload, tensors(lib, workload)))


def chainrule_compiler(threads: int) -> Any:
    """Chainrule, where it has its compiler, told how many threads to use."""
    lib = library("chainrule")
    if not has(lib, "compile"):
        raise Absent("chainrule.compile does not exist yet")
    lib.set_num_threads(threads)
    return lib


def chainrule_step(workload: Workload, threads: int) -> Steps:
    """Chainrule's compiled step, called from Python."""
    lib = chainrule_compiler(threads)
    step = lib.compile(make_step(lib, workload))
    return Steps(step, cut(workload, tensors(lib, workload)))


class ChainruleLoop:
    """Chainrule's compiled step, looped over whole epochs in native code."""

    whole_epochs = True

    def __init__(self, workload: Workload, threads: int) -> None:
        lib = chainrule_compiler(threads)
        step = make_step(lib, workload)
        self.model, self.step = step.model, lib.compile(step)
        self.data = tensors(lib, workload)
        self.batch = workload.batch

    def run(self, epochs: int) -> np.ndarray:
        """So many epochs; the losses of their steps come back with it."""
        losses: np.ndarray = self.step.loop(
            self.data, batch_size=self.batch, epochs=epochs, shuffle=False
        )
        return losses

    every_loss = run
