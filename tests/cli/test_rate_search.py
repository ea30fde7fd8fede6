"""`chainrule lr-find`: what it prints and refuses, and that it writes nothing."""

from __future__ import annotations

import json
import os

import pytest
from cli_cases import refused

import chainrule.cli.lr_find as module
from chainrule.cli.recipe import Recipe
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
    lines = [text_of(x) for x in module.lines_of(found, Recipe("digits"), Terminal(width))]
    assert all(len(line) <= width for line in lines)
    assert any("diverges" in line for line in lines)


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
