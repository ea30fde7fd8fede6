"""lr_find: what it suggests has been tried, and the trainer is as it was, bit for bit."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest
import train_cases as cases

import chainrule
from chainrule import nn, optim
from chainrule.data import DataLoader, TensorDataset
from chainrule.errors import ArgumentError, ArgumentTypeError, NonFiniteError
from chainrule.tensor.random import get_rng_state
from chainrule.train import Trainer, lr_find
from chainrule.train.packing import pack
from chainrule.train.state import capture


def linear(curvature, lr=1e-3, **parts):
    """A linear least-squares problem whose loss is curved by `curvature` at most."""
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    x = (q * np.sqrt(np.linspace(0.2, 1.0, 8) * curvature * 8 / 2)).astype(np.float64)
    model = nn.Linear(8, 1, bias=False, dtype=chainrule.float64)
    optimizer = optim.SGD(model.parameters(), lr=lr)
    return Trainer(model, nn.MSELoss(), optimizer, seed=0, **parts), (x, x.sum(1, keepdims=True))


@pytest.mark.parametrize(
    "curvature",
    [5.0, pytest.param(0.2, marks=pytest.mark.slow), pytest.param(100.0, marks=pytest.mark.slow)],
)
def test_the_suggestion_is_below_the_rate_at_which_sgd_diverges(curvature):
    trainer, data = linear(curvature)
    found = lr_find(trainer, data, batch_size=8)
    assert 0.05 / curvature < found.suggestion < 2.0 / curvature
    assert found.lrs == sorted(found.lrs)
    assert len(found.lrs) == len(found.losses) == len(found.smoothed)
    assert len({t.lr for t in found.trials}) == len(found.trials)
    json.dumps(found.to_json(), allow_nan=False)


def held(trainer):
    body, tensors = pack(copy.deepcopy(capture(trainer)))
    text = re.sub(r'"seconds": [^,}]+', "", json.dumps(body, sort_keys=True))
    return text, {k: np.asarray(v).tobytes() for k, v in tensors.items()}


@pytest.mark.parametrize("fitted", [False, True])
def test_it_leaves_no_trace(fitted):
    def ends(look):
        chainrule.manual_seed(9)
        trainer = cases.trainer()
        x, y = (chainrule.tensor(a) for a in cases.data())
        loader = DataLoader(TensorDataset(x, y), 4, shuffle=True, generator=trainer.generator)
        if fitted:
            trainer.fit(loader, validation=(x, y), steps=4)  # in the middle of an epoch
        before = held(trainer), get_rng_state().tolist()
        if look:
            lr_find(trainer, loader, steps=20, trial_steps=10)
            assert (held(trainer), get_rng_state().tolist()) == before
        trainer.fit(loader, validation=(x, y), epochs=2)
        return held(trainer)

    assert ends(True) == ends(False)


def test_no_rate_helps_where_nothing_can_be_learned():
    trainer, (x, _) = linear(1.0)
    for p in trainer.model.parameters():
        p.requires_grad_(False).zero_().requires_grad_(True)
    found = lr_find(trainer, (x, np.zeros((8, 1))), steps=30, batch_size=8)
    assert found.suggestion is None
    assert "no rate" in found.why
    assert not found.trials


def test_progress_counts_every_step():
    trainer, data = linear(1.0)
    seen = []
    lr_find(trainer, data, steps=20, trial_steps=10, progress=lambda *at: seen.append(at))
    assert seen == sorted(seen)
    assert seen[-1] == (60, 60)


@pytest.mark.parametrize(
    "wrong",
    [{"lowest": 0}, {"highest": float("nan")}, {"lowest": 2.0, "highest": 1.0}, {"steps": 1},
     {"trial_steps": True}],
)  # fmt: skip
def test_a_range_that_is_none(wrong):
    trainer, data = linear(1.0)
    before = held(trainer)
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        lr_find(trainer, data, **wrong)
    assert held(trainer) == before


def test_data_that_are_not_finite_are_no_matter_of_the_rate():
    trainer, (x, y) = linear(1.0)
    with pytest.raises(NonFiniteError, match="training data"):
        lr_find(trainer, (x, y * np.nan))


def test_parts_that_cannot_be_copied():
    class Locked(nn.MSELoss):
        def __deepcopy__(self, memo):
            raise ValueError("mine")

    trainer, data = linear(1.0)
    trainer.loss = Locked()
    with pytest.raises(ArgumentTypeError, match="can't be copied"):
        lr_find(trainer, data)
