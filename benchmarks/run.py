"""Times one training step of each workload in every library at hand, interleaved in one run.

    python benchmarks/run.py [--short] [--out results.json] [WORKLOAD ...]

Blocks of steps of the contestants alternate (A B A B ...); the median block counts. Before any
timing all contestants must reach the same loss. One thread each; OPENBLAS_CORETYPE is not set for
anybody, because it slows NumPy's matmul.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
WORKLOADS = sorted(p.stem for p in (HERE / "workloads").glob("[a-z]*.py"))


def libraries() -> dict[str, Any]:
    """Chainrule, and PyTorch where it is installed; imported only after the environment is set."""
    found = {"chainrule": importlib.import_module("chainrule")}
    if importlib.util.find_spec("torch"):
        found["torch"] = importlib.import_module("torch")
        found["torch"].set_num_threads(1)
    return found


def set_environment() -> None:
    """One thread a library, and NumPy's own choice of matmul: read when NumPy is first loaded."""
    os.environ.pop("OPENBLAS_CORETYPE", None)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"


def block_time_us(step: Callable[[], Any], steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps * 1e6


def compare(name: str, blocks: int, steps: int) -> dict[str, Any]:
    """The median time of a step for every library, in microseconds, and the ratios."""
    workload = importlib.import_module(f"workloads.{name}")
    contestants = {lib: workload.eager(module) for lib, module in libraries().items()}
    losses = {lib: [step().item() for _ in range(20)][-1] for lib, step in contestants.items()}
    first = losses["chainrule"]
    assert all(math.isclose(v, first, rel_tol=1e-4) for v in losses.values()), losses
    times: dict[str, list[float]] = {lib: [] for lib in contestants}
    for _ in range(blocks):
        for lib, step in contestants.items():
            times[lib].append(block_time_us(step, steps))
    medians = {lib: statistics.median(t) for lib, t in times.items()}
    ratios = {
        lib: statistics.median(a / b for a, b in zip(t, times["chainrule"], strict=True))
        for lib, t in times.items()
    }
    return {"title": workload.TITLE, "median_us": medians, "times_chainrule": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workloads", nargs="*", help=", ".join(WORKLOADS))
    parser.add_argument("--short", action="store_true", help="a few steps: does it run at all?")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    options = parser.parse_args()
    set_environment()
    blocks, steps = (3, 5) if options.short else (41, 200)
    versions = {lib: module.__version__ for lib, module in libraries().items()}
    result: dict[str, Any] = {
        "python": platform.python_version(), "versions": versions, "threads": 1, "workloads": {},
    }  # fmt: skip
    print(f"eager step, one thread, median of {blocks} blocks of {steps}; {versions}")
    for name in options.workloads or WORKLOADS:
        row = result["workloads"][name] = compare(name, blocks, steps)
        cells = [f"{lib} {us:8.1f} us" for lib, us in row["median_us"].items()]
        cells += [
            f"{lib} / chainrule = {r:.2f}"
            for lib, r in row["times_chainrule"].items()
            if lib != "chainrule"
        ]
        print(f"{row['title']:<44} {'   '.join(cells)}")
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
