"""`chainrule explain RUN`: the gradients of a trained model."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.fixture
def run(copied):
    """A run on moons, of a few steps."""
    copied(("train", "moons", "--epochs", "1", "--layers", "4", "--clip-grad-norm", "0.5",
            "--eager", "--plain"))  # fmt: skip
    return "moons-0001"


def flat(result):
    return " ".join(result.output.split())


def test_a_weight_of_a_run_and_of_one_row(chainrule, run):
    result = chainrule("explain", run, "--weight", "fc1.weight[3,1]")
    assert result.exit_code == 0, result.output
    text = flat(result)
    assert "∂L/∂fc1.weight[3,1]" in text
    assert "The first 32 rows of the training set of moons" in text
    assert "backward() of your run, float32" in text
    assert "✖" not in text
    one = flat(chainrule("explain", run, "--weight", "out.bias[0]", "--example", "7"))
    assert "Held-out row 7 of moons, whose class is" in one
    assert "its example has the weight 1" in one


@pytest.mark.slow
def test_json_plain_and_digits(chainrule, run):
    data = json.loads(chainrule("explain", "moons", "--weight", "fc1.weight[3,1]", "--json").output)
    assert data["schema"] == "chainrule derivation 1"
    assert data["holds"] is True
    line = next(s for s in data["sections"] if s["title"] == "THE ENTRY")["lines"][0]
    assert line["value"] == data["value"]
    plain = chainrule("explain", run, "--plain").output
    assert "GAIN LEDGER" in plain
    assert not [line for line in plain.splitlines() if " =  " in line]  # no columns
    assert chainrule("explain", run, "--digits", "3").output != chainrule("explain", run).output


@pytest.mark.slow
@pytest.mark.parametrize("rows", [(), ("--example", "3")])
def test_a_run_has_the_four_equations_and_its_step(chainrule, run, rows):
    found = json.loads(chainrule("explain", run, *rows, "--step", "--json").output)
    titles = [s["title"] for s in found["sections"]]
    assert titles[:5] == ["FORWARD", "BP1", "BP2", "BP3", "BP4"]
    assert titles[-2:] == ["STEP", "CHECK"]
    assert found["holds"]
    notes = [line.get("note", "") for line in found["sections"][1]["lines"]]
    assert any("prediction - target" in note for note in notes)
    steps = {}
    for given in (("--step",), ("--lr", "0.1"), ("--lr", "0.01")):
        data = json.loads(chainrule("explain", run, *rows, *given, "--json").output)
        steps[given] = data["sections"][-2]["lines"]
    _, promised, measured = (line["value"] for line in steps["--step",])
    assert steps["--step",] == steps["--lr", "0.1"] != steps["--lr", "0.01"]
    assert 0.5 < measured / promised < 1.5
    assert steps["--lr", "0.01"][1]["value"] == pytest.approx(promised / 10)


def test_the_update_by_the_optimizer_of_the_run(chainrule, run):
    text = flat(chainrule("explain", run, "--weight", "fc1.weight[3,1]", "--optimizer"))
    assert "ITS RULE" in text
    assert "clipped gradient" in text
    assert "those of the last checkpoint, step 25; the schedule has ended with an lr of 0" in text
    assert "the step kept" in flat(chainrule("explain", run, "--weight", "fc1", "--step"))


def test_the_next_step_of_the_optimizer_as_a_table(chainrule, run, tmp_path):
    shown = chainrule("explain", run, "--optimizer", "--top", "2").stdout.splitlines()
    head = next(i for i, line in enumerate(shown) if line.startswith("entry "))
    assert shown[head].split() == ["entry", "value", "gradient", "exp_avg", "exp_avg_sq", "step"]
    assert len(shown) - head - 1 == 2 * 4
    assert "Step 26 of Adam" in shown[head - 2]
    assert max(map(len, shown[head:])) <= 80
    data = json.loads(chainrule("explain", run, "--optimizer", "--top", "2", "--json").stdout)
    assert data["optimizer"]["step"] == 26
    entries = data["optimizer"]["entries"]
    names = ["{parameter}[{0}]".format(",".join(map(str, e["index"])), **e) for e in entries]
    assert names == [line.split()[0] for line in shown[head + 1 :]]
    one = json.loads(chainrule("explain", run, "--optimizer", "--weight", names[0],
                               "--json").stdout)  # fmt: skip
    (new,) = [x["value"] for s in one["sections"] if s["title"] == "ITS RULE" for x in s["lines"]
              if x["name"] == f"{names[0]}\u2032"]  # fmt: skip
    assert new == pytest.approx(entries[0]["value"] + entries[0]["step"], rel=1e-5)
    assert "optimizer" not in one
    told = chainrule("explain", run, "--optimizer", "--weight", "out", "--plain").stdout
    assert "out.bias[" in told.split("Step 26")[1]
    assert "fc1" not in told.split("Step 26")[1]
    chainrule("report", run)
    page = (tmp_path / "runs" / run / "report.html").read_text()
    assert f"is that of {max(entries, key=lambda e: abs(e['step']))['parameter']}[" in page
    for path in (tmp_path / "runs" / run / "checkpoints").iterdir():
        path.unlink()
    chainrule("report", run)
    page = (tmp_path / "runs" / run / "report.html").read_text()
    assert "No step is shown" in page


WRONG = {
    "no such run": (["nope"], 2, "no run 'nope'"),
    "no such weight": (["moons", "--weight", "fc7.weight[0]"], 1, "fc1.weight, fc1.bias"),
    "no such entry": (["moons", "--weight", "fc1.weight[9,9]"], 1, "up to [3,1]"),
    "no such row": (["moons", "--example", "400"], 2, "from 0 to 399"),
    "a neuron's option": (["moons", "--x", "1"], 2, "explain neuron"),
    "two steps": (["moons", "--optimizer", "--step"], 2, "leave out --lr"),
    "a run's option": (["seed221", "--example", "3"], 2, "--example is for runs"),
    "a run's zero": (["seed221", "--example", "0"], 2, "--example is for runs"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name, chainrule, run):
    args, code, words = WRONG[name]
    result = chainrule("explain", *args)
    assert result.exit_code == code, result.output
    assert words in flat(result)
    assert "Traceback" not in result.output


def test_a_run_that_broke_off_is_explained_from_the_step_that_failed(chainrule, own_folder):
    made = chainrule("train", "moons", "--layers", "16", "--optimizer", "sgd", "--lr", "1e38",
                     "--eager", "--plain", "--no-report")  # fmt: skip
    assert made.exit_code == 1
    assert "first in sum (layer loss, CrossEntropyLoss): result = -inf" in " ".join(
        made.output.split())  # fmt: skip
    folder = own_folder / "runs" / "moons-0001" / "nan"
    held = json.loads((folder / "nan.json").read_text())
    assert held["layer"] == "loss, CrossEntropyLoss"
    assert held["line"] is None, "the lines are the recipe's, not the user's"
    assert held["values"] in held["found"]
    result = chainrule("explain", "moons-0001", "--weight", "fc1.weight[0,0]")
    assert result.exit_code == 0, result.output
    text = flat(result)
    assert f"The training broke off: {held['error']}" in text
    assert "over 32 examples" in text
    assert "saturated" in text
    assert chainrule("explain", "moons-0001", "--example", "3").exit_code == 2
    again = subprocess.run([sys.executable, str(folder / "repro.py")], capture_output=True,
                           text=True, check=False)  # fmt: skip
    assert again.stderr.splitlines()[-1] == held["error"]
    assert f"lr={held['advised_lr']:g}, or clip_grad_norm" in again.stderr
    assert f"--lr {held['advised_lr']:g}, or --clip-grad-norm" in " ".join(made.output.split())
