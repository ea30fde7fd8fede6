"""`chainrule tune`: settings that are tried side by side, and the command that trains the best."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from cli_cases import refused

from chainrule.cli import tune
from chainrule.cli.tune import drawn
from chainrule.errors import ArgumentError
from chainrule.train import open_run
from chainrule.train.tabular import Recipe, TableModel

ROWS = "".join(f"{i % 7},{(i * 3) % 5},{i % 7 > 3}\n" for i in range(120))
QUICK = ("--epochs", "7", "--layers", "8", "--configs", "4")


@pytest.fixture(autouse=True)
def rows(own_folder):
    Path("a.csv").write_text("x,z,y\n" + ROWS)


@pytest.mark.slow
def test_the_command_it_prints_trains_with_the_best(chainrule):
    found = json.loads(chainrule("tune", "a.csv", "--target", "y", *QUICK, "--json").stdout)
    assert len(found["tried"]) == 4
    assert found["programs"] >= 1
    assert max(r["epochs"] for r in found["tried"]) == 7
    words = shlex.split(found["command"])[1:]
    assert chainrule(*words, "--no-report", "-q", "--folds", "1").exit_code == 0
    recipe = json.loads(Path("runs/a-0001/config.json").read_text())["config"]["table"]
    assert all(recipe[k] == pytest.approx(v) for k, v in found["best"].items())
    for plain in ((), ("--plain",)):
        said = chainrule("tune", "a.csv", "--target", "y", *QUICK, *plain)
        assert said.exit_code == 0
        assert "chainrule train a.csv --target y" in said.stdout
    assert [p.name for p in Path("runs").iterdir()] == ["a-0001"]


def test_settings_are_drawn_around_the_recipe_which_is_among_them():
    recipe = Recipe().of("classification")
    found = drawn(recipe, 50, 0)
    assert found == drawn(recipe, 50, 0) != drawn(recipe, 50, 1)
    assert found[0] == {}
    assert all(recipe.changed(s) for s in found)
    assert len({s["lr"] for s in found[1:]}) > 40
    assert all("label_smoothing" not in s for s in drawn(Recipe().of("regression"), 9, 0))


def test_refusals(chainrule):
    assert "tune is for tables" in refused(chainrule("tune", "digits", "--target", "x"))
    assert "what is to be learned" in refused(chainrule("tune", "a.csv"))
    assert "no target 'yy'" in refused(chainrule("tune", "a.csv", "--target", "yy"))
    assert "--keep" in refused(chainrule("tune", "a.csv", "--target", "y", "--keep", "1"))


def test_a_wave_in_which_nothing_moved_is_not_said_again(chainrule, monkeypatch):
    held = [{"settings": {}, "score": 0.5, "epochs": 3, "rung": 0}]

    def halving(*_, on_rung, **__):
        for more in ({}, {}, {"score": 0.25}):
            on_rung([{**held[0], **more}])
        raise ArgumentError("that is all")

    monkeypatch.setattr(tune, "successive_halving", halving)
    said = chainrule("tune", "a.csv", "--target", "y", *QUICK).stdout
    assert said.count("best error 0.5 ") == said.count("best error 0.25 ") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("target", "metric", "told"), [
    ("y", "roc_auc", "roc_auc"), ("y", None, "error"), ("price", "mae", "mae"),
    ("price", None, "rmse"),
])  # fmt: skip
def test_folds_and_metric_rank_what_the_command_then_trains(chainrule, target, metric, told):
    """Scores are in the metric and the target's unit; the winner is what its command makes."""
    rows = "".join(
        f"{i % 7},{(i * 3) % 5},{i % 7 > 3},{900 + 100 * (i % 7) + i % 11 / 4}\n"
        for i in range(120)
    )
    other = {"y": "price", "price": "y"}[target]
    Path("a.csv").write_text("x,z,y,price\n" + rows)
    words = ("a.csv", "--target", target, "--drop", other, "--folds", "3")
    words += ("--metric", metric) if metric else ()
    made = chainrule("tune", *words, *QUICK, "--json")
    assert made.exit_code == 0, made.output
    found = json.loads(made.stdout)
    assert (found["metric"], found["folds"]) == (told, 3)
    scores = [r["score"] for r in found["tried"] if r["rung"] == found["tried"][0]["rung"]]
    if target == "price":
        assert all(1.0 < s < 1000.0 for s in scores), "in the target's unit"
    typed = shlex.split(found["command"])[1:]
    assert chainrule(*typed, "--no-report", "-q").exit_code == 0
    run = open_run("a-0001")
    assert run.config["table"]["metric"] == metric
    given = found["evaluation"]["scores"]
    assert {
        k.removeprefix("test_"): v
        for k, v in run.result.items()
        if k in {f"test_{name}" for name in given}
    } == {k: v for k, v in given.items() if v is not None}
    model = TableModel.load(run.path / "model.safetensors")
    mean = sum(model.networks.scores) / 3
    unit = found["tried"][0]["score"] / mean
    assert unit == pytest.approx(1.0) if metric or target == "y" else 100 < unit < 400
    heading = chainrule("tune", *words, *QUICK).stdout
    assert f"best {told.replace('_', ' ')} " in heading
