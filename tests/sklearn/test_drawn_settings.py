"""Settings drawn at random: each fit is scikit-learn's, epoch by epoch."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_same_as_scikit_learn import TASKS, both, check_alike, check_predictions, quietly

SHARES = st.floats(0.05, 0.95)
DRAWN = {
    "hidden_layer_sizes": st.lists(st.integers(1, 9), max_size=3).map(tuple),
    "activation": st.sampled_from(["identity", "logistic", "tanh", "relu"]),
    "solver": st.sampled_from(["adam", "sgd"]),
    "alpha": st.floats(1e-6, 0.1),
    "batch_size": st.sampled_from(["auto", 7, 30, 50]),
    "learning_rate": st.sampled_from(["constant", "invscaling", "adaptive"]),
    "learning_rate_init": st.floats(1e-4, 0.02),
    "power_t": SHARES,
    "max_iter": st.integers(1, 40),
    "shuffle": st.booleans(),
    "random_state": st.integers(0, 99),
    "tol": st.sampled_from([0.0, 1e-6, 1e-3, 0.05]),
    "warm_start": st.booleans(),
    "momentum": SHARES,
    "nesterovs_momentum": st.booleans(),
    "early_stopping": st.booleans(),
    "validation_fraction": st.floats(0.1, 0.4),
    "beta_1": SHARES,
    "beta_2": SHARES,
    "epsilon": st.floats(1e-4, 1e-2),  # less would make steps of the rounding of tiny gradients
    "n_iter_no_change": st.integers(1, 8),
}


def check(task, fits, drawn):
    kind, data, own = TASKS[task]
    x, y = data()
    pair = both(kind, **drawn, **own)
    # its next fit writes into the best weights of the one before: they and coefs_ are one there
    aliased = drawn["warm_start"] and drawn["early_stopping"]
    for _ in range(1 if aliased else fits):
        for model in pair:
            quietly(model.fit, x, y)
        check_alike(*pair, 1e-7)
    check_predictions(*pair, x, 1e-7)


EXAMPLES = st.sampled_from(sorted(TASKS)), st.integers(1, 2), st.fixed_dictionaries(DRAWN)


@given(*EXAMPLES)
@settings(max_examples=5, deadline=None)
def test_any_settings(task, fits, drawn):
    check(task, fits, drawn)


@pytest.mark.slow
@given(*EXAMPLES)
@settings(max_examples=100, deadline=None)
def test_any_settings_at_length(task, fits, drawn):
    check(task, fits, drawn)
