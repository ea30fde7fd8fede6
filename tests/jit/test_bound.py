"""A compiled method, and a compiled module: they have what the function and the module have."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.compiler import show

pytestmark = pytest.mark.native
X = np.arange(8, dtype=np.float32).reshape(4, 2) / 8


class Trainer:
    """A class whose step is decorated."""

    def __init__(self):
        chainrule.manual_seed(1)
        self.model = nn.Linear(2, 1)
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1)

    @chainrule.compile
    def step(self, x):
        """One step."""
        self.optimizer.zero_grad()
        loss = (self.model(x) ** 2).mean()
        loss.backward()
        self.optimizer.step()
        return loss


def test_a_compiled_method_has_all_that_a_compiled_function_has():
    a, b = Trainer(), Trainer()
    wanted = [a.step(X[i : i + 2]).item() for i in (0, 2, 0, 2)]
    found = b.step.loop(X, 2, epochs=2)
    assert np.array_equal(np.asarray(found), np.float32(wanted))
    assert a.step.traces == Trainer.step.traces == 2  # a program for each of the two
    assert len(a.step.explain_recompiles()) == 1
    assert len(a.step.graphs) == 2
    assert a.step.seconds > 0
    assert a.step.__name__ == "step"
    assert a.step.__self__ is a
    assert list(inspect.signature(a.step).parameters) == ["x"]
    assert "Trainer.step" in repr(a.step)
    assert "nest" in show(a.step)
    with pytest.raises(AttributeError, match=r"no attribute 'lop'.*\.function"):
        a.step.lop(X)


class Scaled:
    """Its method reads attributes, some of them in another method; one it does not read."""

    def __init__(self):
        self.scale, self.shift, self.epoch = 2.0, nn.Identity(), 0

    @property
    def by(self):
        """What the method multiplies with."""
        return self.scale

    @chainrule.compile
    def step(this, x):
        """x times the scale."""
        return this.shifted(x) * this.by

    def shifted(self, x):
        """x, as a module gives it."""
        return self.shift(x)


def test_attributes_that_a_compiled_method_reads_are_part_of_its_program():
    t = Scaled()
    assert t.step(X[0]).tolist() == (X[0] * 2).tolist()
    t.epoch = 1
    t.step(X[0])
    assert t.step.traces == 1
    t.scale = 3.0
    assert t.step(X[0]).tolist() == (X[0] * 3).tolist()
    assert "scale changed from 2.0 to 3.0" in t.step.explain_recompiles()[0]
    t.shift = nn.ReLU()
    assert t.step(-X[1]).tolist() == [0, 0]
    assert "shift is another ReLU" in t.step.explain_recompiles()[1]


def test_a_compiled_module_has_what_the_module_has():
    plain = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5))
    model = chainrule.compile(plain)
    assert list(model.parameters()) == list(plain.parameters())
    assert model.state_dict().keys() == plain.state_dict().keys()
    model.eval()
    assert not plain.training
    assert np.allclose(np.asarray(model(X)), np.asarray(plain(chainrule.tensor(X)).detach()))
    with pytest.raises(AttributeError, match="weights"):
        model.weights  # noqa: B018
    with pytest.raises(AttributeError, match=r"\.function"):
        chainrule.compile(lambda x: x).parameters()
