"""A run's model as ONNX and as C gives what `chainrule predict` gives."""

from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cli_cases import refused

from chainrule.data import moons
from compiler.in_c import CC, STRICT, needs_cc

SMALL = ("moons", "--layers", "4,3", "--dropout", "0.2", "--epochs", "2", "--no-report", "-q")


@pytest.fixture
def run(copied):
    copied(("train", *SMALL))
    return "moons-0001"


@pytest.fixture
def wanted(chainrule, run):
    """The probabilities of the held-out rows, which are given."""
    rows = list(csv.DictReader(io.StringIO(chainrule("predict", run).stdout)))
    return np.array([[float(r["p_0"]), float(r["p_1"])] for r in rows])


def held_out():
    return np.asarray(moons(400, seed=1)[0])


def test_as_onnx(chainrule, run, wanted):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    done = chainrule("export", run, "--onnx", "m.onnx")
    assert done.exit_code == 0, done.output
    assert "inputs (batch, 2), opset 18" in done.stdout
    held = runtime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    (found,) = held.run(None, {held.get_inputs()[0].name: held_out()})
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@needs_cc
def test_as_c(chainrule, run, wanted):
    done = chainrule("export", "moons", "--c", "m.c")  # the newest of that name
    assert done.exit_code == 0, done.output
    assert "cc -O3 -DCHAINRULE_MAIN m.c -lm" in done.stdout
    subprocess.run([CC, *STRICT, "-DCHAINRULE_MAIN", "m.c", "-o", "m", "-lm"], check=True)
    text = "\n".join(f"{a!r} {b!r}" for a, b in held_out().tolist())
    printed = subprocess.run(["./m"], input=text, capture_output=True, text=True, check=True)
    found = np.array([line.split() for line in printed.stdout.splitlines()], float)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_what_is_refused(chainrule, run):
    assert "one of --json" in refused(chainrule("export", run, "--c", "m.c", "--onnx", "m.onnx"))
    assert "which run?" in refused(chainrule("export", "--c", "m.c"))
    for option in ("--c", "--onnx"):
        assert "no folder" in refused(chainrule("export", run, option, "none/m"), 3)
    assert not list(Path().glob("m.*"))
