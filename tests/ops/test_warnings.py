"""No op lets NumPy's floating-point warnings out: inf and nan follow IEEE in silence."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from chainrule.ops import REGISTRY
from chainrule.tensor.core import wrap
from frozen import about

WILD = [np.inf, -np.inf, np.nan, 1e308, -1e308]


@pytest.mark.parametrize("name", REGISTRY)
def test_no_warning_escapes(name):
    for fill in ("mixed", *WILD):
        op, rng = REGISTRY[name], np.random.default_rng(1)
        for sample in op.samples(rng):
            inputs = [np.array(x) for x in sample.inputs]
            for x in inputs:
                if x.dtype.kind == "f":
                    x[...] = rng.choice(WILD, x.shape) if fill == "mixed" else fill
            with warnings.catch_warnings(), about(f"inputs of {fill}"):
                warnings.simplefilter("error")
                op(*[wrap(x) for x in inputs], **sample.params)
