"""What members learn to make small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import functional as F
from ...nn import TabularMLP
from ...tensor.core import Tensor, wrap
from .data import TabularData


def member_losses(
    data: TabularData, model: TabularMLP
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """loss(outputs (M, B, C), rows (M, B), smoothing (M,)): the mean over the rows of each member.

    'classification': cross-entropy against (1 - s) for the class and s / C for each; 'multilabel':
    the mean binary cross-entropy of the labels, moved by s towards 1/2; 'regression': the mean
    squared error, in deviations of the target over the member's rows.
    """
    target, scale = _learned(data, model)
    y = wrap(target)
    w = None if data.weight is None else wrap(_weights(data.weight))
    center, deviation = (None, None) if scale is None else map(wrap, scale)

    def loss(z: Tensor, rows: Tensor, smoothing: Tensor) -> Tensor:
        t = y[rows]
        s = F.reshape(smoothing, (-1, 1, 1))
        if data.task == "classification":
            soft = t * (1.0 - s) + s * (1.0 / data.num_outputs)
            each = -(soft * F.log_softmax(z, -1)).sum(-1)
        elif data.task == "multilabel":
            soft = t * (1.0 - s) + s * 0.5
            each = (F.softplus(z) - z * soft).mean(-1)
        else:
            each = ((z - (t - center) / deviation) ** 2).mean(-1)
        return (each if w is None else each * w[rows]).mean(-1)

    return loss


def _learned(data: TabularData, model: TabularMLP) -> tuple[Any, Any]:
    """The targets as float32 (N, C), and for a regression (mean, std) of each member, (M, 1, C).

    A regression's are first scaled over all rows in float64: a large mean costs no digits.
    """
    if data.task == "classification":
        hot = np.zeros((len(data), data.num_outputs), np.float32)
        hot[np.arange(len(data)), data.target] = 1.0
        return hot, None
    if model.target is None:
        return data.target.astype(np.float32), None
    center, deviation = data.target.mean(0), data.target.std(0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    mean = (model.target.mean.numpy().astype(np.float64) - center) / deviation
    std = model.target.std.numpy().astype(np.float64) / deviation
    scale = tuple(a[:, np.newaxis].astype(np.float32) for a in (mean, std))
    return ((data.target - center) / deviation).astype(np.float32), scale


def _weights(weight: Any) -> Any:
    """Weights with mean 1."""
    return (weight / weight.mean()).astype(np.float32)
