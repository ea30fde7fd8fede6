"""Compiled functions in several threads at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from test_jit_recompiles import batch, training

import chainrule


def test_threads_with_models_of_their_own():
    def job(results, i, step):
        try:
            model, _, plain = training("Adam", lr=0.1)
            model.eval()
            f = step or chainrule.compile(plain)
            for k in range(20):
                f(*batch(4 + k % 2, seed=k))
            results[i] = [p.detach().numpy() for p in model.parameters()], f.traces
        except BaseException as error:
            results[i] = error

    results = {}
    threads = [threading.Thread(target=job, args=(results, i, None)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in range(4):
        assert not isinstance(results[i], BaseException), results[i]
        assert results[i][1] == 2
        assert all(a.shape == b.shape for a, b in zip(results[i][0], results[0][0], strict=True))


def test_threads_never_draw_the_same():
    f = chainrule.compile(lambda: chainrule.rand(4, dtype=chainrule.float64))
    f()
    found = []

    def job():
        found.extend([f().tolist() for _ in range(50)])

    threads = [threading.Thread(target=job) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len({tuple(x) for x in found}) == 150
    assert f.traces == 1


FORK = """
import os, threading, time
import chainrule

chainrule.set_num_threads(2)
w = chainrule.zeros(512, 512, requires_grad=True)
optimizer = chainrule.optim.SGD([w], lr=1e-3)
x = chainrule.ones(256, 512)

@chainrule.compile
def step(x):
    optimizer.zero_grad()
    loss = ((x @ w - 1.0) ** 2).mean()
    loss.backward()
    optimizer.step()
    return loss

step.loop(x, 256)
stop = threading.Event()
thread = threading.Thread(target=lambda: step.loop(x, 256, epochs=10**6,
                                                   on_turn=lambda *_: stop.is_set()))
thread.start()

for _ in range(20):
    time.sleep(0.01)
    child = os.fork()
    if not child:
        losses = step.loop(x, 256, epochs=3)
        step(x)
        os._exit(0 if bool((losses < 1e3).all()) else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
thread.join()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX systems fork")
def test_a_child_goes_on_where_another_thread_was_in_a_step():
    """Its locks were held, and its barrier half full, by threads that are not in the child."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
