"""The metric that a training on a table is asked for: it chooses, and the result is said in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_cases import PENGUINS, QUICK, refused

from chainrule.train import open_run
from chainrule.train.metrics import METRICS


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


@pytest.mark.parametrize(("target", "name"), [("species", "roc_auc"), ("body_mass_g", "mae")])
def test_the_metric_asked_for_chooses_and_is_on_record(chainrule, penguins, target, name):
    words = ("--epochs", "6", "--layers", "8", "--folds", "1", "--skip-missing", "--metric", name)
    result = chainrule("train", penguins, "--target", target, *words)
    assert result.exit_code == 0, result.output
    called = name.replace("_", " ")
    said = " ".join(result.stdout.split())
    assert f"to choose its best epoch by {called}" in said
    run = open_run("penguins-0001")
    values = [row[f"val_{name}"] for row in run.rows]
    best = (max if METRICS[name].higher_is_better else min)(values)
    (chosen,) = run.result["best_epochs"]
    assert chosen == max(i + 1 for i, v in enumerate(values) if v == best)
    assert f"kept: epoch {chosen}." in said
    assert run.config["table"]["metric"] == name
    assert f'metric = "{name}"' in (run.path / "config.toml").read_text()
    page = " ".join(chainrule("report", "penguins", "--text").stdout.split())
    assert f"Validation {called} is best at epoch {chosen} of 6" in page
    assert json.loads(chainrule("runs", "--json").stdout)[0][f"best_val_{name}"] == best
    assert f"{called} {run.result[f'test_{name}']:.4g}" in chainrule("runs").stdout
    again = chainrule("train", "--config", str(run.path / "config.toml"), "--no-report", "-q")
    assert again.exit_code == 0
    assert open_run("penguins-0002").result["best_epochs"] == [chosen]


def test_without_a_metric_the_log_and_the_record_are_as_ever(chainrule, penguins):
    words = ("--epochs", "3", "--layers", "8", "--folds", "1", "--no-report", "-q")
    assert chainrule("train", penguins, "--target", "species", *words).exit_code == 0
    run = open_run("penguins-0001")
    assert {k for k in run.rows[-1] if k.startswith("val_")} == {"val_accuracy"}
    assert run.config["table"]["metric"] is None
    assert "metric" not in (run.path / "config.toml").read_text()


def test_a_metric_without_a_value_is_refused_before_anything_is_written(chainrule, own_folder):
    rows = "".join(f"{i % 7},{i % 5},{'ab'[i % 2] if i > 2 else 'c'}\n" for i in range(60))
    Path("rare.csv").write_text("x,z,y\n" + rows)
    words = ("train", "rare.csv", "--target", "y", "-q", "--metric")
    said = " ".join(refused(chainrule(*words, "roc_auc")).split())
    assert "roc_auc can't choose the best epoch" in said
    assert "no row of class 'c'" in said
    assert "fewer --folds, or a larger --val-fraction" in said
    assert "too few classes" in refused(chainrule(*words, "top_k"))
    assert not Path("runs").exists()
