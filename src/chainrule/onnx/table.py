"""The model of a table as one ONNX graph, from raw columns to answers in the target's terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..data.tables.blocks import CategoricalBlock
from ..data.tables.scaling import CLIP, HUGE, Scaling
from ..export import answering
from ..export.answering import (
    ABSENT,
    DAY,
    END,
    FIRST_SECOND,
    NUMBER,
    OF_TRUTH,
    TEXT,
    Answering,
    Given,
)
from ..train.tabular import TableModel
from .axes import chosen, recorded
from .document import OPSET, begun, check_size, finished, library, sizes_of, write_lines
from .growth import BATCH
from .writer import Writer, unused

OWNER = "onnx.export_table"
ML = "ai.onnx.ml"
ML_OPSET = 3
BARE = "without blanks around it"
"""How a text is given: no operator takes them off."""
NUMERIC, CATEGORICAL = "numeric", "categorical"
"""The arguments of the networks."""


def export_table(model: TableModel, path: Any, *, opset: int = OPSET) -> Any:
    """Writes the model of a table, its preprocessing with it, and gives the onnx.ModelProto.

    model: what TableFit gives, or TableModel.load.  path: the file; one that is there is replaced.
    opset: the version of ONNX's operators, 18 to 22, beside version 3 of ai.onnx.ml.

    Every column that the model takes is an input of its name, (batch, 1).  A number is a double,
    nan where it is missing.  A category is a string as it stands in the table without blanks
    around it, '' or another of the schema's texts where it is missing; one that was not learned is
    unknown.  True and false are strings too, such as 'yes' or '0'.  A date is a double: the
    seconds since 1970-01-01 in UTC, nan where it is missing.

    Blanks around texts are for the caller to take off, as TableModel.predict and the file of C do
    by themselves: no operator of ONNX does just that.  With blanks a category is one that was not
    learned, and a truth is refused.

    A regression gives `prediction` (batch, targets), double, in the targets' units; classes give
    `label` (batch,), of their own type, and `probabilities` (batch, classes), float, in the order
    of the metadata's `classes`; a multilabel target `label` (batch, labels), 0 and 1, int64, and
    `probabilities`.  They are those of TableModel.predict and scores, but for rounding: scaling is
    done in double, the networks in float, their mean in double.

    What TableModel.predict refuses, an infinite number, a word that is no truth, a date outside of
    the years 1 to 9999, is an index out of range of a node named after its column, at which
    onnxruntime's CPU stops.  Raises ArgumentError without the package onnx.  PyTorch has no tables.

    >>> import chainrule, os, tempfile
    >>> from chainrule.train.tabular import Recipe, TableFit
    >>> recipe = Recipe(epochs=2, hidden=(4,))
    >>> model = TableFit(chainrule.data.penguins(), "species", recipe=recipe, seed=0).run()
    >>> path = os.path.join(tempfile.mkdtemp(), "penguins.onnx")
    >>> made = chainrule.onnx.export_table(model, path)
    >>> [x.name for x in made.graph.input][:2], [y.name for y in made.graph.output]
    (['island', 'bill_length_mm'], ['label', 'probabilities'])

    Source: https://onnx.ai/onnx/operators/ (version 18), and its ai.onnx.ml.
    """
    onnx = library(OWNER, opset)
    answering.need_model(OWNER, model)
    module, args = Answering(model), answering.prepared(model)
    check_size(OWNER, module)
    columns = answering.columns_of(model)
    example, straight = recorded(OWNER, module, args)
    names = [node.name for node in example.arguments]
    axes = chosen(OWNER, example, straight, names, dynamic_batch=True, batch_dim=None,
                  dynamic_axes=None)  # fmt: skip
    taken: set[str] = set()
    inputs = [unused(c.block.name or "column", taken) for c in columns]
    outputs = [unused(name, taken) for name in outputs_of(model)]
    w = begun(onnx, sizes_of(module, args, example, axes, straight), axes, taken)
    places = dict(zip(names, (w.names[n] for n in w.sizes.recorded.arguments), strict=True))
    numeric: list[str] = []
    codes: list[str] = []
    for column, name in zip(columns, inputs, strict=True):
        w.place = name
        _read(w, column, name, numeric, codes)
    w.place = ""
    if numeric:
        w.put("Concat", *numeric, axis=1, output=places[NUMERIC])
    if codes:
        w.put("Concat", *codes, axis=1, output=places[CATEGORICAL])
    write_lines(w)
    w.place = ""
    answers = _answers(w, model, outputs)
    given = [_input(w, c, name) for c, name in zip(columns, inputs, strict=True)]
    return finished(onnx, w, given, answers, {"": opset, ML: ML_OPSET}, _told(model), path)


def outputs_of(model: TableModel) -> list[str]:
    """The names of the results, as far as no column has them."""
    return ["prediction"] if model.target.task == "regression" else ["label", "probabilities"]


def _told(model: TableModel) -> dict[str, str]:
    """The metadata of the file."""
    what = "targets" if model.target.task == "regression" else "classes"
    return {"target": answering.listed(model.target.names), "task": model.target.task,
            what: answering.listed(answering.names_of(model)),
            "missing": answering.listed(model.preprocessing.schema.missing)}  # fmt: skip


def _input(w: Writer, column: Given, name: str) -> Any:
    kind = np.object_ if column.kind == TEXT else np.float64
    number = w.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    said = f"{column.said}; {BARE}" if column.kind == TEXT else column.said
    return w.helper.make_tensor_value_info(name, number, [BATCH, 1], said)


# ---------------------------------------------------------------- what the networks take


def _read(w: Writer, column: Given, x: str, numeric: list[str], codes: list[str]) -> None:
    """Adds a column's numbers and codes, (batch, 1) each, to those that there are."""
    if column.kind == TEXT:
        code = w.put("LabelEncoder", x, domain=ML, default_int64=column.other,
                     keys_strings=list(column.codes),
                     values_int64s=list(column.codes.values()))  # fmt: skip
        if isinstance(column.block, CategoricalBlock):
            codes.append(code)
            return
        w.place = f"{x} is true or false"  # of what is neither the code is out of range
        numeric.append(w.put("Gather", w.const(OF_TRUTH, np.float32), code))
        missing = w.put("Equal", code, w.like(ABSENT, dtypes.int64))
    else:
        x, missing = _gaps(w, column, x)
        filled = w.put("Where", missing, w.like(0, dtypes.float64), x)
        block: Any = column.block
        if column.kind == NUMBER:
            zero = _refusal(w, w.put("IsInf", x), "is finite")
            y = _scaled(w, x, missing, block.scaling)
            numeric.append(w.put("Add", y, zero))
        else:
            early = w.put("Less", filled, w.like(FIRST_SECOND, dtypes.float64))
            late = w.put("GreaterOrEqual", filled, w.like(END, dtypes.float64))
            zero = _refusal(w, w.put("Or", early, late), "is in seconds, of the years 1 to 9999")
            days = w.put("Div", x, w.like(DAY, dtypes.float64))
            numeric.append(w.put("Add", _scaled(w, days, missing, block.scaling), zero))
            numeric.extend(_rounds(w, filled, missing, block.rounds))
    if column.block.indicator:
        numeric.append(w.put("Cast", missing, to=w.type_of(dtypes.float32)))


def _gaps(w: Writer, column: Given, x: str) -> tuple[str, str]:
    """(numbers with nan for each that stands for a missing one, where they are missing)."""
    for gap in column.gaps:
        same = w.put("Equal", x, w.like(gap, dtypes.float64))
        x = w.put("Where", same, w.like(np.nan, dtypes.float64), x)
    return x, w.put("IsNaN", x)


def _refusal(w: Writer, bad: str, demand: str) -> str:
    """0 for every row; where one is bad, the index is out of range, and the node says why."""
    index = w.put("Cast", bad, to=w.type_of(dtypes.int64))
    outer, w.place = w.place, f"{w.place} {demand}"
    zero = w.put("Gather", w.const([0.0], np.float32), index)
    w.place = outer
    return zero


def _scaled(w: Writer, x: str, missing: str, scaling: Scaling) -> str:
    """`Scaling.apply`, in double as there."""
    d = dtypes.float64
    spread = scaling.half_spread or np.inf
    z = w.put("Sub", w.put("Mul", x, w.like(0.5, d)), w.like(scaling.half_median, d))
    z = w.put("Where", missing, w.like(0, d), w.put("Div", z, w.like(spread, d)))
    z = w.put("Clip", z, w.like(-HUGE, d), w.like(HUGE, d))
    part = w.put("Div", z, w.like(CLIP, d))
    root = w.put("Sqrt", w.put("Add", w.put("Mul", part, part), w.like(1, d)))
    return w.put("Cast", w.put("Div", z, root), to=w.type_of(dtypes.float32))


def _rounds(w: Writer, seconds: str, missing: str, rounds: tuple[str, ...]) -> list[str]:
    """`round_trip` of each part of a date that comes round."""
    d, found = dtypes.float64, []
    day = _floor(w, seconds, DAY)
    for part in rounds:
        if part == "month":
            share = w.put("Div", _month(w, day), w.like(12, d))
        elif part == "weekday":  # 1970 began on a Thursday
            share = w.put("Div", _rest(w, w.put("Add", day, w.like(3, d)), 7), w.like(7, d))
        else:
            share = w.put("Div", _rest(w, seconds, DAY), w.like(DAY, d))
        angle = w.put("Mul", share, w.like(2 * np.pi, d))
        turned = w.put("Add", angle, w.like(np.pi / 2, d))  # runtimes have no cosine of doubles
        for a in (angle, turned):
            y = w.put("Where", missing, w.like(0, d), w.put("Sin", a))
            found.append(w.put("Cast", y, to=w.type_of(dtypes.float32)))
    return found


def _month(w: Writer, day: str) -> str:
    """The month from 0 of a day since 1970, by years that begin in March, in eras of 400 years."""
    d = dtypes.float64

    def less(a: str, b: str) -> str:
        return w.put("Sub", a, b)

    def times(a: str, n: float) -> str:
        return w.put("Mul", a, w.like(n, d))

    since = w.put("Add", day, w.like(719_468, d))  # 0000-03-01
    in_era = _rest(w, since, 146_097)
    leaps = less(_floor(w, in_era, 1460), _floor(w, in_era, 36_524))
    leaps = w.put("Add", leaps, _floor(w, in_era, 146_096))
    year = _floor(w, less(in_era, leaps), 365)
    before = w.put("Add", times(year, 365), less(_floor(w, year, 4), _floor(w, year, 100)))
    in_year = less(in_era, before)
    month = _floor(w, w.put("Add", times(in_year, 5), w.like(2, d)), 153)
    return _rest(w, w.put("Add", month, w.like(2, d)), 12)


def _floor(w: Writer, x: str, n: float) -> str:
    """floor(x / n)."""
    return w.put("Floor", w.put("Div", x, w.like(n, dtypes.float64)))


def _rest(w: Writer, x: str, n: float) -> str:
    """x - floor(x / n) n."""
    whole = w.put("Mul", _floor(w, x, n), w.like(n, dtypes.float64))
    return w.put("Sub", x, whole)


# ---------------------------------------------------------------- what they answer


def _answers(w: Writer, model: TableModel, names: list[str]) -> list[Any]:
    """The results under their names."""
    y = w.names[w.sizes.recorded.graph.outputs[0]]
    h, count = w.helper, model.target.outputs
    if model.target.task == "regression":
        w.put("Identity", y, output=names[0])
        return [h.make_tensor_value_info(names[0], w.type_of(dtypes.float64), [BATCH, count])]
    w.put("Cast", y, to=w.type_of(dtypes.float32), output=names[1])
    shares = h.make_tensor_value_info(names[1], w.type_of(dtypes.float32), [BATCH, count])
    if model.target.task == "multilabel":
        chosen_ones = w.put("Greater", y, w.like(0.5, dtypes.float64))
        w.put("Cast", chosen_ones, to=w.type_of(dtypes.int64), output=names[0])
        label = h.make_tensor_value_info(names[0], w.type_of(dtypes.int64), [BATCH, count])
        return [label, shares]
    labels = answering.labels_of(model)
    best = w.put("ArgMax", y, axis=1, keepdims=0)
    w.put("Gather", _classes(w, labels), best, output=names[0])
    kind = h.np_dtype_to_tensor_dtype(np.dtype(_wide(labels)))
    return [h.make_tensor_value_info(names[0], kind, [BATCH]), shares]


def _wide(labels: Any) -> Any:
    """The type in which runtimes have labels."""
    return {"i": np.int64, "u": np.int64, "f": np.float64}.get(labels.dtype.kind, labels.dtype)


def _classes(w: Writer, labels: Any) -> str:
    """The classes as a constant, (C,)."""
    if labels.dtype.kind != "O":
        return w.const(labels, _wide(labels))
    texts = [str(label) for label in labels]
    return w.put("Constant", value_strings=texts)
