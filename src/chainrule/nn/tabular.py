"""Layers for the rows of tables, after RealMLP: Holzmüller, Grinsztajn and Steinwart 2024.

Each takes `members=M`: M layers of the same sizes side by side, every parameter with a leading axis
(M, ..), so that M networks are one.  Their input is (M, B, ..), or (B, ..) for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import functional as F
from .. import ops
from ..dtypes import get_default_dtype, int64
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..functional.arguments import choice
from ..tensor.core import Tensor
from ..tensor.create import empty, full, ones
from ..tensor.random import rand
from . import init
from .dropout import check_probability
from .module import Module
from .parameter import Parameter

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "selu": F.selu,
    "mish": F.mish,
    "relu": F.relu,
    "silu": F.silu,
    "gelu": F.gelu,
}


def whole_number(owner: str, name: str, value: Any, least: int = 1) -> int:
    """A size, or ArgumentTypeError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentTypeError(f"{owner}: {name} must be a whole number >= {least}",
                                got=repr(value))  # fmt: skip
    return value


def lead(owner: str, members: int | None) -> tuple[int, ...]:
    """The leading axis of parameters: (M,), or () for a single layer."""
    return () if members is None else (whole_number(owner, "members", members),)


def over_rows(p: Tensor, axes: int = 1) -> Tensor:
    """A parameter with rows (M, n) against (M, B, n); one without members (n) as it is."""
    return F.unsqueeze(p, -1 - axes) if len(p.shape) > axes else p


def check_width(layer: str, x: Tensor, width: int) -> None:
    """Raises where the last size of an input is not the layer's."""
    if len(x.shape) < 2 or x.shape[-1] != width:
        raise ShapeError(
            f"{layer}: the input has another number of columns", expected=f"(B, {width})",
            got=str(x.shape),
        )  # fmt: skip


class NTPLinear(Module):
    """y = x W / sqrt(in) + b, with x (B, in), W (in, out), b (out), y (B, out).

    in_features, out_features: sizes, whole numbers >= 1.  members: see `TabularMLP` (None).  W and
    b start standard normal: the factor stands in the equation and not in W, so that one learning
    rate fits layers of all widths (neural tangent parametrisation; Jacot, Gabriel and Hongler
    2018).  Raises a ShapeError where x's last size is not `in`.

    Differs from Linear: the factor, the start, and W lies as (in, out).  PyTorch has no such layer.

    >>> import chainrule
    >>> layer = chainrule.nn.NTPLinear(4, 2)
    >>> layer(chainrule.ones(3, 4)).shape
    (3, 2)
    >>> chainrule.nn.NTPLinear(4, 2, members=5)(chainrule.ones(3, 4)).shape
    (5, 3, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, members: int | None = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = whole_number("NTPLinear", "in_features", in_features)
        self.out_features = whole_number("NTPLinear", "out_features", out_features)
        self.members, first = members, lead("NTPLinear", members)
        self.weight = Parameter(empty(*first, in_features, out_features, dtype=dtype))
        self.bias = Parameter(empty(*first, out_features, dtype=dtype))
        self.factor = 1.0 / math.sqrt(in_features)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights anew."""
        init.normal_(self.weight)
        init.normal_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x W / sqrt(in) + b."""
        check_width("NTPLinear", x, self.in_features)
        return F.matmul(x, self.weight) * self.factor + over_rows(self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


class Scaling(Module):
    """y = s x elementwise, with x (B, n) and a factor s (n) for every column.

    num_features: n.  members: see `TabularMLP` (None).  s starts at 1.  In front of the first
    linear layer and with a larger learning rate (6 times, in RealMLP) it lets the network choose
    its columns.  Raises a ShapeError for another number of columns.  PyTorch has no such layer.
    Holzmüller et al. 2024, section 3.

    >>> from chainrule import nn, tensor
    >>> nn.Scaling(2)(tensor([[3.0, 4.0]]))
    tensor([[3., 4.]], grad_fn=<mul>)
    """

    def __init__(self, num_features: int, members: int | None = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_features = whole_number("Scaling", "num_features", num_features)
        self.members = members
        self.weight = Parameter(ones(*lead("Scaling", members), num_features, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """s x."""
        check_width("Scaling", x, self.num_features)
        return x * over_rows(self.weight)

    def extra_repr(self) -> str:
        return str(self.num_features)


class ParametricActivation(Module):
    """y = x + a (f(x) - x) elementwise, with x (B, n) and a mix a (n) for every column.

    num_features: n.  activation: f, one of 'selu', 'mish', 'relu', 'silu', 'gelu' ('selu').
    members: see `TabularMLP` (None).  a starts at 1, where y = f(x); at 0 the unit is linear.
    Raises a ShapeError for another number of columns.  PyTorch has no such layer.
    Holzmüller et al. 2024, section 3.

    >>> from chainrule import nn, tensor
    >>> nn.ParametricActivation(2, "relu")(tensor([[-1.0, 2.0]]))
    tensor([[0., 2.]], grad_fn=<add>)
    """

    def __init__(
        self, num_features: int, activation: str = "selu", members: int | None = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_features = whole_number("ParametricActivation", "num_features", num_features)
        choice("ParametricActivation", "activation", activation, tuple(ACTIVATIONS))
        self.activation = activation
        self.members, first = members, lead("ParametricActivation", members)
        self.weight = Parameter(ones(*first, num_features, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """x + a (f(x) - x)."""
        check_width("ParametricActivation", x, self.num_features)
        return x + (ACTIVATIONS[self.activation](x) - x) * over_rows(self.weight)

    def extra_repr(self) -> str:
        return f"{self.num_features}, activation={self.activation}"


class PeriodicEmbedding(Module):
    """y_j = [cos(2 pi x_j w_j + b_j) V_j + c_j, x_j]: every number x_j as D numbers.

    x (B, n), frequencies w_j (F) and phases b_j (F) of column j, V_j (F, D - 1), c_j (D - 1),
    y (B, n D): the PBLD embedding (periodic, bias, linear, and the number itself as in a DenseNet).
    num_features: n.  frequencies: F (16).  embedding_dim: D (4).  sigma: how wide w starts, normal
    with that standard deviation (0.1); b starts uniform in +-pi, V and c in +-1/sqrt(F).
    members: see `TabularMLP` (None).  Raises a ShapeError for another number of columns.
    PyTorch has no such layer.  Gorishniy et al. 2022, Holzmüller et al. 2024, appendix A.

    >>> import chainrule
    >>> chainrule.nn.PeriodicEmbedding(3)(chainrule.zeros(2, 3)).shape
    (2, 12)
    """

    def __init__(
        self, num_features: int, frequencies: int = 16, embedding_dim: int = 4,
        sigma: float = 0.1, members: int | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        owner = "PeriodicEmbedding"
        self.num_features = n = whole_number(owner, "num_features", num_features)
        self.frequencies = whole_number(owner, "frequencies", frequencies)
        self.embedding_dim = whole_number(owner, "embedding_dim", embedding_dim, 2)
        if not 0 < sigma < math.inf:
            raise ArgumentError(f"{owner}: sigma must be a number > 0", got=repr(sigma))
        self.sigma = sigma
        first, others = lead(owner, members), embedding_dim - 1
        self.members = members
        self.frequency = Parameter(empty(*first, n, frequencies, dtype=dtype))
        self.phase = Parameter(empty(*first, n, frequencies, dtype=dtype))
        self.weight = Parameter(empty(*first, n, frequencies, others, dtype=dtype))
        self.bias = Parameter(empty(*first, n, others, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws frequencies, phases and weights anew."""
        bound = 1 / math.sqrt(self.frequencies)
        init.normal_(self.frequency, 0.0, self.sigma)
        init.uniform_(self.phase, -math.pi, math.pi)
        init.uniform_(self.weight, -bound, bound)
        init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Waves of every number, mixed, and the number itself."""
        check_width("PeriodicEmbedding", x, self.num_features)
        turns = F.unsqueeze(x, -1) * (over_rows(self.frequency, 2) * (2 * math.pi))
        waves = ops.cos(turns + over_rows(self.phase, 2))  # (.., B, n, F)
        mixed = F.matmul(F.transpose(waves, -2, -3), self.weight)  # (.., n, B, D - 1)
        mixed = F.transpose(mixed, -2, -3) + over_rows(self.bias, 2)
        own = F.unsqueeze(x, -1)
        if len(own.shape) < len(mixed.shape):
            own = F.broadcast_to(own, (*mixed.shape[:-1], 1))
        y = F.cat([mixed, own], -1)
        return F.reshape(y, (*y.shape[:-2], self.num_features * self.embedding_dim))

    def extra_repr(self) -> str:
        return (f"{self.num_features}, frequencies={self.frequencies}, "
                f"embedding_dim={self.embedding_dim}, sigma={self.sigma}")  # fmt: skip


class ScheduledDropout(Module):
    """y = x m / (1 - p) in training, m = 0 with probability p, else 1; y = x in evaluation.

    p: a probability in [0, 1) to begin with (0.5).  members: see `TabularMLP` (None).  The p that
    holds is the buffer `rate`: a schedule may change it at every step and nothing is compiled again
    (`layer.rate.fill_(0.1)`).  Members have a p each, and share the numbers that decide: dropout of
    one network is the same whether it is trained alone or beside others.  Not part of the
    state_dict.  Raises for p out of range.  Differs from PyTorch's Dropout: p is
    read from a tensor, and never 1.

    >>> from chainrule import manual_seed, nn, ones
    >>> _ = manual_seed(0)
    >>> layer = nn.ScheduledDropout(0.5)
    >>> layer.rate.fill_(0.0)
    tensor(0.)
    >>> layer(ones(1, 3))
    tensor([[1., 1., 1.]])
    """

    rate: Tensor

    def __init__(self, p: float = 0.5, members: int | None = None, dtype: Any = None) -> None:
        super().__init__()
        check_probability("ScheduledDropout", p)
        if p == 1.0:
            raise ArgumentError("ScheduledDropout: p must be below 1", got="1.0")
        self.p, self.members = p, members
        shape = lead("ScheduledDropout", members)
        self.register_buffer("rate", full(shape, float(p), dtype=dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x with a random part set to 0 and the rest scaled up."""
        if not self.training:
            return x
        p = self.rate if self.members is None else F.reshape(self.rate, (self.members, 1, 1))
        drawn = rand(x.shape if self.members is None else x.shape[-2:], dtype=x.dtype)
        return x * ops.where(drawn >= p, 1.0 / (1.0 - p), 0.0)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class CategoryEncoding(Module):
    """y = [e_1(x_1), .., e_K(x_K)]: categories x (B, K), x_k in [0, c_k), as numbers y (B, out).

    A column of at most `max_one_hot` categories becomes c_k columns, 1 where the category is, else
    0 (two categories: one column, -1 or 1); a larger one a row of a table (c_k, embedding_dim) that
    is learned and starts standard normal.  cardinalities: c_k for every column.  max_one_hot: 8.
    embedding_dim: 8.  unknown: whether category 0 stands for those that nobody has seen: it is 0 in
    all columns (False).  members: see `TabularMLP` (None).  out_features: the sum of the widths.

    Raises an IndexRangeError for a category out of range.  PyTorch has no such layer.
    Holzmüller et al. 2024, appendix A.

    >>> from chainrule import nn, tensor
    >>> nn.CategoryEncoding([3, 2])(tensor([[0, 1], [2, 0]]))
    tensor([[1., 0., 0., 1.],
            [0., 0., 1., -1.]])
    """

    def __init__(
        self, cardinalities: Sequence[int], max_one_hot: int = 8, embedding_dim: int = 8,
        unknown: bool = False, members: int | None = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        owner = "CategoryEncoding"
        least = 2 if unknown else 1
        self.cardinalities = tuple(
            whole_number(owner, "a cardinality", int(c), least) for c in cardinalities
        )
        self.max_one_hot = whole_number(owner, "max_one_hot", max_one_hot, 0)
        self.embedding_dim = whole_number(owner, "embedding_dim", embedding_dim)
        self.unknown, self.members, self.dtype = unknown, members, dtype
        first = lead(owner, members)
        for k, c in enumerate(self.cardinalities):
            if c > max_one_hot:
                table = Parameter(empty(*first, c, embedding_dim, dtype=dtype))
                self.register_parameter(f"table{k}", table)
        self.reset_parameters()

    @property
    def out_features(self) -> int:
        """The number of columns that come out."""
        return sum(self.width(c) for c in self.cardinalities)

    def width(self, cardinality: int) -> int:
        """The number of columns that a column of so many categories becomes."""
        if cardinality > self.max_one_hot:
            return self.embedding_dim
        known = cardinality - self.unknown
        return 1 if known == 2 else known

    def reset_parameters(self) -> None:
        """Draws the tables anew."""
        for table in self.parameters():
            init.normal_(table)
            if self.unknown:
                table.detach()[..., 0, :] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """The columns side by side."""
        check_width("CategoryEncoding", x, len(self.cardinalities))
        columns = F.unbind(x, -1)
        return F.cat([self._column(column, k) for k, column in enumerate(columns)], -1)

    def _column(self, x: Tensor, k: int) -> Tensor:
        """One column (.., B) as (.., B, width)."""
        c = self.cardinalities[k]
        if c > self.max_one_hot:
            return self._rows(x, getattr(self, f"table{k}"))
        hot = ops.one_hot(x, classes=c, dtype=self.dtype or get_default_dtype())
        y = F.narrow(hot, -1, 1, c - 1) if self.unknown else hot
        if c - self.unknown == 2:
            y = F.narrow(y, -1, 1, 1) - F.narrow(y, -1, 0, 1)
        if self.members is not None and len(x.shape) == 1:
            return F.broadcast_to(y, (self.members, *y.shape))
        return y

    def _rows(self, x: Tensor, table: Tensor) -> Tensor:
        if self.members is None:
            return F.embedding(x, table)
        c = table.shape[-2]
        first = F.unsqueeze(ops.iota(size=self.members, dtype=int64) * c, -1)
        return F.embedding(x + first, F.reshape(table, (self.members * c, self.embedding_dim)))

    def extra_repr(self) -> str:
        text = f"{list(self.cardinalities)}, max_one_hot={self.max_one_hot}"
        return f"{text}, unknown=True" if self.unknown else text
