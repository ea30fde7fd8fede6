"""Layers for tables against their equations, spelled in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from layer_cases import put

from frozen import Case

rng = np.random.default_rng(25)
CASES: list[Case] = []


def N(*shape: int) -> Any:
    """Normal numbers."""
    return np.asarray(rng.normal(size=shape))


def layer(
    name: str, settings: dict[str, Any], weights: dict[str, Any], *inputs: Any,
    equation: Callable[..., Any], training: bool = True,
) -> None:  # fmt: skip
    """A layer alone, and two members of it whose first has the weights of the one alone."""

    def run(lib: Any, *tensors: Any, members: int | None = None) -> Any:
        given, xs = tensors[: len(weights)], tensors[len(weights) :]
        if not hasattr(lib.nn, name):
            return equation(lib, *given, *xs)
        made = getattr(lib.nn, name)(**settings, members=members)
        if any(t.dtype == lib.float64 for t in tensors):
            made = made.double()
        return put(made.train(training), dict(zip(weights, given, strict=True)))(*xs)

    shown = ", ".join(f"{k}={v}" for k, v in settings.items())
    label = f"nn.{name}({shown})"
    CASES.append(Case(label, run, (*weights.values(), *inputs)))
    doubled = [np.stack([w, N(*w.shape)]) for w in weights.values()]
    for tag, xs in (("members, one input", inputs), ("members, an input each", None)):
        if xs and not weights:
            continue  # the equation can't know of members
        xs = xs or tuple(np.stack([x, x[::-1]]) for x in inputs)
        CASES.append(
            Case(f"{label} {tag}", lambda lib, *ts, run=run: run(lib, *ts, members=2),
                 (*doubled, *xs))
        )  # fmt: skip


def rows(p: Any, plain: int = 1) -> Any:
    """A parameter against rows."""
    return p.unsqueeze(-1 - plain) if len(p.shape) > plain else p


def periodic(lib: Any, w: Any, b: Any, v: Any, c: Any, x: Any) -> Any:
    """PeriodicEmbedding, number by number."""
    columns = []
    for j in range(x.shape[-1]):
        turns = 2 * math.pi * x[..., j : j + 1] * rows(w[..., j, :]) + rows(b[..., j, :])
        y = lib.cos(turns) @ v[..., j, :, :] + rows(c[..., j, :])
        columns += [y, x[..., j : j + 1].expand(*y.shape[:-1], 1)]
    return lib.cat(columns, -1)


def encoded(lib: Any, table: Any, x: Any) -> Any:
    """CategoryEncoding([3, 2, 4], max_one_hot=3)."""
    to = {"dtype": table.dtype}
    hot = [(x[..., 0:1] == i).to(**to) for i in range(3)] + [x[..., 1:2].to(**to) * 2 - 1]
    if len(table.shape) == 2:
        return lib.cat([*hot, table[x[..., 2]]], -1)
    each = [x[..., 2]] * 2 if len(x.shape) == 2 else [x[0, :, 2], x[1, :, 2]]
    read = lib.stack([table[m][each[m]] for m in range(2)])
    return lib.cat([*(h.expand(2, *h.shape[-2:]) for h in hot), read], -1)


layer("NTPLinear", {"in_features": 3, "out_features": 2}, {"weight": N(3, 2), "bias": N(2)},
      N(4, 3), equation=lambda lib, w, b, x: x @ w / math.sqrt(3) + rows(b))  # fmt: skip
layer("Scaling", {"num_features": 3}, {"weight": N(3)}, N(4, 3),
      equation=lambda lib, s, x: x * rows(s))  # fmt: skip
for f in ("selu", "mish", "relu", "silu", "gelu"):
    layer("ParametricActivation", {"num_features": 3, "activation": f}, {"weight": N(3)}, N(4, 3),
          equation=lambda lib, a, x, f=f: (
              x + rows(a) * (getattr(lib.nn.functional, f)(x) - x)))  # fmt: skip
layer("PeriodicEmbedding", {"num_features": 2, "frequencies": 5, "embedding_dim": 3, "sigma": 1.0},
      {"frequency": N(2, 5), "phase": N(2, 5), "weight": N(2, 5, 2), "bias": N(2, 2)}, N(4, 2),
      equation=periodic)  # fmt: skip
layer("CategoryEncoding",
      {"cardinalities": [3, 2, 4], "max_one_hot": 3, "embedding_dim": 2}, {"table2": N(4, 2)},
      np.array([[0, 1, 3], [2, 0, 0], [1, 1, 2], [2, 0, 3]]), equation=encoded)  # fmt: skip
layer("ScheduledDropout", {"p": 0.4}, {}, N(4, 3), equation=lambda lib, x: x * 1, training=False)
layer("TargetScale", {"num_outputs": 2},
      {"mean": N(2), "std": np.exp(N(2)), "low": N(2) - 2, "high": N(2) + 2}, N(4, 2),
      equation=lambda lib, m, s, low, high, x: lib.minimum(
          lib.maximum(x * rows(s) + rows(m), rows(low)), rows(high)), training=False)  # fmt: skip


def unknown(lib: Any, x: Any) -> Any:
    """CategoryEncoding([3, 4], unknown=True): 0 is 0."""
    one = (x[..., 0:1] == 2).float() - (x[..., 0:1] == 1).float()
    return lib.cat([one, *((x[..., 1:2] == i).float() for i in (1, 2, 3))], -1)


layer("CategoryEncoding", {"cardinalities": [3, 4], "unknown": True}, {},
      np.array([[0, 1], [2, 0], [1, 3]]), equation=unknown)  # fmt: skip


def network(lib: Any, *tensors: Any) -> Any:
    """TabularMLP of one hidden layer, with numbers and a category of each kind."""
    *given, x, categories = tensors
    if hasattr(lib.nn, "TabularMLP"):
        made = lib.nn.TabularMLP(
            num_numeric=2, cardinalities=[3, 4], num_outputs=2, hidden=[4], max_one_hot=3,
            frequencies=5, embedding_dim=3, category_dim=2, dropout=0.0, activation="mish",
        )  # fmt: skip
        made = made.double() if x.dtype == lib.float64 else made
        return put(made.eval(), dict(zip(NETWORK, given, strict=True)))(x, categories)
    w, b, v, c, table, s, w0, b0, w1, b1, a = given
    hot = (categories[:, 0:1] == lib.arange(3)).to(x.dtype)
    h = lib.cat([periodic(lib, w, b, v, c, x), hot, table[categories[:, 1]]], -1) * s
    h = h @ w0 / math.sqrt(h.shape[1]) + b0
    h = h + a * (lib.nn.functional.mish(h) - h)
    return h @ w1 / math.sqrt(4) + b1


NETWORK = {
    "numeric.frequency": N(2, 5), "numeric.phase": N(2, 5), "numeric.weight": N(2, 5, 2),
    "numeric.bias": N(2, 2), "categories.table1": N(4, 2), "scaling.weight": N(11),
    "linear.0.weight": N(11, 4), "linear.0.bias": N(4), "linear.1.weight": N(4, 2),
    "linear.1.bias": N(2), "act.0.weight": N(4),
}  # fmt: skip
CASES.append(Case("nn.TabularMLP(hidden=[4])", network,
                  (*NETWORK.values(), N(3, 2), np.array([[0, 3], [2, 1], [1, 0]]))))  # fmt: skip
