"""The rate to try where one was too high: sensible for every optimizer, and said only once."""

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule import nn, optim
from chainrule.cli import recipe as recipes
from chainrule.cli.recipe import Recipe
from chainrule.diagnosis import diagnose
from chainrule.errors import NonFiniteError
from chainrule.train import Run, Trainer, Watch
from chainrule.train.rates import BEYOND, slower_rate, usual_rate

KINDS = [n for n, k in vars(optim).items() if isinstance(k, type) and k is not optim.Optimizer
         and issubclass(k, optim.Optimizer)]  # fmt: skip


@given(
    st.floats(1e-8, 1e300),
    st.sampled_from([*KINDS, "", "Somebodys"]),
    st.none() | st.floats(0, math.inf),
)
def test_a_rate_is_lower_and_not_far_beyond_the_usual_one(lr, kind, ratio):
    found, usual = slower_rate(lr, kind, ratio), usual_rate(kind)
    assert 0 < found <= BEYOND * usual * (1 + 1e-9)
    assert found < lr
    if ratio is None and lr <= BEYOND * usual:
        assert found == pytest.approx(lr / 10, 1e-5), "a rate that may be meant is divided by 10"


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("lr", [1.0, 1e6])
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_the_error_and_diagnose_name_the_same_rate(kind, lr, watched, tmp_path):
    x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32) * 30
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = getattr(optim, kind)(model.parameters(), lr)
    schedule = optim.lr_scheduler.WarmupCosineLR(optimizer, 5, 200)
    trainer = Trainer(
        model, lambda p, y: ((p - y) * 10).pow(8).mean(), optimizer, scheduler=schedule, seed=0,
        schedule_by="step", run=Run.create("rates", tmp_path), compile=False,
        callbacks=[Watch(1)] if watched else [],
    )  # fmt: skip
    with pytest.raises(NonFiniteError) as caught:
        trainer.fit((x, x[:, :1]), epochs=100, batch_size=8)
    said = caught.value.fix.partition(",")[0]
    assert said == f"lr={caught.value.advised_lr:g}"
    for source in (trainer, trainer.history, trainer.run):
        finding = next(f for f in diagnose(source) if f.title == "exploding numbers")
        assert finding.fixes[0].text == said


@pytest.mark.slow
@pytest.mark.parametrize("lr", [30.0, 1e4, 1e30])
@pytest.mark.parametrize("data", ["digits", "moons"])
@pytest.mark.parametrize("optimizer", recipes.OPTIMIZERS)
def test_the_proposed_rate_trains_without_the_finding(data, optimizer, lr):
    def judged(lr):
        r = Recipe(data, layers=(32, 32), activation="relu", dropout=0.0, optimizer=optimizer,
                   lr=lr, epochs=12, patience=None, schedule="constant")  # fmt: skip
        parts = recipes.build(r)
        trainer = recipes.trainer(parts, r, [Watch()])
        with suppress(NonFiniteError):
            trainer.fit(parts.train, validation=parts.validation, epochs=r.epochs)
        return diagnose(trainer)

    found = [f for f in judged(lr) if any("lr" in x.changes for x in f.fixes)]
    assert found, "an absurd rate is found"
    rates = {x.changes["lr"] for f in found for x in f.fixes if "lr" in x.changes}
    for rate in rates:
        after = {(f.id, f.title) for f in judged(rate)}
        assert not after & {(f.id, f.title) for f in found}, rate
