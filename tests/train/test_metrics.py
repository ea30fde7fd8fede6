"""Metrics against scikit-learn's values, in one batch and in many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    IndexRangeError,
    NonFiniteError,
    ShapeError,
    StateError,
)
from chainrule.train import metrics
from chainrule.train.metrics import METRICS, as_metric

REFERENCE = np.load(Path(__file__).parent / "metrics_reference.npz")
VALUES = sorted(k for k in REFERENCE.files if "/value/" in k)
CLASSES = ("accuracy", "confusion_matrix", "precision", "recall", "f1")


def case(key):
    number, _, name = key.split("/")
    settings = {"k": 2} if name == "top_k" else {}
    return METRICS[name], settings, REFERENCE[f"{number}/prediction"], REFERENCE[f"{number}/target"]


def close(a, b):
    return np.allclose(a, b, rtol=1e-12, atol=1e-14)


def test_every_metric_is_held_to_a_reference():
    assert {k.split("/")[2] for k in VALUES} == set(METRICS)


@pytest.mark.parametrize("key", VALUES)
def test_values_are_those_of_scikit_learn(key):
    kind, settings, prediction, target = case(key)
    assert close(getattr(metrics, kind.name)(prediction, target, **settings), REFERENCE[key])
    for size in (1, 7, 50):
        metric = kind(**settings)
        for _ in range(2):  # a reset metric is a new one
            metric.reset()
            for i in range(0, len(target), size):
                metric.update(prediction[i : i + size], chainrule.tensor(target[i : i + size]))
            assert close(metric.compute(), REFERENCE[key])


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_read_from_every_form(name):
    f = getattr(metrics, name)
    one = np.array([-2.0, 3.0, 0.5, -0.1])
    target = np.array([0, 1, 0, 0])
    wanted = f(np.array([0, 1, 1, 0]), target)
    two = np.stack([-one, one], 1)
    forms = [
        (one, target), (one[:, None], target), (one[:, None], target[:, None]),
        (one, target.astype(float)), (two, target), (two, np.eye(2)[target]),
        (one > 0, target == 1), (chainrule.tensor(one), chainrule.tensor(target)),
    ]  # fmt: skip
    for prediction, y in forms:
        assert np.array_equal(f(prediction, y), wanted)
    probabilities = 1 / (1 + np.exp(-one))
    assert np.array_equal(f(probabilities, target, threshold=0.5), wanted)
    pixels = np.random.default_rng(0).normal(size=(3, 4, 5))
    labels = np.random.default_rng(1).integers(0, 4, (3, 5))
    flat = pixels.transpose(0, 2, 1).reshape(-1, 4)
    assert np.array_equal(f(pixels, labels), f(flat, labels.reshape(-1)))


def test_the_confusion_matrix_grows_or_keeps_its_size():
    assert metrics.confusion_matrix([0, 1], [0, 2]).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert metrics.confusion_matrix(np.eye(4)[:2], [0, 1]).shape == (4, 4)
    assert metrics.confusion_matrix([0, 1], [0, 0], num_classes=3).shape == (3, 3)
    matrix = metrics.ConfusionMatrix()
    matrix.update([0], [0])
    matrix.update([2], [1])
    assert matrix.compute().tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_r2_keeps_its_digits_far_from_zero():
    rng = np.random.default_rng(0)
    y = 1e8 + rng.normal(size=1000)
    p = y + 0.1 * rng.normal(size=1000)
    metric = metrics.R2()
    for i in range(0, 1000, 10):
        metric.update(p[i : i + 10], y[i : i + 10])
    exact = 1 - ((p - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert abs(metric.compute() - exact) < 1e-8
    assert metrics.r2([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert metrics.r2([1.0, 2.0], [1.0, 1.0]) == 0.0
    assert metrics.r2([0.1] * 3, [0.1] * 3) == 1.0
    assert metrics.r2([0.2] * 3, [0.1] * 3) == 0.0
    batches = metrics.R2()
    for _ in range(7):
        batches.update([0.3, 0.3, 0.3], [0.1, 0.1, 0.1])
    assert batches.compute() == 0.0


def test_metrics_are_found_by_name():
    for name, kind in METRICS.items():
        assert type(as_metric(name)) is type(as_metric(kind)) is kind
        assert kind.name == name
        assert kind.__name__ in repr(as_metric(name))
    metric = metrics.TopK(3)
    assert as_metric(metric) is metric
    for wrong, near in [("acuracy", "accuracy"), ("RMSE", "rmse"), ("log-loss", "log_loss")]:
        with pytest.raises(ArgumentError, match=f"did you mean '{near}'"):
            as_metric(wrong)
    with pytest.raises(ArgumentTypeError, match="name"):
        as_metric(3)


@pytest.mark.parametrize("kind", METRICS.values(), ids=METRICS)
def test_no_examples_no_value(kind):
    with pytest.raises(StateError, match="too few"):
        kind().compute()
    with pytest.raises(ArgumentError, match="empty batch"):
        kind().update(np.zeros((0, 8)), np.zeros(0, int))


REFUSED = {
    "nan": (lambda: metrics.accuracy([np.nan, 1.0], [0, 1]), NonFiniteError, "1 of 2"),
    "texts": (lambda: metrics.accuracy(["a"], [0]), DTypeError, "numbers"),
    "continuous": (lambda: metrics.accuracy([0, 1], [0.5, 1.0]), DTypeError, "0.5"),
    "batch sizes": (lambda: metrics.accuracy(np.eye(3), [0, 1]), ShapeError, r"\(2,\)"),
    "broadcast": (lambda: metrics.mse(np.ones((5, 1)), np.ones(5)), ShapeError, "unsqueeze"),
    "shapes": (lambda: metrics.r2(np.ones((5, 2)), np.ones((5, 3))), ShapeError, r"\(5, 3\)"),
    "class 3 of 3": (lambda: metrics.log_loss(np.eye(3), [0, 1, 3]), IndexRangeError, "start at 0"),
    "class 3 of a matrix": (
        lambda: metrics.confusion_matrix([0], [3], num_classes=3), IndexRangeError, "0 to 2"),
    "negative class": (lambda: metrics.f1([0], [-1]), IndexRangeError, "-1"),
    "k": (lambda: metrics.TopK(0), ArgumentError, ">= 1"),
    "k of all": (lambda: metrics.top_k(np.eye(3), [0, 1, 2], k=3), ArgumentError, "k < 3"),
    "classes": (lambda: metrics.ConfusionMatrix(0), ArgumentError, "1 to"),
    "one example": (lambda: metrics.r2([1.0], [1.0]), StateError, "at least 2"),
}  # fmt: skip


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_bad_use_is_refused(refused):
    run, kind, text = refused
    with pytest.raises(kind, match=text) as e:
        run()
    assert len(str(e.value).splitlines()) <= 6


def test_a_refused_batch_leaves_the_value_as_it_was():
    metric = metrics.R2()
    metric.update([[1.0], [2.0]], [[1.0], [3.0]])
    before = metric.compute()
    with pytest.raises(ShapeError, match="columns"):
        metric.update(np.ones((2, 2)), np.ones((2, 2)))
    assert metric.compute() == before
