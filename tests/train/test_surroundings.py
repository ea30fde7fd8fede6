"""What is around a training changes no bit: threads, forks, hashes, clocks, a full disk."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from train_cases import bits, data, trainer

import chainrule
from chainrule.errors import OutputError
from chainrule.train import LambdaCallback, Run
from chainrule.train.files import load_tensors
from compiler.processors import EXECUTABLE

FIT = {"epochs": 2, "batch_size": 4, "validation": data()}
HERE = Path(__file__).parent
SHOW = "from test_surroundings import fitted; print(fitted(True))"


def fitted(compiled):
    """The bits of one training."""
    t = trainer(compile=compiled)
    t.fit(data(), **FIT)
    return bits(t)


@pytest.fixture(scope="module", params=[True, False], ids=["compiled", "eager"])
def alone(request):
    return request.param, fitted(request.param)


@pytest.mark.slow
def test_eight_threads_train_eight_models(alone):
    """Compiled and not, 112 models in all; they begin together."""
    compiled, expected = alone
    for _ in range(7):
        made = [trainer(compile=compiled) for _ in range(8)]
        gate = threading.Barrier(8)

        def one(t, gate=gate):
            gate.wait(60)
            t.fit(data(), **FIT)
            return bits(t)

        with ThreadPoolExecutor(8) as pool:
            found = [f.result(60) for f in [pool.submit(one, t) for t in made]]
        assert found == [expected] * 8


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_train_to_the_same_bits(alone, method, monkeypatch):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parent)]))
    compiled, expected = alone
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map_async(fitted, [compiled] * (8 if method == "fork" else 2)).get(120)
    assert set(found) == {expected}


@pytest.mark.slow
def test_one_hash_whatever_the_environment():
    around = [
        {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}, {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "2", "CHAINRULE_NUM_THREADS": "2"},
        {"CHAINRULE_NUM_THREADS": "1", "CHAINRULE_CACHE": "0"},
        {"TZ": "Pacific/Kiritimati", "LC_ALL": "C"},
    ]  # fmt: skip
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    found = {
        subprocess.run(
            [sys.executable, "-c", SHOW], env={**os.environ, **more, "PYTHONPATH": path},
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout
        for more in around
    }  # fmt: skip
    assert len(found) == 1
    assert found == {fitted(True) + "\n"}


MASKED = (
    "import sys, chainrule.compiler as compiler; from compiler.processors import EXECUTABLE\n"
    "compiler.host = lambda: EXECUTABLE[sys.argv[1]]\n"
    f"{SHOW}; print(compiler.host() != EXECUTABLE['host'], file=sys.stderr)"
)


@pytest.mark.slow
def test_one_hash_for_every_set_of_features_of_the_processor():
    """On one thread and on two; from one set to another vectors differ in length, and bits do."""
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    hashes = {}
    for name in EXECUTABLE:
        found = set()
        for threads in ("1", "2"):
            around = {"CHAINRULE_NUM_THREADS": threads, "CHAINRULE_CACHE": "0", "PYTHONPATH": path}
            done = subprocess.run(
                [sys.executable, "-c", MASKED, name], env={**os.environ, **around},
                capture_output=True, text=True, check=True, timeout=120,
            )  # fmt: skip
            assert done.stderr == f"{name != 'host'}\n"
            found.add(done.stdout)
        assert len(found) == 1, name
        hashes[name] = found.pop()
    assert hashes["host"] == fitted(True) + "\n"


@pytest.mark.parametrize("jump", [-86400.0, 3600.0, -1e9])
def test_a_clock_that_is_set_changes_nothing(tmp_path, monkeypatch, alone, jump):
    compiled, expected = alone
    real, moved = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + moved[0])

    def move(t):
        moved[0] += jump

    run = Run.create("r", tmp_path, checkpoint_seconds=0)
    t = trainer(run=run, compile=compiled)
    t.add_callback(LambdaCallback(on_step_end=move))
    t.fit(data(), **FIT)
    assert bits(t) == expected
    assert all(row["seconds"] >= 0 for row in run.rows)
    assert len(run.checkpoints.manifests()) == 2
    again = trainer(compile=compiled).resume(run)
    again.fit(data(), **FIT)
    assert bits(again) == expected


@contextmanager
def small_disk(folder, size):
    """A disk of its own of so many bytes."""
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("only root may mount a disk in memory")
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk in memory can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_real_disk_that_is_full(tmp_path, alone):
    """It fills up between the check at the start and the last save, and is then emptied again."""
    compiled, expected = alone
    with small_disk(tmp_path, 2 * 2**20) as disk:
        run = Run.create("r", disk, checkpoint_steps=1)
        filler = disk / "filler"

        def fill(t):
            if t.step == 4 and not filler.exists():
                free = os.statvfs(disk)
                filler.write_bytes(bytes((free.f_bavail - 1) * free.f_frsize))

        t = trainer(run=run, compile=compiled)
        t.add_callback(LambdaCallback(on_step_end=fill))
        with pytest.raises(OutputError, match="No space left") as caught:
            t.fit(data(), **FIT)
        for told in (str(run.path), "bytes to be written", "bytes free", "make space"):
            assert told in str(caught.value)
        assert run.checkpoints.load().state["step"] == 3, "what was there is intact"
        filler.unlink()
        again = trainer(compile=compiled).resume(run)
        again.fit(data(), **FIT)
        assert bits(again) == expected
        assert [p.name for p in run.path.rglob(".*.tmp")] == []
        load_tensors(run.path / "model.safetensors")


def test_a_disk_that_is_too_small_is_refused_before_the_first_step(tmp_path):
    with small_disk(tmp_path, 64 * 2**10) as disk:
        with pytest.raises(OutputError, match="bytes free"):
            chainrule.save({"w": np.ones(10**5)}, disk / "w")
        t = trainer(run=Run.create("r", disk))
        with pytest.raises(OutputError, match="bytes free"):
            t.fit(data(), **FIT)
        assert t.step == 0
        assert not list(disk.rglob("*.safetensors"))
