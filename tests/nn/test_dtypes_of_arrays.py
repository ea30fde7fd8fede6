"""Arrays of a pickle or a mapped file have a dtype that equals NumPy's and is another object."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from test_summary import given

from chainrule.tensor.core import wrap
from made_modules import MADE, MODULES


def other(t):
    """The same tensor with such a dtype."""
    found = wrap(pickle.loads(pickle.dumps(t.numpy())))
    assert found._value.dtype is not t._value.dtype
    return found


def numbers(y):
    """All that a module gives, as arrays."""
    if isinstance(y, tuple):
        return [a for part in y for a in numbers(part)]
    return [] if y is None else [np.array(y.detach())]


@pytest.mark.parametrize("name", [n for n in MODULES if MADE[n][1] is not None])
def test_every_module_takes_them(name):
    make, shapes = MADE[name]
    model, x = make(MODULES[name]).eval(), given(shapes)
    for a, b in zip(numbers(model(*x)), numbers(model(*map(other, x))), strict=True):
        np.testing.assert_array_equal(a, b)
