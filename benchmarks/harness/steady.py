"""Steps in steady state: all contestants in one process, in blocks that take turns."""

from __future__ import annotations

import statistics
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .contestants import MAKERS
from .names import BASES
from .peak import make_peak
from .workload import Absent, Workload

CHECKED = 20  # steps whose losses are compared; later ones drift apart in float32
TOLERANCE = 2e-3
LEAST = 0.005


class Disagreement(Exception):
    """Two contestants do not train the same thing."""


def prepare(
    workload: Workload, names: Iterable[str], threads: int, epochs: int
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, dict[str, str]]]:
    """Trainings that ran one block, the losses of that block, and why others are out.

    A contestant that cannot take part is "skipped" with its reason; one that broke has "failed".
    """
    trainings: dict[str, Any] = {}
    losses: dict[str, np.ndarray] = {}
    out: dict[str, dict[str, str]] = {}
    for name in names:
        try:
            training = MAKERS[name](workload, threads)
            losses[name] = training.every_loss(epochs)
            trainings[name] = training
        except Absent as reason:
            out[name] = {"skipped": str(reason)}
        except Exception as error:
            traceback.print_exc()
            out[name] = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
    return trainings, losses, out


def check(workload: Workload, trainings: dict[str, Any], losses: dict[str, np.ndarray]) -> None:
    """Raises where two contestants differ, or where nothing moves that could differ."""
    each = {n: v for n, v in losses.items() if not hasattr(trainings[n], "epoch_means")}
    if not each:
        return
    first, reference = next(iter(each.items()))
    if np.ptp(reference) < 0.01 * abs(reference[0]):
        raise Disagreement(f"the loss stays at {reference[0]:.6g}: nothing is compared")
    means = reference[: workload.batches].mean()
    for name, found in losses.items():
        if name in each:
            ours, wanted = found[:CHECKED], reference[:CHECKED]
        else:
            ours, wanted = found[:1], np.array([means])
        if ours.shape != wanted.shape or not np.allclose(ours, wanted, rtol=TOLERANCE, atol=1e-6):
            raise Disagreement(f"{name} has losses {ours[-5:]}, {first} has {wanted[-5:]}")


def stretched(training: Any, epochs: int) -> int:
    """Epochs of a block: ten times as many for a loop that takes under LEAST seconds.

    A call of a loop costs 0.05 to 0.3 ms once, whatever its length, and is no part of a step.
    """
    if not training.whole_epochs:
        return epochs
    start = time.perf_counter()
    training.run(epochs)
    if time.perf_counter() - start > LEAST:
        return epochs
    training.run(10 * epochs)  # some compile anew for another number
    return 10 * epochs


def measure(
    trainings: dict[str, Any], epochs: int, rounds: int, patience: float, peak: Callable[[], float]
) -> tuple[dict[str, list[float]], dict[str, float], list[float]]:
    """Seconds of every block, processor seconds a second, and the core's peak in every round.

    A contestant that has used `patience` seconds sits out the rounds that are left.
    """
    seconds: dict[str, list[float]] = {name: [] for name in trainings}
    used = dict.fromkeys(trainings, 0.0)
    blocks = {name: stretched(training, epochs) for name, training in trainings.items()}
    peaks = []
    for _ in range(rounds):
        peaks.append(peak())
        for name, training in trainings.items():
            if sum(seconds[name]) > patience:
                continue
            processor, start = time.process_time(), time.perf_counter()
            training.run(blocks[name])
            share = epochs / blocks[name]
            seconds[name].append(share * (time.perf_counter() - start))
            used[name] += share * (time.process_time() - processor)
    cores = {name: used[name] / sum(found) for name, found in seconds.items()}
    return seconds, cores, peaks


def median_ratio(times: list[float], base: list[float]) -> float:
    """The median over the rounds that both took part in."""
    return statistics.median(a / b for a, b in zip(times, base, strict=False))


def summarize(
    seconds: dict[str, list[float]], steps: int, flops: int, peak: float, threads: int
) -> tuple[str | None, dict[str, dict[str, float]]]:
    """The contestant that others are measured by, and every contestant's figures."""
    base = next((name for name in BASES if name in seconds), None)
    figures = {}
    for name, found in seconds.items():
        time_of_step = statistics.median(found) / steps
        rate = flops / time_of_step / 1e9
        figures[name] = {
            "us": time_of_step * 1e6, "gflops": rate, "of_peak": rate / (peak * threads),
            "rounds": len(found),
        }  # fmt: skip
        if base is not None:
            figures[name]["times_base"] = median_ratio(found, seconds[base])
    return base, figures


def steady(
    workload: Workload, names: list[str], threads: int, rounds: int, short: bool, patience: float
) -> dict[str, Any]:
    """The whole row of a workload."""
    epochs = workload.short_epochs if short else workload.epochs
    trainings, losses, out = prepare(workload, names, threads, epochs)
    check(workload, trainings, losses)
    seconds, cores, peaks = measure(trainings, epochs, rounds, patience, make_peak())
    peak, steps = statistics.median(peaks), epochs * workload.batches
    base, figures = summarize(seconds, steps, workload.flops(), peak, threads)
    for name, row in figures.items():
        row["cores"] = cores[name]
        row["first_loss"], row["last_loss"] = map(float, losses[name][[0, -1]])
    return {
        "title": workload.title, "steps_a_block": steps, "flops": workload.flops(),
        "peak_gflops": peak, "base": base, "contestants": {**figures, **out},
    }  # fmt: skip
