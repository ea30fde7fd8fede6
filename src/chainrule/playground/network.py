"""A small network as the playground takes it: dense layers with activations, and a loss."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F
from .. import nn
from ..errors import ArgumentError, NonFiniteError, ShapeError

MOST_INPUTS, MOST_UNITS, MOST_OUTPUTS, MOST_LAYERS, MOST_WEIGHTS = 16, 32, 10, 6, 2000
"""Beyond this a picture shows nothing, and nobody steps through."""
SMALLER = "a smaller network: chainrule train moons --layers 8,8, then chainrule playground moons"


class Activation(NamedTuple):
    """A function between layers; `value` and `slope` are its formulas in z and in its result a."""

    name: str
    function: Callable[[Any], Any]
    value: str
    slope: str


KNOWN: dict[str, Activation] = {
    a.name: a
    for a in (
        Activation("sigmoid", F.sigmoid, "1 / (1 + exp(-{z}))", "{a} × (1 - {a})"),
        Activation("tanh", F.tanh, "tanh({z})", "1 - {a}²"),
        Activation("relu", F.relu, "max(0, {z})", "1 if {z} > 0 else 0"),
        Activation("leaky_relu", F.leaky_relu, "{z} if {z} > 0 else 0.01 × {z}",
                   "1 if {z} > 0 else 0.01"),
        Activation("elu", F.elu, "{z} if {z} > 0 else exp({z}) - 1", "1 if {z} > 0 else exp({z})"),
        Activation("gelu", F.gelu, "{z} × Φ({z})", "Φ({z}) + {z} × φ({z})"),
        Activation("silu", F.silu, "{z} × σ({z})", "σ({z}) × (1 + {z} × (1 - σ({z})))"),
        Activation("softplus", F.softplus, "ln(1 + exp({z}))", "σ({z})"),
    )
}  # fmt: skip
"""The activations that are spelled out; Φ and φ are the normal distribution and its density."""


@dataclass(frozen=True)
class Dense:
    """z = a W + b, W [in, out], b [out] or None; then an activation, or None."""

    name: str
    weight: Any
    bias: Any
    activation: Activation | None

    def path(self, held: Container[str]) -> str:
        """What its weight and bias are called by, with a dot; nothing where it is the model."""
        return f"{self.name}." if f"{self.name}.weight" in held else ""


@dataclass(frozen=True)
class Loss:
    """What is made small: its kind, and the share of certainty that is taken from targets."""

    kind: str
    smoothing: float = 0.0

    def of(self, y: Any, t: Any) -> Any:
        """The loss of outputs y and targets t, both (1, n), by the engine's own function."""
        return LOSSES[self.kind](y, t)


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "cross_entropy": F.cross_entropy, "mse": F.mse_loss, "half": F.quadratic_cost,
    "bce": F.binary_cross_entropy, "bce_with_logits": F.binary_cross_entropy_with_logits,
}  # fmt: skip
"""Targets of cross_entropy are probabilities of the classes here."""


@dataclass
class Small:
    """A small network, and how its inputs are scaled before the first layer."""

    layers: list[Dense]
    loss: Loss
    scale: tuple[float, float] | None = None
    dropped: list[str] = field(default_factory=list)  # dropout layers, which do nothing here

    def __post_init__(self) -> None:
        if not self.layers:
            raise ArgumentError("playground: the network has no layer", expected="nn.Linear")
        self._check_sizes()
        for layer in self.layers:
            for what, a in (("weight", layer.weight), ("bias", layer.bias)):
                if a is not None and not np.isfinite(a).all():
                    raise NonFiniteError(
                        f"playground: {layer.name}.{what} holds numbers that are not finite",
                        fix="the weights of an earlier checkpoint, or a smaller learning rate",
                    )
        last = self.layers[-1]
        if self.loss.kind == "bce" and (last.activation is None or last.activation.name != SIGMOID):
            raise ArgumentError(
                "playground: BCELoss takes probabilities", expected="a Sigmoid at the end",
                fix="nn.BCEWithLogitsLoss, or nn.Sigmoid as the last layer",
            )  # fmt: skip

    def _check_sizes(self) -> None:
        sizes = self.sizes
        weights = sum(a.size for a in self.arrays().values())
        wrong = [
            f"{got} {what}, at most {most}"
            for what, got, most in (
                ("inputs", sizes[0], MOST_INPUTS), ("outputs", sizes[-1], MOST_OUTPUTS),
                ("units in a layer", max(sizes[1:-1], default=0), MOST_UNITS),
                ("layers", len(self.layers), MOST_LAYERS), ("weights", weights, MOST_WEIGHTS),
            )
            if got > most
        ]  # fmt: skip
        if wrong:
            shape = "-".join(map(str, sizes))
            raise ArgumentError(
                f"playground: a network of {shape} is too large to go through number by number",
                expected="; ".join(f"{w.split(', ')[1]} {w.split(', ')[0].split(' ', 1)[1]}"
                                   for w in wrong),
                got="; ".join(w.split(", ")[0] for w in wrong), fix=SMALLER, line="",
            )  # fmt: skip
        for before, layer in zip(self.layers, self.layers[1:], strict=False):
            if layer.weight.shape[0] != before.weight.shape[1]:
                raise ShapeError(
                    f"playground: {layer.name} does not fit {before.name}",
                    expected=f"{before.weight.shape[1]} inputs", got=str(layer.weight.shape[0]),
                )  # fmt: skip

    @property
    def sizes(self) -> list[int]:
        """Inputs, units of each layer."""
        return [self.layers[0].weight.shape[0], *(d.weight.shape[1] for d in self.layers)]

    def arrays(self) -> dict[str, Any]:
        """What is learned, by key: W1, b1, W2, ..."""
        found = {}
        for i, layer in enumerate(self.layers, 1):
            found[f"W{i}"] = layer.weight
            if layer.bias is not None:
                found[f"b{i}"] = layer.bias
        return found

    def words(self) -> str:
        """`2-16-2 tanh, cross entropy`."""
        names = dict.fromkeys(d.activation.name for d in self.layers if d.activation)
        shape = "-".join(map(str, self.sizes))
        return f"{' '.join([shape, *names])}, {self.loss.kind.replace('_', ' ')}"


SIGMOID = "sigmoid"


def one_hot(y: Any, classes: int) -> Any:
    """A class as probabilities; raises where there is no such class."""
    found = np.asarray(y)
    if found.size != 1 or found.dtype.kind not in "iu" or not 0 <= int(found.item()) < classes:
        raise ArgumentError(
            "playground: y must be the class of the example", expected=f"0 to {classes - 1}",
            got=repr(y)[:60],
        )  # fmt: skip
    return np.eye(classes)[int(found.item())]


def small(
    model: nn.Module, loss: nn.Module, scale: tuple[float, float] | None = None,
    skip: Sequence[nn.Module] = (),
) -> Small:  # fmt: skip
    """A model of Linear layers and activations, in float64.

    scale: (mean, std) that inputs are brought to before.  skip: modules that do only that.
    Raises ArgumentError, with the layer's name, for what the playground can't step through.
    """
    layers: list[Dense] = []
    dropped = []
    for name, module in _flat(model):
        if any(module is s for s in skip) or isinstance(module, nn.Identity):
            continue
        if isinstance(module, nn.Dropout):
            dropped.append(name)
        elif isinstance(module, nn.Linear):
            weight = np.asarray(module.weight.detach(), np.float64).T.copy()
            bias = None if module.bias is None else np.asarray(module.bias.detach(), np.float64)
            layers.append(Dense(name, weight, None if bias is None else bias.copy(), None))
        else:
            if not layers or layers[-1].activation is not None:
                raise _refused(name, module, "an activation stands behind a Linear layer")
            layers[-1] = _with(layers[-1], _activation(name, module))
    return Small(layers, _loss(loss), scale, dropped)


def _flat(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of nested Sequentials in order; a model by itself is one layer."""
    if not isinstance(model, nn.Sequential):
        yield prefix or type(model).__name__.lower(), model
        return
    for name, child in model.named_children():
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(child, nn.Sequential):
            yield from _flat(child, path)
        else:
            yield path, child


def _with(layer: Dense, activation: Activation) -> Dense:
    return Dense(layer.name, layer.weight, layer.bias, activation)


PLAIN = {
    nn.Sigmoid: "sigmoid", nn.Tanh: "tanh", nn.ReLU: "relu", nn.SiLU: "silu",
}  # fmt: skip
ELEMENTWISE = (
    nn.LeakyReLU, nn.ELU, nn.GELU, nn.Softplus, nn.SELU, nn.Hardtanh, nn.ReLU6, nn.Softsign,
    nn.LogSigmoid, nn.Mish,
)  # fmt: skip


def _activation(name: str, module: nn.Module) -> Activation:
    """An activation layer with its settings."""
    kind = type(module)
    if kind in PLAIN:
        return KNOWN[PLAIN[kind]]
    if kind not in ELEMENTWISE:
        raise _refused(name, module, "Linear layers and activations of single numbers")
    known = KNOWN.get("leaky_relu" if kind is nn.LeakyReLU else kind.__name__.lower())
    if known is not None and module.extra_repr() == _default(kind).extra_repr():
        return known
    word = kind.__name__.lower()  # other settings, or not spelled out: by its name
    return Activation(word, module.forward, f"{word}({{z}})", f"{word}′({{z}})")


def _default(kind: Any) -> nn.Module:
    made: nn.Module = kind()
    return made


def _refused(name: str, module: nn.Module, expected: str) -> ArgumentError:
    return ArgumentError(
        f"playground: {name} is nothing that it steps through", expected=expected,
        got=repr(module).split("\n")[0][:80], fix=SMALLER,
    )  # fmt: skip


def _loss(loss: nn.Module) -> Loss:
    """A loss module as a kind; raises for what is not one of `LOSSES`, or has class weights."""
    kinds = {
        nn.CrossEntropyLoss: "cross_entropy", nn.MSELoss: "mse", nn.QuadraticCost: "half",
        nn.BCELoss: "bce", nn.BCEWithLogitsLoss: "bce_with_logits",
    }  # fmt: skip
    kind = kinds.get(type(loss))
    plain = (
        kind is not None
        and getattr(loss, "reduction", "mean") == "mean"
        and all(getattr(loss, w, None) is None for w in ("weight", "pos_weight"))
    )
    if kind is None or not plain:
        raise ArgumentError(
            "playground: this loss is none that it steps through",
            expected=", ".join(sorted(k.__name__ for k in kinds)) + ", without weights",
            got=repr(loss)[:80],
        )  # fmt: skip
    return Loss(kind, float(getattr(loss, "label_smoothing", 0.0)))


def variants() -> dict[str, Activation]:
    """The activations that can be tried instead."""
    return dict(KNOWN)


def replaced(net: Small, activation: Activation) -> Small:
    """The same weights with another activation between the layers."""
    last = len(net.layers) - 1
    layers = [
        d if i == last or d.activation is None else _with(d, activation)
        for i, d in enumerate(net.layers)
    ]
    return Small(layers, net.loss, net.scale)
