"""Every check finds its fault, passes a sound model, and leaves everything as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.diagnosis.before import preflight
from chainrule.diagnosis.bench import Bench, undisturbed
from chainrule.diagnosis.checks import CHECKS, OneBatch
from chainrule.errors import ArgumentError, ArgumentTypeError
from chainrule.ops.core import REGISTRY


def rows(count=32, features=3):
    x = chainrule.randn(count, features)
    return x, (x.sum(1) > 0).to(chainrule.int64)


def net(width=8, activation=nn.Tanh):
    return nn.Sequential(nn.Linear(3, width), activation(), nn.Linear(width, 2))


def bench(model=None, batch=None, loss=None, **parts):
    x, y = rows() if batch is None else batch
    return Bench(model or net(), loss or nn.CrossEntropyLoss(), (x,), y, **parts)


def outcome(name, on):
    with undisturbed():
        return CHECKS[name]().run(on)


class Leaky(nn.Module):
    """Mixes the examples: a softmax along the wrong axis."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 2)

    def forward(self, x):
        return self.a(x).softmax(0)


class Blind(nn.Module):
    """Its inputs never arrive."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.b(chainrule.tanh(self.a(x * 0.0)))


class Detached(Blind):
    """No gradient comes back to the first layer."""

    def forward(self, x):
        return self.b(chainrule.tanh(self.a(x)).detach())


class Rows(nn.Module):
    """A reshape that takes two examples as one."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 2)

    def forward(self, x):
        return self.a(x.reshape(-1, 6))


def scaled(factor):
    model = net()
    with chainrule.no_grad():
        model[2].weight.mul_(factor)
    return model


def constant():
    model = net()
    with chainrule.no_grad():
        for p in model.parameters():
            p.fill_(0.1)
    return model


def dead():
    model = net(activation=nn.ReLU)
    with chainrule.no_grad():
        model[0].bias.fill_(-100.0)
    return model


def half_optimized():
    model = net()
    return bench(model, optimizer=optim.SGD(model[0].parameters(), 0.1))


def stepping(zero, step=True):
    model = net()
    loss, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.1)

    def train_step(x, y):
        if zero:
            optimizer.zero_grad()
        loss(model(x), y).backward()
        if step:
            optimizer.step()

    return bench(model, step=train_step)


x, y = np.ones((4, 3), np.float32), np.array([0, 1, 0, 1])
NAN = chainrule.tensor(np.where(np.arange(96).reshape(32, 3) == 5, np.nan, 1).astype(np.float32))

FAULTS = {
    "inputs": [
        ("error", lambda: bench(batch=(NAN, rows()[1]))),
        ("warning", lambda: bench(batch=(rows()[0] * 1000, rows()[1]))),
        ("warning", lambda: bench(batch=(rows()[0] * 1e-4, rows()[1]))),
    ],
    "loss-at-init": [
        ("warning", lambda: bench(scaled(100.0))),
        ("warning", lambda: bench(scaled(1.0), loss=nn.MSELoss(), batch=(
            rows()[0], chainrule.randn(32, 2) + 10))),
    ],
    "unchanged-weight": [
        ("error", lambda: bench(Detached())), ("error", half_optimized),
        ("error", lambda: bench(net().requires_grad_(False))), ("warning", lambda: bench(dead())),
    ],
    "symmetry": [("error", lambda: bench(constant()))],
    "batch-leak": [("error", lambda: bench(Leaky())), ("error", lambda: bench(Rows()))],
    "overfit-one-batch": [
        ("error", lambda: bench(Blind())),
        ("error", lambda: bench(net().requires_grad_(True), batch=(rows()[0] * 0, rows()[1]))),
    ],
    "grads-not-zeroed": [
        ("error", lambda: stepping(zero=False)), ("error", lambda: stepping(True, step=False)),
    ],
}  # fmt: skip


LONG = {"overfit-one-batch": [pytest.mark.slow]}


@pytest.mark.parametrize(
    ("name", "state", "make"),
    [pytest.param(n, s, m, marks=LONG.get(n, [])) for n, held in FAULTS.items() for s, m in held],
)
def test_faults_are_found(name, state, make):
    found, text, fix = outcome(name, make())
    assert (found, bool(text), bool(fix)) == (state, True, True), text


def test_a_wrong_rule_is_found(monkeypatch):
    op = REGISTRY["tanh"]
    monkeypatch.setattr(type(op), "vjp", lambda self, g, y, x: (g * (1.0 - y),))
    state, text, fix = outcome("gradcheck", bench())
    assert state == "error"
    assert text
    assert fix


def test_every_check_has_a_fault():
    assert set(FAULTS) | {"gradcheck"} == set(CHECKS)


@pytest.mark.parametrize("name", CHECKS)
def test_a_sound_model_passes(name):
    on = stepping(zero=True) if name == "grads-not-zeroed" else bench()
    assert outcome(name, on)[0] == "ok", outcome(name, on)[1]


@pytest.mark.slow
def test_models_of_many_kinds_pass():
    tokens = chainrule.tensor(np.random.default_rng(0).integers(0, 9, (32, 5)))
    label = chainrule.tensor(np.asarray(tokens).sum(1) % 3)
    text = nn.Sequential(nn.Embedding(9, 16), nn.Flatten(), nn.Linear(80, 3))
    images = chainrule.randn(32, 1, 6, 6)
    picture = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(128, 3),
    )  # fmt: skip
    x = chainrule.randn(64, 4)
    number = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
    target = x.sum(1, keepdim=True)
    for model, loss, given, wanted in [
        (text, nn.CrossEntropyLoss(), tokens, label),
        (picture, nn.CrossEntropyLoss(), images, label),
        (number, nn.MSELoss(), x, target), (number, nn.functional.l1_loss, x, target),
    ]:  # fmt: skip
        found = preflight(model, loss, given, wanted)
        assert found.ok, str(found)
        assert found.seconds < 30


def test_everything_is_left_as_it_was(monkeypatch):
    monkeypatch.setattr(OneBatch, "steps", 2)
    model, (x, y) = net(), rows()
    model.train()
    model[0].weight.grad = chainrule.ones(8, 3)
    before = {n: np.array(v) for n, v in model.state_dict().items()}
    state = np.array(chainrule.get_rng_state())
    optimizer = optim.SGD(model.parameters(), 0.1)
    loss = nn.CrossEntropyLoss()
    found = preflight(model, loss, x, y, optimizer=optimizer)
    assert [o.id for o in found] == list(CHECKS)
    assert all(np.array_equal(before[n], np.asarray(v)) for n, v in model.state_dict().items())
    assert np.array_equal(np.asarray(model[0].weight.grad), np.ones((8, 3)))
    assert np.array_equal(state, np.asarray(chainrule.get_rng_state()))
    assert all(m.training for m in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert json.loads(json.dumps(found.to_json()))["ok"] is found.ok
    assert "gradcheck" in str(found)
    assert "<strong>" in found._repr_html_()


def test_a_model_that_does_not_run_fails_and_says_why(monkeypatch):
    monkeypatch.setattr(OneBatch, "steps", 2)
    x, y = rows(features=4)
    found = preflight(net(), nn.CrossEntropyLoss(), x, y)
    assert not found.ok
    assert "can't be run" in found["loss-at-init"].text


def test_an_error_of_the_model_is_told(monkeypatch):
    class Broken(nn.Linear):
        def forward(self, x):
            raise KeyError("<b>lost</b>")

    found = preflight(Broken(3, 2), nn.CrossEntropyLoss(), *rows())
    assert "KeyError" in found["symmetry"].text
    assert "<b>" not in found._repr_html_()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ((3, None, x, y), ArgumentTypeError), ((nn.Linear(3, 2), 3, x, y), ArgumentTypeError),
        ((nn.Linear(3, 2), nn.MSELoss(), x, y[:2]), ArgumentError),
        ((nn.Linear(3, 2), nn.MSELoss(), x[:0], y[:0]), ArgumentError),
    ],
)  # fmt: skip
def test_odd_arguments_are_refused(given, error):
    with pytest.raises(error, match="preflight"):
        preflight(*given)


def test_an_odd_optimizer_is_refused():
    with pytest.raises(ArgumentTypeError, match="optimizer"):
        preflight(nn.Linear(3, 2), nn.MSELoss(), x, y, optimizer=3)
