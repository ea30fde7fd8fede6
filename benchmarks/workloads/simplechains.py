"""SimpleChains.jl's own benchmark: 4-32-16-4 with tanh, 10,000 rows as one batch.

Published there: 41 us an epoch on 18 cores with AVX-512, and 5 s to the first result.
"""

from __future__ import annotations

from harness.dense import Dense
from harness.workload import Rule

WORKLOAD = Dense(
    title="simplechains: 4-32-16-4 tanh, full batch of 10,000, MSE, Adam (a step is an epoch)",
    sizes=(4, 32, 16, 4),
    activation="tanh",
    batch=10_000,
    batches=1,
    epochs=20,
    optimizer=Rule("Adam", lr=1e-3),
)
