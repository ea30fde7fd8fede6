"""A network for the rows of a table: 32-256-256-1 with relu."""

from __future__ import annotations

from harness.dense import Dense
from harness.workload import Rule

WORKLOAD = Dense(
    title="table: 32-256-256-1 relu, batch 256, MSE, Adam",
    sizes=(32, 256, 256, 1),
    activation="relu",
    batch=256,
    batches=10,
    epochs=5,
    optimizer=Rule("Adam", lr=1e-3),
)
