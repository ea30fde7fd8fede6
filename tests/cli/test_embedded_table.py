"""The table that comes along, by its name; and how far a training is, line by line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from cli_cases import QUICK, refused

from chainrule.cli.tables import training


def test_a_training_says_how_far_it_is_where_nothing_is_redrawn(chainrule, penguins, monkeypatch):
    """Every tenth of the way, and every few seconds where that is more; not where it is quiet."""
    words = ("train", penguins, "--target", "species", "--layers", "4", "--folds", "1", "--no-save")
    words += ("--epochs", "40", "--no-early-stopping")

    def epochs(text):
        return [int(n) for n in re.findall(r"^epoch (\d+) of 40: loss .*accuracy", text, re.M)]

    for more in ((), ("--plain",)):
        assert epochs(chainrule(*words, *more).stdout) == list(range(4, 41, 4))
    assert epochs(chainrule(*words, "-q").output) == []
    as_json = chainrule(*words, "--json")
    assert (epochs(as_json.stdout), len(epochs(as_json.stderr))) == ([], 10)
    monkeypatch.setattr(training, "EVERY_S", 0.0)
    assert epochs(chainrule(*words).stdout) == list(range(1, 41))


def test_the_table_that_comes_along_is_known_by_its_name(chainrule, penguins):
    """Its run is the run of the same file."""
    words = ("--target", "species", *QUICK, "-q")
    assert chainrule("train", "penguins", *words, "--name", "p").exit_code == 0
    assert chainrule("train", penguins, *words, "--name", "q").exit_code == 0
    one, two = (Path(f"runs/{n}-0001/model.safetensors").read_bytes() for n in "pq")
    assert one == two
    assert 'data = "penguins"' in Path("runs/p-0001/config.toml").read_text()
    assert chainrule("evaluate", "p").stdout.replace("p-0001", "q-0001") == (
        chainrule("evaluate", "q").stdout
    )


@pytest.mark.slow
def test_the_name_stands_wherever_a_run_of_it_is_gone_on_with(chainrule):
    words = ("--target", "species", *QUICK, "-q")
    assert chainrule("train", "penguins", *words, "--name", "p").exit_code == 0
    os.chdir("runs")
    again = chainrule("train", "--config", "p-0001/config.toml", "--no-save")
    assert again.exit_code == 0, again.output
    rates = ("lr-find", "p", "--runs-dir", ".", "--trial-steps", "10")
    assert chainrule(*rates).exit_code in (0, 1)


def test_a_file_of_the_name_goes_before_the_table(chainrule):
    assert "--target species" in refused(chainrule("train", "penguins"))
    assert "did you mean penguins?" in refused(chainrule("train", "pengins", "--target", "x"))
    Path("penguins").write_text("a,b\n" + "1,u\n2,v\n" * 40)
    assert chainrule("train", "penguins", "--target", "b", *QUICK).exit_code == 0
