"""How good networks are on held-out rows: by their errors, their loss, or a metric of the task."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...data.tables.target import METRICS_OF
from ...errors import ArgumentError, StateError
from ...markup import counted
from ..metrics import METRICS, R2, ROCAUC, over_labels
from .data import TabularData

OWN = ("error", "loss")
"""What decides without a metric, and what may in its place; both are better where they are less."""
SCALED = "scaled_rmse"
"""What a log calls the error of several targets, whose units have nothing in common: the root of
the mean squared error over all their numbers, each in standard deviations of its target."""
OF_TASK: Mapping[str, tuple[str, ...]] = {
    "classification": METRICS_OF["multiclass"], "regression": METRICS_OF["regression"],
    "multilabel": METRICS_OF["multilabel"],
}  # fmt: skip
"""The metrics by which networks of a task may be chosen."""
MEASURES = tuple(dict.fromkeys((*OWN, *itertools.chain(*OF_TASK.values()))))
"""All of both."""


def turn(metric: str) -> float:
    """-1 for a metric that is better the higher it is, else 1: what to multiply it with to make
    it small."""
    return -1.0 if metric not in OWN and METRICS[metric].higher_is_better else 1.0


def score(data: TabularData, outputs: Any, rows: Any, metric: str) -> float:
    """How good outputs (V, C) of a network are on some rows; see `Recipe.metric`.  In float64."""
    z = outputs.astype(np.float64)
    if not np.isfinite(z).all():
        return float("nan")
    y = data.target[rows]
    if metric in OWN:
        return _own(data.task, z, y, metric)
    if data.task == "multilabel":
        return over_labels(metric, z, y)
    with np.errstate(over="ignore", invalid="ignore"):
        if data.task == "regression":
            z, y = z * data.unit, y * data.unit
            if not (np.isfinite(z).all() and np.isfinite(y).all()):
                return float("nan")
        judge = METRICS[metric]()
        judge.update(z, y)
        return float(judge.compute())


def _own(task: str, z: Any, y: Any, metric: str) -> float:
    """The error, or the loss without label smoothing."""
    if task == "regression":
        mean = float(((z - y) ** 2).mean())
        return mean if metric == "loss" else mean**0.5
    if task == "multilabel":
        if metric == "error":
            return float(((z > 0) != (y > 0)).mean())
        return float((np.logaddexp(0.0, z) - z * y).mean())
    if metric == "error":
        return float((z.argmax(1) != y).mean())
    top = z.max(1)
    return float(
        (np.log(np.exp(z - top[:, np.newaxis]).sum(1)) + top - z[np.arange(len(y)), y]).mean()
    )


def check_metric(
    data: TabularData, parts: Sequence[Any], metric: str, names: Sequence[str] | None = None
) -> None:
    """Raises where a metric is none of the task, or has no value on held-out rows.

    parts: the rows held out from each network.  names: of the classes.
    """
    if metric in OWN:
        return
    if metric not in OF_TASK[data.task]:
        raise ArgumentError(f"{metric} is no metric of a {data.task} task", line="",
                            expected=", ".join(OF_TASK[data.task]))  # fmt: skip
    for k, rows in enumerate(parts):
        why = _no_value(data, rows, metric, names)
        if why is not None:
            which = "the network" if len(parts) == 1 else f"network {k + 1} of {len(parts)}"
            raise ArgumentError(
                f"{metric} can't choose the best epoch: it has no value on the "
                f"{counted(len(rows), 'row')} held out from {which}", got=why, line="",
                fix="another metric, or more rows held out: fewer folds, or a larger share",
            )  # fmt: skip


def _no_value(data: TabularData, rows: Any, metric: str, names: Sequence[str] | None) -> str | None:
    """Why a metric has no value on rows, whatever the answers; None where it has one."""
    y = data.target[rows]
    if metric == ROCAUC.name and data.task == "classification":
        gone = np.flatnonzero(np.bincount(y, minlength=data.num_outputs) == 0)
        if len(gone):
            first = str(gone[0]) if names is None else repr(names[gone[0]])
            more = f", nor of {len(gone) - 1} more" if len(gone) > 1 else ""
            return f"no row of class {first}{more}"
    if metric == R2.name and (y == y[0]).all():
        return "the same target in every row"
    try:
        value = score(data, np.zeros((len(rows), data.num_outputs)), rows, metric)
    except StateError as error:
        return error.got
    except ArgumentError as error:  # of five classes or fewer the first five are all
        raise ArgumentError(f"{metric} can't choose the best epoch: too few classes", line="",
                            expected="more than 5", got=str(data.num_outputs),
                            fix="another metric") from error  # fmt: skip
    return None if math.isfinite(value) else "targets too large for their squares"
