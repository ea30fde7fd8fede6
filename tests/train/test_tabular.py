"""Networks for tables: many as one against each alone, against the loop by hand, halving, folds."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import nn, ops, optim, tensor
from chainrule.data import Preprocessing, Schema
from chainrule.errors import (
    ArgumentError,
    ArgumentTypeError,
    IndexRangeError,
    NonFiniteError,
    ShapeError,
)
from chainrule.tensor.random import drawing_from
from chainrule.train import progress
from chainrule.train.tabular import (
    Member,
    Members,
    Recipe,
    TableFit,
    TabularData,
    TabularEnsemble,
    coslog,
    ends,
    find_rate,
    fit_tabular,
    flat_cos,
    folds,
    hold_out,
    successive_halving,
)
from chainrule.train.tabular.members import start

rng = np.random.default_rng(3)
X = rng.normal(size=(150, 4)).astype(np.float32)
C = rng.integers(0, 12, (150, 2))
C[:, 0] %= 3
LATENT = X[:, 0] - X[:, 1] * X[:, 2] + (C[:, 0] == 1)
SMALL = {"hidden": (24, 16), "batch_size": 32, "epochs": 15, "frequencies": 4}


def data(task="classification", **more):
    target = {
        "classification": np.digitize(LATENT, [-0.5, 0.7]),
        "regression": np.stack([1e4 + 3 * LATENT, X[:, 3]], 1),
        "multilabel": np.stack([LATENT > 0, X[:, 3] > 0.5], 1).astype(int),
    }[task]
    return TabularData(X, C, target, task=task, cardinalities=[3, 12], **more)


def recipe(task="classification", **more):
    return Recipe(**{**SMALL, **more}).of(task)


def members(count, task="classification", settings=None, **more):
    of = data(task, **more)
    pairs = folds(of, 5)
    each = [recipe(task, **s) for s in settings or [{}] * count]
    return of, [Member(*pairs[k % 5], k, r) for k, r in enumerate(each)]


def bits(model):
    return [np.asarray(t.detach()) for t in (*model.parameters(), *model.buffers())]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.floats(0.05, 0.95))
def test_every_class_is_on_both_sides(sizes, share):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    if not 0 < round(len(labels) * share) < len(labels):
        with pytest.raises(ArgumentError, match="too few rows"):
            hold_out(labels, len(labels), share)
        return
    pairs = [hold_out(labels, len(labels), share)]
    of = TabularData(np.zeros((len(labels), 1)), None, labels)
    pairs += folds(of, 2) if len(labels) > 1 else []
    for learned, held in pairs:
        assert sorted([*learned, *held]) == list(range(len(labels)))
        for label, size in enumerate(sizes):
            if size > 1:
                assert label in labels[learned]
                assert label in labels[held]


CASES = {
    "classes": ("classification", None, {}),
    "labels": ("multilabel", None, {}),
    "numbers": ("regression", None, {}),
    "weights": ("classification", None, {"weight": rng.uniform(0, 2, 150)}),
    "own settings": ("classification",
                     [{"lr": 0.1}, {"dropout": 0.0, "weight_decay": 0.5}, {"label_smoothing": 0.3}],
                     {}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == "own settings" else pytest.mark.slow) for n in CASES]
)
def test_a_member_is_the_network_that_comes_of_it_alone(name):
    task, settings, more = CASES[name]
    of, listed = members(3, task, settings, **more)
    together = Members(of, listed, 9)
    together.run(4)
    together = together.only([2, 0])  # who stays goes on as if nothing had been
    together.run(6)
    for place, k in enumerate((2, 0)):
        alone = Members(of, [listed[k]], 9)
        alone.run(6)
        wanted = bits(alone.finished())
        found = bits(together.finished())
        assert all((w[0] == f[place]).all() for w, f in zip(wanted, found, strict=True))
        assert alone.best[0] == together.best[place]
        assert alone.best_epoch[0] == together.best_epoch[place]
    assert together.step.traces == together.outputs.traces == 1  # schedules compile nothing


@pytest.mark.parametrize(
    "task", ["classification", pytest.param("regression", marks=pytest.mark.slow)]
)
def test_it_is_the_loop_that_one_would_write_by_hand(task):
    """PyTorch's way: param groups, AdamW, a loss; with the schedules set before every step."""
    of, (member,) = members(1, task, [{"lr": 0.02}])
    together = Members(of, [member], 9)
    model = start(of, member, together.seeds[0])
    groups = model.parameter_groups(1.0, 1.0)
    optimizer = optim.AdamW(groups, betas=(0.9, 0.95))
    factors = [(g["lr"], g["weight_decay"]) for g in optimizer.param_groups]
    settings, steps = member.recipe, together.steps_an_epoch
    total = settings.epochs * steps
    model.train()
    losses = []
    with drawing_from(chainrule.Generator().manual_seed(9)):
        for step in range(3 * steps):
            t = step / total
            for g, (a, b) in zip(optimizer.param_groups, factors, strict=True):
                g["lr"] = settings.lr * coslog(t) * a
                g["weight_decay"] = settings.weight_decay * flat_cos(t) * b
            for layer in model.drop:
                layer.rate.fill_(settings.dropout * flat_cos(t))
            order = together.samplers[0].order(step // steps)
            rows = member.train[order][step % steps * 32 :][:32]
            z = model(tensor(X[rows]), tensor(C[rows]))
            if task == "classification":
                loss = nn.functional.cross_entropy(z, tensor(of.target[rows]), label_smoothing=0.1)
            else:
                wanted = model.target.normalized(of.target[rows]).astype(np.float32)
                loss = nn.functional.mse_loss(z, tensor(wanted))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    together.run(3)
    found = [row["loss"][0] for row in together.history]
    wanted = np.mean(np.reshape(losses, (3, steps)), 1)
    np.testing.assert_allclose(found, wanted, rtol=2e-3 if task == "regression" else 2e-4)


@pytest.mark.slow
def test_the_rate_that_is_logged_is_that_of_the_last_step(monkeypatch):
    made, settings = {}, Members._settings

    def noted(self, count):
        made[self.epoch] = settings(self, count)
        return made[self.epoch]

    monkeypatch.setattr(Members, "_settings", noted)
    table = {"x": X[:, 0], "y": np.where(LATENT > 0, "a", "b")}
    fit = TableFit(table, "y", recipe=recipe(epochs=5, lr=0.3))
    fit.run()
    last = [t[-1, 0, 0] for t in made.values()]
    assert [r["lr"] for r in fit.rows] == pytest.approx(last, rel=1e-6)
    assert len({r["lr"] for r in fit.rows}) == 5


def test_the_weights_of_the_best_epoch_answer():
    of = data()
    ensemble = fit_tabular(of, recipe(), members=5, seed=1)
    assert len(ensemble) == 5
    for k, (_, held_out) in enumerate(folds(of, 5, 1)):
        answers = ensemble.predict_members(X[held_out], C[held_out])[k]
        assert (answers.argmax(1) != of.target[held_out]).mean() == ensemble.scores[k]
        rows = [row["score"][k] for row in ensemble.history]
        assert ensemble.scores[k] == min(rows)
        assert ensemble.best_epochs[k] == max(i + 1 for i, s in enumerate(rows) if s == min(rows))
    assert (ensemble.predict(X, C) == of.target).mean() > 0.7
    proba = ensemble.predict_proba(X, C)
    np.testing.assert_allclose(proba.sum(1), 1.0, rtol=1e-6)
    few, most = ensemble.predict_proba(X[:1], C[:1]), ensemble.predict_proba(X[:99], C[:99])
    np.testing.assert_allclose(few, proba[:1], rtol=1e-5)  # rows are on their own
    assert (most == proba[:99]).all()
    again = TabularEnsemble.from_state(
        json.loads(json.dumps(ensemble.config)),
        {k: v.numpy().copy() for k, v in ensemble.state_dict().items()},
    )
    assert (again.predict_proba(X, C) == proba).all()


@pytest.mark.slow
def test_a_regression_learns_in_the_units_of_its_target():
    of = data("regression")
    model = fit_tabular(of, recipe("regression", epochs=40), members=1)
    found = model.predict(X, C)
    assert ((found - of.target) ** 2).mean(0)[1] < 0.3 * of.target[:, 1].var()
    assert ((found - of.target) ** 2).mean(0)[0] < 0.3 * of.target[:, 0].var()
    assert (found.max(0) <= of.target.max(0) + 1e-2).all()


@pytest.mark.slow
def test_labels_are_answered_one_by_one():
    of = data("multilabel")
    model = fit_tabular(of, recipe("multilabel"), members=1)
    assert (model.predict(X, C) == of.target).mean() > 0.8


@pytest.mark.slow
def test_the_same_bits_at_any_number_of_threads():
    found = []
    before = chainrule.get_num_threads()
    for threads in (1, 2, 2):
        chainrule.set_num_threads(threads)
        found.append(bits(fit_tabular(data(), recipe(epochs=3), members=2, seed=4).model))
    chainrule.set_num_threads(before)
    for again in found[1:]:
        assert all((a == b).all() for a, b in zip(found[0], again, strict=True))
    other = bits(fit_tabular(data(), recipe(epochs=3), members=2, seed=5).model)
    assert not all((a == b).all() for a, b in zip(found[0], other, strict=True))


def test_patience_ends_a_fit_and_all_rows_may_be_learned_from():
    short = fit_tabular(data(), recipe(epochs=200, lr=0.0, patience=3), members=1)
    assert len(short.history) < 200
    whole = fit_tabular(data(), recipe(epochs=3), splits=[(range(150), None)])
    assert whole.scores == whole.best_epochs == []
    assert whole.history[-1]["score"] is None


@pytest.mark.slow
def test_halving_finds_what_the_winner_alone_would_be():
    of = data()
    configs = [{"lr": lr} for lr in (0.0, 0.03, 0.06, 1e30)] + [{"hidden": (8,), "lr": 0.03}]
    splits = folds(of, 5)[:2]
    rungs = []
    found = successive_halving(configs, of, recipe(), splits=splits, seed=2, on_rung=rungs.append)
    assert [row["epochs"] for row in found.table] == [15, 7, 3, 1, 1]
    assert [len({r["epochs"] for r in rows}) for rows in rungs] == [1, 2, 3, 4]
    assert found.table[-1]["settings"]["lr"] in (0.0, 1e30)
    assert found.best == configs[found.table[0]["config"]]
    assert found.ensemble.scores == pytest.approx([found.table[0]["score"]] * 2, abs=0.2)
    assert np.mean(found.ensemble.scores) == found.table[0]["score"]
    alone = fit_tabular(of, recipe(**found.best), splits=splits, seed=2)
    assert all((a == b).all() for a, b in zip(bits(alone.model), bits(found.ensemble.model),
                                             strict=True))  # fmt: skip
    assert "epochs  settings" in repr(found)


def test_from_a_table_to_answers():
    table = chainrule.data.penguins()
    prep = Preprocessing.fit(table, Schema.infer(table, "species"))
    arrays = prep.transform(table)
    of = TabularData(arrays.numeric, arrays.categorical, arrays.target,
                     cardinalities=prep.cardinalities)  # fmt: skip
    model = fit_tabular(of, recipe(), members=1)
    assert (model.predict(arrays.numeric, arrays.categorical) == arrays.target).mean() > 0.97
    unseen = np.zeros_like(arrays.categorical)
    assert (model.predict(arrays.numeric, unseen) == arrays.target).mean() > 0.9


def test_how_far_answering_is_may_be_followed():
    """In columns while they are prepared, in rows while they are answered."""
    table = chainrule.data.penguins()
    model = TableFit(table, "species", recipe=Recipe(epochs=1, hidden=(3,)), folds=2).run()
    columns = model.preprocessing.blocks
    for many in (1, len(table), 3 * len(table)):
        seen, told = [], []
        taken = table.take(np.arange(many) % len(table))
        arrays = model.preprocessing.transform(taken, progress=lambda *at, to=seen: to.append(at))
        scores = model.of_arrays(
            arrays.numeric, arrays.categorical, progress=lambda *at, to=told: to.append(at)
        )
        assert np.array_equal(scores, model.scores(taken))
        for found, end in ((seen, len(columns)), (told, many)):
            assert [total for _, total in found] == [end] * len(found)
            assert [done for done, _ in found] == sorted({done for done, _ in found})
            assert found[-1][0] == end


@given(classes=st.lists(st.integers(0, 4), min_size=2, max_size=60), count=st.integers(2, 12),
       seed=st.integers(0, 9))  # fmt: skip
def test_every_row_is_held_out_once_and_every_class_evenly(classes, count, seed):
    count = min(count, len(classes))
    of = TabularData(np.zeros((len(classes), 1)), None, np.array(classes))
    pairs = folds(of, count, seed)
    together = np.concatenate([held_out for _, held_out in pairs])
    assert sorted(together.tolist()) == list(range(len(classes)))
    for train, held_out in pairs:
        assert sorted([*train, *held_out]) == list(range(len(classes)))
        assert abs(len(held_out) - len(classes) / count) < 1
        for c in set(classes):
            assert abs((of.target[held_out] == c).sum() - classes.count(c) / count) < 1
    assert all((a == b).all() for a, b in zip(pairs[0], folds(of, count, seed)[0], strict=True))


def test_waves_end_where_the_rate_is_zero():
    assert ends(1500) == [100, 300, 700, 1500]
    assert [coslog(e / 1500) for e in ends(1500)] == pytest.approx([0.0] * 4, abs=1e-12)
    assert ends(2) == [2]


def test_weights_are_drawn_once_where_others_are_given(monkeypatch):
    """A network with many columns draws millions of numbers: stacking, choosing and loading none.

    Members start with a draw each; what is made of them takes theirs.
    """
    drawn = []
    forward = type(ops.normal).forward

    def counted(self, state, *, shape, dtype):
        drawn.append(math.prod(shape))
        return forward(self, state, shape=shape, dtype=dtype)

    monkeypatch.setattr(type(ops.normal), "forward", counted)
    alone = start(data(), Member(np.arange(100), None, 0, recipe()), 5)
    once, drawn[:] = sum(drawn), []
    normal = [
        p
        for n, p in alone.named_parameters()
        if n.endswith(("frequency", "table1")) or (n[:6] == "linear" and "bias" not in n)
    ]
    assert once == sum(p.numel() for p in normal)
    ensemble = fit_tabular(data(), recipe(epochs=2), members=3)
    assert sum(drawn) == 3 * once
    drawn.clear()
    TabularEnsemble.from_state(ensemble.config, ensemble.state_dict())
    nn.TabularMLP.stacked([ensemble.model.member(k) for k in (0, 2)])
    assert not drawn


def test_a_bar_is_drawn_where_it_is_asked_for(capsys, monkeypatch):
    monkeypatch.setattr(progress, "BEGINS_S", 0.0)
    fit_tabular(data(), recipe(epochs=2), members=1)
    assert capsys.readouterr().err == ""
    fit_tabular(data(), recipe(epochs=2), members=1, progress=True)
    assert "epochs" in capsys.readouterr().err


def broken(**more):
    whole = {"numeric": X, "categorical": C, "target": data().target, "cardinalities": [3, 12]}
    return lambda: TabularData(**{**whole, **more})


def with_a(value, array=X):
    array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    array[7, 1] = value
    return array


BAD = {
    "nan": (broken(numeric=with_a(np.nan)), NonFiniteError, "row 7, column 1"),
    "too large": (broken(numeric=with_a(1e300)), NonFiniteError, "row 7"),
    "text": (broken(numeric=X.astype(str)), ArgumentTypeError, "numbers"),
    "rows": (broken(target=[0, 1]), ShapeError, "150 rows"),
    "category": (broken(categorical=with_a(12, C)), IndexRangeError, "12 in row 7"),
    "cardinalities": (broken(cardinalities=[3]), ShapeError, "cardinalities"),
    "nothing": (broken(numeric=None, categorical=None, cardinalities=[]), ArgumentError, "columns"),
    "class": (broken(target=np.full(150, -1)), IndexRangeError, "class"),
    "one class": (lambda: fit_tabular(broken(target=np.ones(150, int))()), ArgumentError,
                  "one class(.|\n)*1 in all 150 rows"),
    "amounts": (broken(target=LATENT), ArgumentTypeError, "150 different values"),
    "labels": (broken(task="multilabel", target=np.full(150, 2)), ArgumentError, "0 or 1"),
    "weight": (broken(weight=-np.ones(150)), ArgumentError, "weights"),
    "task": (broken(task="ranking"), ArgumentError, "classification"),
    "setting": (lambda: successive_halving([{"rate": 1}], data()), ArgumentError, "rate"),
    "no configs": (lambda: successive_halving([], data()), ArgumentError, "settings"),
    "epochs": (lambda: successive_halving([{"epochs": 3}, {"epochs": 4}], data()), ArgumentError,
               "3, 4"),
    "folds": (lambda: folds(data(), 151), ArgumentError, "150"),
    "split": (lambda: fit_tabular(data(), splits=[([0, 1], [1, 2])]), ArgumentError, "row 1"),
    "row": (lambda: fit_tabular(data(), splits=[([150], None)]), IndexRangeError, "149"),
    "diverged": (lambda: fit_tabular(data("regression"), recipe("regression", lr=1e30, epochs=3),
                                     members=1), NonFiniteError, "lower lr"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_said(name):
    make, error, match = BAD[name]
    with pytest.raises(error, match=match):
        make()


@pytest.mark.slow
def test_a_rate_is_tried_as_the_network_that_it_makes_alone():
    """Far too low and far too high rates lose, and each trial is the fit that has that rate."""
    table = {"a": X[:, 0], "b": X[:, 1], "y": 2 * X[:, 0] + X[:, 1]}
    own = Recipe(hidden=(8,), batch_size=32)
    fit = TableFit(table, "y", recipe=own)
    found = find_rate(fit, lowest=1e-4, highest=50.0, steps=12)
    losses = [t.loss for t in found.trials]
    assert min(losses) < 0.5 * losses[0]
    assert 1e-3 < found.suggestion < 10
    epochs = found.steps // fit.members.steps_an_epoch
    place = int(np.argmin(losses))
    chosen = replace(own, lr=found.trials[place].lr, epochs=epochs, metric="loss")
    alone = TableFit(table, "y", recipe=chosen)
    alone.run()
    assert alone.members.best == [losses[place]]
    for k in range(1, len(losses) - 1):
        assert found.trials[k].near == pytest.approx(sum(losses[k - 1 : k + 2]) / 3)
    several = TableFit(table, "y", recipe=own, folds=3)
    tried = find_rate(several, lowest=1e-4, highest=50.0, steps=12)
    folds = TableFit(table, "y", recipe=chosen, folds=3)
    folds.run()
    assert tried.steps // several.members.steps_an_epoch == epochs
    assert tried.trials[place].loss == pytest.approx(sum(folds.members.best) / 3)
    noise = TableFit({"a": X[:, 0], "y": X[:, 3]}, "y", recipe=own)
    assert find_rate(noise, lowest=100.0, highest=1e4, steps=12).suggestion is None
    with pytest.raises(ArgumentError, match="below highest"):
        find_rate(fit, lowest=2.0, highest=1.0)


def test_more_columns_than_memory_are_refused_before_networks_are_made(monkeypatch):
    table = {f"c{i}": np.arange(12.0) * i % 7 for i in range(1, 30)} | {"y": list("ab") * 6}
    monkeypatch.setattr("chainrule.data.tables.table.free_bytes", lambda: 1 << 20)
    monkeypatch.setattr("chainrule.train.tabular.fitting.Members", None)
    with pytest.raises(MemoryError, match="fewer columns"):
        chainrule.train.tabular.TableFit(table, "y")
