"""Machine code gives the numbers of eager steps: every layer, loss, function and optimizer."""

from __future__ import annotations

import numpy as np
import pytest
import test_jit_equals_eager as jit

import chainrule

pytestmark = [pytest.mark.native, pytest.mark.slow]
RTOL = {"float32": 3e-5, "float64": 1e-11}


def near(eager, compiled, dtype):
    assert (eager is None) == (compiled is None)
    if eager is None:
        return
    assert (eager.shape, eager.dtype) == (compiled.shape, compiled.dtype)
    a, b = eager.detach().numpy(), compiled.detach().numpy()
    finite = np.abs(a[np.isfinite(a)])
    scale = max(1.0, float(finite.max(initial=0.0)))
    np.testing.assert_allclose(b, a, rtol=RTOL[dtype], atol=RTOL[dtype] * scale, equal_nan=True)


@pytest.mark.parametrize(("case", "dtype"), jit.CASES)
def test_every_case(case, dtype):
    eager = jit.derive(case, dtype, jit.inputs_of(case, dtype))
    drawn = chainrule.get_rng_state()
    chainrule.manual_seed(0)
    step = chainrule.compile(lambda *tensors: jit.derive(case, dtype, tensors))
    compiled = step(*jit.inputs_of(case, dtype))
    assert chainrule.get_rng_state().equal(drawn)
    for a, b in zip(eager, compiled, strict=True):
        near(a, b, str(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("run", jit.optim_cases.RUNS, ids=lambda run: run.name)
def test_every_optimizer(run, dtype):
    rows, _, _ = jit.trained(run, dtype, False)
    compiled, _, _ = jit.trained(run, dtype, True)
    tolerance = {"float32": 2e-4, "float64": 1e-10}[dtype]
    np.testing.assert_allclose(compiled, rows, rtol=tolerance, atol=tolerance)
