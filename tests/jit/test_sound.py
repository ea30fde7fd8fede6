"""Faults that a second reader found: memory that two things shared, sums, interrupts, lifetimes."""

from __future__ import annotations

import gc
import os
import signal
import weakref

import numpy as np
import pytest

import chainrule
from chainrule import optim
from chainrule.runtime import threads
from chainrule.runtime.loop import Steps

pytestmark = pytest.mark.native


@pytest.fixture
def four_threads(monkeypatch):
    before = threads.get_num_threads()
    threads.set_num_threads(4)
    monkeypatch.setattr(threads, "WORK_OF_ONE_RUN", 1)
    yield
    threads.set_num_threads(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("examples", [4, 8])
def test_gathered_rows_and_a_tile_of_the_same_size_are_apart(dtype, examples):
    rng = np.random.default_rng(0)
    x, g, w = (
        rng.normal(size=s).astype(dtype) for s in ((examples, 600), (examples, 256), (600, 256))
    )
    found = chainrule.compile(lambda x, g, w: w - (x.T @ g) * 0.5)(x, g, w)
    np.testing.assert_allclose(found, w - (x.T @ g) * 0.5, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [1, 7, 16, 20, 33])
def test_what_does_not_vary_along_lanes_counts_once_for_each(n):
    v = np.arange(1, 8, dtype=np.float32)
    found = chainrule.compile(lambda v: v.unsqueeze(1).expand(7, n).sum())(chainrule.tensor(v))
    assert found.item() == n * v.sum()
    whole = chainrule.compile(lambda v: v[:1].expand(n).exp().sum())(chainrule.tensor(v))
    assert whole.item() == pytest.approx(n * np.e, rel=1e-5)


def test_batched_products_with_sums_in_blocks_on_several_threads(four_threads):
    rng = np.random.default_rng(1)
    a = rng.normal(size=(4, 24, 1024)).astype(np.float32)
    b = rng.normal(size=(4, 1024, 512)).astype(np.float32)
    product = chainrule.compile(lambda a, b: a @ b)
    wanted = a @ b
    for _ in range(4):
        np.testing.assert_allclose(product(a, b), wanted, rtol=1e-3, atol=1e-3)


def test_copies_of_arguments_live_until_the_run_is_over():
    a, b = (np.broadcast_to(np.float32(v), (40, 50)) for v in (1, 2))
    found = np.asarray(chainrule.compile(lambda x, y: x * 10 + y)(a, b))
    assert (found == 12).all()


def test_only_what_is_updated_is_written_back():
    w = chainrule.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))

    @chainrule.compile
    def step(x):
        y = (x * 2).sum()
        w.add_(1.0)
        return y

    before = np.array(w)
    step(w._value.T)
    assert np.array_equal(w, before + 1)


def test_loops_read_and_write_through_steps_in_memory():
    base = np.zeros((2, 6), np.float32)
    w = chainrule.as_tensor(base[:, ::2]).requires_grad_()
    optimizer = optim.SGD([w], lr=1.0)

    @chainrule.compile
    def step(x):
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    step.loop(-np.ones((4, 1), np.float32), 1)
    assert base.tolist() == [[4, 0, 4, 0, 4, 0]] * 2
    turned = chainrule.as_tensor(np.arange(12, dtype=np.float32).reshape(3, 4).T)
    first = chainrule.compile(lambda x: x.sum() * 0 + turned[0].sum())
    assert first.loop(np.ones((2, 1), np.float32), 1).tolist() == [12, 12]


class Small:
    """Two weights and Adam."""

    def __init__(self):
        self.w = chainrule.tensor([1.0, 2.0], requires_grad=True)
        self.optimizer = optim.Adam([self.w], lr=0.1)

        @chainrule.compile
        def step(x):
            self.optimizer.zero_grad()
            loss = ((self.w - x) ** 2).sum()
            loss.backward()
            self.optimizer.step()
            return loss

        self.step = step


def interrupted(monkeypatch, after):
    """Ctrl-C comes right after, or right before, the machine code of a turn."""
    run = Steps.run

    def with_interrupt(self, count, team):
        if not after:
            os.kill(os.getpid(), signal.SIGINT)
        done = run(self, count, team)
        if after:
            os.kill(os.getpid(), signal.SIGINT)
        return done

    monkeypatch.setattr(Steps, "run", with_interrupt)


def test_ctrl_c_in_the_first_turn_keeps_what_it_has_made(monkeypatch):
    s = Small()
    interrupted(monkeypatch, after=True)
    with pytest.raises(KeyboardInterrupt):
        s.step.loop(np.zeros((4, 2), np.float32), 1)
    state = s.optimizer.state_dict()["state"][0]
    assert state["step"] == 1
    assert s.w.tolist() == pytest.approx([0.9, 1.9])
    assert (np.array(state["exp_avg"]) != 0).all()


def test_ctrl_c_before_a_step_leaves_the_schedule_where_it_was(monkeypatch):
    s = Small()
    schedule = optim.lr_scheduler.StepLR(s.optimizer, 1, gamma=0.5)
    s.step.loop(np.zeros((3, 2), np.float32), 1)
    before = schedule.state_dict()
    interrupted(monkeypatch, after=False)
    with pytest.raises(KeyboardInterrupt):
        s.step.loop(np.zeros((50, 2), np.float32), 1, scheduler=schedule)
    assert schedule.state_dict() == before
    assert s.optimizer.param_groups[0]["lr"] == 0.1


def test_parked_threads_keep_nothing_alive(four_threads):
    rng = np.random.default_rng(2)
    a = rng.normal(size=(64, 64)).astype(np.float32)
    product = chainrule.compile(lambda a: a @ a)
    product(a)
    held = weakref.ref(next(iter(product._kept.values()))[0].executable)
    del product
    gc.collect()
    assert held() is None
