"""What scikit-learn's MLPs lack: each is held to something that must come out the same."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from estimator_cases import ALL_SCHEDULES, data_for, estimators, quick, two_layers
from sklearn.utils.class_weight import compute_sample_weight

import chainrule
from chainrule import nn, optim
from chainrule.sklearn import MLPClassifier, MLPRegressor, NeuralNetClassifier, NeuralNetRegressor
from chainrule.sklearn.network import ACTIVATIONS
from chainrule.sklearn.solvers import OPTIMIZERS, SCHEDULES
from chainrule.train import EarlyStopping, LambdaCallback

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CLASSIFIER, REGRESSOR = estimators()[:2]
X, Y = data_for(CLASSIFIER)
XR, YR = data_for(REGRESSOR)
BASE = {"hidden_layer_sizes": (8,), "max_iter": 6, "batch_size": 16, "random_state": 0,
        "alpha": 0.0}  # fmt: skip


def fitted(cls=MLPClassifier, x=X, y=Y, fit=None, **settings):
    return cls(**{**BASE, **settings}).fit(x, y, **(fit or {}))


def curve(**settings):
    return fitted(**settings).loss_curve_


def test_the_cases_hold_every_schedule():
    assert set(ALL_SCHEDULES) | {"SequentialLR", "ChainedScheduler"} == set(SCHEDULES)


def test_class_weights_are_sample_weights():
    for weight in ("balanced", {0: 3.0, 1: 0.5}):
        w = compute_sample_weight(weight, Y)
        a, b = curve(class_weight=weight), curve(fit={"sample_weight": w})
        np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("name", quick(sorted(ACTIVATIONS), "gelu", "logistic"))
def test_every_activation_by_name_class_module_and_function(name):
    kind = ACTIVATIONS[name]
    layer = kind()
    ways = [name, kind, kind(), lambda x: layer(x), [name]]
    first, *others = [curve(activation=a, max_iter=2) for a in ways]
    if name == "logistic":  # its weights are drawn from a narrower range, as in scikit-learn
        first, *others = first, curve(activation=["logistic"], max_iter=2)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-6)


def test_activations_by_layer():
    model = fitted(hidden_layer_sizes=(5, 4), activation=["tanh", "gelu"])
    assert [type(m) for m in model.to_module()][1::2] == [nn.Tanh, nn.GELU]


@pytest.mark.parametrize("name", quick(sorted(OPTIMIZERS), "AdamW"))
def test_every_optimizer_by_name_class_and_function(name):
    kind = OPTIMIZERS[name]
    a = curve(solver=name, learning_rate_init=0.01)
    b = curve(solver=kind, learning_rate_init=0.01)
    c = curve(solver=lambda named: kind(named, lr=0.01))
    assert a == b == c
    assert a[-1] < a[0]


def test_an_optimizer_with_settings_of_its_own():
    a = curve(solver="SGD", solver_params={"momentum": 0.9, "nesterov": True})
    b = curve(solver="sgd", momentum=0.9)
    np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize("name", quick(ALL_SCHEDULES, "StepLR", "ReduceLROnPlateau"))
def test_every_schedule_goes_by_epochs(name):
    rates = []
    seen = LambdaCallback(on_epoch_end=lambda t: rates.append(t.lr))
    options = ALL_SCHEDULES[name]
    fitted(solver="SGD", learning_rate=name, learning_rate_params=options, callbacks=[seen],
           learning_rate_init=0.1)  # fmt: skip
    w = chainrule.zeros(1, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    schedule = SCHEDULES[name](optimizer, **options)
    expected = []
    for i in range(BASE["max_iter"]):
        schedule.step(*([1.0 - i] if SCHEDULES[name].needs_metric else []))
        expected.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx(expected)


@pytest.mark.slow
def test_losses_of_nn_are_the_built_in_ones():
    np.testing.assert_allclose(curve(loss=nn.CrossEntropyLoss()), curve(), rtol=1e-9)
    fit = {"sample_weight": np.linspace(0, 2, len(X))}
    for reduction in ("mean", "none"):
        loss = nn.CrossEntropyLoss(reduction=reduction)
        np.testing.assert_allclose(curve(loss=loss, fit=fit), curve(fit=fit), rtol=1e-9)
    binary = {"y": (Y > 0).astype(int)}
    np.testing.assert_allclose(
        curve(loss=nn.BCEWithLogitsLoss(), **binary), curve(**binary), rtol=1e-9
    )
    numbers = {"cls": MLPRegressor, "x": XR, "y": YR}
    half = lambda z, y: 0.5 * ((z - y) ** 2).mean()  # noqa: E731
    np.testing.assert_allclose(curve(loss=half, **numbers), curve(**numbers), rtol=1e-9)
    assert curve(loss=nn.HuberLoss(), **numbers)[-1] < curve(loss=nn.HuberLoss(), **numbers)[0]


def test_dropout_is_for_learning_only():
    a, b = fitted(dropout=0.5), fitted(dropout=[0.5])
    assert a.loss_curve_ == b.loss_curve_ != curve()
    np.testing.assert_array_equal(a.predict_proba(X), a.predict_proba(X))
    plain = fitted()
    plain.coefs_, plain.intercepts_ = a.coefs_, a.intercepts_
    np.testing.assert_array_equal(a.predict_proba(X), plain.predict_proba(X))


def test_batch_norm_keeps_what_it_has_seen():
    model = fitted(batch_norm=True, max_iter=30, learning_rate_init=0.02)
    norm = model.to_module()[1]
    assert isinstance(norm, nn.BatchNorm1d)
    np.testing.assert_array_equal(norm.running_mean.numpy(), model.module_state_["1.running_mean"])
    assert not np.allclose(norm.running_mean.numpy(), 0)
    z = model.to_module()(chainrule.tensor(X)).detach().numpy()
    np.testing.assert_allclose(np.exp(z) / np.exp(z).sum(1, keepdims=True), model.predict_proba(X))
    assert model.score(X, Y) > 0.7


@pytest.mark.slow
def test_a_second_fit_starts_anew():
    """The network of an earlier fit is used again: nothing of it may be left."""
    for settings in ({}, {"batch_norm": True}, {"solver": "sgd"}, {"dropout": 0.2}):
        a, _, b = (fitted(**settings, random_state=seed) for seed in (0, 1, 0))
        assert a.loss_curve_ == b.loss_curve_


def test_validation_data_of_ones_own():
    held = {"X_val": X[:20], "y_val": Y[:20]}
    model = fitted(x=X[20:], y=Y[20:], fit=held)
    p = model.predict_proba(X[:20])[np.arange(20), Y[:20]]
    assert model.validation_loss_curve_[-1] == pytest.approx(-np.log(p).mean())
    assert model.validation_scores_[-1] == model.score(X[:20], Y[:20])
    assert model.loss_curve_ == fitted(x=X[20:], y=Y[20:]).loss_curve_


@pytest.mark.parametrize("metric", ["score", "loss"])
def test_early_stopping_keeps_the_best(metric):
    held = {"X_val": X[:20], "y_val": Y[:20]}
    model = fitted(x=X[20:], y=Y[20:], fit=held, early_stopping=True, early_stopping_metric=metric,
                   max_iter=300, n_iter_no_change=5, learning_rate_init=0.03)  # fmt: skip
    assert model.n_iter_ < 300
    assert model.stopped_early_
    best = max(model.validation_scores_)
    if metric == "loss":
        best = model.validation_scores_[int(np.argmin(model.validation_loss_curve_))]
    assert model.score(X[:20], Y[:20]) == pytest.approx(best)
    assert model.best_validation_score_ == pytest.approx(best)


def test_partial_fit_stops_early():
    model = MLPClassifier(**{**BASE, "early_stopping": True, "n_iter_no_change": 3,
                             "learning_rate_init": 0.03})  # fmt: skip
    calls = 0
    while not (calls and model.stopped_early_) and calls < 300:
        model.partial_fit(X[20:], Y[20:], classes=[0, 1, 2], X_val=X[:20], y_val=Y[:20])
        calls += 1
    assert calls < 300
    assert model.score(X[:20], Y[:20]) == max(model.validation_scores_)
    before = [w.copy() for w in model.coefs_]
    model.partial_fit(X[20:], Y[20:], X_val=X[:20], y_val=Y[:20])
    for a, b in zip(before, model.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("pickled", [False, True])
def test_partial_fit_of_a_net_stops_early(pickled):
    kind, held = NeuralNetRegressor, {"X_val": X[:20], "y_val": XR[:20, 0]}
    net = kind(two_layers, early_stopping=True, n_iter_no_change=3, lr=0.05, random_state=0)
    losses = []
    while not (losses and net.stopped_early_) and len(losses) < 300:
        net.partial_fit(X[20:], XR[20:, 0], **held)
        losses.append(net.history_[-1]["val_loss"])
        net = pickle.loads(pickle.dumps(net)) if pickled else net
    assert len(losses) == int(np.argmin(losses)) + 4 < 300
    error = np.mean((net.predict(X[:20]) - XR[:20, 0]) ** 2)
    assert error == pytest.approx(min(losses))
    state = {n: a.copy() for n, a in net.state_.items()}
    net.partial_fit(X[20:], XR[20:, 0], **held)
    assert all(np.array_equal(a, net.state_[n]) for n, a in state.items())
    assert net.n_iter_ == len(losses)


def kept(net):
    return pickle.loads(pickle.dumps(net))


PARTS = [
    {}, {"ema": 0.9}, {"scheduler": "StepLR", "scheduler__step_size": 1}, {"accumulate": 2},
    {"early_stopping": True, "ema": 0.5},
]  # fmt: skip


@pytest.mark.parametrize("settings", PARTS, ids=lambda case: "-".join(case) or "plain")
def test_a_pickled_net_goes_on_as_the_one_that_was_not(settings):
    nets = [NeuralNetClassifier(two_layers, random_state=0, **settings) for _ in range(2)]
    for _ in range(3):
        for net in nets:
            net.partial_fit(X, Y, classes=[0, 1, 2])
        nets[1] = kept(nets[1])
    for name, array in nets[0].state_.items():
        np.testing.assert_array_equal(nets[1].state_[name], array, err_msg=name)


def test_callbacks_are_told_of_epochs():
    told = []
    names = ("on_fit_start", "on_epoch_start", "on_epoch_end", "on_fit_end")
    spy = LambdaCallback(**{n: lambda t, n=n: told.append((n, t.epoch)) for n in names})
    model = fitted(callbacks=[spy], max_iter=2)
    assert told == [("on_fit_start", 0), ("on_epoch_start", 0), ("on_epoch_end", 1),
                    ("on_epoch_start", 1), ("on_epoch_end", 2), ("on_fit_end", 2)]  # fmt: skip
    assert model.loss_curve_ == curve(max_iter=2)
    assert fitted(callbacks=[EarlyStopping("loss", 1, min_delta=10.0)]).n_iter_ == 2


@pytest.mark.parametrize("given", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", quick((None, "float32", "float64", np.float32), "float32"))
def test_the_type_of_the_weights(dtype, given):
    expected = np.dtype(given if dtype is None else dtype)
    model = fitted(x=X.astype(given), dtype=dtype)
    assert {a.dtype for a in (*model.coefs_, model.predict_proba(X))} == {expected}
    net = NeuralNetClassifier(two_layers, max_epochs=1, dtype=dtype).fit(X.astype(given), Y)
    assert {a.dtype for a in net.state_.values()} == {expected}


def test_a_net_that_is_the_mlp_learns_the_same():
    """One batch, no shuffling: a Trainer's way from the same weights."""
    model = fitted(MLPRegressor, XR, YR, activation="tanh", batch_size=60, shuffle=False,
                   solver="SGD", learning_rate_init=0.05)  # fmt: skip
    start = MLPRegressor(**{**BASE, "activation": "tanh", "max_iter": 1, "batch_size": 60,
                            "solver": "SGD", "learning_rate_init": 1e-300})  # fmt: skip
    half = lambda z, y: 0.5 * ((z - y) ** 2).mean()  # noqa: E731
    net = NeuralNetRegressor(start.fit(XR, YR).to_module(), criterion=half, optimizer="SGD",
                             lr=0.05, max_epochs=6, batch_size=60, shuffle=False)  # fmt: skip
    np.testing.assert_allclose(net.fit(XR, YR).predict(XR), model.predict(XR), rtol=1e-9)


@pytest.mark.slow
def test_nets_with_weights_labels_and_logits():
    w = (Y != 2).astype(float) + 1e-6
    settings = {"max_epochs": 40, "lr": 0.02, "random_state": 0}
    net = NeuralNetClassifier(two_layers, **settings)
    assert 2 not in net.fit(X, Y, sample_weight=w).predict(X)
    assert NeuralNetClassifier(two_layers, class_weight={2: 1e-6}, **settings).fit(X, Y).score(
        X[Y != 2], Y[Y != 2]
    ) == net.score(X[Y != 2], Y[Y != 2])
    labels = np.stack([Y == 0, Y > 0], axis=1).astype(int)
    assert net.fit(X, labels).predict(X).shape == labels.shape
    one = NeuralNetClassifier(two_layers, criterion="BCEWithLogitsLoss", **settings)
    assert one.fit(X, Y > 0).predict_proba(X).shape == (60, 2)
    assert one.score(X, Y > 0) > 0.8


def test_a_net_stops_early_and_tells_its_history():
    net = NeuralNetClassifier(two_layers, early_stopping=True, n_iter_no_change=3, lr=0.05,
                              max_epochs=200, random_state=0, metrics=["accuracy"])  # fmt: skip
    net.fit(X[20:], Y[20:], X_val=X[:20], y_val=Y[:20])
    losses = [row["val_loss"] for row in net.history_]
    assert net.n_iter_ == len(losses) == int(np.argmin(losses)) + 4
    assert net.score(X[:20], Y[:20]) == pytest.approx(
        net.history_[np.argmin(losses)]["val_accuracy"]
    )
