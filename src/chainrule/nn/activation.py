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
    """y = 1 / (1 + e^-x), elementwise: x of any shape, y in (0, 1).

    dy/dx = y (1 - y).  As in PyTorch.

    >>> from chainrule import nn, tensor
    >>> nn.Sigmoid()(tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """

    def forward(self, x: Tensor) -> Tensor:
        """sigmoid(x)."""
        return F.sigmoid(x)


class Tanh(Module):
    """y = tanh x = (e^x - e^-x) / (e^x + e^-x), elementwise: x of any shape, y in (-1, 1).

    dy/dx = 1 - y^2.  As in PyTorch.

    >>> from chainrule import nn, tensor
    >>> nn.Tanh()(tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """

    def forward(self, x: Tensor) -> Tensor:
        """tanh(x)."""
        return F.tanh(x)


class ReLU(InPlace):
    """y = max(x, 0), elementwise: x of any shape.

    dy/dx = 1 where x > 0, else 0: the slope at 0 is 0, as in PyTorch.  Nair and Hinton 2010.

    >>> from chainrule import nn, tensor
    >>> nn.ReLU()(tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """relu(x)."""
        return F.relu(x)


class ReLU6(InPlace):
    """y = min(max(x, 0), 6), elementwise: x of any shape.

    The slope at 0 and at 6 is 0, as in PyTorch.  Krizhevsky 2010.

    >>> from chainrule import nn, tensor
    >>> nn.ReLU6()(tensor([-1.0, 7.0]))
    tensor([0., 6.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """relu6(x)."""
        return F.relu6(x)


class SELU(InPlace):
    """y = s x where x > 0, else s a (e^x - 1), elementwise, with s = 1.0507.., a = 1.6733...

    Keeps mean 0 and variance 1 from layer to layer.  As in PyTorch.  Klambauer et al. 2017.

    >>> from chainrule import nn, tensor
    >>> nn.SELU()(tensor([-1.0, 1.0]))
    tensor([-1.1113, 1.0507])
    """

    def forward(self, x: Tensor) -> Tensor:
        """selu(x)."""
        return F.selu(x)


class SiLU(InPlace):
    """y = x sigmoid(x), elementwise: x of any shape; also called swish.

    As in PyTorch.  Elfwing, Uchibe and Doya 2017.

    >>> from chainrule import nn, tensor
    >>> nn.SiLU()(tensor([-1.0, 1.0]))
    tensor([-0.2689, 0.7311])
    """

    def forward(self, x: Tensor) -> Tensor:
        """silu(x)."""
        return F.silu(x)


class Mish(InPlace):
    """y = x tanh(ln(1 + e^x)), elementwise: x of any shape.

    Differs from PyTorch: the second derivative beyond x = 44 is 0, where PyTorch has nan.
    Misra 2019.

    >>> from chainrule import nn, tensor
    >>> nn.Mish()(tensor([-1.0, 1.0]))
    tensor([-0.3034, 0.8651])
    """

    def forward(self, x: Tensor) -> Tensor:
        """mish(x)."""
        return F.mish(x)


class Softsign(Module):
    """y = x / (1 + |x|), elementwise: x of any shape, y in (-1, 1).

    As in PyTorch.

    >>> from chainrule import nn, tensor
    >>> nn.Softsign()(tensor([-1.0, 3.0]))
    tensor([-0.5000, 0.7500])
    """

    def forward(self, x: Tensor) -> Tensor:
        """softsign(x)."""
        return F.softsign(x)


class LogSigmoid(Module):
    """y = ln(1 / (1 + e^-x)) = -ln(1 + e^-x), elementwise, without overflow.

    As in PyTorch.

    >>> from chainrule import nn, tensor
    >>> nn.LogSigmoid()(tensor([0.0, -1000.0]))
    tensor([-0.6931, -1000.0000])
    """

    def forward(self, x: Tensor) -> Tensor:
        """logsigmoid(x)."""
        return F.logsigmoid(x)


class LeakyReLU(InPlace):
    """y = x where x > 0, else a x, elementwise, with a = negative_slope.

    negative_slope: 0.01.  The slope at 0 is a, as in PyTorch.  Maas, Hannun and Ng 2013.

    >>> from chainrule import nn, tensor
    >>> nn.LeakyReLU(0.1)(tensor([-1.0, 2.0]))
    tensor([-0.1000, 2.0000])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """leaky_relu(x)."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return self._with_inplace(f"negative_slope={self.negative_slope}")


class ELU(InPlace):
    """y = x where x > 0, else alpha (e^x - 1), elementwise.

    alpha: 1.0.  The slope at 0 is alpha, as in PyTorch; so is the second derivative there, which
    PyTorch sets to 0.  Clevert, Unterthiner and Hochreiter 2015.

    >>> from chainrule import nn, tensor
    >>> nn.ELU()(tensor([-1.0, 2.0]))
    tensor([-0.6321, 2.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """elu(x)."""
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return self._with_inplace(f"alpha={self.alpha}")


class GELU(Module):
    """y = x Phi(x), elementwise, Phi(x) = (1 + erf(x / sqrt 2)) / 2 the normal distribution.

    approximate: 'none', or 'tanh' for y = x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2.
    Raises ArgumentError for other words.  As in PyTorch.  Hendrycks and Gimpel 2016.

    >>> from chainrule import nn, tensor
    >>> nn.GELU()(tensor([-1.0, 1.0]))
    tensor([-0.1587, 0.8413])
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
    """y = ln(1 + e^(beta x)) / beta, elementwise, and x itself where beta x > threshold.

    beta: > 0 (1.0).  threshold: (20.0).  Raises ArgumentError for beta <= 0.  As in PyTorch.

    >>> from chainrule import nn, tensor
    >>> nn.Softplus()(tensor([0.0, 30.0]))
    tensor([0.6931, 30.0000])
    """

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
    """y = min(max(x, a), b), elementwise, with a = min_val (-1.0) and b = max_val (1.0).

    The slope at a and at b is 0, as in PyTorch.  Raises ArgumentError unless a < b.

    >>> from chainrule import nn, tensor
    >>> nn.Hardtanh()(tensor([-3.0, 0.5]))
    tensor([-1.0000, 0.5000])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Tensor) -> Tensor:
        """hardtanh(x)."""
        return F.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return self._with_inplace(f"min_val={self.min_val}, max_val={self.max_val}")


class Softmax(Module):
    """y_i = e^x_i / sum_j e^x_j along dimension `dim`: y of x's shape, adding up to 1.

    Without overflow.  Differs from PyTorch: dim=None means the last dimension, instead of a guess
    and a warning.  Raises IndexRangeError for a dimension that x lacks.

    >>> from chainrule import nn, tensor
    >>> nn.Softmax(dim=1)(tensor([[0.0, 0.0], [1.0, 1000.0]]))
    tensor([[0.5000, 0.5000],
            [0.0000, 1.0000]])
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
    """y_i = x_i - ln sum_j e^x_j along dimension `dim`: the logarithm of Softmax.

    Without overflow.  Differs from PyTorch as Softmax does.

    >>> from chainrule import nn, tensor
    >>> nn.LogSoftmax(dim=0)(tensor([0.0, 0.0]))
    tensor([-0.6931, -0.6931])
    """

    def forward(self, x: Tensor) -> Tensor:
        """log_softmax(x)."""
        return F.log_softmax(x, -1 if self.dim is None else self.dim)
