"""What a workload is: sizes, data, weights, and its model in the words of each library."""

from __future__ import annotations

import functools
import importlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Absent(Exception):
    """A contestant cannot take part; the message says why, and stands in the table."""


@dataclass(frozen=True)
class Rule:
    """An optimizer by its PyTorch name, and its settings."""

    name: str
    lr: float
    options: dict[str, Any] = field(default_factory=dict)


def library(name: str) -> Any:
    """An installed library, imported now."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise Absent(f"{error.name} is not installed") from None


def has(module: Any, path: str) -> bool:
    """Whether a dotted name exists in a module."""
    for part in path.split("."):
        module = getattr(module, part, None)
    return module is not None


class Workload:
    """One network, one data set, one way to train it; a step takes one batch.

    An epoch is `batches` batches in order, and a timed block is `epochs` epochs: every contestant
    takes the same steps.
    """

    title: str
    batch: int
    batches: int
    epochs: int
    optimizer: Rule
    needs: tuple[str, ...] = ()  # what the PyTorch-style model asks of its library
    absent: dict[str, str]  # library -> why it has no version of this

    def data(self) -> tuple[np.ndarray, ...]:
        """The whole data set: arrays with one row an example."""
        raise NotImplementedError

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, as in the PyTorch-style model's state_dict."""
        raise NotImplementedError

    def module(self, lib: Any) -> Any:
        """The model for a library that has PyTorch's names."""
        raise NotImplementedError

    def loss(self, lib: Any, module: Any, *batch: Any) -> Any:
        """The loss of one batch, for a library that has PyTorch's names."""
        raise NotImplementedError

    def flops(self) -> int:
        """Floating point operations of the matrix products of one step, forward and backward."""
        raise NotImplementedError

    @property
    def rows(self) -> int:
        """Examples in the data set."""
        return self.batch * self.batches

    @property
    def short_epochs(self) -> int:
        """Epochs of a block that only shows that it works: about ten steps."""
        return min(self.epochs, max(1, 10 // self.batches))

    @functools.cached_property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The data set, made once."""
        return self.data()

    @functools.cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """The initial parameters, the same for every contestant."""
        rng = np.random.default_rng(1)
        return {name: _start(rng, name, shape) for name, shape in self.shapes().items()}

    # ------------------------------------------------ written where a workload has such a version

    def jax_layout(self, weights: dict[str, np.ndarray]) -> Any:
        """The initial parameters as the JAX version wants them."""
        return transposed(weights)

    def jax_data(self) -> tuple[np.ndarray, ...]:
        """The data as the JAX version wants it."""
        return tuple(a.astype(np.int32) if a.dtype == np.int64 else a for a in self.arrays)

    def jax_loss(self, jax: Any, params: Any, *batch: Any) -> Any:
        """The loss of one batch as a pure function of the parameters."""
        raise NotImplementedError

    def tinygrad_loss(self, tinygrad: Any, params: dict[str, Any], *batch: Any) -> Any:
        """The loss of one batch in tinygrad; parameters by their state_dict names."""
        raise NotImplementedError


def _start(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    noise = rng.normal(size=shape).astype(np.float32)
    if len(shape) > 1:
        return noise / np.float32(math.sqrt(math.prod(shape[1:])))
    return np.float32(0.1) * noise + np.float32(name.endswith("weight"))


def transposed(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Matrices turned to (in, out), as one keeps them in JAX; embeddings stay (rows, width)."""
    return {
        name: np.ascontiguousarray(w.T) if w.ndim == 2 and not _is_embedding(name) else w
        for name, w in weights.items()
    }


def _is_embedding(name: str) -> bool:
    return name.split(".")[0] in ("wte", "wpe")


def linear_flops(rows: int, *layers: tuple[int, int], first: bool = False) -> int:
    """6 operations a row and weight of dense layers: output, and gradients of weight and input.

    With `first` the first of the layers reads the data, and needs no gradient of its input.
    """
    spared = 2 * rows * math.prod(layers[0]) if first else 0
    return 6 * rows * sum(a * b for a, b in layers) - spared
