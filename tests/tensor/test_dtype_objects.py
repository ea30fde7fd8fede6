"""NumPy has several objects for one dtype; which of them an array carries changes nothing."""

import numpy as np
import pytest

import chainrule
from chainrule import dtypes
from chainrule.tensor.core import wrap


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_equal_dtypes_meet(dtype):
    other = np.dtype(dtype.str) if dtype.itemsize == 1 else dtype.newbyteorder("<")
    x = wrap(np.ones(3, other))
    y = wrap(np.ones(3, dtype))
    assert chainrule.equal(x == y, chainrule.tensor([True, True, True]))
    assert (x * y).dtype == dtype
