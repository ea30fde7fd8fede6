"""Runs made by hand for the report: as they lie in a folder, and as subjects."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np

from chainrule import nn
from chainrule.report.looks import read_looks
from chainrule.report.results import Held
from chainrule.report.subject import Subject

BUDGET = 1_200_000
"""The most bytes of a page; the scripts of others are 400,000 of them."""
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def word(v):
    """As layers.jsonl writes a number."""
    if isinstance(v, float) and not math.isfinite(v):
        return "nan" if math.isnan(v) else "inf" if v > 0 else "-inf"
    return v


def layer(name, **numbers):
    """A layer of a look; what is not given was not computed."""
    known = ("grad", "weight", "update", "ratio", "gain", "weights", "slope", "dead", "saturated",
             "dead_units", "mean", "std", "activations", "gradients")  # fmt: skip
    held = {"name": name, "kind": "Linear", "activation": "Tanh", **dict.fromkeys(known)}
    return {**held, **{k: word(v) for k, v in numbers.items()}}


def bins(low=-1.0, high=1.0):
    return {"low": low, "high": high, "counts": [20 - abs(k - 20) for k in range(40)]}


def look(step, layers, **more):
    return {"step": step, "epoch": step // 10, "lr": 0.01, "loss": 0.5, "overhead": 0.01,
            "layers": layers, **more}  # fmt: skip


def healthy_looks(steps=60, every=2, names=("fc1", "fc2", "out")):
    found = []
    for step in range(0, steps, every):
        size = 0.02 * math.exp(-step / steps)
        found.append(look(step, [
            layer(n, grad=size * (i + 1), weight=2.0, update=2e-3, ratio=1e-3,
                  gain=0.6, weights=0.9, slope=0.67, dead=0.0, saturated=0.02, dead_units=[],
                  mean=0.0, std=0.5, activations=bins(), gradients=bins(-size, size))
            for i, n in enumerate(names)]))  # fmt: skip
    return found


def write_looks(folder, looks):
    text = "".join(json.dumps(x) + "\n" for x in looks)
    (folder / "layers.jsonl").write_text(text, encoding="utf-8")


def as_looks(folder, looks):
    write_looks(folder, looks)
    return read_looks(folder / "layers.jsonl")


def rows(epochs=12, **columns):
    """Epochs of a log; columns: functions of the epoch that take the place of the usual."""
    usual = {
        "loss": lambda e: 1 / e, "val_loss": lambda e: 1.1 / e + 0.05 * max(e - 8, 0),
        "lr": lambda e: 0.01 if e > 1 else 0.005, "grad_norm": lambda e: 0.1,
        "seconds": lambda e: 0.01, "val_accuracy": lambda e: 1 - 0.4 / e,
    } | columns  # fmt: skip
    return [{"epoch": e, "step": 10 * e, **{k: f(e) for k, f in usual.items() if f}}
            for e in range(1, epochs + 1)]  # fmt: skip


def mlp(sizes=(2, 5, 3), activation=nn.Tanh):
    parts = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        parts += [nn.Linear(a, b)] + ([activation()] if i < len(sizes) - 2 else [])
    return nn.Sequential(*parts)


def held_out(names=("red", "green", "blue"), count=40):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(len(names)) * 0.6, count)
    return Held(
        rng.normal(size=(count, 2)),
        (p.argmax(1) + (rng.random(count) < 0.2)) % len(names),
        p,
        names,
    )


def full_subject(folder, **changed):
    """A subject that has everything but pictures of a boundary."""
    model = mlp()
    rng = np.random.default_rng(1)
    values = {
        "name": "made-0001", "folder": "runs/made-0001",
        "config": {"recipe": {"data": "made", "lr": 0.01}, "model": "mlp 2-5-3 tanh"},
        "environment": {"command": "chainrule train made", "seed": 3, "chainrule": "0.1.0"},
        "result": {"stopped": "epochs", "epochs": 12, "steps": 120}, "rows": rows(),
        "looks": as_looks(folder, healthy_looks()), "model": model,
        "loss": nn.CrossEntropyLoss(), "rate": 0.01, "row": rng.normal(size=2).astype(np.float32),
        "label": 1, "held": held_out(), "findings": [],
    }  # fmt: skip
    return Subject(**(values | changed))
