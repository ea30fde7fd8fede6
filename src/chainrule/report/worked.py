"""A real example worked: the model of a run on one row, derived number by number.

Models are chains of linear layers and activations, as `chainrule train` makes them; the loss is the
cross-entropy behind a softmax.  Everything is computed in float64 from the weights that were kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn, ops
from ..derivation.derive import Deriving
from ..derivation.elements import Place
from ..derivation.forms import (
    Call,
    Form,
    Leaf,
    Power,
    Product,
    Sum,
    multiplied,
    negative,
    shortened,
)
from ..derivation.network import ACTIVATIONS, Layer, Network
from ..derivation.parts import Derivation, Line, Name, Section
from ..derivation.text import Text
from .mathml import Formulas

MOST_PARAMETERS = 200_000
MOST_PATHS = 1000
LARGEST = 700.0
"""e to a larger power is no float64."""
MOST_CLASSES, LONGEST_SUM = 4, 6
"""Classes whose probability is spelled out, and terms of a sum."""
DEEP, MOST_SHOWN = 6, 60
"""Layers, and units in them: a network that has more of both is shown by two numbers a layer."""
SPELLED = "ONE WEIGHT, SPELLED OUT"
KINDS: dict[type[nn.Module], str] = {
    nn.Sigmoid: "sigmoid", nn.Tanh: "tanh", nn.ReLU: "relu", nn.Softplus: "softplus",
}  # fmt: skip


class Classified(Network):
    """A network whose last layer gives the logits of classes.

    target: a probability for each class.  ŷ is softmax(z); the loss is -Σ y ln ŷ, computed as
    logsumexp(z) - Σ y z, which is the same where the targets add up to 1.
    """

    def __init__(self, x: Any, layers: Sequence[Layer], target: Any) -> None:
        super().__init__(x, layers, target, "half")  # of its loss nothing is used: see _forward

    @property
    def too_large(self) -> str:
        """Why the logits are no numbers to write e to the power of; "" where they are."""
        z = self.array(Name("z", len(self.layers)))
        if np.isfinite(z).all() and np.abs(z).max() < LARGEST and np.ptp(z) < LARGEST:
            return ""
        return f"the logits go from {z.min():.3g} to {z.max():.3g}, too far for their exponentials"

    def moved(self, layers: Sequence[Layer]) -> Classified:
        """The same example through other weights."""
        return Classified(self.arrays[Name("x")], layers, self.arrays[Name("y")])

    def _forward(self, given: dict[Name, Any]) -> tuple[dict[Name, Any], Any]:
        values, _ = super()._forward(given)
        z = values[Name("z", len(self.layers))]
        logs = ops.sum(ops.logsumexp(z, axis=(1,), keepdim=False), axis=(0,), keepdim=False)
        return values, logs - ops.sum(given[Name("y")] * z, axis=(0, 1), keepdim=False)

    def _record(self, *inputs: Any) -> list[Any]:
        recorded = super()._record(*inputs)
        z = recorded[self.order.index(Name("z", len(self.layers)))]
        self.order.append(Name("ŷ"))
        return [*recorded, ops.exp(ops.log_softmax(z, axis=1))]


class Worked(Deriving):
    """The derivation of a `Classified` network."""

    first, most_checked = 3, 24

    def __init__(self, network: Classified) -> None:
        self.n = network
        self.depth = len(network.layers)
        units = sum(len(layer.bias) for layer in network.layers)
        if self.depth > DEEP and units > MOST_SHOWN:
            self.most_units = self.first = 2
        self.conventions = [
            "Convention: L = -Σ y ln ŷ with ŷ = softmax(z), for this one row; over a batch the "
            "mean is taken, so each row's share is 1/n of it.",
            "Shapes: row vectors, z = a·W + b; W is [in, out]. (torch.nn.Linear keeps the "
            "transpose.) Dropout is off, as in evaluation.",
        ]

    def forward(self) -> Section:
        """Weighted sums, activations, softmax, the loss."""
        section = Section("FORWARD", "from the inputs to the loss")
        for i in range(1, self.depth + 1):
            for name in dict.fromkeys((Name("z", i), self.output(i))):
                if name != Name("ŷ"):
                    section.lines += self.computed(name)
        z, y = (self.n.places(Name(*k)) for k in (("z", self.depth), ("y",)))
        total: Form = Sum(tuple(Call("exp", (Leaf(p),)) for p in z))
        total = self.short(total)
        places = self.largest([Name("ŷ")], MOST_CLASSES)
        places += [Place(places[0].node, q.at) for q in self.largest([Name("y")], 1)]
        for p in dict.fromkeys(places):
            top = Call("exp", (self.beside(p, Name("z", self.depth)),))
            section.lines.append(self.regrouped(p, Product(1.0, (top, Power(total, -1.0)))))
        left = len(z) - len(set(places))
        if left:
            rest = 1.0 - sum(self.n.at(p) for p in dict.fromkeys(places))
            section.lines.append(Line(f"and {left} more", None, None, rest, "all of them together"))
        terms = [negative(multiplied(Leaf(q), Call("log", (self.beside(q, Name("ŷ")),))))
                 for q in y if self.n.at(q)]  # fmt: skip
        loss: Form = terms[0] if len(terms) == 1 else Sum(tuple(terms))
        section.lines.append(self.regrouped(self.n.places(Name("L"))[0], self.short(loss)))
        return section

    def short(self, form: Form) -> Form:
        """A form with the largest terms of a long sum."""
        return shortened(form, self.n.at, LONGEST_SUM, self.first)

    def engine(self, place: Place, note: str = "") -> Line:
        """A line as the engine computes it."""
        form = self.short(self.n.form(place))
        return Line(place, form, form, self.n.at(place), note)

    def bp1(self) -> Section:
        """The error at the output: what is left when softmax and logarithm cancel."""
        section = Section("BP1", "the error at the output: in ∂L/∂z the 1/ŷ of the logarithm "
                          "cancels against softmax's own ŷ, and ŷ - y is left")  # fmt: skip
        error = Name("z", self.depth, "gradient")
        for p in self.shown(error):
            form = Sum((self.beside(p, Name("ŷ")), negative(self.beside(p, Name("y")))))
            section.lines.append(self.regrouped(p, form))
        section.lines += self.rest(error)
        return section

    def a_weight(self) -> Section:
        """The largest gradient of the deepest layer whose paths can be listed."""
        layer, paths = self.depth, 1
        for i in range(self.depth, 0, -1):
            paths *= len(self.n.layers[i].bias) if i < self.depth else 1
            if paths <= MOST_PATHS:
                layer = i
        largest = self.largest([Name("W", layer, "gradient")], 1)[0]
        section = self.spelled(Name("W", layer), (largest.at[0], largest.at[1]))
        return Section(SPELLED, section.note, section.lines)

    def regrouped(self, place: Place, form: Form, note: str = "") -> Line:
        """A line held to the engine's number; a softmax that is 0 or 1 has no digits left."""
        wanted = self.n.at(place)
        if abs(wanted) < 1e-6 or math.isinf(wanted):
            return Line(place, form, form, wanted, note)
        return super().regrouped(place, form, note)


def layers_of(model: nn.Module) -> tuple[list[Layer], float, float] | str:
    """(layers in float64, mean, std of the inputs' scale), or why there are none."""
    layers: list[Layer] = []
    mean, std = 0.0, 1.0
    for name, module in model.named_children():
        if isinstance(module, nn.Linear):
            weight = np.asarray(module.weight.detach(), np.float64).T
            bias = np.zeros(weight.shape[1]) if module.bias is None else np.asarray(
                module.bias.detach(), np.float64)  # fmt: skip
            layers.append(Layer(weight, bias, "identity"))
        elif type(module) in KINDS and layers and layers[-1].activation == "identity":
            layers[-1].activation = KINDS[type(module)]
        elif hasattr(module, "mean") and hasattr(module, "std") and not layers:
            mean, std = float(module.mean.item()), float(module.std.item())
        elif not isinstance(module, (nn.Dropout, nn.Identity)):
            return f"{name} ({type(module).__name__}) has no derivation on this page yet"
    if not layers or layers[-1].activation != "identity":
        return "the model is no chain of linear layers that ends in logits"
    if not all(np.isfinite(a).all() for x in layers for a in (x.weight, x.bias)):
        return "a weight is not finite"
    return layers, mean, std


assert set(KINDS.values()) <= set(ACTIVATIONS)


def target_of(label: int, classes: int, smoothing: float) -> Any:
    """The probabilities that a class is learned with."""
    y = np.full(classes, smoothing / classes)
    y[label] += 1.0 - smoothing
    return y


def worked(model: nn.Module, x: Any, label: int, classes: int, smoothing: float,
           rate: float) -> tuple[Derivation, Network] | str:  # fmt: skip
    """The whole derivation of one row, or why there is none."""
    found = layers_of(model)
    if isinstance(found, str):
        return found
    layers, mean, std = found
    count = sum(x.weight.size + x.bias.size for x in layers)
    if count > MOST_PARAMETERS:
        return f"the model has {count} parameters; up to {MOST_PARAMETERS} are worked here"
    scaled = (np.asarray(x, np.float64).reshape(-1) - mean) / std
    if not np.isfinite(scaled).all():
        return "an input is not finite"
    network = Classified(scaled, layers, target_of(label, classes, smoothing))
    if network.too_large:
        return network.too_large
    d = Worked(network)
    sections = [d.forward(), *d.backward(), d.a_weight()]
    if d.depth > 1:
        sections.append(d.ledger())
    if rate > 0:
        sections.append(d.step(rate))
    sections.append(d.check())
    return d.derivation("one example", sections), d.n


def short(layers: tuple[list[Layer], float, float], x: Any, label: int, predicted: int,
          smoothing: float) -> list[str]:  # fmt: skip
    """Why one row is taken for another class, as lines of text."""
    scaled = (np.asarray(x, np.float64).reshape(-1) - layers[1]) / layers[2]
    classes = len(layers[0][-1].bias)
    network = Classified(scaled, layers[0], target_of(label, classes, smoothing))
    if network.too_large:
        return [f"not worked: {network.too_large}"]
    d = Worked(network)
    section = Section("WHY")
    z, error = Name("z", d.depth), Name("z", d.depth, "gradient")
    for unit in dict.fromkeys((predicted, label)):
        p = Place(d.n.nodes[z], (0, unit))
        section.lines.append(d.engine(p))
    p_true = Place(d.n.nodes[Name("ŷ")], (0, label))
    section.lines.append(Line(p_true, None, None, d.n.at(p_true), "what the true class gets"))
    section.lines.append(Line(d.n.places(Name("L"))[0], None, None, d.n.at(
        d.n.places(Name("L"))[0]), "the loss of this row"))  # fmt: skip
    for unit in dict.fromkeys((predicted, label)):
        p = Place(d.n.nodes[error], (0, unit))
        form = Sum((d.beside(p, Name("ŷ")), negative(d.beside(p, Name("y")))))
        section.lines.append(d.regrouped(p, form))
    text = Text(d.derivation("why", [section]), width=88)
    return list(text.section(section))[1:]


def as_page(d: Derivation) -> dict[str, Any]:
    """A derivation for the template: sections with formulas, and all of it as text."""
    text = Text(d, width=96)
    plain, linked = Formulas(d, text), Formulas(d, text, linked=True)
    sections = []
    for s in d.sections:
        words = s.title.isupper() and len(s.title) > 3
        title = s.title.capitalize() if words else s.title.replace("STEP  ", "Step, ")
        formulas = linked if s.title == SPELLED else plain
        sections.append({
            "title": title, "note": s.note,
            "lines": [formulas.line(line) for line in s.lines],
        })  # fmt: skip
    return {"title": d.title, "conventions": d.conventions, "sections": sections,
            "text": "\n".join(text.lines())}  # fmt: skip
