"""What the columns of a table are taken for, and what is said where they can't be."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule
from chainrule.data import Schema, read_table
from chainrule.data.tables.cells import number_of
from chainrule.data.tables.target import METRICS_OF
from chainrule.data.tables.units import EXCHANGED, rewritten
from chainrule.errors import ChainruleError, FormatError
from chainrule.train.metrics import METRICS

N = 60
BASE = {"x": np.linspace(0, 1, N) ** 2, "y": np.arange(N) % 3}


def cut(values):
    return [str(v) for v in values]


KINDS = {
    "numbers": (cut(np.arange(N) / 7), "numeric", "from 0 to"),
    "numbers with gaps": (["1.5", "NA", "2", "?", ""] * 12, "numeric", "36 missing"),
    "few numbers": (cut(np.arange(N) % 4), "numeric", "4 different"),
    "one number with gaps": (["5", ""] * 30, "numeric", "30 missing"),
    "whole numbers": (np.arange(N) * 3, "numeric", "from 0 to 177"),
    "texts": (["red", "blue", "green"] * 20, "categorical", "3 different"),
    "codes": (["1", "2", "3", "A"] * 15, "categorical", "4 different texts, 3 of them numbers"),
    "codes with rare letters": (["1", "2"] * 28 + ["A", "B2"] * 2, "categorical", "2 of them numb"),
    "codes with zeros": (["01", "02", "03"] * 19 + ["A1"] * 3, "categorical", "3 of them numbers"),
    "yes and no": (["yes", "no", "NA"] * 20, "boolean", "no and yes"),
    "bool": (np.arange(N) % 2 == 0, "boolean", "true and false"),
    "dates": ([f"2024-01-{1 + i % 28:02d}" for i in range(N)], "date", "ISO"),
    "moments": ([f"2024-01-01T{i % 24:02d}:00:00Z" for i in range(N)], "date", "ISO"),
    "days first": ([f"{1 + i % 28}.5.2024" for i in range(N)], "date", "%d.%m.%Y"),
    "days or months": (["1/2/2024", "3/4/2024"] * 30, "date", "(or %d/%m/%Y, the day first"),
    "a choice of the form": (["1/2/2024", "3/4/2024"] * 30, "date", "forms={'c': '%d/%m/%Y'}"),
    "short months": ([f"{1 + i % 28:02d} Jan {2001 + i % 9}" for i in range(N)], "date",
                     "%d %b %Y"),
    "months first": ([f"{'JFM'[i % 3]}{'aea'[i % 3]}{'nbr'[i % 3]} {1 + i % 28} 2019"
                      for i in range(N)], "date", "%b %d %Y"),
    "whole months": ([f"March {1 + i % 28}, 2019" for i in range(N)], "date", "%B %d, %Y"),
    "months of May": ([f"{1 + i % 28} May 2019" for i in range(N)], "date", "dates as %d %b %Y"),
    "two digits": ([f"{1 + i % 28:02d}.06.20" for i in range(N)], "date", "dates as %d.%m.%y"),
    "two digits after a slash": ([f"11/{1 + i % 28}/23" for i in range(N)], "date", "%m/%d/%y"),
    "two digits in doubt": ([f"{1 + i % 4:02d}/0{1 + i % 7}/19" for i in range(60)],
                            "categorical", "dates as %m/%d/%y, the month first (or %d/%m/%y"),
    "two digits in doubt, each its own": (
        [f"{1 + i % 12:02d}/{1 + i // 12:02d}/19" for i in range(60)],
        "drop", "kinds={'c': 'date'} takes the first"),
    "years and months": ([f"20{10 + i % 9}-0{1 + i % 9}" for i in range(N)], "date", "%Y-%m"),
    "a number that could be a day": ([f"2019{1 + i % 12:02d}{1 + i % 28:02d}" for i in range(N)],
                                     "numeric", "numbers from"),
    "datetime64": (np.datetime64("2024-01-01") + np.arange(N), "date", "dates"),
    "one value": (["7"] * N, "drop", "the same value in every row"),
    "one text": (["a"] * N, "drop", "the same text in every row"),
    "no value": (["", "NA"] * 30, "drop", "no value in any row"),
    "other texts in all rows": ([f"name {i}" for i in range(N)], "drop", "60 different texts"),
    "a copy": (BASE["x"], "drop", "the same in every row as 'x'"),
    "a copy of the target": (cut(BASE["y"]), "drop", "as the target 'y'"),
}  # fmt: skip


@pytest.mark.parametrize(("values", "kind", "why"), KINDS.values(), ids=KINDS)
def test_a_column_is_taken_for_what_it_is(values, kind, why):
    table = read_table({**BASE, "c": values})
    schema = Schema.infer(table, "y")
    found = schema.features[-1]
    assert (found.name, found.kind) == ("c", kind)
    assert why in found.why
    said = next(line for line in schema.describe() if line.startswith("'c':"))
    assert found.why in said
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
    order = np.random.default_rng(0).permutation(N)
    assert Schema.infer(table.take(order), "y").features[-1].kind == kind


ROWS = np.arange(1000, 1000 + N)


@pytest.mark.parametrize("name", ["id", "row_number", "Kundennummer", "x"])
@pytest.mark.parametrize("values", [ROWS, ROWS[::-1], cut(ROWS)], ids=["up", "down", "texts"])
@pytest.mark.parametrize("place", range(3))
def test_a_counter_of_rows_is_left_out_whatever_its_name_and_place(name, values, place):
    columns = list({"a": BASE["x"], "b": BASE["x"] ** 2, "y": BASE["y"]}.items())
    columns.insert(place, (name, values))
    table = read_table(dict(columns))
    for some in (table, table.take(np.arange(N) % 7 != 3)):
        found = {f.name: f for f in Schema.infer(some, "y").features}[name]
        assert found.kind == "drop"
        assert f"numbers of rows; kinds={{{name!r}: 'numeric'}} takes it in" in found.why
    asked = Schema.infer(table, "y", kinds={name: "numeric"})
    assert {f.kind for f in asked.features} == {"numeric"}


def test_names_of_rows_are_left_out_wherever_they_stand():
    ids = np.random.default_rng(0).permutation(N)
    table = read_table({"n": ids, **BASE, "PassengerId": ids * 7, "amount": ids * 9})
    found = {f.name: f for f in Schema.infer(table, "y").features}
    kinds = {name: f.kind for name, f in found.items()}
    assert kinds == {"n": "numeric", "x": "numeric", "PassengerId": "drop", "amount": "numeric"}
    assert "from 0 to 59, each once, as numbers of rows are; kinds={'n': 'drop'}" in found["n"].why
    assert "kinds={'PassengerId': 'numeric'} takes it in" in found["PassengerId"].why
    assert "each once" not in found["amount"].why


NO_NUMBERS = {
    "months": (["36 months", "60 months", None] * 20, "2 different texts, such as '36 months', "
               "and no numbers: 'months' stands beside them, 20 missing"),
    "shares": (["10%", "20 %", "50%"] * 20, "and no numbers: '%' stands beside them"),
    "engines": (["1.4 TSI", "2.0 TSI", "2.0 TSI"] * 20, "2 different texts, such as '1.4 TSI', and "
                "no numbers: 'TSI' stands"),
    "units": (["3.5 l", "90 kg", "2 m"] * 20, "3 different texts"),
    "letters": ([f"{i % 30}A" for i in range(N)], "such as '0A', and no numbers: 'A' stands"),
    "ids": ([f"{i % 30:03d}kg" for i in range(N)], "and no numbers: 'kg' stands beside them"),
    "cabins": ([f"C{i % 30}" for i in range(N)], "30 different texts"),
    "addresses": ([f"192.168.0.{i % 30}" for i in range(N)], "30 different texts"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_numbers_with_a_unit_are_categories_only_where_they_may_be_and_it_is_said(name):
    cells, why = NO_NUMBERS[name]
    (found,) = Schema.infer(read_table({"c": cells, "y": BASE["y"]}), "y").features
    assert found.kind == "categorical"
    assert why in found.why
    assert ("and no numbers" in found.why) is ("and no numbers" in why)


@pytest.mark.parametrize(
    ("rows", "different"), [(12, 12), (40, 37), (60, 60), (200, 120), (12, 10), (40, 36)]
)
def test_a_text_of_its_own_in_nearly_every_row_is_left_out(rows, different):
    texts = [f"the {'word ' * (i % different)}" for i in range(rows)]
    table = read_table({"x": np.arange(rows) / 3, "c": texts, "y": cut(np.arange(rows) % 2)})
    found = Schema.infer(table, "y").features[1]
    nearly = different > 0.9 * rows or different > 50
    assert found.kind == ("drop" if nearly else "categorical")
    told = f"{different} different texts in {rows} rows, such as 'the': no category"
    assert not nearly or found.why == told


@given(st.integers(-(10**9), 10**9), st.integers(0, 99), st.sampled_from(["$", "€", "£", ""]),
       st.sampled_from(["%", " %", " kg", "€", ""]), st.booleans(), st.sampled_from([".", ","]),
       st.sampled_from([".", ","]))  # fmt: skip
def test_a_number_with_a_unit_is_rewritten_as_that_number(
    whole, rest, before, after, grouped, point, decimal
):
    """point: the sign in the cell; decimal: the one that the table's numbers have."""
    sign, size = "-" if whole < 0 else "", abs(whole)
    number = f"{size:,}.{rest}" if grouped else f"{size}.{rest}"
    number = number.translate(EXCHANGED) if point == "," else number
    cell, value = f"{sign}{before}{number}{after}", float(f"{sign}{size}.{rest}")
    found = rewritten(cell, decimal)
    if number_of(cell, decimal) == value:
        assert found is None
    else:
        assert number_of(found.split(":")[0], decimal) == value


def test_a_target_of_amounts_with_a_unit_may_be_of_classes():
    few, many = ["1.4 TSI", "2.0 TSI"] * 30, [f"{i % 12}.5 l" for i in range(N)]
    assert Schema.infer(read_table({**BASE, "t": few}), "t").target.task == "binary"
    with pytest.raises(ChainruleError) as info:
        Schema.infer(read_table({**BASE, "t": many}), "t")
    assert info.value.fix.endswith("or task='multiclass' takes the texts as classes")
    table = read_table({**BASE, "t": many})
    assert Schema.infer(table, "t", task="multiclass").target.task == "multiclass"


@pytest.mark.parametrize(
    ("cell", "said"),
    [("0,5", "write 0.5: a decimal comma is read with decimal=','"),
     ("1,250", "write 1250: a comma between thousands is not read"),
     ("155,17 €", "write 155.17: '€' beside a number is not read"),
     ("1.234.567 kg", "write 1234567: 'kg' beside a number is not read"),
     ("1.2.3 kg", "mend it")],
)  # fmt: skip
def test_what_is_advised_for_a_number_can_be_read(cell, said):
    numbers = [str(i / 7) for i in range(N - 1)]
    with pytest.raises(ChainruleError) as info:
        Schema.infer(read_table({"c": [*numbers, cell], **BASE}), "y", kinds={"c": "numeric"})
    assert said in info.value.fix


TASKS = {
    "amounts": ({"y": np.linspace(0, 1, N)}, "y", {}, "regression", "rmse", ()),
    "many whole numbers": ({"y": np.arange(N)}, "y", {}, "regression", "rmse", ()),
    "two numbers": ({"y": np.arange(N) % 2 + 0.5}, "y", {}, "binary", "accuracy", (0.5, 1.5)),
    "whole classes": ({"y": cut(np.arange(N) % 3)}, "y", {}, "multiclass", "accuracy", (0, 1, 2)),
    "texts": ({"y": ["b", "a", "c"] * 20}, "y", {}, "multiclass", "accuracy", ("a", "b", "c")),
    "bool": ({"y": np.arange(N) % 2 == 0}, "y", {}, "binary", "accuracy", (False, True)),
    "cut labels": ({"y": ["a|b", "b", "a|c", "c|b"] * 15}, "y", {}, "multilabel", "f1",
                   ("a", "b", "c")),
    "a label that is always alone": ({"y": ["a; b", "b", "none", "a"] * 15}, "y", {},
                                     "multilabel", "f1", ("a", "b", "none")),
    "names with a sign": ({"y": ["Doe, Jo", "Roe, Al", "Poe, Ed", "Doe"] * 15}, "y", {},
                          "multiclass", "accuracy", ("Doe", "Doe, Jo", "Poe, Ed", "Roe, Al")),
    "several columns": ({"p": np.arange(N) % 2, "q": ["yes", "no"] * 30}, ["p", "q"], {},
                        "multilabel", "f1", ("p", "q")),
    "several amounts": ({"p": np.arange(N), "q": np.arange(N) / 7}, ["p", "q"], {}, "regression",
                        "rmse", ()),
    "as asked": ({"y": np.arange(N) % 3}, "y", {"task": "regression", "metric": "mae"},
                 "regression", "mae", ()),
    "classes, as asked": ({"y": np.arange(N) // 2}, "y", {"task": "multiclass"}, "multiclass",
                          "accuracy", tuple(range(30))),
    "a sign, as asked": ({"y": ["a b", "b", "", "a"] * 15}, "y", {"separator": " "}, "multilabel",
                         "f1", ("a", "b")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "target", "options", "task", "metric", "labels"), TASKS.values(), ids=TASKS
)
def test_the_task_is_found(columns, target, options, task, metric, labels):
    schema = Schema.infer(read_table({"x": BASE["x"], **columns}), target, **options)
    found = schema.target
    assert (found.task, found.metric, found.labels) == (task, metric, labels)
    assert list(map(type, found.labels)) == list(map(type, labels))
    assert task in schema.describe()[0]
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_every_metric_is_of_a_task():
    """But for the matrix, which is no number."""
    named = {metric for able in METRICS_OF.values() for metric in able}
    assert named == METRICS.keys() - {"confusion_matrix"}


LONG = ["8.5"] * 2 + cut(np.arange(N - 3) / 3)
REFUSED = {
    "an unknown target": ({}, "Y2", {}, ["'Y2'", "did you mean 'y'?"]),
    "an unknown column": ({}, "y", {"kinds": {"xx": "numeric"}}, ["'xx'", "'x'"]),
    "an unknown kind": ({}, "y", {"kinds": {"x": "number"}}, ["'number'", "'numeric'"]),
    "an unknown task": ({}, "y", {"task": "binery"}, ["'binary'"]),
    "an unknown metric": ({}, "y", {"metric": "acuracy"}, ["'accuracy'"]),
    "a metric of another task": ({}, "y", {"metric": "rmse"}, ["multiclass", "'rmse'"]),
    "the target left out": ({}, "y", {"drop": ["y"]}, ["'y'"]),
    "a form of no date": ({}, "y", {"kinds": {"x": "numeric"}, "forms": {"x": "%Y"}}, ["'x'"]),
    "a form with no such part": ({}, "y", {"forms": {"x": "%Q.%Y"}}, ["'x'", "%Q.%Y", "bad dir"]),
    "a form without a year": ({}, "y", {"forms": {"x": "%d.%m."}}, ["'%d.%m.'", "has no year"]),
    "dates of an unlikely form": (
        {"c": [*["20190525"] * 20, *["2019-05-25"] * 40]}, "y", {"kinds": {"c": "date"}},
        ["'20190525' in row 0", "2024-12-31", "missing="],
    ),
    "dates of another form": (
        {"c": ["20.06.20", "17.11.17"] * 30}, "y", {"forms": {"c": "%Y-%m"}},
        ["the form %Y-%m", "'20.06.20' in row 0", "forms={'c': '%d.%m.%y'}"],
    ),
    "nothing left": ({}, "y", {"drop": ["x"]}, ["no column is left", "'x'"]),
    "texts among numbers": (
        {"c": ["abc", *LONG]}, "y", {}, ["'c'", "'abc'", "row 0", "missing="],
    ),
    "a text among counts": (
        {"c": cut([*(np.arange(N - 1) % 13), "kaputt"])}, "y", {},
        ["'c'", "'kaputt' in row 59", "missing=[.., 'kaputt']", "kinds={'c': 'categorical'}"],
    ),
    "a text among two numbers": ({"c": cut([*(np.arange(N - 1) % 2 + 7), "x"])}, "y", {}, ["'x'"]),
    "two slips": (
        {"c": cut(["n.b.", *(np.arange(N - 2) % 5), "n. b."])}, "y", {},
        ["2 cells", "'n.b.' in row 0; so in row 59"],
    ),
    "one word in many of the cells of numbers": (
        {"c": cut([i if i % 3 else "unknown" for i in range(N)])}, "y", {},
        ["'c'", "20 cells", "'unknown' in row 0", "missing=[.., 'unknown']", "'categorical'"],
    ),
    "a slip among classes": (
        {"y": cut(["n.b.", *(np.arange(N - 2) % 3), "n.b."])}, "y", {},
        ["'y'", "'n.b.' in row 0", "missing=[.., 'n.b.']", "task='multiclass'"],
    ),
    "a text among few numbers": ({"c": ["1.5", *["2"] * 58, "x"]}, "y", {}, ["'c'", "'x'"]),
    "an infinity": ({"c": [*LONG, "inf"]}, "y", {}, ["'c'", "'inf'", "row 59"]),
    "texts, asked for numbers": (
        {"c": ["1", "2", "x"] * 20}, "y", {"kinds": {"c": "numeric"}},
        ["'c'", "20 cells", "'x'", "row 2"],
    ),
    "numbers, asked for truth": ({}, "y", {"kinds": {"x": "boolean"}}, ["'x'", "58 cells"]),
    "numbers, asked for dates": ({}, "y", {"kinds": {"x": "date"}}, ["'x'"]),
    "a slip among dates": (
        {"c": ["soon", *(f"2024-01-{1 + i % 28:02d}" for i in range(N - 1))]}, "y", {},
        ["'c'", "'soon'", "row 0"],
    ),
    "gaps in the target": ({"y": [None, 1, 2] * 20}, "y", {}, ["'y'", "20 rows", "0, 3, 6"]),
    "one class": ({"y": ["a"] * N}, "y", {}, ["'y'", "one class"]),
    "one amount": ({"y": [1.5] * N}, "y", {"task": "regression"}, ["'y' is 1.5 in every row"]),
    "one number": ({"y": [5] * N}, "y", {}, ["'y' is 5 in every row"]),
    "an infinity among amounts": (
        {"y": [*(i / 7 for i in range(N - 1)), float("inf")]}, "y", {},
        ["'y' holds a cell that is not a finite number", "'inf' in row 59"],
    ),
    "a slip among amounts": (
        {"y": [*(f"{i}.5" for i in range(N - 1)), "n.b."]}, "y", {}, ["'n.b.'", "row 59", "number"],
    ),
    "thousands": (
        {"y": [f"{i + 1},123.5" for i in range(N)]}, "y", {}, ["1,123.5", "write 1123.5"],
    ),
    "thousands to learn from": (
        {"c": [f"{i + 1},123.5" for i in range(N)]}, "y", {}, ["'c'", "write 1123.5"],
    ),
    "a currency": (
        {"c": [f"${i},250" for i in range(1, N + 1)]}, "y", {},
        ["'c'", "'$1,250' in row 0", "write 1250: '$' beside", "kinds={'c': 'categorical'}"],
    ),
    "shares": (
        {"c": ["3.4 %", "3.5 %", "12 %", "?"] * 15}, "y", {},
        ["'c'", "'3.4 %' in row 0", "write 3.4: '%' beside", "kinds={'c': 'categorical'}"],
    ),
    "a currency to predict": (
        {"y": [f"-{i}.5€" for i in range(N)]}, "y", {}, ["'y'", "'-0.5€' in row 0", "write -0.5:"],
    ),
    "a unit": ({"c": [f"{i} kg" for i in range(N)]}, "y", {}, ["write 0: 'kg' beside a number"]),
    "a class with one row": ({"y": ["a"] * 30 + ["b"] * 29 + ["c"]}, "y", {}, ["'c'", "row 59"]),
    "classes with a row each": (
        {"y": [*(f"t{i}" for i in range(5)), *["a"] * 55]}, "y", {},
        ["'t0'", "4 more such classes"],
    ),
    "amounts as classes": (
        {"y": [*(i / 7 for i in range(1, 21)), *[0.5] * 40]}, "y", {"task": "multiclass"},
        ["'y' holds numbers that are no classes", "in 60 rows", "task='regression'"],
    ),
    "a class a row": ({"y": [f"t{i}" for i in range(N)]}, "y", {}, ["60 classes in 60 rows"]),
    "three for binary": ({}, "y", {"task": "binary"}, ["3 classes"]),
    "texts for amounts": ({"y": ["a", "b"] * 30}, "y", {"task": "regression"}, ["'y'", "'a'"]),
    "one label for several": ({"y": ["a", "b"] * 30}, "y", {"task": "multilabel"}, ["one label"]),
    "several for one": ({"z": BASE["y"]}, ["y", "z"], {"task": "multiclass"}, ["2 columns"]),
    "dates to predict": ({"y": np.datetime64("2024-01-01") + np.arange(N)}, "y", {}, ["date"]),
    "a sign in no cell": (
        {"y": ["a|b", "b"] * 30}, "y", {"separator": ";"},
        ["no cell", "'y'", "';'", "'a|b'", "task='multiclass'"],
    ),
    "a label a row": (
        {"y": [f"t{i}|t{i + 1}" for i in range(N)]}, "y", {"separator": "|"},
        ["'y'", "almost another label", "61 labels in 60 rows"],
    ),
    "the same labels": (
        {"y": ["a|b", "b|a"] * 30}, "y", {"separator": "|"},
        ["'y'", "same labels in every row", "a, b"],
    ),
    "labels one of which is everywhere": (
        {"y": [True, False] * 30, "z": [True] * N}, ["y", "z"], {},
        ["'z' is true in every row", "false in others"],
    ),
    "amounts one of which is the same": (
        {"y": [0.5, 1.5] * 30, "z": [2.5] * N}, ["y", "z"], {}, ["'z' is 2.5 in every row"],
    ),
    "no sign": ({"y": ["a b", "b"] * 30}, "y", {"separator": ""}, ["separator"]),
    "a sign for several": ({"z": BASE["y"]}, ["y", "z"], {"separator": ","}, ["one target"]),
    "a sign in numbers": ({}, "y", {"separator": ","}, ["no texts"]),
    "a number for a name": ({}, 3, {}, ["target must be texts"]),
    "a list of kinds": ({}, "y", {"kinds": ["x"]}, ["kinds must be a dict"]),
    "a number for a gap": ({}, "y", {"missing": [-9]}, ["missing must be texts"]),
    "a task without target": ({}, None, {"task": "binary"}, ["needs a target"]),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "target", "options", "words"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_named(columns, target, options, words):
    with pytest.raises(ChainruleError) as caught:
        Schema.infer(read_table({**BASE, **columns}), target, **options)
    text = str(caught.value)
    assert not [word for word in words if word not in text], text
    assert len(text.splitlines()) <= 6


def test_every_choice_can_be_made():
    table = read_table({**BASE, "code": cut(np.arange(N) % 4), "day": ["3/4/2024", "-9"] * 30})
    schema = Schema.infer(
        table, "y", kinds={"code": "categorical"}, forms={"day": "%d/%m/%Y"}, drop=["x"],
        missing=["-9"],
    )  # fmt: skip
    kinds = {f.name: (f.kind, f.form) for f in schema.features}
    assert kinds == {
        "x": ("drop", None), "code": ("categorical", None), "day": ("date", "%d/%m/%Y"),
    }  # fmt: skip
    assert "30 missing" in schema.features[-1].why
    assert schema.describe()[-1] == "missing: -9"
    taken = Schema.infer(table, "y", kinds={"x": "numeric"})
    assert taken.features[0].why.startswith("as asked")


def test_a_decimal_comma_is_one():
    table = read_table(b"x;n;y\n" + b"1,5;1.234,5;a\n2,5;2,5;b\n" * 30)
    assert Schema.infer(table, "y").features[1].why.startswith("numbers from 2.5 to 1234.5")
    with pytest.raises(ChainruleError, match=r"'12.5' in bytes, line 2"):
        Schema.infer(read_table(b"x;y\n12.5;a\n1,5;b\n", decimal=","), kinds={"x": "numeric"})


def test_what_is_no_schema_is_refused():
    good = Schema.infer(chainrule.data.penguins(), "species").to_json()
    unknown = {"name": "a", "kind": "none", "why": "", "form": None}
    for change in ({"version": 2}, {"features": 3}, {"target": {"names": 1}}, {"missing": None},
                   {"features": [unknown]}):  # fmt: skip
        with pytest.raises(FormatError):
            Schema.from_json({**good, **change})
    with pytest.raises(FormatError):
        Schema.from_json([])


def test_numbers_with_a_point_in_the_source_are_amounts():
    """0.0 to 10.0 as a file of numbers holds them; as texts or whole numbers they are classes."""
    grades = np.arange(110) % 11
    for y, task in ((grades.astype(float), "regression"), (grades, "multiclass")):
        table = read_table({"x": np.arange(110) / 3, "y": y})
        assert Schema.infer(table, "y").target.task == task
