"""The look inside: its numbers are what they claim to be, and training does not notice it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from train_cases import bits, data, looked, trainer

import chainrule
from chainrule import nn, optim
from chainrule.data import DataLoader, Dataset, TensorDataset
from chainrule.errors import ArgumentError
from chainrule.train import Callback, EarlyStopping, Run, Trainer, Watch
from chainrule.train.watch import Probe, read_looks
from chainrule.train.watch.layers import ACTIVATIONS


def small(activation=nn.Tanh, dropout=0.0):
    chainrule.manual_seed(0)
    parts = [nn.Linear(3, 5), activation(), nn.Dropout(dropout), nn.Linear(5, 4), activation()]
    return nn.Sequential(*parts, nn.Linear(4, 2)).double()


def batch(rows=32):
    x = chainrule.randn(rows, 3, dtype=chainrule.float64)
    return x, (x.sum(1) > 0).to(chainrule.int64)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_ledger_is_the_backward_pass(activation):
    net, (x, y) = small(activation), batch()
    layers = Probe(net, nn.CrossEntropyLoss(), (x, y)).measure()
    assert [(f.name, f.activation) for f in layers] == [
        ("0", activation.__name__), ("3", activation.__name__), ("5", None),
    ]  # fmt: skip
    # by hand: the error of the last layer is (softmax - one-hot) / n, then back through weights
    w3, w2 = (np.asarray(net[i].weight.detach()) for i in (5, 3))
    z1 = net[0](x)
    z2 = net[3](net[1](z1))
    logits = np.asarray(net[5](net[4](z2)).detach())
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    d3 = (p - np.eye(2)[np.asarray(y)]) / len(p)
    slopes = []
    for z, layer in ((z1, net[1]), (z2, net[4])):
        leaf = z.detach().requires_grad_()
        layer(leaf).sum().backward()
        slopes.append(np.asarray(leaf.grad))
    a2 = d3 @ w3
    d2 = a2 * slopes[1]
    a1 = d2 @ w2
    d1 = a1 * slopes[0]
    size = np.linalg.norm
    expected = [(size(d1) / size(d2), size(a1) / size(d2), size(d1) / size(a1)),
                (size(d2) / size(d3), size(a2) / size(d3), size(d2) / size(a2))]  # fmt: skip
    for f, (gain, weights, slope) in zip(layers, expected, strict=False):
        assert np.allclose((f.gain, f.weights, f.slope), (gain, weights, slope), rtol=1e-12)
        assert np.isclose(f.gain, f.weights * f.slope, rtol=1e-12)
    assert layers[-1].gain is None, "the last layer has no next: not computed, not 0"


class ByFunction(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.a, self.b, self.function = nn.Linear(3, 5), nn.Linear(5, 2), function

    def forward(self, x):
        return self.b(self.function(self.a(x)))


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (nn.functional.relu, "ReLU"), (chainrule.tanh, "Tanh"), (chainrule.sigmoid, "Sigmoid"),
        (nn.functional.silu, None), (nn.functional.gelu, None),
    ],
)  # fmt: skip
def test_a_function_is_an_activation_too(function, name):
    net = ByFunction(function).double()
    found = Probe(net, nn.CrossEntropyLoss(), batch()).measure()
    assert [x.activation for x in found] == [name, None]
    assert (found[0].slope is None) == (name is None)
    assert found[0].gain > 0, "the quotient of the errors is known in any case"


def test_a_probe_leaves_no_trace():
    net, (x, y) = small(dropout=0.5), batch()
    net.train()
    loss = nn.CrossEntropyLoss()
    loss(net(x), y).backward()
    before = {n: np.array(p.grad) for n, p in net.named_parameters()}
    rng = np.array(chainrule.get_rng_state())
    Probe(net, loss, (x, y)).measure(find_twins=True)
    assert all(np.array_equal(before[n], np.asarray(p.grad)) for n, p in net.named_parameters())
    assert np.array_equal(rng, np.asarray(chainrule.get_rng_state()))
    assert all(m.training for m in net.modules())
    assert not any(m._forward_hooks for m in net.modules())


def test_dead_and_saturated_units_are_counted():
    net, rows = small(nn.ReLU), batch()
    with chainrule.no_grad():
        net[0].bias[1:3] = -1e3
    layer = Probe(net, nn.CrossEntropyLoss(), rows).measure()[0]
    assert {1, 2} <= set(layer.dead_units)
    assert layer.dead == len(layer.dead_units) / 5
    assert layer.saturated is None
    net = small(nn.Tanh)
    with chainrule.no_grad():
        net[0].bias[:] = 1e3
    layer = Probe(net, nn.CrossEntropyLoss(), rows).measure()[0]
    assert (layer.saturated, layer.dead, layer.dead_units) == (1.0, None, None)


class Many(nn.Module):
    """A layer of every kind, in one model."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(11, 8)
        self.conv = nn.Conv1d(8, 8, 3, padding=1)
        self.relu = nn.ReLU()
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.lstm = nn.LSTM(8, 6, batch_first=True)
        self.gru = nn.GRU(6, 4, batch_first=True)
        self.batch = nn.BatchNorm1d(4)
        self.unused = nn.Linear(3, 3)
        self.twice = nn.Linear(4, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, tokens):
        x = self.relu(self.conv(self.table(tokens).transpose(1, 2))).transpose(1, 2)
        x = self.norm(x)
        x, _ = self.attention(x, x, x)
        x, _ = self.gru(self.lstm(x)[0])
        return self.out(self.twice(self.twice(self.batch(x[:, -1]))))


def test_layers_of_every_kind():
    chainrule.manual_seed(0)
    net = Many()
    tokens = chainrule.tensor(np.arange(40).reshape(8, 5) % 11)
    y = chainrule.tensor(np.arange(8) % 2)
    optimizer = optim.SGD(net.parameters(), 0.1)
    watch = Watch()
    fitted = Trainer(net, nn.CrossEntropyLoss(), optimizer, callbacks=[watch], compile=False)
    fitted.fit((tokens, y), epochs=2, batch_size=8)
    assert watch.problem is None
    found = {x.name: x for x in watch.looks[0].layers}
    kinds = ["table", "conv", "norm", "attention", "lstm", "gru", "batch", "twice", "out"]
    assert set(kinds) <= set(found)
    assert "unused" not in found
    for name in kinds:
        layer = found[name]
        assert layer.kind == type(net.get_submodule(name)).__name__
        assert min(layer.grad, layer.weight, layer.update, layer.ratio) > 0
        assert sum(layer.gradients.counts) > 0 < sum(layer.activations.counts)
    assert found["conv"].activation == "ReLU"
    assert found["conv"].dead is not None
    assert found["twice"].gain is None, "called twice: which of the two would it be?"
    assert found["table"].gain is None


def test_what_can_not_be_measured_is_not_invented():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3)

        def forward(self, x):
            assert len(x) == 8, "only batches of 8"
            return self.a(x)

    x, y = data(16)
    net = Fixed()
    optimizer = optim.SGD(net.parameters(), 0.1)
    watch = Watch()
    Trainer(net, nn.CrossEntropyLoss(), optimizer, callbacks=[watch], compile=False).fit(
        (x, y), epochs=1, batch_size=8
    )
    layer = watch.looks[0].layers[0]
    assert "only batches of 8" in watch.problem
    assert (layer.std, layer.activations, watch.looks[0].probe) == (None, None, None)
    assert min(layer.grad, layer.update) > 0, "what the step itself gives is there"


class Ragged(Dataset):
    """Sequences of any length, drawn with NumPy's own random numbers."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        x = np.random.normal(size=(2 + i % 3, 3)).astype(np.float32)
        return x, np.float32(x.sum())


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 1)

    def forward(self, x):
        return self.a(x).sum((1, 2))


def test_rows_of_any_length_that_draw_numbers():
    losses = []
    for callbacks in ([], [Watch()]):
        np.random.seed(0)
        chainrule.manual_seed(0)
        net = Sum()
        optimizer = optim.SGD(net.parameters(), 0.01)
        fitted = Trainer(net, nn.MSELoss(), optimizer, compile=False, callbacks=callbacks)
        losses.append(fitted.fit(DataLoader(Ragged(), 1), epochs=3)["loss"])
    assert losses[0] == losses[1], "the probe's rows take no number from the training's"
    assert callbacks[0].start["rows"] == 1
    assert callbacks[0].looks[0].layers[0].std > 0


class Stubborn(DataLoader):
    """Gives no batch at the first time."""

    refused = 0

    def fetch(self, indices):
        if self.refused < 1:
            self.refused += 1
            raise KeyError("no such rows")
        return super().fetch(indices)


def test_data_without_rows_for_the_probe():
    x, y = data(8)
    net, watch = nn.Linear(3, 3), Watch()
    optimizer = optim.SGD(net.parameters(), 0.1)
    fitted = Trainer(net, nn.CrossEntropyLoss(), optimizer, compile=False, callbacks=[watch])
    fitted.fit(Stubborn(TensorDataset(x, y), 4), epochs=1)
    assert "no such rows" in watch.problem
    layer = watch.looks[0].layers[0]
    assert layer.grad > 0
    assert (layer.std, watch.looks[0].probe) == (None, None)


# ---------------------------------------------------------------- in training


class Keep(Callback):
    """The weights of the first layer before and after every step."""

    def on_fit_start(self, trainer):
        self.weights = [np.array(trainer.model[1].weight.detach())]

    def on_step_end(self, trainer):
        self.weights.append(np.array(trainer.model[1].weight.detach()))


def test_updates_and_gradients_are_those_of_the_step():
    keep, watch = Keep(), Watch(every=10)
    fitted = trainer(callbacks=[watch, keep], compile=False)
    fitted.fit(data(), epochs=16, batch_size=4)
    assert [x.step for x in watch.looks] == [1, 3, 11, 31, 49]
    for look in watch.looks[:-1]:
        before, after = keep.weights[look.step - 1], keep.weights[look.step]
        layer = look.layer("1")
        assert np.isclose(layer.weight, np.linalg.norm(before), rtol=1e-5)
        assert np.isclose(layer.update, np.linalg.norm(after - before), rtol=1e-4)
        assert layer.ratio == layer.update / layer.weight
        assert layer.grad > 0


def test_a_fit_ends_with_a_look_at_what_it_leaves():
    stopper = EarlyStopping("loss", patience=1, min_delta=1.0)  # the first epoch is the best
    fitted = trainer(callbacks=[stopper, Watch(every=10)], compile=False, ema=None)
    fitted.fit(data(), epochs=9, batch_size=4)
    last = fitted.history.watch.looks[-1]
    assert last.closing
    assert [x.closing for x in fitted.history.watch.looks[:-1]].count(True) == 0
    assert last.step == fitted.step + 1
    layer = last.layer("1")
    assert np.isclose(layer.weight, np.linalg.norm(fitted.model[1].weight.detach()), rtol=1e-5)
    assert layer.grad > 0
    assert (layer.update, layer.ratio) == (None, None)
    fitted.fit(data(), epochs=1, batch_size=4)
    looks = fitted.history.watch.looks
    assert [x.closing for x in looks].count(True) == 1, "what goes on has one end"


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"accumulate": 1, "ema": None}])
def test_training_does_not_notice_it(both_ways, settings):
    plain = trainer(**settings)
    watched = trainer(**settings, callbacks=[EarlyStopping(patience=50), Watch(every=5)])
    for t in (plain, watched):
        t.fit(data(), validation=data(9), epochs=6, batch_size=4)
    assert bits(plain) == bits(watched)


@pytest.mark.slow
def test_two_runs_of_one_seed_say_the_same_and_compiled_steps_run_on(tmp_path):
    found = []
    for _ in range(2):
        run = Run.create("a", tmp_path, checkpoint_seconds=1e9)
        t = trainer(callbacks=[Watch(every=20)], accumulate=1, ema=None, run=run, compile=True)
        turns, made = [], t.steps.turns

        def counted(*args, made=made, turns=turns):
            for done in made(*args):
                turns.append(len(done.losses))
                yield done

        t.steps.turns = counted
        t.fit(data(400), epochs=2, batch_size=4)
        assert max(turns) > 10, "between two looks many steps are made at a time"
        assert t.steps.step.traces == 1, "looking compiles nothing anew"
        found.append(looked(t))
        held = read_looks(run.path)
        assert [{**x.to_json(), "overhead": None} for x in held] == found[-1]
    assert found[0] == found[1]
    assert [x["step"] for x in found[0]][:4] == [1, 5, 21, 61]


@pytest.mark.slow
def test_a_resumed_run_has_the_looks_of_one_that_went_through(tmp_path):
    def make(run):
        return trainer(callbacks=[Watch(every=4)], run=run)

    whole = make(None)
    whole.fit(data(), epochs=8, batch_size=4)
    run = Run.create("a", tmp_path)
    make(run).fit(data(), steps=10, batch_size=4)
    again = make(None).resume(run)
    again.fit(data(), epochs=8, batch_size=4)
    assert looked(again) == looked(whole)
    assert [x.step for x in read_looks(run.path)] == [x["step"] for x in looked(whole)]


@pytest.mark.slow
def test_the_run_says_what_is_known_of_the_data(tmp_path):
    run = Run.create("a", tmp_path)
    x, y = data(40)
    t = trainer(callbacks=[Watch()], run=run)
    t.fit((x, y), epochs=1, batch_size=8)
    held = run.described["watch"]
    assert held["class_counts"] == np.bincount(y).tolist()
    assert np.isclose(held["expected_loss"], math.log(3))
    assert (held["rows"], held["frozen"], held["problem"]) == (40, [], None)
    assert 0 <= run.result["watch_overhead"] < 1
    assert run.result["watch_looks"] == len(read_looks(run.path)) == 2
    assert run.result["watch_left_out"] == 0


@pytest.mark.parametrize("settings", [{"every": 0}, {"every": 2.0}, {"rows": True}, {"probe": [1]}])
def test_odd_settings_are_refused(settings):
    with pytest.raises(ArgumentError, match="Watch"):
        Watch(**settings)
