"""Trainings on a table: what can be said of it, what is kept of them, and how far they are."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from cli_cases import PENGUINS, QUICK

from chainrule.train import open_run


def test_names_and_labels_can_be_said(chainrule, own_folder):
    rows = "".join(f"{i % 7}.5,{'a b' if i % 2 else 'b c'}\n" for i in range(40))
    Path("a.csv").write_text(rows)
    words = ("train", "a.csv", "--target", "column_2", "--no-header", "--separator", "space")
    told = json.loads(chainrule(*words, *QUICK, "--json").stdout)
    assert "multilabel" in told["columns"][0]
    again = ("train", "--config", "runs/a-0001/config.toml", "--no-report", "-q")
    assert chainrule(*again).exit_code == 0


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


def test_one_row_is_one_row(chainrule, species):
    Path("one.csv").write_text("\n".join(PENGUINS.splitlines()[:2]) + "\n")
    assert "on 1 row of one.csv" in chainrule("evaluate", species, "one.csv").stdout
