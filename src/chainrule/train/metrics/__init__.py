"""Metrics: how good predictions are, batch by batch, in float64.

A metric is told batches by `update(prediction, target)`, says what it found by `compute()`, and
begins afresh after `reset()`.  The result does not depend on how the examples lay in batches.

Classes are read from predictions as models give them: the largest of C scores (B, C, ...) with
C > 1; for one score an example, (B,) or (B, 1), class 1 where it is above `threshold` (0, for
logits; 0.5 for probabilities); whole numbers are classes already.  Targets are class numbers, or
scores of the predictions' shape.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from ...errors import ArgumentError, ArgumentTypeError, StateError
from .base import Metric as Metric
from .classes import F1 as F1
from .classes import Accuracy as Accuracy
from .classes import ConfusionMatrix as ConfusionMatrix
from .classes import Precision as Precision
from .classes import Recall as Recall
from .classes import TopK as TopK
from .multilabel import label_area as label_area
from .multilabel import over_labels as over_labels
from .numbers import MAE as MAE
from .numbers import MSE as MSE
from .numbers import R2 as R2
from .numbers import RMSE as RMSE
from .probabilities import ROCAUC as ROCAUC
from .probabilities import CalibrationError as CalibrationError
from .probabilities import LogLoss as LogLoss

METRICS: dict[str, type[Metric]] = {
    m.name: m
    for m in (
        Accuracy, TopK, ConfusionMatrix, Precision, Recall, F1, LogLoss, ROCAUC, CalibrationError,
        MAE, MSE, RMSE, R2,
    )
}  # fmt: skip


def as_metric(metric: Any) -> Metric:
    """A metric by its name, or the one that is given; an unknown name suggests the nearest."""
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if isinstance(metric, str) and metric in METRICS:
        return METRICS[metric]()
    if not isinstance(metric, str):
        raise ArgumentTypeError(
            "a metric is given by its name or as a Metric", got=type(metric).__name__
        )
    near = difflib.get_close_matches(metric.lower().replace("-", "_"), METRICS, 1)
    raise ArgumentError(
        f"unknown metric {metric!r}",
        expected=", ".join(METRICS),
        fix=f"did you mean {near[0]!r}?" if near else None,
    )


def scored(name: str, prediction: Any, target: Any) -> float | None:
    """A metric of one batch by its name; None where such rows have none: a class without rows, or a
    single row."""
    metric = METRICS[name]()
    metric.update(prediction, target)
    try:
        return float(metric.compute())
    except StateError:
        return None


def _function(kind: type[Metric]) -> Callable[..., Any]:
    def function(prediction: Any, target: Any, **settings: Any) -> Any:
        metric = kind(**settings)
        metric.update(prediction, target)
        return metric.compute()

    function.__name__ = function.__qualname__ = kind.name
    function.__doc__ = f"{kind.__name__} of one batch: {kind.__doc__}".split("\n\n")[0]
    return function


accuracy = _function(Accuracy)
top_k = _function(TopK)
confusion_matrix = _function(ConfusionMatrix)
precision = _function(Precision)
recall = _function(Recall)
f1 = _function(F1)
log_loss = _function(LogLoss)
roc_auc = _function(ROCAUC)
calibration_error = _function(CalibrationError)
mae = _function(MAE)
mse = _function(MSE)
rmse = _function(RMSE)
r2 = _function(R2)
