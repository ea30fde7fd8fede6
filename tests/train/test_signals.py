"""Ctrl-C, SIGTERM and kill -9 on a real process: nothing is lost, and the bits do not change."""

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from train_cases import QuickDisk, bits, data, trainer
from worker import FIT

from chainrule.train import EarlyStopping, LambdaCallback, Run
from chainrule.train.files import writing


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leaves out what makes a disk slow, and is tested elsewhere."""
    monkeypatch.setattr(writing, "disk", QuickDisk())


WORKER = str(Path(__file__).with_name("worker.py"))


@pytest.fixture(scope="module")
def undisturbed():
    t = trainer()
    t.fit(data(), **FIT)
    return bits(t)


def start(folder, *name):
    return subprocess.Popen(
        [sys.executable, WORKER, str(folder), *name], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def after_step(process, step):
    for line in process.stdout:
        if line.strip() == str(step):
            return
    raise AssertionError(process.stderr.read())


def finished(folder):
    process = start(folder, "w-0001")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines()[-1]


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


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_time_it_goes_on_with_the_same_bits(tmp_path, undisturbed, seed):
    rng = random.Random(seed)
    process = start(tmp_path)
    for _ in range(3):
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        process.communicate()
        process = start(tmp_path, "w-0001")
    process.kill()
    process.communicate()
    assert finished(tmp_path) == undisturbed
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_second_signal_within_a_process():
    def twice(t):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    t = trainer(callbacks=[LambdaCallback(on_step_end=twice)])
    history = t.fit(data(), epochs=2)
    assert (history.interrupted, t.step) == (True, 1)
    assert "nothing was saved" in history.message
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("event", ["on_fit_start", "on_epoch_start", "on_validation_end",
                                   "on_epoch_end", "on_fit_end"])  # fmt: skip
def test_a_signal_at_any_event(tmp_path, event, undisturbed):
    def hit(t):
        if t.epoch in (2, 3) and not hits:
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
