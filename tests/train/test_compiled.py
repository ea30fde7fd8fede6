"""Compiled training: the losses of the eager loop, the same bits every time, nothing left out."""

import signal

import numpy as np
import pytest
from train_cases import bits, data, model, trainer

import chainrule
from chainrule import nn, optim
from chainrule.data import BatchSampler, ConcatDataset, DataLoader, Subset, TensorDataset
from chainrule.errors import NonFiniteError, RecompileError, StateError, TraceError
from chainrule.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR
from chainrule.runtime.loop import Steps
from chainrule.train import Callback, LambdaCallback, Trainer

FIT = {"epochs": 3, "batch_size": 4, "validation": data()}


def plain(dtype=chainrule.float32, by="step", **changes):
    """No callbacks, so that compiled steps run many at a time."""
    net = model().to(dtype)
    optimizer = optim.Adam(net.parameters(), 0.02)
    settings = {"scheduler": CosineAnnealingLR(optimizer, 30), "schedule_by": by, "seed": 3}
    return Trainer(net, nn.CrossEntropyLoss(), optimizer, **{**settings, **changes})


def weights(t):
    return np.concatenate([p.detach().numpy().ravel() for p in t.model.parameters()])


@pytest.fixture
def turns(monkeypatch):
    """How many steps each turn of the native loop made."""
    counts = []
    run = Steps.run

    def counted(self, rounds, team):
        done = run(self, rounds, team)
        counts.append(sum(done))
        return done

    monkeypatch.setattr(Steps, "run", counted)
    return counts


# ---------------------------------------------------------------- the same numbers


CASES = {
    "all": {"clip_grad_norm": 0.5, "ema": 0.9},
    "values": {"clip_grad_value": 0.01},
    "accumulated": {"accumulate": 2},
    "by epoch": {"by": "epoch"},
    "classes": {"loss": nn.CrossEntropyLoss(chainrule.tensor([0.5, 1.0, 2.5]), ignore_index=1)},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("dtype", "rtol"),
    [
        (chainrule.float32, 1e-5),
        pytest.param(chainrule.float64, 1e-12, marks=pytest.mark.slow),
    ],
)
def test_losses_are_those_of_the_eager_loop(case, dtype, rtol):
    found = []
    for compile in (True, False):
        changes = dict(CASES[case])
        loss = changes.pop("loss", None)
        t = plain(dtype, compile=compile, **changes)
        t.loss = loss.to(dtype) if loss is not None else t.loss
        x, y = data()
        x = x.astype(dtype)
        found.append((t.fit((x, y), epochs=4, batch_size=5, validation=(x, y)), t))
    (a, s), (b, t) = found
    assert list(a.last) == list(b.last)
    for name in ("loss", "val_loss", "grad_norm"):
        np.testing.assert_allclose(a[name], b[name], rtol=rtol)
    assert a["lr"] == b["lr"]
    assert a["step"] == b["step"]
    np.testing.assert_allclose(weights(s), weights(t), rtol=30 * rtol, atol=rtol)
    if t.ema is not None:
        for name, average in t.ema.weights.items():
            np.testing.assert_allclose(s.ema.weights[name], average, rtol=30 * rtol, atol=rtol)
    for p, q in zip(s.parameters, t.parameters, strict=True):
        assert s.grad_norm_of(p) == pytest.approx(t.grad_norm_of(q), rel=30 * rtol)


def test_any_number_of_threads_gives_the_same_bits(on_all_threads, turns):
    found = []
    before = chainrule.get_num_threads()
    for threads in (1, 2, 2):
        chainrule.set_num_threads(threads)
        t = plain(ema=0.9)
        t.fit(data(), **FIT)
        found.append(bits(t))
    chainrule.set_num_threads(before)
    assert found[0] == found[1] == found[2]
    assert max(turns) > 1


class Apart:
    """Data that no array holds."""

    def __getitem__(self, i):
        x, y = data()
        return x[i], y[i]

    def __len__(self):
        return 23


def test_all_kinds_of_data_give_the_same_bits(turns):
    x, y = data()
    whole = TensorDataset(x, y)
    mixed = np.random.default_rng(0).permutation(23)
    back = np.argsort(mixed)
    kinds = {
        "tensors": whole,
        "subset": Subset(Subset(TensorDataset(x[mixed], y[mixed]), back), range(23)),
        "concatenated": ConcatDataset([Subset(whole, range(9)), Subset(whole, range(9, 23))]),
        "not in a row": TensorDataset(x[:, ::-1].copy()[:, ::-1], y),
        "apart": Apart(),
        "collated": DataLoader(whole, 5, collate_fn=lambda rows: [
            chainrule.stack([r[i] for r in rows]) for i in range(2)]),
        "own batches": DataLoader(whole, batch_sampler=list(BatchSampler(range(23), 5))),
    }  # fmt: skip
    found = {}
    for name, kind in kinds.items():
        turns.clear()
        t = plain()
        own = isinstance(kind, DataLoader)
        t.fit(kind, epochs=2, **({} if own else {"batch_size": 5, "shuffle": False}))
        found[name] = bits(t).split(" ", 1)[0], name in ("apart", "collated", "own batches")
        assert bool(turns) is not found[name][1], name
    assert len({digest for digest, _ in found.values()}) == 1


def test_rows_that_are_never_visited_are_not_looked_at():
    x, y = data()
    y[7] = 99
    t = plain()
    t.fit(Subset(TensorDataset(x, y), [0, 1, 2, 3, 9]), epochs=2, batch_size=2)
    assert t.step == 6
    with pytest.raises(IndexError, match="class number"):
        t.fit((x, y), epochs=1)


# ---------------------------------------------------------------- what may change on the way


def test_numbers_may_change_and_nothing_is_compiled_again():
    t = plain(clip_grad_norm=1.0, clip_grad_value=0.5, ema=0.9)
    t.fit(data(), **FIT)
    with chainrule.assert_no_recompile():
        t.clip_grad_norm, t.clip_grad_value, t.ema.decay = 2, 0.25, 0.5
        t.optimizer.param_groups[0]["lr"] = 1
        t.optimizer.param_groups[0]["betas"] = (0.5, 0.9)
        t.fit(data(), **FIT)
        t.ema.restart()
        t.ema.load_state_dict(t.ema.state_dict())
        t.optimizer.load_state_dict(t.optimizer.state_dict())
        t.fit(data(), **FIT)
    t.clip_grad_norm = None
    with chainrule.assert_no_recompile(), pytest.raises(RecompileError, match="compile=False"):
        t.fit(data(), **FIT)


def test_a_loss_that_reads_a_variable_follows_it():
    scale = 1.0
    t = plain(clip_grad_norm=None)
    t.loss = lambda prediction, y: nn.CrossEntropyLoss()(prediction, y) * scale
    first = t.fit(data(), steps=1, batch_size=23, shuffle=False)["loss"][-1]
    scale = 1e3
    assert t.fit(data(), steps=1, batch_size=23, shuffle=False)["loss"][-1] > 100 * first


def test_what_can_not_be_compiled_says_how_to_go_on():
    class Branching(nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else super().forward(-x)

    net = Branching(3, 3)
    t = Trainer(net, nn.CrossEntropyLoss(), optim.Adam(net.parameters(), 0.1))
    before = weights(t)
    with pytest.raises(TraceError, match=r"the truth of a tensor[\s\S]*compile=False"):
        t.fit(data(), epochs=1)
    assert (weights(t) == before).all()
    assert not t.optimizer.state
    t = Trainer(net, nn.CrossEntropyLoss(), optim.Adam(net.parameters(), 0.1), compile=False)
    assert t.fit(data(), epochs=1).stopped == "epochs"


def test_a_first_step_that_fails_leaves_no_trace():
    t = plain(scheduler=None)
    t.loss = lambda prediction, y: nn.CrossEntropyLoss()(prediction, y) * float("inf")
    before = weights(t), t.generator.get_state()
    with pytest.raises(NonFiniteError, match="the loss is not finite at epoch 1, step 1"):
        t.fit(data(), epochs=1)
    assert (weights(t) == before[0]).all()
    assert not any(t.optimizer.state.values())
    assert (t.model[0].mean == 0).all()


def test_the_step_that_fails_in_the_middle_of_many(turns):
    """The weights run away; those that are left are the eager loop's last good ones."""
    found = []
    for compile in (True, False):
        net = nn.Linear(3, 1).double()
        nn.init.ones_(net.weight)
        nn.init.zeros_(net.bias)
        x = np.random.default_rng(0).normal(size=(64, 3))
        t = Trainer(net, nn.MSELoss(), optim.SGD(net.parameters(), 50.0), compile=compile)
        with pytest.raises(NonFiniteError, match="the last good step is") as caught:
            t.fit((x, x[:, :1]), epochs=1000, batch_size=4, shuffle=False)
        found.append((t, caught.value))
    (a, first), (b, second) = found
    assert (first.step, first.epoch, t.step) == (second.step, second.epoch, second.step - 1)
    assert first.problem == second.problem
    np.testing.assert_allclose(first.grad_norms, second.grad_norms, rtol=1e-9)
    np.testing.assert_allclose(weights(a), weights(b), rtol=1e-9)
    assert max(turns) > 1


# ---------------------------------------------------------------- who looks on


class Looking(Callback):
    """Notes what every step shows, and the weights where they are current."""

    def __init__(self, every_steps):
        self.every_steps = every_steps
        self.seen, self.held = [], {}

    def on_step_end(self, t):
        self.seen.append((t.step, t.batch, t.loss_value, t.grad_norm, t.lr, t.sums["loss"]))
        if t.current:
            self.held[t.step] = weights(t)


@pytest.mark.parametrize("every", [4, 1000])
def test_a_callback_hears_of_every_step(turns, every):
    x, y = data(200)
    each, some = Looking(1), Looking(every)
    for callback in (each, some):
        turns.clear()
        t = plain(callbacks=[callback])
        t.fit((x, y), epochs=2, batch_size=4)
    assert each.seen == some.seen
    assert [s[0] for s in some.seen] == list(range(1, 101))
    assert {s for s in range(1, 101) if s % every == 0} <= set(some.held)
    assert all((each.held[s] == w).all() for s, w in some.held.items())
    assert 1 < max(turns) <= every
    assert t.current


def test_a_callback_may_hear_of_current_steps_only(turns):
    each, some = Looking(1000), Looking(7)
    some.only_current = True
    plain(callbacks=[some, each]).fit(data(200), epochs=2, batch_size=4)
    assert [s[0] for s in each.seen] == list(range(1, 101)), "others hear of every step"
    heard = [s[0] for s in some.seen]
    assert heard == list(some.held), "the state is there whenever it hears"
    assert set(heard) >= {s for s in range(1, 101) if s % 7 == 0}
    assert len(heard) < 100
    assert [s for s in each.seen if s[0] in heard] == some.seen


def test_the_state_between_is_not_to_be_saved():
    def save(t):
        if not t.current:
            chainrule.train.state.capture(t)

    t = plain(callbacks=[LambdaCallback(every_steps=50, on_step_end=save)])
    with pytest.raises(StateError, match=r"the state after step \d+ is not there any more"):
        t.fit(data(400), epochs=2, batch_size=4)
    assert t.current
    assert t.step == t.optimizer.state[t.parameters[0]]["step"]


def test_a_schedule_of_the_users_own_is_asked_after_every_step(turns):
    class Mine(LRScheduler):
        def get_lr(self):
            return [0.1 / (1 + self.last_epoch)]

    t = plain(scheduler=None)
    t.scheduler = Mine(t.optimizer)
    t.fit(data(200), epochs=1, batch_size=4)
    assert set(turns) == {1}
    assert t.lr == pytest.approx(0.1 / 51)


def test_a_schedule_that_ends_before_the_steps_do(turns):
    found = []
    for compile in (True, False):
        t = plain(scheduler=None, compile=compile)
        t.scheduler = OneCycleLR(t.optimizer, 0.1, total_steps=20)
        with pytest.raises(chainrule.errors.ChainruleError) as caught:
            t.fit(data(200), epochs=1, batch_size=4)
        found.append((t.step, t.lr, str(caught.value.problem), t.batch))
    assert found[0] == found[1]
    assert max(turns) > 1


def test_ctrl_c_while_the_step_is_compiled(tmp_path):
    class Slow(nn.Module):
        def forward(self, x):
            if chainrule.ops.core.current.trace is not None:
                for _ in range(hits):
                    signal.raise_signal(signal.SIGINT)
            return x

    def fit():
        t = plain(scheduler=None)
        t.model.append(Slow())
        history = t.fit(data(), **FIT)
        return t, history

    hits = 1
    t, history = fit()
    assert (history.stopped, t.step) == ("interrupted", 1)
    hits = 2
    with pytest.raises(KeyboardInterrupt):
        fit()
    hits = 0
    assert fit()[1].stopped == "epochs"


def test_how_long_it_took_to_compile_is_known():
    t = trainer()
    assert t.compile_seconds == 0
    seconds = t.fit(data(), **FIT)["seconds"]
    assert t.compile_seconds > 0
    assert sum(seconds) < 2
