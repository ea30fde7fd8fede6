"""Activation functions, spelled from ops."""

from __future__ import annotations

import math

from .. import ops
from ..errors import ArgumentError
from ..ops import exp, gt, where
from ..ops import relu as relu
from ..ops import sigmoid as sigmoid
from ..ops import tanh as tanh
from ..ops.core import Value
from .arguments import axis_of, choice


def leaky_relu(x: Value, negative_slope: float = 0.01) -> Value:
    """x where x > 0, else negative_slope x; the slope at 0 is negative_slope, as in PyTorch."""
    return where(gt(x, 0), x, x * negative_slope)


def relu6(x: Value) -> Value:
    """min(max(x, 0), 6); the slope at 0 and at 6 is 0, as in PyTorch."""
    return hardtanh(x, 0.0, 6.0)


def elu(x: Value, alpha: float = 1.0) -> Value:
    """x where x > 0, else alpha (e^x - 1)."""
    return where(gt(x, 0), x, ops.expm1(where(gt(x, 0), 0.0, x)) * alpha)


def selu(x: Value) -> Value:
    """scale elu(x, alpha) with the constants of Klambauer et al. 2017."""
    return elu(x, 1.6732632423543772) * 1.0507009873554805


def gelu(x: Value, approximate: str = "none") -> Value:
    """x Phi(x), Phi the normal distribution; 'tanh' is the approximation of the paper.

    Hendrycks and Gimpel 2016.
    """
    choice("gelu", "approximate", approximate, ("none", "tanh"))
    if approximate == "tanh":
        inner = (x + ops.pow(x, 3) * 0.044715) * math.sqrt(2 / math.pi)
        return x * 0.5 * (tanh(inner) + 1)
    return x * 0.5 * (ops.erf(x * math.sqrt(0.5)) + 1)


def silu(x: Value) -> Value:
    """x sigmoid(x)."""
    return x * sigmoid(x)


def mish(x: Value) -> Value:
    """x tanh(softplus(x))."""
    return x * tanh(ops.softplus(x))


def hardtanh(x: Value, min_val: float = -1.0, max_val: float = 1.0) -> Value:
    """x limited to [min_val, max_val]; the slope at the limits is 0, as in PyTorch."""
    if min_val >= max_val:
        raise ArgumentError("hardtanh: min_val must be < max_val", got=f"{min_val}, {max_val}")
    return where(ops.le(x, min_val), min_val, where(ops.ge(x, max_val), max_val, x))


def softsign(x: Value) -> Value:
    """x / (1 + |x|)."""
    return x / (ops.abs(x) + 1)


def logsigmoid(x: Value) -> Value:
    """ln sigmoid(x), without overflow."""
    return -ops.softplus(-x)


def softplus(x: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
    """ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold, as in PyTorch."""
    if beta == 1.0:
        scaled = x
        y = ops.softplus(x)
    else:
        scaled = x * beta
        y = ops.softplus(scaled) / beta
    return where(gt(scaled, threshold), x, y)


def softmax(x: Value, dim: int = -1) -> Value:
    """e^x / sum e^x along a dimension."""
    axis = axis_of("softmax", x, dim)
    return ops.softmax(x, axis=axis) if x.shape else exp(x - x)


def log_softmax(x: Value, dim: int = -1) -> Value:
    """ln softmax(x), without overflow."""
    axis = axis_of("log_softmax", x, dim)
    return ops.log_softmax(x, axis=axis) if x.shape else x - x
