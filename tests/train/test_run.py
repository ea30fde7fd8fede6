"""Run folders: numbers, files, generations that are skipped when they are not whole."""

import functools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from faults import MODELS, Crash, CrashingDisk, FailingDisk
from train_cases import QuickDisk, bits, data, model, trainer

import chainrule
from chainrule.errors import ArgumentError, ChainruleError, FormatError, OutputError
from chainrule.train import LambdaCallback, Run, list_runs, open_run
from chainrule.train.checkpoint import Checkpoints, _digest
from chainrule.train.environment import command
from chainrule.train.files import writing
from chainrule.train.packing import _MARKED, pack, unpack


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leaves out what makes a disk slow, and is tested elsewhere."""
    monkeypatch.setattr(writing, "disk", QuickDisk())


FIT = {"epochs": 3, "batch_size": 4, "validation": data()}


def test_every_run_gets_the_next_number(tmp_path):
    names = [Run.create(n, tmp_path).name for n in ("a", "a", "b", "a")]
    assert names == ["a-0001", "a-0002", "b-0001", "a-0003"]
    (tmp_path / "a-0007").mkdir()
    assert Run.create("a", tmp_path).name == "a-0008"
    assert [r.name for r in list_runs(tmp_path)] == [
        "a-0001", "a-0002", "a-0003", "a-0008", "b-0001"
    ]  # fmt: skip
    assert list_runs(tmp_path / "none") == []


@pytest.mark.slow
def test_processes_never_share_a_number(tmp_path):
    script = (
        "import sys; from chainrule.train import Run\n"
        "print([Run.create('x', sys.argv[1]).name for _ in range(10)])"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    found = [name for p in runs for name in eval(p.communicate()[0])]
    assert len(set(found)) == len(found) == 40


def test_a_run_is_found_by_path_name_and_newest(tmp_path):
    one, two = Run.create("digits", tmp_path), Run.create("digits", tmp_path)
    for key in (two.path, str(two.path), two.name, "digits", two):
        assert open_run(key, tmp_path).path == two.path
    assert open_run("digits-0001", tmp_path).path == one.path
    with pytest.raises(ArgumentError, match="did you mean digits-0001"):
        open_run("digit-0001", tmp_path)
    with pytest.raises(ArgumentError, match="no run 'x'"):
        open_run("x", tmp_path / "empty")
    for none in (None, 3):
        with pytest.raises(TypeError, match="a run is said by its path or its name"):
            open_run(none)
    for wrong in ("", "../x", "a/b", ".hidden"):
        with pytest.raises(ArgumentError, match="a run's name consists"):
            Run.create(wrong, tmp_path)


def test_what_a_run_holds(tmp_path):
    run = Run.create("r", tmp_path, {"layers": [7], "note": "x"})
    t = trainer(run=run)
    history = t.fit(data(), **FIT)
    assert sorted(p.name for p in run.path.iterdir()) == [
        "checkpoints", "config.json", "environment.json", "metrics.jsonl", "model.safetensors",
        "result.json",
    ]  # fmt: skip
    assert run.config == {"layers": [7], "note": "x"}
    assert run.rows == history.rows
    assert run.result["stopped"] == "epochs"
    assert run.environment["seed"] == 3
    assert not any("PATH" in key for key in run.environment)
    weights = run.load_model()
    assert all(
        chainrule.equal(weights[k], v) for k, v in t.evaluated_weights().items()
    )  # fmt: skip
    net = model()
    net.load_state_dict(weights)
    with pytest.raises(FormatError, match="no model yet"):
        Run.create("r", tmp_path).load_model()


def test_one_trainer_at_a_time(tmp_path):
    run = Run.create("r", tmp_path)

    def second(t):
        with pytest.raises(OutputError, match="another program is training in"):
            trainer(run=Run(run.path)).fit(data(), **FIT)

    t = trainer(run=run)
    show = LambdaCallback(on_epoch_start=second)
    history = trainer(run=run, callbacks=[*t.callbacks, show]).fit(data(), **FIT)
    assert run.rows == history.rows, "nothing was written by the second"
    assert trainer(run=run).fit(data(), **FIT).stopped == "epochs", "free again"


def test_resuming_before_anything_was_saved_says_what_to_do(tmp_path):
    with pytest.raises(FormatError, match="the folder holds none") as caught:
        trainer().resume(Run.create("r", tmp_path))
    assert "without resume" in caught.value.fix


def test_the_command_is_repeatable_and_hides_secrets():
    words = ["/x/bin/chainrule", "train", "a b", "--token", "T", "--api-key=K", "--seed", "1"]
    assert command(words) == "chainrule train 'a b' --token '***' '--api-key=***' --seed 1"
    assert command(["/x/chainrule/__main__.py", "runs"]) == "python -m chainrule runs"
    assert command(["jobs/fit.py", "-n", "3"]) == "python jobs/fit.py -n 3"


def test_the_last_generations_and_the_best_are_kept(tmp_path):
    losses = iter([5.0, 1.0, 4.0, 3.0, 2.0, 2.5, 2.0])
    run = Run.create("r", tmp_path, checkpoint_seconds=0)
    t = trainer(run=run, callbacks=[], ema=None)
    t.evaluate_on = lambda *_: {"loss": next(losses)}
    t.fit(data(), **{**FIT, "epochs": 7})
    kept = sorted(p.name for p in run.checkpoints.folder.iterdir())
    stems = ["000002", "000005", "000006", "000007"]
    assert kept == sorted(f"{s}.{e}" for s in stems for e in ("json", "safetensors"))


def interrupted(tmp_path):
    run = Run.create("r", tmp_path, checkpoint_seconds=0, say=lambda text: None)
    t = trainer(run=run)
    t.fit(data(), **{**FIT, "steps": 7, "epochs": None})
    return run


@functools.cache
def undisturbed():
    t = trainer()
    t.fit(data(), **FIT)
    return bits(t)


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory):
    """A run that was interrupted; each test damages a copy of it."""
    return interrupted(tmp_path_factory.mktemp("run")).path


@pytest.mark.parametrize("what", ["json", "safetensors"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "empty", "foreign"])
def test_a_damaged_generation_is_skipped_and_said(tmp_path, broken_off, what, damage):
    run = Run(shutil.copytree(broken_off, tmp_path / broken_off.name))
    newest = run.checkpoints.manifests()[0]
    path = newest.with_suffix(f".{what}")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes(
            {"cut": content[:middle], "flip": flipped, "empty": b"", "foreign": b"\x80\x04x"}[
                damage
            ]
        )
    said = []
    t = trainer().resume(Run(run.path, say=said.append))
    assert t.step == 6
    if (what, damage) != ("json", "gone"):
        assert newest.name in said[0]
        assert "goes on from" in said[1]
    t.fit(data(), **FIT)
    assert bits(t) == undisturbed()


def test_a_newer_format_is_refused_by_name(tmp_path):
    run = interrupted(tmp_path)
    for path in run.checkpoints.manifests():
        path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    with pytest.raises(FormatError, match="newer version"):
        trainer().resume(run)


def test_another_trainer_is_refused_before_anything_changes(tmp_path):
    run = interrupted(tmp_path)
    for changes in ({"seed": 4}, {"ema": None}, {"scheduler": None}, {"callbacks": []}):
        t = trainer(**changes)
        before = bits(t)
        with pytest.raises(ChainruleError, match="resume"):
            t.resume(run)
        assert bits(t) == before


# ---------------------------------------------------------------- disks that fail


def test_no_room_is_said_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(writing.disk, "free_bytes", lambda path: 10)
    t = trainer(run=Run.create("r", tmp_path))
    with pytest.raises(OutputError, match="10 bytes free"):
        t.fit(data(), **FIT)
    assert t.step == 0


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't make a run folder"):
        Run.create("r", tmp_path / "file")


class Full(FailingDisk):
    """Seems to have room, until an operation fails."""

    def free_bytes(self, path):
        return 10**9

    def sync(self, handle):
        self.step("sync", (handle,))

    def sync_folder(self, path):
        self.step("sync_folder", (path,))


SHORT = {**FIT, "epochs": 1}


def operations(tmp_path, monkeypatch):
    disk = Full()
    monkeypatch.setattr(writing, "disk", disk)
    trainer(run=Run.create("count", tmp_path, keep=1, checkpoint_steps=1)).fit(data(), **SHORT)
    return disk.count


@pytest.mark.slow
def test_a_disk_that_fails_at_any_point_leaves_a_state_to_go_on_from(tmp_path, monkeypatch):
    t = trainer()
    t.fit(data(), **SHORT)
    expected = bits(t)
    for at in range(operations(tmp_path, monkeypatch)):
        disk = Full()
        monkeypatch.setattr(writing, "disk", disk)
        run = Run.create("r", tmp_path, keep=1, checkpoint_steps=1)
        disk.at = at
        first = trainer(run=run)
        failed = None
        try:
            first.fit(data(), **SHORT)
        except OutputError as error:
            failed = str(error)
        assert failed is None or ("1,000,000,000 bytes free" in failed and str(run.path) in failed)
        monkeypatch.setattr(writing, "disk", Full())
        again = trainer(run=run)
        if run.checkpoints.manifests():
            again.resume(run)
        again.fit(data(), **SHORT)
        assert bits(again) == expected, f"operation {at}"


def state(n):
    return {"epoch": n, "step": n, "w": chainrule.full((5,), float(n))}


def two_generations(folder):
    checkpoints = Checkpoints(folder, keep=1)
    for n in (1, 2):
        checkpoints.save(state(n), score=-float(n))
    return checkpoints


@pytest.mark.parametrize("lost", MODELS)
def test_a_crash_at_any_point_of_a_save_leaves_the_last_state_or_the_new(
    tmp_path, monkeypatch, lost
):
    checkpoints = two_generations(tmp_path / "count")
    counting = CrashingDisk()
    monkeypatch.setattr(writing, "disk", counting)
    checkpoints.save(state(3))
    assert counting.count > 10
    for at in range(counting.count):
        monkeypatch.setattr(writing, "disk", QuickDisk())
        checkpoints = two_generations(tmp_path / f"{at}")
        disk = CrashingDisk(at)
        monkeypatch.setattr(writing, "disk", disk)
        with pytest.raises(Crash):
            checkpoints.save(state(3))
        monkeypatch.setattr(writing, "disk", QuickDisk())
        disk.lose(lost)
        found = Checkpoints(tmp_path / f"{at}", keep=1)
        loaded = found.load().state
        assert loaded["step"] in (2, 3)
        assert (loaded["w"].numpy() == loaded["step"]).all()
        found.save(state(4))
        assert found.load().state["step"] == 4


@pytest.mark.parametrize("kind", _MARKED)
def test_a_manifest_whose_state_is_no_state_is_skipped(tmp_path, kind):
    checkpoints = two_generations(tmp_path / "c")
    newest = checkpoints.manifests()[0]
    content = json.loads(newest.read_text())
    content["state"] = {kind: {"$tensor": "w", "$float": "inf"}.get(kind, [])}
    del content["sha256"]
    newest.write_text(json.dumps({**content, "sha256": _digest(content)}))
    loaded = checkpoints.load()
    if kind in ("$counter", "$dict"):  # a dict, though an empty one, which `resume` refuses
        assert loaded.state == {}
        return
    assert loaded.state["step"] == 1
    ((path, why),) = loaded.skipped
    assert path == newest
    assert "is not a checkpoint" in why


# ---------------------------------------------------------------- packing


def test_packing_is_exact():
    state = {
        "a": [1, 2.5, float("inf"), -float("inf"), None, True, "x"], "t": (1, (2.0,)),
        "n": {1: "one", 2: chainrule.tensor([1.0, float("nan")])}, "$odd": {},
        "np": np.float64(0.1), "deep": [{"w": chainrule.arange(3)}],
    }  # fmt: skip
    body, tensors = pack(state)
    back = unpack(json.loads(json.dumps(body, allow_nan=False)), tensors)
    assert repr(back) == repr({**state, "np": 0.1})
    with pytest.raises(ChainruleError, match=r"can't hold a\.b"):
        pack({"a": {"b": LambdaCallback()}})
