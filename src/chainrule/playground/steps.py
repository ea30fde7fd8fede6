"""The steps through a network: one number each, with its formula and the words for it.

    step    := {"part", "value": [key, place], "formula": [piece*], "says", "where"}
    piece   := text | [key, place] | {"sum": [[[key, place]*]*]}

A formula is written in symbols and in numbers by putting a name, or a value, in the place of each
[key, place]; a sum of products is a piece of its own, because long ones are cut short.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from .network import Activation, Small
from .record import Recorded, output_key

UP = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
DOWN = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
LETTERS = {"x": "x", "u": "u", "y": "y", "t": "t", "p": "p", "L": "L"}

Ref = list[Any]
Step = dict[str, Any]


class Steps:
    """Names of all numbers, and the steps that compute them."""

    def __init__(self, recorded: Recorded) -> None:
        self.net: Small = recorded.net
        self.values = recorded.values
        self.depth = len(self.net.layers)
        self.sizes = self.net.sizes
        self.target = "t" if "t" in self.values else "y"
        self.labels = {key: self.named(key) for key in self.values}

    def all(self) -> list[Step]:
        """Forward, backward, in the order in which they can be computed."""
        return [*self.forward(), *self.loss(), *self.backward()]

    # ------------------------------------------------------------ names

    def named(self, key: str) -> list[str]:
        """The names of the numbers of a value: z¹₂, W¹₁₂ (from unit 1 to unit 2), δ¹₂, ∂L/∂b¹₂."""
        if key.startswith("d") and key[1] == "z":
            return self.numbered("δ", key)
        if key.startswith("d"):
            return [f"∂L/∂{name}" for name in self.named(key[1:])]
        if key.startswith("s"):
            f = self.net.layers[int(key[1:]) - 1].activation
            assert f is not None
            word = "σ" if f.name == "sigmoid" else f.name
            return [f"{word}′({name})" for name in self.named("z" + key[1:])]
        if key == output_key(self.net) and key[0] == "a":
            return self.numbered("ŷ", key, layered=False)
        return self.numbered(LETTERS.get(key, key[0]), key)

    def numbered(self, letter: str, key: str, layered: bool = True) -> list[str]:
        """A letter with its layer above and its unit below; a single number has no unit."""
        digits = re.sub(r"\D", "", key)
        letter += digits.translate(UP) if layered else ""
        shape = self.values[key].shape
        if key.lstrip("d").startswith("W"):
            axes = [[n + 1 for n in range(size)] if size > 1 else [] for size in shape]
        else:
            size = self.values[key].size
            axes = [[n + 1 for n in range(size)] if size > 1 else []]
        return [letter + _below(place) for place in product(*filter(None, axes))]

    def ref(self, key: str, i: int) -> Ref:
        """A number of a value."""
        return [key, i]

    def layer_input(self, i: int) -> str:
        """The key of what layer i reads."""
        if i == 1:
            return "u" if self.net.scale is not None else "x"
        return self.layer_output(i - 1)

    def layer_output(self, i: int) -> str:
        """The key of what layer i gives."""
        return f"{'z' if self.net.layers[i - 1].activation is None else 'a'}{i}"

    def weight(self, i: int, source: int, unit: int) -> Ref:
        """The weight of layer i from an input to a unit."""
        return self.ref(f"W{i}", source * self.sizes[i] + unit)

    def parameter(self, i: int, unit: int, source: int | None = None) -> str:
        """Where a number stands in the model: fc1.weight[0, 1], counted from 0."""
        name = self.net.layers[i - 1].name
        return f"{name}.bias[{unit}]" if source is None else f"{name}.weight[{unit}, {source}]"

    # ------------------------------------------------------------ forward

    def forward(self) -> Iterator[Step]:
        """Scaling, weighted sums, activations."""
        if self.net.scale is not None:
            mean, std = self.net.scale
            for k in range(self.sizes[0]):
                yield _step("forward · input", self.ref("u", k),
                            ["(", self.ref("x", k), f" - {_short(mean)}) / {_short(std)}"],
                            "the input on the scale of the training data")  # fmt: skip
        for i, layer in enumerate(self.net.layers, 1):
            part = f"forward · layer {i}"
            for j in range(self.sizes[i]):
                terms = [[self.ref(self.layer_input(i), k), self.weight(i, k, j)]
                         for k in range(self.sizes[i - 1])]  # fmt: skip
                if layer.bias is not None:
                    terms.append([self.ref(f"b{i}", j)])
                yield _step(part, self.ref(f"z{i}", j), [{"sum": terms}],
                            f"weighted sum of unit {j + 1}", f"module {layer.name}")  # fmt: skip
            if layer.activation is not None:
                for j in range(self.sizes[i]):
                    yield _step(part, self.ref(f"a{i}", j),
                                self.pattern(layer.activation.value, i, j),
                                f"{layer.activation.name} of the sum")  # fmt: skip

    def pattern(self, text: str, i: int, j: int) -> list[Any]:
        """A formula in {z} and {a} for a unit."""
        parts = re.split(r"(\{[za]\})", text)
        return [self.ref(f"{p[1]}{i}", j) if p[0] == "{" else p for p in parts if p]

    def loss(self) -> Iterator[Step]:
        """Probabilities and targets where there are such, and the loss."""
        n, kind = self.sizes[-1], self.net.loss.kind
        out = output_key(self.net)
        if "t" in self.values:
            s = self.net.loss.smoothing
            for k in range(n):
                yield _step("forward · loss", self.ref("t", k),
                            [self.ref("y", k), f" × {_short(1 - s)} + {_short(s)} / {n}"],
                            "target with label smoothing")  # fmt: skip
        if "p" in self.values:
            for k in range(n):
                z = self.ref(out, k)
                formula: list[Any] = ["1 / (1 + exp(-", z, "))"]
                if kind == "cross_entropy":
                    all_of = [p for j in range(n) for p in (" + exp(", self.ref(out, j), ")")]
                    formula = ["exp(", z, ") / (exp(", *all_of[1:], ")"]
                yield _step("forward · loss", self.ref("p", k), formula,
                            "probability of the class" if kind == "cross_entropy"
                            else "probability")  # fmt: skip
        yield _step("forward · loss", self.ref("L", 0), LOSS_FORMULAS[kind](self, n), "the loss")

    # ------------------------------------------------------------ backward

    def backward(self) -> Iterator[Step]:
        """The four equations, from the last layer to the first."""
        yield from self.output_error()
        for i in range(self.depth, 0, -1):
            yield from self.gradients_of(i)
            if i > 1:
                yield from self.sent_back(i - 1)

    def output_error(self) -> Iterator[Step]:
        """BP1."""
        part, out, kind = "backward · BP1", output_key(self.net), self.net.loss.kind
        says = {
            "cross_entropy": "the slope of softmax cancels against 1/p",
            "bce_with_logits": "the slope of the sigmoid cancels against 1/p",
        }
        for k in range(self.sizes[-1]):
            yield _step(part, self.ref(f"d{out}", k), ERROR_FORMULAS[kind](self, k),
                        says.get(kind, "how wrong?"))  # fmt: skip
        yield from self.through(part, self.depth)

    def through(self, part: str, i: int) -> Iterator[Step]:
        """Slopes of layer i, and the errors of its sums."""
        f: Activation | None = self.net.layers[i - 1].activation
        if f is None:
            return
        for j in range(self.sizes[i]):
            yield _step(part, self.ref(f"s{i}", j), self.pattern(f.slope, i, j),
                        "how responsive?")  # fmt: skip
            yield _step(part, self.ref(f"dz{i}", j),
                        [self.ref(f"da{i}", j), " × ", self.ref(f"s{i}", j)],
                        f"the error of unit {j + 1}")  # fmt: skip

    def gradients_of(self, i: int) -> Iterator[Step]:
        """BP3 and BP4."""
        layer, read = self.net.layers[i - 1], self.layer_input(i)
        if layer.bias is not None:
            for j in range(self.sizes[i]):
                yield _step(f"backward · BP3 · layer {i}", self.ref(f"db{i}", j),
                            [self.ref(f"dz{i}", j)], "a bias counts once",
                            self.parameter(i, j))  # fmt: skip
        for k in range(self.sizes[i - 1]):
            for j in range(self.sizes[i]):
                yield _step(f"backward · BP4 · layer {i}",
                            [f"dW{i}", k * self.sizes[i] + j],
                            [self.ref(read, k), " × ", self.ref(f"dz{i}", j)],
                            "input times error", self.parameter(i, j, k))  # fmt: skip

    def sent_back(self, i: int) -> Iterator[Step]:
        """BP2: the errors of layer i from those of the layer behind it."""
        part, out = f"backward · BP2 · layer {i}", self.layer_output(i)
        for j in range(self.sizes[i]):
            terms = [[self.weight(i + 1, j, k), self.ref(f"dz{i + 1}", k)]
                     for k in range(self.sizes[i + 1])]  # fmt: skip
            yield _step(part, self.ref(f"d{out}", j), [{"sum": terms}],
                        f"what comes back to unit {j + 1}")  # fmt: skip
        yield from self.through(part, i)


def _step(part: str, value: Ref, formula: list[Any], says: str, where: str = "") -> Step:
    return {"part": part, "value": value, "formula": formula, "says": says, "where": where}


def _below(place: Sequence[int]) -> str:
    if not place:
        return ""
    if all(n < 10 for n in place):
        return "".join(map(str, place)).translate(DOWN)
    return f"[{','.join(map(str, place))}]"


def _short(x: float) -> str:
    return f"{x:.6g}"


# ---------------------------------------------------------------- losses


def _cross_entropy(s: Steps, n: int) -> list[Any]:
    return ["-(", *_joined([[s.ref(s.target, k), " × ln(", s.ref("p", k), ")"]
                            for k in range(n)]), ")"]  # fmt: skip


def _squares(s: Steps, n: int) -> list[Any]:
    out = output_key(s.net)
    return _joined([["(", s.ref(out, k), " - ", s.ref(s.target, k), ")²"] for k in range(n)])


def _mse(s: Steps, n: int) -> list[Any]:
    return _squares(s, n) if n == 1 else ["(", *_squares(s, n), f") / {n}"]


def _half(s: Steps, n: int) -> list[Any]:
    return ["(", *_squares(s, n), ") / 2"]


def _binary(key: str) -> Any:
    def formula(s: Steps, n: int) -> list[Any]:
        p = key or output_key(s.net)
        each = [[s.ref("y", k), " × ln(", s.ref(p, k), ") + (1 - ", s.ref("y", k), ") × ln(1 - ",
                 s.ref(p, k), ")"] for k in range(n)]  # fmt: skip
        return ["-(", *_joined(each), ")" if n == 1 else f") / {n}"]

    return formula


def _joined(parts: list[list[Any]]) -> list[Any]:
    return [p for k, part in enumerate(parts) for p in ([" + ", *part] if k else part)]


LOSS_FORMULAS: dict[str, Any] = {
    "cross_entropy": _cross_entropy, "mse": _mse, "half": _half, "bce": _binary(""),
    "bce_with_logits": _binary("p"),
}  # fmt: skip


def _mse_error(s: Steps, k: int) -> list[Any]:
    n, out = s.sizes[-1], output_key(s.net)
    over = f" / {n}" if n > 1 else ""
    return ["2 × (", s.ref(out, k), " - ", s.ref(s.target, k), f"){over}"]


def _half_error(s: Steps, k: int) -> list[Any]:
    return [s.ref(output_key(s.net), k), " - ", s.ref(s.target, k)]


def _cross_entropy_error(s: Steps, k: int) -> list[Any]:
    return [s.ref("p", k), " - ", s.ref(s.target, k)]


def _bce_error(s: Steps, k: int) -> list[Any]:
    n, a = s.sizes[-1], s.ref(output_key(s.net), k)
    over = f" / {n}" if n > 1 else ""
    return ["(", a, " - ", s.ref("y", k), ") / (", a, " × (1 - ", a, "))", over]


def _logits_error(s: Steps, k: int) -> list[Any]:
    n = s.sizes[-1]
    return ["(", s.ref("p", k), " - ", s.ref("y", k), ")", f" / {n}" if n > 1 else ""]


ERROR_FORMULAS: dict[str, Any] = {
    "cross_entropy": _cross_entropy_error, "mse": _mse_error, "half": _half_error,
    "bce": _bce_error, "bce_with_logits": _logits_error,
}  # fmt: skip
