"""`chainrule evaluate`: scores, and what is said where there can be none."""

from __future__ import annotations

import json
import math

import jsonschema
import numpy as np
import pytest
from cli_cases import refused

from chainrule import schemas
from chainrule.cli.evaluate import (
    OF_CLASSES,
    OF_NUMBERS,
    interval,
    lines_of,
    of_classes,
    of_labels,
    of_numbers,
)
from chainrule.cli.terminal import Terminal, text_of
from chainrule.report.amounts import Amounts
from chainrule.report.charts import figure, percent
from chainrule.report.labels import Labels
from chainrule.train import metrics, open_run

rng = np.random.default_rng(0)
OF_LABELS = {"f1", "labels_right", "rows_right"}


def test_scores_are_those_of_the_training(chainrule, xor_run):
    found = json.loads(chainrule("evaluate", xor_run, "--json").stdout)
    result = open_run(xor_run).result
    assert found["scores"]["accuracy"] == result["test_accuracy"]
    assert found["scores"]["log_loss"] == pytest.approx(result["test_loss"], rel=1e-5)
    assert found["matrix"] == result["confusion"]
    assert set(found["scores"]) == set(OF_CLASSES)
    assert "roc auc" in chainrule("evaluate", xor_run).stdout


def amounts_of(rng, count, rows=50):
    true, predicted = 10 ** np.arange(count) * rng.normal(size=(2, rows, count))
    return [Amounts(f"t{k}", true[:, k], predicted[:, k], ["a row"] * rows, 0.25)
            for k in range(count)]  # fmt: skip


def test_several_amounts_have_scores_of_their_own_and_their_mean():
    rng = np.random.default_rng(0)
    held = of_numbers("a-0001", "rows", amounts_of(rng, 3))
    jsonschema.validate(held.to_json(), schemas.schema("evaluation"))
    for name, value in held.scores.items():
        assert value == pytest.approx(np.mean([t[name] for t in held.targets]))
    assert held.of_mean == pytest.approx(np.mean([t["mean_rmse"] for t in held.targets]))
    lines = [text_of(x) for x in lines_of(held, Terminal(80))]
    assert any(x.startswith("rmse (mean over targets)") for x in lines)
    assert [x.split()[0] for x in lines[-3:]] == ["t0", "t1", "t2"]
    assert lines[-1].split()[1:] == [f"{held.targets[2][k]:.4g}" for k in
                                     ("rmse", "mae", "r2", "mean_rmse")]  # fmt: skip
    plain = [text_of(x) for x in lines_of(held, Terminal(200, plain=True))]
    assert plain[-1].startswith("Target t2: rmse ")
    one = of_numbers("a-0001", "rows", amounts_of(rng, 1))
    assert "(the mean of the rows learned from: " in " ".join(
        text_of(x) for x in lines_of(one, Terminal(80))
    )


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("seed", [0, 10])  # 10: two digits in both places, 58.8 per cent
def test_lines_fit(width, plain, seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), 50)
    for held in (
        of_classes("a-0001", "rows", p, rng.integers(0, 3, 50), ("x", "yy", "zzz")),
        of_numbers("a-0001", "rows", amounts_of(rng, 1)),
        of_numbers("a-0001", "rows", amounts_of(rng, 3)),
        of_labels(
            "a-0001",
            "rows",
            Labels(
                rng.integers(0, 2, (50, 4)),
                rng.integers(0, 9, (50, 4)) / 8,
                ("x", "never", "a b", "z" * 30),
                "a.csv, line {}: a cell and another".format,
            ),
        ),
    ):
        lines = [text_of(x) for x in lines_of(held, Terminal(width, plain=plain))]
        assert all(len(line) <= width for line in lines)
        json.dumps(held.to_json(), allow_nan=False)
        assert set(held.scores) in (set(OF_CLASSES), set(OF_NUMBERS), OF_LABELS)
        assert all(math.isfinite(v) for v in held.scores.values())


def test_sure_of_what_is_wrong_and_classes_without_rows():
    p = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    held = of_classes("a", "rows", p, np.array([1, 1]), ("0", "1", "2"))
    assert held.scores["roc_auc"] is None
    assert held.scores["log_loss"] == pytest.approx(745 / 2)
    lines = [text_of(x) for x in lines_of(held, Terminal())]
    assert any("- (some classes have no row" in line for line in lines)
    assert sum(line.endswith("no rows") for line in lines) == 2, "no share of no rows"
    plain = [text_of(x) for x in lines_of(held, Terminal(plain=True))]
    assert "Class 0: 0 of 0 right, no rows." in plain
    assert "Class 1: 1 of 2 right, 50.0 per cent." in plain


def test_what_is_said_of_amounts_and_of_nearly_all():
    one = of_numbers("a", "rows", amounts_of(np.random.default_rng(0), 1, rows=1))
    lines = [text_of(x) for x in lines_of(one, Terminal())]
    assert "r2    - (it takes two rows or more)" in lines
    assert lines[0] == "a on 1 row"
    wide = [Amounts("price", np.array([0.0, 1e6]), np.array([2e5, 8e5]), ["", ""], 7.5e5)]
    told = "\n".join(text_of(x) for x in lines_of(of_numbers("a", "rows", wide), Terminal()))
    assert "rmse  200000  (the mean of the rows learned from: 559017)" in told
    assert [figure(v) for v in (0.99997, 1.0, 0.9, 999.96)] == ["0.99997", "1", "0.9", "1000"]
    assert [percent(v, 2) for v in (1.0, 0.999999, 0.5)] == ["100.00 %", "99.9999 %", "50.00 %"]


def test_labels_are_told_one_by_one():
    h = Labels(np.array([[1, 0], [1, 0]]), np.array([[0.9, 0.1], [0.25, 0.5]]), ("big", "rare"),
               "line {}: x".format)  # fmt: skip
    held = of_labels("a", "rows", h)
    said = [text_of(x) for x in lines_of(held, Terminal())]
    assert "label    rows  predicted   right  precision  recall      f1" in said
    assert "big         2          1       1     1.0000  0.5000  0.6667" in said
    assert "rare        0          0       0          -       -       -" in said
    at = said.index("  missed big (0.25); loss 1.04")
    assert said[at + 1] == "  line 1: x"
    plain = " ".join(text_of(x) for x in lines_of(held, Terminal(plain=True)))
    assert "Label big: in 2 rows, predicted in 1, right in 1; precision 1.0000, recall" in plain


def test_the_interval_holds_the_truth_as_often_as_it_says():
    right = rng.binomial(80, 0.9, 4000)
    inside = [low <= 0.9 <= high for low, high in (interval(k, 80) for k in right.tolist())]
    assert 0.93 < np.mean(inside) < 0.98
    assert interval(0, 5)[0] == pytest.approx(0, abs=1e-12)
    assert interval(5, 5)[1] == pytest.approx(1, abs=1e-12)


def test_every_score_is_a_metric():
    assert {*OF_CLASSES, *OF_NUMBERS} <= set(metrics.METRICS)


def test_refusals(chainrule):
    refused(chainrule("evaluate", "nope"))
