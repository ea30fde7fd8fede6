"""verify_resume: processes that are really killed, and what it finds where a fit can't resume."""

from __future__ import annotations

import multiprocessing
import re
import signal

import numpy as np
import pytest
from train_cases import data, trainer

import chainrule
from chainrule import nn, optim
from chainrule.errors import ArgumentError
from chainrule.train import Callback, Run, Trainer, list_runs, verify_resume
from chainrule.train.attempt import OPERATIONS, FitFailedError, Kill, TrainerJob, attempt
from chainrule.train.files import writing
from chainrule.train.verify import WITHIN

RENAMED = "rename 000001.json"
"""With it the first generation is there."""
FIT = {"validation": data(), "epochs": 4, "batch_size": 4}


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [True, False])
def test_a_fit_with_every_part_is_exact(tmp_path, compiled):
    told = []
    found = verify_resume(
        lambda: trainer(compile=compiled), data(), **FIT, kills=6, folder=tmp_path,
        progress=lambda *now: told.append(now),
    )  # fmt: skip
    assert found.exact, str(found)
    assert found.repeats is None
    assert (found.steps, found.epochs, len(found.kills)) == (12, 4, 6)
    assert {k.doing == "training" for k in found.kills} == {True, False}
    assert all(0 <= k.again <= found.every for k in found.kills)
    assert [p.name for p in found.parts if not p.values] == []
    assert found.bytes > 3000
    assert found.verdict.startswith("exact: killed 6 times in 12 steps")
    assert {r.name for r in list_runs(tmp_path)} == {"whole-0001", "killed-0001"}
    done = [n for _, n, _ in told]
    assert done == sorted(done)
    assert found.notes == []


@pytest.mark.slow
@pytest.mark.parametrize("said", [{}, {"epochs": 2}, {"steps": 9}])
def test_it_never_makes_more_steps_than_in_all(tmp_path, said):
    """With the pilot that finds out how many steps take a second, and without."""
    told = []
    verify_resume(
        lambda: trainer(compile=False), data(), validation=data(), batch_size=4, **said, kills=2,
        folder=tmp_path, progress=lambda what, done, total: told.append((done, total)),
    )  # fmt: skip
    assert any(total is not None for _, total in told)
    assert all(total is None or done <= total for done, total in told)


@pytest.mark.slow
def test_every_operation_of_a_save_is_a_moment_to_be_killed_in(tmp_path):
    job = TrainerJob(lambda: trainer(compile=False), data(), {**FIT, "epochs": 1})
    met = []
    for k in range(WITHIN):
        run = Run.create("r", tmp_path)
        found = attempt(job, str(run.path), kill=Kill(1, k), every=1)
        met.append(found.killed)
        last = attempt(job, str(run.path))
        assert last.done
        assert last.begun == (1 if k > (met.index(RENAMED) if RENAMED in met else k) else 0)
    assert {m.split()[0] for m in met} > {"create", "write", "sync", "close", "rename"}
    assert RENAMED in met
    assert not [m for m in met if re.search(r"\.tmp|\d-\d", m)], "names of files, not of temporary"


def test_all_that_changes_a_disk_can_be_killed_in():
    assert set(OPERATIONS) == {
        "create", "device", "append", "write", "truncate", "sync", "close", "rename",
        "sync_folder", "remove", "make_folder", "new_folder", "remove_folder",
    }  # fmt: skip
    assert not [n for n in OPERATIONS if not hasattr(writing.Disk, n)]


class Noise(nn.Module):
    """Draws from a generator that Chainrule does not keep."""

    def forward(self, x):
        return x + float(np.random.rand())


class Forgetful(Callback):
    """Changes the rate by a count that it does not keep."""

    def __init__(self):
        self.seen = 0

    def on_step_end(self, trainer):
        self.seen += 1
        trainer.optimizer.param_groups[0]["lr"] = 0.1 / self.seen


class Wrong(Forgetful):
    """Keeps the count, but not what it is told."""

    def state_dict(self):
        return {"seen": self.seen}


def simple(*layers, callbacks=()):
    def make():
        chainrule.manual_seed(1)
        net = nn.Sequential(nn.Linear(3, 3), *layers)
        return Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), 0.1), seed=1,
                       compile=False, callbacks=[c() for c in callbacks])  # fmt: skip

    return make


def drawn_anew():
    net = nn.Linear(3, 3)
    net.load_state_dict({k: np.random.default_rng().random(v.shape, np.float32)
                         for k, v in net.state_dict().items()})  # fmt: skip
    return Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), 0.1), seed=1,
                   compile=False)  # fmt: skip


FOUND = {
    "numpy.random": (simple(Noise()), "weights", "not numpy.random", True),
    "a callback without state": (simple(callbacks=[Forgetful]), "weights", "state_dict", True),
    "a callback with half of it": (simple(callbacks=[Wrong]), "callbacks", "load_state_dict", True),
    "another start each time": (drawn_anew, "weights", "seed=", False),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FOUND.values(), ids=FOUND)
def test_what_does_not_resume_is_found_and_told(case):
    make, part, fix, repeats = case
    found = verify_resume(make, data(), epochs=3, batch_size=4, kills=2)
    assert not found.exact
    assert found.repeats is repeats
    assert ("not exact" if repeats else "not repeatable") in found.verdict
    assert part in found.verdict
    assert fix in found.fix
    odd = next(p for p in found.parts if p.name == part)
    assert re.search(r"\S+: .+ without, .+ with kills", odd.first)
    assert part in str(found)
    assert found.to_json()["exact"] is False


def test_a_fit_that_fails_is_told_as_it_fails():
    def broken():
        raise ZeroDivisionError("no trainer today")

    with pytest.raises(FitFailedError, match="ZeroDivisionError: no trainer today"):
        verify_resume(broken, data(), steps=4)
    with pytest.raises(FitFailedError, match="must give a new Trainer"):
        verify_resume(lambda: 3, data(), steps=4)
    with pytest.raises(FitFailedError, match="nan or infinite"):
        verify_resume(trainer, (np.full((4, 3), np.nan, np.float32), np.zeros(4, int)), steps=4)
    with pytest.raises(ArgumentError, match="kills must be a whole number"):
        verify_resume(trainer, data(), kills=0)


def test_an_attempt_that_is_broken_off_leaves_no_process(tmp_path):
    def impatient(made):
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    job = TrainerJob(trainer, data(), {**FIT, "epochs": 10**6})
    with pytest.raises(KeyboardInterrupt):
        attempt(job, str(Run.create("r", tmp_path).path), progress=impatient)
    assert multiprocessing.active_children() == []
    assert signal.getsignal(signal.SIGINT) is before
