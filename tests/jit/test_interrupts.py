"""A signal's handler raises in the middle of a compiled step: the step was made, or it was not."""

from __future__ import annotations

import dis
import functools
import signal
import sys
import time

import numpy as np
import pytest

import chainrule
from chainrule import optim
from chainrule.errors import PACKAGE_DIR
from chainrule.runtime import threads

pytestmark = pytest.mark.native


class Timeout(Exception):
    """What a handler of the user's raises."""


class Counted:
    """Everything that counts steps: a tensor, Adam, a generator, an effect on a gradient."""

    def __init__(self):
        chainrule.manual_seed(0)
        self.w = chainrule.tensor([1.0, 2.0], requires_grad=True)
        self.n = chainrule.tensor(0.0)
        self.optimizer = optim.Adam([self.w], lr=0.1)
        self.schedule = optim.lr_scheduler.StepLR(self.optimizer, 1, gamma=0.999)
        self.first = int(chainrule.get_rng_state()._value[1])

        @chainrule.compile
        def step(x):
            self.optimizer.zero_grad()
            loss = ((self.w - x * chainrule.rand(2)) ** 2).sum()
            loss.backward()
            self.optimizer.step()
            self.n.add_(1.0)
            return loss

        self.step = step

    def counts(self):
        """Steps, as each of them sees it."""
        state = self.optimizer.state.get(self.w, {})
        drawn = int(chainrule.get_rng_state()._value[1]) - self.first
        return {int(self.n.item()), state.get("step", 0), drawn}


@functools.cache
def handling(code):
    names = ("CALL", "RESUME", "JUMP_BACKWARD")
    return {i.offset for i in dis.get_instructions(code) if i.opname.startswith(names)}


traced = pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="no events of instructions in frames that call"
)


def raising_at(place, run):
    """Raises Timeout at one of the places in the package where Python handles signals.

    Those are behind calls, at the begin of functions and where loops begin anew.  True if there
    was a place of that number.
    """
    left, handles = place, set()

    def trace(frame, event, arg):
        nonlocal left
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE_DIR):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if frame in handles:
                handles.discard(frame)
                left -= 1
                if left == 0:
                    sys.settrace(None)
                    raise Timeout
            if frame.f_lasti in handling(code):
                handles.add(frame)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    except Timeout:
        return True
    finally:
        sys.settrace(before)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return left <= 0


@traced
def test_a_step_is_whole_wherever_a_handler_raises():
    s, x = Counted(), chainrule.ones(2)
    for _ in range(2):
        s.step(x)
    place = 1
    while raising_at(place, lambda: s.step(x)):
        assert len(s.counts()) == 1, place
        place += 1
    assert place > 100
    assert max(s.counts()) > 10  # some came after the run


@traced
def test_threads_do_not_wait_for_one_that_was_interrupted(monkeypatch):
    before = threads.get_num_threads()
    threads.set_num_threads(3)
    monkeypatch.setattr(threads, "worthwhile", lambda *work: 3)
    try:
        s, x = Counted(), np.ones((4, 2), np.float32)
        s.step(chainrule.ones(2))
        s.step.loop(x, 1)
        for run in (lambda: s.step(chainrule.ones(2)), lambda: s.step.loop(x, 1)):
            place = 1
            while raising_at(place, run):
                assert len(s.counts()) == 1, place
                place += 3
        assert len(threads.pool.free) >= 2
    finally:
        threads.set_num_threads(before)


@pytest.mark.slow
@traced
def test_a_turn_is_whole_wherever_a_handler_raises():
    s, x = Counted(), np.ones((6, 2), np.float32)
    s.step.loop(x, 1)
    for scheduler in (None, s.schedule):
        place = 1
        while raising_at(place, lambda given=scheduler: s.step.loop(x, 1, scheduler=given)):
            assert len(s.counts()) == 1, place
            place += 5


def test_steps_under_a_timer():
    s, x, caught = Counted(), chainrule.ones(2), 0

    def handler(number, frame):
        raise Timeout

    s.step(x)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        for i in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + i * 1e-7)
                until = time.perf_counter() + 2e-4
                while time.perf_counter() < until:
                    s.step(x)
            except Timeout:
                caught += 1
            assert len(s.counts()) == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught > 100


@traced
def test_an_interrupted_first_step():
    made = set()
    for place in range(1, 400, 3):
        s, x = Counted(), chainrule.ones(2)
        call = chainrule.jit.program.Program.run

        def first(self, given, call=call, place=place):
            assert raising_at(place, lambda: call(self, given))
            raise Timeout

        with pytest.MonkeyPatch.context() as m:
            m.setattr(chainrule.jit.program.Program, "run", first)
            with pytest.raises((Timeout, AssertionError)):
                s.step(x)
        made |= s.counts()
        assert len(s.counts()) == 1, place
    assert made == {0, 1}
