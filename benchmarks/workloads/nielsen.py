"""The third article's network for digits: 784-30-10 with sigmoid, batches of 10, SGD."""

from __future__ import annotations

from harness.dense import Dense
from harness.workload import Rule

WORKLOAD = Dense(
    title="nielsen: 784-30-10 sigmoid, batch 10, MSE, SGD",
    sizes=(784, 30, 10),
    activation="sigmoid",
    out="sigmoid",
    batch=10,
    batches=100,
    epochs=5,
    optimizer=Rule("SGD", lr=3.0),
)
