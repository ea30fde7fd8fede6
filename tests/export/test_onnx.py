"""ONNX files against onnxruntime: every op, every layer case, models of one's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from nn_cases import CASES

import chainrule
from chainrule import nn, ops, tensor
from chainrule.errors import ArgumentError, ArgumentTypeError, ChainruleError, ExportError
from chainrule.onnx import NEWEST, OLDEST, export
from chainrule.onnx.writer import ENTRIES
from compiler.agreement import agree, narrow, scale_of
from compiler.moves import programs
from compiler.native import by_lines
from export.exported import (
    HOLD,
    RECURRENT,
    TOLERANCE,
    eagerly,
    exported,
    narrowed,
    ran,
    worst,
)

onnx = pytest.importorskip("onnx", reason="pip install onnx")
pytest.importorskip("onnxruntime", reason="pip install onnxruntime")

ROWS = 13
LISTED = [case for case in CASES if case.name not in HOLD]
ONE_OF_EACH = {case.name.split("(")[0]: case for case in reversed(LISTED)}


def difference(case, path):
    """The worst difference of a layer on its example and, where it takes one, on a larger batch."""
    case = exported(case)
    export(case.model, tuple(case.arrays), path, dynamic_batch=False)
    apart = worst(ran(path, case.arrays), eagerly(case.model, case.arrays))
    layer, ndim = case.model.layer, min(a.ndim for a in case.arrays)
    if not ndim:
        return apart
    axes = [0] * len(case.arrays)
    if isinstance(layer, RECURRENT) and ndim == 3:
        axes = [0 if layer.batch_first else 1] + [1] * (len(axes) - 1)
    pairs = list(zip(case.arrays, axes, strict=True))
    shapes = [(*a.shape[:axis], ROWS, *a.shape[axis + 1 :]) for a, axis in pairs]
    larger = [np.resize(a, s) for a, s in zip(case.arrays, shapes, strict=True)]
    try:
        wanted = eagerly(case.model, larger)
    except ChainruleError:  # the layer itself is made for so many
        return apart
    no_batch = " row" in case.name or (isinstance(layer, RECURRENT) and ndim == 2)
    try:
        export(case.model, tuple(case.arrays), path)
    except ExportError:
        assert no_batch
        return apart
    return max(apart, worst(ran(path, larger), wanted))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_layer(name, tmp_path):
    assert difference(ONE_OF_EACH[name], tmp_path / "m.onnx") <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("case", LISTED, ids=lambda c: c.name)
def test_a_layer_with_other_settings(case, tmp_path):
    assert difference(case, tmp_path / "m.onnx") <= TOLERANCE


def test_all_modules_of_nn_are_among_them():
    kinds = [m for m in vars(nn).values() if isinstance(m, type) and issubclass(m, nn.Module)]
    assert {f"nn.{m.__name__}" for m in kinds} - {h[:-2] for h in HOLD} == ONE_OF_EACH.keys()


# ---------------------------------------------------------------- ops


class Calling(nn.Module):
    """An op as a model."""

    def __init__(self, op, params):
        super().__init__()
        self.op, self.params = op, params

    def forward(self, *xs):
        return self.op(*xs, **self.params)


def samples():
    rng = np.random.default_rng(5)
    for op in ops.REGISTRY.values():
        for i, sample in enumerate(op.samples(rng)):
            marks = [pytest.mark.slow] if i else []
            yield pytest.param(op, sample, id=f"{op.name}-{i}", marks=marks)


def test_every_op_has_an_entry():
    assert ENTRIES.keys() == ops.REGISTRY.keys()
    refused = {name for name, how in ENTRIES.items() if isinstance(how, str)}
    assert refused == {"uniform", "normal", "permutation"}


@pytest.mark.parametrize(("op", "sample"), list(samples()))
def test_an_op(op, sample, tmp_path):
    params = {k: np.dtype(np.float32) if v == np.float64 else v for k, v in sample.params.items()}
    model, arrays = Calling(op, params), [*map(narrowed, sample.inputs)]
    if not arrays:  # a function of nothing: it is added to an input, since there must be one
        arrays = [np.zeros(op.spec(**params).shape, op.spec(**params).dtype)]
        model = Calling(lambda x, **p: x + op(**p), params)
    path = tmp_path / "m.onnx"
    if isinstance(ENTRIES[op.name], str):
        with pytest.raises(ExportError, match=rf"{op.name} can't be exported(.|\n)*Calling"):
            export(model, tuple(arrays), path, dynamic_batch=False)
        assert not path.exists()
        return
    export(model, tuple(arrays), path, dynamic_batch=False)
    assert worst(ran(path, arrays), eagerly(model, arrays)) <= TOLERANCE


WHOLE = np.array([[3, -2, 0], [1, 5, -7]])


SLOW = [pytest.param(t, marks=pytest.mark.slow) for t in (np.int32, np.int16, np.uint8)]


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, *SLOW])
def test_ops_on_whole_numbers_and_bools(dtype, tmp_path):
    """What takes them eagerly takes them there."""
    a, b = WHOLE.astype(dtype), np.abs(WHOLE[::-1] - 1).astype(dtype) + np.array(1, dtype)
    found = 0
    for op in ops.REGISTRY.values():
        if not op.pointwise or op.name == "cast":
            continue
        arrays = [a, b, a][: len(op.input_names)]
        if op.name == "where":
            arrays = [a > 0, a, b]
        model = Calling(op, {})
        try:
            wanted = eagerly(model, arrays)
        except ChainruleError:
            continue
        if op.name in ("sqrt", "log", "log1p", "rsqrt"):
            continue  # nan of numbers below 0, which is compared with the floats
        export(model, tuple(arrays), tmp_path / "m.onnx", dynamic_batch=False)
        assert worst(ran(tmp_path / "m.onnx", arrays), wanted) <= TOLERANCE, op.name
        found += 1
    assert found > 15


class Replayed(nn.Module):
    """A recorded program as a model."""

    def __init__(self, graph):
        super().__init__()
        self.graph = graph

    def forward(self, *xs):
        now = dict(zip(self.graph.inputs, xs, strict=True))
        for line in self.graph.nodes:
            now[line] = line.op(*[now.get(x, x) for x in line.inputs], **line.params)
        return [now[x] for x in self.graph.outputs]


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(p=programs())
def test_random_programs(p, tmp_path_factory):
    graph, path = p.graph(), tmp_path_factory.getbasetemp() / "drawn.onnx"
    note(str(graph))
    scale = scale_of(graph, p.arrays)
    assume(p.arrays and graph.outputs and scale < 1e6)
    export(Replayed(graph), tuple(p.arrays), path, dynamic_batch=False)
    rounding = scale * (2e-4 if narrow(graph) else 1e-10)
    wanted, _ = by_lines(graph, p.arrays)
    for y, w in zip(ran(path, p.arrays), wanted, strict=True):
        agree(y, w, "in onnxruntime", rounding)


# ---------------------------------------------------------------- models


class Mixed(nn.Module):
    """A model of one's own: two inputs, ops, sizes that come from the batch, two results."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.norm = nn.BatchNorm1d(6)
        self.scale = nn.Parameter(chainrule.ones(6) * 0.5)
        self.register_buffer("shift", chainrule.arange(6) * 0.1)

    def forward(self, numbers, words):
        x = chainrule.cat([numbers, self.table(words).mean(1)], 1)
        x = self.norm(x).tanh() * self.scale + self.shift
        rank = chainrule.arange(x.shape[0]).float().unsqueeze(1) / x.shape[0]
        flat = (x + rank).reshape(-1)
        return {"all": flat, "mean": x.mean(0)}


MIXED = (np.ones((2, 2), np.float32), np.array([[0, 4, 1], [2, 2, 3]]))


@pytest.mark.parametrize("opset", [OLDEST, NEWEST])
def test_a_model_of_ones_own(opset, tmp_path):
    model, path = Mixed(), tmp_path / "m.onnx"
    rng = np.random.default_rng(0)
    model.norm.running_mean.copy_(tensor(rng.normal(size=6).astype(np.float32)))
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    proto = export(model, MIXED, path, opset=opset)
    assert model.training
    assert all((model.state_dict()[k].numpy() == v).all() for k, v in before.items())
    assert proto.opset_import[0].version == opset
    assert [i.name for i in proto.graph.input] == ["numbers", "words"]
    assert [o.name for o in proto.graph.output] == ["output_0", "output_1"]
    sizes = [d.dim_param or d.dim_value for d in proto.graph.output[0].type.tensor_type.shape.dim]
    assert sizes == ["6*batch"]
    held = {w.name for w in proto.graph.initializer if not w.name.startswith("const/")}
    assert held == before.keys() - {"norm.num_batches_tracked"}
    assert onnx.load(str(path)) == proto
    model.eval()
    for rows in (1, 2, 9):
        given = [rng.normal(size=(rows, 2)).astype(np.float32), rng.integers(0, 5, (rows, 3))]
        assert worst(ran(path, given), eagerly(model, given)) <= TOLERANCE


def test_layers_are_operators_where_onnx_has_them(tmp_path):
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1), nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 9)).astype(np.float32)
    proto = export(model, x, tmp_path / "m.onnx")
    kinds = [n.op_type for n in proto.graph.node]
    assert kinds == ["Conv", "Relu", "MaxPool", "AveragePool", "Conv", "Reshape", "Gemm",
                     "Identity"]  # fmt: skip
    assert proto.graph.node[0].name == "0/Conv"
    assert worst(ran(tmp_path / "m.onnx", [x]), eagerly(model.eval(), [x])) <= TOLERANCE


def test_float64_stays_float64(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2)).double()
    x = np.random.default_rng(0).normal(size=(5, 3))
    export(model, x, tmp_path / "m.onnx")
    assert worst(ran(tmp_path / "m.onnx", [x]), eagerly(model, [x])) < 1e-14


# ---------------------------------------------------------------- what is refused


class ByRows(nn.Module):
    """Steps that depend on the batch size."""

    def forward(self, x):
        for _ in range(x.shape[0]):
            x = x.tanh()
        return x


class Drawing(nn.Module):
    """Dropout that evaluation mode does not switch off."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        return nn.functional.dropout(self.inner(x), 0.5, training=True)


@pytest.mark.parametrize(
    ("model", "settings", "kind", "message"),
    [
        (ByRows(), {}, ExportError, "depends on the batch size(.|\n)*dynamic_batch=False"),
        (Drawing(), {}, ExportError, "uniform can't be exported(.|\n)*Drawing"),
        (nn.Linear(2, 2), {"opset": 9}, ArgumentError, r"opset must be .* in \[18, 22\]"),
        (nn.Linear(2, 2), {"opset": True}, ArgumentError, "opset"),
        (nn.Linear(2, 2), {"batch_dim": 2}, ArgumentTypeError, "no dimension 2"),
        (nn.Linear(2, 2), {"dynamic_axes": ["input"]}, ArgumentTypeError, "must be a dict"),
        (nn.Linear(2, 2), {"dynamic_axes": {"y": [0]}}, ArgumentError, "names an input(.|\n)*'x'"),
        (nn.Linear(2, 2), {"dynamic_axes": {"x": [2]}}, ArgumentError, "no dimension 2"),
        (nn.Linear(2, 2), {"dynamic_axes": {"x": 1}}, ArgumentTypeError, "of 'x'"),
        (nn.Linear(2, 2), {"dynamic_axes": {"x": {1: "2 n"}}}, ArgumentTypeError, "of 'x'"),
        (nn.Linear(2, 2), {"dynamic_axes": {"x": {1: "n"}}}, ChainruleError, "inner sizes differ"),
        (lambda x: x, {}, ArgumentTypeError, "needs a Module"),
        (nn.Linear(3, 2), {}, ChainruleError, "inner sizes differ"),
    ],
)
def test_what_is_refused(model, settings, kind, message, tmp_path):
    with pytest.raises(kind, match=message):
        export(model, np.ones((2, 2), np.float32), tmp_path / "m.onnx", **settings)
    assert not list(tmp_path.iterdir())


def test_an_example_is_an_array(tmp_path):
    with pytest.raises(ArgumentTypeError, match="the example is what the function is called with"):
        export(nn.Linear(2, 2), "x", tmp_path / "m.onnx")


def test_more_than_a_file_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("chainrule.onnx.document.LARGEST", 23)
    with pytest.raises(ExportError, match=r"too large for one ONNX file"):
        export(nn.Linear(2, 2), np.ones((1, 2), np.float32), tmp_path / "m.onnx")


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ArgumentError, match=r"pip install 'chainrule\[onnx\]'"):
        export(nn.Linear(2, 2), np.ones((1, 2), np.float32), tmp_path / "m.onnx")
