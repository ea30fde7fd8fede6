"""Trainings that get signals from outside at random moments, and are taken up again: the count."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import worker
from train_cases import bits, data, trainer

from chainrule.train.files import writing

WORKER = str(Path(__file__).with_name("worker.py"))
WINDOW_S = 0.2
"""A signal comes so long after the fit has begun, at most; some come before."""
GENTLE = (signal.SIGINT, signal.SIGTERM)


def undisturbed_bits():
    """The bits of the training that nobody stops."""
    t = trainer()
    t.fit(data(), **worker.FIT)
    return bits(t)


class Fresh:
    """A Python of its own, as a user starts it."""

    def __init__(self, folder, *name):
        self.process = subprocess.Popen(
            [sys.executable, WORKER, str(folder), *name], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.pid, self.stdout = self.process.pid, self.process.stdout

    def wait(self):
        """What is left of its output, and its exit code."""
        out, err = self.process.communicate(timeout=120)
        return out + err, self.process.returncode


class Forked:
    """A child of this process, which begins at once because everything is imported."""

    def __init__(self, folder, *name):
        out, inside = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, GENTLE)  # none comes while locks are made anew
        self.pid = os.fork()
        if self.pid == 0:
            self.work(inside, folder, *name)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, GENTLE)
        os.close(inside)
        self.stdout = open(out)  # noqa: SIM115

    def work(self, inside, folder, *name):
        """The child: it never returns."""
        code = 1
        try:
            for number in (1, 2):
                os.dup2(inside, number)
            sys.stdout = sys.stderr = open(1, "w", closefd=False)  # noqa: SIM115
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, GENTLE)
            writing.disk = writing.Disk()  # whatever a test has put there
            worker.main(str(folder), *name)
            code = 0
        except BaseException:
            traceback.print_exc(file=sys.stdout)
        finally:
            sys.stdout.flush()
            os._exit(code)

    def wait(self):
        """What is left of its output, and its exit code."""
        with self.stdout:
            text = self.stdout.read()
        _, status = os.waitpid(self.pid, 0)
        return text, os.waitstatus_to_exitcode(status)


@dataclass
class Tally:
    """What happened in all chains so far.

    writing: signals that left a half-made file or generation.  again: steps made once more after
    each.  late: seconds between a signal and the end.  starts: seconds from a start to where the
    training goes on.  odd: what should not have been.
    """

    runs: int = 0
    signals: int = 0
    starting: int = 0
    writing: int = 0
    again: list[int] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, other):
        """Takes in the tally of one chain."""
        with self.lock:
            self.runs += other.runs
            self.signals += other.signals
            self.starting += other.starting
            self.writing += other.writing
            self.again += other.again
            self.late += other.late
            self.starts += other.starts
            self.odd += other.odd


def run_in(folder):
    """The run that was begun; None where the program was killed before it had made one."""
    return next((p.parent.name for p in sorted(folder.glob("w-*/config.json"))), None)


def half_made(folder):
    """Whether something in a run folder is not complete: a temporary file, or no manifest."""
    run = folder / (run_in(folder) or "none")
    held = {p.stem for p in (run / "checkpoints").glob("*.safetensors")}
    return bool([*folder.rglob(".*.tmp")]) or bool(held - {p.stem for p in run.rglob("*.json")})


def chain(folder, rng, number, expected, *, start=Forked, most=10**6):
    """One training, stopped again and again (at most so often) until it ends: its tally."""
    tally, last = Tally(runs=1), 0
    while True:
        run = run_in(folder)
        began = time.perf_counter()
        process = start(folder, *([run] if run else []))
        early = rng.random() < 0.15
        said = "" if early else process.stdout.readline()
        if said.startswith("begun"):
            tally.starts.append(time.perf_counter() - began)
        if tally.signals < most:
            time.sleep(rng.uniform(0, 0.1 if early else WINDOW_S))
            os.kill(process.pid, number)
        sent = time.perf_counter()
        rest, code = process.wait()
        said = (said + rest).splitlines()
        begun = next((int(t.split()[1]) for t in said if t.startswith("begun ")), None)
        if begun is not None:
            if not last - last % worker.EVERY - worker.EVERY <= begun <= last + 1:
                tally.odd.append(f"went on at step {begun} after step {last}")
            if tally.signals:
                tally.again.append(max(last - begun, 0))
            last = max([begun, *(int(line) for line in said if line.isdecimal())])
        ended = [t[5:] for t in said if t.startswith("bits ")]
        if ended and "interrupted" not in said:
            break
        tally.signals += 1
        tally.starting += begun is None
        tally.writing += half_made(folder)
        tally.late.append(time.perf_counter() - sent)
        stopped = code == 0 if begun is not None else code in (0, 1, -number)
        if number in GENTLE and not stopped and "KeyboardInterrupt" not in said:
            tally.odd.append(f"exit code {code} after {said[-3:]}")
    if ended != [expected]:
        tally.odd.append(f"other bits after {tally.signals} signals")
    left = [p.name for p in folder.rglob(".*.tmp")]
    if left:
        tally.odd.append(f"left behind: {left}")
    return tally
