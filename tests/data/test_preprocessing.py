"""Tables as arrays: on one scale, without gaps, the same bits after a reload and in any order."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from table_cases import said_of

from chainrule.data import Preprocessing, Schema, penguins, read_table
from chainrule.data.tables import table as table_module
from chainrule.errors import ChainruleError, FormatError
from chainrule.tensor.memory import OutOfMemory

N = 40
COLUMNS = {
    "size": np.arange(N) / 7,
    "gaps": [None if i % 5 == 0 else float(i * i) for i in range(N)],
    "flag": [None if i % 7 == 0 else ["yes", "no"][i % 2] for i in range(N)],
    "colour": ["red", "blue", "", "green"] * 10,
    "when": [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d} {i % 24:02d}:30" for i in range(N)],
    "y": ["a", "b"] * 20,
}  # fmt: skip


def fitted(columns=COLUMNS, target="y", **options):
    table = read_table(columns)
    schema = Schema.infer(table, target, **options)
    return table, Preprocessing.fit(table, schema)


def same(a, b):
    """The same bits."""
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_each_column_becomes_what_it_should():
    table, prep = fitted()
    assert prep.numeric_names == (
        "size", "gaps", "gaps is missing", "flag", "flag is missing", "when day",
        "when month sin", "when month cos", "when weekday sin", "when weekday cos",
        "when hour sin", "when hour cos",
    )  # fmt: skip
    arrays = prep.transform(table)
    x = dict(zip(prep.numeric_names, arrays.numeric.T, strict=True))
    size = np.arange(N) / 7
    q1, q2, q3 = np.quantile(size, (0.25, 0.5, 0.75))
    z = (size - q2) / (q3 - q1)
    np.testing.assert_allclose(x["size"], z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-5, atol=1e-6)
    gone = np.arange(N) % 5 == 0
    assert (x["gaps is missing"] == gone).all()
    assert (x["gaps"][gone] == 0).all()
    assert x["flag"][:4].tolist() == [0, -1, 1, -1]
    assert arrays.categorical[:4, 0].tolist() == [4, 2, 1, 3]
    assert prep.cardinalities == (5,)
    for part in ("month", "weekday", "hour"):
        circle = x[f"when {part} sin"] ** 2 + x[f"when {part} cos"] ** 2
        np.testing.assert_allclose(circle, 1, rtol=1e-6)
    hours = np.arange(N) % 24 + 0.5
    np.testing.assert_allclose(x["when hour sin"], np.sin(2 * np.pi * hours / 24), atol=1e-6)
    months = np.arange(N) % 12
    np.testing.assert_allclose(x["when month cos"], np.cos(2 * np.pi * months / 12), atol=1e-6)
    days = [np.datetime64(f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}").item().weekday()
            for i in range(N)]  # fmt: skip
    np.testing.assert_allclose(x["when weekday sin"], np.sin(2 * np.pi * np.array(days) / 7),
                               atol=1e-6)  # fmt: skip
    assert np.isfinite(arrays.numeric).all()
    assert arrays.target.tolist() == [0, 1] * 20
    assert arrays.said == ()


TARGETS = {
    "amounts": ({"y": np.linspace(5, 9, N)}, "y"),
    "whole": ({"y": np.arange(N) % 3}, "y"),
    "floats": ({"y": np.arange(N) % 2 + 0.5}, "y"),
    "small": ({"y": (np.arange(N) % 3).astype(np.uint8)}, "y"),
    "texts of numbers": ({"y": ["7", "10"] * 20}, "y"),
    "texts": ({"y": ["7", "x"] * 20}, "y"),
    "bool": ({"y": np.arange(N) % 2 == 0}, "y"),
    "joined": ({"y": ["a|b", "b", "a|c", "b|c"] * 10}, "y"),
    "columns of bool": ({"p": np.arange(N) % 2 == 0, "q": np.arange(N) % 3 == 0}, ["p", "q"]),
    "columns of amounts": ({"p": np.arange(N) / 3, "q": 1e6 - np.arange(N)}, ["p", "q"]),
}


@pytest.mark.parametrize(("columns", "target"), TARGETS.values(), ids=TARGETS)
def test_the_target_comes_back_as_it_was(columns, target):
    columns = {"size": COLUMNS["size"] ** 2, **columns}
    table, prep = fitted(columns, target)
    arrays = prep.transform(table)
    back = prep.inverse_target(arrays.target)
    names = [target] if isinstance(target, str) else target
    given = np.stack([np.asarray(columns[n]) for n in names], 1)
    if prep.schema.target.task == "regression":
        assert (np.abs(back - given) <= 1e-6 * given.std(0)).all()  # float32 on the way
        np.testing.assert_allclose(arrays.target.mean(0), 0, atol=1e-6)
        np.testing.assert_allclose(arrays.target.std(0), 1, rtol=1e-5)
    else:
        given = given if len(names) > 1 else given[:, 0]
        assert [str(v) for v in back.ravel()] == [str(v) for v in given.ravel()]
        assert back.dtype == given.dtype or given.dtype.kind == "U"
    assert arrays.target.dtype == (np.int64 if arrays.target.ndim == 1 else np.float32)


def test_a_reload_keeps_every_bit():
    for columns, target in ((COLUMNS, "y"), (COLUMNS, "size"), (COLUMNS, None)):
        table, prep = fitted(columns, target)
        again = Preprocessing.from_json(json.loads(json.dumps(prep.to_json())))
        assert again == prep
        assert all(
            same(a, b)
            for a, b in zip(prep.transform(table)[:3], again.transform(table)[:3], strict=True)
        )


def test_columns_go_by_name():
    table, prep = fitted()
    names = [*reversed(COLUMNS), "more"]
    other = read_table({n: COLUMNS.get(n, np.arange(N)) for n in names})
    arrays = prep.transform(other)
    assert same(arrays.numeric, prep.transform(table).numeric)
    assert ["'more'" in s for s in arrays.said] == [True, False]
    with pytest.raises(ChainruleError) as caught:
        prep.transform(read_table({n.replace("size", "Size"): v for n, v in COLUMNS.items()}))
    assert "no column 'size'" in str(caught.value)
    assert "is 'Size' the same" in str(caught.value)
    assert "; the first that is new: 'Size'" in caught.value.got
    wide = {f"c{i}": np.arange(N) % (i + 2) for i in range(99)} | COLUMNS
    with pytest.raises(ChainruleError) as caught:
        prep.transform(read_table({n: v for n, v in wide.items() if n != "size"}))
    assert caught.value.got.endswith("more; the first that is new: 'c0'")
    with pytest.raises(ChainruleError) as caught:
        prep.transform(read_table({n: v for n, v in COLUMNS.items() if n != "size"}))
    assert "new" not in caught.value.got
    with pytest.raises(ChainruleError) as caught:
        prep.transform(read_table({f"{n.upper()}_": [1] for n in COLUMNS}))
    assert not [
        n for n in list(COLUMNS)[:4] if f"'{n.upper()}_' for '{n}'" not in str(caught.value)
    ]
    assert "and 1 more" in str(caught.value)
    with pytest.raises(ChainruleError, match="a file with these columns"):
        prep.transform(read_table({"0123456789": [1]}))
    rest = read_table({n: v for n, v in COLUMNS.items() if n != "y"})
    assert prep.transform(rest).target is None
    with pytest.raises(ChainruleError):
        prep.transform(rest, target=True)


def test_a_new_category_is_unknown_and_counted():
    _, prep = fitted()
    other = read_table({**COLUMNS, "colour": ["pink"] * 3 + ["red"] * (N - 3)})
    arrays = prep.transform(other)
    assert arrays.categorical[:4, 0].tolist() == [0, 0, 0, 4]
    assert arrays.said == ("'colour': 3 rows of unknown category: 'pink'",)
    with pytest.raises(ChainruleError, match=r"(?s)'colour'.*'pink', in rows 0, 1, 2"):
        prep.transform(other, unseen="error")
    with pytest.raises(ChainruleError, match="did you mean 'error'"):
        prep.transform(other, unseen="eror")


def test_a_category_is_one_whatever_it_was_read_from():
    table, prep = fitted({"c": np.arange(N) % 3, "y": COLUMNS["y"]}, kinds={"c": "categorical"})
    codes = prep.transform(table).categorical
    for cells in ((np.arange(N) % 3).astype(float), [str(i % 3) for i in range(N)]):
        assert same(prep.transform(read_table({"c": cells})).categorical, codes)


BAD = {
    "size": (["1"] * 3 + ["abc"] + ["2"] * (N - 4), ["'size'", "'abc'", "row 3"]),
    "gaps": ([1.0, np.inf] * 20, ["'gaps'", "20 cells", "row 1"]),
    "flag": (["yes", "maybe"] * 20, ["'flag'", "'maybe'"]),
    "when": (["2024-01-01", "1.2.2024"] * 20, ["'when'", "'1.2.2024'"]),
    "y": (["a", "c"] * 20, ["'y'", "'c'", "row 1"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_cell_that_does_not_fit_is_named(name):
    _, prep = fitted()
    before = prep.to_json()
    cells, words = BAD[name]
    with pytest.raises(ChainruleError) as caught:
        prep.transform(read_table({**COLUMNS, name: cells}))
    text = str(caught.value)
    assert not [w for w in words if w not in text], text
    assert len(text.splitlines()) <= 6
    assert prep.to_json() == before
    if name != "y":
        table = read_table({**COLUMNS, name: cells})
        with pytest.raises(ChainruleError):
            Preprocessing.fit(table, prep.schema)


def test_gaps_where_none_were_are_said():
    table, prep = fitted()
    arrays = prep.transform(read_table({**COLUMNS, "size": [None, *COLUMNS["size"][1:]]}))
    assert arrays.said == ("'size' is missing in 1 row, and never was before",)
    assert arrays.numeric[0, 0] == 0
    assert arrays.numeric.shape == prep.transform(table).numeric.shape


def test_a_target_may_be_left_alone():
    table, prep = fitted(target="size")
    assert prep.transform(table, target=False).target is None
    gone = read_table({**COLUMNS, "size": [None] * N})
    assert prep.transform(gone, target=False).target is None
    with pytest.raises(ChainruleError, match="no value in 40 rows"):
        prep.transform(gone)
    with pytest.raises(ChainruleError, match="too large"):
        fitted({"x": np.arange(N) ** 2, "y": np.arange(N) * 1e200}, "y")
    for wrong in (np.zeros((2, 3)), np.zeros((2, 1, 1))):
        with pytest.raises(ChainruleError):
            prep.inverse_target(wrong)
    with pytest.raises(ChainruleError, match="0 to 1"):
        fitted()[1].inverse_target([0, 2])


def test_memory_is_counted_before_arrays_are_made(monkeypatch):
    table, prep = fitted()
    monkeypatch.setattr(table_module, "free_bytes", lambda: 1000)
    with pytest.raises(OutOfMemory, match="40 rows, 12 numbers"):
        prep.transform(table)
    with pytest.raises(OutOfMemory):
        Preprocessing.fit(table, prep.schema)


def test_what_is_no_preprocessing_is_refused():
    _, prep = fitted(target="size")
    good = prep.to_json()
    for change in ({"version": 0}, {"schema": {}}, {"blocks": []}, {"blocks": [{"kind": "x"}]},
                   {"mean": []}, {"std": ["x"]}, {"blocks": 3}):  # fmt: skip
        with pytest.raises(FormatError):
            Preprocessing.from_json({**good, **change})
    with pytest.raises(ChainruleError):
        Preprocessing.fit(penguins(), prep.schema)
    with pytest.raises(ChainruleError):
        Preprocessing.fit(penguins(), good)


PLAIN_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                                max_size=3),
    max_leaves=4,
)  # fmt: skip


def places(value, at=()):
    """The path of everything in a JSON value."""
    yield at
    keys = value if isinstance(value, dict) else ()
    for key in range(len(value)) if isinstance(value, list) else keys:
        yield from places(value[key], (*at, key))


@pytest.fixture(scope="module")
def saved():
    return [(t, p.to_json()) for t, p in (fitted(), fitted(target="size"))]


@given(st.data())
@settings(max_examples=40)
def test_an_altered_preprocessing_is_refused_or_works(saved, data):
    table, good = data.draw(st.sampled_from(saved))
    good = json.loads(json.dumps(good))
    *path, last = data.draw(st.sampled_from(list(places(good))[1:]))
    at = good
    for key in path:
        at = at[key]
    at[last] = data.draw(PLAIN_JSON)
    try:
        arrays = Preprocessing.from_json(good).transform(table)
    except ChainruleError as error:
        said_of(error)
    else:
        assert np.isfinite(arrays.numeric).all()


NUMBER = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-9, 9))
CATEGORY = st.sampled_from(["red", "green", " blue", "a,b", 'say "x"', "x\ny", "NA", ""])
ROWS = st.lists(st.tuples(st.none() | NUMBER, CATEGORY, st.booleans()), min_size=4, max_size=30)


def drawn(rows):
    """A table as CSV, read again; rows that make a target of one class are passed over."""
    classes = [t for *_, t in rows]
    assume(min(classes.count(True), classes.count(False)) > 1)
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("n", "c", "y"), *rows])
    table = read_table(text.getvalue().encode(), delimiter=",", header=True, decimal=".")
    kinds = {"n": "numeric", "c": "categorical"}
    for name, values in (("n", [n for n, *_ in rows]), ("c", table["c"].values.tolist())):
        if all(v is None or v in ("NA", "") for v in values):
            kinds[name] = "drop"
    assume(set(kinds.values()) != {"drop"})
    return table, Schema.infer(table, "y", kinds=kinds)


@given(ROWS, st.randoms())
@settings(max_examples=40)
def test_any_table_is_finite_and_its_order_does_not_matter(rows, random):
    table, schema = drawn(rows)
    prep = Preprocessing.fit(table, schema)
    arrays = prep.transform(table)
    assert np.isfinite(arrays.numeric).all()
    assert (np.abs(arrays.numeric) <= 3).all()
    assert not arrays.said
    assert all((c > 0).all() and (c < k).all()
               for c, k in zip(arrays.categorical.T, prep.cardinalities, strict=True))  # fmt: skip
    order = list(range(len(rows)))
    random.shuffle(order)
    mixed = table.take(order)
    assert Preprocessing.fit(mixed, Schema.infer(mixed, "y", kinds={
        f.name: f.kind for f in schema.features})).blocks == prep.blocks  # fmt: skip
    again = Preprocessing.from_json(json.loads(json.dumps(prep.to_json())))
    for found in (again.transform(mixed), prep.transform(mixed)):
        assert same(found.numeric, arrays.numeric[order])
        assert same(found.categorical, arrays.categorical[order])
        assert same(found.target, arrays.target[order])
    if "n" in prep.numeric_names:
        values = np.array([np.nan if n is None else float(n) for n, *_ in rows])
        place = np.argsort(values[~np.isnan(values)], kind="stable")
        scaled = arrays.numeric[~np.isnan(values), 0][place]
        assert (np.diff(scaled) >= 0).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=30), st.randoms())
@settings(max_examples=40)
def test_the_scale_of_the_target_does_not_depend_on_the_order(y, random):
    assume(len(set(y)) > 1)
    table = read_table({"x": np.arange(len(y)) ** 2, "y": y})
    order = list(range(len(y)))
    random.shuffle(order)
    found = [Preprocessing.fit(t, Schema.infer(t, "y", task="regression"))
             for t in (table, table.take(order))]  # fmt: skip
    assert found[0].mean == found[1].mean
    assert found[0].std == found[1].std


def test_dates_can_be_read_in_another_form_than_that_learned():
    """The same arrays from the same days, however a later file writes them; no other change."""
    days = [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(N)]
    turned = [f"{day[8:]}.{day[5:7]}.{day[:4]}" for day in days]
    table, prep = fitted({"x": np.arange(N) / 7, "when": turned, "y": COLUMNS["y"]})
    later = read_table({"x": np.arange(N) / 7, "when": days, "y": COLUMNS["y"]})
    with pytest.raises(ChainruleError, match=r"forms=\{"):
        prep.transform(later)
    other = prep.with_forms({"when": "ISO"})
    assert same(other.transform(later).numeric, prep.transform(table).numeric)
    assert other.schema.features[1].form == "ISO"
    assert Preprocessing.from_json(other.to_json()) == other
    assert prep.schema.features[1].form == "%d.%m.%Y"
    for wrong in ({"x": "ISO"}, {"whn": "ISO"}, {"when": "%d.%m."}):
        with pytest.raises(ChainruleError):
            prep.with_forms(wrong)
