"""Where the heat map leads: every layer's largest gradient is the engine's; the page is small."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.derivation.writing import number
from chainrule.report import assets, largest
from chainrule.report.build import build
from report_cases import BUDGET, as_looks, full_subject, healthy_looks, mlp


def cnn(channels=4):
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(channels * 16, 3),
    )  # fmt: skip


MODELS = {
    "plain": (mlp(), (2,), ["0", "2"]),
    "deep": (mlp((2, *[6] * 12, 3), nn.Sigmoid), (2,), [str(i) for i in range(0, 25, 2)]),
    "pictures": (cnn(), (1, 8, 8), ["0", "1", "6"]),
}


def subject(folder, model, shape, layers):
    row = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    looks = as_looks(folder, healthy_looks(names=[*layers, "gone"]))
    return full_subject(folder, model=model, row=row, looks=looks)


@pytest.mark.parametrize("name", MODELS)
def test_the_entry_is_the_largest_of_backward(tmp_path, name):
    model, shape, layers = MODELS[name]
    s = subject(tmp_path, model, shape, layers)
    _, found = largest.largest(s, [*layers, "gone"])
    assert [e.layer for e in found] == layers[: largest.MOST_LAYERS]
    assert len({e.id for e in found}) == len(found)
    assert model.training, "as it was"
    model.eval()
    model.zero_grad()
    s.loss(model(chainrule.tensor(s.row[None])), chainrule.tensor([s.label])).backward()
    model.train()
    for e in found:
        at = re.search(r"(\w+)\[([\d,]+)\] = (\S+), the largest of (\d+)", e.title)
        grads = {n: np.asarray(p.grad, np.float64)
                 for n, p in model.get_submodule(e.layer).named_parameters()}  # fmt: skip
        sought = [g for g in grads.values() if g.ndim > 1] or list(grads.values())
        value, mine = float(at[3]), grads[at[1]][tuple(map(int, at[2].split(",")))]
        assert np.isclose(abs(mine), max(np.abs(g).max() for g in sought), rtol=1e-4)
        assert np.isclose(value, mine, rtol=1e-4, atol=1e-6)
        assert int(at[4]) == sum(g.size for g in sought)
        assert "✔" in e.sections
        assert "✖" not in e.sections
        assert "<math" in e.sections
        assert number(value) in e.sections


def test_what_is_not_worked_says_why(tmp_path, monkeypatch):
    s = full_subject(tmp_path)
    assert "no model" in largest.largest(dataclasses.replace(s, model=None), ["0"])
    assert "no layer of the picture" in largest.largest(s, ["gone"])
    s.model[0].load_state_dict({"weight": np.full((5, 2), np.nan, np.float32),
                                "bias": np.zeros(5, np.float32)})  # fmt: skip
    _, found = largest.largest(s, ["0", "2"])
    assert all("WHY IT IS nan" in e.sections for e in found)
    monkeypatch.setattr(largest, "MOST_PARAMETERS", 10)
    assert "the model has 33 parameters" in largest.largest(s, ["0"])


@pytest.mark.parametrize("name", MODELS)
def test_a_page_leads_there_and_keeps_its_budget(tmp_path, name):
    model, shape, layers = MODELS[name]
    text = build(subject(tmp_path, model, shape, layers))
    ids = re.findall(r'<details class="fold" id="(largest-\d+)"', text)
    assert ids == re.findall(r'<a href="#(largest-\d+)">', text)
    assert len(ids) == min(len(layers), largest.MOST_LAYERS)
    left = len(layers) + 1 - len(ids)
    assert f"{left} more layer" in text, "what is not worked is said"
    assert len(text.encode()) < BUDGET


def test_the_budget_holds_for_a_large_network_of_convolutions(tmp_path):
    s = subject(tmp_path, cnn(32), (1, 8, 8), ["0", "1", "6"])
    assert len(build(s).encode()) < BUDGET
    assert assets.vendored("vega.min.js") > "", "with the scripts of others in it"
