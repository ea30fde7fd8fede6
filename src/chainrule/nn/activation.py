"""Activation layers: each calls the function of the same name."""

from __future__ import annotations

from .. import functional as F
from ..errors import ArgumentError
from ..functional.arguments import choice
from ..tensor.core import Tensor
from .module import Module


class InPlace(Module):
    """A layer that PyTorch lets overwrite its input.

    `inplace` is kept and printed, and the result is the same; the input is left as it was, which
    PyTorch's users do not rely on, because in-place layers forbid reading it again.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""

    def _with_inplace(self, text: str) -> str:
        return f"{text}, inplace=True" if self.inplace else text


class Sigmoid(Module):
    """y = 1 / (1 + e^-x)."""

    def forward(self, x: Tensor) -> Tensor:
        """sigmoid(x)."""
        return F.sigmoid(x)


class Tanh(Module):
    """y = tanh x."""

    def forward(self, x: Tensor) -> Tensor:
        """tanh(x)."""
        return F.tanh(x)


class ReLU(InPlace):
    """y = max(x, 0); the slope at 0 is 0."""

    def forward(self, x: Tensor) -> Tensor:
        """relu(x)."""
        return F.relu(x)


class ReLU6(InPlace):
    """y = min(max(x, 0), 6)."""

    def forward(self, x: Tensor) -> Tensor:
        """relu6(x)."""
        return F.relu6(x)


class SELU(InPlace):
    """y = scale elu(x, alpha) with the constants of Klambauer et al. 2017."""

    def forward(self, x: Tensor) -> Tensor:
        """selu(x)."""
        return F.selu(x)


class SiLU(InPlace):
    """y = x sigmoid(x) (Elfwing et al. 2017; also called swish)."""

    def forward(self, x: Tensor) -> Tensor:
        """silu(x)."""
        return F.silu(x)


class Mish(InPlace):
    """y = x tanh(softplus(x)) (Misra 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        """mish(x)."""
        return F.mish(x)


class Softsign(Module):
    """y = x / (1 + |x|)."""

    def forward(self, x: Tensor) -> Tensor:
        """softsign(x)."""
        return F.softsign(x)


class LogSigmoid(Module):
    """y = ln sigmoid(x), without overflow."""

    def forward(self, x: Tensor) -> Tensor:
        """logsigmoid(x)."""
        return F.logsigmoid(x)


class LeakyReLU(InPlace):
    """y = x where x > 0, else negative_slope x (0.01)."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """leaky_relu(x)."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return self._with_inplace(f"negative_slope={self.negative_slope}")


class ELU(InPlace):
    """y = x where x > 0, else alpha (e^x - 1) (Clevert et al. 2015)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """elu(x)."""
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return self._with_inplace(f"alpha={self.alpha}")


class GELU(Module):
    """y = x Phi(x), Phi the normal distribution; approximate='tanh' for the paper's approximation.

    Hendrycks and Gimpel 2016.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        choice("GELU", "approximate", approximate, ("none", "tanh"))
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """gelu(x)."""
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """y = ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        if not beta > 0:
            raise ArgumentError("Softplus: beta must be > 0", got=str(beta))
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Tensor) -> Tensor:
        """softplus(x)."""
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(InPlace):
    """y = x limited to [min_val, max_val]."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Tensor) -> Tensor:
        """hardtanh(x)."""
        return F.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return self._with_inplace(f"min_val={self.min_val}, max_val={self.max_val}")


class Softmax(Module):
    """y_i = e^x_i / sum_j e^x_j along `dim`.

    Differs from PyTorch: dim=None means the last dimension, instead of a warning.
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """softmax(x)."""
        return F.softmax(x, -1 if self.dim is None else self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """y = ln softmax(x) along `dim`, without overflow."""

    def forward(self, x: Tensor) -> Tensor:
        """log_softmax(x)."""
        return F.log_softmax(x, -1 if self.dim is None else self.dim)
