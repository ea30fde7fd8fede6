"""A dense network on one example, recorded with all its gradients, and run in float64.

Row vectors: z = a W + b, with W of shape [in, out]; torch.nn.Linear keeps the transpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..errors import ArgumentError, ShapeError
from ..grad import gradients
from ..graph import Graph, Node, trace
from ..tensor.autograd import enable_grad
from ..tensor.core import wrap
from .elements import Elements, Place
from .forms import Form, Forming
from .parts import Name

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": ops.sigmoid, "tanh": ops.tanh, "relu": ops.relu, "softplus": ops.softplus,
    "identity": lambda x: x,
}  # fmt: skip


def _mse(y: Any, t: Any) -> Any:
    total = ops.sum((y - t) ** 2, axis=(0, 1), keepdim=False)
    n = y.shape[1]
    return total if n == 1 else total / float(n)


def _half(y: Any, t: Any) -> Any:
    return ops.sum((y - t) ** 2, axis=(0, 1), keepdim=False) * 0.5


def _bce(y: Any, t: Any) -> Any:
    each = t * ops.log(y) + (1.0 - t) * ops.log(1.0 - y)
    total = -ops.sum(each, axis=(0, 1), keepdim=False)
    n = y.shape[1]
    return total if n == 1 else total / float(n)


LOSSES: dict[str, Callable[[Any, Any], Any]] = {"mse": _mse, "half": _half, "bce": _bce}


@dataclass
class Layer:
    """weight [in, out], bias [out], and the name of an activation."""

    weight: Any
    bias: Any
    activation: str


class Network:
    """Values, slopes and gradients of a network on one example.

    values: letter and layer -> the line of the program; gradients and slopes likewise.
    """

    def __init__(self, x: Any, layers: Sequence[Layer], target: Any, loss: str = "mse") -> None:
        self.loss = _known("loss", loss, LOSSES)
        self.layers = [_checked(i, layer) for i, layer in enumerate(layers, 1)]
        self.arrays = self._arrays(x, target)
        self.nodes: dict[Name, Node] = {}
        names = [f"{n.letter}{n.layer or ''}" for n in self.arrays]
        graph = trace(self._record, *self.arrays.values(), names=names)
        self.elements = Elements(graph, list(self.arrays.values()))
        self._take(self.elements.graph)
        self.names = {id(node): name for name, node in self.nodes.items()}
        forming = Forming(self._inside, self.elements.value)
        self.formed = forming.form

    def _arrays(self, x: Any, target: Any) -> dict[Name, Any]:
        """Everything that goes in, by its name, in float64."""
        found = {Name("x"): _row("x", x)}
        width = found[Name("x")].shape[1]
        for i, layer in enumerate(self.layers, 1):
            if layer.weight.shape != (width, len(layer.bias)):
                raise ShapeError(
                    f"layer {i}: the weights do not fit", expected=f"[{width}, {len(layer.bias)}]",
                    got=str(list(layer.weight.shape)),
                    fix="rows are inputs: a torch.nn.Linear's weight is the transpose",
                )  # fmt: skip
            found[Name("W", i)], found[Name("b", i)] = layer.weight, layer.bias
            width = len(layer.bias)
        found[Name("y")] = _row("y", target)
        if found[Name("y")].shape[1] != width:
            raise ShapeError("the target does not fit the last layer", expected=f"{width} numbers",
                             got=str(found[Name("y")].shape[1]))  # fmt: skip
        return found

    # ------------------------------------------------------------ recording

    def loss_of(self, *inputs: Any) -> Any:
        """The loss alone, from the inputs in their order."""
        return self._forward(dict(zip(self.arrays, inputs, strict=True)))[1]

    def _forward(self, given: dict[Name, Any]) -> tuple[dict[Name, Any], Any]:
        """(all values by name, the loss)."""
        values = dict(given)
        a = given[Name("x")]
        for i, layer in enumerate(self.layers, 1):
            a = ops.matmul(a, given[Name("W", i)]) + given[Name("b", i)]
            values[Name("z", i)] = a
            if layer.activation != "identity":
                a = ACTIVATIONS[layer.activation](a)
                values[Name("ŷ") if i == len(self.layers) else Name("a", i)] = a
        return values, LOSSES[self.loss](a, given[Name("y")])

    def backward(self) -> dict[Name, Any]:
        """The gradients of weights and biases by backward(), on tensors in float64."""
        tensors = {n: wrap(a.copy()).requires_grad_(n.letter in "Wb")
                   for n, a in self.arrays.items()}  # fmt: skip
        with enable_grad():
            self.loss_of(*tensors.values()).backward()
        return {n: t.grad.numpy() for n, t in tensors.items() if t.grad is not None}

    def _record(self, *inputs: Node) -> list[Any]:
        """The forward pass, the gradients of everything in it, and the activations' slopes."""
        values, loss = self._forward(dict(zip(self.arrays, inputs, strict=True)))
        everything = {**values, Name("L"): loss}
        for i, layer in enumerate(self.layers, 1):
            if layer.activation != "identity":
                a = values[Name("ŷ") if i == len(self.layers) else Name("a", i)]
                total = ops.sum(a, axis=(0, 1), keepdim=False)
                slope = gradients(total, [values[Name("z", i)]])[0]
                everything[Name("z", i, "slope")] = slope
        wanted = [n for n in values if n.letter not in "xy"]
        found = gradients(loss, [values[n] for n in wanted])
        for n, g in zip(wanted, found, strict=True):
            everything[Name(n.letter, n.layer, "gradient")] = g
        self.order = list(everything)
        return list(everything.values())

    def _take(self, graph: Graph) -> None:
        """The recorded lines, by name; the first name of a line is its own."""
        seen: set[int] = set()
        for name, node in zip(self.order, graph.outputs, strict=True):
            if isinstance(node, Node) and id(node) not in seen:
                seen.add(id(node))
                self.nodes[name] = node

    def _inside(self, place: Place) -> Any:
        return None if id(place.node) in self.names else self.elements.of(place)

    # ------------------------------------------------------------ asking

    def moved(self, layers: Sequence[Layer]) -> Network:
        """The same example through other weights."""
        return Network(self.arrays[Name("x")], layers, self.arrays[Name("y")], self.loss)

    def at(self, place: Place) -> float:
        """The number at a place."""
        return float(self.elements.at(place))

    def array(self, name: Name) -> Any:
        """All numbers of a value."""
        return self.elements.arrays[id(self.nodes[name])]

    def places(self, name: Name) -> list[Place]:
        """All places of a value, in order."""
        node = self.nodes[name]
        return [Place(node, i) for i in np.ndindex(node.shape)]

    def form(self, place: Place) -> Form:
        """How the number at a place is computed from those that have names."""
        return self.formed(self.elements.of(place))


def _known(what: str, name: str, known: dict[str, Any]) -> str:
    if name not in known:
        raise ArgumentError(f"there is no {what} {name!r}", expected=", ".join(known))
    return name


def _checked(i: int, layer: Layer) -> Layer:
    _known("activation", layer.activation, ACTIVATIONS)
    weight = np.atleast_2d(np.asarray(layer.weight, np.float64))
    bias = np.atleast_1d(np.asarray(layer.bias, np.float64))
    for name, a in (("weight", weight), ("bias", bias)):
        if not np.isfinite(a).all():
            raise ArgumentError(f"layer {i}: a {name} is not finite", got=str(a.tolist()))
    return Layer(weight, bias, layer.activation)


def _row(name: str, values: Any) -> Any:
    row = np.atleast_1d(np.asarray(values, np.float64)).reshape(1, -1)
    if not row.size or not all(map(math.isfinite, row[0])):
        raise ArgumentError(f"{name} must be finite numbers, at least one", got=str(row.tolist()))
    return row
