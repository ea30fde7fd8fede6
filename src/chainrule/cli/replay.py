"""A run's training, run again from its recipe: the weights on the way, which no run keeps."""

from __future__ import annotations

import time
from typing import IO, Any

import numpy as np

from ..errors import ArgumentError
from ..nn import Module
from ..ops.core import is_number
from ..playground.document import Subject
from ..playground.network import Small, small
from ..playground.proof import proved
from ..playground.training import MOST_NUMBERS, Training, by_key, measured, thinned
from ..train import Callback, Run, Trainer
from . import recipe as recipes
from .app import Interrupted
from .recipe import Recipe, Standardize

PATIENCE = 0.5
"""Seconds after which it is said that this takes a while."""


class Weights(Callback):
    """Copies the weights at the start and after every epoch."""

    def __init__(self) -> None:
        self.found: list[tuple[int, dict[str, Any]]] = []

    def on_fit_start(self, trainer: Trainer) -> None:
        """The weights before the first step."""
        self.take(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """The weights after an epoch."""
        self.take(trainer)

    def take(self, trainer: Trainer) -> None:
        """Notes the weights as they are."""
        held = {n: np.array(p.detach()) for n, p in trainer.model.named_parameters()}
        self.found.append((trainer.epoch, held))


def subject_of(run: Run, example: int, moments: int, say: IO[str]) -> Subject:
    """What the playground shows of a run."""
    r = recipes.from_config(run.config, str(run.path))
    sets = recipes.load(r.data)
    x, y = (np.asarray(t) for t in sets.train.tensors)
    if example >= len(x):
        raise ArgumentError(f"--example must be from 0 to {len(x) - 1}: {r.data} has {len(x)} rows",
                            got=str(example), line="")  # fmt: skip
    parts = recipes.build(r)
    parts.model.load_state_dict(run.load_model())
    scale = parts.model.get_submodule("scale")
    assert isinstance(scale, Standardize)
    numbers = float(scale.mean.item()), float(scale.std.item())
    net = small(parts.model, parts.loss, numbers, skip=[scale])
    label = int(y[example])
    return Subject(
        net, x[example], np.eye(len(sets.names))[label], f"{run.name}, example {example}",
        f"{net.words()}; row {example} of {r.data}, of class {sets.names[label]}",
        r.lr if is_number(r.lr) else 0.1, proved(net, parts.model, parts.loss, x[example], label),
        replayed(run, r, net, (x, y, sets.names), moments, say) if moments else None, example,
    )  # fmt: skip


def replayed(
    run: Run, r: Recipe, net: Small, data: tuple[Any, Any, tuple[str, ...]], most: int, say: IO[str]
) -> Training:
    """The training again, and whether it ends where the run did."""
    x, y, names = data
    parts, noted = recipes.build(r), Weights()
    epochs = r.epochs if run.result else max(len(run.rows), 1)
    began = time.perf_counter()
    trainer = recipes.trainer(parts, r, [noted])
    history = trainer.fit(
        parts.train, validation=parts.validation, epochs=epochs, steps=r.steps, tol=r.tol,
        batch_size=r.batch_size,
    )  # fmt: skip
    if history.interrupted:
        raise Interrupted(f"stopped by {history.signal}; no page was written", line="")
    seconds = time.perf_counter() - began
    if seconds > PATIENCE:
        print(f"trained again from its recipe in {seconds:.1f} s", file=say)
    apart = difference(parts.model, run)
    ends = (
        "It ends with the run's weights, bit for bit."
        if apart == 0
        else f"It does not end with the run's weights (largest difference {apart:.2g}): the run "
        "was made on another machine, with other options or not to its end. The numbers above "
        "are the run's own."
    )
    per_moment = sum(a.size for a in net.arrays().values())
    kept = thinned(noted.found, max(min(most, MOST_NUMBERS // per_moment), 2))
    moments = [measured(net, f"epoch {epoch}", by_key(held, net), x, y) for epoch, held in kept]
    own = {k: a.astype(np.float32) for k, a in net.arrays().items()}
    moments.append(measured(net, "what the run kept", own, x, y))
    says = (
        f"The training of {run.name}, run again from its recipe (seed {r.seed}): "
        f"{noted.found[-1][0]} epochs, {len(kept)} of them here. {ends} Loss and right answers are "
        f"those of all {len(x)} rows of {r.data}."
    )
    return Training(says, moments, x, y, names)


def difference(model: Module, run: Run) -> float:
    """The largest difference between weights and the run's."""
    own = run.load_model()
    return max(
        float(np.abs(np.asarray(p.detach()) - np.asarray(own[n])).max(initial=0.0))
        for n, p in model.named_parameters()
    )
