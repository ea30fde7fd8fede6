"""Predicted amounts on the page: the numbers are those of the metrics, and what has no chart."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.report import amounts
from chainrule.report.amounts import MOST, Amounts
from chainrule.report.build import build
from chainrule.report.charts import said
from chainrule.report.subject import verdict_of
from chainrule.train.metrics import METRICS
from report_cases import full_subject

number = st.floats(-1e3, 1e3, width=32)


def scored(name, predicted, true):
    metric = METRICS[name]()
    metric.update(predicted, true)
    return metric.compute()


def several(count, rows=20):
    rng = np.random.default_rng(count)
    true, predicted = rng.normal(size=(2, rows, count))
    return [Amounts(f"t{k}", true[:, k], true[:, k] + predicted[:, k] / 4,
                    [f"row {i}" for i in range(rows)], 0.5) for k in range(count)]  # fmt: skip


@given(st.lists(st.tuples(number, number), min_size=2, max_size=30))
def test_one_target_has_the_numbers_of_the_metrics(pairs):
    true, predicted = np.array(pairs).T
    a = Amounts("y", true, predicted, [str(i) for i in range(len(true))], 3.0)
    assert a.of_mean == pytest.approx(scored("rmse", np.full(len(true), 3.0), true))
    assert a.rmse == pytest.approx(scored("rmse", predicted, true))
    assert a.score("r2") == scored("r2", predicted, true)
    chart = amounts.against(a, "amounts-0")
    assert f"explained: {said(a.score('r2'))};" in chart.summary


def test_several_targets_have_the_mean_of_theirs_and_the_page_names_the_difference(tmp_path):
    held = several(MOST + 2)
    true, predicted = (np.stack([getattr(a, k) for a in held], 1) for k in ("true", "predicted"))
    r2, rmse = (scored(n, predicted, true) for n in ("r2", "rmse"))
    assert np.mean([a.score("r2") for a in held]) == pytest.approx(r2)
    s = full_subject(
        tmp_path, held=None, model=None, amounts=held, result={"test_r2": r2, "test_rmse": rmse}
    )
    page = build(s)
    assert f"<dt>held-out r2, the mean over {len(held)} targets</dt><dd>{said(r2)}</dd>" in page
    assert f"<dt>held-out rmse, the mean over {len(held)} targets</dt><dd>{said(rmse)}</dd>" in page
    assert "Without a chart: t4, t5." in page
    for a in held:
        cells = (a.name, *map(said, (a.rmse, a.score("mae"), a.score("r2"), a.of_mean)))
        assert re.search(r"<tr>" + "".join(f"<td[^>]*>{re.escape(c)}</td>" for c in cells), page)
    sentence = verdict_of(s).sentence
    assert f": t0 {said(held[0].rmse)} ({said(held[0].of_mean)}), t1 " in sentence
    assert sentence.endswith(", and 2 more in the results.")


def test_the_verdict_of_one_amount_is_a_sentence(tmp_path):
    (a,) = several(1)
    s = full_subject(tmp_path, held=None, model=None, amounts=[a])
    assert verdict_of(s).sentence == (
        f"On 20 held-out rows the predicted t0 is off by {said(a.rmse)} (root mean square); the "
        f"mean of the rows learned from would be off by {said(a.of_mean)}."
    )
    assert "Without a chart" not in build(s)


@pytest.mark.parametrize(("predicted", "r2"), [(0.1, 1), (0.2, 0)])
def test_of_equal_targets_all_is_explained_or_nothing(predicted, r2):
    """The mean of three times 0.1 is not 0.1 in binary numbers."""
    a = Amounts("y", np.full(3, 0.1), np.full(3, predicted), ["a", "b", "c"], 0.1)
    assert a.score("r2") == r2
    assert f"explained: {r2};" in amounts.against(a, "amounts-0").summary


def test_a_single_row_has_no_share(tmp_path):
    one = [Amounts(n, np.array([2.0]), np.array([1.5]), ["row 1"], 1.0) for n in "ab"]
    assert one[0].score("r2") is None
    page = build(full_subject(tmp_path, held=None, model=None, amounts=one))
    assert "explained: not computed;" in page
