"""Normalization: values with mean 0 and variance 1 over a part of the dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from ..errors import ArgumentError, DTypeError, ShapeError
from ..ops.core import Shape, Value
from .arguments import SettingError, need_values, sizes_of


def layer_norm(
    input: Value, normalized_shape: Any, weight: Value | None = None, bias: Value | None = None,
    eps: float = 1e-5,
) -> Value:  # fmt: skip
    """(x - mean) / sqrt(var + eps) weight + bias, each over the last dimensions of an example.

    normalized_shape: those dimensions' sizes, which weight and bias have too; var is the mean
    squared distance from the mean.  Ba, Kiros and Hinton 2016.
    """
    shape = _last_sizes("layer_norm", input, normalized_shape)
    _check_vectors("layer_norm", input, shape, weight=weight, bias=bias)
    ndim = len(input.shape)
    d, scale = _spread(input, tuple(range(ndim - len(shape), ndim)), eps)
    y = d * ops.expand(scale, shape=d.shape)
    return _scaled(y, weight, bias)


def rms_norm(
    input: Value, normalized_shape: Any, weight: Value | None = None, eps: float | None = None
) -> Value:
    """x / sqrt(mean(x^2) + eps) weight, over the last dimensions of an example.

    normalized_shape: those dimensions' sizes, which weight has too.  eps: the spacing of the
    numbers at 1 unless said.  Zhang and Sennrich 2019.
    """
    shape = _last_sizes("rms_norm", input, normalized_shape)
    _check_vectors("rms_norm", input, shape, weight=weight)
    ndim = len(input.shape)
    scale = _over_root(input, tuple(range(ndim - len(shape), ndim)), eps)
    return _scaled(input * ops.expand(scale, shape=input.shape), weight, None)


def group_norm(
    input: Value, num_groups: int, weight: Value | None = None, bias: Value | None = None,
    eps: float = 1e-5,
) -> Value:  # fmt: skip
    """(x - mean) / sqrt(var + eps) weight + bias, over groups of channels of an example.

    x (B, C, ...), weight and bias (C).  num_groups divides C.  Raises where a group holds a single
    value in a batch of one.  Wu and He 2018.
    """
    name = "group_norm"
    need_values(name, input=input)
    shape = input.shape
    if len(shape) < 2:
        raise ShapeError(f"{name}: needs (batch, channels, ...)", got=str(shape))
    if num_groups < 1 or shape[1] % num_groups:
        raise SettingError(
            f"{name}: num_groups must divide the channels",
            expected=f"a divisor of {shape[1]}",
            got=str(num_groups),
        )
    _check_vectors(name, input, shape[1:2], weight=weight, bias=bias)
    if math.prod(shape) == num_groups:
        raise _single_values(name, shape, "a group", None)
    rows = ops.reshape(input, shape=(shape[0], num_groups, math.prod(shape[1:]) // num_groups))
    d, scale = _spread(rows, (2,), eps)
    y = ops.reshape(d * ops.expand(scale, shape=d.shape), shape=shape)
    inner = (1,) * (len(shape) - 2)
    return _scaled(y, _wide(weight, inner), _wide(bias, inner))


def batch_norm(
    input: Value, running_mean: Value | None, running_var: Value | None,
    weight: Value | None = None, bias: Value | None = None, training: bool = False,
    momentum: Any = 0.1, eps: float = 1e-5,
) -> Value:  # fmt: skip
    """(x - mean) / sqrt(var + eps) weight + bias, over everything but the channels.

    x (B, C, ...), the others (C).  In training mean and var are those of the batch, and the running
    ones become (1 - momentum) old + momentum new, in place, with the var divided by n - 1 instead
    of n.  Otherwise the running ones are used.  momentum: a number, or a 0-d Tensor.  Raises in
    training where a channel has a single value.  Ioffe and Szegedy 2015.
    """
    name = "batch_norm"
    need_values(name, input=input)
    if len(input.shape) < 2:
        raise ShapeError(f"{name}: needs (batch, channels, ...)", got=str(input.shape))
    _check_vectors(
        name, input, input.shape[1:2], running_mean=running_mean, running_var=running_var,
        weight=weight, bias=bias,
    )  # fmt: skip
    inner = (1,) * (len(input.shape) - 2)
    weight, bias = _wide(weight, inner), _wide(bias, inner)
    if not training:
        if running_mean is None or running_var is None:
            raise SettingError(
                f"{name}: needs running_mean and running_var outside training",
                fix="training=True for the statistics of the batch",
            )
        scale = ops.rsqrt(_wide(running_var, inner) + eps)
        scale = scale if weight is None else scale * weight
        shift = -(_wide(running_mean, inner) * scale)
        return _scaled(input, scale, shift if bias is None else shift + bias)
    axis = (0, *range(2, len(input.shape)))
    count = math.prod(input.shape[a] for a in axis)
    if count < 2:
        fix = "a larger batch; drop_last=True if it is the last one of an epoch; .eval() to predict"
        raise _single_values(name, input.shape, "a channel", fix)
    mean, d, var = _moments(input, axis)
    scale = ops.rsqrt(var + eps)
    y = _scaled(d, scale if weight is None else scale * weight, bias)
    _track(running_mean, mean, momentum)
    _track(running_var, var * (count / (count - 1)), momentum)
    return y


def _track(running: Value | None, batch: Value, momentum: Any) -> None:
    """Moves a running statistic towards that of the batch, in place; no gradient flows there."""
    if running is not None:
        new = ops.detach(ops.reshape(batch, shape=running.shape))
        running.mul_(1 - momentum).add_(new * momentum)


# ---------------------------------------------------------------- what they share


def _moments(x: Value, axis: tuple[int, ...]) -> tuple[Value, Value, Value]:
    """The mean, x without it, and the mean square of that; the means keep their dimensions."""
    count = math.prod(x.shape[a] for a in axis)
    mean = ops.sum(x, axis=axis, keepdim=True) / count
    d = x - ops.expand(mean, shape=x.shape)
    return mean, d, ops.sum(ops.pow(d, 2), axis=axis, keepdim=True) / count


def _spread(x: Value, axis: tuple[int, ...], eps: float) -> tuple[Value, Value]:
    """x without its mean, and what brings that to variance 1."""
    _, d, var = _moments(x, axis)
    return d, ops.rsqrt(var + eps)


def _over_root(x: Value, axis: tuple[int, ...], eps: float | None) -> Value:
    """1 / sqrt(mean(x^2) + eps)."""
    count = math.prod(x.shape[a] for a in axis)
    square = ops.sum(ops.pow(x, 2), axis=axis, keepdim=True) / count
    return ops.rsqrt(square + (float(np.finfo(x.dtype).eps) if eps is None else eps))


def _wide(v: Value | None, inner: Shape) -> Value:
    """One number a channel, under a shape that broadcasts against (batch, channels, ...)."""
    return v if v is None or not inner else ops.reshape(v, shape=(*v.shape, *inner))


def _scaled(y: Value, weight: Value | None, bias: Value | None) -> Value:
    if weight is not None:
        y = y * ops.expand(weight, shape=y.shape)
    return y if bias is None else y + ops.expand(bias, shape=y.shape)


def _last_sizes(name: str, x: Value, normalized_shape: Any) -> Shape:
    """The sizes of the dimensions that are normalized; raises unless x ends with them."""
    need_values(name, input=x)
    shape = sizes_of((normalized_shape,))
    if not shape or x.shape[len(x.shape) - len(shape) :] != shape or len(x.shape) < len(shape):
        raise ShapeError(
            f"{name}: the input does not end with the dimensions that are normalized",
            expected=f"(*, {', '.join(map(str, shape))})" if shape else "at least one dimension",
            got=str(x.shape),
        )
    return shape


def _check_vectors(name: str, x: Value, shape: Shape, **vectors: Value | None) -> None:
    """Raises unless x is of a float type, and what is given has this shape and x's type."""
    if x.dtype.kind != "f":
        raise DTypeError(f"{name}: needs a float type", got=x.dtype.name, fix="x.float()")
    for what, v in vectors.items():
        if v is None:
            continue
        need_values(name, **{what: v})
        if v.shape != shape:
            raise ShapeError(
                f"{name}: {what} does not fit the input",
                expected=f"{what} {shape} for input {x.shape}",
                got=str(v.shape),
            )
        if v.dtype != x.dtype:
            raise DTypeError(
                f"{name}: input and {what} have different dtypes",
                expected=f"x {v.dtype.name}, as {what}",
                got=f"x {x.dtype.name}",
                fix=f"x.to(chainrule.{v.dtype.name})",
            )


def _single_values(name: str, shape: Shape, what: str, fix: str | None) -> ArgumentError:
    return ArgumentError(
        f"{name}: Expected more than 1 value per channel when training, got input size {shape}",
        expected=f"at least 2 values in {what}: of one alone the variance is 0",
        fix=fix,
    )
