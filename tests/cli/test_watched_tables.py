"""A run of a table as `chainrule diagnose` sees it: its layers, and whether it has learned."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from cli_cases import refused

from chainrule import schemas
from chainrule.report.charts import said
from chainrule.train.tabular.folds import held_out_of
from chainrule.train.watch import read_looks

QUICK = ("--epochs", "3", "--layers", "8", "--folds", "2")


@pytest.mark.slow
def test_a_network_that_is_no_better_than_a_guess_is_not_called_healthy(chainrule, penguins):
    quick = ("--epochs", "20", "--layers", "32", "--folds", "2", "--no-report", "-q")
    for target in ("species", "body_mass_g"):
        words = ("train", penguins, "--target", target, "--skip-missing", *quick)
        assert chainrule(*words).exit_code == 0
        assert "healthy" in chainrule("diagnose", "penguins").stdout
    path = Path("runs/penguins-0002/result.json")
    result = json.loads(path.read_text())
    jsonschema.validate(result, schemas.schema("result"))
    assert result["test_rows"] == 68
    path.write_text(json.dumps({**result, "test_r2": -0.1, "test_mae": result["guess_mae"]}))
    said = chainrule("diagnose", "penguins")
    assert said.exit_code == 1
    assert "r2 -0.1 on 68 held-out rows" in " ".join(said.stdout.split())


def test_a_run_of_a_table_is_watched_inside(chainrule, penguins):
    words = ("train", penguins, "--target", "species", *QUICK, "--watch-every", "1")
    assert chainrule(*words).exit_code == 0
    looks = read_looks("runs/penguins-0001")
    assert [look.step for look in looks] == [1, 2, 4]
    for line in Path("runs/penguins-0001/layers.jsonl").read_text().splitlines():
        jsonschema.validate(json.loads(line), schemas.schema("layers"))
    config = json.loads(Path("runs/penguins-0001/config.json").read_text())
    jsonschema.validate(config, schemas.schema("config"))
    found = json.loads(chainrule("diagnose", "penguins", "--json").stdout)
    skipped = {"loss-at-init", "dead-relu", "saturated", "overfit", "underfit", "batch-leak",
               "loss-oscillating", "held-out", "unchanged-weight"}  # fmt: skip
    assert set(found["skipped"]) == skipped
    assert found["skipped"]["overfit"] == "no validation loss in the log"
    assert "linear.0" in Path("runs/penguins-0001/report.html").read_text()


def test_what_is_advised_to_a_run_of_a_table_can_be_typed(chainrule, species):
    path = Path("runs", species, "result.json")
    held = {**json.loads(path.read_text()), "error": "the loss is not finite", "advised_lr": 0.004}
    path.write_text(json.dumps(held))
    found = json.loads(chainrule("diagnose", species, "--json").stdout)
    jsonschema.validate(found, schemas.schema("diagnosis"))
    (finding,) = [f for f in found["findings"] if f["id"] == "exploding"]
    typed = f"chainrule train --config runs/{species}/config.toml --lr 0.004"
    assert finding["fixes"] == [{"text": "lr=0.004", "changes": {"lr": 0.004}, "command": typed}]
    assert typed in chainrule("diagnose", species).stdout
    assert chainrule("report", species).exit_code == 0
    page = Path("runs", species, "report.html").read_text()
    assert typed in page.replace("</span> <span>", " ")
    assert "--try" not in page, "that is for runs of data sets"
    assert chainrule(*typed.split()[1:], "--no-save", "-q").exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize(("target", "lr"), [("species", "1e30"), ("body_mass_g", "1e4")])
def test_a_run_that_diverged_says_so_and_is_known_for_it(chainrule, penguins, target, lr):
    quick = ("--epochs", "20", "--layers", "32", "--folds", "2", "-q")
    words = ("train", penguins, "--target", target, "--skip-missing", "--lr", lr, *quick)
    unsaved = refused(chainrule(*words, "--no-save"), 1)
    assert "not finite any more" in unsaved
    told = refused(chainrule(*words), 1)
    assert told.startswith(unsaved.rstrip())
    assert "chainrule diagnose penguins-0001" in told
    result = json.loads(Path("runs/penguins-0001/result.json").read_text())
    jsonschema.validate(result, schemas.schema("result"))
    assert result["advised_lr"] < float(lr)
    assert "failed" in chainrule("runs").stdout
    assert "not finite any more" in Path("runs/penguins-0001/report.html").read_text()
    found = chainrule("diagnose", "penguins", "--json")
    assert found.exit_code == 1
    assert "exploding" in {f["id"] for f in json.loads(found.stdout)["findings"]}
    again = chainrule("train", "--resume", "penguins", "-q")
    assert "can't go on" in again.stderr
    assert json.loads(Path("runs/penguins-0001/result.json").read_text()) == result


@pytest.mark.slow
def test_the_page_of_amounts_says_what_the_terminal_says(chainrule, penguins):
    words = ("train", penguins, "--target", "body_mass_g", "--skip-missing", "--json",
             "--epochs", "20", "--layers", "8", "--folds", "1")  # fmt: skip
    told = json.loads(chainrule(*words).stdout)
    page = Path("runs/penguins-0001/report.html").read_text()
    for name, value in told["evaluation"]["scores"].items():
        assert f"<dt>held-out {name}</dt><dd>{said(value)}</dd>" in page
    config = json.loads(Path("runs/penguins-0001/config.json").read_text())["config"]
    learned = told["rows"] - held_out_of(told["rows"], 0.2)
    assert config["batch"] == learned < config["table"]["batch_size"] == 256
    assert f"<dt>batch size</dt><dd>{learned}</dd>" in page
    assert "Not on this page, since the networks of a table are not worked by hand:" in page
    for gone in ('id="example"', 'id="optimizer"', 'id="graph"', 'id="units-table"', "(dashed)",
                 "One step explained"):  # fmt: skip
        assert gone not in page
    assert "outside the usual pace at 1 of 1 look" not in page


def test_only_runs_of_data_sets_are_trained_again_from_their_start(chainrule, penguins):
    words = ("train", penguins, "--target", "species", *QUICK, "--no-report", "-q")
    assert chainrule(*words).exit_code == 0

    def told(fix):
        tried = " ".join(refused(chainrule("diagnose", "penguins", "--try")).split())
        asked = " ".join(refused(chainrule("whatif", "penguins", "--lr", "1")).split())
        assert fix in tried.split(" try ")[1]
        assert fix in asked.split(" try ")[1]
        assert asked.split(" try ")[0].replace("whatif: ", "--try: ") == tried.split(" try ")[0]
        return tried

    settings = "chainrule train --config runs/penguins-0001/config.toml"
    assert "penguins-0001 is a run of a table" in told(settings)
    path = Path("runs/penguins-0001/config.json")
    path.write_text(path.read_text().replace('"table":', '"other":'))
    assert "was not made by `chainrule train`" in told("in Python, chainrule.")
