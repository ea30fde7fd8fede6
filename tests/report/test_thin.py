"""Thinning keeps what a reader looks for: both ends, every series' extremes, every gap."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.report.thin import kept, smoothed

VALUES = st.lists(st.none() | st.floats(-1e9, 1e9) | st.just(math.nan), min_size=1, max_size=400)


def finite(values):
    return [v for v in values if v is not None and math.isfinite(v)]


@settings(max_examples=40)
@given(VALUES, st.integers(3, 60))
def test_extremes_and_ends_stay(values, most):
    places = kept([values, [-v if v is not None else None for v in values]], most)
    left = [values[i] for i in places]
    assert places == sorted(set(places))
    assert places[0] == 0
    assert places[-1] == len(values) - 1
    assert len(places) <= max(most, 8)
    if finite(values):
        assert max(finite(left)) == max(finite(values))
        assert min(finite(left)) == min(finite(values))
    lost = len(finite(values)) < len(values)
    assert lost == (len(finite(left)) < len(left))


def test_a_peak_of_one_step_in_100_000_stays():
    values = [0.0] * 100_000
    values[54_321] = 7.0
    assert 54_321 in kept([values], 300)


@settings(max_examples=30)
@given(VALUES, st.integers(0, 5))
def test_a_smoothed_line_stays_between_the_extremes(values, half):
    found = smoothed(values, half)
    assert len(found) == len(values)
    good = finite(values)
    span = max(map(abs, good), default=0.0) * len(values) * 1e-12
    for v in finite(found):
        assert min(good) - span <= v <= max(good) + span
    if half == 0:
        assert [v is None for v in found] == [v is None or math.isnan(v) for v in values]
