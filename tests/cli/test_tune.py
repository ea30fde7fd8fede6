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
    assert chainrule(*words, "--no-report", "-q").exit_code == 0
    recipe = json.loads(Path("runs/a-0001/config.json").read_text())["config"]["table"]
    assert all(recipe[k] == pytest.approx(v) for k, v in found["best"].items())
    scores = found["evaluation"]["scores"]
    assert open_run("a-0001").result["test_log_loss"] == scores["log_loss"], "the score told"
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


FIXED = {"lr": 0.01, "weight_decay": 0.5, "dropout": 0.25, "label_smoothing": 0.0}


def halved(monkeypatch) -> list[list[dict]]:
    """The settings of every search, which ends at once."""
    seen = []

    def halving(tried, data, recipe, **_):
        seen.append([{**{k: getattr(recipe, k) for k in FIXED}, **s} for s in tried])
        raise ArgumentError("that is all")

    monkeypatch.setattr(tune, "successive_halving", halving)
    return seen


@pytest.mark.parametrize("name", FIXED)
def test_what_is_given_is_taken_out_of_the_search(chainrule, monkeypatch, name):
    seen = halved(monkeypatch)
    Path("c.toml").write_text(f"{name} = {FIXED[name]}\n")
    flag = f"--{name.replace('_', '-')}"
    for words in (("--config", "c.toml"), (flag, str(FIXED[name]))):
        said = refused_at_last(chainrule("tune", "a.csv", "--target", "y", *QUICK, *words))
        assert said == "error: that is all"
    assert seen[0] == seen[1]
    assert {s[name] for s in seen[0]} == {FIXED[name]}
    assert all(len({s[k] for s in seen[0]}) > 1 for k in {"lr", "dropout"} - {name})


def refused_at_last(result) -> str:
    """The first line of an error that came after the table was told."""
    assert result.exit_code == 2, result.output
    return result.stderr.splitlines()[0]


def test_a_search_of_nothing_is_refused(chainrule):
    Path("c.toml").write_text("".join(f"{k} = {v}\n" for k, v in FIXED.items()))
    words = ("tune", "a.csv", "--target", "y", *QUICK, "--config", "c.toml")
    assert "nothing to search" in refused_at_last(chainrule(*words))


def test_the_file_of_a_run_is_one_of_its_search(chainrule, monkeypatch):
    words = ("--layers", "4", "--epochs", "1", "--no-report", "-q", "--no-early-stopping")
    words += ("--val-fraction", "0.3", "--activation", "mish", "--name", "b", "--keep", "2")
    assert chainrule("train", "a.csv", "--target", "y", "--lr", "0.5", *words).exit_code == 0
    seen = halved(monkeypatch)
    made = chainrule("tune", "--config", "runs/b-0001/config.toml", "--configs", "3")
    assert refused_at_last(made) == "error: that is all"
    assert [s["lr"] for s in seen[0]] == [0.5] * 3


def test_what_only_a_run_is_told_is_passed_over_and_a_slip_is_not(chainrule, monkeypatch):
    halved(monkeypatch)
    Path("c.toml").write_text('data = "a.csv"\ntarget = "y"\nname = "z"\nthreads = 1\n')
    said = refused_at_last(chainrule("tune", "--config", "c.toml", *QUICK))
    assert said == "error: that is all"
    Path("c.toml").write_text("zzzz = 1\n")
    assert "chainrule tune --help lists" in refused(chainrule("tune", "--config", "c.toml"))


def test_the_help_says_its_own_number_of_networks(chainrule):
    folds = "Networks, each held out from other rows"
    told = {n: " ".join(chainrule(n, "--help").stdout.split()) for n in ("tune", "train")}
    assert f"{folds} [1]" in told["tune"]
    assert f"{folds} [5 up to 3000 rows, else 1; 1 with a share" in told["train"]


def test_settings_are_named_as_people_say_them():
    said = tune.spelled({"lr": 0.02, "label_smoothing": 0.1})
    assert said == "lr 0.02, label smoothing 0.1"
