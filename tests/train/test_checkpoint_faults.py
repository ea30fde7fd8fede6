"""Checkpoints on disks that stop, fill up or fail at any operation: the last good one is there."""

from __future__ import annotations

import errno
from contextlib import contextmanager, nullcontext, suppress

import numpy as np
import pytest
from faults import MODELS, Crash, CrashingDisk, FailingDisk, UnreadableDisk
from train_cases import QuickDisk, data, trainer

from chainrule.errors import FormatError, OutputError
from chainrule.train import Run, list_runs, open_run
from chainrule.train.checkpoint import Checkpoints
from chainrule.train.files import InputError, file_sha256, load_tensors, writing

pytestmark = pytest.mark.slow  # a save for every operation of a save
PARTS = ("weight", "moment", "rng")


def state(n):
    """All of it says which generation it is."""
    held = {name: np.full((3, n + 1), float(n)) for name in PARTS}
    return {"epoch": n, "step": 10 * n, "model": held, "rows": [{"loss": float(n)}] * n}


def generation_of(loaded):
    """The number in every part of a state, after all were found to agree."""
    n = loaded["epoch"]
    assert loaded["step"] == 10 * n
    assert loaded["rows"] == state(n)["rows"]
    for name in PARTS:
        assert loaded["model"][name].tolist() == state(n)["model"][name].tolist()
    return n


def filled(folder, last):
    """A run with generations 1 to `last`; the first is the best."""
    run = Run.create("r", folder)
    (run.path / "environment.json").write_text("{}")  # or each start would take 20 ms to find out
    for n in range(1, last + 1):
        run.checkpoints.save(state(n), score=-float(n))
    return run


@contextmanager
def on(disk):
    """While this lasts, everything goes to this disk."""
    before, writing.disk = writing.disk, disk
    try:
        yield disk
    finally:
        writing.disk = before


@pytest.fixture(autouse=True)
def quick():
    with on(QuickDisk()):
        yield


def operations(disk, act):
    """How many operations of a disk an action takes."""
    with on(disk):
        act()
    return disk.count


def output_error(act):
    """What an action says when it can't write; nothing where it can, all the same."""
    try:
        act()
    except OutputError as error:
        return str(error)
    return ""


def left_over(run):
    return [p.name for p in run.path.rglob(".*.tmp")]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("last", [0, 1, 5], ids=["first", "second", "removes one"])
def test_a_crash_at_any_operation_of_a_save(tmp_path, last, model):
    run = filled(tmp_path, last)
    count = operations(CrashingDisk(), lambda: run.checkpoints.save(state(last + 1), score=-9.0))
    assert count >= 15  # two files, each created, written, brought to the disk, renamed
    seen, swept = set(), 0
    for k in range(count):
        run = filled(tmp_path, last)
        with on(CrashingDisk(at=k)) as crashing, pytest.raises(Crash):
            run.checkpoints.save(state(last + 1), score=-9.0)
        crashing.lose(model)
        swept += bool(left_over(run))

        again = Run(run.path)
        if again.checkpoints.manifests():
            found = generation_of(again.checkpoints.load().state)
            assert found in (last, last + 1), f"operation {k}: {crashing.names[-3:]}"
        else:
            found = 0
            assert last == 0, f"operation {k}: the generations before are lost"
        seen.add(found)
        again.begin(0, {}, None)
        assert left_over(again) == []
        again.checkpoints.save(state(found + 1), score=-9.0)
        assert generation_of(again.checkpoints.load().state) == found + 1
        if last > 3:  # the best stays, and what is half there goes
            assert generation_of(again.checkpoints.read(again.checkpoints.manifests()[-1])) == 1
        stems = {p.stem for p in again.checkpoints.folder.iterdir()}
        assert stems == {p.stem for p in again.checkpoints.manifests()}
    assert seen == {last, last + 1}
    assert swept > 5


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failure_at_any_operation_of_a_save(tmp_path, code):
    run = filled(tmp_path, 5)
    count = operations(FailingDisk(), lambda: run.checkpoints.save(state(6), score=-6.0))
    for k in range(count):
        run = filled(tmp_path, 5)
        with on(FailingDisk(at=k, code=code)):
            told = output_error(lambda run=run: run.checkpoints.save(state(6), score=-6.0))
        assert not told or ("bytes to be written" in told and "12,345 bytes free" in told)
        assert generation_of(run.checkpoints.load().state) == (5 if told else 6), f"operation {k}"
        assert left_over(run) == []


class Full(FailingDisk):
    """Seems to have room, until an operation fails; from then on nothing can be written."""

    def free_bytes(self, path):
        return 10**9


SHORT = {"epochs": 2, "batch_size": 8}


def fit(run):
    trainer(run=run, accumulate=1, callbacks=[]).fit(data(12), **SHORT)


@pytest.fixture
def saved(monkeypatch):
    """The step of every checkpoint that was saved, as the training goes on."""
    steps, save = [], Checkpoints.save

    def noted(self, state, **more):
        path = save(self, state, **more)
        steps.append(state["step"])
        return path

    monkeypatch.setattr(Checkpoints, "save", noted)
    return steps


def test_a_disk_that_is_full_at_any_operation_of_a_training(tmp_path, saved):
    run = Run.create("r", tmp_path, checkpoint_seconds=0)
    count = operations(Full(), lambda: fit(run))
    assert count > 50
    failures, kept = 0, set()
    for k in range(count):
        run = Run.create("r", tmp_path, checkpoint_seconds=0)
        saved.clear()
        with on(Full(at=k)) as disk:
            told = output_error(lambda run=run: fit(run))
        if told:
            failures += 1
            assert str(run.path) in told
            assert "bytes to be written" in told or "can't remove" in told
            assert "1,000,000,000 bytes free" in told
            assert len(told.splitlines()) <= 6
        if saved:
            loaded = run.checkpoints.load()
            assert loaded.skipped == []
            assert loaded.state["step"] == saved[-1], f"operation {k}"
            kept.add(saved[-1])
        for path in run.path.glob("*.safetensors"):
            load_tensors(path)
        assert left_over(run) == [] or disk.names[k] == "remove"
    assert failures > 0.8 * count
    assert kept == {2, 4}


def test_a_read_that_fails_is_an_error_that_names_the_file(tmp_path):
    run = filled(tmp_path, 2)
    run.save_model({"w": np.ones(3)}, {})
    run.log({"epoch": 1})
    run.write_result(stopped="epochs")
    reads = {
        "config": lambda: run.config, "rows": lambda: run.rows, "result": lambda: run.result,
        "model": run.load_model, "manifests": run.checkpoints.manifests,
        "sha256": lambda: file_sha256(run.path / "config.json"),
        "missing": lambda: open_run("x", tmp_path),
    }  # fmt: skip
    for name, read in reads.items():
        failure = pytest.raises(InputError, match=r"can't read .*: Input/output error")
        with on(UnreadableDisk(at=0)), failure as e:
            read()
        assert str(tmp_path) in str(e.value), name
        assert e.value.errno == errno.EIO


def test_a_generation_that_cannot_be_read_now_is_skipped_and_kept(tmp_path):
    run = filled(tmp_path, 5)
    fresh = Checkpoints(run.checkpoints.folder)
    with on(UnreadableDisk(at=1)):
        assert generation_of(fresh.load().state) == 4
    for k in range(99):
        run = filled(tmp_path, 5)
        fresh = Checkpoints(run.checkpoints.folder)
        with on(UnreadableDisk(at=k)) as disk, suppress(InputError):
            fresh.save(state(6), score=-9.0)
        assert generation_of(fresh.load().state) in (5, 6)
        assert generation_of(fresh.read(fresh.manifests()[-1])) == 1, f"read {k}: the best is gone"
        if not disk.failed:
            break
    assert 5 < k < 98  # each read failed once


def test_no_checkpoint_at_all_is_said(tmp_path):
    with pytest.raises(FormatError, match="no checkpoint that can be loaded") as caught:
        Run.create("r", tmp_path).checkpoints.load()
    assert caught.value.fix == "the same without resume: nothing was saved yet"


def test_where_all_generations_are_broken_the_next_thing_to_do_is_said(tmp_path):
    run = filled(tmp_path, 3)
    for path in run.checkpoints.folder.glob("*.json"):
        path.write_text("{")
    with pytest.raises(FormatError, match="no checkpoint that can be loaded") as caught:
        run.checkpoints.load()
    told = str(caught.value)
    assert "000003.json" in told
    assert "a copy of these files from before, or the same without resume" in told
    assert len(told.splitlines()) <= 6


def create(folder):
    return Run.create("r", folder, {"layers": [7]})


def held(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@pytest.mark.parametrize("model", MODELS)
def test_a_crash_at_any_operation_of_a_new_run_leaves_a_run_or_nothing(tmp_path, model):
    count = operations(CrashingDisk(), lambda: create(tmp_path / "counted"))
    seen = set()
    for k in range(count + 1):
        folder = tmp_path / str(k)
        crashing = CrashingDisk(at=k)
        with on(crashing), pytest.raises(Crash) if k < count else nullcontext():
            create(folder)
        crashing.lose(model)
        runs = list_runs(folder)
        assert [r.config for r in runs] in ([], [{"layers": [7]}]), f"operation {k}"
        seen.add(len(runs))
        after = create(folder).name
        names = sorted({r.name for r in runs} | {after})
        assert held(folder) == sorted([*names, *(f"{n}/config.json" for n in names)])
    assert seen == {0, 1}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("lasting", [True, False])
def test_a_new_run_that_can_not_be_written_leaves_nothing(tmp_path, code, lasting):
    count = operations(FailingDisk(), lambda: create(tmp_path / "counted"))
    for k in range(count):
        folder = tmp_path / str(k)
        with on(FailingDisk(k, code, lasting)), pytest.raises(OutputError):
            create(folder)
        whole = k == count - 1  # the disk failed when all had its name
        left = held(folder) if folder.exists() else []
        assert left == (["r-0001", "r-0001/config.json"] if whole else []), f"operation {k}"
