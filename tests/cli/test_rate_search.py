"""`chainrule lr-find`: what it prints and refuses, and that it writes nothing."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from cli_cases import refused

import chainrule.cli.lr_find as module
from chainrule.cli.terminal import Terminal, text_of
from chainrule.train.lr_find import LRFinding, Trial

QUICK = ("--sweep-steps", "40", "--trial-steps", "20", "--layers", "8")


def test_it_suggests_a_rate_and_the_command(chainrule, xor_run):
    before = sorted(os.walk("."))
    found = json.loads(chainrule("lr-find", "moons", *QUICK, "--json").stdout)
    said = chainrule("lr-find", "moons", *QUICK)
    assert said.exit_code == 0
    assert f"train moons --layers 8 --lr {found['suggestion']:g}" in said.stdout
    plain = chainrule("lr-find", "moons", *QUICK, "--plain").stdout
    assert plain.count("\ntried: ") == len(found["trials"])
    assert chainrule("lr-find", xor_run, "--sweep-steps", "40").exit_code in (0, 1)
    assert sorted(os.walk(".")) == before


@pytest.mark.parametrize("width", [40, 80, 120])
def test_lines_fit_and_say_what_diverged(width):
    lrs = [10.0 ** (i / 10 - 5) for i in range(60)]
    trials = [Trial(0.001, 1.25), Trial(0.01, float("inf"))]
    found = LRFinding(lrs, [2.0] * 60, [2.0] * 60, trials, 100, 0.001, "the loss falls")
    lines = [text_of(x) for x in module.lines_of(found, "adamw", 0.003, Terminal(width))]
    assert all(len(line) <= width for line in lines)
    assert any("diverges" in line for line in lines)


@pytest.mark.parametrize(("lr", "told"), [(0.011, True), (0.1, False), (0.5, False), (2e-4, False)])
def test_the_recipes_own_rate_is_said_to_be_as_good_where_it_is(lr, told):
    """By the mean with its neighbours, of the tried rate that is nearest; unknown at the ends."""
    means = {0.001: None, 0.003: 0.5, 0.01: 0.51, 0.1: 0.7, 0.3: None}
    trials = [Trial(x, 0.5, near) for x, near in means.items()]
    found = LRFinding([], [], [], trials, 100, 0.003, "the loss is lowest")
    said = " ".join(map(text_of, module.lines_of(found, "adamw", lr, Terminal(200))))
    assert f"the recipe has {lr:g}" in said
    assert ("which is about as good (0.51)" in said) == told


def test_exit_code_1_where_no_rate_helps(chainrule, monkeypatch):
    none = LRFinding([1.0], [2.0], [2.0], [], 100, None, "no rate lowers the loss")
    monkeypatch.setattr(module, "find", lambda r, asked: none)
    result = chainrule("lr-find", "digits")
    assert result.exit_code == 1
    assert "No suggestion" in result.stdout


def test_refusals(chainrule):
    assert "lowest" in refused(chainrule("lr-find", "xor", "--lowest", "2", "--highest", "1"))
    assert "--lowest" in refused(chainrule("lr-find", "xor", "--lowest", "-1"))
    assert "moons" in refused(chainrule("lr-find", "moon", *QUICK))


@pytest.mark.slow
def test_rates_for_a_table_and_its_run(chainrule):
    text = "".join(f"{i},{i * 7 % 11},{i * 2 + i * 7 % 11}.25\n" for i in range(60))
    Path("t.csv").write_text("a,b,y\n" + text)
    small = ("t.csv", "--target", "y", "--layers", "8", "--folds", "2")
    words = ("lr-find", *small, "--trial-steps", "60")
    found = json.loads(chainrule(*words, "--json").stdout)
    assert len(found["trials"]) == 16
    low, high = found["trials"][0]["lr"], found["trials"][-1]["lr"]
    assert high == pytest.approx(300 * low)
    assert low < found["suggestion"] < high
    assert "knowing no column" in found["why"]
    assert "ranked by the validation loss (mean squared error" in found["why"]
    assert "not by val_rmse" in found["why"]
    said = chainrule(*words).stdout
    assert "not by val_rmse, which chooses the best epoch" in " ".join(said.split())
    assert re.search(r"60 steps with +validation loss", said)
    assert "2 networks trained as one" in " ".join(said.split())
    one = json.loads(chainrule(*words, "--folds", "1", "--json").stdout)
    assert [t["loss"] for t in one["trials"]] != [t["loss"] for t in found["trials"]]
    for told in (found, one):
        near = {t["near"]: t["lr"] for t in told["trials"] if "near" in t}
        assert len(near) == 14
        assert near[min(near)] == pytest.approx(told["suggestion"], rel=0.05)
        assert f": {min(near):.4g}; knowing" in told["why"]
    assert f"{min(t['near'] for t in found['trials'][1:-1]):.4g}" in said, "a row of the table"
    (command,) = [x for x in said.splitlines() if x.startswith("next  ")]
    start = "chainrule train t.csv --target y --folds 2 --layers 8 --lr"
    assert command == f"next  {start} {found['suggestion']:g}"
    assert not Path("runs").exists()
    assert chainrule("train", *small, "--epochs", "2", "--no-report", "-q").exit_code == 0
    said = chainrule("lr-find", "t", "--trial-steps", "60", "--plain").stdout
    assert said.count("\ntried: ") == 16
    assert f"train --config {Path('runs/t-0001/config.toml')} --lr {found['suggestion']:g}" in said
    assert "--trial-steps" in refused(chainrule("lr-find", "t", "--sweep-steps", "20"))
    assert "goes with a table" in refused(chainrule("lr-find", "xor", "--target", "y"))
