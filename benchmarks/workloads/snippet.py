"""The first article's network: 2-2-1 with relu, two examples, mean squared error, SGD."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.dense import Dense
from harness.workload import Rule


class Snippet(Dense):
    """Written as the article writes it, with its data."""

    def module(self, lib: Any) -> Any:
        class SimpleNN(lib.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.fc1 = lib.nn.Linear(2, 2)
                self.fc2 = lib.nn.Linear(2, 1)

            def forward(self, x: Any) -> Any:
                return self.fc2(lib.relu(self.fc1(x)))

        return SimpleNN()

    def names(self) -> list[str]:
        return ["fc1", "fc2"]

    def data(self) -> tuple[np.ndarray, ...]:
        x = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)
        return x, np.array([[1.0], [2.0]], dtype=np.float32)


WORKLOAD = Snippet(
    title="snippet: 2-2-1 relu, batch 2, MSE, SGD",
    sizes=(2, 2, 1),
    activation="relu",
    batch=2,
    batches=1,
    epochs=10_000,
    optimizer=Rule("SGD", lr=0.01),
)
