"""TabularMLP: the network of RealMLP, for one model or for many side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import functional as F
from .. import ops
from ..errors import ArgumentError, ShapeError
from ..ops.core import is_number
from ..tensor.autograd import no_grad
from ..tensor.core import Tensor
from ..tensor.create import full, ones, tensor, zeros
from ..tensor.random import rand, randint, randn
from .container import ModuleList
from .module import Module
from .tabular import (
    CategoryEncoding,
    NTPLinear,
    ParametricActivation,
    PeriodicEmbedding,
    Scaling,
    ScheduledDropout,
    lead,
    over_rows,
    whole_number,
)
from .utils.init import skip_init

SETTINGS = (
    "num_numeric", "cardinalities", "num_outputs", "hidden", "activation", "dropout", "frequencies",
    "embedding_dim", "sigma", "max_one_hot", "category_dim", "unknown", "regression",
)  # fmt: skip
CORNERS = 5
"""A unit's bias starts at a point among so many rows (he+5)."""

FACTORS = {"scaling": (6.0, 1.0), "bias": (0.1, 0.0), "act": (0.1, 1.0),
           "numeric": (0.1, 1.0), "other": (1.0, 1.0)}  # fmt: skip
"""(learning rate, weight decay) of kinds of parameters, as factors of the network's."""


class TargetScale(Module):
    """y = min(max(x s + m, low), high) in evaluation, and y = x in training: x, y (B, n).

    n: num_outputs.  A regression learns (target - m) / s and answers in the units of the target,
    never outside of the range that it has seen.  m, s, low, high (n) are buffers: the mean, the
    standard deviation, the least and the greatest of the targets given to `start`; before that
    0, 1 and no bounds.  members: see `TabularMLP` (None).  PyTorch has no such layer.
    Holzmüller et al. 2024, section 3.

    >>> import chainrule
    >>> layer = chainrule.nn.TargetScale(1)
    >>> layer.start(chainrule.tensor([[1.0], [3.0]]))
    >>> layer.eval()(chainrule.tensor([[0.5], [7.0]])).tolist()
    [[2.5], [3.0]]
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, num_outputs: int, members: int | None = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_outputs = whole_number("TargetScale", "num_outputs", num_outputs)
        self.members = members
        shape = (*lead("TargetScale", members), num_outputs)
        self.register_buffer("mean", zeros(*shape, dtype=dtype))
        self.register_buffer("std", ones(*shape, dtype=dtype))
        self.register_buffer("low", full(shape, -np.inf, dtype=dtype))
        self.register_buffer("high", full(shape, np.inf, dtype=dtype))

    def start(self, target: Tensor) -> None:
        """Takes mean, deviation and range from targets (B, n); a constant column has std 1."""
        y = np.asarray(target, np.float64)
        deviation = y.std(0)
        flat = deviation <= 1e-12 * np.maximum(np.abs(y).max(0), 1e-300)
        found = {"mean": y.mean(0), "std": np.where(flat, 1.0, deviation),
                 "low": y.min(0), "high": y.max(0)}  # fmt: skip
        with no_grad():
            for name, value in found.items():
                getattr(self, name).copy_(tensor(value))

    def normalized(self, target: Any) -> Any:
        """(target - m) / s of an array of targets."""
        return (target - self.mean.numpy()) / self.std.numpy()

    def forward(self, x: Tensor) -> Tensor:
        """x in the target's units, within its range."""
        if self.training:
            return x
        y = x * over_rows(self.std) + over_rows(self.mean)
        return ops.minimum(ops.maximum(y, over_rows(self.low)), over_rows(self.high))

    def extra_repr(self) -> str:
        return str(self.num_outputs)


class TabularMLP(Module):
    """A network for the rows of a table: RealMLP.

    Numbers (B, n) go through a PeriodicEmbedding, categories (B, K) through a CategoryEncoding;
    all columns through a Scaling; then for every hidden layer an NTPLinear, a ParametricActivation
    and a ScheduledDropout, h = drop(act(linear(h))); an NTPLinear gives the outputs
    (B, num_outputs).  PyTorch has no such network.

    num_numeric: n.  cardinalities: of the categorical columns.  num_outputs: classes, or targets.
    hidden: widths (256, 256, 256).  activation: see ParametricActivation ('selu'; RealMLP takes
    'mish' for regression).  dropout: 0.15.  frequencies, embedding_dim, sigma: see
    PeriodicEmbedding.  max_one_hot, category_dim, unknown: see
    CategoryEncoding.  regression: whether a
    TargetScale ends it (False).  members: M for M networks side by side, all parameters with a
    leading axis (M, ..); inputs (B, n) for all of them or (M, B, n); outputs (M, B, num_outputs).

    `start(numeric, categorical)` draws the weights to fit the data; `TabularMLP.stacked(models)`
    makes members of networks, `member(i)` one of them a network of its own.  Raises ArgumentError
    for a table without columns.  Holzmüller, Grinsztajn and Steinwart 2024, 'Better by Default'.

    >>> import chainrule
    >>> model = chainrule.nn.TabularMLP(3, [5, 20], 2, hidden=[16])
    >>> model(chainrule.randn(4, 3), chainrule.zeros(4, 2, dtype=chainrule.int64)).shape
    (4, 2)
    """

    def __init__(
        self, num_numeric: int, cardinalities: Sequence[int] = (), num_outputs: int = 1, *,
        hidden: Sequence[int] = (256, 256, 256), activation: str = "selu", dropout: float = 0.15,
        frequencies: int = 16, embedding_dim: int = 4, sigma: float = 0.1, max_one_hot: int = 8,
        category_dim: int = 8, unknown: bool = False, regression: bool = False,
        members: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        whole_number("TabularMLP", "num_numeric", num_numeric, 0)
        if not num_numeric and not len(cardinalities):
            raise ArgumentError("TabularMLP: the table has no columns",
                                expected="num_numeric >= 1, or cardinalities")  # fmt: skip
        self.num_numeric, self.num_outputs = num_numeric, num_outputs
        self.cardinalities = [int(c) for c in cardinalities]
        self.hidden, self.activation = [int(h) for h in hidden], activation
        self.dropout, self.frequencies, self.embedding_dim = dropout, frequencies, embedding_dim
        self.sigma, self.max_one_hot, self.category_dim = sigma, max_one_hot, category_dim
        self.unknown, self.regression, self.members = unknown, regression, members
        self.numeric = PeriodicEmbedding(
            num_numeric, frequencies, embedding_dim, sigma, members
        ) if num_numeric else None  # fmt: skip
        self.categories = CategoryEncoding(
            cardinalities, max_one_hot, category_dim, unknown, members
        ) if len(cardinalities) else None  # fmt: skip
        width = num_numeric * embedding_dim
        width += 0 if self.categories is None else self.categories.out_features
        self.scaling = Scaling(width, members)
        sizes = [width, *hidden, num_outputs]
        self.linear = ModuleList([NTPLinear(a, b, members) for a, b in pairwise(sizes)])
        self.act = ModuleList([ParametricActivation(h, activation, members) for h in hidden])
        self.drop = ModuleList([ScheduledDropout(dropout, members) for _ in hidden])
        self.target = TargetScale(num_outputs, members) if regression else None

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that make such a network, but for `members`: fit for JSON."""
        return {name: getattr(self, name) for name in SETTINGS}

    # ------------------------------------------------------------ computing

    def columns(self, numeric: Tensor | None, categorical: Tensor | None) -> Tensor:
        """All columns as numbers, before the first hidden layer."""
        parts = []
        for name, layer, x in (("numeric", self.numeric, numeric),
                               ("categorical", self.categories, categorical)):  # fmt: skip
            if (layer is None) != (x is None):
                told = "none: it has no such columns" if layer is None else "an array"
                raise ArgumentError(f"TabularMLP: {name} columns", expected=told,
                                    got="nothing" if x is None else str(x.shape))  # fmt: skip
            if layer is not None:
                parts.append(layer(x))
        if len({p.shape[:-1] for p in parts}) > 1:
            raise ShapeError("TabularMLP: numeric and categorical columns have different numbers "
                             "of rows", got=" and ".join(str(p.shape) for p in parts))  # fmt: skip
        return self.scaling(F.cat(parts, -1) if len(parts) > 1 else parts[0])

    def forward(self, numeric: Tensor | None, categorical: Tensor | None = None) -> Tensor:
        """Logits, or a regression's outputs: in training as deviations, else in its units."""
        x = self.columns(numeric, categorical)
        for i, act in enumerate(self.act):
            x = self.drop[i](act(self.linear[i](x)))
        x = self.linear[len(self.linear) - 1](x)
        return x if self.target is None else self.target(x)

    # ------------------------------------------------------------ how it starts

    def start(self, numeric: Tensor | None, categorical: Tensor | None = None) -> None:
        """Draws the weights so that every unit has variance 1 over these rows, and biases that put
        its zero among them: at the mean, randomly weighted, of 5 rows (he+5)."""
        if self.members is not None:
            raise ArgumentError("TabularMLP.start: members start one by one",
                                fix="start each, then TabularMLP.stacked(models)")  # fmt: skip
        with no_grad():
            for encoding in (self.numeric, self.categories):
                if encoding is not None:
                    encoding.reset_parameters()
            x = self.columns(numeric, categorical)
            layers: Iterable[Any] = self.linear
            for i, layer in enumerate(layers):
                weight = randn(*layer.weight.shape)
                z = F.matmul(x, weight) * layer.factor
                deviation = F.std(z, 0, correction=0)
                scale = ops.where(deviation > 1e-6, deviation, 1.0)
                layer.weight.copy_(weight / scale)
                z = z / scale
                layer.bias.copy_(-_among(z))
                if i < len(self.act):
                    x = self.act[i](z + layer.bias)

    # ------------------------------------------------------------ members

    @classmethod
    def stacked(cls, models: Sequence[TabularMLP]) -> TabularMLP:
        """Networks of the same settings as the members of one."""
        first = models[0].settings
        alike = {**first, "dropout": None}  # each has its own, in a buffer
        if any(m.members is not None or {**m.settings, "dropout": None} != alike for m in models):
            raise ArgumentError("TabularMLP.stacked: the networks differ in their settings")
        one = skip_init(cls, **first, members=len(models))
        states = [dict(_state(m)) for m in models]
        with no_grad():
            for name, value in _state(one):
                value.copy_(F.stack([s[name] for s in states]))
        return one.train(models[0].training)

    def member(self, i: int) -> TabularMLP:
        """Member i as a network of its own."""
        if self.members is None or not -self.members <= i < self.members:
            last = (self.members or 0) - 1
            raise ArgumentError("TabularMLP.member: there is no such member",
                                expected=f"0 to {last}", got=repr(i))  # fmt: skip
        alone = skip_init(type(self), **self.settings)
        held = dict(_state(self))
        with no_grad():
            for name, value in _state(alone):
                value.copy_(held[name].detach()[i])
        return alone.train(self.training)

    # ------------------------------------------------------------ for optimizers

    def factors(self) -> dict[Tensor, tuple[float, float]]:
        """(learning rate, weight decay) of every parameter, as factors of the network's.

        RealMLP's: 6 for the Scaling, 0.1 for biases (without decay), mixes and the embedding.
        """
        return {p: FACTORS[_kind(name)] for name, p in self.named_parameters()}

    def parameter_groups(self, lr: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """Groups for an optimizer, `AdamW(model.parameter_groups(0.04, 0.02))`, by `factors`."""
        if not is_number(lr) or not is_number(weight_decay):
            raise ArgumentError("parameter_groups: lr and weight_decay must be numbers",
                                got=f"{lr!r}, {weight_decay!r}")  # fmt: skip
        groups: dict[tuple[float, float], list[Any]] = {}
        for name, p in self.named_parameters():
            groups.setdefault(FACTORS[_kind(name)], []).append((name, p))
        return [
            {"params": listed, "lr": lr * a, "weight_decay": weight_decay * b}
            for (a, b), listed in groups.items()
        ]


def _kind(name: str) -> str:
    """The kind of a parameter, which decides its factors."""
    first = name.split(".")[0]
    if first == "linear":
        return "bias" if name.endswith("bias") else "other"
    return first if first in FACTORS else "other"


def _state(model: Module) -> list[tuple[str, Tensor]]:
    """All that a member has of its own: what dropout's p is, too."""
    return [*model.named_parameters(), *model.named_buffers()]


def _among(z: Tensor) -> Tensor:
    """For every column of z (B, n) a random point among its values."""
    rows, columns = z.shape
    places = randint(0, rows, (CORNERS, columns))
    shares = -ops.log(1.0 - rand(CORNERS, columns, dtype=z.dtype))
    chosen = F.gather(z, 0, places)
    return (chosen * shares).sum(0) / shares.sum(0)
