"""`chainrule whatif RUN`: the start of a run and its next step, as they were and with a change."""

from __future__ import annotations

import json

import pytest
from cli_cases import refused

from chainrule.train import Run


def told(chainrule, *words):
    return json.loads(chainrule("whatif", *words, "--json").stdout)


def test_the_start_is_the_runs_and_that_of_a_run_with_the_change(chainrule, xor_run, tmp_path):
    files = {p: p.read_bytes() for p in (tmp_path / "runs").rglob("*") if p.is_file()}
    held = told(chainrule, xor_run, "--lr", "0.1", "--first", "8")
    assert {p: p.read_bytes() for p in (tmp_path / "runs").rglob("*") if p.is_file()} == files
    chainrule(*held["command"].split()[1:], "--no-report", "--watch-every", "1")
    other = Run(tmp_path / "runs" / "xor-0002")
    assert other.config["recipe"]["lr"] == 0.1
    looks = [json.loads(line) for line in (other.path / "layers.jsonl").read_text().splitlines()]
    assert held["changed"]["loss_first"] == looks[0]["probe"] == held["as_it_was"]["loss_first"]
    assert held["changed"]["layers"][0]["name"] == looks[0]["layers"][0]["name"] == "fc1"
    assert held["changed"]["loss_last"] != held["as_it_was"]["loss_last"]
    was, now = held["next"]
    assert was["step"] == now["step"] == Run(tmp_path / "runs" / xor_run).result["steps"] + 1
    assert [x["grad"] for x in was["layers"]] == [x["grad"] for x in now["layers"]]
    assert [x["name"] for x in was["layers"]] == ["fc1", "out"]
    assert all(a["update"] < b["update"] for a, b in zip(was["layers"], now["layers"],
                                                        strict=True))  # fmt: skip
    assert was["loss_before"] == now["loss_before"]
    assert was["loss_after"] != now["loss_after"]
    assert now["lr"] == pytest.approx(10 * was["lr"])


@pytest.mark.parametrize("change", [
    ["--activation", "relu"], ["--init", "xavier"], ["--lr", "1e30", "--optimizer", "sgd"],
    *(pytest.param(c, marks=pytest.mark.slow) for c in (
        ["--optimizer", "sgd", "--momentum", "0.9"], ["--layers", "8,8"],
        ["--clip-grad-norm", "0.001"], ["--weight-decay", "0.5"], ["--seed", "9"],
        ["--dropout", "0.5"], ["--batch-size", "16"])),
], ids=lambda c: c[0] + c[1])  # fmt: skip
def test_every_kind_of_change_is_shown_in_80_columns(chainrule, xor_run, change):
    result = chainrule("whatif", xor_run, *change, "--first", "4")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert any(line.startswith("loss after step 4") for line in lines)
    assert any(line.startswith("verdict as it was: ") for line in lines)
    assert lines[-1].startswith("all of it: ")
    early = change[0] in ("--init", "--layers", "--seed", "--batch-size")
    assert ("the step shown is the first" in result.stdout) == early
    assert any(line.startswith("loss after step 1 ") for line in lines) == early
    assert sum(line.startswith("|update| of fc1, step") for line in lines) == 1


def test_plain_and_what_is_refused(chainrule, xor_run, tmp_path):
    plain = chainrule("whatif", xor_run, "--lr", "0.1", "--first", "3", "--plain").stdout
    assert all(line.endswith(".") for line in plain.splitlines()[:-1])
    assert "as it was" in plain
    assert "nothing is changed" in refused(chainrule("whatif", xor_run))
    own = json.loads((tmp_path / "runs" / xor_run / "config.json").read_text())
    lr = own["config"]["recipe"]["lr"]
    assert "nothing is changed" in refused(chainrule("whatif", xor_run, "--lr", str(lr)))
    assert "no run" in refused(chainrule("whatif", "nope", "--lr", "1"))
    del own["config"]["recipe"]
    (tmp_path / "runs" / xor_run / "config.json").write_text(json.dumps(own))
    assert "chainrule.what_if(trainer" in refused(chainrule("whatif", xor_run, "--lr", "1"))


def test_the_next_step_is_the_one_that_a_longer_run_makes(chainrule, tmp_path):
    choices = ("train", "xor", "--layers", "4", "--dropout", "0.2", "--schedule", "constant",
               "--no-report", "--watch-every", "1", "--epochs", "3")  # fmt: skip
    for more in (("--steps", "27"), ()):  # in the middle of the second epoch
        assert chainrule(*choices, *more).exit_code == 0
    was, _ = told(chainrule, "xor-0001", "--lr", "0.1", "--first", "3")["next"]
    held = (tmp_path / "runs" / "xor-0002" / "layers.jsonl").read_text().splitlines()
    look = next(x for x in map(json.loads, held) if x["step"] == was["step"])
    assert was["loss_before"] == pytest.approx(look["loss"], rel=1e-5)
    for mine, theirs in zip(was["layers"], look["layers"], strict=True):
        for key in ("grad", "update", "weight", "ratio"):
            assert mine[key] == pytest.approx(theirs[key], rel=1e-4)


def test_a_run_that_early_stopping_ended_has_a_next_step(chainrule, tmp_path):
    chainrule("train", "xor", "--layers", "4", "--patience", "1", "--lr", "3", "--no-report")
    assert Run(tmp_path / "runs" / "xor-0001").result["stopped"] == "early stopping"
    was, now = told(chainrule, "xor-0001", "--lr", "0.05", "--first", "3")["next"]
    assert was["loss_before"] == now["loss_before"]
    assert None not in (was["loss_after"], now["loss_after"])
    assert all(a["update"] > b["update"] > 0 for a, b in zip(was["layers"], now["layers"],
                                                            strict=True))  # fmt: skip


def test_without_a_checkpoint_the_start_is_shown(chainrule, xor_run, tmp_path):
    for path in (tmp_path / "runs" / xor_run / "checkpoints").iterdir():
        path.unlink()
    held = told(chainrule, xor_run, "--lr", "0.1", "--first", "3")
    assert held["next"] is None
    shown = chainrule("whatif", xor_run, "--lr", "0.1", "--first", "3").stdout
    assert "No next step is shown" in shown
