"""Whole short trainings, from the making of the step to the last epoch, compile time included."""

from __future__ import annotations

import statistics
import time
from typing import Any

from .contestants import MAKERS
from .steady import check, prepare
from .workload import Workload


def grid(cells: list[Workload], names: list[str], threads: int, rounds: int) -> dict[str, Any]:
    """For every cell the median seconds of each contestant, who take turns as in steady state."""
    rows = []
    for cell in cells:
        trainings, losses, out = prepare(cell, names, threads, cell.epochs)
        check(cell, trainings, losses)
        seconds: dict[str, list[float]] = {name: [] for name in trainings}
        for _ in range(rounds):
            for name, found in seconds.items():
                start = time.perf_counter()
                MAKERS[name](cell, threads).run(cell.epochs)
                found.append(time.perf_counter() - start)
        times = {name: {"seconds": statistics.median(found)} for name, found in seconds.items()}
        rows.append({"title": cell.title, "contestants": {**times, **out}})
    return {"rows": rows}
