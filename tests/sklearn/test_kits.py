"""What fits share: compiled steps, for one fit at a time; and how a fit is broken off."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import numpy as np
import pytest
from estimator_cases import data_for, estimators

import chainrule
from chainrule.sklearn import MLPClassifier, MLPRegressor
from chainrule.sklearn.kit import KEPT, KITS
from chainrule.sklearn.training import Training
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


STEEP = {"solver": "sgd", "learning_rate_init": 0.15, "activation": "identity"}
ENDS = {
    "max_iter": {"max_iter": 40},
    "no improvement": {"learning_rate_init": 0.05, "tol": 1e-3, "n_iter_no_change": 3},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.2, "tol": 1e-3, "n_iter_no_change": 2},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1,
                 "tol": 1e-2, "n_iter_no_change": 2},
    "in order": {"shuffle": False, "tol": 1e-2, "learning_rate_init": 0.05},
    "just before infinity": {**STEEP, "n_iter_no_change": 1},
    "not finite": {**STEEP, "n_iter_no_change": 3},
}  # fmt: skip


HOPED = Training._hoped


@pytest.mark.parametrize("name", ENDS)
def test_epochs_made_ahead_are_taken_back_without_a_trace(name, monkeypatch):
    x, y = data_for(estimators()[1])

    def fitted():
        rng = np.random.RandomState(3)
        model = MLPRegressor(**{**BASE, "max_iter": 300, "random_state": rng, **ENDS[name]})
        try:
            model.fit(x, y)
        except ValueError as error:
            return str(error)
        state = model._solver_state["optimizer"]
        return [
            rng.randint(1 << 30), model.n_iter_, model.loss_curve_, model.t_,
            [c.tobytes() for c in (*model.coefs_, *model.intercepts_)],
            [[np.asarray(v).tobytes() for v in held.values()] for held in state["state"].values()],
            state["param_groups"],
        ]  # fmt: skip

    def bold(self, room, most):
        ahead = 8 * room if self.progress.n_iter_ else room
        return min(ahead, most - self.progress.n_iter_)

    monkeypatch.setattr(Training, "_hoped", lambda self, room, most: room)
    plain = fitted()
    monkeypatch.setattr(Training, "_hoped", bold)
    with patch.object(
        Training, "_take_back", autospec=True, side_effect=Training._take_back
    ) as back:
        assert fitted() == plain
    assert back.called == (name != "max_iter")
    monkeypatch.setattr(Training, "_hoped", HOPED)
    assert fitted() == plain


def test_epochs_ahead_that_end_in_nan_are_made_again_with_care(monkeypatch):
    """Else the same would be hoped for again, for ever."""
    x, y = data_for(estimators()[1])
    made, kept = Training._made, []

    def diverging(self, count):
        steps = made(self, count)
        if count > self._room(10**6):
            kept.append(count)
            return steps * np.nan
        return steps

    wanted = MLPRegressor(**{**BASE, "max_iter": 200}).fit(x, y)
    monkeypatch.setattr(Training, "_made", diverging)
    found = MLPRegressor(**{**BASE, "max_iter": 200}).fit(x, y)
    assert found.loss_curve_ == wanted.loss_curve_
    assert kept


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
