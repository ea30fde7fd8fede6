"""`chainrule compare`: what differs, how it ended, and what chance may do."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path

import jsonschema
import pytest
from cli_cases import SMALL, refused

from chainrule import schemas
from chainrule.cli.compare import compared, lines_of
from chainrule.cli.terminal import Terminal, text_of
from chainrule.report.compare import endings, sign_test
from chainrule.report.subject import Subject
from chainrule.train import open_run


@pytest.fixture
def three(copied):
    """xor-0001, the same again, and one of another seed and rate."""
    words = ("train", "xor", *SMALL)
    copied(words, words, (*words, "--seed", "1", "--lr", "0.3"))
    return ["xor-0001", "xor-0002", "xor-0003"]


def test_it_says_what_differs_and_where_runs_part(chainrule, three):
    held = json.loads(chainrule("compare", *three, "--json").stdout)
    assert {c["choice"] for c in held["choices"]} == {"seed", "lr"}
    assert [o["run"] for o in held["outcomes"]] == three
    same, other, _ = held["pairs"]
    assert same["rows"]["first"] == same["rows"]["second"] == 0
    assert "Alike" in same["parting"]
    assert "Diverged" in other["parting"]
    assert other["rows"]["rows"] == 400
    said = chainrule("compare", *three[:2]).stdout
    assert "the same choices" in said
    assert "the same ones right" in " ".join(said.split())
    assert chainrule("report", three[0], three[2], "-o", "page.html").exit_code == 0
    page = Path("page.html").read_text()
    assert f"(probability {held['pairs'][1]['rows']['chance']:.2g})." in page
    assert '<th scope="col">validation loss</th>' in page


@pytest.mark.slow
def test_a_page_has_no_column_that_no_run_fills(chainrule, penguins):
    quick = ("--target", "species", *SMALL, "--layers", "8", "--folds", "2", "-q", "--no-report")
    for seed in "01":
        assert chainrule("train", penguins, *quick, "--seed", seed).exit_code == 0
    assert chainrule("report", "penguins-0001", "penguins-0002", "-o", "page.html").exit_code == 0
    page = Path("page.html").read_text()
    assert "validation loss" not in page
    assert '"gap"' not in page
    assert "held-out rows" in page, "in how many just one is right"


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("plain", [False, True])
def test_lines_fit(three, width, plain):
    held = compared([open_run(n) for n in three])
    lines = [text_of(x) for x in lines_of(held, Terminal(width, plain=plain))]
    if not plain:
        assert all(len(line) <= width for line in lines)
    assert all(any(n in line for line in lines) for n in three)


def test_runs_without_a_model_and_of_other_data(chainrule, three):
    assert chainrule("train", "moons", *SMALL).exit_code == 0
    (open_run("xor-0002").path / "model.safetensors").unlink()
    shutil.copytree("runs/xor-0001", "elsewhere/xor-0001")
    held = json.loads(chainrule("compare", "xor-0001", "xor-0002", "moons-0001", "--json").stdout)
    assert [p["rows"] for p in held["pairs"]] == [None] * 3
    assert chainrule("compare", "xor-0001", "elsewhere/xor-0001").exit_code == 0


@pytest.mark.slow
def test_runs_of_tables_with_other_data_or_targets_do_not_compare(chainrule, penguins):
    quick = (*SMALL, "--folds", "2", "-q", "--skip-missing", "--target")
    text = Path(penguins).read_text()
    Path("other.csv").write_text(text.replace("39.1", "39.2"))
    Path("copy.csv").write_text(text)
    for words in ((penguins, *quick, "sex"), ("other.csv", *quick, "sex"),
                  (penguins, *quick, "species"), ("copy.csv", *quick, "sex")):  # fmt: skip
        assert chainrule("train", *words).exit_code == 0
    Path(penguins).write_text(text.replace("39.1", "39.3"))
    assert chainrule("train", penguins, *quick, "sex").exit_code == 0
    said = {"other-0001": "from different data, penguins.csv and other.csv",
            "penguins-0003": "from different data, two versions of penguins.csv",
            "penguins-0002": "different targets, sex and species"}  # fmt: skip
    for name, words in said.items():
        (pair,) = json.loads(chainrule("compare", "penguins-0001", name, "--json").stdout)["pairs"]
        assert pair["parting"] == (
            f"They learn {words}: neither their layers nor their losses compare."
        )
        assert pair["rows"] is None
    (pair,) = json.loads(chainrule("compare", "penguins-0001", "copy-0001", "--json").stdout)[
        "pairs"
    ]
    assert "Alike" in pair["parting"]


def table_run(name, metric, **scores):
    target = {"names": ["y"], "metric": metric}
    config = {"table": {"data": "a.csv", "target": ["y"]}, "schema": {"target": target}}
    return Subject(name, config=config, result={"stopped": "epochs", **scores})


def test_the_metrics_asked_for_are_compared():
    auc = table_run("a", "roc_auc", test_accuracy=0.9, test_roc_auc=0.99)
    plain = table_run("b", "accuracy", test_accuracy=0.95, test_roc_auc=0.98, test_log_loss=0.1)
    tags = table_run("c", "recall", test_f1=0.8, test_recall=0.7, test_rows_right=0.5, labels=[])
    chart = endings(["a", "b", "c"], [auc, plain, tags])
    rows = [dict(zip(chart.columns, row, strict=True)) for row in chart.rows]
    assert [r["held-out roc auc"] for r in rows] == [0.99, 0.98, None]
    assert [r["held-out recall"] for r in rows] == [None, None, 0.7]
    assert [r["held-out f1"] for r in rows] == [None, None, 0.8]
    assert [r["held-out rows right"] for r in rows] == [None, None, 0.5]
    assert "held-out log loss" not in chart.columns, "nobody asked for it"
    held = {"runs": ["a", "b", "c"], "choices": [], "outcomes": rows, "pairs": []}
    jsonschema.validate(rows, schemas.schema("comparison")["properties"]["outcomes"])
    for width in (60, 120):
        lines = [text_of(x) for x in lines_of(held, Terminal(width))]
        assert any("held-out roc auc" in line for line in lines) or width < 100
        assert max(map(len, lines)) <= width


def test_refusals(chainrule, xor_run):
    for words in ((xor_run,), (xor_run, xor_run)):
        assert "two runs or more" in refused(chainrule("compare", *words))
    refused(chainrule("compare", xor_run, "nope"))


def test_the_sign_test_counts_all_splits():
    for n in range(1, 9):
        for ours in range(n + 1):
            uneven = abs(2 * ours - n)
            splits = [abs(2 * sum(s) - n) >= uneven for s in product((0, 1), repeat=n)]
            assert sign_test(ours, n - ours) == pytest.approx(sum(splits) / 2**n)
    assert sign_test(0, 0) == 1.0
