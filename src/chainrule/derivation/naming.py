"""What the numbers of a network are called: z¹₂ is unit 2 of layer 1, before its activation."""

from __future__ import annotations

from typing import NamedTuple

from .elements import Place
from .parts import Derivation, Name

UP = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
SHORT = {"sigmoid": "σ"}
DOWN = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Letters(NamedTuple):
    """The letters and signs that names are made of."""

    prediction: str
    error: str
    partial: str
    prime: str
    small: bool  # numbers above and below the line


UNICODE = Letters("ŷ", "δ", "∂", "′", True)
ASCII = Letters("yhat", "delta", "d", "'", False)


class Naming:
    """The names of places, for a network's names of lines and activations of layers."""

    def __init__(self, d: Derivation, letters: Letters = UNICODE) -> None:
        self.names = d.names
        self.activations = d.activations
        self.letters = letters
        self.neuron = d.neuron
        self.alone = len(d.activations) == 1  # a layer by itself needs no number

    def __call__(self, place: Place) -> str:
        name = self.names[id(place.node)]
        return self.of(name, numbered(place))

    def of(self, name: Name, numbers: tuple[int, ...] = ()) -> str:
        """The name of a value, or of one unit of it."""
        if self.alone:
            name = name._replace(layer=None)
        if self.neuron and name.letter == "W":
            name = name._replace(letter="w")
        if name.kind == "slope" and self.alone:
            partial = self.letters.partial
            return f"{partial}{self.letters.prediction}/{partial}{self.plain('z', None, numbers)}"
        if name.kind == "slope":
            function = self.activations[name.layer or 0]
            if self.letters.small:
                function = SHORT.get(function, function)
            return f"{function}{self.letters.prime}({self.of(Name('z', name.layer), numbers)})"
        if name.kind == "gradient" and name.letter == "z" and not self.alone:
            return self.plain(self.letters.error, name.layer, numbers)
        letter = self.letters.prediction if name.letter == "ŷ" else name.letter
        plain = self.plain(letter, name.layer, numbers)
        if name.kind == "gradient":
            return f"{self.letters.partial}L/{self.letters.partial}{plain}"
        return plain

    def plain(self, letter: str, layer: int | None, numbers: tuple[int, ...]) -> str:
        """A letter with its layer and its unit."""
        above = "" if layer is None else str(layer)
        if not self.letters.small:
            return f"{letter}{above}" + (f"[{','.join(map(str, numbers))}]" if numbers else "")
        text = letter + above.translate(UP)
        if all(n < 10 for n in numbers):
            return text + "".join(map(str, numbers)).translate(DOWN)
        return f"{text}[{','.join(map(str, numbers))}]"


def numbered(place: Place) -> tuple[int, ...]:
    """Which unit a place is, counted from 1; nothing where there is one only."""
    pairs = zip(place.at, place.node.shape, strict=True)
    return tuple(i + 1 for i, n in pairs if n > 1)
