"""What is minimized: a loss by row, weighted, and scikit-learn's penalty on the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, softmax

from .. import functional as F
from .. import ops
from ..errors import ArgumentError, ArgumentTypeError
from ..tensor.core import Tensor
from ..train.losses import RowWeighted


def log_loss(z: Tensor, y: Tensor) -> Tensor:
    """-sum_k y_k ln softmax(z)_k of every row; y: one-hot rows."""
    return -F.sum(y * F.log_softmax(z, 1), 1)


def binary_log_loss(z: Tensor, y: Tensor) -> Tensor:
    """-sum_k (y_k ln s(z_k) + (1 - y_k) ln(1 - s(z_k))) of every row, s the logistic function."""
    return F.sum(F.binary_cross_entropy_with_logits(z, y, reduction="none"), 1)


def squared_error(z: Tensor, y: Tensor) -> Tensor:
    """sum_k (z_k - y_k)^2 / 2 of every row."""
    return F.sum((z - y) * (z - y), 1) * 0.5


def poisson(z: Tensor, y: Tensor) -> Tensor:
    """sum_k (e^z_k - y_k z_k - y_k + y_k ln y_k) of every row: the prediction is e^z."""
    least = y * ops.log(ops.where(y > 0, y, ops.cast(y * 0 + 1, dtype=y.dtype))) - y
    return F.sum(ops.exp(z) - y * z + least, 1)


class Loss(NamedTuple):
    """A loss and the output that belongs to it.

    by_row: the loss of every row, from the last layer's outputs and the targets.  link: from these
    outputs to a prediction, in NumPy.  mean: whether scikit-learn reports the mean over outputs
    though its gradient is that of the sum.  numbers: whether targets are classes by number (B,).
    """

    name: str
    by_row: Callable[[Tensor, Tensor], Tensor]
    out_activation: str
    link: Callable[[Any], Any]
    mean: bool = False
    numbers: bool = False


def _same(z: Any) -> Any:
    return z


def _softmax(z: Any) -> Any:
    return softmax(z, axis=1)


LOSSES = {
    "log_loss": Loss("log_loss", log_loss, "softmax", _softmax),
    "binary_log_loss": Loss("binary_log_loss", binary_log_loss, "logistic", expit),
    "squared_error": Loss("squared_error", squared_error, "identity", _same, mean=True),
    "poisson": Loss("poisson", poisson, "exp", np.exp),
}


def custom(loss: Any, like: Loss, weighted: bool) -> Loss:
    """A loss of the user's, function or Module, with the output of a built-in one.

    It is given the outputs before the output activation, as losses of chainrule.nn are.
    weighted: whether rows count differently, so that their losses are needed one by one.
    """
    if weighted and getattr(loss, "reduction", None) == "mean":
        loss = RowWeighted(loss).terms

    def by_row(z: Tensor, y: Tensor) -> Tensor:
        found = loss(z, y)
        if not isinstance(found, Tensor):
            raise ArgumentTypeError(
                "the loss must give a Tensor", expected="one value, or one for every row",
                got=type(found).__name__, line="",
            )  # fmt: skip
        if found.ndim == 0 and weighted:
            raise ArgumentError(
                "rows that count differently need the loss of every row", got="one value for all",
                expected="a loss of shape (rows,)", fix="reduction='none' in the loss", line="",
            )  # fmt: skip
        return found

    numbers = like.name == "log_loss"
    return Loss("", by_row, like.out_activation, like.link, numbers=numbers)


def objective(
    loss: Loss, weights: Sequence[Tensor], alpha: Tensor, z: Tensor, y: Tensor, w: Tensor
) -> tuple[Tensor, Tensor]:
    """What is differentiated, and the loss as scikit-learn reports it.

    sum_i w_i loss_i / s + alpha / 2 ||W||^2 / s with s = sum_i w_i, over the rows i of a batch.
    z: outputs (B, K).  y: targets.  w: weights of the rows (B,).  weights: W of every layer.
    """
    total = F.sum(w)
    total = ops.where(ops.ne(total, 0), total, total * 0 + 1)
    each = loss.by_row(z, y)
    if each.ndim == 0:
        data = each
    else:
        each = F.mean(F.reshape(each, (each.shape[0], -1)), 1) if each.ndim > 1 else each
        data = F.sum(each * w) / total
    squares = F.sum(weights[0] * weights[0])
    for weight in weights[1:]:
        squares = squares + F.sum(weight * weight)
    penalty = alpha * 0.5 * squares / total
    shown = data * (1 / z.shape[1]) if loss.mean and z.shape[1] > 1 else data
    return data + penalty, shown + penalty
