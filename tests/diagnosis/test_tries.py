"""Fixes tried from Python: from the same start, with one change, and nothing else touched."""

import json

import numpy as np
import pytest

import chainrule
from builds import sharing_builds
from chainrule import nn, optim
from chainrule.data import DataLoader, TensorDataset
from chainrule.diagnosis import tries
from chainrule.errors import ArgumentError, ArgumentTypeError, NonFiniteError, StateError
from chainrule.ops.core import is_number
from chainrule.train import Run, Trainer, Watch
from chainrule.train.state import capture

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 4)).astype(np.float32)
DATA = X, X.sum(1, keepdims=True)


@pytest.fixture(autouse=True, scope="module")
def shared_builds():
    with sharing_builds():
        yield


def made(lr=30.0, kind=optim.Adam, schedule=None, watched=True, **settings):
    chainrule.manual_seed(7)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Tanh(),
                          nn.Linear(8, 1))  # fmt: skip
    optimizer = kind(model.parameters(), lr)
    scheduler = schedule and schedule(optimizer)
    watch = [Watch(10)] if watched else []
    return Trainer(model, nn.MSELoss(), optimizer, scheduler=scheduler, schedule_by="step",
                   callbacks=watch, **{"seed": 3, **settings})  # fmt: skip


def bits(trainer):
    held = capture(trainer)
    arrays = [np.array(t.detach()).tobytes() for t in held["model"].values()]
    return arrays, np.array(held["rng"]).tobytes(), repr(held["optimizer"]), held["loader"]


SETTINGS = [
    {"compile": False},
    *(pytest.param(x, marks=pytest.mark.slow) for x in (
        {}, {"seed": None}, {"accumulate": 2, "ema": 0.9, "clip_grad_norm": 5.0},
        {"schedule": lambda o: optim.lr_scheduler.WarmupCosineLR(o, 5, 60)},
        {"schedule": lambda o: optim.lr_scheduler.OneCycleLR(o, 30.0, 60)},
    )),
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=range(len(SETTINGS)))
def test_tries_begin_where_the_training_did_and_change_nothing(settings):
    trainer = made(**settings)
    trainer.fit(DATA, epochs=8, batch_size=16)
    before = bits(trainer)
    start = tries.of_trainer(trainer, 31)
    own = {x.step: (x.loss, x.probe) for x in trainer.callbacks[0].looks}
    again = {x.step: (x.loss, x.probe) for x in start.of({}).looks}
    common = own.keys() & again.keys()
    assert len(common) > 1
    assert [own[s] for s in common] == [again[s] for s in common], "bit for bit"
    tried = chainrule.try_fixes(trainer, steps=31)
    assert bits(trainer) == before
    trials = [t for of_one in tried.trials for t in of_one]
    slower = [t for t in trials if t.command.startswith("lr=")]
    assert slower
    assert all(t.outcome in ("gone", "no better", "unclear") for t in slower), tried
    assert any(t.loss_after < t.loss_before for t in slower)
    assert "tried" in str(tried)
    assert "tried" in tried._repr_html_()
    assert json.loads(json.dumps(tried.to_json()))["findings"][0]["tried"] is not None


@pytest.mark.slow
def test_a_function_gives_what_the_trainer_gives():
    trainer = made()
    trainer.fit(DATA, epochs=10, batch_size=16)
    of_trainer = chainrule.try_fixes(trainer, steps=60)
    state = np.array(chainrule.get_rng_state())
    of_function = chainrule.try_fixes(made, DATA, steps=60, batch_size=16)
    known = {f.title: t for f, t in zip(of_trainer.found, of_trainer.trials, strict=True)}
    both = [(t, known[f.title]) for f, t in zip(of_function.found, of_function.trials, strict=True)
            if f.title in known]  # fmt: skip
    assert both
    for mine, theirs in both:
        pairs = {t.command: t.loss_after for t in theirs}
        assert all(pairs.get(t.command, t.loss_after) == t.loss_after for t in mine)
    assert np.array_equal(chainrule.get_rng_state(), state)


def test_a_training_that_broke_off_is_tried():
    trainer = made(1e30, optim.SGD)
    with pytest.raises(NonFiniteError):
        trainer.fit(DATA, epochs=3)
    tried = chainrule.try_fixes(trainer, steps=40)
    place = [f.title for f in tried.found].index("exploding numbers")
    assert tried.trials[place][0].outcome == "gone"


@pytest.mark.slow
def test_every_setting_of_a_fix_reaches_the_training():
    start = tries.of_trainer(fitted(made(0.1, optim.SGD)), 20)
    base = start.of({})
    for changes in ({"lr": 0.01}, {"clip_grad_norm": 0.1}, {"momentum": 0.5}, {"weight_decay": 1.0},
                    {"optimizer": "adam", "lr": 3e-3}):  # fmt: skip
        other = start.of(changes)
        assert is_number(other.last)
        assert other.last != base.last, changes
        assert other.looks[0].probe == base.looks[0].probe, "the start is the same"
        if "lr" in changes:
            assert other.looks[0].lr == pytest.approx(changes["lr"])
    for changes in ({"init": "xavier"}, {"layers": [4]}, {"lr": 0.1, "activation": "relu"}):
        with pytest.raises(tries.UntriedError):
            start.of(changes)
    scheduled = made(0.1, schedule=lambda o: optim.lr_scheduler.StepLR(o, 2))
    with pytest.raises(tries.UntriedError):
        tries.of_trainer(fitted(scheduled), 20).of({"optimizer": "sgd"})


def fitted(trainer):
    trainer.fit(DATA, epochs=2)
    return trainer


def test_what_has_no_start_is_refused(tmp_path):
    twice = fitted(fitted(made(0.1)))
    for trainer in (made(), fitted(made(0.1, watched=False)), twice):
        with pytest.raises(StateError, match="the start of this training is not known"):
            chainrule.try_fixes(trainer)
    one = made(0.1)
    for source, data in ((3, DATA), (made, None), (lambda: twice, DATA), (lambda: 3, DATA),
                         (lambda: made(run=Run.create("r", tmp_path)), DATA)):  # fmt: skip
        with pytest.raises(ArgumentTypeError, match="try_fixes"):
            chainrule.try_fixes(source, data, steps=3)
    assert one.step == 0


def test_what_if_is_the_training_with_the_change_and_nothing_else():
    trainer = made(lr=0.01, compile=False)
    trainer.fit(DATA, epochs=6, batch_size=16)
    before = bits(trainer)
    found = chainrule.what_if(trainer, steps=12, lr=0.1)
    assert bits(trainer) == before
    again = made(lr=0.1, compile=False)
    again.fit(DATA, steps=12, batch_size=16)
    seen = {x.step: x.loss for x in found.other.looks}
    assert all(x.loss == seen[x.step] for x in again.callbacks[0].looks if x.step in seen)
    assert {x.step for x in again.callbacks[0].looks} & {*seen}
    assert found.base.first == found.other.first
    assert found.base.last != found.other.last
    by_function = chainrule.what_if(
        lambda **k: made(lr=0.01, compile=False, **k), DATA, steps=12, batch_size=16, lr=0.1, seed=4
    )
    assert by_function.base.last == found.base.last
    assert by_function.other.last != found.other.last, "the seed is handed to the function"
    text, html = str(found), found._repr_html_()
    assert max(map(len, text.split("verdict")[0].splitlines())) < 80
    for row in found.rows():
        assert row[0] in text
        assert all(f">{cell}<" in html for cell in row[1:])
    held = json.loads(json.dumps(found.to_json()))
    assert held["changed"]["loss_last"] == found.other.last
    assert [x["loss_after"] for x in held["next"]] == [x.after for x in found.following]
    assert f"loss after step {trainer.step + 1}" in text


FOLLOWED = {
    "plain": {}, "sgd": {"kind": optim.SGD}, "own generator": {"seed": None},
    "accumulate, ema, clip": {"accumulate": 2, "ema": 0.9, "clip_grad_norm": 0.5},
    "schedule": {"schedule": lambda o: optim.lr_scheduler.StepLR(o, 3, 0.8)},
    "compiled": {"compile": True},
}  # fmt: skip


@pytest.mark.parametrize("name", FOLLOWED)
def test_the_very_next_step_is_the_one_that_fit_makes(name):
    trainer = made(0.01, **{"compile": False, **FOLLOWED[name]})
    loader = DataLoader(trainer_data(), 16, shuffle=True)
    trainer.fit(loader, epochs=2)
    before, rng = bits(trainer), np.array(chainrule.get_rng_state())
    was, now = chainrule.what_if(trainer, steps=2, lr=0.1).following
    assert bits(trainer) == before
    assert np.array_equal(chainrule.get_rng_state(), rng)
    olds = {n: np.array(p.detach()) for n, p in trainer.model.named_parameters()}
    trainer.fit(loader, steps=1)
    tolerance = 1e-5 if name == "compiled" else 0
    assert was.step == now.step == trainer.step
    assert was.before == now.before == pytest.approx(trainer.loss_value, rel=tolerance)
    for layer in was.layers:
        weight = trainer.model.get_submodule(layer.name).weight
        old = olds[f"{layer.name}.weight"]
        change = np.linalg.norm(np.asarray(weight.detach()) - old)
        assert layer.update == pytest.approx(change, rel=max(tolerance, 1e-6))
        assert layer.weight == pytest.approx(np.linalg.norm(old), rel=1e-6)
        assert layer.grad == pytest.approx(trainer.grad_norm_of(weight), rel=tolerance)
    assert now.lr == pytest.approx(10 * was.lr)
    assert [x.grad for x in now.layers] == [x.grad for x in was.layers]
    assert [x.update for x in now.layers] == pytest.approx([10 * x.update for x in was.layers],
                                                           rel=1e-3)  # fmt: skip


def trainer_data():
    return TensorDataset(*map(chainrule.tensor, DATA))


def test_the_loss_after_the_next_step_is_that_of_the_moved_weights():
    chainrule.manual_seed(0)
    model = nn.Linear(4, 1, bias=False)
    trainer = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.01), callbacks=[Watch()],
                      compile=False)  # fmt: skip
    trainer.fit(DATA, epochs=1, batch_size=96, shuffle=False)
    x, y = (a.astype(np.float64) for a in DATA)
    w = np.array(model.weight.detach(), np.float64)
    g = 2 * (x @ w.T - y).T @ x / len(x)
    for one, lr in zip(chainrule.what_if(trainer, steps=1, lr=0.3).following, (0.01, 0.3),
                       strict=True):  # fmt: skip
        assert one.before == pytest.approx(np.mean((x @ w.T - y) ** 2), rel=1e-5)
        assert one.after == pytest.approx(np.mean((x @ (w - lr * g).T - y) ** 2), rel=1e-4)
        assert one.layers[0].update == pytest.approx(lr * np.linalg.norm(g), rel=1e-4)
        assert one.layers[0].ratio == pytest.approx(one.layers[0].update / np.linalg.norm(w))


def test_the_step_that_broke_a_training_off_is_the_next_one():
    trainer = made(1e30, optim.SGD, compile=False)
    with pytest.raises(NonFiniteError) as caught:
        trainer.fit(DATA, epochs=3)
    found = chainrule.what_if(trainer, steps=4, lr=0.01)
    was, now = found.following
    assert was.step == caught.value.step
    assert was.failed == caught.value.problem
    assert was.after is None
    assert now.failed is not None, "the weights are as the step before has left them"
    assert was.failed in str(found)
    json.dumps(found.to_json(), allow_nan=False)


def test_the_next_step_of_a_function_is_its_first():
    was, now = chainrule.what_if(
        lambda **k: made(lr=0.01, compile=False, **k), DATA, steps=2, lr=0.1, seed=4
    ).following
    assert was.step == now.step == 1
    assert was.before != now.before, "the seed shuffles"
    trainer = made(lr=0.01, compile=False)
    trainer.fit(DATA, steps=1)
    assert trainer.loss_value == was.before


def test_what_is_said_of_a_next_step():
    ended = made(
        0.01, compile=False, schedule=lambda o: optim.lr_scheduler.LinearLR(o, 1.0, 0.0, 6)
    )
    ended.fit(DATA, steps=6, batch_size=16)
    assert ended.lr == 0
    found = chainrule.what_if(ended, steps=2, lr=0.1)
    assert [x.lr for x in found.following] == pytest.approx([0.01, 0.1])
    assert "ended with an lr of 0: the step is one with 0.01" in found.note
    assert found.note in found._repr_html_()
    other = chainrule.what_if(fitted(made(0.01, compile=False)), steps=2, optimizer="sgd")
    assert "empty state" in other.note
    assert other.following[0].before == other.following[1].before


def test_a_training_with_weights_of_rows_is_tried_too():
    trainer = made(0.01, compile=False)
    weights = RNG.uniform(0, 2, 96)
    trainer.fit(DATA, epochs=2, batch_size=16, sample_weight=weights)
    found = chainrule.what_if(trainer, steps=12, lr=0.1)
    seen = {x.step: x.loss for x in trainer.callbacks[0].looks if x.loss is not None}
    again = {x.step: x.loss for x in found.base.looks}
    assert [again[s] for s in seen if s in again] == [v for s, v in seen.items() if s in again]
    assert found.following[0].step == 13


def test_what_if_refuses_what_is_no_change():
    trainer = made(lr=0.01, compile=False)
    trainer.fit(DATA, epochs=1)
    with pytest.raises(ArgumentError, match="no change"):
        chainrule.what_if(trainer)
    with pytest.raises(ArgumentError, match="activation is not a setting of a Trainer"):
        chainrule.what_if(trainer, activation="tanh")
    with pytest.raises(StateError, match="momentum is not a setting"):
        chainrule.what_if(trainer, momentum=0.9)
    with pytest.raises(ArgumentTypeError, match="trained again"):
        chainrule.what_if(made, lr=0.1)
