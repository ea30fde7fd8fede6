"""`chainrule diagnose` and `chainrule preflight`: what is said, tried, and refused."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from cli_cases import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule import nn, optim
from chainrule.cli import recipe as recipes
from chainrule.cli import train
from chainrule.cli.command_line import changed, command_of
from chainrule.cli.diagnose import findings_of, lines_of
from chainrule.cli.preflight import lines_of as preflight_lines
from chainrule.cli.recipe import Recipe
from chainrule.cli.terminal import ASCII, Terminal, text_of
from chainrule.diagnosis import RULES, Diagnosis, diagnose
from chainrule.diagnosis.before import Outcome, Preflight
from chainrule.diagnosis.checks import CHECKS, OneBatch
from chainrule.diagnosis.finding import Finding, Fix
from chainrule.diagnosis.trial import Trial
from chainrule.train import Run, Trainer
from chainrule.train.files import read_json

DEEP = ("moons", "--layers", "8,8,8,8,8,8", "--optimizer", "sgd", "--epochs", "2", "--eager")


@pytest.fixture
def faulty(copied):
    """A run whose gradients vanish."""
    copied(("train", *DEEP, "--activation", "sigmoid", "-q"))
    return "moons-0001"


@pytest.mark.slow
def test_a_healthy_run(chainrule, xor_run):
    result = chainrule("diagnose", xor_run)
    assert result.exit_code == 0
    assert "healthy" in result.stdout
    assert "rules asked" in result.stdout
    found = json.loads(chainrule("diagnose", "xor", "--json").stdout)
    assert (found["run"], found["healthy"], found["findings"]) == (xor_run, True, [])
    assert set(found["asked"]) | set(found["skipped"]) == set(RULES)


def test_a_faulty_run_and_its_fix(chainrule, faulty, own_folder):
    def digest():
        held = sorted(p for p in (own_folder / "runs" / faulty).rglob("*") if p.is_file())
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in held}

    before = digest()
    result = chainrule("diagnose", faulty, "--try=40", "--json")
    assert result.exit_code == 1, "a finding is an error"
    found = json.loads(result.stdout)
    first = found["findings"][0]
    assert (first["id"], first["multiplier"]) == ("vanishing", "slope")
    assert first["fixes"][0]["command"] == (
        "chainrule train moons --layers 8,8,8,8,8,8 --activation relu --init kaiming "
        "--optimizer sgd --epochs 2 --eager"
    )
    tried = first["tried"][0]
    assert (tried["fix"], tried["steps"], tried["outcome"]) == (1, 40, "gone")
    assert tried["after"] > 1000 * tried["before"]
    assert found["replay"] == {"steps": 40, "same_loss_at": [1, 21], "first_difference": None}
    after = digest()
    assert after.pop("report.html") != before.pop("report.html"), "the page is written again"
    kept = own_folder / "runs" / faulty / "diagnosis.json"
    assert json.loads(kept.read_text()) == found
    del after["diagnosis.json"]
    assert after == before, "nothing of the training has changed"
    assert [p.name for p in (own_folder / "runs").iterdir()] == [faulty], "and no run was made"
    said = chainrule("diagnose", faulty, "--try", "40").stdout
    assert "VANISHING GRADIENT suspected" in said
    assert "keep it   chainrule train moons" in said
    assert "bit for bit" in said
    assert "saved" in said


@pytest.mark.slow
def test_the_report_shows_what_came_of_a_fix(chainrule, faulty, own_folder):
    folder = own_folder / "runs" / faulty
    page, kept = folder / "report.html", folder / "diagnosis.json"
    untold = f"No fix was tried: <code>chainrule diagnose {faulty} --try</code>"
    assert untold in re.sub("</?span>", "", page.read_text())
    assert chainrule("diagnose", faulty, "--try=40", "--json").exit_code == 1
    found = json.loads(kept.read_text())
    tried = [Trial.from_json(t) for t in found["findings"][0]["tried"]]
    assert [t.to_json() for t in tried] == found["findings"][0]["tried"]
    held = html.unescape(re.sub("</?span>", "", page.read_text()))
    for t in tried:
        assert f"<li>tried: {t.said}</li>" in held
    best = min((t for t in tried if t.outcome == "gone"), key=lambda t: t.loss_after)
    assert f"<li>keep it: <code>{best.command}</code></li>" in held
    page.unlink()
    assert chainrule("diagnose", faulty, "--try=3", "--json").exit_code == 1
    assert not page.exists(), "a run that wants no report gets none"
    assert chainrule("report", faulty).exit_code == 0
    assert "3 steps from the same seed" in page.read_text()
    found["findings"][0]["tried"][0]["command"] = "chainrule train moons --of-another-version"
    kept.write_text(json.dumps(found))
    assert "--of-another-version" not in str(findings_of(Run(folder))), "no fix of this finding"
    kept.write_text('{"findings": [{"id": 1}]}')
    assert "holds no diagnosis" in refused(chainrule("report", faulty), 1)


@given(st.builds(Trial, fix=st.integers(1, 9), command=st.text(), steps=st.integers(0, 999),
                 seconds=st.floats(0, 9), outcome=st.sampled_from(["gone", "failed", "unclear"]),
                 followed=st.none() | st.text(), before=st.none() | st.floats(),
                 after=st.none() | st.floats(), loss_before=st.none() | st.floats(),
                 loss_after=st.none() | st.floats(), failed=st.none() | st.text()))  # fmt: skip
def test_a_trial_comes_back_from_its_json(trial):
    held = json.loads(json.dumps(trial.to_json(), allow_nan=False))
    assert str(Trial.from_json(held)) == str(trial), "nan too"


@pytest.mark.slow
def test_another_start_is_told(chainrule, faulty, own_folder):
    path = own_folder / "runs" / faulty / "layers.jsonl"
    text = re.sub(r'"loss": [\d.e-]+', '"loss": 0.5', path.read_text(), count=1)
    path.write_text(text)
    found = json.loads(chainrule("diagnose", faulty, "--try=3", "--json").stdout)
    assert found["replay"]["first_difference"] == 1
    assert "another loss than the run at step 1" in chainrule("diagnose", faulty, "--try=3").stdout


@pytest.mark.slow
def test_a_training_that_broke_off_is_tried_too(chainrule):
    assert chainrule("train", "digits", "--optimizer", "sgd", "--lr", "1e6", "-q").exit_code == 1
    result = chainrule("diagnose", "digits", "--try=40", "--json")
    assert result.exit_code == 1
    first = json.loads(result.stdout)["findings"][0]
    assert first["id"] == "exploding"
    assert "not finite at epoch 1" in first["evidence"]
    assert "first in matmul (layer out)" in first["evidence"], "which operation made it"
    slower = first["tried"][0]
    assert slower["outcome"] == "gone"
    assert slower["loss_after"] < slower["loss_before"]


@pytest.mark.slow
def test_the_step_of_a_training_that_broke_off_can_be_made_again(chainrule, own_folder):
    result = chainrule("train", "digits", "--optimizer", "sgd", "--lr", "1e30", "--no-report")
    assert result.exit_code == 1
    folder = own_folder / "runs" / "digits-0001" / "nan"
    assert "python runs/digits-0001/nan/repro.py" in result.stderr
    found = read_json(folder / "nan.json")
    moved = own_folder / "elsewhere"
    shutil.copytree(folder, moved)  # it needs nothing of the run
    again = subprocess.run([sys.executable, str(moved / "repro.py")], capture_output=True,
                           text=True, check=False)  # fmt: skip
    assert again.returncode == 1
    assert found["error"] in again.stderr
    assert re.search(rf"first in {found['op']} at repro.py:\d+ \(layer {found['layer']}\)",
                     again.stderr)  # fmt: skip


def test_plain_is_a_fact_a_line(chainrule, faulty):
    said = chainrule("diagnose", faulty, "--plain", "--try=40").stdout
    assert said.isascii()
    assert "Error: vanishing gradient suspected" in said
    assert "Keep it: chainrule train moons" in said
    assert all(re.match(r"[A-Z][a-z]+( \d| it)?:|moons-0001:", line) for line in said.splitlines())


@pytest.mark.slow
def test_a_threshold_decides(chainrule, faulty):
    looser = chainrule("diagnose", faulty, "--threshold", "vanishing.ratio=1e-12", "--json")
    assert "vanishing" not in [f["id"] for f in json.loads(looser.stdout)["findings"]]
    assert "no threshold 'rate'" in refused(
        chainrule("diagnose", faulty, "--threshold", "vanishing.rate=1"))  # fmt: skip
    assert "there is no threshold" in refused(
        chainrule("diagnose", faulty, "--threshold", "none.ratio=1"))  # fmt: skip
    for odd in ("vanishing.ratio", "vanishing.ratio=x", "vanishing.ratio=nan", "=1"):
        refused(chainrule("diagnose", faulty, "--threshold", odd))


@pytest.mark.slow
def test_wrong_use(chainrule, xor_run, own_folder):
    assert "no run 'none'" in refused(chainrule("diagnose", "none"))
    assert "--try must be" in refused(chainrule("diagnose", "--try=0", xor_run))
    (own_folder / "runs" / xor_run / "layers.jsonl").write_text("{}\n")
    assert "layers.jsonl:1 is no look inside" in refused(chainrule("diagnose", xor_run), 1)
    (own_folder / "runs" / xor_run / "layers.jsonl").unlink()
    (own_folder / "runs" / xor_run / "metrics.jsonl").unlink()
    result = chainrule("diagnose", xor_run)
    assert result.exit_code == 0
    assert "Not asked: vanishing" in " ".join(result.stdout.split())


def test_a_run_without_a_step_is_not_called_healthy(chainrule):
    run = Run.create("own")
    model = nn.Linear(2, 1)
    trainer = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1), run=run,
                      compile=False)  # fmt: skip
    for source in (trainer, trainer.history, run):
        found = diagnose(source)
        assert (found.state, found.healthy, found.failed) == ("nothing to judge yet", False, True)
        assert found.to_json()["state"] == found.state
        assert "healthy" not in f"{found} {found._repr_html_()}"
    for how in ((), ("--plain",), ("--json",)):
        result = chainrule("diagnose", "own", *how)
        assert result.exit_code == 1
        assert "nothing to judge yet" in result.stdout.lower()
        assert ("healthy" in result.stdout) == (how == ("--json",))
    assert json.loads(result.stdout)["healthy"] is False
    trainer.fit(([[1.0, 2.0], [2.0, 1.0]], [[1.0], [2.0]]), epochs=1)
    assert diagnose(trainer).state == diagnose(run).state == "healthy"
    assert chainrule("diagnose", "own").exit_code == 0


@pytest.mark.slow
def test_a_run_made_in_python_is_judged_but_not_tried(chainrule):
    run = Run.create("own")
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), 0.1)
    trainer = Trainer(model, nn.MSELoss(), optimizer, run=run, compile=False)
    trainer.fit(([[1.0, 2.0], [2.0, 1.0]], [[1.0], [2.0]]), epochs=2)
    assert chainrule("diagnose", "own").exit_code == 0
    assert "not made by `chainrule train`" in refused(chainrule("diagnose", "own", "--try"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"watch": {"expected_loss": "x", "frozen": [["fc1"]], "inputs": {"std": "x"},
                   "class_counts": [None, "a", True], "every": "often"}},
        {"watch": 3, "trainer": {"optimizer": "sgd", "callbacks": 3}},
        {"watch": {"inputs": 3}, "trainer": {"optimizer": {"groups": [3, {"lr": "x"}]}}},
        {"trainer": [], "config": {"recipe": 3}}, {"config": []},
    ],
)  # fmt: skip
def test_whatever_the_files_hold(chainrule, xor_run, own_folder, change):
    path = own_folder / "runs" / xor_run / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    result = chainrule("diagnose", xor_run)
    assert result.exit_code == 0, result.output
    assert "rules asked" in result.stdout


def test_the_rules_are_listed(chainrule):
    said = chainrule("diagnose", "--rules").stdout
    found = json.loads(chainrule("diagnose", "--rules", "--json").stdout)
    assert list(found) == list(RULES)
    for name, rule in found.items():
        assert f"\n{name}\n" in f"\n{said}"
        assert all(key in rule["about"] for key in rule["thresholds"])
    assert "which run" in refused(chainrule("diagnose"))


def many(text="word " * 30):
    """A diagnosis with everything that there can be, and long."""
    f = [Finding("dead-relu", s, "dead units " * 3, text, text, ["fc1" * 9, "b"], (1, 21), {},
                 None, [Fix(text, {"lr": 1e-4}), Fix(text)])
         for s in ("error", "warning", "note")]  # fmt: skip
    return Diagnosis(f, ["dead-relu"], {"batch-leak": text})


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_lines_fit(width, tmp_path):
    run = Run.create("a", tmp_path)
    t = Terminal(width=width, signs=ASCII)
    r = Recipe("digits")
    lines = [text_of(x) for x in lines_of(run, many(), r, None, [[], [], []], t)]
    assert all(len(x) <= max(width, 32) for x in lines if "chainrule train" not in x)
    assert sum("chainrule train digits --lr 0.0001" in x for x in lines) == 3, "commands stay whole"
    assert all(x.isascii() for x in lines)
    checked = Preflight([
        Outcome("gradcheck", s, "It holds.", "word " * 30, "word " * 30, 0.1)
        for s in ("ok", "warning", "error", "skipped")
    ])  # fmt: skip
    lines = [text_of(x) for x in preflight_lines(checked, t)]
    assert all(len(x) <= max(width, 34) for x in lines)


# ---------------------------------------------------------------- a recipe as a command

choices = st.fixed_dictionaries({}, optional={
    "layers": st.lists(st.integers(1, 99), max_size=3).map(tuple),
    "activation": st.sampled_from(list(recipes.ACTIVATIONS)),
    "init": st.sampled_from(list(recipes.INITS)), "lr": st.floats(1e-6, 10),
    "optimizer": st.sampled_from(list(recipes.OPTIMIZERS)), "weight_decay": st.floats(0, 1),
    "clip_grad_norm": st.none() | st.floats(0.1, 9), "batch_size": st.integers(1, 99),
    "seed": st.integers(0, 9), "eager": st.booleans(), "patience": st.none() | st.integers(1, 9),
    "schedule": st.sampled_from(list(recipes.SCHEDULES)), "steps": st.none() | st.integers(1, 99),
    "dropout": st.floats(0, 0.9), "val_fraction": st.floats(0.1, 0.5),
})  # fmt: skip


@settings(max_examples=40)
@given(data=st.sampled_from(list(recipes.DATA)), chosen=choices)
def test_the_command_of_a_recipe_makes_that_recipe(data, chosen):
    r = Recipe(data, **{**recipes.DATA[data], **chosen})
    words = shlex.split(command_of(r))
    assert words[:3] == ["chainrule", "train", data]
    typed = train.command.make_context("train", words[2:]).params
    names = {f for f in typed if f in Recipe.__dataclass_fields__ or f == "early_stopping"}
    again = train.choose(data, {k: typed[k] for k in names - {"data"} if typed[k] is not None})
    assert again == r


def test_a_change_that_is_none_is_no_fix():
    r = Recipe("digits")
    assert changed(r, {"activation": "relu"}) is None
    assert changed(r, {"lr": 0.1}) == Recipe("digits", lr=0.1)
    assert changed(Recipe("digits", val_fraction=0.0, patience=None), {"patience": 3}) is None
    sgd = Recipe("digits", optimizer="sgd", momentum=0.9)
    assert changed(sgd, {"optimizer": "adam"}).momentum == 0.0


# ---------------------------------------------------------------- preflight


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(OneBatch, "steps", 30)


@pytest.mark.slow
def test_preflight(chainrule, quick, xor_run):
    result = chainrule("preflight", "xor", "--layers", "4")
    assert "batch-leak" in result.stdout
    found = json.loads(chainrule("preflight", xor_run, "--json").stdout)
    assert [c["id"] for c in found["checks"]] == list(CHECKS)
    assert found["ok"] is all(c["state"] != "error" for c in found["checks"])
    said = chainrule("preflight", "xor", "--layers", "4", "--plain").stdout
    assert len(said.splitlines()) == len(CHECKS) + 1
    assert "gradcheck: ok. " in said


@pytest.mark.slow
def test_preflight_fails_where_a_check_does(chainrule, monkeypatch):
    monkeypatch.setattr(OneBatch, "steps", 1)
    result = chainrule("preflight", "digits", "--layers", "4")
    assert result.exit_code == 1
    assert "failed: overfit-one-batch" in result.stdout


@pytest.mark.slow
def test_preflight_wrong_use(chainrule, xor_run):
    assert "no run 'digit'" in refused(chainrule("preflight", "digit"))
    said = refused(chainrule("preflight", xor_run, "--lr", "1"))
    assert "--lr goes with a data set" in said
    assert "did you mean digits" in refused(chainrule("preflight", "digit", "--lr", "1"))
    assert "--momentum" in refused(chainrule("preflight", "xor", "--momentum", "0.5"))
