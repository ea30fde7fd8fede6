"""What fit takes: arrays, frames, several inputs; and what it says of anything else."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import ArgumentError, ArgumentTypeError
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


@pytest.mark.parametrize("kind", [np.array, list, "pandas", "polars"])
def test_classes_as_texts_are_told_to_be_numbers(kind):
    """Not as a NumPy type that no tensor can hold."""
    texts = ["cat", "dog"] * 8
    y = pytest.importorskip(kind).Series(texts) if isinstance(kind, str) else kind(texts)
    trainer = Trainer(m := nn.Linear(3, 2), nn.CrossEntropyLoss(), optim.SGD(m.parameters(), 0.1))
    with pytest.raises(ArgumentTypeError, match="holds no numbers") as found:
        trainer.fit((X, y), epochs=1)
    assert "'cat' in row 0" in str(found.value)
    assert "return_inverse" in str(found.value)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_what_is_neither_pair_nor_dataset_is_refused_in_words(library):
    frame = pytest.importorskip(library).DataFrame({"x": X[:, 0], "y": Y[:, 0]})
    for data, told in (({"x": X, "y": Y}, "by their place"), (frame, "not something to train on")):
        with pytest.raises(ArgumentTypeError, match=told):
            trained(nn.Linear(3, 1), data)


def test_a_second_input_is_no_batch_size():
    model = trained(Two(), (X, X, Y))
    assert model.predict((X, X)).shape == (16, 1)
    for size, told in ((X, r"predict\(\(x1, x2\)\)"), (0, "got .* 0"), (2.5, "2.5")):
        with pytest.raises(ArgumentError, match=told):
            model.predict(X, size)


def test_a_dict_is_told_the_right_form():
    with pytest.raises(ArgumentTypeError, match="by their place"):
        trained(Two(), ({"x": X, "z": X}, Y))
