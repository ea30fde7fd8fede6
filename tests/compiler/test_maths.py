"""The spelled functions: their error over all numbers, and what they give at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.ops import REGISTRY
from compiler.spelled import evaluate, ulp_error

BOUNDS = {
    "exp": (1, 1),
    "log": (1, 1),
    "tanh": (2.5, 3),
    "sigmoid": (2.5, 2.5),
    "rsqrt": (1.5, 1.5),
}


def exact(name, x):
    """A reference, computed in a type that is wider than what is tested."""
    with np.errstate(all="ignore"):
        return np.asarray(REGISTRY[name].forward(x.astype(np.float64)))


@pytest.mark.parametrize("name", BOUNDS)
def test_float32_is_within_its_bound_over_its_whole_range(name):
    x = np.arange(0, 1 << 32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    y = evaluate(name, x)
    assert ulp_error(y, exact(name, x)).max() <= BOUNDS[name][0]


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, 7, -1, -2, 0.5, -0.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_known_exponent(exponent, dtype):
    x = np.array([0.0, -0.0, 1, -1, 2, -3, 1.7, np.inf, -np.inf, np.nan], dtype)
    with np.errstate(all="ignore"):
        wanted = np.power(x, dtype(exponent)) if exponent != 0.5 else np.sqrt(x)
    np.testing.assert_allclose(evaluate("pow", x, number=exponent), wanted, rtol=1e-6)
