"""Ctrl-C, SIGTERM and kill -9 on a real process: nothing is lost, and the bits do not change."""

import random
import signal
import threading
import time

import pytest
from kills import Fresh, Tally, chain, undisturbed_bits
from train_cases import QuickDisk, bits, data, trainer
from worker import EVERY, FIT

from chainrule.train import EarlyStopping, LambdaCallback, Run
from chainrule.train.files import writing


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leaves out what makes a disk slow, and is tested elsewhere."""
    monkeypatch.setattr(writing, "disk", QuickDisk())


@pytest.fixture(scope="module")
def undisturbed():
    return undisturbed_bits()


def start(folder, *name):
    return Fresh(folder, *name).process


def after_step(process, step):
    for line in process.stdout:
        if line.strip() == str(step):
            return
    raise AssertionError(process.stderr.read())


def finished(folder):
    process = start(folder, "w-0001")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines()[-1].removeprefix("bits ")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_after_the_step_and_saves(tmp_path, undisturbed, number):
    process = start(tmp_path)
    after_step(process, 7)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    *steps, said, ended, _ = out.splitlines()
    assert said == "interrupted"
    assert len(steps) <= 1
    assert ended.startswith(f"interrupted {number.name} ")
    assert "to go on: trainer.resume(" in ended
    assert "w-0001: stopped by" in err
    assert finished(tmp_path) == undisturbed


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once(tmp_path, undisturbed):
    process = start(tmp_path)
    after_step(process, 5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0 or "KeyboardInterrupt" in err
    assert finished(tmp_path) == undisturbed


SIGNALS = {signal.SIGKILL: 50, signal.SIGINT: 50, signal.SIGTERM: 20}
"""How many of each, spread over starts, steps, saves and validations."""


@pytest.mark.slow
@pytest.mark.usefixtures("on_disk")  # or hardly a kill would fall into a save
@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_stopped_at_random_moments_it_ends_with_the_same_bits(tmp_path, undisturbed, number, part):
    tally, most = Tally(), SIGNALS[number] // 2
    rng = random.Random(part)
    while tally.signals < most:
        folder = tmp_path / str(tally.runs)
        folder.mkdir()
        tally.add(chain(folder, rng, number, undisturbed, most=most - tally.signals))
    assert tally.odd == []
    assert tally.signals == most
    assert max(tally.again) <= EVERY, "nothing that was saved is lost"
    assert tally.writing > 0 or number != signal.SIGKILL, "some fell into the writing of a file"


@pytest.mark.slow
def test_killed_as_a_program_of_its_own(tmp_path, undisturbed):
    """As often as there is time for: a quick machine ends a training before the next signal."""
    tally, rng = Tally(), random.Random(5)
    while tally.signals < 4:
        folder = tmp_path / str(tally.runs)
        folder.mkdir()
        more = 4 - tally.signals
        tally.add(chain(folder, rng, signal.SIGKILL, undisturbed, start=Fresh, most=more))
    assert tally.odd == []
    assert tally.signals == 4


def test_a_second_signal_within_a_process():
    def twice(t):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    t = trainer(callbacks=[LambdaCallback(on_step_end=twice)])
    history = t.fit(data(), epochs=2)
    assert (history.interrupted, t.step) == (True, 1)
    assert "nothing was saved" in history.message
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before


def test_a_handler_of_the_users_for_sigusr1_is_left_alone():
    seen = []
    signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
    try:
        hit = LambdaCallback(on_epoch_start=lambda t: signal.raise_signal(signal.SIGUSR1))
        assert not trainer(callbacks=[hit]).fit(data(), epochs=2).interrupted
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    assert seen == [1, 1]


@pytest.mark.parametrize("event", ["on_fit_start", "on_epoch_start", "on_validation_end",
                                   "on_epoch_end", "on_fit_end"])  # fmt: skip
@pytest.mark.parametrize("epochs", [
    pytest.param((0, 1), id="at the start"),
    pytest.param((2, 3), id="later", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_signal_at_any_event(tmp_path, event, epochs, undisturbed):
    def hit(t):
        if t.epoch in epochs and not hits:
            hits.append(t.step)
            signal.raise_signal(signal.SIGINT)

    hits = []
    run = Run.create("r", tmp_path)
    t = trainer(run=run)
    t = trainer(run=run, callbacks=[*t.callbacks, LambdaCallback(**{event: hit})])
    history = t.fit(data(), **FIT)
    if not history.interrupted:
        assert not hits
        assert bits(t) == undisturbed
        return
    again = trainer().resume(run)
    again.fit(data(), **FIT)
    assert bits(again) == undisturbed


def test_other_threads_leave_the_handlers_alone():
    seen = []
    look = LambdaCallback(on_step_end=lambda t: seen.append(signal.getsignal(signal.SIGINT)))
    before = signal.getsignal(signal.SIGINT)
    t = trainer(callbacks=[look])
    thread = threading.Thread(target=lambda: t.fit(data(), epochs=1))
    thread.start()
    thread.join()
    assert seen
    assert set(seen) == {before}


def test_a_callback_interrupts_as_ctrl_c_does(tmp_path, undisturbed):
    def ask(t):
        if t.step == 7:
            assert not t.interrupted
            t.interrupt("a key")
            t.interrupt("another")  # the first counts
            assert t.interrupted

    held = [EarlyStopping(patience=50), LambdaCallback(on_step_end=ask)]
    cut = trainer(run=Run.create("w", tmp_path), callbacks=held)
    history = cut.fit(data(), **FIT)
    assert (history.stopped, history.signal, cut.step) == ("interrupted", "a key", 7)
    cut.interrupt("nothing goes on")
    assert not cut.interrupted
    again = trainer().resume(cut.run.path)
    again.fit(data(), **FIT)
    assert bits(again) == undisturbed


def test_waiting_for_a_person_is_in_no_time_that_is_told():
    def wait(t):
        if t.step == 1:
            time.sleep(0.2)
            t.idle_seconds += 0.2

    t = trainer(callbacks=[LambdaCallback(on_step_end=wait)])
    t.fit(data(), **{**FIT, "epochs": 1})
    assert t.idle_seconds == 0.2
    assert t.row["seconds"] < 0.2
    assert t.fit_seconds < 0.2
