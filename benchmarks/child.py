"""What run.py starts in processes of their own; one job, given as JSON, answered as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from workloads import load


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """The result of a job; what it needs is imported by it, so that nothing else is in memory."""
    kind = job.pop("kind")
    if kind == "cold":
        from harness.cold import cold

        return cold(load(job.pop("workload")), **job)
    if kind == "steady":
        from harness.steady import steady

        return steady(load(job.pop("workload")), **job)
    if kind == "bits":
        from harness.bits import bits

        return bits(load(job.pop("workload")), **job)
    if kind == "grid":
        from harness.grid import grid

        cells = load(job.pop("workload"))[:: job.pop("every")]
        return grid(cells, **job)
    from harness.peak import make_peak

    peak = make_peak()
    return {"gflops": max(peak() for _ in range(20))}


if __name__ == "__main__":
    print("\n" + json.dumps(answer(json.loads(sys.argv[1]))))
