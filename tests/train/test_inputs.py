"""What fit takes: arrays, frames, several inputs; and what it says of anything else."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import ArgumentTypeError
from chainrule.train import Trainer

X = np.random.default_rng(0).normal(size=(16, 3))
Y = X.sum(1, keepdims=True)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 1)

    def forward(self, x, z):
        return self.a(x + z)


def trained(model, data):
    trainer = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1), seed=0)
    trainer.fit(data, epochs=2)
    return trainer


def test_several_inputs_in_either_form():
    found = []
    for data in ((X, X, Y), ((X, X), Y), [(X, X), Y]):
        chainrule.manual_seed(0)
        t = trained(Two(), data)
        found.append(np.asarray(t.model.a.weight.detach()))
        t.fit(data, epochs=1, sample_weight=np.ones(16), validation=data)
    assert all((f == found[0]).all() for f in found)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_are_arrays_and_texts_in_them_are_named(library):
    frames = pytest.importorskip(library)
    x, y = frames.DataFrame({"a": X[:, 0], "b": X[:, 1]}), frames.DataFrame({"t": Y[:, 0]})
    chainrule.manual_seed(0)
    t = trained(nn.Linear(2, 1), (x, y))
    chainrule.manual_seed(0)
    same = trained(nn.Linear(2, 1), (X[:, :2], Y))
    assert (t.model.weight == same.model.weight).all().item()
    bad = frames.DataFrame({"a": X[:, 0], "town": ["Bern"] * 16})
    with pytest.raises(ArgumentTypeError, match="'town'") as found:
        trained(nn.Linear(2, 1), (bad, y))
    assert "'Bern' in row 0" in str(found.value)


def test_a_dict_is_told_the_right_form():
    with pytest.raises(ArgumentTypeError, match="by their place"):
        trained(Two(), ({"x": X, "z": X}, Y))
