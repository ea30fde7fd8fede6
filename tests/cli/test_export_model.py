"""A run's model as ONNX and as C gives what `chainrule predict` gives."""

from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cli_cases import PENGUINS, refused

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


# ---------------------------------------------------------------- tables

QUICK = ("--epochs", "4", "--layers", "8", "--folds", "2", "--no-report", "-q")
UNSEEN = (
    "year,sex,note,island,bill_length_mm,body_mass_g,bill_depth_mm,flipper_length_mm\n"
    "2007,male,a,Torgersen,39.1,3750,18.7,181\n2008,,b,Atlantis,NA,,,\n"
    '2030,"f,emale",c,Dream,1e9,-5,?,-\n2009,female,d,Biscoe,45.2,5000,14.1,215.5\n'
)
"""Columns in another order, one more, gaps in many spellings, categories and sizes never seen."""
TARGETS = {
    "species": (), "sex": ("--skip-missing",), "body_mass_g": ("--skip-missing",),
    "bill_length_mm": ("--target", "bill_depth_mm", "--skip-missing", "--folds", "1"),
}  # fmt: skip


def predicted(text):
    """The names, the texts and the numbers of predicted rows."""
    head, *rows = csv.reader(io.StringIO(text))
    texts = 2 if "p_" in "".join(head) else 1
    return head, [row[:texts] for row in rows], np.array([row[texts:] for row in rows], float)


def raw(file, inputs):
    """The columns of a CSV file as onnxruntime takes them."""
    with open(file, encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    feed = {}
    for i in inputs:
        cells = [row[i.name] for row in rows]
        if "double" in i.type:
            cells = [float("nan") if c in ("", "NA", "?", "-") else float(c) for c in cells]
        feed[i.name] = np.array(cells, object if "string" in i.type else float).reshape(-1, 1)
    return feed


@pytest.mark.parametrize(
    "target",
    [pytest.param(t, marks=() if t == "species" else pytest.mark.slow) for t in TARGETS],
)
def test_a_table_goes_to_other_programs_with_what_prepares_it(chainrule, penguins, target):
    runtime = pytest.importorskip("onnxruntime")
    done = chainrule("train", penguins, "--target", target, *QUICK, *TARGETS[target])
    assert done.exit_code == 0, done.output
    Path("whole.csv").write_text(PENGUINS)
    others = UNSEEN.splitlines()
    if target != "species":
        others = [f"{line},{w}" for line, w in zip(others, ("species", "", "Adelie", "Yeti", "x"),
                                                   strict=True)]  # fmt: skip
    Path("new.csv").write_text("\n".join(others) + "\n")
    told = chainrule("export", "penguins", "--onnx", "m.onnx")
    assert told.exit_code == 0, told.output
    assert "opset 18, ai.onnx.ml 3" in told.stdout
    assert "texts without blanks around them" in told.stdout
    assert "'island': text" in told.stdout
    held = runtime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    for file in ("whole.csv", "new.csv"):
        head, texts, numbers = predicted(chainrule("predict", "penguins", file).stdout)
        found = held.run(None, raw(file, held.get_inputs()))
        np.testing.assert_allclose(found[-1], numbers, rtol=2e-6, atol=2e-6)
        if len(found) == 2:
            assert found[0].tolist() == [label for _, label in texts]
    if CC is None:
        return
    told = chainrule("export", "penguins", "--c", "m.c")
    assert "cc -O3 -DCHAINRULE_MAIN m.c -lm" in told.stdout
    subprocess.run([CC, *STRICT, "-DCHAINRULE_MAIN", "m.c", "-o", "m", "-lm"], check=True)
    for file in ("whole.csv", "new.csv"):
        head, texts, numbers = predicted(chainrule("predict", "penguins", file).stdout)
        ran = subprocess.run(
            ["./m"], input=Path(file).read_bytes(), capture_output=True, check=True
        )
        mine = predicted(ran.stdout.decode())
        assert mine[:2] == (head, texts)
        np.testing.assert_allclose(mine[2], numbers, rtol=2e-6, atol=2e-6)
