"""Bad input: what is said, of which class, and that nothing has changed after it."""

from __future__ import annotations

import copy
import functools
import pickle

import numpy as np
import pytest
from estimator_cases import data_for, estimators, name_of, two_layers
from scipy import sparse
from sklearn.base import clone

from chainrule import nn
from chainrule.errors import ChainruleError
from chainrule.nn import functional
from chainrule.sklearn import MLPClassifier, MLPRegressor, NeuralNetClassifier, NeuralNetRegressor
from chainrule.sklearn.solvers import OPTIMIZERS
from chainrule.train import EarlyStopping, LambdaCallback

ALL = estimators()
X, Y = data_for(ALL[0], 20)
X.flags.writeable = False


def cost(z, y):
    """A loss that can't weigh rows."""
    return z.square().mean()


SLIPS = {
    "solver": {"adamm": "adam", "lbfg": "lbfgs", "adamW": "AdamW", "adamw": "AdamW"},
    "activation": {"rleu": "relu", "GELU": "gelu", "leakyrelu": "leaky_relu"},
    "learning_rate": {"adaptve": "adaptive", "StepLr": "StepLR", "cosine": "WarmupCosineLR"},
    "early_stopping_metric": {"los": "loss"},
    "class_weight": {"balance": "balanced"},
}
WRONG = {
    "learning_rate_init": (-1, 0, float("nan"), "0.1"), "alpha": (-0.1, float("nan")),
    "dropout": (1.0, -0.1, "half"), "batch_norm": ("yes", 2), "dtype": ("int8", np.int64, "half"),
    "solver_params": (3,), "callbacks": (3,), "class_weight": (3, "heavy"), "loss": ("hinge",),
    "hidden_layer_sizes": ((4, -1), -3, "many"), "max_iter": (0, 1.5), "tol": (-1, float("nan")),
}  # fmt: skip


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_told_the_nearest_name(name):
    for slip, meant in SLIPS[name].items():
        form = rf"The '{name}' parameter of MLPClassifier must be .* Got '{slip}' instead."
        with pytest.raises(ValueError, match=rf"{form} Did you mean '{meant}'\?"):
            MLPClassifier(**{name: slip}).fit(X, Y)


@pytest.mark.parametrize("name", WRONG)
def test_arguments_out_of_range(name):
    for value in WRONG[name]:
        with pytest.raises(ValueError, match=f"{name}"):
            MLPClassifier(**{name: value}).fit(X, Y)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"activation": ["relu"]}, "one entry for each hidden layer"),
        ({"activation": ["relu", "tnh"]}, "Got 'tnh' for layer 1 instead. Did you mean 'tanh'"),
        ({"dropout": [0.1, 1.5]}, r"'dropout' parameter .* Got 1.5 for layer 1"),
        ({"callbacks": [print]}, "must hold Callbacks"),
        ({"callbacks": [LambdaCallback(on_step_end=print)]}, "of epochs, not of steps"),
        ({"callbacks": [LambdaCallback()], "solver": "lbfgs"}, "lbfgs has no epochs"),
        ({"solver": "lbfgs", "dropout": 0.2}, "lbfgs needs the same loss each time"),
        ({"solver": "lbfgs", "dropout": [0, 0.2]}, "lbfgs needs the same loss each time"),
        ({"learning_rate": "CosineAnnealingLR"}, r"learning_rate_params=.'T_max': \.\."),
        ({"learning_rate": "StepLR", "learning_rate_params": {"step": 3}}, "step_size, gamma=0.1"),
        ({"solver_params": {"momentun": 0.9}}, "unexpected keyword argument 'momentun'"),
        ({"solver": lambda named: "sgd"}, "given as solver made something else"),
        ({"learning_rate": lambda o: 0.1}, "given as learning_rate made something else"),
        ({"loss": lambda z, y: 1.0}, "the loss must give a Tensor"),
        ({"loss": cost, "class_weight": "balanced"}, "the loss of every row"),
    ],
    ids=lambda case: "" if isinstance(case, str) else "-".join(case),
)
def test_layers_callbacks_and_functions(settings, told):
    model = MLPClassifier(**{"hidden_layer_sizes": (4, 4), "solver": "SGD", **settings})
    with pytest.raises((ValueError, TypeError), match=told):
        model.fit(X, Y)


SPARE = {
    "solver_params": [{"solver_params": {"amsgrad": True}, "solver": s}
                      for s in ("adam", "sgd", "lbfgs")],
    "learning_rate_params": [{"learning_rate_params": {"gamma": 0.1}, "learning_rate": m}
                             for m in ("constant", "invscaling", "adaptive")],
    "learning_rate": [{"learning_rate": "StepLR", "solver": "lbfgs"}],
    "dropout": [{"dropout": d, "solver": "lbfgs"} for d in (0.5, [0.0, 0.2])],
}  # fmt: skip


@pytest.mark.parametrize("name", SPARE)
def test_an_argument_that_would_do_nothing_is_refused(name):
    for settings in SPARE[name]:
        model = MLPClassifier((4, 4), **settings)
        with pytest.raises(ValueError, match=f"The '{name}' parameter .* goes with .*Got {name}="):
            model.fit(X, Y)
        assert not hasattr(model, "coefs_")


def test_arguments_of_a_part_are_those_that_it_has():
    for settings, told in (
        ({"solver": "AdamW", "solver_params": {"foo": 1}}, "solver: AdamW .*betas.*'foo'"),
        ({"learning_rate": "StepLR"}, "learning_rate: StepLR.*step_size.*'step_size'"),
    ):
        with pytest.raises(TypeError, match=f"(?s){told}"):
            MLPClassifier(**settings).fit(X, Y)
    for settings, told in (
        ({"optimizer__foo": 1}, "optimizer: Adam .*betas.*'foo'"),
        ({"scheduler": "StepLR"}, "scheduler: StepLR .*step_size"),
    ):
        with pytest.raises(TypeError, match=f"(?s){told}"):
            NeuralNetClassifier(two_layers, **settings).fit(X, Y)


def test_sizes_of_hidden_layers_are_told_with_the_layer():
    for sizes in (float("nan"), 2.5, "many", True, [3], 0):
        with pytest.raises(ValueError, match=r"hidden_layer_sizes must be > 0, .*for layer 1"):
            MLPClassifier((4, sizes)).fit(X, Y)


def test_weights_below_0_are_refused():
    for weight in (-1.0, float("nan"), float("inf"), "2"):
        with pytest.raises(ValueError, match=r"'class_weight' parameter .* for class 1 instead"):
            MLPClassifier(class_weight={0: 1.0, 1: weight}).fit(X, Y)
    w = np.ones(20)
    w[[3, 7]] = -0.5
    for model in ALL:
        with pytest.raises(ValueError, match=r"2 values are negative: -0.5 in row 3, and more"):
            model.fit(X, data_for(model, 20)[1], sample_weight=w)
    with pytest.raises(ValueError, match=r"1 value is negative: -0.5 in row 0."):
        MLPRegressor().fit(X, X[:, 0], sample_weight=[-0.5] + [1] * 19)


def test_holes_of_a_sparse_matrix_are_told_by_place():
    for layout in (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array):
        held = layout(np.where(np.arange(X.size).reshape(X.shape) == 3 * X.shape[1] + 2, np.nan, X))
        with pytest.raises(ValueError, match=r"(?s)NaN.*1 value .* in row 3, column 2"):
            MLPClassifier().fit(held, Y)


def test_a_share_that_holds_nothing_out_is_named():
    for kind in (MLPClassifier, lambda **k: NeuralNetClassifier(two_layers, **k)):
        for share in (0.0, 0.999):
            with pytest.raises(ValueError, match=f"validation_fraction={share:g} of 20 rows"):
                kind(early_stopping=True, validation_fraction=share).fit(X, Y)


def test_lbfgs_does_not_end_with_a_loss_that_is_none():
    model = MLPRegressor(solver="lbfgs", max_iter=3)
    with pytest.raises(ValueError, match=r"non-finite loss.* largest input .*Try StandardScaler"):
        model.fit(X * 1e200, X[:, 0])
    assert not hasattr(model, "coefs_")


def bad_data():
    hole, word = X.copy(), X.astype(object)
    hole[3, 1] = np.nan
    word[4, 2] = "abc"
    yield "a hole", hole, Y, "Input X contains NaN.*\n1 value that is .* in row 3, column 1"
    yield "infinite", np.where(np.isnan(hole), np.inf, hole), Y, "infinity.*\n.*row 3, column 1"
    yield "a word", word, Y, "could not convert string to float: 'abc'\nX holds 'abc' in row 4, col"
    yield "lengths", X, Y[:19], r"inconsistent numbers of samples: \[20, 19\]"
    yield "masked", np.ma.masked_array(X, hole != hole), Y, r"1 masked value.* \(3, 1\).*X.filled"
    yield "no rows", X[:0], Y[:0], "minimum of 1 is required"
    yield "no target", X, None, "requires y to be passed"


def bad_classes():
    yield (
        "one class",
        X,
        np.zeros(20, int),
        "at least two classes, but .* one class: 0, in",
    )
    yield (
        "numbers",
        X,
        np.linspace(0, 1, 20),
        ("Unknown label type: continuous.*There are 20 different values in 20 rows"),
    )


CASES = [(e, *case) for e in ALL for case in bad_data()]
CASES += [(e, *case) for e in (ALL[0], ALL[2]) for case in bad_classes()]
CASES += [(ALL[1], "negative", X, -np.ones(20), "needs y >= 0, but 20 values are negative")]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("estimator", "title", "x", "y", "told"), CASES, ids=[f"{name_of(c[0])}-{c[1]}" for c in CASES]
)
def test_data(estimator, title, x, y, told):
    model = type(estimator)(**estimator.get_params())
    if title == "negative":
        model.set_params(loss="poisson")
    with pytest.raises(ValueError, match=f"(?s){told}") as caught:
        model.fit(x, y)
    assert len(str(caught.value)) < 700


def test_classes_are_told_as_they_were_given():
    """A class with one row, of which none can be held out."""
    for model in (MLPClassifier, lambda **k: NeuralNetClassifier(two_layers, **k)):
        for y, name in ((np.arange(20) == 0, "True"), (np.where(np.arange(20), 4, 7), "7")):
            with pytest.raises(ValueError, match=f"1 member.*{name}|too few.*{name}"):
                model(early_stopping=True).fit(X, y)


def test_columns_are_told_by_name():
    frame = pytest.importorskip("pandas").DataFrame(X.copy(), columns=[f"c{i}" for i in range(6)])
    frame.loc[3, "c1"] = np.nan
    with pytest.raises(ValueError, match="in row 3, column 'c1'"):
        MLPClassifier().fit(frame, Y)


def test_a_failed_partial_fit_leaves_the_model_as_it_was():
    for model in (MLPClassifier((4,)), NeuralNetClassifier(two_layers)):
        model.partial_fit(X, Y, classes=[0, 1, 2])
        before = model.predict_proba(X)
        for x, y in ((np.where(X > 1, np.nan, X), Y), (X, Y + 7), (X[:, :3], Y)):
            with pytest.raises(ValueError, match=r"NaN|classes|features"):
                model.partial_fit(x, y)
        np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_failed_leaves_nothing_for_the_next():
    for model in (MLPClassifier((4,), max_iter=1), NeuralNetClassifier(two_layers, max_epochs=1)):
        with pytest.raises(ValueError, match="two classes"):
            model.fit(X, np.full(20, 9))
        with pytest.raises(ValueError, match="NaN"):
            model.partial_fit(np.where(X > 1, np.nan, X), Y, classes=[7, 8])
        assert set(model.fit(X, Y).predict(X)) <= {0, 1, 2}


def test_divergence_is_told_with_its_step():
    model = MLPRegressor(solver="sgd", learning_rate_init=1e6, activation="identity", max_iter=50)
    told = "non-finite parameter weights.* step .* learning rate 1e.*largest input .*Try"
    with pytest.raises(ValueError, match=told):
        model.fit(X, X[:, 0])
    assert not hasattr(model, "coefs_")


def test_validation_data_come_in_pairs():
    model = MLPClassifier()
    with pytest.raises(ValueError, match="belong together"):
        model.fit(X, Y, X_val=X)
    for kind in ALL:
        with pytest.raises(ValueError, match="belong together"):
            kind.fit(X, data_for(kind, 20)[1], y_val=Y)
    with pytest.raises(ValueError, match="go by epochs"):
        model.set_params(solver="lbfgs").fit(X, Y, X_val=X, y_val=Y)
    with pytest.raises(ValueError, match="has 3 features, but MLPClassifier is expecting 6"):
        model.set_params(solver="adam").fit(X, Y, X_val=X[:, :3], y_val=Y)


def test_what_lbfgs_has_not():
    model = MLPClassifier(solver="lbfgs")
    assert not hasattr(model, "partial_fit")
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


@pytest.mark.parametrize("settings", [
    {"max_iter": 1}, {"max_iter": 1, "solver": "lbfgs"}, {"batch_size": 99, "tol": 1.0},
], ids=lambda case: "-".join(case))  # fmt: skip
def test_a_warning_points_at_the_line_that_fits(settings):
    model = MLPClassifier(**settings)
    with pytest.warns(UserWarning, match="converge|clipped") as found:
        model.fit(X, Y)
    assert [w.filename for w in found] == [__file__]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lrr": 0.1}, "has no argument 'lrr'.*did you mean 'lr'"),
        ({"max_iter": 3}, "has no argument 'max_iter'.*did you mean 'max_epochs'"),
        ({"alpha": 3}, "has no argument 'alpha'.*did you mean 'optimizer__weight_decay'"),
        ({"scheduler": "StepLR"}, "StepLR can't be made.*step_size, gamma=0.1.*__step_size="),
        ({"optimizer": "SGD", "optimizer__momentun": 1}, "unexpected keyword argument 'momentun'"),
        ({"criterion__reduktion": "sum"}, "CrossEntropyLoss can't be made"),
        ({"module__hid": 1}, "module: .* can't be made"),
        ({"modul__h": 3}, "has no argument 'modul__h'.*did you mean 'module__h'"),
        ({"optimiser__eps": 3}, "did you mean 'optimizer__eps'"),
        ({"zzz__h": 3}, "has no argument 'zzz__h'.*module__h"),
        ({"hidden": 3}, "has no argument 'hidden'.*module__hidden"),
        ({"optimizer": "Adamw"}, "Did you mean 'AdamW'"),
        ({"module": lambda: 3}, "must be or make an nn.Module"),
        ({"module": nn.Linear(6, 3), "module__bias": False}, "arguments of a class or function"),
        ({"scheduler__gamma": 3}, "scheduler__gamma is an argument of a scheduler.*scheduler="),
        ({"metrics": ["accuracy"]}, "none are held out.*early_stopping=True, or fit"),
        ({"predict_nonlinearity": "softmax"}, "'predict_nonlinearity' parameter .*'auto'"),
        ({"module": nn.Linear(5, 3)}, "inner sizes differ.*got .*6"),
    ],
    ids=lambda case: "" if isinstance(case, str) else "-".join(case),
)
def test_arguments_of_nets(settings, told):
    net = NeuralNetClassifier(**{"module": two_layers, **settings})
    with pytest.raises(Exception, match=f"(?s){told}"):
        net.fit(X, Y)
    assert "AdamW" in OPTIMIZERS


def test_sparse_inputs_of_nets_have_a_limit(monkeypatch):
    net = NeuralNetRegressor(two_layers, max_epochs=1).fit(sparse.csr_array(X), X[:, 0])
    assert net.predict(sparse.csr_array(X)).shape == (20,)
    monkeypatch.setattr("chainrule.sklearn.neural_net.AT_A_TIME", 100)
    with pytest.raises(ValueError, match="more than the 100 that may be"):
        net.fit(sparse.csr_array(X), X[:, 0])


LOSSES_OF = {
    NeuralNetClassifier: ("auto", "NLLLoss", "BCEWithLogitsLoss", nn.CrossEntropyLoss()),
    NeuralNetRegressor: ("auto", "L1Loss", nn.HuberLoss),
}


@pytest.mark.parametrize("kind", LOSSES_OF)
@pytest.mark.parametrize("spare", [-1, 1])
def test_a_module_has_an_output_for_each_class_or_column(kind, spare):
    x, y = X, np.arange(len(X)) % 2
    for criterion in LOSSES_OF[kind]:
        binary = kind is NeuralNetClassifier and criterion != "BCEWithLogitsLoss"
        targets = y if kind is NeuralNetClassifier else np.stack([y, y + 1.0], 1)
        width = 1 if criterion == "BCEWithLogitsLoss" else 2
        if width + spare == 0:
            continue
        model = kind(nn.Linear(x.shape[1], width + spare), criterion=criterion, max_epochs=1)
        with pytest.raises(ValueError, match=f"module has {width + spare} output") as caught:
            model.fit(x, targets)
        assert f"{width}: one for each {'class' if binary else 'column of y'}" in str(caught.value)
        assert not hasattr(model, "state_")
        kind(nn.Linear(x.shape[1], width), criterion=criterion, max_epochs=1).fit(x, targets)


def test_outputs_may_be_others_where_the_user_says_what_they_mean():
    y = np.arange(len(X)) % 2
    own = {"predict_nonlinearity": lambda z: z[:, :2]}
    module = nn.Linear(X.shape[1], 3)
    assert NeuralNetClassifier(module, max_epochs=1, **own).fit(X, y).predict_proba(X).shape[1] == 2
    NeuralNetRegressor(module, criterion=cost_of_any, max_epochs=1).fit(X, y)


def cost_of_any(z, y):
    """A loss that takes outputs of any number."""
    return (z.mean(1, keepdim=True) - y).square().mean()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "own",
    [{"activation": nn.GELU()}, {"activation": ["relu", nn.GELU()]},
     {"loss": nn.CrossEntropyLoss()}],
    ids=lambda own: str(own)[:20],
)  # fmt: skip
def test_a_module_in_an_mlp_is_copied_but_not_dumped_and_it_is_said_which(own):
    (name,) = own
    model = MLPClassifier((4, 4), max_iter=2, random_state=0, **own).fit(X, Y)
    with pytest.raises(ChainruleError, match=f"(?s)MLPClassifier: {name} is a .*as {name} pass"):
        pickle.dumps(model)
    for other in (copy.copy(model), copy.deepcopy(model)):
        assert np.array_equal(other.predict_proba(X), model.predict_proba(X))
    assert np.array_equal(clone(model).fit(X, Y).predict_proba(X), model.predict_proba(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_early_stopping_that_waits_for_nothing_is_refused_before_an_epoch():
    for monitor, own, told in (
        ("val_loss", {}, "(?s)no epoch has.*early_stopping=True"),
        ("val_accuracy", {"early_stopping": True}, "(?s)no epoch has.*val_score"),
    ):
        model = MLPClassifier(callbacks=[EarlyStopping(monitor)], **own)
        with pytest.raises(ValueError, match=told):
            model.fit(X, Y)
        assert not hasattr(model, "coefs_")
    MLPClassifier(callbacks=[EarlyStopping("val_loss")], max_iter=2).fit(X, Y, X_val=X, y_val=Y)


def test_labels_of_two_kinds_are_told_by_row():
    texts = np.array(["a", "b", "c"], object)[Y]
    for row, value in ((7, None), (3, 2)):
        y = texts.copy()
        y[row] = value
        for model in (MLPClassifier(), NeuralNetClassifier(two_layers)):
            with pytest.raises(ValueError, match=f"row {row} holds {value}, and 1 of 20 labels"):
                model.fit(X, y)
    y = texts.copy()
    y[4] = float("nan")
    with pytest.raises(ValueError, match=r"(?s)NaN.*no label in row 4\."):
        MLPClassifier().fit(X, y)


@pytest.mark.parametrize("name", ["module", "criterion"])
def test_what_is_made_already_is_not_dumped_and_it_is_said_which(name):
    made = {"module": nn.Linear(X.shape[1], 2), "criterion": nn.CrossEntropyLoss()}
    model = NeuralNetClassifier(**{"module": nn.Linear, name: made[name]}, max_epochs=1)
    model.fit(X, np.arange(len(X)) % 2)
    with pytest.raises(ChainruleError, match=f"as {name} pass .*{name}__") as caught:
        pickle.dumps(model)
    assert f"{name} is a {type(made[name]).__name__}" in str(caught.value)
    for other in (copy.copy(model), copy.deepcopy(model)):
        assert np.array_equal(other.predict_proba(X), model.predict_proba(X))
    plain = NeuralNetClassifier(nn.Linear, max_epochs=1).fit(X, np.arange(len(X)) % 2)
    again = pickle.loads(pickle.dumps(plain))
    assert np.array_equal(again.predict_proba(X), plain.predict_proba(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_layer_that_is_made_already_is_not_pickled_and_says_what_is():
    leaky = functools.partial(functional.leaky_relu, negative_slope=0.2)
    for wanted in (nn.LeakyReLU(0.2), [nn.LeakyReLU(0.2)]):
        model = MLPClassifier((4,), activation=wanted, random_state=0, max_iter=200).fit(X, Y)
        with pytest.raises(ChainruleError, match=r"MLPClassifier: activation is a LeakyReLU"):
            pickle.dumps(model)
        assert clone(model).get_params().keys() == model.get_params().keys()
    other = clone(model).set_params(activation=leaky).fit(X, Y)
    back = pickle.loads(pickle.dumps(other))
    assert np.array_equal(back.predict_proba(X), other.predict_proba(X))
    assert np.array_equal(back.predict_proba(X), model.predict_proba(X))
