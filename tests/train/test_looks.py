"""The numbers of a look, and the lines that hold them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import chainrule
from chainrule import nn
from chainrule.errors import FormatError
from chainrule.train.watch import Layer, Look, read_looks
from chainrule.train.watch.look import BINS, FILE, _look
from chainrule.train.watch.numbers import bins, norm, twins
from chainrule.train.watch.start import class_counts, expected_loss

floats = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(floats, max_size=50))
@example([0.0, 1.401298464324817e-45])
def test_a_histogram_counts_every_finite_value(values):
    found = bins(np.array(values, np.float32))
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        assert found is None
        return
    assert (found.low, found.high) == (min(finite), max(finite))
    assert len(found.counts) == BINS
    assert sum(found.counts) == len(finite)


def test_a_histogram_agrees_with_numpy():
    values = np.random.default_rng(0).normal(size=5000)
    assert bins(values).counts == np.histogram(values, BINS)[0].tolist()


def test_a_norm_does_not_overflow():
    assert np.isclose(norm(np.full(4, 1e30, np.float32)), 2e30)
    assert np.isclose(norm(np.full(4, 1e-30, np.float32)), 2e-30)


def test_twins_are_equal_in_weights_and_gradients():
    w = np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0], [0.0, -0.0], [0.0, 0.0]])
    assert twins([w], [np.ones((5, 2))]) == [[0, 2], [3, 4]]
    assert twins([w], [np.arange(10.0).reshape(5, 2)]) == []


@given(st.floats(allow_nan=True, allow_infinity=True), st.none() | floats)
def test_a_line_can_be_read_again(value, other):
    look = Look(1, 1, 0.1, value, 0.5, other, [Layer("<script>", "Linear", std=value, grad=other)])
    line = json.dumps(look.to_json(), allow_nan=False)
    assert "NaN" not in line
    assert repr(_look(json.loads(line))) == repr(look)


@pytest.mark.parametrize(
    "line",
    ["[]", "{}", '{"step": "1"}',
     '{"step":1,"epoch":1,"lr":0.1,"loss":1,"overhead":0,"layers":[7]}',
     '{"step":1,"epoch":1,"lr":"big","loss":1,"overhead":0,"layers":[]}',
     '{"step":1,"epoch":1,"lr":0.1,"loss":1,"overhead":0,"layers":[{"name":3}]}'],
)  # fmt: skip
def test_what_is_no_look_is_refused(tmp_path, line):
    (tmp_path / FILE).write_text(line + "\n")
    with pytest.raises(FormatError, match=f"{FILE}:1"):
        read_looks(tmp_path)


def test_no_looks_where_nobody_looked(tmp_path):
    assert read_looks(tmp_path) == []


@pytest.mark.parametrize(
    ("loss", "y", "expected"),
    [
        (nn.CrossEntropyLoss(), np.array([0, 1, 2]), math.log(4)),
        (nn.functional.cross_entropy, np.array([0, 1, 2]), math.log(4)),
        (nn.BCEWithLogitsLoss(), np.zeros((3, 4)), math.log(2)),
        (nn.MSELoss(), np.array([[1.0], [2.0], [6.0]]), 14 / 3),
        (nn.L1Loss(), np.array([[1.0], [2.0], [6.0]]), 5 / 3),
        (nn.MSELoss(reduction="sum"), np.zeros((3, 1)), None),
        (nn.MSELoss(), np.ones((3, 1)), None), (nn.SmoothL1Loss(), np.ones((3, 1)), None),
        (nn.CrossEntropyLoss(), np.full((3, 4), 0.25), None),
    ],
)  # fmt: skip
def test_what_an_ignorant_answer_costs(loss, y, expected):
    found = expected_loss(loss, chainrule.zeros(3, 4), y)
    assert found is None if expected is None else np.isclose(found[0], expected)


def test_classes_are_counted():
    assert class_counts(np.array([0, 2, 2])) == [1, 0, 2]
    for y in (np.array([0.5]), np.array([[0], [1]]), np.array([-100, 1]), np.array([], int)):
        assert class_counts(y) is None
