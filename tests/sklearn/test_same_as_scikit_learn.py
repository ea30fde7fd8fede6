"""The estimators against scikit-learn's: arguments, attributes, and the whole way of a fit."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from estimator_cases import quick
from scipy import sparse
from sklearn import neural_network
from sklearn.datasets import load_digits, make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning

from chainrule import sklearn as ours

PAIRS = {
    "classifier": (ours.MLPClassifier, neural_network.MLPClassifier),
    "regressor": (ours.MLPRegressor, neural_network.MLPRegressor),
}
CONSTRAINTS = {k: theirs._parameter_constraints for k, (_, theirs) in PAIRS.items()}
TOLERANCE = {np.float64: 1e-9, np.float32: 1e-4}


def binary(rows=90):
    return make_classification(rows, 6, random_state=3)


def several(rows=90):
    return make_classification(rows, 6, n_informative=4, n_classes=3, random_state=3)


def labels(rows=90):
    x, y = several(rows)
    return x, np.stack([y == 0, y > 0, x[:, 0] > 0], axis=1).astype(int)


def numbers(rows=90):
    x, y = make_regression(rows, 6, random_state=3)
    return x, y / 50


def vectors(rows=90):
    x, y = make_regression(rows, 6, n_targets=3, random_state=3)
    return x, y / 50


def counts(rows=90):
    x, _ = binary(rows)
    return x, np.random.default_rng(0).poisson(np.exp(x[:, 0] / 2)).astype(float)


TASKS = {
    "binary": ("classifier", binary, {}),
    "several": ("classifier", several, {}),
    "labels": ("classifier", labels, {}),
    "numbers": ("regressor", numbers, {}),
    "vectors": ("regressor", vectors, {}),
    "poisson": ("regressor", counts, {"loss": "poisson"}),
}
WAYS = {
    "adam": {},
    "adam's settings": {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4, "alpha": 0.5},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05},
    "no momentum": {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.05},
    "heavy ball": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.02},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3,
                   "learning_rate_init": 0.1},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.05,
                 "n_iter_no_change": 1, "tol": 0.02},
    "not shuffled": {"shuffle": False},
    "one batch": {"batch_size": 90},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 4, "validation_fraction": 0.2},
    "adaptive, early": {"early_stopping": True, "n_iter_no_change": 1, "solver": "sgd",
                        "learning_rate": "adaptive", "learning_rate_init": 0.05},
    "no patience": {"tol": 0.5, "n_iter_no_change": 1},
    "boundless patience": {"n_iter_no_change": np.inf},
    "deep": {"hidden_layer_sizes": (7, 5, 4)},
    "an int": {"hidden_layer_sizes": 4},
    "linear": {"hidden_layer_sizes": ()},
    "logistic": {"activation": "logistic"},
    "tanh": {"activation": "tanh"},
    "identity": {"activation": "identity"},
}  # fmt: skip


def both(kind, **settings):
    settings = {"hidden_layer_sizes": (8,), "batch_size": 20, "max_iter": 25, "random_state": 5,
                "alpha": 0.01, **settings}  # fmt: skip
    return [cls(**settings) for cls in PAIRS[kind]]


def quietly(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function(*args, **kwargs)


def attributes(model):
    return {k: v for k, v in vars(model).items() if k[-1] == "_" and k[0] != "_"}


def check_alike(mine, theirs, tolerance):
    """Every fitted attribute of theirs, in mine."""
    found = attributes(mine)
    for name, value in attributes(theirs).items():
        assert name in found, name
        if isinstance(value, str) or value is None:
            assert found[name] == value, name
        elif isinstance(value, list) and np.ndim(value[0]):
            for a, b in zip(found[name], value, strict=True):
                assert (a.dtype, a.shape) == (b.dtype, b.shape), name
                np.testing.assert_allclose(a, b, tolerance, tolerance, err_msg=name)
        else:
            np.testing.assert_allclose(found[name], value, tolerance, tolerance, err_msg=name)


def check_predictions(mine, theirs, x, tolerance):
    for name in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(theirs, name):
            a, b = getattr(mine, name)(x), getattr(theirs, name)(x)
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_allclose(a, b, tolerance, tolerance)


@pytest.mark.parametrize("kind", PAIRS)
def test_every_argument_is_there_with_its_default(kind):
    mine, theirs = (inspect.signature(cls.__init__).parameters for cls in PAIRS[kind])
    assert list(mine)[: len(theirs)] == list(theirs)
    for name, p in theirs.items():
        assert (mine[name].default, mine[name].kind) == (p.default, p.kind), name


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("name", sorted(CONSTRAINTS["classifier"]))
def test_what_is_refused_there_is_refused_here(kind, name):
    x, y = binary(20)
    for value in ("nonsense", -1, 0, 1.5, None, float("nan"), float("inf"), [], True):
        try:
            neural_network.MLPClassifier()._validate_params()
            quietly(PAIRS[kind][1](**{name: value})._validate_params)
        except ValueError as error:
            if name in ("activation", "solver", "learning_rate") and value in (None, []):
                continue
            with pytest.raises(type(error), match=rf"The '{name}' parameter of MLP"):
                PAIRS[kind][0](**{name: value}).fit(x, y)


@pytest.mark.parametrize("way", quick(WAYS, "adam", "adaptive", "invscaling", "early stopping"))
@pytest.mark.parametrize("task", quick(("several", "numbers"), "several"))
def test_the_whole_fit_is_the_same(task, way):
    kind, data, settings = TASKS[task]
    x, y = data()
    pair = [quietly(m.fit, x, y) for m in both(kind, **WAYS[way], **settings)]
    check_alike(*pair, 1e-9)
    check_predictions(*pair, x, 1e-9)


@pytest.mark.parametrize("dtype", quick(TOLERANCE, np.float64))
@pytest.mark.parametrize("weighted", quick((False, True), True))
@pytest.mark.parametrize("task", TASKS)
def test_every_kind_of_target(task, weighted, dtype):
    kind, data, settings = TASKS[task]
    x, y = data()
    w = np.random.default_rng(1).uniform(0, 2, len(x)) if weighted else None
    x = x.astype(dtype)
    pair = [quietly(m.fit, x, y, w) for m in both(kind, **settings)]
    check_alike(*pair, TOLERANCE[dtype])
    check_predictions(*pair, x, TOLERANCE[dtype])


@pytest.mark.parametrize("task", quick([t for t in TASKS if t != "vectors"], "binary"))
@pytest.mark.parametrize("weighted", quick((False, True), True))
def test_lbfgs_finds_the_same_minimum(task, weighted):
    kind, data, settings = TASKS[task]
    x, y = data()
    w = np.random.default_rng(1).uniform(0.1, 2, len(x)) if weighted else None
    settings = {"solver": "lbfgs", "max_iter": 2000, "tol": 1e-7, "alpha": 1.0, **settings}
    mine, theirs = (m.fit(x, y, w) for m in both(kind, activation="tanh", **settings))
    assert mine.loss_ == pytest.approx(theirs.loss_, rel=1e-5)
    assert set(attributes(theirs)) <= set(attributes(mine))
    assert not {"loss_curve_", "best_loss_", "validation_scores_"} & set(attributes(mine))
    check_predictions(mine, theirs, x, 1e-3)


@pytest.mark.slow
def test_lbfgs_follows_the_loss_of_several_outputs():
    x, y = vectors()
    mine, theirs = (quietly(m.fit, x, y) for m in both("regressor", solver="lbfgs", max_iter=500))
    assert mine.loss_ <= theirs.loss_ + 1e-6


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("task", quick(TASKS, "several", "numbers"))
def test_partial_fit_goes_on_where_it_was(task, solver):
    kind, data, settings = TASKS[task]
    x, y = data()
    mine, theirs = both(kind, solver=solver, learning_rate="invscaling", **settings)
    first = {"classes": np.arange(2 if task == "binary" else 3)} if kind == "classifier" else {}
    for i in range(4):
        rows = slice(20 * i, 20 * i + 20)
        for model in (mine, theirs):
            model.partial_fit(x[rows], y[rows], **first)
        first = {}
    check_alike(mine, theirs, 1e-9)


@pytest.mark.parametrize("task", ["several", "numbers"])
def test_warm_start_goes_on_from_the_weights(task):
    kind, data, settings = TASKS[task]
    x, y = data()
    pair = both(kind, warm_start=True, max_iter=5, **settings)
    for model in pair:
        for _ in range(3):
            quietly(model.fit, x, y)
    check_alike(*pair, 1e-9)


def test_partial_fit_after_fit_keeps_the_moments():
    x, y = several()
    pair = both("classifier")
    for model in pair:
        quietly(model.fit, x, y)
        model.partial_fit(x, y)
    check_alike(*pair, 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_sparse_input(layout, monkeypatch):
    x, y = several()
    x = np.where(x > 0.3, x, 0)
    mine, theirs = both("classifier")
    quietly(mine.fit, layout(x), y)
    check_alike(mine, quietly(theirs.fit, layout(x), y), 1e-9)
    monkeypatch.setattr("chainrule.sklearn.kit.AT_A_TIME", 6 * 45)  # a few batches at a time
    monkeypatch.setattr("chainrule.sklearn.lbfgs.AT_A_TIME", 6 * 45)
    check_alike(quietly(mine.fit, layout(x), y), theirs, 1e-9)
    check_predictions(mine, theirs, layout(x), 1e-9)
    settings = {"solver": "lbfgs", "alpha": 1.0, "activation": "tanh", "max_iter": 1000}
    mine, theirs = (m.fit(layout(x), y) for m in both("classifier", **settings))
    assert mine.loss_ == pytest.approx(theirs.loss_, rel=1e-5)


@pytest.mark.slow
def test_digits():
    x, y = load_digits(return_X_y=True)
    settings = {"batch_size": "auto", "max_iter": 60, "hidden_layer_sizes": (100,)}
    mine, theirs = (quietly(m.fit, x, y) for m in both("classifier", **settings))
    check_alike(mine, theirs, 1e-6)
