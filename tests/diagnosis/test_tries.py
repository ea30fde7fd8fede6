"""Fixes tried from Python: from the same start, with one change, and nothing else touched."""

import json

import numpy as np
import pytest

import chainrule
from builds import sharing_builds
from chainrule import nn, optim
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
    for row in found.rows():
        assert row[0] in text
        assert all(f">{cell}<" in html for cell in row[1:])
    held = json.loads(json.dumps(found.to_json()))
    assert held["changed"]["loss_last"] == found.other.last
    assert held["next"] is None


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
