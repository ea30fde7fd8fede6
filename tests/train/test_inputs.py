"""What fit takes: arrays, frames, several inputs; and what it says of anything else."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim, tensor
from chainrule.data import DataLoader, TensorDataset
from chainrule.errors import ArgumentError, ArgumentTypeError, NonFiniteError
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


def of_kinds():
    """The same numbers in frames whose columns are not all of one NumPy type."""
    pd = pytest.importorskip("pandas")
    x = X.astype(np.float32)
    x[:, 1] = x[:, 1].round()
    whole = pd.DataFrame(x, columns=list("abc"))
    yield "nullable", whole.astype("Float32"), x
    yield "a nullable one", whole.assign(b=whole.b.astype("Int64")), x
    yield "truth", whole.assign(b=whole.b > 0), np.stack([x[:, 0], x[:, 1] > 0, x[:, 2]], 1)
    pytest.importorskip("pyarrow")
    yield "arrow", whole.astype("float32[pyarrow]"), x


def test_columns_of_several_kinds_of_numbers_are_one_array():
    for name, frame, plain in of_kinds():
        found = []
        for x in (frame, plain):
            chainrule.manual_seed(0)
            found.append(trained(nn.Linear(3, 1), (x, Y)).predict(x))
        assert (found[0] == found[1]).all().item(), name
        if name == "a nullable one":
            frame.loc[3, "b"] = pytest.importorskip("pandas").NA
            with pytest.raises(NonFiniteError, match=r"(?s)number 3\), column b"):
                trained(nn.Linear(3, 1), (frame, Y))


def hidden():
    return np.ma.masked_array(X, mask=np.arange(X.size).reshape(X.shape) == 7)


SPARSE = type("csr", (), {"toarray": lambda self: X})
MIXED = X.astype(object)
MIXED[4, 1] = "much"
REFUSED = {
    "masked": (lambda: (hidden(), Y), r"1 masked value, the first at \(2, 1\).*x.filled"),
    "sparse": (lambda: (SPARSE(), Y), r"sparse matrix.*x.toarray\(\)"),
    "objects": (lambda: (X.astype(object), Y), "numbers as objects.*astype"),
    "a text": (lambda: (MIXED, Y), r"'much' at \(4, 1\)"),
    "an array alone": (lambda: X, r"fit\(\(x, y\)"),
    "a dict alone": (lambda: {"x": X, "y": Y}, r"dict.*fit\(\(x, y\)"),
    "a path": (lambda: "houses.csv", "str.*TableFit"),
    "a frame alone": (
        lambda: pytest.importorskip("pandas").DataFrame(X),
        r"DataFrame.*fit\(\(x, y\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_data_is_told_what_to_give(name):
    data, told = REFUSED[name]
    model = nn.Linear(3, 1)
    before = np.array(model.weight.detach())
    with pytest.raises((ArgumentError, ArgumentTypeError), match=f"(?s){told}"):
        trained(model, data())
    assert (before == np.asarray(model.weight.detach())).all()


def test_a_loader_has_its_own_batches():
    model = nn.Linear(3, 1)
    trainer = Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1), seed=0)
    parts = [tensor(a.astype(np.float32)) for a in (X, Y)]
    loader = DataLoader(TensorDataset(*parts), batch_size=8)
    for own in ({"batch_size": 16}, {"shuffle": False}):
        with pytest.raises(ArgumentError, match=f"{next(iter(own))} is for data that come without"):
            trainer.fit(loader, epochs=1, **own)
    with pytest.raises(ArgumentError, match="batch_size is for data that come without"):
        trainer.evaluate(loader, batch_size=4)
    assert trainer.fit(loader, epochs=1).rows[-1]["step"] == 2


def test_rows_at_a_time_of_a_prediction():
    trainer = trained(Two(), (X, X, Y))
    for size in (0, -1, 2.5, True, X):  # the last is an input in the place of batch_size
        with pytest.raises(ArgumentError, match=r"(?s)predict: batch_size.*predict\(\(x1, x2\)\)"):
            trainer.predict(X, size)
    assert trainer.predict((X, X), 5).shape == (16, 1)


def test_a_dict_is_told_the_right_form():
    with pytest.raises(ArgumentTypeError, match="by their place"):
        trained(Two(), ({"x": X, "z": X}, Y))
