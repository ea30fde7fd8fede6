"""The network of an MLP: its layers, and its weights as scikit-learn lays them out."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from ..dtypes import as_dtype
from ..errors import ArgumentError, StateError
from ..nn import activation as layers
from ..tensor.autograd import no_grad
from ..tensor.core import Tensor, wrap
from ..tensor.random import Generator, drawing_from

BATCH = 1 << 10
"""Rows that go through a network at a time when nothing is learned."""


def _names() -> Iterator[tuple[str, type[nn.Module]]]:
    """The layers without weights by name: LeakyReLU is 'leaky_relu', LogSoftmax 'log_softmax'."""
    for name, value in vars(layers).items():
        ours = isinstance(value, type) and value.__module__ == layers.__name__
        if ours and issubclass(value, nn.Module) and value is not layers.InPlace:
            yield re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name).lower(), value


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity, "logistic": nn.Sigmoid, **dict(_names()),
}  # fmt: skip
"""What `activation` may be called: scikit-learn's four names, and the layers of chainrule.nn."""


class Function(nn.Module):
    """y = f(x), for a function of Tensors as an activation."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """What the function gives."""
        return self.function(x)


class Design(NamedTuple):
    """What a network is made of; equal designs can share compiled programs, if `plain`."""

    units: tuple[int, ...]
    activations: tuple[Any, ...]  # one for each hidden layer
    batch_norm: bool
    dropout: tuple[float, ...]
    dtype: str

    @property
    def plain(self) -> bool:
        """Whether it consists of known layers only."""
        return all(isinstance(a, str) for a in self.activations)

    @property
    def by_row(self) -> bool:
        """Whether a row's output is sure not to depend on the rows beside it."""
        return self.plain and not self.batch_norm

    @property
    def weights(self) -> int:
        """How many weights there are."""
        return sum(a * b for a, b in pairwise(self.units))


def for_each_layer(name: str, value: Any, hidden: int) -> tuple[Any, ...]:
    """One value for each hidden layer, from one for all or from a list."""
    if not isinstance(value, (list, tuple)):
        return (value,) * hidden
    if len(value) != hidden:
        raise ArgumentError(
            f"{name} must have one entry for each hidden layer", line="",
            expected=f"{hidden} entries", got=f"{len(value)} entries",
            fix=f"one {name} for all of them, or as many as hidden_layer_sizes has",
        )  # fmt: skip
    return tuple(value)


def _activation(wanted: Any) -> nn.Module:
    """A new layer: by name, from a class, a copy of a module, or around a function."""
    if isinstance(wanted, str):
        return ACTIVATIONS[wanted]()
    if isinstance(wanted, nn.Module):
        return copy.deepcopy(wanted)
    if isinstance(wanted, type) and issubclass(wanted, nn.Module):
        return wanted()
    return Function(wanted)


class Network:
    """Linear, (BatchNorm1d), activation, (Dropout) for each hidden layer, and Linear."""

    def __init__(self, design: Design) -> None:
        self.design = design
        dtype: Any = as_dtype(design.dtype)
        self.linears: list[nn.Linear] = []
        found: list[nn.Module] = []
        with drawing_from(Generator().manual_seed(0)):  # the weights are drawn by scikit-learn's
            for i, (n, m) in enumerate(pairwise(design.units)):
                self.linears.append(nn.Linear(n, m, dtype=dtype))
                found.append(self.linears[-1])
                if i < len(design.activations):
                    found += self._after(m, i, dtype)
        self.module = nn.Sequential(*found)
        own = {id(t) for layer in self.linears for t in (layer.weight, layer.bias)}
        held = self.module.state_dict(keep_vars=True)
        self.others = {name: t for name, t in held.items() if id(t) not in own}
        self.fresh = {name: t._value.copy() for name, t in self.others.items()}

    def _after(self, width: int, i: int, dtype: Any) -> list[nn.Module]:
        design = self.design
        found: list[nn.Module] = []
        if design.batch_norm:
            found.append(nn.BatchNorm1d(width).to(dtype))
        if design.activations[i] != "identity":
            found.append(_activation(design.activations[i]).to(dtype))
        if design.dropout[i]:
            found.append(nn.Dropout(design.dropout[i]))
        return found

    def put(
        self, coefs: Sequence[Any], intercepts: Sequence[Any], others: Mapping[str, Any]
    ) -> None:
        """Takes over weights: coefs[i] is (inputs, outputs) of a layer, others go by name."""
        pairs = zip(self.linears, coefs, intercepts, strict=True)
        for i, (linear, w, b) in enumerate(pairs):
            for name, t, new in (("coefs_", linear.weight, w.T), ("intercepts_", linear.bias, b)):
                assert t is not None
                if t.shape != new.shape:
                    raise StateError(
                        f"{name}[{i}] does not fit the network", line="",
                        expected=str(tuple(reversed(t.shape))), got=str(new.T.shape),
                    )  # fmt: skip
                np.copyto(t._value, new)
        for name, value in others.items():
            np.copyto(self.others[name]._value, value)

    def taken(self) -> tuple[list[Any], list[Any], dict[str, Any]]:
        """Copies of the weights, as `put` takes them."""
        coefs = [np.array(layer.weight._value.T, order="C") for layer in self.linears]
        intercepts = [
            np.array(layer.bias._value) for layer in self.linears if layer.bias is not None
        ]
        return coefs, intercepts, {name: t._value.copy() for name, t in self.others.items()}

    def outputs(self, x: Any) -> Any:
        """The last layer's outputs for the rows of an array or a sparse matrix, in NumPy."""
        self.module.eval()
        dtype = self.linears[0].weight.dtype
        found = np.empty((x.shape[0], self.design.units[-1]), dtype)
        with no_grad():
            for start in range(0, len(found), BATCH):
                rows = dense(x[start : start + BATCH], dtype)
                found[start : start + BATCH] = self.module(wrap(rows))._value
        return found


def dense(x: Any, dtype: Any) -> Any:
    """Rows as an array of their own layout: sparse ones are written out."""
    x = x.toarray() if hasattr(x, "toarray") else x
    return np.ascontiguousarray(x, dtype)
