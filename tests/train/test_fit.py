"""The loop: how it ends, what a step amounts to, and that nothing but the seed decides the bits."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from train_cases import bits, data, model, trainer

import chainrule
from chainrule import nn, optim
from chainrule.data import DataLoader, TensorDataset, random_split
from chainrule.errors import ArgumentError, ArgumentTypeError, ChainruleError, StateError
from chainrule.train import Callback, EarlyStopping, LambdaCallback, Trainer
from chainrule.train.callbacks import EVENTS
from chainrule.train.metrics import METRICS

pytestmark = pytest.mark.usefixtures("both_ways")


def plain(lr=0.1, loss=None, dtype=chainrule.float64, **settings):
    """A linear model without anything random, in float64."""
    chainrule.manual_seed(2)
    net = nn.Linear(3, 3).to(dtype)
    loss = nn.CrossEntropyLoss() if loss is None else loss
    return Trainer(net, loss, optim.SGD(net.parameters(), lr), **settings)


def weights(t):
    return np.concatenate([p.detach().numpy().ravel() for p in t.model.parameters()])


def same(compiled, a, b):
    """Two trainers with the same weights, which compiled code may round differently."""
    np.testing.assert_allclose(weights(a), weights(b), rtol=1e-13 if compiled else 0)


# ---------------------------------------------------------------- endings


def test_the_first_limit_ends_the_fit():
    x, y = data()
    assert plain().fit((x, y), epochs=2, steps=100).stopped == "epochs"
    t = plain()
    history = t.fit((x, y), epochs=5, steps=4, batch_size=8, validation=(x, y))
    assert (history.stopped, t.step, t.epoch) == ("steps", 4, 2)
    assert [row["step"] for row in history.rows] == [3, 4]
    assert set(history.rows[0]) == set(history.rows[1])


def test_converges_by_the_gradient_norm():
    x, y = data()
    t = plain(1.0)
    history = t.fit((x, y), grad_tol=0.05, epochs=10000, batch_size=len(x))
    assert history.stopped == "converged"
    assert history["grad_norm"][-1] < 0.05 <= history["grad_norm"][-2]


def test_converges_by_the_change_of_loss():
    x, y = data()
    history = plain(0.5).fit((x, y), tol=1e-4, epochs=10000, batch_size=len(x))
    changes = np.abs(np.diff(history["loss"]))
    assert history.stopped == "converged"
    assert changes[-1] < 1e-4
    assert (changes[:-1] >= 1e-4).all()


def test_a_second_fit_goes_on_for_as_long_again():
    x, y = data()
    once, twice = plain(), plain()
    once.fit((x, y), epochs=4, shuffle=False)
    first = twice.fit((x, y), epochs=2, shuffle=False)
    history = twice.fit((x, y), epochs=2, shuffle=False)
    assert len(first) == 2
    assert history["epoch"] == [1, 2, 3, 4]
    assert (weights(once) == weights(twice)).all()


def test_a_callback_ends_it_after_the_step():
    t = plain(callbacks=[LambdaCallback(on_step_end=lambda t: t.step == 2 and t.stop("enough"))])
    assert t.fit(data(), epochs=3, batch_size=4).stopped == "enough"
    assert t.step == 2


@pytest.mark.parametrize(
    "wrong", [{}, {"epochs": -1}, {"epochs": 1.5}, {"steps": True}, {"tol": 0}, {"grad_tol": "1"}]
)
def test_limits_that_are_none(wrong):
    with pytest.raises(ChainruleError, match="fit"):
        plain().fit(data(), **wrong)


# ---------------------------------------------------------------- what a step amounts to


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(1, 9), st.integers(1, 6), st.integers(2, 23), st.booleans())
def test_accumulated_batches_are_one_big_batch(batch_size, accumulate, rows, ignoring):
    x, y = data(rows)
    if ignoring:
        y = np.where(np.arange(rows) % 3 == 1, -100, y)
        batch_size = max(batch_size, 2)
    loss = nn.CrossEntropyLoss(chainrule.tensor([0.5, 1.0, 2.5], dtype=chainrule.float64))
    small, large = plain(loss=loss, accumulate=accumulate), plain(loss=loss)
    fit = {"epochs": 2, "shuffle": False}
    if rows % batch_size == 1 and ignoring:
        return  # a batch in which every target is ignored has no mean
    a = large.fit((x, y), batch_size=batch_size * accumulate, **fit)
    b = small.fit((x, y), batch_size=batch_size, **fit)
    np.testing.assert_allclose(weights(small), weights(large), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(b["loss"], a["loss"], rtol=1e-12)
    assert a["step"] == b["step"]


def test_a_summed_loss_accumulates_as_a_sum():
    x, y = data()
    loss = nn.CrossEntropyLoss(reduction="sum")
    small, large = plain(0.01, loss, accumulate=3), plain(0.01, loss)
    small.fit((x, y), epochs=2, shuffle=False, batch_size=4)
    large.fit((x, y), epochs=2, shuffle=False, batch_size=12)
    np.testing.assert_allclose(weights(small), weights(large), rtol=1e-12)


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(1, 9))  # every size of a batch is compiled
def test_the_loss_of_an_epoch_is_the_mean_over_examples(batch_size, rows):
    loss_of_an_epoch(batch_size, rows)


@pytest.mark.slow
@settings(max_examples=100)
@given(st.integers(1, 30), st.integers(1, 30))
def test_the_loss_of_any_epoch_is_the_mean_over_examples(batch_size, rows):
    loss_of_an_epoch(batch_size, rows)


def loss_of_an_epoch(batch_size, rows):
    x, y = data(rows)
    t = plain(lr=1e-300)
    expected = t.evaluate((x, y), batch_size=7)["loss"]
    found = t.fit((x, y), epochs=1, batch_size=batch_size)["loss"][0]
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_step_is_the_step_that_one_writes_by_hand(both_ways):
    x, y = data()
    t = plain(clip_grad_norm=0.01, clip_grad_value=0.003)
    by_hand = plain()
    t.fit((x, y), steps=3, batch_size=len(x), shuffle=False)
    params = list(by_hand.model.parameters())
    for _ in range(3):
        by_hand.optimizer.zero_grad()
        out = by_hand.model(chainrule.tensor(x).double())
        by_hand.loss(out, chainrule.tensor(y)).backward()
        nn.utils.clip_grad_norm_(params, 0.01)
        nn.utils.clip_grad_value_(params, 0.003)
        by_hand.optimizer.step()
    same(both_ways, t, by_hand)


@pytest.mark.parametrize("share", [0.5, 0.999, 1.0, 1.001, 2.0])
def test_a_limit_near_the_norm_clips_as_clip_grad_norm_does(share, both_ways):
    x, y = data()
    first = plain()
    limit = share * first.fit((x, y), steps=1, batch_size=len(x), shuffle=False)["grad_norm"][0]
    t, by_hand = plain(clip_grad_norm=limit), plain()
    t.fit((x, y), steps=1, batch_size=len(x), shuffle=False)
    out = by_hand.model(chainrule.tensor(x).double())
    by_hand.loss(out, chainrule.tensor(y)).backward()
    nn.utils.clip_grad_norm_(by_hand.model.parameters(), limit)
    by_hand.optimizer.step()
    same(both_ways, t, by_hand)


def test_several_inputs_and_a_loss_that_is_a_function():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 1), nn.Linear(3, 1)

        def forward(self, x, z):
            return self.a(x) + self.b(z)

    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(20, 2)), rng.normal(size=(20, 3))
    y = x.sum(1, keepdims=True) - z.sum(1, keepdims=True)
    net = Two()
    t = Trainer(net, lambda p, y: ((p - y) ** 2).mean(), optim.Adam(net.parameters(), 0.1))
    history = t.fit((x, z, y), epochs=100, validation=(x, z, y))
    assert history["val_loss"][-1] < 1e-2
    assert t.predict((x, z), batch_size=6).shape == (20, 1)
    assert chainrule.allclose(t.predict((x, z), batch_size=6), t.predict((x, z)))


def test_all_kinds_of_data_are_the_same():
    x, y = data()
    tensors = (chainrule.tensor(x).double(), chainrule.tensor(y))
    kinds = [
        (x, y), [x.tolist(), y.tolist()], tensors, TensorDataset(*tensors),
        DataLoader(TensorDataset(*tensors), 32),
    ]  # fmt: skip
    found = []
    for kind in kinds:
        t = plain()
        t.fit(kind, epochs=2, shuffle=None if isinstance(kind, DataLoader) else False)
        found.append(weights(t))
    assert all((f == found[0]).all() for f in found)


@pytest.mark.parametrize("wrong", [5, np.zeros((3, 2)), (np.zeros((3, 2)),), "x"])
def test_what_is_no_data(wrong):
    with pytest.raises(ChainruleError):
        plain().fit(wrong, epochs=1)


def test_evaluation_leaves_no_trace():
    t = trainer()
    t.model[3].eval()
    before = [m.training for m in t.model.modules()]
    mean, rng = t.model[0].mean.clone(), t.generator.get_state()
    one = t.evaluate(data())
    assert t.evaluate(data()) == one
    t.predict(data()[0])
    assert [m.training for m in t.model.modules()] == before
    assert chainrule.equal(t.model[0].mean, mean)
    assert chainrule.equal(t.generator.get_state(), rng)
    t.fit(data(), epochs=1, validation=data())
    assert [m.training for m in t.model.modules()] == before


# ---------------------------------------------------------------- schedule, average, early stopping


def test_plateau_gets_the_validation_loss():
    t = plain(lr=0.25)
    t = Trainer(
        t.model, t.loss, t.optimizer,
        scheduler=optim.lr_scheduler.ReduceLROnPlateau(t.optimizer, patience=0, threshold=10.0,
                                                       threshold_mode="abs"),
    )  # fmt: skip
    seen = []
    step = t.scheduler.step
    t.scheduler.step = lambda metrics: (seen.append(metrics), step(metrics))
    history = t.fit(data(), validation=data(9), epochs=3)
    assert seen == history["val_loss"]
    with pytest.raises(ArgumentError, match="validation loss"):
        Trainer(t.model, t.loss, t.optimizer, scheduler=t.scheduler, schedule_by="step")


@pytest.mark.parametrize(("by", "expected"), [("epoch", 2), ("step", 6)])
def test_the_schedule_moves_by_epoch_or_step(by, expected):
    t = plain(lr=1.0)
    scheduler = optim.lr_scheduler.ExponentialLR(t.optimizer, 0.5)
    t = Trainer(t.model, t.loss, t.optimizer, scheduler=scheduler, schedule_by=by)
    t.fit(data(), epochs=2, batch_size=8)
    assert t.lr == pytest.approx(0.5**expected)


def test_the_average_of_the_weights_is_evaluated_and_the_weights_come_back():
    t = plain(ema=0.75)
    expected = weights(t)
    for _ in range(4):
        t.fit(data(), epochs=1)
        expected = expected + 0.25 * (weights(t) - expected)
    average = np.concatenate([w.numpy().ravel() for w in t.ema.weights.values()])
    np.testing.assert_allclose(average, expected, rtol=1e-12)
    own, evaluated = weights(t), t.evaluate(data())["loss"]
    assert (weights(t) == own).all()
    with t.ema.applied():
        assert (weights(t) == average).all()
    t.model.load_state_dict(t.evaluated_weights())
    t.ema = None
    assert t.evaluate(data())["loss"] == evaluated
    with pytest.raises(ArgumentError, match="decay"):
        plain(ema=1.0)


@pytest.mark.parametrize("ema", [None, 0.5])
def test_early_stopping_gives_the_best_weights_back(ema):
    stopper = EarlyStopping(patience=3)
    t = plain(lr=1.0, callbacks=[stopper], ema=ema)
    t.scheduler, t.schedule_by = None, "epoch"
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.integers(0, 3, 20)
    held = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    history = t.fit((x, y), validation=held, epochs=500)
    losses = history["val_loss"]
    assert history.stopped == "early stopping"
    assert len(losses) == stopper.best_epoch + 3
    assert stopper.best == min(losses) == losses[stopper.best_epoch - 1]
    assert t.evaluate(held)["loss"] == pytest.approx(stopper.best, rel=1e-12)
    t.ema = None
    assert t.evaluate(held)["loss"] == pytest.approx(stopper.best, rel=1e-12)


def test_early_stopping_without_validation_is_refused_before_the_first_step():
    t = trainer(callbacks=[EarlyStopping("val_loss")])
    with pytest.raises(ArgumentError, match="val_loss needs validation data"):
        t.fit(data(), epochs=2)
    assert t.step == 0


def test_early_stopping_says_what_can_be_monitored():
    with pytest.raises(ArgumentError, match="val_loss") as caught:
        plain(callbacks=[EarlyStopping()]).fit(data(), epochs=1)
    assert "validation" in caught.value.fix


def test_metrics_are_in_the_history_under_their_names():
    names = [n for n, m in METRICS.items() if m.name not in ("top_k", "log_loss", "mae", "mse",
                                                            "rmse", "r2")]  # fmt: skip
    t = plain(metrics=names)
    history = t.fit(data(), validation=data(), epochs=2)
    found = t.evaluate(data())
    assert list(found) == ["loss", *names]
    for name, value in found.items():
        if isinstance(value, float):
            assert history[f"val_{name}"][-1] == value
        else:
            assert f"val_{name}" not in history.rows[-1]
            assert (t.validation[name] == value).all()
    with pytest.raises(ArgumentError, match="accuracy"):
        plain(metrics=["acuracy"])


@pytest.mark.parametrize("name", ["loss", *METRICS])
def test_what_is_better_follows_the_metric(name):
    larger = name in METRICS and METRICS[name].higher_is_better
    assert EarlyStopping(f"val_{name}").mode == ("max" if larger else "min")


# ---------------------------------------------------------------- callbacks


class Noting(Callback):
    """Writes down every event."""

    def __init__(self, fail_at=None):
        self.seen = []
        for event in EVENTS:
            setattr(self, event, lambda t, event=event: self.note(event, fail_at))

    def note(self, event, fail_at):
        self.seen.append(event)
        if event == fail_at:
            raise KeyError(event)


def test_the_life_of_a_fit():
    noting = Noting()
    plain(callbacks=[noting]).fit(data(), epochs=2, batch_size=16, validation=data())
    epoch = ["on_epoch_start", "on_step_end", "on_step_end", "on_validation_end", "on_epoch_end"]
    assert noting.seen == ["on_fit_start", *epoch, *epoch, "on_fit_end"]


@pytest.mark.parametrize("event", [e for e in EVENTS if e != "on_interrupt"])
def test_an_error_in_a_callback_leaves_everything_whole(event):
    t = trainer(callbacks=[Noting(event)])
    with pytest.raises(KeyError, match=event):
        t.fit(data(), epochs=1, validation=data())
    again = trainer()
    again.fit(data(), epochs=1, validation=data())
    if event != "on_fit_end" and event != "on_epoch_end":
        assert t.epoch == 0
    assert np.isfinite(t.evaluate(data())["loss"])
    t.callbacks.clear()
    assert Trainer(t.model, t.loss, t.optimizer).fit(data(), epochs=1).stopped == "epochs"


def test_wrong_parts_are_named():
    t = plain()
    for wrong in ({"callbacks": [print]}, {"accumulate": 0}, {"clip_grad_norm": 0},
                  {"schedule_by": "batch"}):  # fmt: skip
        with pytest.raises(ChainruleError):
            Trainer(t.model, t.loss, t.optimizer, **wrong)
    with pytest.raises(StateError, match="no parameter"):
        Trainer(model(), t.loss, t.optimizer)
    with pytest.raises(ArgumentTypeError, match="one element"):
        plain(loss=nn.CrossEntropyLoss(reduction="none")).fit(data(), epochs=1)
    with pytest.raises(ArgumentError, match="unknown event"):
        LambdaCallback(on_step=print)


# ---------------------------------------------------------------- the same bits


def fitted(seed=3):
    t = trainer(seed=seed)
    t.fit(data(), validation=data(), epochs=3, batch_size=4)
    return bits(t)


def test_the_same_seed_gives_the_same_bits():
    first = fitted()
    chainrule.rand(7)
    assert fitted() == first
    assert fitted(seed=4) != first


def test_without_a_seed_the_default_generator_decides():
    found = []
    for _ in range(2):
        chainrule.manual_seed(11)
        net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(), nn.Linear(8, 3))
        t = Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), 0.1))
        t.fit(data(), epochs=2, batch_size=4)
        found.append(bits(t))
    assert found[0] == found[1]


def test_two_threads_give_the_bits_of_one_after_the_other():
    trainers = [trainer(seed=s) for s in (1, 2)]
    expected = [fitted(s) for s in (1, 2)]
    start = threading.Barrier(2)

    def work(t):
        start.wait()
        t.fit(data(), validation=data(), epochs=3, batch_size=4)

    threads = [threading.Thread(target=work, args=(t,)) for t in trainers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [bits(t) for t in trainers] == expected


def test_a_loader_of_the_users_own_and_a_split():
    parts = random_split(TensorDataset(*data()), [15, 8], chainrule.Generator().manual_seed(1))
    t = trainer()
    history = t.fit(DataLoader(parts[0], 5, drop_last=True), validation=parts[1], epochs=2)
    assert t.step == 4
    assert len(history["val_loss"]) == 2


def test_a_trainer_says_what_it_trains_and_how_far_it_is():
    t = trainer(callbacks=[])
    assert repr(t).endswith(", CrossEntropyLoss, Adam; epoch 0, step 0)")
    t.fit(data(), epochs=1, batch_size=4)
    assert repr(t).endswith(f"; epoch 1, step {t.step})")
