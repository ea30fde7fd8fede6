"""What fits share: compiled steps, for one fit at a time; and how a fit is broken off."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from estimator_cases import data_for, estimators

import chainrule
from chainrule.sklearn import MLPClassifier
from chainrule.sklearn.kit import KEPT, KITS
from chainrule.train import LambdaCallback

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = data_for(estimators()[0])
BASE = {"hidden_layer_sizes": (8,), "max_iter": 4, "random_state": 0, "batch_size": 16}


def test_the_second_fit_compiles_nothing():
    for solver in ("adam", "sgd", "lbfgs"):
        MLPClassifier(**BASE, solver=solver).fit(X, Y)
        other = {"alpha": 0.3, "learning_rate_init": 0.02, "momentum": 0.5, "beta_1": 0.5}
        with chainrule.assert_no_recompile():
            MLPClassifier(**BASE, solver=solver, **other).fit(X, Y)
            MLPClassifier(**BASE, solver=solver).fit(X, Y).predict(X)


def test_partial_fit_compiles_once():
    model = MLPClassifier(**BASE).partial_fit(X, Y, classes=[0, 1, 2])
    with chainrule.assert_no_recompile():
        for _ in range(3):
            model.partial_fit(X, Y)


@pytest.mark.slow
def test_fits_in_threads_keep_out_of_each_others_way():
    def fit(seed):
        model = MLPClassifier(**{**BASE, "random_state": seed, "dropout": 0.2})
        return model.fit(X, Y).predict_proba(X)

    alone = [fit(seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(fit, range(6)))
    np.testing.assert_array_equal(alone, together)


@pytest.mark.slow
def test_not_more_kits_are_kept_than_that():
    for width in range(1, KEPT + 3):
        MLPClassifier(**{**BASE, "hidden_layer_sizes": (width,)}).fit(X, Y)
    assert len(KITS.free) == KEPT


def test_ctrl_c_keeps_what_was_learned():
    def stop(training):
        if training.epoch == 2:
            raise KeyboardInterrupt

    model = MLPClassifier(**BASE, callbacks=[LambdaCallback(on_epoch_end=stop)])
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == 2
    full = MLPClassifier(**{**BASE, "max_iter": 2}).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), full.predict_proba(X))


def test_what_is_printed(capsys):
    model = MLPClassifier(**BASE, verbose=True).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    losses = enumerate(model.loss_curve_, 1)
    assert lines == [f"Iteration {i}, loss = {loss:.8f}" for i, loss in losses]
