"""What the view costs is what it says, and what it says follows from numbers alone."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

from chainrule import nn, optim
from chainrule.cli.terminal import Terminal, text_of
from chainrule.cli.view.draw import counters, layers
from chainrule.cli.view.facts import Facts
from chainrule.cli.view.log import log_line
from chainrule.cli.view.screen import Silent
from chainrule.cli.view.show import APART, SHORT, Show
from chainrule.train import Run, Trainer, Watch


class Slow(Silent):
    """A screen that takes its time, and notes the verdict of every epoch."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.verdicts = []

    def begin(self, facts):
        self.first = facts.overhead
        time.sleep(self.seconds)

    def epoch(self, facts):
        time.sleep(self.seconds)
        self.verdicts.append(facts.verdict)

    def key(self, wait_s=0.0):
        time.sleep(self.seconds / 10)


def shown(screen, epochs, batch_size, run=None):
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
    facts, watch = Facts(epochs=epochs), Watch()
    show = Show(facts, watch, screen, 10)
    trainer = Trainer(
        model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), 0.01), seed=0,
        callbacks=[watch, show], compile=False, run=run,
    )  # fmt: skip
    x = np.linspace(-1, 1, 400, dtype=np.float32).reshape(200, 2)
    y = (x[:, 0] > 0).astype(np.int64)
    began = time.perf_counter()
    trainer.fit((x, y), epochs=epochs, batch_size=batch_size)
    return facts, time.perf_counter() - began


def test_the_overhead_that_is_told_is_the_time_that_was_taken(tmp_path):
    run = Run.create("a", tmp_path)
    screen = Slow(0.04)
    facts, seconds = shown(screen, 4, 100, run)
    least = 5 * 0.04  # begin, and four epochs
    assert facts.overhead >= least / seconds
    assert facts.overhead < 1
    assert run.result["watch_overhead"] == round(facts.overhead, 4), "one measure everywhere"
    assert screen.first is None, "the first frame can't say yet"
    assert "overhead -" in text_of(counters(Facts())[-1])


def test_numbers_of_layers_are_told_with_the_steps_that_they_are_of():
    facts, _ = shown(Slow(0.0), 20, 100)  # two looks at steps, the second brief, and a closing one
    assert (facts.moved_at, facts.probed) == (21, "after the last step")
    assert "update seen at step 21, all else after the last step" in text_of(
        layers(facts, Terminal())[-1]
    )
    assert " look=21 " in log_line(facts)


def test_many_short_epochs_are_judged_farther_and_farther_apart():
    screen = Slow(0.0)
    shown(screen, 400, 200)
    said = [id(v) for v in screen.verdicts]
    assert sum(a != b for a, b in pairwise(said)) < 60


@pytest.mark.parametrize("batch_size", [100, 2])
def test_short_epochs_are_judged_now_and_then_and_the_last_always(batch_size):
    screen = Slow(0.0)
    shown(screen, 3 * APART - 1, batch_size)
    said = [id(v) for v in screen.verdicts]
    anew = [True, *(a != b for a, b in pairwise(said))]
    if 200 // batch_size >= SHORT:
        assert all(anew)
    else:
        places = [i for i, new in enumerate(anew, 1) if new]
        assert places == [*range(1, len(anew), APART), len(anew)]
