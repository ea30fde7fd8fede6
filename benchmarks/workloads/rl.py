"""A policy network of reinforcement learning: 8-64-64-4 with tanh."""

from __future__ import annotations

from harness.dense import Dense
from harness.workload import Rule

WORKLOAD = Dense(
    title="rl: 8-64-64-4 tanh, batch 64, MSE, Adam",
    sizes=(8, 64, 64, 4),
    activation="tanh",
    batch=64,
    batches=10,
    epochs=50,
    optimizer=Rule("Adam", lr=1e-3),
)
