"""The first article's network: 2-2-1 with relu, two examples, mean squared error, SGD."""

from __future__ import annotations

from typing import Any

import numpy as np

TITLE = "snippet: 2-2-1 relu, batch 2, MSE, SGD"


def eager(lib: Any) -> Any:
    """A function that takes one step and returns the loss, written as the article writes it."""

    class SimpleNN(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = lib.nn.Linear(2, 2)
            self.fc2 = lib.nn.Linear(2, 1)

        def forward(self, x: Any) -> Any:
            return self.fc2(lib.relu(self.fc1(x)))

    model = SimpleNN()
    rng = np.random.default_rng(0)
    with lib.no_grad():
        for p in model.parameters():
            p.copy_(lib.tensor(rng.normal(size=tuple(p.shape)).astype(np.float32)))
    criterion = lib.nn.MSELoss()
    optimizer = lib.optim.SGD(model.parameters(), lr=0.01)
    inputs = lib.tensor([[1.0, 2.0], [3.0, 4.0]])
    targets = lib.tensor([[1.0], [2.0]])

    def step() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss

    return step
