"""A recurrent network over sequences: one LSTM layer, its last state read by a dense layer."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from harness.workload import Rule, Workload, linear_flops

INPUTS, HIDDEN, LENGTH = 16, 64, 50


class Lstm(Workload):
    """16 -> 64 over 50 steps, then 64 -> 1."""

    title = "lstm: 16->64, 50 steps, batch 32, MSE, AdamW"
    batch, batches, epochs = 32, 10, 2
    optimizer = Rule("AdamW", lr=1e-3)
    needs = ("nn.LSTM",)
    absent: ClassVar = {
        "sklearn": "scikit-learn has no LSTM",
        "numpy": "dense networks only",
        "tinygrad": "no scan: 50 steps unrolled took minutes to compile",
    }

    def data(self) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(self.rows, LENGTH, INPUTS)).astype(np.float32)
        return x, np.tanh(x[:, -10:].sum((1, 2), dtype=np.float32) / 4)[:, None]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "lstm.weight_ih_l0": (4 * HIDDEN, INPUTS), "lstm.weight_hh_l0": (4 * HIDDEN, HIDDEN),
            "lstm.bias_ih_l0": (4 * HIDDEN,), "lstm.bias_hh_l0": (4 * HIDDEN,),
            "head.weight": (1, HIDDEN), "head.bias": (1,),
        }  # fmt: skip

    def flops(self) -> int:
        layers = (INPUTS, 4 * HIDDEN), (HIDDEN, 4 * HIDDEN)
        every = linear_flops(self.batch * LENGTH, *layers, first=True)
        return every + linear_flops(self.batch, (HIDDEN, 1))

    def module(self, lib: Any) -> Any:
        class Net(lib.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.lstm = lib.nn.LSTM(INPUTS, HIDDEN, batch_first=True)
                self.head = lib.nn.Linear(HIDDEN, 1)

            def forward(self, x: Any) -> Any:
                outputs, _ = self.lstm(x)
                return self.head(outputs[:, -1])

        return Net()

    def loss(self, lib: Any, module: Any, x: Any, y: Any) -> Any:
        return lib.nn.functional.mse_loss(module(x), y)

    def jax_loss(self, jax: Any, params: Any, x: Any, y: Any) -> Any:
        """The inputs' share of all gates is one product; only the rest is a loop."""
        bias = params["lstm.bias_ih_l0"] + params["lstm.bias_hh_l0"]
        shares = jax.numpy.swapaxes(x, 0, 1) @ params["lstm.weight_ih_l0"] + bias

        def cell(state: Any, share: Any) -> Any:
            h, c = state
            gates = share + h @ params["lstm.weight_hh_l0"]
            i, f, g, o = jax.numpy.split(gates, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
            return (jax.nn.sigmoid(o) * jax.numpy.tanh(c), c), None

        zero = jax.numpy.zeros((len(x), HIDDEN), jax.numpy.float32)
        (h, _), _ = jax.lax.scan(cell, (zero, zero), shares)
        return ((h @ params["head.weight"] + params["head.bias"] - y) ** 2).mean()


WORKLOAD = Lstm()
