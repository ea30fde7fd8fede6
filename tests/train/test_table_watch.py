"""TableWatch: what a look at a table's fit says, and that it leaves the fit as it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chainrule import tensor
from chainrule.diagnosis import RULES, diagnose
from chainrule.errors import ArgumentError
from chainrule.train import Run
from chainrule.train.alike import compared
from chainrule.train.tabular import Recipe, TableFit, TableWatch
from chainrule.train.tabular.resuming import PARTS
from chainrule.train.watch import read_looks

pytestmark = pytest.mark.slow

rng = np.random.default_rng(7)
X = rng.normal(size=(120, 3)).astype(np.float32)
KIND = np.array(["u", "v", "w"])[(X[:, 0] > 0) * 1 + (X[:, 1] > 1)]
TABLES = {
    "classes": {"a": X[:, 0], "k": KIND, "y": np.where(X[:, 1] > 0, "yes", "no")},
    "amounts": {"a": X[:, 0], "b": X[:, 1], "y": 50 + 3 * X[:, 0] + X[:, 2]},
    "labels": {"a": X[:, 0], "b": X[:, 1], "y": np.where(X[:, 0] > 0, "p;q", "q;r")},
}  # fmt: skip


def fit(kind="classes", folds=2, **more):
    recipe = Recipe(**{"hidden": (8, 6), "batch_size": 16, "epochs": 12, **more})
    return TableFit(TABLES[kind], "y", recipe=recipe, folds=folds)


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("every", [1, 4, None])
def test_a_watched_fit_ends_with_the_same_bits(tmp_path, kind, every):
    alone, watched = Run.create("alone", tmp_path), Run.create("watched", tmp_path)
    fit(kind).run(alone)
    watch = TableWatch(every)
    fit(kind).run(watched, watch=watch)
    assert [p.name for p in compared(alone, watched, PARTS) if p.differ] == []
    assert len(watch.looks) > 2
    assert read_looks(watched.path) == watch.looks
    assert watched.result["watch_looks"] == len(watch.looks)
    assert [look.closing for look in watch.looks[-2:]] == [False, True]


@pytest.mark.parametrize("kind", TABLES)
def test_a_look_is_the_first_network_before_and_after_the_step(kind):
    made, watch, seen = fit(kind), TableWatch(5), {}

    def see(steps):
        net = made.members.model.member(0)
        seen[steps[-1]] = {n: m.weight.detach().numpy().copy() for n, m in net.named_modules()
                           if n.startswith("linear.")}  # fmt: skip

    see(range(1))
    made.run(watch=watch, on_steps=see, every_steps=1)
    looks = [look for look in watch.looks if not look.closing]
    assert [look.step for look in looks][:3] == [1, 2, 6]
    for look in looks:
        for name, before in seen[look.step - 1].items():
            layer, after = look.layer(name), seen[look.step][name]
            assert layer.weight == pytest.approx(np.linalg.norm(before), rel=1e-5)
            assert layer.update == pytest.approx(np.linalg.norm(after - before), rel=1e-4)
            assert layer.activation in ("ParametricActivation", None)
            assert layer.grad > 0
            assert math.isfinite(look.loss)
    assert looks[0].lr == 0.0  # a wave begins with it
    assert not any("scaling" in x.name for look in looks for x in look.layers)


def test_the_last_look_is_at_the_weights_that_answer():
    made, watch = fit("amounts", 1, lr=0.5), TableWatch()
    model = made.run(watch=watch)
    net = model.networks.model.member(0)
    last = watch.looks[-1]
    for name, module in net.named_modules():
        if name.startswith("linear."):
            norm = np.linalg.norm(module.weight.detach().numpy())
            assert last.layer(name).weight == pytest.approx(norm, rel=1e-5)
    assert last.probe == pytest.approx(_loss(made, net), rel=1e-3)


def _loss(made, net):
    """The mean squared error on the probe's rows, in deviations."""
    rows = made.members.members[0].train
    rows = rows[np.arange(min(128, len(rows))) * len(rows) // min(128, len(rows))]
    mean, std = (getattr(net.target, n).numpy() for n in ("mean", "std"))
    net.target = None
    z = net(tensor(made.data.numeric[rows]), None).detach().numpy()
    return float(((z - (made.data.target[rows] - mean) / std) ** 2).mean())


def test_looks_of_a_resumed_fit_go_on_where_it_does(tmp_path):
    whole, run = Run.create("whole", tmp_path), Run.create("r", tmp_path)
    fit().run(whole, watch=TableWatch(5))
    fit().run(run, watch=TableWatch(5), steps=13)
    assert read_looks(run.path)[-1].closing
    rest = fit()
    rest.resume(run)
    rest.run(run, watch=TableWatch(5))
    wanted, found = ([(x.step, x.loss, x.probe, x.lr) for x in read_looks(r.path)]
                     for r in (whole, run))  # fmt: skip
    assert found == wanted


def test_a_fit_that_was_broken_off_has_the_few_looks_of_one_that_went_through(tmp_path):
    whole, run = Run.create("whole", tmp_path), Run.create("r", tmp_path)
    fit(epochs=80).run(whole, watch=TableWatch())
    first = fit(epochs=80)
    first.run(run, watch=TableWatch(), every_steps=1,
              on_steps=lambda steps: first.stop("enough") if steps[-1] == 13 else None)  # fmt: skip
    rest = fit(epochs=80)
    rest.resume(run)
    rest.run(run, watch=TableWatch())
    wanted, found = ([(x.step, x.probe) for x in read_looks(r.path)] for r in (whole, run))
    assert found == wanted
    assert len(wanted) == 3


def test_rules_are_asked_of_a_table_and_find_what_is_planted(tmp_path):
    healthy, wild = Run.create("healthy", tmp_path), Run.create("wild", tmp_path)
    fit("amounts", epochs=60).run(healthy, watch=TableWatch(10))
    said = diagnose(healthy)
    assert said.healthy, str(said)
    lacking = {"loss-at-init", "dead-relu", "saturated", "overfit"}  # mish, and no validation loss
    assert set(RULES) - set(said.asked) == set(said.skipped) == lacking | {"batch-leak", "held-out"}
    fit("amounts", epochs=60, lr=50.0).run(wild, watch=TableWatch(10))
    assert "update-ratio" in [f.id for f in diagnose(wild)]


def test_a_distance_must_be_a_number_of_steps():
    for every in (0, 1.5, True):
        with pytest.raises(ArgumentError, match="whole number"):
            TableWatch(every)
