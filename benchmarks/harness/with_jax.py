"""JAX: one jitted step, or a jitted scan over all steps; optimizers written out."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .eager import Steps, cut
from .workload import Absent, Rule, Workload, library


def start(jax: Any, rule: Rule, params: Any) -> Any:
    """The optimizer's state before the first step."""
    if rule.name == "SGD":
        return ()
    zeros = jax.tree.map(jax.numpy.zeros_like, params)
    return jax.numpy.zeros((), jax.numpy.float32), zeros, jax.tree.map(jax.numpy.copy, zeros)


def update(jax: Any, rule: Rule, params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
    """Parameters and state after a step of SGD, Adam or AdamW, with PyTorch's defaults."""
    if rule.name == "SGD":
        return jax.tree.map(lambda p, g: p - rule.lr * g, params, grads), state
    beta1, beta2 = rule.options.get("betas", (0.9, 0.999))
    decay = rule.lr * (0.01 if rule.name == "AdamW" else 0.0)
    t, m, v = state
    t = t + 1.0
    m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, grads)
    v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, grads)
    size, root = rule.lr / (1 - beta1**t), jax.numpy.sqrt(1 - beta2**t)

    def moved(p: Any, m: Any, v: Any) -> Any:
        return p - decay * p - size * m / (jax.numpy.sqrt(v) / root + 1e-8)

    return jax.tree.map(moved, params, m, v), (t, m, v)


class Program:
    """A workload's parameters, optimizer state, data, and one step as a pure function."""

    def __init__(self, workload: Workload) -> None:
        if "jax" in workload.absent:
            raise Absent(workload.absent["jax"])
        self.jax = jax = library("jax")
        self.params = jax.tree.map(jax.numpy.asarray, workload.jax_layout(workload.weights))
        self.state = start(jax, workload.optimizer, self.params)
        self.data = tuple(jax.numpy.asarray(a) for a in workload.jax_data())
        loss_and_grads = jax.value_and_grad(functools.partial(workload.jax_loss, jax))

        def step(params: Any, state: Any, *batch: Any) -> tuple[Any, Any, Any]:
            loss, grads = loss_and_grads(params, *batch)
            return *update(jax, workload.optimizer, params, state, grads), loss

        self.step = step


class JaxSteps(Steps):
    """One jitted step, called from Python; parameters and state are given away to it."""

    def __init__(self, workload: Workload, threads: int) -> None:
        program = Program(workload)
        jitted = program.jax.jit(program.step, donate_argnums=(0, 1))

        def step(*batch: Any) -> Any:
            program.params, program.state, loss = jitted(program.params, program.state, *batch)
            return loss

        super().__init__(step, cut(workload, program.data))

    def finish(self, loss: Any) -> None:
        loss.block_until_ready()


class JaxScan:
    """One jitted loop over all steps of a run."""

    whole_epochs = True

    def __init__(self, workload: Workload, threads: int) -> None:
        self.program = program = Program(workload)
        jax, batches = program.jax, workload.batches
        self.data = tuple(a.reshape(batches, workload.batch, *a.shape[1:]) for a in program.data)

        def one(data: Any, carry: Any, i: Any) -> Any:
            take = functools.partial(jax.lax.dynamic_index_in_dim, index=i % batches, keepdims=0)
            batch = [take(a) if batches > 1 else a[0] for a in data]
            *carry, loss = program.step(*carry, *batch)
            return tuple(carry), loss

        def train(epochs: int, params: Any, state: Any, data: Any) -> Any:
            counter = jax.numpy.arange(epochs * batches)
            return jax.lax.scan(functools.partial(one, data), (params, state), counter)

        self.train = jax.jit(train, static_argnums=0, donate_argnums=(1, 2))

    def run(self, epochs: int) -> Any:
        """So many epochs; each new number of them is compiled anew."""
        program = self.program
        carry, losses = self.train(epochs, program.params, program.state, self.data)
        program.params, program.state = carry
        return losses.block_until_ready()

    def every_loss(self, epochs: int) -> np.ndarray:
        """So many epochs, and the loss of every step."""
        return np.asarray(self.run(epochs))
