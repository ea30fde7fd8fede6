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


def leaky_relu(input: Value, negative_slope: float = 0.01) -> Value:
    """x where x > 0, else negative_slope x; the slope at 0 is negative_slope, as in PyTorch."""
    return where(gt(input, 0), input, input * negative_slope)


def relu6(input: Value) -> Value:
    """min(max(x, 0), 6); the slope at 0 and at 6 is 0, as in PyTorch."""
    return hardtanh(input, 0.0, 6.0)


def elu(input: Value, alpha: float = 1.0) -> Value:
    """x where x > 0, else alpha (e^x - 1)."""
    return where(gt(input, 0), input, ops.expm1(where(gt(input, 0), 0.0, input)) * alpha)


def selu(input: Value) -> Value:
    """scale elu(x, alpha) with the constants of Klambauer et al. 2017."""
    return elu(input, 1.6732632423543772) * 1.0507009873554805


def gelu(input: Value, approximate: str = "none") -> Value:
    """x Phi(x), Phi the normal distribution; 'tanh' is the approximation of the paper.

    Hendrycks and Gimpel 2016.
    """
    choice("gelu", "approximate", approximate, ("none", "tanh"))
    if approximate == "tanh":
        inner = (input + ops.pow(input, 3) * 0.044715) * math.sqrt(2 / math.pi)
        return input * 0.5 * (tanh(inner) + 1)
    return input * 0.5 * (ops.erf(input * math.sqrt(0.5)) + 1)


def silu(input: Value) -> Value:
    """x sigmoid(x)."""
    return input * sigmoid(input)


def mish(input: Value) -> Value:
    """x tanh(softplus(x))."""
    return input * tanh(ops.softplus(input))


def hardtanh(input: Value, min_val: float = -1.0, max_val: float = 1.0) -> Value:
    """x limited to [min_val, max_val]; the slope at the limits is 0, as in PyTorch."""
    if min_val >= max_val:
        raise ArgumentError("hardtanh: min_val must be < max_val", got=f"{min_val}, {max_val}")
    return where(ops.le(input, min_val), min_val, where(ops.ge(input, max_val), max_val, input))


def softsign(input: Value) -> Value:
    """x / (1 + |x|)."""
    return input / (ops.abs(input) + 1)


def logsigmoid(input: Value) -> Value:
    """ln sigmoid(x), without overflow."""
    return -ops.softplus(-input)


def softplus(input: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
    """ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold, as in PyTorch."""
    if beta == 1.0:
        scaled = input
        y = ops.softplus(input)
    else:
        scaled = input * beta
        y = ops.softplus(scaled) / beta
    return where(gt(scaled, threshold), input, y)


def softmax(input: Value, dim: int = -1) -> Value:
    """e^x / sum e^x along a dimension."""
    axis = axis_of("softmax", input, dim)
    return ops.softmax(input, axis=axis) if input.shape else exp(input - input)


def log_softmax(input: Value, dim: int = -1) -> Value:
    """ln softmax(x), without overflow."""
    axis = axis_of("log_softmax", input, dim)
    return ops.log_softmax(input, axis=axis) if input.shape else input - input
