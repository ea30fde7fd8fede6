"""One contestant in a process of its own: its first step, its first 100 steps, its memory."""

from __future__ import annotations

import math
import resource
import time
from typing import Any

from .workload import Absent, Workload, library

STEPS = 100


def cold(workload: Workload, name: str, modules: tuple[str, ...], threads: int, begun: float,
         steps: int) -> dict[str, Any]:  # fmt: skip
    """Seconds from the start of the process, `begun`; making the data is not counted.

    The first step of a loop over whole epochs is what its first call took longer than its second,
    and one step more.
    """
    entered = time.monotonic()
    _ = workload.arrays, workload.weights
    made = time.monotonic()
    try:
        for module in modules:
            library(module)
        from .contestants import MAKERS

        imported = time.monotonic()
        training = MAKERS[name](workload, threads)
    except Absent as reason:
        return {"skipped": str(reason)}
    epochs = math.ceil(steps / workload.batches)
    built = time.monotonic()
    if not training.whole_epochs:
        training.one()
    stepped = time.monotonic()
    training.run(epochs)
    done = time.monotonic()
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first = stepped - built
    if training.whole_epochs:
        training.run(epochs)
        again = time.monotonic() - done
        first = max(0.0, done - stepped - again) + again / (epochs * workload.batches)
    return {
        "first_step": first, "total": done - begun - (made - entered),
        "without_import": done - imported, "peak_mb": kilobytes / 1024,
    }  # fmt: skip
