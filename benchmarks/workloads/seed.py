"""The second article's network: 2-2-1 with sigmoid, one example a step, squared error, SGD."""

from __future__ import annotations

from harness.dense import Dense
from harness.workload import Rule

WORKLOAD = Dense(
    title="seed: 2-2-1 sigmoid, batch 1, MSE, SGD",
    sizes=(2, 2, 1),
    activation="sigmoid",
    out="sigmoid",
    batch=1,
    batches=4,
    epochs=2500,
    optimizer=Rule("SGD", lr=0.5),
)
