"""Trainings as plain numbers: a healthy one, and for every rule some that have its fault."""

from __future__ import annotations

import math
from dataclasses import replace

from chainrule.diagnosis import RULES, Story
from chainrule.train.watch import Bins, Layer, Look

SOME = Bins(-0.1, 0.1, [1] * 40)


def layers(count=4, **changes):
    """Hidden ReLU layers and an output, all well; changes: of the first layer."""
    found = [
        Layer(f"fc{i}", "Linear", "ReLU", grad=0.1 + 0.01 * i, weight=5.0, update=0.005,
              ratio=1e-3, gain=0.5, weights=0.7, slope=0.7, dead=0.05, dead_units=[3],
              mean=0.4, std=0.6, activations=SOME, gradients=SOME, twins=[])
        for i in range(1, count)
    ]  # fmt: skip
    found.append(
        Layer("out", "Linear", None, grad=0.3, weight=2.0, update=0.002, ratio=1e-3, mean=0.0,
              std=0.5, activations=SOME, gradients=SOME, twins=[])
    )  # fmt: skip
    found[0] = replace(found[0], **changes)
    return found


def looks(each=None, count=5, lr=0.01, first=2.31):
    """Looks at steps 1, 101, ...; each: the layers of the i-th."""
    made = each or (lambda i: layers())
    return [
        Look(1 + 100 * i, 1 + i, lr, first * 0.8**i, 0.01, first * 0.8**i, made(i))
        for i in range(count)
    ]


def closed(begun, probe=2.31, **changes):
    """Those looks, and one at the end of the fit; changes: of its first layer."""
    found = [replace(x, update=None, ratio=None) for x in layers(**changes)]
    return [*begun, Look(begun[-1].step + 60, 5, 0.0, None, 0.01, probe, found)]


def rows(losses, **columns):
    """Epochs with these losses."""
    found = []
    for i, loss in enumerate(losses):
        row = {"epoch": i + 1, "step": 100 * (i + 1), "loss": loss, "lr": 0.01, "grad_norm": 0.5}
        found.append({**row, **{k: v[i] for k, v in columns.items()}})
    return found


FALLING = [2.0 * 0.85**i for i in range(30)]
START = {
    "expected_loss": math.log(10), "expected_why": "ln 10", "class_counts": [50] * 10,
    "frozen": [], "inputs": {"mean": 0.0, "std": 1.0, "largest": 3.0},
}  # fmt: skip
SETUP = {"optimizer": {"name": "SGD", "groups": [{"lr": 0.01}]}, "callbacks": ["Watch"]}


def story(**changes):
    """A healthy training with changes."""
    val = [v * 1.1 for v in FALLING]
    held = {"rows": rows(FALLING, val_loss=val), "looks": looks(), "start": START, "setup": SETUP}
    return Story(**{**held, **changes})


def all_layers(**changes):
    return lambda i: [replace(x, **changes) for x in layers()]


def first_layer(**changes):
    return lambda i: layers(**changes)


FLAT = rows([2.31] * 12)
ENDED = {"stopped": "epochs"}
KILLED = looks(lambda i: layers(**({"dead": 1.0, "grad": 0.0, "ratio": 0.0, "update": 0.0} if i
                                   else {"ratio": 0.62})), 3)  # fmt: skip
"""A first step that was far too large, and nothing moves since."""
SLOPES = {"slope": 0.01, "weights": 0.9, "gain": 0.009, "activation": "Sigmoid"}
WEIGHTS = {"slope": 0.9, "weights": 0.01, "gain": 0.009}

FAULTS = {
    "vanishing": [
        story(looks=looks(first_layer(grad=1e-6, **SLOPES))),
        story(looks=looks(first_layer(grad=0.0))),
        story(looks=looks(all_layers(gradients=Bins(-1e-9, 1e-9, [1] * 40))), rows=FLAT),
        story(looks=closed(looks(count=1), grad=0.0)),
    ],
    "exploding": [
        story(looks=looks(first_layer(grad=1e6, weights=1e3, slope=1.0)), rows=FLAT),
        story(looks=looks(all_layers(gain=20.0, weights=40.0, slope=0.5)), rows=FLAT),
        story(looks=looks(first_layer(grad=math.nan))),
        story(looks=[], rows=[], result={"error": "the loss is not finite at step 3"}),
        story(rows=rows([*FALLING[:10], 3.0], grad_norm=[0.5] * 10 + [50.0])),
    ],
    "update-ratio": [
        story(looks=looks(first_layer(ratio=0.4))), story(looks=looks(first_layer(ratio=3.0))),
        story(looks=looks(first_layer(ratio=1e-8))),
        story(looks=looks(lambda i: layers(ratio=1.24 if i else 0.1), 2)),
        story(looks=closed(KILLED, dead=1.0, grad=0.0), rows=FLAT),
    ],
    "unchanged-weight": [
        story(looks=looks(first_layer(update=0.0, ratio=0.0, grad=None))),
        story(looks=looks(first_layer(update=0.0, ratio=0.0, grad=0.0))),
        story(looks=looks(first_layer(update=0.0, ratio=0.0))),
    ],
    "symmetry": [story(looks=looks(first_layer(twins=[[0, 1], [4, 7, 9]])))],
    "dead-relu": [
        story(looks=looks(first_layer(dead=0.7, dead_units=[1, 2])), rows=FLAT),
        story(looks=looks(lambda i: layers(dead=0.95 if i > 2 else 0.1))),
        story(looks=closed(looks(count=2), dead=1.0), rows=FLAT),
    ],
    "saturated": [
        story(looks=looks(first_layer(saturated=0.8, activation="Tanh")), rows=FLAT),
        story(looks=closed(looks(count=2), saturated=1.0, activation="Tanh"), rows=FLAT),
    ],
    "activation-scale": [
        story(looks=looks(first_layer(std=40.0))), story(looks=looks(first_layer(std=1e-5))),
    ],
    "loss-at-init": [story(looks=looks(first=9.0)), story(looks=looks(first=0.5))],
    "loss-flat": [
        story(rows=FLAT), story(rows=FLAT, looks=looks(all_layers(ratio=1e-6))),
        story(rows=FLAT, looks=looks(all_layers(ratio=0.2))),
        story(rows=FLAT, looks=looks(first_layer(dead=1.0))),
        story(rows=rows([9.0, 5.0, 3.0, 2.5, 2.31]), result=ENDED),  # down to a guess, not below
        story(rows=rows([*FALLING[:9], 2.4]), result=ENDED),  # learned, and lost again
        story(rows=rows([2.6, 2.4]), looks=closed(looks())),
        story(rows=rows([4.0] * 8, val_accuracy=[0.9] * 8), result=ENDED),
        story(rows=rows([4.0] * 8, val_roc_auc=[0.9] * 8), result={**ENDED, "test_accuracy": 0.9}),
    ],
    "loss-oscillating": [story(rows=rows([2.0 + 0.4 * (-1) ** i for i in range(20)]))],
    "loss-diverging": [
        story(rows=rows([*FALLING[:10], 1.5, 1.6, 1.7])),
        story(rows=rows([*FALLING[:10], 0.7, 0.71, 0.72])),
        story(rows=rows([76000.0])), story(rows=rows([76000.0, 200.0])),
    ],
    "overfit": [
        story(rows=rows(FALLING, val_loss=[1.0] * 5 + [1.0 + 0.05 * i for i in range(25)])),
    ],
    "underfit": [story(rows=rows([1.8] * 20))],
    "held-out": [
        story(result={"test_rows": 90, "test_r2": -0.2, "test_mae": 5.0, "guess_mae": 4.0}),
        story(result={"confusion": [[20, 15], [17, 14]], "test_roc_auc": 0.47}),
        story(result={"confusion": [[50, 0, 0], [10, 0, 0], [12, 0, 0]]}),
        story(result={"test_rows": 80, "labels": [
            {"name": "a", "rows": 40, "predicted": 41, "right": 20, "roc_auc": 0.51},
            {"name": "b", "rows": 10, "predicted": 0, "right": 0, "roc_auc": 0.44},
            {"name": "c", "rows": 0, "predicted": 0, "right": 0, "roc_auc": None}]}),
    ],
    "imbalance": [
        story(start={**START, "class_counts": [500, 20]}),
        story(result={"confusion": [[2, 18], [1, 19]]}),
    ],
}  # fmt: skip


def found(name, held, **thresholds):
    """What a rule finds in a story."""
    rule = RULES[name](**thresholds)
    return list(rule.find(held)) if rule.applies(held) is None else []
