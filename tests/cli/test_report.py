"""`chainrule report`, and the report that every training leaves."""

from __future__ import annotations

import json
import re

import pytest
from cli_cases import SMALL, refused

from chainrule.cli.report import whole_subject
from chainrule.report.boundary import FILE, read_frames, units_of
from chainrule.train import Run
from report_cases import BUDGET

REPORTED = tuple(word for word in SMALL if word != "--no-report")


@pytest.fixture
def moons(chainrule):
    result = chainrule("train", "moons", *REPORTED)
    assert result.exit_code == 0, result.output
    assert "page  runs/moons-0001/report.html" in result.stdout.splitlines()
    return "moons-0001"


@pytest.mark.slow
def test_a_training_leaves_a_page_with_its_own_numbers(chainrule, moons, own_folder):
    folder = own_folder / "runs" / moons
    text = (folder / "report.html").read_text(encoding="utf-8")
    accuracy = json.loads((folder / "result.json").read_text())["test_accuracy"]
    s = whole_subject(Run(folder))
    assert s.held.right == round(accuracy * 400)
    assert f"{s.held.right} of 400 held-out rows are classified right" in text
    assert f"Report of {moons}" in text
    again = chainrule("report", moons)
    assert re.fullmatch(r"report runs/moons-0001/report\.html \(0\.\d\d MB\)\n", again.stdout)
    assert (folder / "report.html").read_text(encoding="utf-8") == text, "the same page again"


@pytest.mark.slow
def test_the_boundary_was_kept_from_the_first_step_to_the_last(moons, own_folder):
    folder = own_folder / "runs" / moons
    frames = read_frames(folder / FILE)["frames"]
    last = json.loads((folder / "result.json").read_text())["steps"]
    assert [f["step"] for f in frames] == sorted({f["step"] for f in frames})
    assert (frames[0]["step"], frames[-1]["step"]) == (0, last)
    s = whole_subject(Run(folder))
    assert frames[-1]["units"] == units_of(s.model), "the weights that were kept"


@pytest.mark.slow
@pytest.mark.parametrize("words", [
    ("digits",), ("moons",), ("digits", "--layers", "512,256"),
    ("spiral", "--layers", ",".join(["32"] * 12), "--activation", "sigmoid", "--optimizer", "sgd"),
], ids=" ".join)  # fmt: skip
def test_the_pages_of_usual_runs_keep_the_budget(chainrule, own_folder, words):
    assert chainrule("train", *words, "--epochs", "60", "-q").exit_code in (0, 1)
    (page,) = own_folder.glob("runs/*/report.html")
    assert page.stat().st_size < BUDGET


def test_without_a_report(chainrule, xor_run, own_folder):
    folder = own_folder / "runs" / xor_run
    assert not (folder / "report.html").exists()
    assert not (folder / FILE).exists()


@pytest.mark.slow
def test_several_runs_on_one_page(chainrule, xor_run, own_folder):
    assert chainrule("train", "xor", *SMALL, "--seed", "1").exit_code == 0
    result = chainrule("report", "xor-0001", "xor-0002")
    path = own_folder / "runs" / "report-xor-0001-xor-0002.html"
    assert str(path.relative_to(own_folder)) in result.stdout
    text = path.read_text(encoding="utf-8")
    assert "By epoch 1 (step" in text
    assert re.search(r"seed</td>\s*<td>0</td><td>1</td>", text)


def test_a_run_that_has_no_model_yet_has_a_page(chainrule, xor_run, own_folder):
    folder = own_folder / "runs" / xor_run
    (folder / "model.safetensors").unlink()
    (folder / "result.json").unlink()
    assert chainrule("report", xor_run, "-o", "x.html").exit_code == 0
    assert "the run has no model yet" in (own_folder / "x.html").read_text(encoding="utf-8")


def test_what_is_refused(chainrule, xor_run, own_folder):
    assert "named twice" in refused(chainrule("report", xor_run, f"runs/{xor_run}"))
    assert "no run 'zor'" in refused(chainrule("report", "zor"))
    assert "no folder" in refused(chainrule("report", xor_run, "-o", "none/x.html"), 3)
    assert "that is a folder" in refused(chainrule("report", xor_run, "-o", "runs"))
    (own_folder / "runs" / xor_run / "layers.jsonl").write_text("{}\n")
    assert "layers.jsonl:1" in refused(chainrule("report", xor_run), 1)
    (own_folder / "runs" / xor_run / "layers.jsonl").unlink()
    (own_folder / "runs" / xor_run / FILE).write_text('{"frames": [{}]}')
    assert FILE in refused(chainrule("report", xor_run), 1)
