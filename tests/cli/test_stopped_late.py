"""Stopped after the last step, before the scores or the page: `--resume` makes what is missing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cli_cases import refused

from chainrule.cli import report, results
from chainrule.cli.resuming import lacking, over
from chainrule.cli.tables import training as tables
from chainrule.train import Run, Trainer
from chainrule.train.tabular import TableFit

COMMON = ("--layers", "4", "--epochs", "3")
WORDS = {
    "data set": ("xor", *COMMON, "--batch-size", "200"),
    "early": ("xor", *COMMON, "--epochs", "30", "--patience", "1", "--lr", "0.5"),
    "part": ("xor", *COMMON, "--batch-size", "200", "--steps", "7"),
    "table": ("penguins.csv", "--target", "species", "--folds", "2", *COMMON),
    "amounts": ("penguins.csv", "--target", "body_mass_g", "--skip-missing", *COMMON),
    "none held out": ("penguins.csv", "--target", "species", "--test-fraction", "0", *COMMON),
}
CASES = [(kind, step) for kind in WORDS for step in ("scores", "report")
         if (kind, step) != ("none held out", "scores")]  # fmt: skip


class Killed(BaseException):
    """What no code is meant to catch."""


def stopping(monkeypatch, step, error):
    """Stops the command where scores or page are about to be made."""

    def stop(*args, **kwargs):
        raise error

    places = [(results, "confusion_matrix"), (tables.TableModel, "judge")]
    for owner, name in places if step == "scores" else [(report, "whole_subject")]:
        monkeypatch.setattr(owner, name, stop)


@pytest.fixture
def cut(chainrule, penguins, monkeypatch):
    """A whole run and one that was stopped: their folders, and what was said."""

    def make(kind, step, error):
        whole = chainrule("train", *WORDS[kind], "--name", "whole", "--json")
        assert whole.exit_code == 0, whole.output
        with monkeypatch.context() as m:
            stopping(m, step, error)
            ended = chainrule("train", *WORDS[kind], "--name", "cut")
        told = json.loads(whole.stdout)
        return Path("runs/whole-0001"), Path("runs/cut-0001"), ended, told

    return make


def untimed(held):
    """Without what a clock gave, names and paths."""
    clock = ("seconds", "steps_per_second", "overhead", "watch_overhead", "watch_seconds", "way",
             "run", "path", "report", "compile_seconds", "compile_cached")  # fmt: skip
    if isinstance(held, dict):
        return {k: untimed(v) for k, v in held.items() if k not in clock}
    return held


def read(folder):
    return json.loads((folder / "result.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "step"), CASES)
def test_what_is_missing_is_made_of_what_is_there(chainrule, cut, kind, step, monkeypatch):
    whole, run, ended, told = cut(kind, step, Killed())
    assert ended.exit_code == 1
    assert over(Run(run))
    assert lacking(Run(run), report=True) == (
        ["scores", "report"] if step == "scores" else ["report"]
    )
    before = read(run)
    files = {n: (run / n).read_bytes() for n in ("model.safetensors", "metrics.jsonl")}
    for owner, name in ((Trainer, "fit"), (TableFit, "run")):
        monkeypatch.setattr(owner, name, lambda *a, **k: pytest.fail("trains again"))
    done = chainrule("train", "--resume", "cut", "--json")
    assert done.exit_code == 0, done.output
    assert {n: (run / n).read_bytes() for n in files} == files
    assert files["model.safetensors"] == (whole / "model.safetensors").read_bytes()
    assert untimed(read(run)) == untimed(read(whole))
    assert {k: read(run)[k] for k in before} == before
    assert untimed(json.loads(done.stdout)) == untimed(told)
    assert (run / "report.html").is_file()
    assert "is finished" in refused(chainrule("train", "--resume", "cut"))


@pytest.mark.parametrize("kind", ["data set", "table"])
@pytest.mark.parametrize("step", ["scores", "report"])
def test_ctrl_c_after_the_training_is_told_truly(chainrule, cut, kind, step):
    _, run, ended, _ = cut(kind, step, KeyboardInterrupt())
    assert ended.exit_code == 130
    said = " ".join(ended.stderr.split())
    without = "without scores and report" if step == "scores" else "without report"
    assert f"the model is saved in {run}, {without}" in said
    assert "chainrule train --resume cut-0001" in said
    assert "checkpoint" not in said
    assert chainrule("train", "--resume", "cut-0001", "-q").exit_code == 0
    assert lacking(Run(run), report=True) == []


@pytest.mark.parametrize("kind", ["data set", "table"])
def test_ctrl_c_where_nothing_is_kept(chainrule, penguins, monkeypatch, kind):
    stopping(monkeypatch, "scores", KeyboardInterrupt())
    ended = chainrule("train", *WORDS[kind], "--no-save", "-q")
    assert ended.exit_code == 130
    assert "nothing was kept" in ended.stderr
    assert not Path("runs").exists()


def test_a_page_from_before_the_end_is_made_again(chainrule, xor_run):
    """Such as the key r writes while it is trained."""
    folder = Path("runs") / xor_run
    assert chainrule("report", xor_run).exit_code == 0
    assert lacking(Run(folder), report=True) == []
    os.utime(folder / "report.html", ns=(0, 0))
    assert lacking(Run(folder), report=True) == ["report"]
    assert lacking(Run(folder), report=False) == []
