"""Epochs whose last batch is smaller, many in a turn: the bits of the steps one by one."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_interrupts import Counted, raising_at, traced

import chainrule
from chainrule import nn, optim
from chainrule.errors import ChainruleError
from chainrule.optim.lr_scheduler import CosineAnnealingLR, StepLR
from chainrule.runtime.loop import Steps
from chainrule.runtime.pace import EVERY, Pace, plan_rounds, taken
from chainrule.tensor.random import drawing_from

RNG = np.random.default_rng(5)
pytestmark = pytest.mark.native
X, Y = RNG.normal(size=(50, 6)).astype(np.float32), RNG.integers(0, 3, 50)
ORDERS = np.stack([np.random.default_rng(e).permutation(50) for e in range(40)])
SCHEDULES = {"no schedule": None, "schedule": lambda o: CosineAnnealingLR(o, 170)}
OPTIMIZERS = {
    name: kind for name in dir(optim)
    if isinstance(kind := getattr(optim, name), type) and issubclass(kind, optim.Optimizer)
    and kind is not optim.Optimizer
}  # fmt: skip


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request, on_all_threads):
    before = chainrule.get_num_threads()
    chainrule.set_num_threads(request.param)
    yield
    chainrule.set_num_threads(before)


@pytest.fixture
def rounds(monkeypatch):
    """Notes the steps that each program made in every turn of both; a step counts as 0.3 ms."""
    made, run = [], Steps.run
    took = Pace.took
    monkeypatch.setattr(
        Pace, "took", lambda self, _, steps, team: took(self, 3e-4 * steps, steps, team)
    )

    def noted(self, count, team):
        done = run(self, count, team)
        if len(self.legs) == 2:
            made.append(tuple(done))
        return done

    monkeypatch.setattr(Steps, "run", noted)
    return made


class Case:
    """A small model that draws from a generator of its own, always from one seed."""

    def __init__(self, kind=optim.Adam, schedule=None):
        self.generator = chainrule.Generator().manual_seed(3)
        with drawing_from(self.generator):
            drops = nn.Dropout(0.2)
            self.model = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), drops, nn.Linear(9, 3))
        self.optimizer = kind(self.model.parameters(), lr=0.05)
        self.schedule = None if schedule is None else schedule(self.optimizer)
        self.compiled = chainrule.compile(self.step)

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def by_hand(self, orders, size, most=10**9):
        losses = []
        with drawing_from(self.generator):
            for rows in (o[i : i + size] for o in orders for i in range(0, len(o), size)):
                if len(losses) < most:
                    batch = chainrule.tensor(X[rows]), chainrule.tensor(Y[rows])
                    losses.append(self.compiled(*batch).item())
                    if self.schedule is not None:
                        self.schedule.step()
        return np.array(losses, np.float32)

    def loop(self, *args, **kwargs):
        with drawing_from(self.generator):
            found = self.compiled.loop((X, Y), *args, scheduler=self.schedule, **kwargs)
        return np.asarray(found)

    def everything(self):
        """Weights, state, settings, and where schedule and random numbers stand."""
        found = [np.asarray(p.detach()) for p in self.model.parameters()]
        for state in self.optimizer.state_dict()["state"].values():
            found += [np.asarray(state[name]) for name in sorted(state)]
        found.append(np.asarray(self.generator.get_state()))
        schedule = self.schedule and (self.schedule.state_dict(), self.schedule.get_last_lr())
        return [a.tobytes() for a in found], schedule

    def settled(self):
        """Runs until it is known how long the steps of both programs take."""
        self.loop(16, ORDERS[:2])
        return self


WAYS = {name: (kind, None) for name, kind in OPTIMIZERS.items()}
WAYS["a schedule"] = (optim.Adam, SCHEDULES["schedule"])


@pytest.mark.parametrize(("kind", "schedule"), WAYS.values(), ids=WAYS)
def test_the_bits_of_steps_one_by_one(rounds, threads, kind, schedule):
    a, b = Case(kind, schedule), Case(kind, schedule)
    wanted = a.by_hand(ORDERS, 16)
    assert np.array_equal(b.loop(16, ORDERS), wanted)
    assert a.everything() == b.everything()
    assert sum(map(sum, rounds)) > 140  # a few went by themselves, until they were measured


def test_rows_as_they_lie(rounds):
    a, b = Case(), Case()
    wanted = a.by_hand(np.tile(np.arange(50), (30, 1)), 20)
    assert np.array_equal(b.loop(20, epochs=30), wanted)
    assert a.everything() == b.everything()
    assert rounds


@pytest.mark.slow
@settings(max_examples=12)
@given(st.integers(2, 50), st.integers(1, 30), st.integers(1, 12), st.data())
def test_any_sizes_and_turns(rows, size, epochs, data):
    size = min(size, rows)
    orders = ORDERS[:epochs, :]
    orders = np.stack([order[order < rows] for order in orders])
    seconds = data.draw(st.sampled_from([1e-9, 2e-5, 1e-4, 1.0]), label="seconds of a turn")
    stop = data.draw(st.integers(1, 60), label="ended after")
    schedule = data.draw(st.sampled_from(list(SCHEDULES.values())), label="schedule")
    a, b = Case(schedule=schedule), Case(schedule=schedule)
    with pytest.MonkeyPatch.context() as m:
        m.setattr("chainrule.runtime.pace.TURN_SECONDS", seconds)
        found = b.loop(size, orders, on_turn=lambda done, steps: done >= stop)
    assert np.array_equal(found, a.by_hand(orders, size, len(found)))
    assert a.everything() == b.everything()


def refusing(case):
    """A step of a case that computes the class numbers: only then it is known that one is wrong."""

    @chainrule.compile
    def step(x, y):
        case.optimizer.zero_grad()
        loss = nn.functional.nll_loss(case.model(x), (y * 1.0).long())
        loss.backward()
        case.optimizer.step()
        return loss

    return step


@pytest.mark.parametrize("place", [0, 20, 47, 49])
def test_a_step_that_is_refused_changes_nothing(rounds, place):
    """The class of one row is wrong; it comes up in the tenth epoch, at this place."""
    y = Y.copy()
    y[7] = 5
    rest = ORDERS[0][ORDERS[0] != 7][:49]
    orders = np.stack([np.insert(rest[:48], 0, 3), *[np.insert(rest[:48], 48, 3)] * 20])
    orders = np.concatenate([orders, np.full((len(orders), 1), 3)], 1)
    orders[9, place] = 7

    a, b = Case(), Case()
    good = 9 * 4 + place // 16
    one = refusing(a)
    rows = [order[i : i + 16] for order in orders for i in range(0, 50, 16)]
    with drawing_from(a.generator):
        wanted = [one(chainrule.tensor(X[r]), chainrule.tensor(y[r])).item() for r in rows[:good]]
    ended = pytest.raises(ChainruleError, match=f"ended after {good} of")
    with drawing_from(b.generator), ended as caught:
        refusing(b).loop((X, y), 16, orders)
    assert np.array_equal(np.asarray(caught.value.results), np.array(wanted, np.float32))
    assert a.everything() == b.everything()
    assert sum(map(sum, rounds)) > 20


@pytest.mark.parametrize("after", [False, True])
def test_ctrl_c_ends_it_after_a_whole_step(monkeypatch, rounds, after):
    a, b = Case().settled(), Case().settled()
    run = Steps.run

    def with_interrupt(self, count, team):
        if len(self.legs) == 2 and not after:
            os.kill(os.getpid(), signal.SIGINT)
        done = run(self, count, team)
        if len(self.legs) == 2 and after:
            os.kill(os.getpid(), signal.SIGINT)
        return done

    monkeypatch.setattr(Steps, "run", with_interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        b.loop(16, ORDERS[2:])
    made = len(np.asarray(caught.value.results))
    assert (made > 0) is after
    monkeypatch.undo()
    a.by_hand(ORDERS[2:], 16, made)
    assert a.everything() == b.everything()


@pytest.mark.slow
@traced
def test_a_turn_is_whole_wherever_a_handler_raises(rounds):
    s, x = Counted(), np.ones((5, 2), np.float32)
    s.step.loop(x, 2, epochs=3)
    for schedule in (None, s.schedule):
        place = 1
        while raising_at(
            place, lambda given=schedule: s.step.loop(x, 2, epochs=2, scheduler=given)
        ):
            assert len(s.counts()) == 1, place
            place += 5
        assert place > 500
    assert len(rounds) > 40


def test_a_gradient_that_is_added_to_goes_step_by_step(rounds):
    """Where it is there, or is not, the step is another program."""
    case = Case()

    def accumulated(x, y):
        loss = nn.functional.cross_entropy(case.model(x), y)
        loss.backward()
        return loss

    chainrule.compile(accumulated).loop((X, Y), 16, ORDERS[:6])
    assert rounds == []


def test_a_parameter_whose_memory_lies_elsewhere_goes_step_by_step(rounds):
    w = chainrule.from_numpy(np.ones((6, 3), np.float32).T).requires_grad_()
    assert not w.is_contiguous()
    optimizer = optim.SGD([w], lr=0.1)

    @chainrule.compile
    def step(x):
        optimizer.zero_grad()
        loss = (x @ w.T).sum()
        loss.backward()
        optimizer.step()
        return loss

    step.loop((X,), 16, ORDERS[:6])
    assert rounds == []
    sums = X.astype(np.float64).sum(0)
    assert np.allclose(np.asarray(w.detach()), 1 - 0.6 * sums, atol=1e-3)


def test_rounds_are_as_many_as_fit_into_a_turn():
    whole, rest = Pace(), Pace()
    assert plan_rounds([whole, rest], [3, 1], 100, 1) is None  # neither was measured
    whole.took(1e-3, 1, 1)
    assert plan_rounds([whole, rest], [3, 1], 100, 1) is None
    rest.took(0.5e-3, 1, 1)
    assert plan_rounds([whole, rest], [3, 1], 100, 1) == (14, 1)  # 14 x 3.5 ms in 50 ms
    assert plan_rounds([whole, rest], [3, 1], 5, 1) == (5, 1)
    assert plan_rounds([whole, rest], [300, 1], 5, 1) is None  # an epoch is longer than a turn
    taken([whole, rest], [30, 10], 0.07, 1)  # twice as long as before
    assert whole.seconds[1] == pytest.approx(2e-3)
    assert rest.seconds[1] == pytest.approx(1e-3)
    taken([whole, rest], [2, 0], 0.02, 1)
    assert (whole.seconds[1], rest.seconds[1]) == pytest.approx((1e-2, 1e-3))


def test_where_an_epoch_is_longer_than_a_trial_the_other_threads_are_tried_too():
    whole, rest = Pace(), Pace()
    whole.seconds, rest.seconds = {2: 8e-3, 1: 2e-3}, {1: 1e-3}
    plans = [plan_rounds([whole, rest], [6, 1], 10**6, 2) for _ in range(400)]
    assert [team for _, team in plans].count(2) == 400 // EVERY


class Flip:
    """A schedule of the user's own: one of two numbers, or an error at a step."""

    def __init__(self, optimizer, raises_at=0):
        self.optimizer, self.n, self.raises_at = optimizer, 0, raises_at
        self.set()

    def set(self):
        for group in self.optimizer.param_groups:
            group["lr"] = RATES[self.n % 2]

    def step(self):
        self.n += 1
        if self.n == self.raises_at:
            raise KeyError("mine")
        self.set()

    def state_dict(self):
        return {"n": self.n}

    def load_state_dict(self, state):
        self.n = state["n"]

    def get_last_lr(self):
        return [group["lr"] for group in self.optimizer.param_groups]


RATES = (0.1, 0.001)


@pytest.mark.parametrize("size", [16, 25, 50], ids=["a rest", "no rest", "one batch"])
@pytest.mark.parametrize("raises_at", [0, 2, 3, 14, 90])
def test_settings_of_single_steps_after_a_turn_are_those_of_the_group(rounds, raises_at, size):
    """Both programs read them anew, though the number is the same object as before the turn."""
    made = [lambda o: Flip(o, raises_at)] * 2
    a, b = (Case(optim.SGD, schedule) for schedule in made)
    losses = []
    for case, run in ((a, lambda: a.by_hand(ORDERS, size)), (b, lambda: b.loop(size, ORDERS))):
        try:
            run()
        except KeyError:
            assert raises_at
        case.schedule = None
        losses.append([case.by_hand([order], len(order)) for order in (ORDERS[0][:2], ORDERS[1])])
    assert a.everything() == b.everything()
    assert all(np.array_equal(x, y) for x, y in zip(*losses, strict=True))


def test_settings_after_a_refused_turn_are_those_before_it(rounds):
    """The schedule goes back to the number that it began with, and so does the next step."""
    y = Y.copy()
    y[7] = 5
    good = np.append(ORDERS[0][ORDERS[0] != 7], 3)
    bad = np.append(7, good[1:])

    a, b = (Case(optim.SGD, lambda o: StepLR(o, 50, gamma=0.1)) for _ in range(2))
    one, other = refusing(a), refusing(b)
    with drawing_from(b.generator):
        other.loop((X, y), 16, np.stack([good] * 4), scheduler=b.schedule)
        with pytest.raises(ChainruleError, match="ended after 0 of"):
            other.loop((X, y), 16, np.stack([bad] * 30), scheduler=b.schedule)
    with drawing_from(a.generator):
        for rows in (good[i : i + 16] for _ in range(4) for i in range(0, 50, 16)):
            one(chainrule.tensor(X[rows]), chainrule.tensor(y[rows]))
            a.schedule.step()
    for case, step in ((a, one), (b, other)):
        with drawing_from(case.generator):
            step(chainrule.tensor(X[:2]), chainrule.tensor(y[:2]))
    assert a.everything() == b.everything()
