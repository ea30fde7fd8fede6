"""Out of memory: the message says what did not fit and what would, and no step is half made."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from train_cases import bits

import chainrule
from chainrule import nn, optim
from chainrule.ops.core import REGISTRY
from chainrule.tensor import memory
from chainrule.tensor.memory import OutOfMemory
from chainrule.train import Trainer

X = np.linspace(-1, 1, 16 * 4, dtype=np.float32).reshape(16, 4)
FIT = {"batch_size": 8, "shuffle": False}
LIMITED = Path(__file__).with_name("limited.py")
POINTS = 20


def eager():
    chainrule.manual_seed(1)
    net = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 5), nn.Linear(5, 1))
    return Trainer(net, nn.MSELoss(), optim.Adam(net.parameters(), 0.01), seed=1, compile=False)


class Failing:
    """The n-th value that any op computes finds no memory."""

    def __init__(self, patch, at=None):
        self.at, self.count = at, 0
        for kind in {type(op) for op in REGISTRY.values()}:
            patch.setattr(kind, "forward", self.counted(kind.forward))

    def counted(self, forward):
        def run(op, *args, **params):
            self.count += 1
            if self.count - 1 == self.at:
                raise MemoryError
            return forward(op, *args, **params)

        return run


def test_no_step_is_half_made_whichever_value_finds_no_memory(monkeypatch):
    monkeypatch.setattr("chainrule.train.steps.free_bytes", lambda: 0)
    monkeypatch.setattr("chainrule.train.steps.LARGE", 0)
    with pytest.MonkeyPatch.context() as patch:
        counting = Failing(patch)
        t = eager()
        t.fit((X, X[:, :1]), steps=2, **FIT)
        before, second = bits(t), counting.count
        t.fit((X, X[:, :1]), steps=1, **FIT)
        values = counting.count - second
    assert values > POINTS
    for at in np.linspace(0, values - 1, POINTS).astype(int):
        t = eager()
        t.fit((X, X[:, :1]), steps=2, **FIT)
        with pytest.MonkeyPatch.context() as patch:
            Failing(patch, int(at))
            with pytest.raises(OutOfMemory):
                t.fit((X, X[:, :1]), steps=1, **FIT)
        assert bits(t) == before, f"value {at}"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is kept by Linux alone")
@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_under_a_limit_of_the_address_space(how):
    """At each of these limits the step either fits, or says by how much it does not."""
    command = [sys.executable, str(LIMITED), how, str(POINTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) >= POINTS - 3, "the BLAS of NumPy ends a process that has no memory left"
    refused = [f for f in found if f["said"] is not None]
    assert 5 < len(refused) < len(found), "with the most memory it fits"
    for f in refused:
        assert "nable to allocate" in f["said"]
        assert "shape" in f["said"]
        assert f["rows"] is None or f["rows"] < f["batch"]
        assert f["same"], "the weights are as before"
    assert sum(f["rows"] is not None for f in refused) > len(refused) / 2


def test_what_is_free_is_within_the_limit_of_the_address_space(monkeypatch):
    resource = pytest.importorskip("resource")
    if not memory.STATM.exists():
        pytest.skip("the system does not say how large this process is")
    monkeypatch.setattr(resource, "getrlimit", lambda what: (10**6, 10**6))
    assert memory.free_bytes() == 0
    monkeypatch.setattr(resource, "getrlimit", lambda what: (2**62, 2**62))
    assert memory.free_bytes() <= 2**62
    monkeypatch.setattr(resource, "getrlimit", lambda what: (resource.RLIM_INFINITY,) * 2)
    assert memory.free_bytes() == memory._available()
