"""A classifier of images of 28 x 28: 784-512-512-10 with relu."""

from __future__ import annotations

from harness.dense import Dense
from harness.workload import Rule

WORKLOAD = Dense(
    title="mlp: 784-512-512-10 relu, batch 128, cross-entropy, Adam",
    sizes=(784, 512, 512, 10),
    activation="relu",
    classes=True,
    batch=128,
    batches=10,
    epochs=2,
    optimizer=Rule("Adam", lr=1e-3),
)
