"""A table's model as ONNX and as C, from raw columns, gives what TableModel says of the table."""

from __future__ import annotations

import ctypes
import datetime
import json
import re
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule.data.tables import read_table
from chainrule.errors import ArgumentTypeError, ChainruleError
from chainrule.export.answering import FIRST_SECOND, TEXT, columns_of, names_of
from compiler.in_c import CC, library, needs_cc
from export.raw_tables import TARGETS, compared, made, mixed, model_of, program, raw, read

# ---------------------------------------------------------------- ONNX


def session(model, path, **settings):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    chainrule.onnx.export_table(model, path, **settings)
    runtime.set_default_logger_severity(4)
    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def fed(held, columns):
    """Raw columns as the inputs of a session, in its order."""
    pairs = zip(held.get_inputs(), columns, strict=True)
    return {i.name: values.reshape(-1, 1) for i, (_, values) in pairs}


@pytest.mark.parametrize("kind", TARGETS)
def test_onnx_takes_raw_columns(kind, tmp_path):
    """Categories, truths, dates, gaps, numbers of any size; some of them were never seen."""
    model, *tables = made(tmp_path, kind)
    held = session(model, tmp_path / "m.onnx")
    assert {c.kind for c in columns_of(model)} == {"number", "text", "seconds"}
    for table in tables:
        columns = raw(model, table)
        compared(model, table, held.run(None, fed(held, columns)))
        one = [(name, values[3:4]) for name, values in columns]
        compared(model, table.take([3]), held.run(None, fed(held, one)))


def test_onnx_says_what_it_takes_and_gives(tmp_path):
    model, *_ = made(tmp_path, "texts")
    held = session(model, tmp_path / "m.onnx", opset=22)
    names = [i.name for i in held.get_inputs()]
    assert names == [c.block.name for c in columns_of(model)]
    assert {tuple(i.shape) for i in held.get_inputs()} == {("batch", 1)}
    assert {i.type for i in held.get_inputs()} == {"tensor(string)", "tensor(double)"}
    outputs = {o.name: (o.type, o.shape) for o in held.get_outputs()}
    assert outputs == {  # 'label' is a column
        "label_2": ("tensor(string)", ["batch"]), "probabilities": ("tensor(float)", ["batch", 3]),
    }  # fmt: skip
    told = held.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == names_of(model)
    assert (json.loads(told["target"]), told["task"]) == (["class"], "multiclass")


@pytest.mark.parametrize("kind", ["whole numbers", "two labels", "amounts"])
def test_onnx_gives_answers_of_their_own_type(kind, tmp_path):
    model, table, _ = made(tmp_path, kind, members=1)
    held = session(model, tmp_path / "m.onnx")
    found = held.run(None, fed(held, raw(model, table)))
    assert found[0].dtype == (np.float64 if kind == "amounts" else np.int64)
    empty = [(name, values[:0]) for name, values in raw(model, table)]
    assert held.run(None, fed(held, empty))[0].shape[0] == 0


def test_labels_that_are_truths_and_decimals(tmp_path):
    frame = {
        "x": np.arange(40.0) % 7,
        "truth": np.arange(40) % 2 == 0,
        "tenths": np.arange(40) % 3 / 2,
    }
    table = read_table(frame)
    for target, other in (("truth", "tenths"), ("tenths", "truth")):
        model = model_of(table, target, drop=[other], task="multiclass")
        held = session(model, tmp_path / "m.onnx")
        label = held.run(None, {"x": frame["x"].reshape(-1, 1)})[0]
        assert label.dtype == frame[target].dtype
        np.testing.assert_array_equal(label, model.predict(table))


BAD = [("x1", np.inf, "x1 is finite"), ("is it", "perhaps", "is it is true or false"),
       ("when", 1.7e12, "when is in seconds")]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "said"), BAD)
def test_onnx_refuses_what_predict_refuses(name, value, said, tmp_path):
    model, table, _ = made(tmp_path, "amounts")
    held = session(model, tmp_path / "m.onnx")
    feed = fed(held, raw(model, table))
    feed[name][5, 0] = value
    with pytest.raises(Exception, match=said):
        held.run(None, feed)


def test_blanks_around_texts_are_taken_off_by_predict_and_c_and_not_by_a_graph(tmp_path):
    """The one difference between them: what stands in the graph and its description says so."""
    rows = [f"{'abc'[i % 3]} {'de'[i % 2]},{i % 3}.5" for i in range(60)]
    model = model_of(read(tmp_path, "\n".join(["word,y", *rows])), "y")
    texts = ["a d", "  a d", "a d ", "b e", " b e  ", "   "]
    padded = read_table({"word": np.array(texts)})
    bare = read_table({"word": np.array([text.strip() for text in texts])})
    np.testing.assert_array_equal(model.predict(padded), model.predict(bare))
    held = session(model, tmp_path / "m.onnx")
    unknown = read_table({"word": np.array([t if t == t.strip() else "?!" for t in texts])})
    columns = [("word", np.array(texts, object))]
    compared(model, unknown, held.run(None, fed(held, columns)))
    assert not np.allclose(model.predict(unknown), model.predict(padded))
    onnx = pytest.importorskip("onnx")
    (given,) = onnx.load(tmp_path / "m.onnx").graph.input
    assert given.doc_string.endswith("without blanks around it")
    if CC is not None:
        compared(model, padded, in_c(model, columns, tmp_path))


@pytest.mark.parametrize("word", [" yes", "yes "])
def test_blanks_around_a_truth_are_refused_by_a_graph(word, tmp_path):
    model, table, _ = made(tmp_path, "amounts")
    held = session(model, tmp_path / "m.onnx")
    feed = fed(held, raw(model, table))
    feed["is it"][5, 0] = word
    with pytest.raises(Exception, match="is it is true or false"):
        held.run(None, feed)


def test_numbers_that_stand_for_missing_ones(tmp_path):
    """As --missing -999 and inf say; '' is a category then."""
    pairs = [("-999", "u"), ("1", "NA"), ("2.5", "v"), ("inf", ""), ("4", "u"), ("7", "v")] * 6
    lines = [f"{v},{w},{i % 2}" for i, (v, w) in enumerate(pairs)]
    table = read(tmp_path, "\n".join(["x,w,y", *lines]))
    model = model_of(table, "y", missing=["-999", "NA", "inf"])
    held = session(model, tmp_path / "m.onnx")
    feed = fed(held, raw(model, table))
    compared(model, table, held.run(None, feed))
    feed["x"][np.isnan(feed["x"])] = -999
    feed["x"][3] = np.inf
    compared(model, table, held.run(None, feed))


def test_every_month_weekday_and_hour(tmp_path):
    """Days around leap years and ends of centuries, from year 1 on."""
    ends = [f"{y:04}-{d}" for y in (1, 4, 100, 400, 1600, 1900, 1969, 1970, 2000, 2024, 2100, 9999)
            for d in ("01-01", "02-28", "03-01", "06-30", "12-31")]  # fmt: skip
    ends += [f"{y}-02-29" for y in (1600, 2000, 2024)]
    moments = [f"{d} {i % 24:02}:{i * 7 % 60:02}:59" for i, d in enumerate(ends)]
    table = read(tmp_path, "\n".join(["when,y", *(f"{m},{i}.5" for i, m in enumerate(moments))]))
    model = model_of(table, "y")
    assert model.preprocessing.blocks[0].rounds == ("month", "weekday", "hour")
    held = session(model, tmp_path / "m.onnx")
    columns = raw(model, table)
    assert columns[0][1].min() >= FIRST_SECOND
    compared(model, table, held.run(None, fed(held, columns)))
    if CC is not None:
        compared(model, table, in_c(model, columns, tmp_path))


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """(a model of dates, its session)."""
    folder = tmp_path_factory.mktemp("dated")
    moments = [f"20{i:02}-{i % 12 + 1:02}-{i % 28 + 1:02} {i % 24:02}:30" for i in range(50)]
    moments[7] = ""
    table = read(folder, "\n".join(["when,y", *(f"{m},{i}.5" for i, m in enumerate(moments))]))
    model = model_of(table, "y")
    return model, session(model, folder / "m.onnx")


@given(moments=st.lists(st.datetimes(datetime.datetime(1, 1, 1)), min_size=1, max_size=20))
def test_any_moment(dated, moments):
    model, held = dated
    table = read_table({"when": np.array(moments, "M8[us]")})
    compared(model, table, held.run(None, fed(held, raw(model, table))))


# ---------------------------------------------------------------- C


def in_c(model, columns, folder):
    """What predict() of the C file gives for each row, as the ONNX file gives it."""
    path = folder / "m.c"
    chainrule.export_table_c(model, path)
    held = library(path, folder)
    kinds = {TEXT: ctypes.c_char_p}
    fields = [(f"m{i}", kinds.get(c.kind, ctypes.c_double))
              for i, c in enumerate(columns_of(model))]  # fmt: skip

    class Row(ctypes.Structure):
        _fields_ = fields

    count = model.target.outputs
    scores, labels = [], []
    for cells in zip(*(values for _, values in columns), strict=True):
        row = Row(*(c.encode() if isinstance(c, str) else c for c in cells))
        y, label = (ctypes.c_double * count)(), (ctypes.c_int * count)()
        if held.predict(ctypes.byref(row), y, label):
            raise ArithmeticError("refused")
        scores.append(list(y))
        labels.append(list(label))
    if model.target.task == "regression":
        return [np.array(scores)]
    if model.target.task == "multilabel":
        return [np.array(labels), np.array(scores)]
    texts = (ctypes.c_char_p * count).in_dll(held, "chainrule_labels")
    named = [texts[label[0]].decode() for label in labels]
    kind = object if model.target.dtype == "str" else model.target.dtype
    return [np.array(named).astype(kind), np.array(scores)]


@needs_cc
@pytest.mark.parametrize("kind", TARGETS)
def test_c_takes_raw_columns(kind, tmp_path):
    model, *tables = made(tmp_path, kind)
    for table in tables:
        compared(model, table, in_c(model, raw(model, table), tmp_path))
    text = (tmp_path / "m.c").read_text(encoding="utf-8")
    assert re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).isascii(), "but for comments"


@needs_cc
@pytest.mark.parametrize(("name", "value", "said"), BAD)
def test_c_refuses_what_predict_refuses(name, value, said, tmp_path):
    model, table, _ = made(tmp_path, "amounts")
    columns = raw(model, table.take([0, 1]))
    dict(columns)[name][1] = value
    with pytest.raises(ArithmeticError, match="refused"):
        in_c(model, columns, tmp_path)


@needs_cc
def test_no_pointer_is_a_missing_text(tmp_path):
    model, table, _ = made(tmp_path, "amounts")
    table = table.take(np.arange(60))
    columns = raw(model, table)
    gone = [(name, np.array([None if v in ("", "NA", "?") else v for v in values], object)
             if values.dtype == object else values) for name, values in columns]  # fmt: skip
    compared(model, table, in_c(model, gone, tmp_path))


@needs_cc
@pytest.mark.slow
def test_tables_of_one_kind_of_columns(tmp_path):
    """Of numbers alone and of texts alone: no function of the file is without use."""
    table = read(tmp_path, mixed())
    for kept in (["x1"], ["word"], ["is it"], ["day"]):
        model = model_of(table, "class", drop=[n for n in table.names if n not in (*kept, "class")])
        compared(model, table, in_c(model, raw(model, table), tmp_path))
        held = session(model, tmp_path / "m.onnx")
        compared(model, table, held.run(None, fed(held, raw(model, table))))
        program(tmp_path / "m.c")


def test_the_names_of_c_are_names_of_c(tmp_path):
    names = ["int", "x1", "2nd", "größe", "gr__e", "NAN", "a b", "a-b", "*/ int x; /*", "log"]
    table = read_table({**{n: np.arange(20.0) % (5 + i) for i, n in enumerate(names)},
                        "y": np.arange(20.0) ** 2})  # fmt: skip
    model = model_of(table, "y", members=1)
    chainrule.export_table_c(model, tmp_path / "m.c")
    if CC is not None:
        compared(model, table, in_c(model, raw(model, table), tmp_path))
        program(tmp_path / "m.c")


@needs_cc
@pytest.mark.slow
def test_names_that_headers_and_compilers_define(tmp_path):
    """By a compiler with its extensions, as `cc file.c` runs it."""
    model, *_ = made(tmp_path, "texts")
    chainrule.export_table_c(model, tmp_path / "m.c")
    command = [CC, "-DCHAINRULE_MAIN", str(tmp_path / "m.c")]
    told = subprocess.run([*command, "-dM", "-E"], capture_output=True, text=True, check=True)
    macros = sorted(set(re.findall(r"#define (\w+) ", told.stdout)) | {"typeof", "asm"})
    assert {"MISSING", "M_PI"} <= set(macros)
    table = read_table({**{n: np.arange(6.0) % (2 + i % 4) for i, n in enumerate(macros)},
                        "y": np.arange(6.0) ** 2})  # fmt: skip
    chainrule.export_table_c(model_of(table, "y", members=1), tmp_path / "m.c")
    done = subprocess.run([*command, "-w", "-fsyntax-only"], capture_output=True, text=True)
    assert not done.stderr[:2000]


def test_too_large_a_model_for_c(tmp_path, monkeypatch):
    model, *_ = made(tmp_path, "texts")
    monkeypatch.setattr("chainrule.export.c.LARGEST", 100)
    with pytest.raises(ChainruleError, match="too many numbers"):
        chainrule.export_table_c(model, tmp_path / "m.c")
    assert not (tmp_path / "m.c").exists()


def test_what_is_no_model_of_a_table(tmp_path):
    for export in (chainrule.onnx.export_table, chainrule.export_table_c):
        with pytest.raises(ArgumentTypeError, match=r"needs the model of a table(.|\n)*Linear"):
            export(chainrule.nn.Linear(2, 1), tmp_path / "m")
    assert not list(tmp_path.iterdir())
