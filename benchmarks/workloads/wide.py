"""Wide layers, where arithmetic is all that counts: 1024-2048-2048-1024 with gelu."""

from __future__ import annotations

from harness.dense import Dense
from harness.workload import Rule

WORKLOAD = Dense(
    title="wide: 1024-2048-2048-1024 gelu, batch 256, MSE, Adam",
    sizes=(1024, 2048, 2048, 1024),
    activation="gelu",
    batch=256,
    batches=2,
    epochs=2,
    optimizer=Rule("Adam", lr=1e-3),
)
