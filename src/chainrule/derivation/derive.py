"""Derivations of networks: forward, the four equations, one weight spelled out, the proof.

Every line but those that only regroup is what the engine recorded; those are checked against it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ChainruleError
from ..graph import run, trace
from ..markup import counted
from .differences import DIFFERS, KINK, Difference, mark, measured, same, summary
from .elements import Place
from .forms import Form, Leaf, Number, Sum, evaluate, multiplied, negative, shortened
from .network import Layer, Network
from .parts import Derivation, Line, Name, Section
from .writing import number

MOST_UNITS, FIRST = 12, 5
"""A layer with more units is shown by its FIRST largest entries."""
STEEPEST = {"sigmoid": 0.25, "tanh": 1.0, "softplus": 1.0, "relu": 1.0}
"""The largest slope of an activation."""
CONVENTIONS = {
    "mse": ("L = (ŷ-y)², so ∂L/∂ŷ = 2(ŷ-y). For C = ½(ŷ-y)² halve every gradient.",
            "L = 1/n Σ (ŷ-y)² over the n outputs, so ∂L/∂ŷ = 2/n (ŷ-y)."),
    "half": ("L = ½(ŷ-y)², so ∂L/∂ŷ = ŷ-y. For (ŷ-y)² double every gradient.",
             "L = ½ Σ (ŷ-y)² over the outputs, so ∂L/∂ŷ = ŷ-y."),
    "bce": ("L = -(y ln ŷ + (1-y) ln(1-ŷ)).", "L is the mean over the outputs of "
            "-(y ln ŷ + (1-y) ln(1-ŷ))."),
}  # fmt: skip
"""What a loss is for one output, and for several."""


class DerivationError(ChainruleError, ArithmeticError):
    """A line of a derivation does not have the value that the engine computed: our mistake."""


class Deriving:
    """One network's derivation, section by section.

    A layer with more than `most_units` is shown by its `first` largest entries; the `most_checked`
    largest gradients are held against finite differences.
    """

    most_units, first, most_checked = MOST_UNITS, FIRST, 200
    neuron = False

    def __init__(self, network: Network) -> None:
        self.n = network
        self.depth = len(network.layers)
        several = network.arrays[Name("y")].shape[1] > 1
        self.conventions = [f"Convention: {CONVENTIONS[network.loss][several]}"]
        self.neuron = self.depth == 1 and not several
        self.conventions += [] if self.neuron else [
            "Shapes: row vectors, z = a·W + b; W is [in, out]. (torch.nn.Linear keeps the "
            "transpose.)",
        ]  # fmt: skip

    def derivation(self, title: str, sections: list[Section]) -> Derivation:
        """All of it."""
        activations = {i: layer.activation for i, layer in enumerate(self.n.layers, 1)}
        return Derivation(title, self.conventions, sections, self.n.names, activations, self.n.at,
                          neuron=self.neuron)  # fmt: skip

    # ------------------------------------------------------------ lines

    def engine(self, place: Place, note: str = "") -> Line:
        """A line as the engine computes it."""
        form = shortened(self.n.form(place), self.n.at, self.most_units, self.first)
        return Line(place, form, form, self.n.at(place), note)

    def regrouped(self, place: Place, form: Form, note: str = "") -> Line:
        """A line in another grouping than the engine's, held to the engine's number."""
        found, wanted = evaluate(form, self.n.at), self.n.at(place)
        if not math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-300):
            raise DerivationError("a derivation does not come out", expected=str(wanted),
                                  got=str(found))  # fmt: skip
        return Line(place, form, form, wanted, note)

    def shown(self, name: Name) -> Iterator[Place]:
        """The places of a value, or the largest where there are many."""
        values = self.vector(name)
        if values.size <= self.most_units:
            yield from self.n.places(name)
            return
        node = self.n.nodes[name]
        for i in np.argsort(-np.abs(values), kind="stable")[: self.first]:
            yield Place(node, tuple(map(int, np.unravel_index(i, node.shape))))

    def rest(self, name: Name) -> list[Line]:
        """What is not shown of a value."""
        values = self.vector(name)
        if values.size <= self.most_units:
            return []
        norm = float(np.linalg.norm(values))
        return [Line(f"and {values.size - self.first} more", None, None, norm, "norm of all")]

    def computed(self, name: Name) -> list[Line]:
        """A value as the engine computes it, and what is not shown of it."""
        return [self.engine(p) for p in self.shown(name)] + self.rest(name)

    def has(self, name: Name) -> bool:
        """Whether the network has such a value of its own."""
        return name in self.n.nodes

    def output(self, i: int) -> Name:
        """What layer i gives: z itself where nothing follows."""
        name = Name("ŷ") if i == self.depth else Name("a", i)
        return name if self.has(name) else Name("z", i)

    # ------------------------------------------------------------ sections

    def forward(self) -> Section:
        """Weighted sums, activations, the loss."""
        section = Section("FORWARD")
        for i in range(1, self.depth + 1):
            for name in dict.fromkeys((Name("z", i), self.output(i))):
                section.lines += self.computed(name)
        section.lines += [self.engine(p) for p in self.n.places(Name("L"))]
        return section

    def backward(self) -> list[Section]:
        """The four equations."""
        return [self.bp1(), *([self.bp2()] if self.depth > 1 else []), self.bp3(), self.bp4()]

    def bp1(self) -> Section:
        """The error at the output."""
        section = Section("BP1", "the error at the output")
        last = self.depth
        error = Name("z", last, "gradient")
        if not self.has(Name("ŷ")):
            section.lines += self.computed(error)
            return section
        for p in self.shown(error):
            wrong, slope = self.beside(p, Name("ŷ", None, "gradient")), self.slope(p, last)
            section.lines += [
                self.engine(wrong.place, "how wrong"), self.engine(slope.place, "how responsive"),
                self.regrouped(p, multiplied(wrong, slope)),
            ]  # fmt: skip
            section.lines += self.cancelled(p)
        section.lines += self.rest(error)
        return section

    def cancelled(self, p: Place) -> list[Line]:
        """Cross-entropy behind a sigmoid: what is left when the slope cancels."""
        if self.n.loss != "bce" or self.n.layers[-1].activation != "sigmoid":
            return []
        n = p.node.shape[1]
        left = Sum((self.beside(p, Name("ŷ")), negative(self.beside(p, Name("y")))))
        form = left if n == 1 else multiplied(Number(1 / n), left)
        return [self.regrouped(p, form, "the slope cancels against the loss's 1/ŷ and 1/(1-ŷ)")]

    def bp2(self) -> Section:
        """The error sent back."""
        section = Section("BP2", "the error sent back: weights × error × slope")
        for i in range(self.depth - 1, 0, -1):
            error = Name("z", i, "gradient")
            if not self.has(Name("a", i)):
                section.lines += self.computed(error)
                continue
            for p in self.shown(error):
                back = self.beside(p, Name("a", i, "gradient"))
                sent = self.n.form(back.place)
                if isinstance(sent, Sum):
                    section.lines.append(self.engine(back.place))
                    sent = back
                section.lines.append(self.regrouped(p, multiplied(sent, self.slope(p, i))))
            section.lines += self.rest(error)
        return section

    def bp3(self) -> Section:
        """Biases."""
        return Section("BP3", "biases: the error itself", self.gradients("b"))

    def bp4(self) -> Section:
        """Weights."""
        return Section("BP4", "weights: input × error", self.gradients("W"))

    def gradients(self, letter: str) -> list[Line]:
        """The gradients of all layers' weights or biases, the last layer's first."""
        names = [Name(letter, i, "gradient") for i in range(self.depth, 0, -1)]
        return [line for name in names for line in self.computed(name)]

    def beside(self, p: Place, name: Name) -> Leaf:
        """The same unit of another value."""
        return Leaf(Place(self.n.nodes[name], p.at))

    def slope(self, p: Place, i: int) -> Leaf:
        """The slope of a unit."""
        return self.beside(p, Name("z", i, "slope"))

    # ------------------------------------------------------------ one weight

    def spelled(self, weight: Name, at: tuple[int, int], most: int = 3) -> Section:
        """The gradient of a weight as what each path to the loss carries."""
        i, unit = weight.layer or 1, at[1]
        factors: list[Form] = [self.unit_input(i, at[0])]
        paths = [(multiplied(*form), form) for form in self.paths(i, unit, factors)]
        paths.sort(key=lambda p: -abs(evaluate(p[0], self.n.at)))
        place = Place(self.n.nodes[Name("W", i, "gradient")], at)
        section = Section("ONE WEIGHT, SPELLED OUT", counted(len(paths), "path"))
        if len(paths) == 1:
            section.lines.append(self.regrouped(place, paths[0][0]))
            return section
        total = self.n.at(place)
        for k, (form, _) in enumerate(paths[:most], 1):
            value = evaluate(form, self.n.at)
            share = f"{value / total:.0%} of it" if total else ""
            section.lines.append(Line(f"path {k}", form, form, value, share))
        if len(paths) > most:
            value = sum(evaluate(form, self.n.at) for form, _ in paths[most:])
            section.lines.append(Line(counted(len(paths) - most, "more path"), None, None, value))
        whole = sum(evaluate(form, self.n.at) for form, _ in paths)
        if not math.isclose(whole, total, rel_tol=1e-9, abs_tol=1e-300):
            raise DerivationError("the paths do not add up", expected=str(total), got=str(whole))
        section.lines.append(Line(place, None, None, total, "all paths together"))
        return section

    def paths(self, i: int, unit: int, factors: list[Form]) -> Iterator[list[Form]]:
        """The factors of every path from a unit of layer i to the loss, the loss first."""
        z = self.n.nodes[Name("z", i)]
        p = Place(z, (0, unit))
        slope = [self.slope(p, i)] if self.has(Name("z", i, "slope")) else []
        if i == self.depth:
            name = Name("ŷ", None, "gradient") if slope else Name("z", i, "gradient")
            yield [self.beside(p, name), *slope, *factors]
            return
        weights = self.n.nodes[Name("W", i + 1)]
        for k in range(weights.shape[1]):
            through = Leaf(Place(weights, (unit, k)))
            yield from self.paths(i + 1, k, [through, *slope, *factors])

    def unit_input(self, i: int, unit: int) -> Leaf:
        """What a weight of layer i multiplies."""
        node = self.n.nodes[Name("x") if i == 1 else self.output(i - 1)]
        return Leaf(Place(node, (0, unit)))

    # ------------------------------------------------------------ ledger, step, proof

    def ledger(self) -> Section:
        """How the error grows or shrinks from layer to layer, and which multiplier does it."""
        section = Section("GAIN LEDGER", "|error| of a layer / of the next = weights × slope")
        for i in range(self.depth - 1, 0, -1):
            here, behind = (self.vector(Name("z", k, "gradient")) for k in (i, i + 1))
            sent = behind @ self.n.layers[i].weight.T
            if not (np.linalg.norm(behind) and np.linalg.norm(sent)):
                section.lines.append(Line(f"layer {i} / layer {i + 1}", note="no error arrives"))
                continue
            gain = float(np.linalg.norm(here) / np.linalg.norm(behind))
            weights = float(np.linalg.norm(sent) / np.linalg.norm(behind))
            slope = float(np.linalg.norm(here) / np.linalg.norm(sent))
            note = f"weights {weights:.4f} × slope {slope:.4f}"
            name = f"layer {i} / layer {i + 1}"
            section.lines.append(Line(name, None, None, gain, note))
            if self.n.layers[i - 1].activation == "sigmoid":
                name = "ten layers like this one"
                note = "a sigmoid's slope is never above 0.25"
                section.lines.append(Line(name, None, None, gain**10, note))
        return section

    def vector(self, name: Name) -> Any:
        """The numbers of a value, as one row."""
        return self.n.array(name).reshape(-1)

    def step(self, rate: float) -> Section:
        """One step of gradient descent: what it promised, and what it kept."""
        layers = []
        promised = 0.0
        section = Section(f"STEP  lr {rate:g}")
        for i, layer in enumerate(self.n.layers, 1):
            gw, gb = (
                self.vector(Name(c, i, "gradient")).reshape(a.shape)
                for c, a in (("W", layer.weight), ("b", layer.bias))
            )
            promised -= rate * (float((gw * gw).sum()) + float((gb * gb).sum()))
            new = Layer(layer.weight - rate * gw, layer.bias - rate * gb, layer.activation)
            layers.append(new)
            section.lines += self.moved(Name("W", i), new.weight)
            section.lines += self.moved(Name("b", i), new.bias)
        before, now = self.loss(self.n), self.loss(self.n.moved(layers))
        kept = now - before
        share = f" ({kept / promised:.0%})" if promised else ""
        section.lines.append(Line("L", None, None, now, f"it was {before:.6f}"))
        section.note = f"promised ΔL = -lr |g|² = {promised:.3e}, kept {kept:.3e}{share}"
        return section

    def moved(self, name: Name, new: Any) -> list[Line]:
        """The new values of a parameter."""
        lines = []
        for p in itertools.islice(
            self.shown(Name(name.letter, name.layer, "gradient")), self.first
        ):
            own = Place(self.n.nodes[name], p.at)
            lines.append(Line(own, None, None, float(new[p.at]), f"it was {self.n.at(own):.6f}"))
        return lines

    def loss(self, network: Network) -> float:
        """The loss of a network."""
        return network.at(Place(network.nodes[Name("L")], ()))

    def check(self) -> Section:
        """The gradients against differences of the loss, and against backward() of the engine."""
        n = self.n
        gradients = [Name(k.letter, k.layer, "gradient") for k in n.arrays if k.letter in "Wb"]
        checked = self.largest(gradients, self.most_checked)
        scale = abs(n.at(checked[0])) or 1.0
        total = sum(n.array(name).size for name in gradients)
        program = trace(n.loss_of, *n.arrays.values())
        noise = self.noise()
        found = [(p, self.difference(program, p, scale, noise)) for p in checked]
        said, _ = summary([(n.at(p), d) for p, d in found], total)
        section = Section("CHECK", said)
        shown = sorted(found, key=lambda f: f[1].verdict not in (DIFFERS, KINK))
        if len(found) > self.most_units:
            shown = shown[: self.first]
        backward = n.backward()
        section.lines = [self.checked(p, d, backward, scale) for p, d in shown]
        return section

    def checked(self, p: Place, d: Difference, backward: dict[Name, Any], scale: float) -> Line:
        """One gradient, the difference and what backward() gives for it."""
        want = self.n.at(p)
        own = float(backward[self.n.names[id(p.node)]._replace(kind="")][p.at])
        agrees = same(own, want, 1e-12 * scale)
        said = d.said(want)
        if d.verdict == KINK:
            said = f"the point is a kink{self.kinks()}: {said}"
        return Line(
            p, None, None, want,
            f"{number(d.value)} by h = {d.h:.0e}: {said}; {number(own)} by backward() "
            f"{mark(agrees)}",
        )  # fmt: skip

    def kinks(self) -> str:
        """Which units are at the kink of relu."""
        for i, layer in enumerate(self.n.layers, 1):
            if layer.activation == "relu" and not self.vector(Name("z", i)).all():
                unit = int(np.argmin(np.abs(self.vector(Name("z", i))))) + 1
                where = f" of layer {i}" if self.depth > 1 else ""
                return f", relu at 0 (unit {unit}{where})"
        return ""

    def largest(self, names: list[Name], count: int) -> list[Place]:
        """The largest numbers of several values, the largest first."""
        found = []
        for name in names:
            node, values = self.n.nodes[name], self.vector(name)
            for i in np.argsort(-np.abs(values), kind="stable")[:count]:
                found.append(Place(node, tuple(map(int, np.unravel_index(i, node.shape)))))
        return sorted(found, key=lambda p: -abs(self.n.at(p)))[:count]

    def noise(self) -> float:
        """How far rounding can move the loss: of every value, times the loss's slope there."""
        total = abs(self.loss(self.n))
        for name in self.n.nodes:
            if name.kind == "gradient":
                value = name._replace(kind="")
                total += float(np.abs(self.vector(name) * self.vector(value)).sum())
        return 8 * float(np.finfo(np.float64).eps) * total

    def difference(self, program: Any, p: Place, scale: float, noise: float) -> Difference:
        """The slope of the loss along one parameter, whose gradient is at a place."""
        name = self.n.names[id(p.node)]._replace(kind="")

        def loss(by: float) -> float:
            moved = {key: a.copy() for key, a in self.n.arrays.items()}
            moved[name][p.at] += by
            return float(run(program, *moved.values())[0])

        return measured(loss, float(self.n.arrays[name][p.at]), self.n.at(p), scale, noise)


def neuron(n: Network, *, rate: float | None = None) -> Derivation:
    """The derivation of a single neuron: three multipliers, and what they mean.

    rate: also one step of gradient descent.
    """
    d = Deriving(n)
    backward = Section("BACKWARD", "three multipliers: how wrong × how responsive × how much input")
    z = Place(n.nodes[Name("z", 1)], (0, 0))
    error = d.beside(z, Name("z", 1, "gradient"))
    multipliers: list[Form] = [error]
    if d.has(Name("ŷ")):
        wrong, slope = d.beside(z, Name("ŷ", None, "gradient")), d.slope(z, 1)
        steepest = STEEPEST[n.layers[0].activation]
        share = f", {n.at(slope.place) / steepest:.0%} of the steepest ({steepest:g})"
        backward.lines += [
            d.engine(wrong.place, "how wrong"),
            d.engine(slope.place, f"how responsive{share}"),
        ]
        multipliers = [wrong, slope]
    else:
        backward.lines.append(d.engine(error.place, "how wrong"))
    for p in n.places(Name("W", 1, "gradient")):
        factors = [*multipliers, d.unit_input(1, p.at[0])]
        backward.lines.append(d.regrouped(p, multiplied(*factors), "times how much input"))
    bias = Place(n.nodes[Name("b", 1, "gradient")], (0,))
    backward.lines.append(d.regrouped(bias, multiplied(*multipliers), "times 1"))
    sections = [d.forward(), backward, _meaning(d)]
    if rate is not None:
        sections.append(d.step(rate))
    return d.derivation("one neuron", [*sections, d.check()])


def _meaning(d: Deriving) -> Section:
    """What the signs and sizes say."""
    section = Section("MEANING")
    for p in d.n.places(Name("W", 1, "gradient")):
        g, x = d.n.at(p), d.n.at(d.unit_input(1, p.at[0]).place)
        if g == 0.0:
            words = "zero: this weight does not change the loss here"
        else:
            words = f"{'negative' if g < 0 else 'positive'}: a larger weight gives a " + (
                "smaller" if g < 0 else "larger"
            ) + f" loss; its input makes it {abs(x):g} times as sensitive as the bias"  # fmt: skip
        section.lines.append(Line(p, None, None, g, words))
    return section


def network(n: Network, *, rate: float | None = None, weight: tuple[int, int, int] | None = None,
            title: str = "") -> Derivation:  # fmt: skip
    """The derivation of all gradients of a network on one example.

    rate: also one step of gradient descent.  weight: (layer, row, column), from 0 but for the
    layer, of the weight that is spelled out; the first of the first layer unless given.
    """
    d = Deriving(n)
    sections = [d.forward(), *d.backward()]
    i, row, column = weight or (1, 0, 0)
    sections.append(d.spelled(Name("W", i), (row, column)))
    if d.depth > 1:
        sections.append(d.ledger())
    if rate is not None:
        sections.append(d.step(rate))
    sections.append(d.check())
    sizes = [n.arrays[Name("x")].shape[1], *(len(layer.bias) for layer in n.layers)]
    return d.derivation(title or f"{'-'.join(map(str, sizes))} network", sections)
