"""Compiled functions in several threads at once."""

from __future__ import annotations

import threading

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
