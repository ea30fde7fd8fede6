"""How weights start.  Every function fills a tensor in place and returns it."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..functional.arguments import choice
from ..ops.special import normal_quantile
from ..tensor.autograd import no_grad
from ..tensor.core import Tensor, wrap
from ..tensor.random import Generator, generator_in_use, rand, randn

NONLINEARITIES = (
    "linear", "conv1d", "conv2d", "conv3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu",
)  # fmt: skip


class _Thread(threading.local):
    """Whether tensors stay as they are in the running thread."""

    skips: bool = False


_thread = _Thread()


class skipping:
    """Within the block no function of this module fills anything: other weights are to come.

    The generator counts the draws all the same: whatever is drawn later has the same bits.
    """

    def __enter__(self) -> None:
        self.outer, _thread.skips = _thread.skips, True

    def __exit__(self, *exc: object) -> None:
        _thread.skips = self.outer


def _skipped(draws: int, generator: Generator | None = None) -> bool:
    """Whether there is nothing to do but to count so many draws."""
    if _thread.skips:
        for _ in range(draws):
            (generator or generator_in_use()).next()
    return _thread.skips


class RangeError(ArgumentError, RuntimeError):
    """The bounds of a distribution the wrong way round."""


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a layer must scale for its activation to keep the variance.

    linear, sigmoid 1; tanh 5/3; relu sqrt(2); leaky_relu sqrt(2 / (1 + slope^2)); selu 3/4.
    """
    choice("calculate_gain", "nonlinearity", nonlinearity, NONLINEARITIES)
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    return 0.75 if nonlinearity == "selu" else 1.0


def fans(tensor: Tensor) -> tuple[int, int]:
    """(inputs, outputs) of one unit of a weight (out, in, *kernel)."""
    if len(tensor.shape) < 2:
        raise ShapeError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions",
            got=str(tensor.shape),
        )
    field = int(np.prod(tensor.shape[2:], dtype=np.int64))
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fill(tensor: Tensor, values: Any) -> Tensor:
    with no_grad():
        if not _skipped(0):
            tensor.copy_(values)
    return tensor


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform in [a, b)."""
    if not a <= b:
        raise RangeError("uniform_: needs a <= b", got=f"a={a}, b={b}")
    if _skipped(1, generator):
        return tensor
    return _fill(tensor, rand(tensor.shape, dtype=tensor.dtype, generator=generator) * (b - a) + a)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal with this mean and standard deviation."""
    if not std >= 0:
        raise RangeError("normal_: std must be >= 0", got=str(std))
    if _skipped(1, generator):
        return tensor
    return _fill(tensor, randn(tensor.shape, dtype=tensor.dtype, generator=generator) * std + mean)


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Normal, limited to [a, b]: uniform between the probabilities of the limits, inverted."""
    if _skipped(1, generator):
        return tensor
    low, high = (0.5 * (1 + math.erf((v - mean) / std / math.sqrt(2))) for v in (a, b))
    u = rand(tensor.shape, dtype=np.float64, generator=generator)._value
    p = np.clip(low + u * (high - low), 1e-16, 1 - 1e-16)
    return _fill(tensor, wrap(np.clip(normal_quantile(p) * std + mean, a, b)))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number everywhere."""
    return _fill(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return _fill(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return _fill(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """1 on the diagonal, else 0."""
    if len(tensor.shape) != 2:
        raise ShapeError("eye_: only for matrices", got=str(tensor.shape))
    return _fill(tensor, wrap(np.eye(*tensor.shape)))


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform in +-gain sqrt(6 / (in + out)) (Glorot and Bengio 2010, eq. 16)."""
    bound = gain * math.sqrt(6.0 / max(sum(fans(tensor)), 1))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation gain sqrt(2 / (in + out)) (Glorot and Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(sum(fans(tensor)), 1)), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    choice("kaiming", "mode", mode, ("fan_in", "fan_out"))
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Uniform in +-gain sqrt(3 / fan) (He et al. 2015, eq. 10); a is leaky_relu's slope."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Normal with standard deviation gain / sqrt(fan) (He et al. 2015, eq. 10)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Rows (or columns, the fewer) orthonormal, times gain (Saxe et al. 2013)."""
    if len(tensor.shape) < 2:
        raise ShapeError("orthogonal_: needs at least 2 dimensions", got=str(tensor.shape))
    rows = tensor.shape[0]
    columns = int(np.prod(tensor.shape[1:], dtype=np.int64))
    if not rows or not columns or _skipped(1, generator):
        return tensor
    flat = randn(rows, columns, dtype=np.float64, generator=generator)._value
    q, r = np.linalg.qr(flat.T if rows < columns else flat)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # makes the draw uniform over rotations
    q = q.T if rows < columns else q
    return _fill(tensor, wrap(np.ascontiguousarray(q * gain).reshape(tensor.shape)))


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Normal, with a share of every column set to 0 (Martens 2010)."""
    if len(tensor.shape) != 2 or not 0 <= sparsity <= 1:
        raise ArgumentError("sparse_: needs a matrix and a share in [0, 1]", got=str(sparsity))
    if _skipped(2, generator):
        return tensor
    rows, columns = tensor.shape
    order = np.argsort(rand(rows, columns, dtype=np.float64, generator=generator)._value, 0)
    values = randn(rows, columns, dtype=np.float64, generator=generator)._value * std
    np.put_along_axis(values, order[: math.ceil(sparsity * rows)], 0.0, 0)
    return _fill(tensor, wrap(values))
