"""Choices in TOML files: whatever a command takes as an option, and nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest
from cli_cases import SMALL, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainrule.cli import lr_find, preflight, train, verify_resume
from chainrule.cli import recipe as recipes
from chainrule.cli.app import UsageProblem
from chainrule.cli.recipe import Recipe
from chainrule.cli.settings import NOT_HELD, read_settings, to_toml
from chainrule.errors import some_names
from chainrule.train import open_run

number = st.floats(1e-6, 0.9)
some = st.one_of(st.none(), number)
RECIPES = st.builds(
    Recipe, data=st.sampled_from(sorted(recipes.DATA)),
    layers=st.lists(st.integers(1, 99), max_size=3).map(tuple),
    activation=st.sampled_from(sorted(recipes.ACTIVATIONS)), dropout=number,
    init=st.sampled_from(sorted(recipes.INITS)), label_smoothing=number,
    optimizer=st.sampled_from(["sgd", "rmsprop"]), lr=number, momentum=number, weight_decay=number,
    clip_grad_norm=some, schedule=st.sampled_from(sorted(recipes.SCHEDULES)),
    batch_size=st.integers(1, 999), epochs=st.integers(1, 999),
    steps=st.one_of(st.none(), st.integers(1, 99)), tol=some, val_fraction=number,
    patience=st.one_of(st.none(), st.integers(1, 99)), seed=st.integers(0, 2**63 - 1),
    eager=st.booleans(),
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(RECIPES)
def test_a_recipe_comes_back_from_its_file(tmp_path, recipe):
    path = tmp_path / "a.toml"
    path.write_text(to_toml(recipe))
    held = read_settings(str(path), train.command)
    assert train.choose(held.pop("data"), held) == recipe


def test_a_run_holds_the_file_that_repeats_it(chainrule):
    assert chainrule("train", "xor", *SMALL).exit_code == 0
    assert chainrule("train", "--config", "runs/xor-0001/config.toml", "-q").exit_code == 0
    one, two = (Path(f"runs/xor-000{i}/model.safetensors").read_bytes() for i in (1, 2))
    assert one == two


def test_options_win_and_dashes_are_no_matter(chainrule):
    Path("a.toml").write_text('data = "xor"\nlr = 0.5\nbatch-size = 100\nlayers = []\n')
    assert chainrule("train", "--config", "a.toml", *SMALL, "--lr", "0.25").exit_code == 0
    held = open_run("xor-0001").config["recipe"]
    assert (held["lr"], held["batch_size"], held["layers"]) == (0.25, 200, [4])
    for command in ("preflight", "lr-find"):
        assert chainrule(command, "--config", "a.toml").exit_code in (0, 1)


def test_every_option_of_a_training_can_stand_in_a_file():
    fields = {f.name for f in dataclasses.fields(Recipe)} | {"early_stopping"}
    for module in (train, preflight, lr_find, verify_resume):
        assert fields <= {p.name for p in module.command.params} - NOT_HELD


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('data = "xor"\n\nlrr = 1', "a.toml:3: there is no setting 'lrr'"),
        ('data = "xor"\nlr = "0.1"', "a.toml:2: lr must be a number > 0"),
        ('data = "xor"\nlr = true', "a.toml:2: lr must be a number"),
        ('data = "xor"\nlr = nan', "a.toml:2: --lr must be a finite number"),
        ('data = "xor"\nepochs = 1.5', "a.toml:2: epochs must be a whole number"),
        ('data = "xor"\nlayers = "4"', "a.toml:2: layers must be a list"),
        ('data = "xor"\noptimizer = "adamm"', "a.toml:2: there is no --optimizer 'adamm'"),
        ('data = "xor"\noptimizer = 3', "a.toml:2: optimizer must be one of"),
        ('data = "xor"\neager = 1', "a.toml:2: eager must be true or false"),
        ('data = "xor"\nbatch-size = 1\nbatch_size = 2', "batch_size' stands there twice"),
        ('data = "xor"\n[lr]\nx = 1', "a.toml:2: lr must be a number"),
        ('data = "xor"\nresume = "xor-0001"', "a.toml:2: there is no setting 'resume'"),
        ('data = "xor', "a.toml: not TOML"),
        ('data = "mooons"', "a.toml:1: there is no data set 'mooons'"),
        (b"\xff\xfe", "not UTF-8"),
        (f'data = "{"a" * 300}"', "a.toml:1: there is no data set\n    'aaaa"),
        (f'data = "xor"\nseed = {"1" * 5000}', "a.toml: not TOML: Exceeds the limit"),
        (f'data = "xor"\nseed = {2**63}', "a.toml:2: seed: a whole number of TOML has at most 64"),
        (f'data = "xor"\nlr = 0x{"f" * 6000}', "a.toml:2: lr: a whole number of TOML"),
        (f'data = "xor"\nlayers = [0x{"f" * 6000}]', "a.toml:2: layers: a whole number of TOML"),
        (f'data = "xor"\nlayers = {"[" * 5000}', "a.toml: nested too deeply"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit(chainrule, text, said):
    Path("a.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert said in refused(chainrule("train", "--config", "a.toml"))
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('data = "penguins"\ntarget = "species"\n\nmomentum = 0.9', "a.toml:4"),
        ('data = "penguins"\nval-fraction = 0.3\nfolds = 3\ntarget = "species"', "a.toml:2"),
        ('data = "penguins"\ntarget = "species"\nkind = "sex"', "a.toml:3"),
        ('data = "digits"\nfolds = 3', "a.toml:2"),
    ],
)
def test_a_setting_that_goes_not_with_the_others_is_told_by_its_line(chainrule, text, line):
    Path("a.toml").write_text(text)
    assert f"line      {line}\n" in refused(chainrule("train", "--config", "a.toml"))


def test_an_option_that_was_typed_is_no_line_of_the_file(chainrule):
    Path("a.toml").write_text('data = "penguins"\ntarget = "species"\nmomentum = 0.5')
    told = refused(chainrule("train", "--config", "a.toml", "--momentum", "0.9"))
    assert "--momentum is not for tables" in told
    assert "a.toml" not in told


LONG = "a" * 300
"""More than a name of a file may have."""


@pytest.mark.parametrize(
    "words",
    [("train", LONG), ("train", f"{LONG}.csv", "--target", "x"), ("train", "--resume", LONG),
     ("train", "--config", LONG), ("preflight", LONG), ("lr-find", LONG), ("verify-resume", LONG),
     ("tune", LONG), ("predict", LONG), ("evaluate", f"{LONG}.csv"), ("diagnose", LONG),
     ("report", f"{LONG}.csv"), ("compare", LONG, LONG), ("explain", LONG), ("export", LONG),
     ("playground", LONG), ("runs", LONG), ("runs", "--runs-dir", LONG),
     ("train", "xor", "--seed", "1" * 400), ("train", "xor", "--lr", "1" * 400),
     ("train", "xor", "--layers", "1" * 5000)],
    ids=lambda words: " ".join(words)[:20],
)  # fmt: skip
def test_words_without_end_are_refused(chainrule, words):
    result = chainrule(*words)
    assert result.exit_code in (1, 2), result.output
    assert result.stderr.startswith("error:")
    assert "mistake in Chainrule" not in result.stderr


@pytest.mark.parametrize("command", ["report", "predict", "playground"])
@pytest.mark.parametrize("place", [LONG, f"{LONG}/x"])
def test_an_output_without_end_is_refused(chainrule, xor_run, command, place):
    refused(chainrule(command, xor_run, "-o", place), code=3)


def test_names_that_are_left_out_end_at_a_word(chainrule):
    Path("a.toml").write_text("lrr = 1")
    told = " ".join(refused(chainrule("train", "--config", "a.toml")).split())
    names = told.split("expected ")[1].split(" got ")[0].split(", ")
    assert names[-1] == "..."
    assert set(names[:-1]) <= {p.name for p in train.command.params}


@given(st.lists(st.text("abc", min_size=1), max_size=9), st.integers(1, 40))
def test_some_names(names, room):
    told = some_names(names, room)
    whole = ", ".join(names)
    assert told == whole if len(whole) <= room or len(names) < 2 else told.endswith(", ...")
    kept = told.removesuffix(", ...")
    assert kept == ", ".join(names[: kept.count(",") + 1])
    assert len(kept) <= max(room, len(names[0]) if names else 0)


def test_no_file(chainrule):
    for name in ("nope.toml", ".", "a/b"):
        assert "no file" in refused(chainrule("train", "--config", name))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_whatever_stands_in_a_file_is_refused_in_our_words(tmp_path, raw):
    path = tmp_path / "a.toml"
    path.write_bytes(raw)
    with contextlib.suppress(UsageProblem):
        held = read_settings(str(path), train.command)
        assert set(held) <= {p.name for p in train.command.params}


@pytest.mark.slow
def test_a_file_finds_its_table_from_any_folder_and_after_both_were_moved(
    chainrule, penguins, monkeypatch, own_folder
):
    def again(*words):
        done = chainrule("train", *words, *SMALL, "-q")
        assert done.exit_code == 0, done.output
        return open_run("penguins").config["table"]["data"]

    assert again(penguins, "--target", "species", "--folds", "2") == "penguins.csv"
    held = Path("runs/penguins-0001/config.toml")
    assert 'data = "../../penguins.csv"\n' in held.read_text()
    assert again("--config", str(held)) == "penguins.csv"
    project = own_folder / "project"
    project.mkdir()
    for name in ("runs", "penguins.csv"):
        Path(name).rename(project / name)
    (own_folder / "linked").symlink_to(project / "runs")
    monkeypatch.chdir(own_folder)
    assert again("--config", "linked/penguins-0001/config.toml") == "project/penguins.csv"
    whole = str(project / "penguins.csv")
    assert again(whole, "--config", "runs/penguins-0001/config.toml") == whole
    assert f'data = "{whole}"\n' in Path("runs/penguins-0002/config.toml").read_text()
    assert again("--config", "runs/penguins-0002/config.toml") == whole


def test_a_table_that_a_file_does_not_find_is_named_and_another_goes_before_it(chainrule, penguins):
    Path("sub").mkdir()
    Path("sub/a.toml").write_text('data = "penguins.csv"\ntarget = "species"\nfolds = 2\n')
    for command in ("train", "lr-find", "tune"):
        said = refused(chainrule(command, "--config", "sub/a.toml"))
        assert "no file 'sub/penguins.csv', which the file of --config names" in said
        assert str(Path("sub/penguins.csv").resolve()) in said
        assert f"chainrule {command} TABLE --config FILE" in said
    assert chainrule("train", penguins, "--config", "sub/a.toml", *SMALL, "-q").exit_code == 0


@pytest.mark.parametrize("name", sorted(recipes.DATA))
def test_a_data_set_in_a_file_is_no_path(name):
    Path("sub").mkdir()
    Path("sub", name).write_text("a,b\n1,2\n")
    Path("sub/a.toml").write_text(f'data = "{name}"\n')
    assert read_settings("sub/a.toml", train.command) == {"data": name}
