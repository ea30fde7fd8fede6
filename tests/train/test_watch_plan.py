"""When watching looks: rising steps, far apart where looks are dear, few where the fit is short."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from train_cases import data, looked, trainer

from chainrule.train import LambdaCallback, Run, Watch
from chainrule.train.watch.plan import LEAST, Costs, next_step, planned, steps

numbers = st.integers(1, 1000)


@settings(max_examples=30)
@given(every=numbers, interval=st.integers(1, 5000))
def test_steps_rise_and_keep_their_distance(every, interval):
    found = list(islice(steps(every, interval), 30))
    assert found[0] == 1
    assert all(b > a for a, b in pairwise(found))
    gaps = [b - a for a, b in pairwise(found[2:])]
    assert min(gaps) >= every
    assert gaps == sorted(gaps)
    assert [next_step(n, every, interval) for n in found[:-1]] == found[1:]


@settings(max_examples=40)
@given(work=st.integers(0, 10**9), rows=numbers, layers=st.integers(1, 200), every=numbers)
def test_dear_looks_lie_farther_apart(work, rows, layers, every):
    costs = Costs(work, 1000, layers, 10**5, 32, rows)
    assert costs.interval(every) >= every
    assert costs.look_s <= 0.05 * costs.interval(every) * costs.step_s
    more = Costs(work, 1000, layers + 50, 10**5, 32, rows)
    assert more.interval(every) >= costs.interval(every)


@pytest.mark.slow
def test_looks_that_take_too_much_of_the_time_are_left_out(monkeypatch):
    monkeypatch.setattr("chainrule.train.watch.watch.LIMIT", 0.0)
    monkeypatch.setattr("chainrule.train.watch.watch.FREE_S", 0.0)
    dear, usual = (trainer(callbacks=[Watch(every=5)]) for _ in range(2))
    dear.fit(data(), epochs=10, batch_size=4)
    monkeypatch.undo()
    usual.fit(data(), epochs=10, batch_size=4)
    watch = dear.history.watch
    assert watch.left_out > 0
    made = [x["step"] for x in looked(dear)]
    assert made[-1] == dear.step + 1, "the last is made in any case"
    assert looked(dear) == [x for x in looked(usual) if x["step"] in made], "and says the same"


@given(
    first=st.integers(1, 2000), length=st.integers(0, 5000), most=st.integers(LEAST, 12),
    every=numbers, interval=st.integers(1, 5000),
)  # fmt: skip
def test_a_short_fit_has_some_of_the_usual_looks(first, length, most, every, interval):
    usual = [n for n in islice(steps(every, interval), 6000) if first <= n <= first + length]
    chosen = planned(first, first + length, most, every, interval)
    assert set(chosen) <= set(usual)
    assert chosen[:1] == usual[:1]
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(most, len(usual))


@given(costs=st.builds(Costs, **dict.fromkeys(Costs.__dataclass_fields__, numbers)),
       length=st.integers(1, 10**6))  # fmt: skip
def test_looks_of_a_fit_take_a_small_part_of_it(costs, length):
    most = costs.most(length, 1)
    whole = length * costs.step_s + 1e-3
    assert most == 1 or (most + 1) * costs.look_s <= 0.05 * whole
    assert costs.most(2 * length, 2) >= most


def brief_fit(watch, run=None, **limits):
    fitted = trainer(callbacks=[watch], run=run)
    fitted.fit(data(), batch_size=4, **limits)
    return fitted


def test_a_fit_that_is_over_in_a_moment_is_looked_at_briefly(tmp_path):
    whole = brief_fit(Watch(), epochs=16).history.watch.looks
    assert [x.step for x in whole] == [1, 21, 49]
    first, brief, closing = whole
    assert (brief.probe, brief.closing) == (None, False)
    for layer in brief.layers:
        assert layer.ratio > 0
        assert layer.grad > 0
        assert (layer.std, layer.gain, layer.activations) == (None, None, None)
    assert None not in (first.probe, closing.probe)
    asked = brief_fit(Watch(every=100), epochs=16).history.watch.looks
    assert all(x.probe is not None for x in asked), "who asks for a distance is not spared"
    # broken off before the brief look: it stays brief, and says the same
    run = Run.create("a", tmp_path)
    stop = LambdaCallback(on_step_end=lambda t: t.interrupt("x") if t.step == 20 else None)
    trainer(callbacks=[Watch(), stop], run=run).fit(data(), epochs=16, batch_size=4)
    again = trainer(callbacks=[Watch()]).resume(run)
    again.fit(data(), epochs=16, batch_size=4)
    assert looked(again) == [{**x.to_json(), "overhead": None} for x in whole]
