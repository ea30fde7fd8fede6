"""ONNX files whose inputs have other sizes: which dimensions grow, and what becomes of them."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule import nn, tensor
from chainrule.errors import ArgumentError, ExportError
from chainrule.onnx import export
from chainrule.onnx.growth import Dim, points, product
from chainrule.onnx.recurrent import LAST_CELL, RECURRENCE, Own
from export.exported import RECURRENT, TOLERANCE, eagerly, ran, worst

pytest.importorskip("onnx", reason="pip install onnx")
pytest.importorskip("onnxruntime", reason="pip install onnxruntime")


class Encoder(nn.Module):
    """Embedding, positions, attention under a mask, a convolution, and a mean over time."""

    def __init__(self, width=8):
        super().__init__()
        self.table, self.places = nn.Embedding(11, width), nn.Embedding(64, width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm, self.conv = nn.LayerNorm(width), nn.Conv1d(width, 6, 3, padding=1)
        self.pool, self.head = nn.MaxPool1d(3, 1), nn.Linear(6, 3)

    def forward(self, words, extra):
        time = words.shape[1]
        x = self.table(words) + self.places(chainrule.arange(time)) + extra
        later = chainrule.arange(time).unsqueeze(0) > chainrule.arange(time).unsqueeze(1)
        x = self.norm(x + self.attention(x, x, x, attn_mask=later)[0])
        x = self.pool(self.conv(x.transpose(1, 2)).relu()).transpose(1, 2)
        flat = x.reshape(-1, 6)
        return self.head(x.mean(1)), flat, chainrule.cat([x, x], 1)


def test_a_sequence_of_any_length(tmp_path):
    model, path = Encoder().eval(), tmp_path / "m.onnx"
    rng = np.random.default_rng(0)

    def given(rows, time):
        extra = rng.normal(size=(rows, time, 8)).astype(np.float32)
        return [rng.integers(0, 11, (rows, time)), extra]

    axes = {"words": {0: "rows", 1: "time"}, "extra": {1: "time"}}
    proto = export(model, tuple(given(2, 6)), path, dynamic_axes=axes)
    shapes = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*proto.graph.input, *proto.graph.output)
    }
    assert shapes == {
        "words": ["rows", "time"], "extra": ["rows", "time", 8], "output_0": ["rows", 3],
        "output_1": ["rows*time-2*rows", 6], "output_2": ["rows", "2*time-4", 6],
    }  # fmt: skip
    for rows, time in ((1, 3), (4, 6), (7, 4), (2, 40)):
        arrays = given(rows, time)
        assert worst(ran(path, arrays), eagerly(model, arrays)) <= TOLERANCE
    axes = {"words": [1], "extra": {-2: "words_dim_1"}}
    export(model, tuple(given(2, 6)), path, dynamic_axes=axes, dynamic_batch=False)
    arrays = given(2, 9)
    assert worst(ran(path, arrays), eagerly(model, arrays)) <= TOLERANCE


class Images(nn.Module):
    """Two dimensions that grow, and windows of several kinds."""

    def __init__(self, stride=1):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(2, 3, 3, padding=1, groups=1), nn.AvgPool2d(2, stride)

    def forward(self, image):
        return nn.functional.pad(self.pool(self.conv(image)), (1, 2)).flatten(1)


def test_an_image_of_any_size(tmp_path):
    model, path = Images().eval(), tmp_path / "m.onnx"
    rng = np.random.default_rng(0)
    axes = {"image": {2: "height", 3: "width"}}
    export(model, np.zeros((1, 2, 5, 6), np.float32), path, dynamic_axes=axes)
    for shape in ((2, 2, 5, 6), (1, 2, 9, 4), (3, 2, 8, 8)):
        arrays = [rng.normal(size=shape).astype(np.float32)]
        assert worst(ran(path, arrays), eagerly(model, arrays)) <= TOLERANCE
    double = model.double()  # op by op
    export(double, np.zeros((1, 2, 5, 6)), path, dynamic_axes=axes)
    arrays = [rng.normal(size=(3, 2, 7, 9))]
    assert worst(ran(path, arrays), eagerly(double, arrays)) < 1e-14
    with pytest.raises(ExportError, match=r"'height' in a way(.|\n)*for 5, 7, 11 of 'height'"):
        export(Images(2).eval(), np.zeros((1, 2, 5, 6), np.float32), path, dynamic_axes=axes)


class Tagger(nn.Module):
    """A recurrent layer behind another one, or straight behind the inputs."""

    def __init__(self, kind=nn.LSTM, table=False, **settings):
        super().__init__()
        self.table = nn.Embedding(5, 3) if table else None
        self.inner = kind(3, 5 if "proj_size" in settings else 4, **settings)
        self.head = nn.Linear(4, 2)

    def forward(self, x, state=None):
        x = x if self.table is None else self.table(x)
        y, _ = self.inner(x, hx=state)
        return self.head(y)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("given_state", [False, True])
def test_the_batch_is_where_a_recurrent_layer_has_it(kind, batch_first, given_state, tmp_path):
    model, path = Tagger(kind, batch_first=batch_first).eval(), tmp_path / "m.onnx"
    rng = np.random.default_rng(0)

    def arrays(rows):
        shape = (rows, 6, 3) if batch_first else (6, rows, 3)
        states = [(1, rows, 4)] * ((2 if kind is nn.LSTM else 1) if given_state else 0)
        return [rng.normal(size=s).astype(np.float32) for s in (shape, *states)]

    def call(held):
        x, *states = held
        state = None if not states else tuple(states) if len(states) == 2 else states[0]
        return (x,) if state is None else (x, state)

    held = dict(vars(model.inner))
    export(model, call(arrays(2)), path)
    assert vars(model.inner) == held
    for rows in (1, 5):
        held = arrays(rows)
        with chainrule.no_grad():
            wanted = model(*(tuple(map(tensor, v)) if isinstance(v, tuple) else tensor(v)
                             for v in call(held))).numpy()  # fmt: skip
        assert worst(ran(path, held), [wanted]) <= TOLERANCE


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("more", [{}, {"dynamic_axes": {"x": {1: "time"}}}], ids=["", "time"])
def test_an_example_of_tensors_is_one_of_arrays(tmp_path, kind, more):
    model = kind(3, 4, batch_first=True)
    x = np.zeros((2, 6, 3), np.float32)
    states = tuple(np.zeros((1, 2, 4), np.float32) for _ in range(1 + (kind is nn.LSTM)))
    given = x, states if len(states) == 2 else states[0]
    tensors = tensor(x), tuple(map(tensor, states)) if len(states) == 2 else tensor(states[0])
    for one, other in ((x, tensor(x)), (given, tensors)):
        files = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
        for example, path in zip((one, other), files, strict=True):
            export(model, example, path, **more)
        assert files[0].read_bytes() == files[1].read_bytes()


def test_other_threads_call_the_model_while_it_is_exported(tmp_path):
    """What stands in for its layers is there for the thread alone that exports."""
    model = nn.LSTM(3, 4, batch_first=True).eval()
    x = chainrule.randn(2, 6, 3)
    wanted, wrong, calls = model(x)[0].detach().numpy(), [], []
    over = threading.Event()

    def call():
        while not over.is_set():
            try:
                y = model(x)[0].detach().numpy()
                calls.append(None)
                if not np.array_equal(y, wanted):
                    wrong.append(y)
            except Exception as error:
                wrong.append(error)

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(call)]
        time_grows = {"dynamic_axes": {"x": {1: "time"}}}
        made = [pool.submit(export, model, x, tmp_path / f"{i}.onnx", **time_grows)
                for i in range(8)]  # fmt: skip
        try:
            for future in made:
                future.result()
        finally:
            over.set()
        futures[0].result()
    assert wrong == []
    assert calls
    assert len({(tmp_path / f"{i}.onnx").read_bytes() for i in range(8)}) == 1


def test_where_the_batch_can_not_be_found_it_is_said(tmp_path):
    model, path, words = Tagger(table=True).eval(), tmp_path / "m.onnx", np.zeros((6, 2), np.int64)
    wanted = (
        r"batch_dim=1 where inner \(LSTM\) gets \(time, batch, \.\.\): it is not batch_first; or"
    )
    with pytest.raises(ExportError, match=wanted):
        export(model, words, path)
    export(model, words, path, batch_dim=1)
    given = [np.random.default_rng(0).integers(0, 5, (6, 3))]
    assert worst(ran(path, given), eagerly(model, given)) <= TOLERANCE
    export(model, words, path, dynamic_axes={"x": {1: "batch"}})
    assert worst(ran(path, given), eagerly(model, given)) <= TOLERANCE


def test_the_layer_that_does_not_take_every_length_is_named(tmp_path):
    model = Tagger(nn.LSTM, batch_first=True, proj_size=4).eval()
    x = np.zeros((2, 6, 3), np.float32)
    with pytest.raises(ExportError) as caught:
        export(model, x, tmp_path / "m.onnx", dynamic_axes={"x": {1: "time"}})
    told = str(caught.value)
    assert "can't be exported: it depends on 'time'" in told
    assert "inner (LSTM)" in told
    assert "'time' left out of dynamic_axes" in told
    assert "dynamic_batch" not in told
    assert not list(tmp_path.iterdir())


SETTINGS = [
    {}, {"bias": False, "batch_first": True}, {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "dropout": 0.5, "batch_first": True, "bidirectional": True},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=range(len(SETTINGS)))
@pytest.mark.parametrize("kind", [*RECURRENT, "relu"])
@pytest.mark.parametrize("given_state", [False, True])
def test_recurrent_layers_take_any_length(kind, settings, given_state, tmp_path):
    """With states of their own or given ones; the last states come out too."""
    settings = {**settings, "nonlinearity": "relu"} if kind == "relu" else settings
    layer = nn.RNN if kind == "relu" else kind
    model, path = layer(3, 4, **settings).eval(), tmp_path / "m.onnx"
    rng, first = np.random.default_rng(0), settings.get("batch_first", False)
    many = settings.get("num_layers", 1) * (1 + settings.get("bidirectional", False))

    def arrays(rows, time):
        shape = (rows, time, 3) if first else (time, rows, 3)
        states = [(many, rows, 4)] * ((2 if kind is nn.LSTM else 1) if given_state else 0)
        return [rng.normal(size=s).astype(np.float32) for s in (shape, *states)]

    x, *states = arrays(2, 6)
    state = tuple(states) if len(states) == 2 else states[0] if states else None
    example = (x,) if state is None else (x, state)
    proto = export(model, example, path, dynamic_axes={"x": {1 if first else 0: "time"}})
    assert "_run" not in vars(model)
    assert sum(n.op_type in ("RNN", "LSTM", "GRU") for n in proto.graph.node) == many
    for rows, time in ((2, 6), (1, 1), (5, 33)):
        x, *states = held = arrays(rows, time)
        state = [tuple(map(tensor, states)) if len(states) == 2 else tensor(s) for s in states[:1]]
        with chainrule.no_grad():
            y, last = model(tensor(x), *state)
        wanted = [t.numpy() for t in (y, *(last if isinstance(last, tuple) else (last,)))]
        assert worst(ran(path, held), wanted) <= TOLERANCE


class Reader(nn.Module):
    """Words to a recurrent layer, of which the last step and the mean over time are used."""

    def __init__(self):
        super().__init__()
        self.table, self.inner = nn.Embedding(7, 3), nn.GRU(3, 4, batch_first=True)
        self.outer, self.head = nn.LSTM(4, 5), nn.Linear(5, 2)

    def forward(self, words):
        y, _ = self.inner(self.table(words))
        y, (_, c) = self.outer(y.transpose(0, 1))
        return self.head(y[-1]), y.mean(0), c


def test_recurrent_layers_within_a_model_take_any_length(tmp_path):
    model, path = Reader().eval(), tmp_path / "m.onnx"
    rng = np.random.default_rng(0)
    words = rng.integers(0, 7, (2, 6))
    export(model, words, path, dynamic_axes={"words": {1: "time"}}, batch_dim=0)
    for shape in ((1, 1), (4, 9), (2, 50)):
        words = rng.integers(0, 7, shape)
        assert worst(ran(path, [words]), eagerly(model, [words])) <= TOLERANCE


def test_a_sequence_without_a_batch_takes_any_length(tmp_path):
    model, path = nn.LSTM(3, 4).eval(), tmp_path / "m.onnx"
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 3)).astype(np.float32)
    export(model, x, path, dynamic_axes={"x": {0: "time"}}, dynamic_batch=False)
    for time in (1, 6, 31):
        x = rng.normal(size=(time, 3)).astype(np.float32)
        assert worst(ran(path, [x]), eagerly(model, [x])) <= TOLERANCE


def test_double_is_refused_with_a_length_that_grows(tmp_path):
    """Runtimes have no recurrent operator in double."""
    model = nn.GRU(3, 4).double()
    with pytest.raises(ExportError, match="depends on 'time'"):
        export(model, np.zeros((6, 2, 3)), tmp_path / "m.onnx", dynamic_axes={"x": {0: "time"}})


def test_one_name_is_one_size(tmp_path):
    class Both(nn.Module):
        def forward(self, a, b):
            return a.mean(1) + b.mean(1)

    arrays = np.zeros((2, 6), np.float32), np.zeros((2, 5), np.float32)
    axes = {"a": {1: "time"}, "b": {1: "time"}}
    with pytest.raises(ArgumentError, match="6 at a dimension 1, 5 at b dimension 1"):
        export(Both(), arrays, tmp_path / "m.onnx", dynamic_axes=axes)


NAMES = ("batch", "time", "width")
FACTORS = st.integers(-5, 9)


@given(
    held=st.lists(st.tuples(st.dictionaries(st.sampled_from(NAMES), FACTORS), FACTORS), max_size=3)
)
def test_a_size_is_the_product_of_its_factors(held):
    """What a shape holds in all, from sizes that are sums: at any sizes of the inputs."""
    sizes = []
    for terms, constant in held:
        kept = tuple(((name,), k) for name, k in sorted(terms.items()) if k)
        sizes.append(Dim((*kept, *([((), constant)] if constant else []))) if kept else constant)
    found = product(sizes)
    for at in points(NAMES):
        here = [n.at(at) if isinstance(n, Dim) else n for n in sizes]
        assert (found.at(at) if isinstance(found, Dim) else found) == math.prod(here)
        shown = str(found).replace("--", "+")
        assert eval(shown, {}, dict(at)) == math.prod(here)


def test_an_op_of_recordings_says_what_it_is_in_onnx():
    class Nameless(Own):
        """An op that does not."""

    with pytest.raises(TypeError, match="write"):
        Nameless()
    assert all(isinstance(op, Own) for op in (RECURRENCE, LAST_CELL))
