"""A fit that was stopped and taken up again ends with the same bits as one that was not."""

import pytest
from train_cases import bits, data, trainer

from chainrule.train import Callback, Run

EPOCHS, STEPS = 3, 9  # 23 rows in batches of 4, two a step: 3 steps an epoch
FIT = {"validation": data(), "epochs": EPOCHS, "batch_size": 4}


@pytest.fixture(scope="module")
def undisturbed():
    t = trainer()
    t.fit(data(), **FIT)
    return bits(t)


class Interrupt(Callback):
    """Ctrl-C after a step, or while the validation runs."""

    def __init__(self, at, event="on_step_end"):
        self.at = at
        setattr(self, event, self.hit)

    def hit(self, t):
        if t.step == self.at:
            import signal

            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_interrupted_at_any_step(tmp_path, undisturbed, at):
    run = Run.create("r", tmp_path)
    first = trainer(run=run)
    first.callbacks.append(Interrupt(at))
    first = trainer(run=run, callbacks=first.callbacks)
    history = first.fit(data(), **FIT)
    assert history.interrupted
    assert history.signal == "SIGINT"
    assert f"chainrule train --resume {run.name}" in history.message
    again = trainer().resume(run)
    assert again.fit(data(), **FIT).stopped == "epochs"
    assert bits(again) == undisturbed
    assert [r["epoch"] for r in run.rows] == [1, 2, 3]


@pytest.mark.parametrize("at", range(STEPS + 1))
def test_stopped_by_steps_at_any_step(tmp_path, undisturbed, at):
    run = Run.create("r", tmp_path)
    trainer(run=run).fit(data(), **{**FIT, "epochs": None, "steps": at})
    again = trainer()
    if at:
        again.resume(run.path)
    again.fit(data(), **FIT)
    assert bits(again) == undisturbed
