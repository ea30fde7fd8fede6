"""Several labels a row: counts against scikit-learn's and by hand, the worst rows, the page."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.errors import ArgumentError, StateError
from chainrule.report import labels
from chainrule.report.build import build
from chainrule.report.labels import MOST, WORST, Labels
from chainrule.report.subject import verdict_of
from chainrule.train.metrics import over_labels
from report_cases import HOSTILE, full_subject


def made(true, p, names=None):
    true, p = np.asarray(true), np.asarray(p, np.float64)
    names = names or tuple(f"label{k}" for k in range(true.shape[1]))
    return Labels(true, p, names, lambda i: f"row {i}: x {i / 2}")


@given(
    rows=st.lists(
        st.tuples(*[st.tuples(st.booleans(), st.floats(0, 1, width=16))] * 3), min_size=1,
        max_size=20,
    )
)  # fmt: skip
def test_counts_and_scores_are_those_of_scikit_learn(rows):
    metrics = pytest.importorskip("sklearn.metrics")
    held = np.array(rows, np.float64)
    h = made(held[:, :, 0], held[:, :, 1])
    wanted = metrics.precision_recall_fscore_support(h.wanted, h.predicted, zero_division=0)
    for f, precision, recall, f1, count in zip(h.each(), *wanted, strict=True):
        assert (f.precision or 0.0, f.recall or 0.0) == pytest.approx((precision, recall))
        assert (f.f1 or 0.0, f.rows) == pytest.approx((f1, count))
        assert (f.precision is None, f.recall is None) == (not f.predicted, not f.rows)
    assert h.f1 == pytest.approx(wanted[2].mean())
    assert h.rows_right == pytest.approx(
        metrics.accuracy_score(h.wanted, h.predicted, normalize=False)
    )
    assert h.labels_right == pytest.approx(1 - metrics.hamming_loss(h.wanted, h.predicted))


def test_the_worst_rows_and_what_is_wrong_with_them():
    h = made([[1, 0], [0, 0], [1, 1], [0, 1]], [[0.1, 0.7], [0.2, 0.5], [0.9, 0.9], [0.0, 0.0]])
    assert h.worst() == [3, 0, 1, 2]
    assert math.isinf(h.losses[3])
    assert h.losses[0] == pytest.approx(-(math.log(0.1) + math.log(0.3)) / 2)
    assert h.wrong(0) == "missed label0 (0.1), added label1 (0.7)"
    assert h.wrong(1) == "all labels right"
    assert h.wrong(3) == "missed label1 (0)"
    many = made(np.zeros((WORST + 3, 9)), np.full((WORST + 3, 9), 0.75))
    assert len(many.worst()) == WORST
    assert many.wrong(0).count("added") == MOST
    assert many.wrong(0).endswith(" and 3 more")


def test_the_table_says_what_there_is_not():
    chart = labels.table(made([[1, 0, 0], [1, 0, 0]], [[0.9, 0.2, 0.8], [0.2, 0.1, 0.3]]))
    assert chart.rows == [
        ["label0", 2, 1, 1, 1.0, 0.5, 2 / 3],
        ["label1", 0, 0, 0, labels.NEVER, labels.NO_ROWS, labels.NO_ROWS],
        ["label2", 0, 1, 0, 0.0, labels.NO_ROWS, 0.0],
    ]
    assert "label2: 0 of the 0 rows that have it, and 1 that don't" in chart.here
    none = labels.table(made([[0, 0]], [[0.1, 0.1]]))
    assert none.here == "No label is in a row, and none is predicted."


def test_the_page_of_labels(tmp_path):
    rng = np.random.default_rng(0)
    true = rng.random((30, 3)) < 0.4
    h = made(true, np.clip(true * 0.6 + rng.random((30, 3)) * 0.4, 0, 1), ("red", HOSTILE, "blue"))
    s = full_subject(tmp_path, held=None, labels=h, model=None, no_model="a table's")
    page = build(s)
    assert '<table id="labels-table">' in page
    assert "12 rows with the highest loss" in page
    assert "row 0: x 0.0" in page or f"row {h.worst()[0]}: x" in page
    assert HOSTILE not in page.split("<script", 1)[0]
    assert f"{h.rows_right} of 30 held-out rows have all labels right" in verdict_of(s).sentence
    broken = dataclasses.replace(h, p=np.full((30, 3), np.nan))
    assert "no finite number" in build(dataclasses.replace(s, labels=broken))


@given(
    rows=st.lists(
        st.tuples(*[st.tuples(st.booleans(), st.sampled_from([0.1, 0.4, 0.6, 0.9]))] * 3),
        min_size=1, max_size=20,
    )
)  # fmt: skip
def test_means_over_labels_are_those_of_the_page(rows):
    """`over_labels`, by which networks are chosen, against the counts of each label."""
    true, p = (np.array([[cell[i] for cell in row] for row in rows], float) for i in (0, 1))
    h = made(true, p)
    assert over_labels("f1", p, true, 0.5) == pytest.approx(h.f1)
    assert over_labels("accuracy", p, true, 0.5) == h.labels_right
    for name in ("precision", "recall"):
        mean = np.mean([getattr(label, name) or 0.0 for label in h.each()])
        assert over_labels(name, p, true, 0.5) == pytest.approx(mean)
    logits = np.log(p / (1 - p))
    assert over_labels("f1", logits, true) == over_labels("f1", p, true, 0.5)


def test_what_is_no_metric_of_labels_is_refused():
    with pytest.raises(ArgumentError, match=r"no metric of labels(.|\n)*roc_auc"):
        over_labels("rmse", np.zeros((2, 2)), np.zeros((2, 2)))
    with pytest.raises(StateError, match="none of 2 labels has both"):
        over_labels("roc_auc", np.zeros((2, 2)), np.zeros((2, 2)))
