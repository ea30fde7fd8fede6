"""A user's table from the file to predictions: what is said, scored, refused, and gone on with."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from cli_cases import PENGUINS, QUICK, refused
from click.testing import CliRunner

from chainrule import schemas
from chainrule.cli.app import app
from chainrule.cli.tables import training as tables
from chainrule.cli.tables.choices import TableChoices, choose, from_config
from chainrule.cli.tables.options import ONLY_FOR_TABLES
from chainrule.cli.tables.said import inferred
from chainrule.cli.terminal import Terminal, text_of
from chainrule.data.tables import Schema, read_table
from chainrule.train import open_run
from chainrule.train.tabular import TableModel

TARGETS = {
    "multiclass": ("species",), "binary": ("sex", "--skip-missing"),
    "regression": ("body_mass_g", "--skip-missing"),
    "several": ("body_mass_g", "--target", "flipper_length_mm", "--skip-missing"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", TARGETS)
def test_every_task_is_learned_predicted_and_scored(chainrule, penguins, kind):
    words = ("train", penguins, "--target", *TARGETS[kind], *QUICK)
    told = json.loads(chainrule(*words, "--json").stdout)
    assert told["evaluation"]["rows"] + told["rows"] in (344, 342, 333)
    assert told["members"] == 2
    scores = json.loads(chainrule("evaluate", "penguins", "--json").stdout)["scores"]
    assert scores == told["evaluation"]["scores"]
    held = list(csv.DictReader(io.StringIO(chainrule("predict", "penguins").stdout)))
    assert len(held) == told["evaluation"]["rows"]
    other = chainrule("predict", "penguins", penguins, "-o", "out.csv")
    assert other.exit_code == 0
    assert Path("out.csv").read_text().count("\n") == 345
    assert chainrule("predict", "penguins", "--index", "2").exit_code == 0
    if kind in ("multiclass", "binary"):
        right = np.mean([row["predicted"] == row["true"] for row in held])
        assert scores["accuracy"] == pytest.approx(right)


@pytest.mark.slow
def test_several_labels_at_once(chainrule):
    rows = [f"{i % 7},{i % 5},{i % 7 > 3},{i % 5 > 1}" for i in range(60)]
    Path("a.csv").write_text("x,z,big,wide\n" + "\n".join(rows) + "\n")
    both = ("--target", "big", "--target", "wide")
    told = json.loads(chainrule("train", "a.csv", *both, *QUICK, "--json").stdout)
    held = told["evaluation"]
    assert set(held["scores"]) == {"f1", "labels_right", "rows_right"}
    assert "p_big" in chainrule("predict", "a").stdout
    again = json.loads(chainrule("evaluate", "a", "--json").stdout)
    assert again == held
    jsonschema.Draft202012Validator(schemas.schema("evaluation")).validate(again)
    assert [f["name"] for f in held["labels"]] == ["big", "wide"]
    result = json.loads(Path("runs/a-0001/result.json").read_text())
    jsonschema.validate(result, schemas.schema("result"))
    assert [f["roc_auc"] for f in result["labels"]] == [f["roc_auc"] for f in held["labels"]]
    assert held["scores"]["f1"] == pytest.approx(np.mean([f["f1"] for f in held["labels"]]))
    losses = [w["loss"] for w in held["worst"]]
    assert losses == sorted(losses, reverse=True)
    assert all(w["holds"].startswith("a.csv, line ") for w in held["worst"])
    said = chainrule("evaluate", "a").stdout
    assert "label  " in said
    assert held["worst"][0]["holds"] in said
    assert chainrule("report", "a").exit_code == 0
    page = Path("runs/a-0001/report.html").read_text()
    assert "the mean over 2 labels" in page
    assert held["worst"][0]["wrong"] in page
    assert "held-out rows have all labels right" in page


@pytest.mark.slow
def test_the_model_is_all_that_predicting_takes(chainrule, species):
    before = chainrule("predict", species, "penguins.csv").stdout
    model = TableModel.load(f"runs/{species}/model.safetensors")
    table = "\n".join(PENGUINS.splitlines()[:20]).encode()
    again = TableModel.load(f"runs/{species}/model.safetensors")
    assert np.array_equal(model.scores(table), again.scores(table))
    Path("new.csv").write_text(
        "\n".join(",".join(reversed(line.split(","))) for line in PENGUINS.splitlines()) + "\n"
    )
    result = chainrule("predict", species, "new.csv")
    assert result.stdout == before
    assert "another order" in result.stderr


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_the_file_repeats_the_run(chainrule, species):
    assert (
        chainrule("train", "--config", f"runs/{species}/config.toml", "--no-report").exit_code == 0
    )
    one, two = (Path(f"runs/penguins-000{i}/model.safetensors").read_bytes() for i in (1, 2))
    assert one == two


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_bits(chainrule, penguins):
    words = [penguins, "--target", "species", "--layers", "8", "--folds", "2", "--no-report",
             "--epochs", "1200", "--no-early-stopping", "-q"]  # fmt: skip
    command = [sys.executable, "-m", "chainrule", "train", *words]
    child = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL)
    folder = Path("runs/penguins-0001/checkpoints")
    until = time.monotonic() + 60
    while not list(folder.glob("*.json")) and child.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert open_run("penguins-0001").result is None
    assert chainrule("train", "--resume", "penguins-0001", "--no-report", "-q").exit_code == 0
    assert chainrule("train", *words).exit_code == 0
    one, two = (Path(f"runs/penguins-000{i}/model.safetensors").read_bytes() for i in (1, 2))
    assert one == two
    logs = [[{k: v for k, v in row.items() if k != "seconds"} for row in open_run(n).rows]
            for n in ("penguins-0001", "penguins-0002")]  # fmt: skip
    assert logs[0] == logs[1]


def test_a_run_finds_its_file_from_any_folder(chainrule, species, monkeypatch, own_folder):
    log = own_folder / "runs" / species
    (log / "result.json").unlink()  # as if it had been killed
    (log / "model.safetensors").unlink()
    (own_folder / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    words = ("train", "--resume", species, "--runs-dir", "../runs", "--no-report", "-q")
    assert chainrule(*words).exit_code == 0
    assert chainrule("evaluate", species, "--runs-dir", "../runs").exit_code == 0
    (log / "result.json").unlink()
    Path("../penguins.csv").rename("penguins.csv")  # by the path that was typed
    assert chainrule("evaluate", species, "--runs-dir", "../runs").exit_code == 0
    Path("penguins.csv").rename("birds.csv")
    said = refused(chainrule(*words))
    assert str(own_folder / "penguins.csv") in said.replace("\n", "").replace(" ", "")
    assert "put it there again" in said
    assert "no such file" in refused(chainrule("evaluate", species, "--runs-dir", "../runs"))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_ends_a_run_with_its_exit_code(chainrule, penguins, monkeypatch, name):
    row = tables._note
    monkeypatch.setattr(
        tables, "_note", lambda r: (signal.raise_signal(signal.Signals[name]), row(r))[1]
    )
    words = ("train", penguins, "--target", "species", *QUICK)
    for more in ((), ("--no-save",)):
        ended = chainrule(*words, *more)
        assert ended.exit_code == 128 + signal.Signals[name]
        assert f"stopped by {name} after step 1, epoch 1" in ended.stderr


def test_predictions_are_written_as_the_name_says(chainrule, species):
    said = list(csv.DictReader(io.StringIO(chainrule("predict", species).stdout)))
    for name in ("o.csv", "o.tsv", "o.jsonl", "o.parquet"):
        if name == "o.parquet":
            pytest.importorskip("pyarrow")
        assert chainrule("predict", species, "-o", name).exit_code == 0
        table = read_table(name)
        assert table.names == tuple(said[0])
        assert table["predicted"].values.tolist() == [row["predicted"] for row in said]
        shares = np.asarray(table["p_Gentoo"].values, float)
        assert shares.tolist() == [float(row["p_Gentoo"]) for row in said]
    for name in ("o.xlsx", "o.CS"):
        assert ".parquet" in refused(chainrule("predict", species, "-o", name))
        assert not Path(name).exists()


def test_rows_come_from_stdin(chainrule, species):
    wanted = chainrule("predict", species, "penguins.csv")
    found = CliRunner().invoke(app, ["predict", species, "-"], input=PENGUINS)
    assert found.exit_code == 0, found.output
    assert found.stdout == wanted.stdout


def test_a_folder_is_no_table(chainrule, own_folder):
    Path("data").mkdir()
    said = refused(chainrule("train", "data", "--target", "y"))
    assert "'data' is a folder" in said
    assert "data/data.csv" in said


def test_a_table_is_not_taken_for_a_run(chainrule, species):
    for command in ("preflight", "predict", "compare"):
        said = " ".join(
            refused(chainrule(command, "penguins.csv", *["x"] * (command == "compare"))).split()
        )
        assert "'penguins.csv' is a table" in said
        assert "train penguins.csv --target" in said


def test_runs_are_listed_with_their_scores_and_what_they_took(chainrule, species):
    words = ("train", "penguins.csv", "--target", "body_mass_g", "--skip-missing", *QUICK)
    assert chainrule(*words).exit_code == 0
    classes, amounts = json.loads(chainrule("runs", "--json").stdout)
    scores = json.loads(chainrule("evaluate", species, "--json").stdout)["scores"]
    assert classes["test_accuracy"] == scores["accuracy"]
    assert amounts["best_val_rmse"] == min(r["val_rmse"] for r in open_run(amounts["name"]).rows)
    assert classes["data"] == "penguins.csv"
    several = (*words, "--target", "flipper_length_mm", "--folds", "1")
    said = " ".join(chainrule(*several).stdout.split())
    assert "best epoch by scaled rmse: over all targets, each in its standard deviations" in said
    *_, both = json.loads(chainrule("runs", "--json").stdout)
    best = min(r["val_scaled_rmse"] for r in open_run(both["name"]).rows)
    assert both["best_val_scaled_rmse"] == best < 10, "not in grams"
    assert f"scaled rmse {best:.4g}" in chainrule("runs").stdout
    listed = chainrule("runs").stdout
    assert f"{100 * scores['accuracy']:.2f} %" in listed
    assert f"rmse {amounts['test_rmse']:.4g}" in listed
    assert f"test rmse: {amounts['test_rmse']:.5g}" in chainrule("runs", amounts["name"]).stdout
    compared = json.loads(chainrule("compare", species, amounts["name"], "--json").stdout)
    values = {c["choice"]: c["values"] for c in compared["choices"]}
    assert values["lr"] == [0.04, 0.2]
    taken = open_run(species).config["table"]
    assert [taken[k] for k in ("folds", "epochs", "layers", "batch_size")] == [2, 3, [8], 256]
    batch = open_run(species).config["batch"]
    assert batch < 256
    assert f"batch size: {batch}\n" in chainrule("runs", species).stdout


def test_too_few_rows_are_said_in_words(chainrule):
    Path("few.csv").write_text("a,b\n1,5\n2,6.5\n3,9\n")
    for folds, needed in (("1", 4), ("2", 3), ("5", 6)):
        result = chainrule("train", "few.csv", "--target", "b", "--folds", folds, *QUICK[:4])
        if needed > 3:
            assert f"at least {needed} rows" in " ".join(refused(result).split())
        else:
            assert result.exit_code == 0, result.output


WRONG = {
    ("nope.csv", "--target", "x"): "no file 'nope.csv'",
    ("penguins.csv",): "what is to be learned?",
    ("penguins.csv", "--target", "specie"): "did you mean 'species'",
    ("penguins.csv", "--target", "body_mass_g"): "--skip-missing",
    ("penguins.csv", "--target", "species", "--kind", "sex=numeric"): "penguins.csv, line 2",
    ("penguins.csv", "--target", "species", "--kind", "sex"): "COLUMN=KIND",
    ("penguins.csv", "--target", "species", "--form", "year"): "COLUMN=FORM",
    ("penguins.csv", "--target", "species", "--form", "year=%y"): "the form %y",
    ("penguins.csv", "--target", "species", "--form", "sex=%Q%Y"): "no form of dates",
    ("penguins.csv", "--target", "species", "--drop", "colour"): "no column 'colour'",
    ("penguins.csv", "--target", "species", "--optimizer", "sgd"): "--optimizer is not for tables",
    ("penguins.csv", "--target", "species", "--activation", "tanh"): "tanh",
    ("penguins.csv", "--target", "species", "--task", "regression"): "species",
    ("penguins.csv", "--target", "species", "--folds", "400"): "--folds",
    ("penguins.csv", "--target", "species", "--metric", "mae"): "a multiclass target: unknown met",
    ("penguins.csv", "--target", "species", "--metric", "confusion_matrix"):
        "expected of amounts rmse, mae, mse, r2; of classes accuracy, ",
    ("penguins.csv", "--target", "species", "--drop", "species"): "--kind and --drop of other col",
    ("penguins.csv", "--target", "species", "--decimal", "x"): "error: decimal must be",
    ("digits", "--target", "x"): "--target goes with a table",
    ("digitss",): "did you mean digits?",
    ("penguins.csv", "--target", "species", "--delimiter", ";;"): "one sign",
    ("penguins.csv", "--target", "bill_length_mm", "--skip-missing", "--label-smoothing", "0.1"):
        "--label-smoothing takes certainty from classes",
}  # fmt: skip


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_what_does_not_fit_is_refused_before_anything_is_written(chainrule, penguins, words):
    said = refused(chainrule("train", *words))
    assert WRONG[words] in " ".join(said.split())
    assert not Path("runs").exists()


def test_rows_that_do_not_fit_a_model(chainrule, species):
    Path("less.csv").write_text("island,sex\nBiscoe,male\n")
    assert "no column" in refused(chainrule("predict", species, "less.csv"))
    Path("text.csv").write_text(PENGUINS.replace("39.5", "much"))
    said = refused(chainrule("predict", species, "text.csv"))
    assert "line 3" in said
    assert "'much'" in said
    Path("unseen.csv").write_text(PENGUINS.replace("Torgersen", "Utopia"))
    for command in ("predict", "evaluate"):
        assert "Utopia" in chainrule(command, species, "unseen.csv").stderr
    Path("gap.csv").write_text(PENGUINS.replace("Adelie", "NA", 2))
    assert "--skip-missing" in refused(chainrule("evaluate", species, "gap.csv"))
    told = " ".join(chainrule("evaluate", species, "gap.csv", "--skip-missing").stdout.split())
    rows = len(PENGUINS.splitlines()) - 3
    assert f"on {rows} rows of gap.csv that have a target (2 have none)" in told
    Path("blind.csv").write_text("\n".join(x.split(",", 1)[1] for x in PENGUINS.splitlines()))
    assert "no column 'species'" in refused(chainrule("evaluate", species, "blind.csv"))
    assert chainrule("predict", species, "blind.csv").exit_code == 0
    Path("penguins.csv").write_text(PENGUINS + "Adelie,Dream,40,18,190,3600,male,2009\n")
    told = refused(chainrule("evaluate", species), 1)
    assert "has changed since penguins-0001 learned from it" in told
    refused(chainrule("predict", species, "nope.csv"))
    for change in (lambda: None, Path("penguins.csv").unlink):  # another file, then none
        change()
        for command in ("evaluate", "predict"):
            told = chainrule(command, species).stderr
            assert f"chainrule {command} {species} FILE" in " ".join(told.split())


@pytest.mark.slow
def test_other_commands_know_a_run_of_a_table(chainrule, species):
    for words in (("runs",), ("runs", species), ("export", species, "--csv", "-")):
        assert chainrule(*words).exit_code == 0
    held = json.loads(chainrule("export", species, "--json").stdout)
    jsonschema.validate(held, schemas.schema("run"))
    for command in ("explain", "playground", "preflight"):
        said = " ".join(refused(chainrule(command, species)).split())
        assert f"a run of a table, and {command} is for runs of data sets" in said
    for words in (("whatif", species, "--lr", "1"), ("diagnose", species, "--try")):
        said = " ".join(refused(chainrule(*words)).split())
        assert "a run of a table" in said
        assert f"train --config runs/{species}/config.toml" in said


def test_a_share_to_validate_on_is_that_of_one_network(chainrule, penguins):
    words = ("train", penguins, "--target", "species", "--epochs", "1", "--layers", "8",
             "--no-report")  # fmt: skip
    for share, rows in (("0.1", 28), ("0.5", 138)):
        result = chainrule(*words, "--val-fraction", share)
        assert f"one network, {rows} of these rows held out" in " ".join(result.output.split())
        assert open_run("penguins").config["table"]["val_fraction"] == float(share)
        assert f"val_fraction = {share}" in (open_run("penguins").path / "config.toml").read_text()
    said = refused(chainrule(*words, "--val-fraction", "0.1", "--folds", "3"))
    assert "--val-fraction does nothing beside --folds 3" in " ".join(said.split())
    assert "another 1/5 of the rows" in " ".join(chainrule(*words).output.split())
    run = open_run("penguins")
    assert run.config["table"]["val_fraction"] is None
    assert "val_fraction" not in (run.path / "config.toml").read_text()


def test_the_help_says_when_early_stopping_ends_a_network(chainrule, penguins):
    told = " ".join(chainrule("train", "--help").stdout.split())
    assert "tables 40 + the best epoch: to epoch 2 x best + 40" in told
    words = ("train", penguins, "--target", "species", "--epochs", "80", "--layers", "8",
             "--folds", "1", "--no-report", "--patience", "2")  # fmt: skip
    both = chainrule(*words, "--no-early-stopping")
    assert "early stopping waits, but it is off" in refused(both)
    assert chainrule(*words).exit_code == 0
    rows = [row["val_accuracy"] for row in open_run("penguins").rows]
    first = rows.index(max(rows)) + 1
    assert len(rows) == 2 * first + 2 + 1


def test_choices_come_back_from_a_run():
    given = {"target": ("a", "b"), "drop": ("c",), "kind": ("d=numeric",), "lr": 0.1, "seed": 3}
    choices = choose("x.csv", given)
    assert from_config({"table": json.loads(json.dumps(choices.to_config()))}, "run") == choices
    assert set(ONLY_FOR_TABLES) <= set(vars(TableChoices("x.csv")))


BAD_FILES = {
    "cut": b'a,y\n1,"x\n', "twice": b"a,a,y\n1,2,x\n", "short": b"a,y\n1,x\n2\n3,z\n",
    "encoding": b"a,y\n1,\xe9\n2,b\n", "empty": b"", "no rows": b"a,y\n",
    "zip": b"\x1f\x8b\x08\0\0", "delimiter": b"a;y\n1;x\n2;z\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_no_table_is_a_mistake_of_what_was_typed(chainrule, own_folder, kind):
    Path("a.csv").write_bytes(BAD_FILES[kind])
    more = ("--delimiter", ",") if kind == "delimiter" else ()
    said = refused(chainrule("train", "a.csv", "--target", "y", *more))
    assert "='" not in said  # options, not Python
    wanted = {"encoding": "--encoding cp1252", "delimiter": "--delimiter semicolon"}
    assert wanted.get(kind, "") in said


def test_json_and_parquet_that_are_none(chainrule, own_folder):
    for name, data in (("a.jsonl", b'{"a": 1'), ("b.jsonl", b'{"a": 1}\n{"a": "x"}\n'),
                       ("c.parquet", b"PAR1 and no more PAR1")):  # fmt: skip
        Path(name).write_bytes(data)
        refused(chainrule("train", name, "--target", "a"))


def test_options_of_reading_are_those_that_the_file_needs(chainrule, species):
    Path("odd.csv").write_text(PENGUINS.replace(",", ";").replace("39.5", "none"), "utf-16-le")
    words = ("predict", species, "odd.csv", "--encoding", "utf-16-le", "--delimiter", ";")
    assert "--missing" in refused(chainrule(*words))
    for command in ("predict", "evaluate"):
        result = chainrule(command, *words[1:], "--missing", "none")
        assert result.exit_code == 0, result.output
    assert "--decimal" in refused(chainrule("evaluate", species, "--decimal", ","))


def test_means_over_classes_are_called_so(chainrule, species):
    said = chainrule("evaluate", species).stdout
    for name in ("precision", "recall", "f1"):
        assert f"{name} (mean over classes)" in said
    assert "precision" in json.loads(chainrule("evaluate", species, "--json").stdout)["scores"]


def test_amounts_with_a_unit_are_refused_until_they_are_mended_or_said_to_be_categories(chainrule):
    rows = [f"{i % 7},{i % 9}.4 %,{i % 2}" for i in range(60)]
    Path("a.csv").write_text("x,the share,y\n" + "\n".join(rows) + "\n")
    words = ("train", "a.csv", "--target", "y", *QUICK, "-q")
    said = " ".join(refused(chainrule(*words)).split())
    assert "column 'the share' holds 60 cells that are not a finite number" in said
    assert "'0.4 %' in a.csv, line 2" in said
    assert "write 0.4: '%' beside a number is not read; or --kind 'the share=categorical'" in said
    assert chainrule(*words, "--kind", "the share=categorical").exit_code == 0


def test_of_many_columns_those_left_out_are_named():
    columns = {f"x{i}": np.arange(40) / (i + 1) for i in range(30)}
    table = read_table({**columns, "who": [f"name {i}" for i in range(40)], "y": ["a", "b"] * 20})
    lines = inferred(table, Schema.infer(table, "y"), 0, Terminal(120), ", see config.json")
    assert text_of(lines[-1]) == "and 9 more ('who' left out), see config.json"
    gone = Schema.infer(table, "y", drop=["who"])
    assert text_of(inferred(table, gone, 0, Terminal(120))[-1]) == "and 9 more"


@pytest.mark.parametrize("saved", [True, False])
def test_it_is_said_where_all_of_many_columns_are(chainrule, saved):
    names = [f"x{i}" for i in range(30)]
    rows = [",".join(str((i * (k + 3) + k) % 17 / 2) for k in range(30)) for i in range(40)]
    lines = (f"{row},{'ab'[i % 2]}" for i, row in enumerate(rows))
    Path("a.csv").write_text("\n".join([",".join([*names, "y"]), *lines]) + "\n")
    words = ("train", "a.csv", "--target", "y", "--epochs", "1", "--layers", "4", "--no-report")
    told = " ".join(chainrule(*words, *(() if saved else ("--no-save",))).stdout.split())
    assert ("see config.json" in told) is saved
    assert ("all with --json" in told) is not saved
    assert "1 epoch in " in told
