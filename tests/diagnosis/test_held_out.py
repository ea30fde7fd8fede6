"""The rule of the held-out rows: what they tell against a training, and what they do not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stories import FALLING, FAULTS, found, rows, story

from chainrule.diagnosis import diagnose
from chainrule.diagnosis.rules.held_out import Counts


def labelled(*labels, total=80):
    """A result with several labels a row: rows, predicted, right and the area of each."""
    keys = ("rows", "predicted", "right", "roc_auc")
    held = [{"name": "", **dict(zip(keys, label, strict=True))} for label in labels]
    return {"test_rows": total, "labels": held}


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 30))
def test_labels_that_do_not_follow_are_found_and_those_that_do_are_not(seed, count):
    rng = np.random.default_rng(seed)
    true = rng.random((4000, count)) < rng.uniform(0.05, 0.95, count)
    for told, none in ((true, False), (~true, True)):
        held = [(int(t.sum()), int(p.sum()), int((t & p).sum()), None)
                for t, p in zip(true.T, told.T, strict=True)]  # fmt: skip
        assert bool(found("held-out", story(result=labelled(*held, total=4000)))) is none


TELLS = {
    "numbers": {"test_rows": 90, "test_r2": 0.1, "test_mae": 5.0, "guess_mae": 4.0},
    "one wild row": {"test_rows": 90, "test_r2": -3.0, "test_mae": 2.0, "guess_mae": 4.0},
    "few rows": {"test_rows": 30, "test_r2": -3.0, "test_mae": 5.0, "guess_mae": 4.0},
    "right": {"confusion": [[40, 5], [4, 30]]},
    "a rare class, ranked well": {"confusion": [[900, 0], [20, 0]], "test_roc_auc": 0.9},
    "a rare class, often found": {"confusion": [[860, 40], [10, 20]]},
    "few rows of two classes": {"confusion": [[8, 9], [9, 8]]},
    "one class": {"confusion": [[90, 0], [0, 0]]},
    "not said": {"test_r2": -1.0},
    "labels": labelled((40, 41, 33, 0.9), (10, 8, 6, 0.9)),
    "rare labels, ranked well": labelled((4, 0, 0, 0.9), (5, 0, 0, 0.85)),
    "one label of many": labelled((40, 41, 35, 0.95), *[(40, 40, 20, 0.5)] * 60),
    "many labels, each a little": labelled(*[(40, 40, 22, 0.56)] * 20),
    "few rows with labels": labelled((10, 10, 5, 0.5), total=20),
    "labels that all or none have": labelled((80, 80, 80, None), (0, 0, 0, None)),
    "labels that are none": labelled((90, 41, 20, 0.5)),
}


@pytest.mark.parametrize("case", TELLS)
def test_held_out_rows_that_tell_something_else(case):
    assert not found("held-out", story(result=TELLS[case]))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(60, 2000), k=st.integers(2, 5))
def test_agreement_is_that_of_answers_dealt_out_at_random(seed, rows, k):
    rng = np.random.default_rng(seed)
    true, told = rng.integers(0, k, rows), np.sort(rng.integers(0, k, rows))
    right = [int((true == rng.permutation(told)).sum()) for _ in range(300)]
    matrix = [[int(((true == a) & (told == b)).sum()) for b in range(k)] for a in range(k)]
    of = Counts.of(matrix)
    got = (of.right - np.mean(right)) / np.std(right)
    assert of.agreement == pytest.approx(got, abs=0.25 + 0.25 * abs(got))


@pytest.mark.parametrize("index", range(4))
def test_a_short_training_is_not_judged_by_its_held_out_rows(index):
    held = FAULTS["held-out"][index].result
    few = [{**row, "step": i + 1} for i, row in enumerate(rows(FALLING[:4]))]
    assert not found("held-out", story(rows=few, result=held))
    assert found("held-out", story(rows=few, result=held), steps=4)
    assert found("held-out", story(rows=few, result=held), epochs=4)
    flat = [{**row, "loss": 2.2} for row in rows(FALLING)]
    assert "not even the training rows" in found("held-out", story(rows=flat, result=held))[0].cause


def test_it_is_asked_where_rows_were_held_out():
    assert "held out to the end" in diagnose(story()).skipped["held-out"]
    assert "held-out" in diagnose(story(result=TELLS["right"])).asked
