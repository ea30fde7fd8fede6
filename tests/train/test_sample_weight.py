"""sample_weight: a row of weight n counts as n rows, whatever the loss, eager and compiled."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import train_cases as cases

import chainrule
from chainrule import functional as F
from chainrule import nn, optim
from chainrule.data import TensorDataset
from chainrule.errors import ArgumentError, ArgumentTypeError, ShapeError
from chainrule.nn.loss import _Loss
from chainrule.train import Trainer, Watch

LOSSES = [c for _, c in inspect.getmembers(nn, inspect.isclass) if issubclass(c, _Loss)]
rng = np.random.default_rng(2)
X = rng.normal(size=(12, 3))
WEIGHTS = np.array([1, 0, 2, 1, 3, 1, 1, 0, 2, 1, 1, 4])


def targets(loss):
    """A head for the model and targets that a loss takes."""
    if isinstance(loss, (nn.CrossEntropyLoss, nn.NLLLoss)):
        head = nn.LogSoftmax(1) if isinstance(loss, nn.NLLLoss) else nn.Identity()
        return head, rng.integers(0, 2, 12)
    p = rng.uniform(0.1, 0.9, size=(12, 2))
    if isinstance(loss, nn.BCELoss):
        return nn.Sigmoid(), p
    return nn.Identity(), p


def fitted(loss, head, x, y, w=None, **settings):
    chainrule.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 2, dtype=chainrule.float64), head)
    held = {"compile": False, "seed": 0, **settings}
    trainer = Trainer(model, loss, optim.SGD(model.parameters(), 0.1), **held)
    data = (x, y)
    history = trainer.fit(data, epochs=5, batch_size=100, shuffle=False, sample_weight=w)
    return np.concatenate([np.asarray(p.detach()).ravel() for p in model.parameters()]), history


@pytest.mark.parametrize("kind", LOSSES, ids=lambda c: c.__name__)
def test_a_weight_is_a_number_of_rows(kind):
    loss = kind()
    head, y = targets(loss)
    rows = np.repeat(np.arange(12), WEIGHTS)
    expected, history = fitted(loss, head, X[rows], y[rows])
    for w in (WEIGHTS, WEIGHTS * 0.3):
        found, weighted = fitted(loss, head, X, y, w)
        assert np.allclose(found, expected, rtol=1e-12, atol=1e-14)
        assert np.allclose(weighted["loss"], history["loss"], rtol=1e-12)
    compiled, _ = fitted(loss, head, X, y, WEIGHTS, compile=True)
    assert np.allclose(compiled, expected, rtol=1e-10, atol=1e-12)


def test_functions_with_a_reduction_and_accumulated_batches():
    chainrule.manual_seed(1)
    found = []
    y = rng.normal(size=(12, 1))
    for batch_size, accumulate, compiled in ((12, 1, False), (3, 4, False), (3, 4, True)):
        chainrule.manual_seed(1)
        model = nn.Linear(3, 1, dtype=chainrule.float64)
        trainer = Trainer(model, F.mse_loss, optim.SGD(model.parameters(), 0.1),
                          accumulate=accumulate, compile=compiled)  # fmt: skip
        trainer.fit((X, y), epochs=3, batch_size=batch_size, shuffle=False, sample_weight=WEIGHTS)
        found.append(np.asarray(model.weight.detach()))
    assert np.allclose(found[0], found[1], rtol=1e-12)
    assert np.allclose(found[0], found[2], rtol=1e-12)


def test_several_inputs_a_batch_of_no_weight_and_a_look_inside():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 1)

        def forward(self, x, z):
            return self.a(x) + self.b(z)

    w = WEIGHTS.copy()
    w[:4] = 0
    model = Two()
    watch = Watch(1)
    trainer = Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), callbacks=[watch])
    data = (X, X, X.sum(1, keepdims=True))
    history = trainer.fit(data, epochs=2, batch_size=4, shuffle=False, sample_weight=w,
                          validation=data)  # fmt: skip
    assert np.isfinite(history["loss"]).all()
    assert watch.problem is None
    assert watch.looks
    assert trainer.split(tuple(map(chainrule.tensor, (X, X, w, X))))[0][0].shape == (12, 3)
    before = trainer.steps.step.traces
    trainer.fit(data, epochs=1, batch_size=4, shuffle=False, sample_weight=w)
    assert trainer.steps.step.traces == before


def test_an_unweighted_fit_after_a_weighted_one_is_unweighted():
    trainer = cases.trainer(accumulate=1)
    x, y = cases.data()
    trainer.fit((x, y), epochs=1, validation=(x, y), sample_weight=np.ones(len(x)))
    trainer.fit((x, y), epochs=1, validation=(x, y))
    assert trainer.objective is trainer.loss


@pytest.mark.parametrize(
    ("w", "error", "text"),
    [
        (np.ones(3), ShapeError, "(23,)"),
        (np.ones((23, 1)), ShapeError, "(23, 1)"),
        (np.array([1.0] * 22 + [np.nan]), ArgumentError, "row 22"),
        (-np.ones(23), ArgumentError, "23 such rows"),
        (np.zeros(23), ArgumentError, "only 0"),
        (["a"] * 23, ArgumentTypeError, "list"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_leave_everything_as_it_was(w, error, text):
    trainer = cases.trainer()
    before = cases.bits(trainer)
    with pytest.raises(error) as found:
        trainer.fit(cases.data(), epochs=1, sample_weight=w)
    assert text in str(found.value)
    assert cases.bits(trainer) == before
    assert trainer.objective is trainer.loss


def test_losses_and_data_that_take_no_weights():
    x, y = cases.data()
    w = np.ones(len(x))
    per_class = nn.CrossEntropyLoss(weight=chainrule.ones(3))
    for loss in (per_class, nn.CrossEntropyLoss(ignore_index=1), nn.MSELoss(reduction="sum"),
                 lambda p, t: F.cross_entropy(p, t)):  # fmt: skip
        trainer = cases.trainer()
        trainer.loss = loss
        with pytest.raises((ArgumentError, ArgumentTypeError), match="sample_weight"):
            trainer.fit((x, y), epochs=1, sample_weight=w)
    rows = TensorDataset(chainrule.tensor(x), chainrule.tensor(y))
    with pytest.raises(ArgumentTypeError, match="arrays"):
        cases.trainer().fit(rows, epochs=1, sample_weight=w)
