"""`chainrule verify-resume`, and the checkpoints that `chainrule train` is asked for."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import jsonschema
import pytest
from cli_cases import SHORT, SMALL, refused

from chainrule import schemas
from chainrule.cli.terminal import ASCII, Terminal, text_of
from chainrule.cli.verify_resume import lines_of
from chainrule.train import open_run
from chainrule.train.alike import Part
from chainrule.train.checkpoint import Checkpoints
from chainrule.train.verify import KilledAt, ResumeReport


def steps_kept(name):
    checkpoints = open_run(name).checkpoints
    return [checkpoints.read(path)["step"] for path in checkpoints.manifests()]


T = ("--target", "y", "--layers", "4", "--batch-size", "8", "--folds", "2", "--no-report")


@pytest.fixture
def table():
    Path("t.csv").write_text("a,b,y\n" + "".join(f"{i},{i % 7},{i % 3}\n" for i in range(60)))
    return "t.csv"  # 48 rows to learn from, 24 of them by each network: 3 steps an epoch


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [(), ("--eager",), ("--optimizer", "sgd", "--schedule", "plateau")]
)
def test_a_recipe_resumes_exactly(chainrule, more):
    result = chainrule("verify-resume", "xor", *SHORT, *more)
    assert result.exit_code == 0, result.output
    assert "exact: killed 2 times in 6 steps" in result.stdout


@pytest.mark.slow
def test_a_run_is_left_as_it_is(chainrule, xor_run, tmp_path):
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    found = json.loads(chainrule("verify-resume", xor_run, "--kills", "1", "--json").stdout)
    assert found["exact"]
    assert found["epochs"] == 3, "the default is three epochs, or a second"
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files


@pytest.mark.slow
def test_a_table_and_a_run_of_one_resume_exactly(chainrule, table, tmp_path):
    words = (table, "--target", "y", "--layers", "4", "--batch-size", "16", "--folds", "2")
    assert chainrule("train", *words, "--no-report", "--epochs", "2").exit_code == 0
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    config = ("--config", "runs/t-0001/config.toml")
    for what in (words, ("t-0001",), (table, *config), config):
        result = chainrule("verify-resume", *what, "--short-steps", "2", "--kills", "1", "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        jsonschema.validate(found, schemas.schema("resume"))
        assert (found["exact"], found["steps"], len(found["kills"])) == (True, 2, 1)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files


WRONG = {
    "--short-steps 1": "in [2,", "--short-epochs 0": "in [1,", "--kills 0": "in [1,",
    "--kill-seed -1": "in [0,", "--lr x": "lr",
}  # fmt: skip


@pytest.mark.parametrize("typed", WRONG)
def test_wrong_use(chainrule, typed):
    assert WRONG[typed] in refused(chainrule("verify-resume", "xor", *typed.split()))


def test_a_run_brings_its_own_choices(chainrule):
    assert "--lr goes with a data set" in refused(chainrule("verify-resume", "r-1", "--lr", "1"))
    assert "no run 'digitz'" in refused(chainrule("verify-resume", "digitz"))


def test_options_go_with_what_they_are_of(chainrule):
    Path("t.csv").write_text("a,y\n1,2\n")
    assert "--target COLUMN" in refused(chainrule("verify-resume", "t.csv"))
    words = ("verify-resume", "t.csv", "--target", "y", "--optimizer", "sgd")
    assert "--optimizer is not for tables" in refused(chainrule(*words))
    assert "goes with a table" in refused(chainrule("verify-resume", "xor", "--target", "y"))


PARTS = [Part("weights", 2, 4096), Part("average of weights"),
         Part("optimizer", 9, 812, 2, "state.fc1.weight: 1 without, 2 with kills")]  # fmt: skip
KILLS = [KilledAt(7, "training", 5), KilledAt(9, "rename 000004.json", 5)]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("plain", [False, True])
def test_the_result_in_any_width(width, plain):
    report = ResumeReport(20, 2, 5, KILLS, PARTS, 0.2, 1.0, True, ["short"])
    t = Terminal(width=width, signs=ASCII, plain=plain)
    lines = [text_of(line) for line in lines_of(report, t)]
    if not plain:
        assert max(map(len, lines)) <= width
    said = " ".join(" ".join(lines).split())
    for part in ("2 of 9 differ", "not exact: killed 2 times", "a kill cost 0.40 s", "note: short"):
        assert part in said
    assert ("ok weights" in said) or plain


@pytest.mark.slow
def test_checkpoints_by_steps_and_how_many_stay(chainrule):
    words = ("--batch-size", "80", "--epochs", "2", "--checkpoint-steps", "3", "--keep", "4")
    assert chainrule("train", "xor", "--layers", "4", "--no-report", *words).exit_code == 0
    assert steps_kept("xor-0001") == [20, 18, 15, 12]
    again = ("train", "--config", "runs/xor-0001/config.toml", "--no-report", "--keep", "2")
    assert chainrule(*again).exit_code == 0
    assert steps_kept("xor-0002") == [20, 18]
    assert chainrule("preflight", "--config", "runs/xor-0001/config.toml").exit_code in (0, 1)
    said = refused(chainrule("train", "xor", *SMALL, "--no-save", "--keep", "2"))
    assert "--keep is about checkpoints, and --no-save writes none" in said
    assert "in [1," in refused(chainrule("train", "xor", "--checkpoint-steps", "0"))


@pytest.mark.slow
def test_checkpoints_of_a_table_by_steps_and_how_many_stay(chainrule, table):
    words = ("--epochs", "3", "--checkpoint-steps", "2", "--keep", "4")
    assert chainrule("train", table, *T, *words).exit_code == 0
    assert steps_kept("t-0001")[:4] == [9, 8, 6, 4]
    text = Path("runs/t-0001/config.toml").read_text()
    assert "checkpoint_steps = 2\nkeep = 4\n" in text
    again = ("train", "--config", "runs/t-0001/config.toml", "--no-report", "--keep", "2")
    assert chainrule(*again).exit_code == 0
    assert steps_kept("t-0002")[:2] == [9, 8]
    assert len(steps_kept("t-0002")) <= 3, "the best may stay too"
    one, two = (Path(f"runs/t-000{i}/model.safetensors").read_bytes() for i in (1, 2))
    assert one == two
    words = ("lr-find", "--config", "runs/t-0001/config.toml", "--trial-steps", "10")
    assert chainrule(*words).exit_code in (0, 1)
    said = refused(chainrule("train", table, *T, "--no-save", "--keep", "2"))
    assert "--keep is about checkpoints, and --no-save writes none" in said


@pytest.mark.parametrize("kind", ["data set", "table"])
def test_a_resumed_run_keeps_what_was_said_of_its_checkpoints(chainrule, table, kind, monkeypatch):
    name = {"data set": "xor-0001", "table": "t-0001"}[kind]
    words = ("xor", *SMALL) if kind == "data set" else (table, *T, "--epochs", "3")
    save = Checkpoints.save

    def until(self, state, **more):
        path = save(self, state, **more)
        if state["step"] == 4:
            signal.raise_signal(signal.SIGTERM)
        return path

    with monkeypatch.context() as m:
        m.setattr(Checkpoints, "save", until)
        ended = chainrule("train", *words, "--checkpoint-steps", "2", "--keep", "9")
    assert ended.exit_code == 143, ended.output
    assert "after step 4, epoch" in ended.stderr
    assert chainrule("train", "--resume", name, "--no-report").exit_code == 0
    last = 12 if kind == "data set" else 9
    assert set(steps_kept(name)) == {*range(2, last + 1, 2), last}
    config = Path("runs", name, "config.json")
    config.write_text(config.read_text().replace('"keep": 9', '"keep": "all"'))
    assert "whole numbers" in refused(chainrule("train", "--resume", name), 1)


@pytest.mark.parametrize("more", [("--no-early-stopping",), ("--layers", "none")], ids=" ".join)
def test_what_is_turned_off_stays_off_where_the_file_repeats_it(chainrule, table, more):
    words = ("train", table, *T, "--epochs", "1", *more)
    assert chainrule(*words).exit_code == 0
    again = ("train", "--config", "runs/t-0001/config.toml", "--no-report", "-q")
    assert chainrule(*again).exit_code == 0
    one, two = (open_run(f"t-000{i}").config["table"] for i in (1, 2))
    assert one == two
