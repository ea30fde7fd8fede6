"""The number of threads and of steps follows from what was measured."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule.runtime.pace import EVERY, TRIAL_SECONDS, TURN_SECONDS, Pace


def turns(pace, seconds, count, threads=4, most=10**9):
    """(steps, threads) of some turns on a machine where a step takes seconds[threads]."""
    found = []
    for _ in range(count):
        steps, team = pace.plan(most, threads)
        pace.took(seconds[team] * steps, steps, team)
        found.append((steps, team))
    return found


def test_one_thread_is_measured_once_and_then_runs():
    assert turns(Pace(), {1: 1e-3}, 4, threads=1) == [(1, 1), (50, 1), (50, 1), (50, 1)]


@pytest.mark.parametrize(("fast", "slow"), [(4, 1), (1, 4)])
def test_the_faster_number_is_found_and_the_other_tried_now_and_then(fast, slow):
    found = turns(Pace(), {fast: 1e-4, slow: 1e-3}, 1 + 2 * EVERY)
    assert {team for _, team in found[:2]} == {1, 4}
    taken = {n: sum(steps for steps, team in found if team == n) for n in (1, 4)}
    assert taken[slow] * 1e-3 < 0.02 * taken[fast] * 1e-4
    assert [team for _, team in found[2:]].count(slow) == 2


def test_it_follows_when_the_machine_changes():
    pace = Pace()
    turns(pace, {1: 1e-3, 4: 1e-4}, 5)
    found = turns(pace, {1: 1e-3, 4: 2e-3}, 1 + 2 * EVERY)
    assert [team for _, team in found[-5:]].count(1) >= 4


def test_steps_are_those_of_a_turn():
    pace = Pace()
    pace.took(1.0, 1, 1)
    assert pace.plan(100, 1) == (1, 1)
    pace.took(1e-6, 10, 1)
    assert pace.plan(10**9, 1) == (int(TURN_SECONDS / 1e-7), 1)
    assert pace.plan(7, 1) == (7, 1)
    assert pace.plan(10**9, 2) == (1, 2)  # never measured
    pace.took(1e-6, 10, 2)
    assert TRIAL_SECONDS < TURN_SECONDS


def test_a_loop_that_changes_its_threads_gives_the_same_bits(monkeypatch):
    """Every number of threads gives the same bits, so turns may differ."""
    monkeypatch.setattr("chainrule.runtime.threads.WORK_A_THREAD", 1)
    found = []
    for teams in ([1], [2], [1, 2, 2, 1, 2]):
        turn = iter(teams * 100)
        monkeypatch.setattr(Pace, "plan", lambda self, steps, threads, turn=turn: (
            min(steps, 2), next(turn)))  # fmt: skip
        chainrule.manual_seed(0)
        w = chainrule.randn(96, 96).requires_grad_()
        optimizer = chainrule.optim.Adam([w], lr=0.01)

        @chainrule.compile
        def step(x, w=w, optimizer=optimizer):
            optimizer.zero_grad()
            loss = ((x @ w) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        step.loop(chainrule.randn(64, 96), 16, epochs=5)
        found.append(w.detach().numpy().tobytes())
    assert len(set(found)) == 1
    assert np.isfinite(np.frombuffer(found[0], np.float32)).all()
