"""The metric that a training on a table is asked for: its result is said in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_cases import PENGUINS

QUICK = ("--epochs", "3", "--layers", "8", "--folds", "2", "--no-report")


@pytest.mark.parametrize(("target", "name"), [
    ("species", "log_loss"), ("species", "top_k"), ("species", "f1"), ("body_mass_g", "mae"),
    ("body_mass_g", "mse"), ("species", "accuracy"), ("both", "accuracy"), ("both", "recall"),
    ("both", "roc_auc"),
])  # fmt: skip
def test_the_result_is_said_in_the_metric_asked_for(chainrule, own_folder, target, name):
    more = ("--skip-missing", "--metric", name, "--no-save", "-q")
    Path("penguins.csv").write_text(PENGUINS)
    if name == "top_k":  # of five: there must be more classes
        made = [line.split(",") for line in PENGUINS.splitlines()]
        Path("penguins.csv").write_text("\n".join(
            ",".join([row[0] + ("" if n == 0 else str(n % 2)), *row[1:]])
            for n, row in enumerate(made)
        ))  # fmt: skip
    if target == "both":
        text = PENGUINS.replace("Torgersen", "0|1").replace("Biscoe", "0").replace("Dream", "1")
        Path("penguins.csv").write_text(text.replace("island", "both"))
    result = chainrule("train", "penguins.csv", "--target", target, *QUICK, *more)
    assert result.exit_code == 0, result.output
    assert result.stdout.split("held-out ")[1].startswith(name.replace("_", " "))
    assert f"\n{name.replace('_', ' ')} " in result.stdout, "among the scores"


def test_a_file_that_was_learned_from_is_called_so(chainrule, penguins):
    words = ("--epochs", "2", "--layers", "8", "--folds", "2", "--no-report", "-q")
    assert chainrule("train", penguins, "--target", "species", *words).exit_code == 0
    said = " ".join(chainrule("evaluate", "penguins", penguins).stdout.split())
    assert "on 344 rows of penguins.csv, from most of which it has learned" in said
    Path("some.csv").write_text("\n".join(PENGUINS.splitlines()[:50]))
    assert "learned" not in chainrule("evaluate", "penguins", "some.csv").stdout
