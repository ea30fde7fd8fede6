"""`chainrule runs`, and going on with a run: whole, damaged, finished, without a checkpoint."""

from __future__ import annotations

import json
import re

import pytest
from cli_cases import SMALL, refused

from chainrule.train import Run


def test_runs(chainrule, xor_run):
    table = chainrule("runs").stdout.splitlines()
    assert len(table) == 2
    assert table[1].startswith(xor_run)
    (row,) = json.loads(chainrule("runs", "--json").stdout)
    assert (row["name"], row["epochs"], row["state"]) == (xor_run, 3, "epochs")
    one = chainrule("runs", "xor").stdout
    assert f"name: {xor_run}" in one
    assert "model: mlp 2-4-2 tanh" in one
    assert "optimizer: adam" in one, "the choices that it was made with"
    assert "layers: 4" in one
    assert not re.search(r"\d\.\d{7}", one), "rounded for reading"
    for width in ("40", "60", "80", "120"):
        assert max(map(len, chainrule("runs", COLUMNS=width).stdout.splitlines())) <= int(width)


def test_a_run_that_can_go_on_says_how(chainrule, xor_run, tmp_path):
    assert "--resume" not in chainrule("runs", xor_run).stdout
    path = tmp_path / "runs" / xor_run / "result.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, "stopped": "interrupted"}))
    said = chainrule("runs", xor_run).stdout.splitlines()
    assert said[-1] == f"next: chainrule train --resume {xor_run}"
    path.unlink()
    (tmp_path / "runs").rename(tmp_path / "my runs")
    said = chainrule("runs", xor_run, "--runs-dir", "my runs").stdout.splitlines()
    assert said[-1].endswith(f": chainrule train --resume {xor_run} --runs-dir 'my runs'")
    json.loads(chainrule("runs", xor_run, "--runs-dir", "my runs", "--json").stdout)


def test_no_runs_yet(chainrule):
    assert "chainrule train digits" in chainrule("runs").stdout
    assert json.loads(chainrule("runs", "--json").stdout) == []


@pytest.mark.parametrize(
    "content",
    [
        "3",
        "[]",
        '"x"',
        '{"epoch": 1}',
        '{"config": 3}',
        '{"stopped": "epochs", "labels": [1], "test_rows": 3}',
    ],
)
@pytest.mark.parametrize("name", ["config.json", "environment.json", "metrics.jsonl",
                                  "result.json"])  # fmt: skip
def test_json_that_is_no_run_is_no_crash(chainrule, xor_run, tmp_path, name, content):
    (tmp_path / "runs" / xor_run / name).write_text(content + "\n")
    for words in (["runs"], ["runs", "--json"], ["runs", "--plain"], ["runs", xor_run],
                  ["diagnose", xor_run], ["report", xor_run], ["compare", xor_run, xor_run],
                  ["predict", xor_run], ["train", "--resume", xor_run]):  # fmt: skip
        result = chainrule(*words)
        assert "This is a mistake in Chainrule" not in result.stderr, words
        assert result.exit_code == 0 or words[0] != "runs"


@pytest.mark.parametrize(
    "change",
    [{"layers": "x"}, {"layers": [0]}, {"optimizer": "foo"}, {"optimizer": []}, {"lr": "a"},
     {"lr": -1}, {"seed": -1}, {"seed": 1.5}, {"data": "nothing"}, {"dropout": None, "new": 1}],
    ids=repr,
)  # fmt: skip
def test_a_recipe_with_other_values_is_refused(chainrule, xor_run, tmp_path, change):
    path = tmp_path / "runs" / xor_run / "config.json"
    config = json.loads(path.read_bytes())
    config["config"]["recipe"].update(change)
    path.write_text(json.dumps(config))
    said = refused(chainrule("predict", xor_run), code=1)
    assert xor_run in said
    assert "runs" in said


def test_a_damaged_run_does_not_hide_the_others(chainrule, xor_run, tmp_path):
    chainrule("train", "xor", *SMALL)
    (tmp_path / "runs" / xor_run / "config.json").write_text("{")
    states = [r["state"] for r in json.loads(chainrule("runs", "--json").stdout)]
    assert states[0].startswith("damaged")
    assert states[1] == "epochs"
    assert chainrule("predict", xor_run).exit_code == 1


def test_a_run_without_a_checkpoint_begins_anew(chainrule, xor_run, tmp_path):
    run = tmp_path / "runs" / xor_run
    model = (run / "model.safetensors").read_bytes()
    for path in (run / "result.json", run / "model.safetensors", *(run / "checkpoints").iterdir()):
        path.unlink()
    result = chainrule("train", "--resume", xor_run)
    assert result.stderr == "xor-0001 holds no checkpoint yet: it begins anew\n"
    assert result.exit_code == 0
    assert (run / "model.safetensors").read_bytes() == model
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("more", [(), ("--epochs", "30", "--patience", "1")], ids=["", "early"])
def test_a_finished_run_gives_its_model_again(chainrule, tmp_path, more):
    chainrule("train", "xor", *SMALL, *more, "--lr", "0.5", "--name", "xor")
    run = tmp_path / "runs" / "xor-0001"
    files = {p: p.read_bytes() for p in (run / "model.safetensors", run / "metrics.jsonl")}
    flipped = bytearray(files[run / "model.safetensors"])
    flipped[-1] ^= 1
    (run / "model.safetensors").write_bytes(flipped)
    assert "chainrule train --resume xor-0001" in refused(chainrule("predict", "xor"), code=1)
    assert chainrule("train", "--resume", "xor").exit_code == 0
    assert {p: p.read_bytes() for p in files} == files


def test_resume_refuses_a_finished_run(chainrule, xor_run):
    assert "finished" in refused(chainrule("train", "--resume", xor_run, "--no-report"))


def test_a_run_in_use_is_left_alone(chainrule, xor_run, tmp_path):
    run = Run(tmp_path / "runs" / xor_run)
    (run.path / "result.json").unlink()
    with run.alone():
        said = refused(chainrule("train", "--resume", xor_run), code=3)
    assert "another program is training" in said
    assert "--resume" not in said
    assert run.result is None
    assert chainrule("train", "--resume", xor_run).exit_code == 0
