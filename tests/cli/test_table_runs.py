"""Trainings on a table: what can be said of it, what is kept of them, and how far they are."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path

import pytest
from cli_cases import PENGUINS, refused

from chainrule.cli.tables import training as tables
from chainrule.train import open_run
from chainrule.train.tabular import TableModel

QUICK = ("--epochs", "3", "--layers", "8", "--folds", "2", "--no-report")


@pytest.fixture
def species(chainrule, penguins):
    result = chainrule("train", penguins, "--target", "species", *QUICK)
    assert result.exit_code == 0, result.output
    return "penguins-0001"


def test_names_and_labels_can_be_said(chainrule, own_folder):
    rows = "".join(f"{i % 7}.5,{'a b' if i % 2 else 'b c'}\n" for i in range(40))
    Path("a.csv").write_text(rows)
    words = ("train", "a.csv", "--target", "column_2", "--no-header", "--separator", "space")
    told = json.loads(chainrule(*words, *QUICK, "--json").stdout)
    assert "multilabel" in told["columns"][0]
    again = ("train", "--config", "runs/a-0001/config.toml", "--no-report", "-q")
    assert chainrule(*again).exit_code == 0


def test_the_form_of_dates_can_be_said_and_is_kept(chainrule):
    """In the run's config, in its file of settings and in the model; the doubt tells the option."""
    rows = [f"{i % 7},0{1 + i % 9}/06/2019,{i % 2}" for i in range(60)]
    Path("a.csv").write_text("x,day sold,y\n" + "\n".join(rows) + "\n")
    words = ("train", "a.csv", "--target", "y", *QUICK)
    for more in ((), ("--kind", "day sold=date")):
        said = " ".join(chainrule(*words, *more, "--no-save").stdout.split())
        assert "dates as %m/%d/%Y, the month first (or %d/%m/%Y, the day first" in said
        assert "--form 'day sold=%d/%m/%Y'" in said
    assert chainrule(*words, "--form", "day sold=%d/%m/%Y").exit_code == 0
    run = open_run("a-0001")
    assert run.config["table"]["form"] == ["day sold=%d/%m/%Y"]
    model = TableModel.load(run.path / "model.safetensors")
    assert model.preprocessing.schema.features[1].form == "%d/%m/%Y"
    assert 'form = ["day sold=%d/%m/%Y"]' in (run.path / "config.toml").read_text()
    assert chainrule("train", "--config", "runs/a-0001/config.toml", "-q").exit_code == 0
    assert open_run("a-0002").config["table"] == run.config["table"] | {
        "data": open_run("a-0002").config["table"]["data"]
    }
    Path("b.csv").write_text("x,day sold,y\n1,2019-06-01,0\n2,13/06/2019,1\n")
    said = " ".join(refused(chainrule("predict", "a-0001", "b.csv")).split())
    assert "expected the form %d/%m/%Y" in said
    assert "'2019-06-01' in b.csv, line 2" in said


@pytest.mark.slow
def test_held_out_rows_are_given_with_what_is_true_and_their_line(chainrule):
    rows = [f"{i % 7},{i % 5 / 2},{i % 7 > 3},{i % 5 > 1}" for i in range(60)]
    Path("a.csv").write_text("x,z,big,wide\n" + "\n".join(rows) + "\n")
    told = chainrule("train", "a.csv", "--target", "big", "--target", "wide", *QUICK)
    assert "to choose its best epoch by labels right" in " ".join(told.stdout.split())
    held = list(csv.DictReader(io.StringIO(chainrule("predict", "a").stdout)))
    lines = Path("a.csv").read_text().splitlines()
    for i, row in enumerate(held):
        assert row["row"] == str(i)
        cells = lines[int(row["line"]) - 1].split(",")
        assert [row["true_big"], row["true_wide"]] == [str(int(c == "True")) for c in cells[2:]]
    assert "line" not in chainrule("predict", "a", "a.csv").stdout.splitlines()[0].split(",")
    assert "% of labels" in chainrule("runs").stdout


@pytest.mark.slow
def test_a_finished_run_keeps_one_checkpoint_unless_more_are_asked_for(chainrule, penguins):
    words = ("train", penguins, "--target", "species", *QUICK, "--checkpoint-steps", "1")
    for more, kept in (((), 1), (("--keep", "2"), 2)):
        assert chainrule(*words, *more).exit_code == 0
        run = open_run("penguins")
        assert len(run.checkpoints.manifests()) in (kept, kept + (kept > 1))
        weights = (run.path / "model.safetensors").read_bytes()
        (run.path / "model.safetensors").unlink()
        assert chainrule("train", "--resume", run.name, "--no-report").exit_code == 0
        assert (run.path / "model.safetensors").read_bytes() == weights


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
    monkeypatch.setattr(tables, "EVERY_S", 0.0)
    assert epochs(chainrule(*words).stdout) == list(range(1, 41))


def test_the_table_that_comes_along_is_known_by_its_name(chainrule, penguins):
    """Its run is the run of the same file; a file of that name goes before it."""
    words = ("--target", "species", *QUICK, "-q")
    assert chainrule("train", "penguins", *words, "--name", "p").exit_code == 0
    assert chainrule("train", penguins, *words, "--name", "q").exit_code == 0
    one, two = (Path(f"runs/{n}-0001/model.safetensors").read_bytes() for n in "pq")
    assert one == two
    assert 'data = "penguins"' in Path("runs/p-0001/config.toml").read_text()
    assert chainrule("evaluate", "p").stdout.replace("p-0001", "q-0001") == (
        chainrule("evaluate", "q").stdout
    )
    os.chdir("runs")
    again = chainrule("train", "--config", "p-0001/config.toml", "--no-save")
    assert again.exit_code == 0, again.output
    rates = ("lr-find", "p", "--runs-dir", ".", "--trial-steps", "10")
    assert chainrule(*rates).exit_code in (0, 1)
    assert "--target species" in refused(chainrule("train", "penguins"))
    assert "did you mean penguins?" in refused(chainrule("train", "pengins", "--target", "x"))
    Path("penguins").write_text("a,b\n" + "1,u\n2,v\n" * 40)
    assert chainrule("train", "penguins", "--target", "b", *QUICK).exit_code == 0


def test_one_row_is_one_row(chainrule, species):
    Path("one.csv").write_text("\n".join(PENGUINS.splitlines()[:2]) + "\n")
    assert "on 1 row of one.csv" in chainrule("evaluate", species, "one.csv").stdout
