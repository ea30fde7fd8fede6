"""The estimators as parts of scikit-learn's machinery: its own checks, and what users do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sklearn
from estimator_cases import data_for, estimators, name_of, two_layers
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainrule import nn
from chainrule import sklearn as ours

CHECKED = [
    ours.MLPClassifier(max_iter=100),
    ours.MLPClassifier(solver="lbfgs", max_iter=20),
    ours.MLPClassifier(solver="AdamW", activation="gelu", max_iter=100),
    ours.MLPRegressor(max_iter=100),
    ours.MLPRegressor(solver="lbfgs"),
    ours.NeuralNetClassifier(two_layers, max_epochs=40, lr=0.05),
    ours.NeuralNetRegressor(two_layers, max_epochs=40, lr=0.05),
    ours.NeuralNetClassifier(nn.Linear),
    ours.NeuralNetRegressor(nn.Linear),
]
ALL = estimators()
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("place", range(len(CHECKED)))
def test_scikit_learns_own_checks(place):
    from sklearn.utils.estimator_checks import check_estimator  # takes long to load

    results = check_estimator(CHECKED[place], on_fail=None)
    assert len(results) > 50
    assert not {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}


@pytest.mark.parametrize("estimator", ALL, ids=name_of)
def test_it_survives_clone_and_pickle(estimator):
    x, y = data_for(estimator)
    model = clone(estimator).fit(x, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    for m in (model, again):  # the moments went with it
        m.partial_fit(x, y)
    np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=1e-12)
    assert clone(model).get_params() == estimator.get_params()
    state = [v for k, v in model.__getstate__().items() if k not in estimator.get_params()]
    assert b"Compiled" not in pickle.dumps(state)


@pytest.mark.parametrize("estimator", ALL, ids=name_of)
def test_equal_random_states_give_equal_bits(estimator):
    x, y = data_for(estimator)
    a, b = (clone(estimator).fit(x, y).predict(x) for _ in range(2))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("estimator", ALL, ids=name_of)
def test_data_frames(estimator, library):
    frame = pytest.importorskip(library).DataFrame
    x, y = data_for(estimator)
    names = [f"c{i}" for i in range(6)]
    table = frame({name: x[:, i] for i, name in enumerate(names)})
    model = clone(estimator).fit(table, y)
    assert model.feature_names_in_.tolist() == names
    np.testing.assert_array_equal(model.predict(table), clone(estimator).fit(x, y).predict(x))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame({f"d{i}": x[:, i] for i in range(6)}))


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ALL[:2], ids=name_of)
def test_pipelines_grids_and_folds(estimator):
    x, y = data_for(estimator)
    pipe = make_pipeline(StandardScaler(), clone(estimator))
    last = pipe.steps[-1][0]
    grid = GridSearchCV(
        pipe, {f"{last}__alpha": [1e-4, 10.0], f"{last}__dropout": [0.0, 0.2]}, cv=2
    )
    assert grid.fit(x, y).best_params_.keys() == {f"{last}__alpha", f"{last}__dropout"}
    assert np.isfinite(cross_val_score(pipe, x, y, cv=3)).all()


@pytest.mark.slow
def test_arguments_of_the_module_in_a_grid():
    estimator = ALL[2]
    grid = GridSearchCV(
        estimator, {"module__hidden": [2, 4], "optimizer__weight_decay": [0.1]}, cv=2
    )
    best = grid.fit(*data_for(estimator)).best_estimator_
    assert best.to_module()[0].weight.shape == (best.module__hidden, 6)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ALL, ids=name_of)
def test_folds_in_processes_of_their_own(estimator):
    x, y = data_for(estimator)
    alone, several = (cross_val_score(estimator, x, y, cv=2, n_jobs=n) for n in (1, 2))
    np.testing.assert_allclose(alone, several, rtol=1e-9)


@pytest.mark.parametrize("estimator", ALL[:2], ids=name_of)
def test_sample_weights_are_routed(estimator):
    x, y = data_for(estimator)
    w = np.random.default_rng(0).uniform(0.5, 2, len(x))
    with sklearn.config_context(enable_metadata_routing=True):
        asked = clone(estimator).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, asked).fit(x, y, sample_weight=w)
    scaled = StandardScaler().fit_transform(x)
    plain = clone(estimator).fit(scaled, y, sample_weight=w)
    np.testing.assert_allclose(pipe.predict(x), plain.predict(scaled))


@pytest.mark.parametrize("estimator", ALL, ids=name_of)
def test_before_a_fit(estimator):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        clone(estimator).predict(data_for(estimator)[0])
