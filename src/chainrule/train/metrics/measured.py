"""Reading what metrics are given: predictions and targets as arrays that fit each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import (
    ArgumentError,
    DTypeError,
    IndexRangeError,
    NonFiniteError,
    ShapeError,
)

Array = Any


def finite_array(name: str, values: Any) -> Array:
    """Numbers as float64, whole numbers as int64; raises where one is not finite."""
    array = np.asarray(getattr(values, "_value", values))
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name}: needs numbers", got=str(array.dtype))
    if not array.size:
        raise ArgumentError(f"{name}: an empty batch", got=f"shape {array.shape}")
    if array.dtype.kind != "f":
        return array.astype(np.int64)
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise NonFiniteError(
            f"{name}: nan or infinity in a prediction or target", got=f"{bad} of {array.size}"
        )
    return array.astype(np.float64)


def labels_of(name: str, target: Any) -> Array:
    """Class numbers; floats are taken where they are whole, as binary targets are."""
    array = finite_array(name, target)
    if array.dtype.kind == "f":
        if (array != np.round(array)).any():
            raise DTypeError(
                f"{name}: class numbers are needed, and these are not whole",
                got=f"{float(array[array != np.round(array)].flat[0]):g} among the targets",
                fix="mae, mse, rmse or r2 for numbers",
            )
        array = array.astype(np.int64)
    return array


def width_of(prediction: Any) -> int:
    """The number of classes that scores show."""
    array = np.asarray(getattr(prediction, "_value", prediction))
    scores = array.ndim > 1 and array.dtype.kind == "f" and array.shape[1] > 1
    return int(array.shape[1]) if scores else 2 if array.dtype.kind == "f" else 1


def classes_of(name: str, prediction: Any, target: Any, threshold: float) -> tuple[Array, Array]:
    """The classes predicted and the classes there are, both (N,)."""
    p = finite_array(name, prediction)
    scores = p.dtype.kind == "f" and p.ndim > 1 and p.shape[1] > 1
    if scores and np.shape(getattr(target, "_value", target)) == p.shape:
        return p.argmax(axis=1).reshape(-1), finite_array(name, target).argmax(axis=1).reshape(-1)
    y = labels_of(name, target)
    if p.dtype.kind == "f":
        p = p.argmax(axis=1) if scores else (p > threshold).astype(np.int64)
    if p.shape != y.shape and _squeezed(p) != _squeezed(y):
        raise ShapeError(
            f"{name}: prediction and target do not fit each other",
            expected=f"targets {p.shape}" if scores else f"targets {p.shape}, as the predictions",
            got=f"predictions {np.shape(getattr(prediction, '_value', prediction))}, "
            f"targets {y.shape}",
        )
    return p.reshape(-1), y.reshape(-1)


def _squeezed(array: Array) -> tuple[int, ...]:
    shape: tuple[int, ...] = array.shape
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def check_scores(name: str, scores: Array, wanted: Array) -> None:
    if scores.ndim != 2 or wanted.shape != scores.shape[:1]:
        raise ShapeError(
            f"{name}: needs scores (B, C) and classes (B,)",
            got=f"predictions {scores.shape}, targets {wanted.shape}",
        )
    outside = wanted[(wanted < 0) | (wanted >= scores.shape[1])]
    if outside.size:
        raise IndexRangeError(
            f"{name}: Target {outside[0]} is out of bounds.",
            expected=f"0 to {scores.shape[1] - 1}",
            got=f"{wanted.min()} to {wanted.max()}",
            fix="do the labels start at 0?",
        )


def pair_of(name: str, prediction: Any, target: Any) -> tuple[Array, Array]:
    """Both as float64; raises where they would have to be broadcast."""
    p, y = finite_array(name, prediction), finite_array(name, target)
    if p.shape != y.shape:
        fix = None
        if _squeezed(p) == y.shape:
            fix = "target.unsqueeze(-1), or prediction.squeeze(-1)"
        raise ShapeError(
            f"{name}: prediction and target have different shapes",
            expected=f"targets {p.shape}, as the predictions",
            got=f"{y.shape}",
            fix=fix,
        )
    return np.atleast_1d(p.astype(np.float64)), np.atleast_1d(y.astype(np.float64))
