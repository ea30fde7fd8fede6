"""The metric that a table's fit is given chooses: best epochs, when to stop, the best settings."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.data import Schema, read_table
from chainrule.errors import ArgumentError
from chainrule.train import Run
from chainrule.train.metrics import METRICS, over_labels
from chainrule.train.tabular import (
    Member,
    Members,
    Recipe,
    TableFit,
    TabularData,
    fit_tabular,
    folds,
    judging,
    successive_halving,
)
from chainrule.train.tabular import members as training
from chainrule.train.tabular.judging import MEASURES, OF_TASK, OWN, score, turn

rng = np.random.default_rng(3)
X = rng.normal(size=(140, 4)).astype(np.float32)
LATENT = X[:, 0] - X[:, 1] * X[:, 2] + rng.normal(size=140)
TARGETS = {
    "classification": np.digitize(LATENT, np.linspace(-2, 2, 5)),
    "regression": np.stack([1e4 + 300 * LATENT, X[:, 3] + rng.normal(size=140)], 1),
    "multilabel": np.stack([LATENT > 0, X[:, 3] > 0.5, LATENT > 1.5], 1).astype(int),
}
CASES = [(task, name) for task, names in OF_TASK.items() for name in (*OWN, *names)]
QUICK = Recipe(hidden=(8,), batch_size=32, epochs=12, frequencies=4)


def data(task="classification"):
    return TabularData(X, None, TARGETS[task], task=task)


def better(metric, a, b):
    return a > b if metric not in OWN and METRICS[metric].higher_is_better else a < b


def best_epoch(metric, values):
    """The last of the equally best."""
    best = 0
    for i, value in enumerate(values):
        best = best if better(metric, values[best], value) else i
    return best + 1


@pytest.mark.slow
@pytest.mark.parametrize("task", OF_TASK)
def test_the_chosen_epoch_is_the_best_of_the_history(task):
    """For every metric of the registry: and the weights kept have its value."""
    of, made, losses = data(task), {}, []
    pairs, longer = folds(of, 2), replace(QUICK, hidden=(32,), epochs=40)
    for metric in (*OWN, *OF_TASK[task]):
        found = fit_tabular(of, replace(longer, metric=metric), splits=pairs, seed=1)
        made[metric] = found.best_epochs
        losses.append([row["loss"] for row in found.history])
        for k, (_, held) in enumerate(pairs):
            values = [row["score"][k] for row in found.history]
            assert found.best_epochs[k] == best_epoch(metric, values)
            assert found.scores[k] == values[found.best_epochs[k] - 1]
            z = found.predict_members(X[held])[k].astype(np.float64)
            if task != "regression":
                z = np.log(z) if task == "classification" else np.log(z / (1 - z))
            assert score(of, z, held, metric) == pytest.approx(found.scores[k], rel=1e-4)
    assert all(course == losses[0] for course in losses), "what is learned is the same"
    assert len({tuple(epochs) for epochs in made.values()}) > 1, (
        "metrics differ in what they choose"
    )


@pytest.mark.parametrize(("task", "metric"), CASES)
def test_a_score_is_the_metric_of_the_held_out_rows(task, metric):
    of, rows = data(task), np.arange(10, 90)
    z = rng.normal(size=(80, of.num_outputs)).astype(np.float32)
    if task == "regression":
        z = (of.target[rows] + z).astype(np.float32)
    found, y = score(of, z, rows, metric), of.target[rows]
    assert type(found) is float
    if metric in OWN:
        return
    if task == "multilabel":
        assert found == over_labels(metric, z.astype(float), y)
        return
    judge = METRICS[metric]()
    judge.update(z.astype(float), y)
    assert found == judge.compute()


def test_every_metric_has_a_direction():
    assert set(MEASURES) == {*OWN, *(name for names in OF_TASK.values() for name in names)}
    for metric in MEASURES:
        assert turn(metric) in (-1.0, 1.0)
        assert (turn(metric) * 2 < turn(metric)) == better(metric, 2.0, 1.0)


@pytest.fixture(scope="module")
def two():
    of = data()
    recipe = replace(QUICK, hidden=(4,)).of(of.task)
    return Members(of, [Member(*pair, k, recipe) for k, pair in enumerate(folds(of, 2))], 0)


SCORES = st.lists(st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])] * 2),
                  min_size=1, max_size=25)  # fmt: skip


@given(metric=st.sampled_from(MEASURES), scores=SCORES, patience=st.none() | st.integers(0, 3))
def test_any_course_is_judged_in_the_direction_of_its_metric(two, metric, scores, patience):
    """Best epochs and early stopping, of each network by itself."""
    two.recipe = replace(two.recipe, metric=metric, patience=patience)
    two.best, two.done = [turn(metric) * math.inf] * 2, [False] * 2
    two.best_epoch, two.improved = [0, 0], [0, 0]
    two.epoch, values = 0, iter([v for pair in scores for v in pair])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "score", lambda *_: next(values))
        for _ in scores:
            two.epoch += 1
            two._judge(np.zeros(2))
    for k in range(2):
        course = [pair[k] for pair in scores]
        ends = [e for e in range(1, len(course) + 1) if patience is not None
                and e > 2 * (course.index(course[best_epoch(metric, course[:e]) - 1]) + 1)
                + patience]  # fmt: skip
        until = ends[0] if ends else len(course)
        assert two.best_epoch[k] == best_epoch(metric, course[:until])
        assert two.best[k] == course[two.best_epoch[k] - 1]
        assert two.done[k] == bool(ends)


@pytest.mark.slow
@pytest.mark.parametrize(("own", "metric"), [("error", "accuracy"), ("loss", "log_loss")])
def test_a_metric_that_orders_as_an_error_does_chooses_the_same_bits(own, metric):
    ends = [fit_tabular(data(), replace(QUICK, metric=m), members=2, seed=2) for m in (own, metric)]
    assert ends[0].best_epochs == ends[1].best_epochs
    pairs = zip(ends[0].state_dict().values(), ends[1].state_dict().values(), strict=True)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs)


def test_without_a_metric_errors_decide():
    assert Recipe().metric is None
    assert all(Recipe().of(task).metric == "error" for task in OF_TASK)
    assert repr(Recipe(metric="error").of("regression")) == repr(Recipe().of("regression"))
    for task in OF_TASK:
        of, rows = data(task), np.arange(50)
        z = of.target[rows] + 1.0 if task == "regression" else np.zeros((50, of.num_outputs))
        y = of.target[rows]
        wanted = 1.0 if task == "regression" else float((y != 0).mean())
        assert score(of, z, rows, "error") == wanted


TABLE = {
    "a": X[:, 0],
    "b": X[:, 1],
    "c": X[:, 2],
    "y": 1e4 + 300 * LATENT,
    "z": X[:, 3] * 2,
    "class": np.where(LATENT > 0.5, "yes", "no"),
    "one": LATENT > 0,
    "two": X[:, 3] > 0.5,
}
OF_TABLE = {"regression": ["y", "z"], "classification": "class", "multilabel": ["one", "two"]}


def columns(task):
    wanted = OF_TABLE[task] if isinstance(OF_TABLE[task], list) else [OF_TABLE[task]]
    return {name: TABLE[name] for name in ("a", "b", "c", *wanted)}


@pytest.mark.slow
@pytest.mark.parametrize(("task", "metric"), [c for c in CASES if c[1] not in (*OWN, "top_k")])
def test_a_tables_log_is_in_the_metric_and_in_the_targets_unit(task, metric):
    table = columns(task)
    fit = TableFit(table, OF_TABLE[task], recipe=replace(QUICK, metric=metric, epochs=5))
    model = fit.run()
    values = [row[f"val_{metric}"] for row in fit.rows]
    assert not [k for k in fit.rows[-1] if k.startswith("val_") and k != f"val_{metric}"]
    (best,) = fit.members.best_epoch
    assert best == best_epoch(metric, values)
    assert model.networks.scores == fit.members.best == [values[best - 1]]
    assert fit.described()["metrics"] == [metric]
    held = fit.members.members[0].held_out
    p = model.scores({name: values[held] for name, values in table.items()})
    if task == "multilabel":
        y = np.stack([table[name][held] for name in OF_TABLE[task]], 1)
        assert over_labels(metric, p, y, 0.5) == pytest.approx(values[best - 1], rel=1e-4)
        return
    judge = METRICS[metric]()
    if task == "regression":
        judge.update(p, np.stack([table[name][held] for name in OF_TABLE[task]], 1))
    else:
        judge.update(np.log(p), (table["class"][held] == "yes").astype(int))
    assert judge.compute() == pytest.approx(values[best - 1], rel=1e-4)


def test_the_metric_of_a_schema_chooses_where_the_recipe_says_nothing():
    def measure(metric, recipe):
        table = read_table(columns("classification"))
        schema = Schema.infer(table, "class", metric=metric)
        return TableFit(table, schema=schema, recipe=recipe).recipe.metric

    assert measure("roc_auc", None) == "roc_auc"
    assert measure("roc_auc", Recipe(metric="f1")) == "f1"
    assert measure("roc_auc", Recipe(metric="error")) == measure(None, None) == "error"


def test_a_checkpoint_is_as_good_as_the_metric_says(tmp_path):
    for metric in ("roc_auc", "log_loss"):
        fit = TableFit(columns("classification"), "class",
                       recipe=replace(QUICK, metric=metric, epochs=4))  # fmt: skip
        run = Run.create(metric, tmp_path, checkpoint_seconds=0.0)
        given, save = [], run.checkpoints.save
        run.checkpoints.save = lambda state, score, save=save, given=given: (
            given.append(score), save(state, score=score))  # fmt: skip
        fit.run(run)
        assert given == [-turn(metric) * row[f"val_{metric}"] for row in fit.rows]


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "count"), [("f1", 2), ("log_loss", 1), ("roc_auc", 1)])
def test_the_winner_of_many_settings_is_the_best_by_the_metric(metric, count):
    of = data()
    pairs, recipe = folds(of, 5)[:count], replace(QUICK, metric=metric, epochs=15)
    configs = [{"lr": lr} for lr in (0.0, 0.01, 0.05, 0.2, 1e30)]
    rungs = []
    found = successive_halving(configs, of, recipe, splits=pairs, seed=2, on_rung=rungs.append)
    for rows in (*rungs, found.table):
        for a, b in itertools.pairwise(rows):
            assert a["rung"] > b["rung"] or not better(metric, b["score"], a["score"])
    alone = fit_tabular(of, replace(recipe, **found.best), splits=pairs, seed=2)
    assert found.table[0]["score"] == np.mean(alone.scores) == np.mean(found.ensemble.scores)


def few(task="classification", target=None, **more):
    y = np.repeat([0, 1, 2], 12) if target is None else target
    of = TabularData(X[: len(y)], None, y, task=task)
    return lambda: fit_tabular(of, replace(QUICK, **more), members=3)


HELD = [(range(2, 36), range(2))]
BAD = {
    "no row of a class": (lambda: fit_tabular(
        TabularData(X[:36], None, np.repeat([0, 1, 2], 12)), replace(QUICK, metric="roc_auc"),
        splits=HELD), "2 rows held out from the network(.|\n)*no row of class 1, nor of 1 more"),
    "fewer rows of a class than folds": (
        few(target=np.array([0] * 20 + [1] * 2), metric="roc_auc"),
        "network 2 of 3(.|\n)*no row of class 1(.|\n)*fewer folds"),
    "no label on both sides": (few("multilabel", np.ones((12, 2), int), metric="roc_auc"),
                               "none of 2 labels has both"),
    "one target": (few("regression", np.ones(12), metric="r2"), "the same target in every row"),
    "targets too large": (
        lambda: fit_tabular(TabularData(X[:36], None, X[:36, 3], task="regression", unit=[1e200]),
                            replace(QUICK, metric="mse"), members=3), "too large"),
    "too few classes": (few(metric="top_k"), "too few classes(.|\n)*more than 5"),
    "of another task": (few(metric="rmse"), "no metric of a classification task(.|\n)*roc_auc"),
    "unknown": (few(metric="roc-auc"), "did you mean 'roc_auc'"),
    "two metrics": (lambda: successive_halving([{"metric": "f1"}, {}], data(), QUICK),
                    "the same metric(.|\n)*error, f1"),
    "unit": (lambda: TabularData(X, None, LATENT, task="regression", unit=[0.0]), "above 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_metric_without_a_value_is_refused_before_anything_is_learned(name):
    make, match = BAD[name]
    with pytest.raises(ArgumentError, match=match):
        make()


def test_a_class_without_held_out_rows_is_named():
    y = np.array(["many"] * 40 + ["few"] * 2)
    with pytest.raises(ArgumentError, match="no row of class 'few'"):
        TableFit({"a": X[:42, 0], "y": y}, "y", folds=3, recipe=replace(QUICK, metric="roc_auc"))


def test_every_held_out_part_is_checked_once(monkeypatch):
    """By a fit of folds, and by many settings that are judged by the same parts."""
    checked, own = [], judging._no_value
    monkeypatch.setattr(judging, "_no_value", lambda *a: checked.append(1) or own(*a))
    table = read_table({"x": X[:, 0], "y": (LATENT > 0).astype(int)})
    quick = replace(QUICK, metric="roc_auc", epochs=1)
    TableFit(table, "y", recipe=quick, folds=3)
    assert len(checked) == 3
    checked.clear()
    of = TabularData(X, None, (LATENT > 0).astype(int))
    settings = [{"lr": lr} for lr in (0.01, 0.02, 0.04, 0.08)]
    successive_halving(settings, of, quick, splits=folds(of, 2))
    assert len(checked) == 2


@pytest.mark.parametrize("targets", [("a",), ("a", "b")])
def test_the_log_has_amounts_in_their_unit_and_several_in_deviations(targets):
    """As the answers of the networks that are kept have them, in the epoch that was best."""
    a, b = TARGETS["regression"].T
    table = read_table({"x": X[:, 0], "z": X[:, 3], "a": a, "b": b})
    fit = TableFit(table, targets, recipe=replace(QUICK, epochs=4), seed=1)
    model = fit.run()
    held = fit.members.members[0].held_out
    y = TARGETS["regression"][held][:, : len(targets)]
    off = (np.asarray(model.predict(table)).reshape(len(table), -1)[held] - y) ** 2
    if len(targets) == 1:
        name, expected = "val_rmse", off.mean() ** 0.5
    else:
        name, expected = "val_scaled_rmse", (off / np.square(fit.preprocessing.std)).mean() ** 0.5
    assert [k for k in fit.rows[-1] if k.startswith("val_")] == [name]
    assert min(row[name] for row in fit.rows) == pytest.approx(expected, rel=1e-4)
