"""A compiled method, and a compiled module: they have what the function and the module have."""

from __future__ import annotations

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
    assert "Trainer.step" in repr(a.step)
    assert "nest" in show(a.step)
    with pytest.raises(AttributeError, match=r"no attribute 'lop'.*\.function"):
        a.step.lop(X)


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
