"""Writes what `chainrule explain` says, after a change that is meant; read the diff.

python tests/derivation/make_golden.py
"""

from __future__ import annotations

from pathlib import Path

from chainrule.derivation import derive
from chainrule.derivation.network import Layer, Network
from chainrule.derivation.record import case_study
from chainrule.derivation.text import Text

GOLDEN = Path(__file__).parent / "golden"


def neuron(activation="sigmoid", loss="mse", **changes):
    given = {"x": [1.5], "weight": [[0.8]], "bias": [-0.2], "y": [1.0], **changes}
    layer = Layer(given["weight"], given["bias"], activation)
    return Network(given["x"], [layer], given["y"], loss)


def two_outputs():
    layers = [
        Layer([[0.5, 0.3], [0.2, 0.4]], [0.1, 0.2], "tanh"),
        Layer([[0.6, 0.1], [0.7, -0.3]], [0.3, 0.2], "sigmoid"),
    ]
    return Network([0.5, 0.3], layers, [1.0, 0.0], "bce")


def wide():
    """A layer too wide to be shown whole, a dead unit, an output without an activation."""
    first = Layer([[0.1 * (k % 7 - 3) for k in range(14)]], [0.05 * k for k in range(14)], "relu")
    second = Layer([[0.2 * (k % 5 - 2)] for k in range(14)], [0.1], "identity")
    return Network([-0.9], [first, second], [0.5], "half")


CASES = {
    "neuron": lambda: derive.neuron(neuron(), rate=0.1),
    "neuron-relu-off": lambda: derive.neuron(neuron("relu", weight=[[-0.8]]), rate=0.1),
    "case-study": lambda: derive.network(case_study(), rate=0.1),
    "two-outputs": lambda: derive.network(two_outputs(), weight=(1, 1, 1)),
    "wide": lambda: derive.network(wide(), rate=0.5, weight=(1, 0, 5)),
}
"""name -> what makes the derivation."""
WAYS = {"": {"width": 100}, "-ascii": {"ascii_only": True, "plain": True}}


def text(name, way):
    """A derivation as text."""
    return "\n".join(Text(CASES[name](), **WAYS[way]).lines()) + "\n"


if __name__ == "__main__":
    for name in CASES:
        for way in WAYS:
            (GOLDEN / f"{name}{way}.txt").write_text(text(name, way), encoding="utf-8")
