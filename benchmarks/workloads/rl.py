"""A policy network: 8-64-64-4 with tanh, 64 examples, mean squared error, Adam."""

from __future__ import annotations

from typing import Any

import numpy as np

TITLE = "rl: 8-64-64-4 tanh, batch 64, MSE, Adam"


def eager(lib: Any) -> Any:
    """A function that takes one step and returns the loss."""
    nn = lib.nn
    model = nn.Sequential(
        nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 4)
    )
    rng = np.random.default_rng(0)
    with lib.no_grad():
        for p in model.parameters():
            p.copy_(lib.tensor((rng.normal(size=tuple(p.shape)) * 0.2).astype(np.float32)))
    criterion = nn.MSELoss()
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-3)
    x = lib.tensor(rng.normal(size=(64, 8)).astype(np.float32))
    y = lib.tensor(rng.normal(size=(64, 4)).astype(np.float32))

    def step() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step
