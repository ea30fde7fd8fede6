"""Writes what `chainrule explain` says, after a change that is meant; read the diff.

PYTHONPATH=tests python tests/derivation/make_golden.py
"""

from __future__ import annotations

import re
from pathlib import Path

import chainrule
from chainrule.derivation import derive
from chainrule.derivation.models import explain
from chainrule.derivation.network import Layer, Network
from chainrule.derivation.record import case_study
from chainrule.derivation.text import Text
from derivation.model_cases import made

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


LAST_BITS = re.compile(r"\b\d\.\de-1\d\b")


def text(name, way):
    """A derivation as text, without what the last bit of a number decides."""
    return LAST_BITS.sub("1e-1?", "\n".join(Text(CASES[name](), **WAYS[way]).lines())) + "\n"


def explained(name, entry, **options):
    """A derivation on a model, without what the last bit of a number decides: how far it is off."""
    model, loss = made(name)
    if options.pop("optimizer", False):
        options["optimizer"] = chainrule.optim.AdamW(model.parameters(), lr=0.01)
    found = explain(loss, entry, model, **options)
    d = found.derivation
    d.sections = [s for s in d.sections if s.title != "CHECK"]
    for section in d.sections:
        section.note = section.note.split(", relative difference")[0]
    return found


MODELS = {
    "update": lambda: explained("smoothed", "fc1.weight[1,2]", optimizer=True, clip_grad_norm=0.1),
    "image": lambda: explained("image", "conv1.weight[1,0,0,2]"),
    "tokens": lambda: explained("tokens", "att.in_proj_weight[9,1]", top=2),
    "layer": lambda: explained("mse", "fc2", lr=0.1),
}
"""name -> what makes the explanation."""


def model_text(name):
    """An explanation as text."""
    return MODELS[name]().text(100) + "\n"


if __name__ == "__main__":
    for name in MODELS:
        (GOLDEN / f"model-{name}.txt").write_text(model_text(name), encoding="utf-8")
    for name in CASES:
        for way in WAYS:
            (GOLDEN / f"{name}{way}.txt").write_text(text(name, way), encoding="utf-8")
