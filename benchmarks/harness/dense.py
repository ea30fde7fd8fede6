"""Dense networks: the PyTorch-style model, and the same loss in JAX and tinygrad."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from .workload import Rule, Workload, linear_flops

MODULES = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "gelu": "GELU"}


@dataclass
class Dense(Workload):
    """sizes[0] - ... - sizes[-1]; an activation after each layer but the last, which has `out`."""

    title: str
    sizes: tuple[int, ...]
    activation: str
    batch: int
    batches: int
    epochs: int
    optimizer: Rule
    classes: bool = False  # cross-entropy over sizes[-1] classes; else mean squared error
    out: str | None = None
    absent: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.activation == "gelu":
            self.absent["numpy"] = "NumPy has no erf"
            self.absent["sklearn"] = "scikit-learn has no gelu"
        if self.out is not None:
            self.absent["sklearn"] = f"scikit-learn has no {self.out} output for squared error"

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of every layer."""
        return tuple(pairwise(self.sizes))

    def names(self) -> list[str]:
        """The layers' names in the state_dict: an activation stands between each two."""
        return [str(2 * i) for i in range(len(self.layers))]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for name, (inputs, outputs) in zip(self.names(), self.layers, strict=True):
            found[f"{name}.weight"] = (outputs, inputs)
            found[f"{name}.bias"] = (outputs,)
        return found

    def data(self) -> tuple[np.ndarray, ...]:
        """Normal inputs; targets that a network can learn from them."""
        rng = np.random.default_rng(0)
        x = rng.normal(size=(self.rows, self.sizes[0])).astype(np.float32)
        mixed = x @ rng.normal(size=(self.sizes[0], self.sizes[-1])).astype(np.float32)
        if self.classes:
            return x, mixed.argmax(1)
        y = np.tanh(mixed / np.sqrt(self.sizes[0]))
        return x, (y > 0).astype(np.float32) if self.out == "sigmoid" else y.astype(np.float32)

    def flops(self) -> int:
        return linear_flops(self.batch, *self.layers, first=True)

    # ---------------------------------------------------------------- PyTorch's names

    def module(self, lib: Any) -> Any:
        nn = lib.nn
        parts: list[Any] = []
        for inputs, outputs in self.layers:
            parts += [nn.Linear(inputs, outputs), getattr(nn, MODULES[self.activation])()]
        parts.pop()
        if self.out is not None:
            parts.append(getattr(nn, MODULES[self.out])())
        return nn.Sequential(*parts)

    def loss(self, lib: Any, module: Any, x: Any, y: Any) -> Any:
        functional = lib.nn.functional
        return (functional.cross_entropy if self.classes else functional.mse_loss)(module(x), y)

    # ---------------------------------------------------------------- JAX

    def jax_layout(self, weights: dict[str, np.ndarray]) -> Any:
        return [(weights[f"{n}.weight"].T.copy(), weights[f"{n}.bias"]) for n in self.names()]

    def jax_loss(self, jax: Any, params: Any, x: Any, y: Any) -> Any:
        functions = {
            "relu": jax.nn.relu, "tanh": jax.numpy.tanh, "sigmoid": jax.nn.sigmoid,
            "gelu": lambda z: jax.nn.gelu(z, approximate=False), None: lambda z: z,
        }  # fmt: skip
        for i, (w, b) in enumerate(params):
            last = i == len(params) - 1
            x = functions[self.out if last else self.activation](x @ w + b)
        if self.classes:
            return jax_cross_entropy(jax, x, y).mean()
        return ((x - y) ** 2).mean()

    # ---------------------------------------------------------------- tinygrad

    def tinygrad_loss(self, tinygrad: Any, params: dict[str, Any], x: Any, y: Any) -> Any:
        for i, name in enumerate(self.names()):
            x = x.linear(params[f"{name}.weight"].transpose(), params[f"{name}.bias"])
            function = self.out if i == len(self.layers) - 1 else self.activation
            if function == "gelu":
                x = x.gelu(approximate="none")
            elif function is not None:
                x = getattr(x, function)()
        if self.classes:
            return x.sparse_categorical_crossentropy(y)
        return ((x - y) ** 2).mean()


def jax_cross_entropy(jax: Any, logits: Any, labels: Any) -> Any:
    """The loss of each row of logits (..., classes)."""
    right = jax.numpy.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - right
