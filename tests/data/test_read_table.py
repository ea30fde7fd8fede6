"""Files and frames as tables: what is found, and what is said where something is wrong."""

from __future__ import annotations

import csv
import decimal
import io
import os
import sys
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_cases import ENCODINGS, PLAIN, said_of, torn

import chainrule
from chainrule.data import Preprocessing, Schema
from chainrule.data.tables import encoding, penguins, read_table, table
from chainrule.data.tables import separated as separated_module
from chainrule.data.tables.separated import LINE_END
from chainrule.errors import ChainruleError
from chainrule.tensor.memory import OutOfMemory

DIALECTS = {
    "plain": (PLAIN, {}, "','", ["1.5", "2"]),
    "byte order mark": (b"\xef\xbb\xbf" + PLAIN, {}, "byte order mark", ["1.5", "2"]),
    "utf-16": ("size\tname\n1\té\n".encode("utf-16"), {}, "UTF-16", ["1"]),
    "utf-32": ("size\tname\n1\té\n".encode("utf-32"), {}, "UTF-32", ["1"]),
    "cp1252, as asked": (b"size,name\n1,\xe9\n", {"encoding": "cp1252"}, "cp1252", ["1"]),
    "semicolons and commas": (b"size;b\n1,5;2\n2,5;3\n", {}, "decimal comma", ["1,5", "2,5"]),
    "lists in cells": (b"size,tags\n1,a;b\n2,a;c;d\n", {}, "','", ["1", "2"]),
    "quoted commas": (b'size,b\n"1,5","x"\n"2,25","y"\n', {}, "decimal comma", ["1,5", "2,25"]),
    "thousands": (b'size,b\n"1,500",x\n"2,250",y\n', {}, "decimal point", ["1,500", "2,250"]),
    "bars": (b"size|b\n1|x, y\n2|z\n", {}, "'|'", ["1", "2"]),
    "one column": (b"size\n1\n2\n", {}, "names in the first line", ["1", "2"]),
    "carriage returns": (b"size,b\r1,x\r2,y\r", {}, "','", ["1", "2"]),
    "blank lines": (b"size,b\n\n1,x\n\n\n2,y\n\n", {}, "','", ["1", "2"]),
    "another quote": (b"size,b\n1,'x,y'\n2,z\n", {"quote": "'"}, "quote '", ["1", "2"]),
    "JSON lines": (b'{"size": 1.5}\n{"size": 2, "b": "x"}\n', {}, "JSON lines", [1.5, 2.0]),
}  # fmt: skip


@pytest.mark.parametrize(("data", "options", "said", "sizes"), DIALECTS.values(), ids=DIALECTS)
def test_the_dialect_is_found_and_stated(data, options, said, sizes):
    found = read_table(data, **options)
    assert said in found.said[0]
    assert found["size"].values.tolist() == sizes


@pytest.mark.parametrize(
    ("data", "header", "names"),
    [
        (b"1,2\n3,4\n", None, ("column_1", "column_2")),
        (b"1,2\n3,4\n", True, ("1", "2")),
        (b"x,2019,2020\na,1,2\n", None, ("column_1", "column_2", "column_3")),
        (b"n,2019,2020\n7,1,2\n", None, ("n", "2019", "2020")),
        (b"a,b\nx,y\n", None, ("a", "b")),
        (b"a,b\nx,y\n", False, ("column_1", "column_2")),
        (b",b\n1,2\n", None, ("column_1", "b")),
    ],
)
def test_names_are_told_from_numbers(data, header, names):
    found = read_table(data, header=header)
    assert found.names == names
    unnamed = "no line of names" in found.said[0] or "has no name" in found.said[-1]
    assert unnamed == ("column_1" in names)


LATE = b"a,b\n" + b"1,2\n" * 3000
FAULTS = {
    "nothing": (b"", {}, "FormatError", ["is empty"]),
    "blanks": (b" \n\n", {}, "FormatError", ["is empty"]),
    "names alone": (b"a,b\n", {}, "FormatError", ["no rows", "2 names"]),
    "ragged": (LATE + b"1,2,3\n1,2\n", {}, "FormatError", ["line 3002", "3 cells", "2 cells"]),
    "a delimiter at the end": (b"a,b\n1,2,\n3,4,\n", {}, "FormatError", ["every row ends"]),
    "names of rows": (b"a,b\nx,1,2\ny,3,4\n", {}, "FormatError", ["a name in front"]),
    "a title above": (b"My table\n\na,b,c\n1,2,3\n", {}, "FormatError", ["line 3", "lines above"]),
    "decimal commas alone": (b"x\n1,5\n2,5\n", {}, "FormatError", ["delimiter=';'", "decimal"]),
    "Feather": (b"ARROW1\0\0" + bytes(80), {}, "FormatError", ["Feather", "Parquet"]),
    "no text at all": (bytes(range(32)) * 4, {}, "FormatError", ["not text"]),
    "a list of objects": (b'[{"a": 1}, {"a": 2}]', {}, "FormatError", ["line 1", "a list"]),
    "an object over lines": (b'{\n"a": 1\n}', {}, "FormatError", ["line 1", "object a line"]),
    "cut in a row": (b"a,b,c\n1,2,3\n4,5", {}, "FormatError", ["line 3", "2 cells", "cut off"]),
    "cut in a quote": (LATE + b'1,"x\ny', {}, "FormatError", ["line 3002", "never closed"]),
    "letters after a quote": (b'a,b\n1,"x"y\n', {}, "FormatError", ["line 2", "quote"]),
    "a name twice": (b"a,b,a\n1,2,3\n", {}, "FormatError", ["'a'", "1 and 3"]),
    "a wrong delimiter": (PLAIN, {"delimiter": ";"}, "FormatError", ["delimiter=','", "2 cells"]),
    "ragged by a wrong one": (
        b"a;b,c\n1;2\n3;4\n", {"delimiter": ","}, "FormatError", ["delimiter=';'"],
    ),
    "a byte": (LATE + b"1,\xff\n", {}, "FormatError", ["0xff", "12006", "line 3002", "cp1252"]),
    "a byte that is no cp1252": (b"a\n\x81\n", {}, "FormatError", ["0x81", "latin-1"]),
    "cut in a letter": ("a\né".encode()[:-1], {}, "FormatError", ["cut off", "line 2"]),
    "zeros": (PLAIN.decode().encode("utf-16-le"), {}, "FormatError", ["utf-16-le"]),
    "a zero": (LATE + b"1,\0\n", {}, "FormatError", ["line 3002", "zero byte", "binary data"]),
    "a zero in JSON": (b'{"a": "\0"}', {}, "FormatError", ["line 1", "zero byte"]),
    "bytes at random": (
        PLAIN * 99 + b"\x80\x01\x02\n", {}, "FormatError", ["0x80", "these are binary data"],
    ),
    "a workbook": (b"PK\x03\x04....", {}, "FormatError", ["Excel"]),
    "no encoding": (PLAIN, {"encoding": "utf-9"}, "ArgumentError", ["utf-9"]),
    "no text": (PLAIN, {"encoding": "hex"}, "ArgumentError", ["hex"]),
    "two signs": (PLAIN, {"delimiter": ",,"}, "ArgumentError", ["one sign"]),
    "a decimal letter": (PLAIN, {"decimal": "x"}, "ArgumentError", ["decimal"]),
    "no format": (PLAIN, {"format": "xml"}, "ArgumentError", ["parquet"]),
    "an option of others": (b"{}", {"delimiter": ","}, "ArgumentError", ["delimiter"]),
    "cut in an object": (b'{"a": 1}\n{"a"', {}, "FormatError", ["line 2"]),
    "a comma too few": (
        b'{"a": 1}\n{"a": 1 "b": 2}\n', {}, "FormatError", ["line 2 is no JSON", "at column 9\n"],
    ),
    "a brace too few": (
        b'{"a": 1}\r\n{"a": 1\r\n{"a": 2}', {}, "FormatError", ["line 2 is", "at column 8\n"],
    ),
    "no object": (b'{"a": 1}\n[2]\n', {}, "FormatError", ["line 2", "a list"]),
    "an object within": (b'{"a": {"b": 1}}\n', {}, "FormatError", ["'a'", "line 1"]),
    "a key twice": (b'{"a": 1, "a": 2}\n', {}, "FormatError", ["'a'", "line 1"]),
    "two kinds": (b'{"a": 1}\n\n{"a": "x"}', {}, "ArgumentTypeError", ["'a'", "line 1", "line 3"]),
    "half a sign": (b'{"a": "\\ud800"}', {}, "ArgumentError", ["'a'", "line 1"]),
    "half a sign in a key": (b'{"\\ud800": 1}', {}, "FormatError", ["line 1"]),
    "torn Parquet": (b"PAR1PAR1", {}, "FormatError", ["Parquet"]),
    "no Parquet": (b"PAR1" + b"x" * 40, {}, "FormatError", ["magic bytes not found in footer\n"]),
}  # fmt: skip


@pytest.mark.parametrize(("data", "options", "kind", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_its_place(data, options, kind, words):
    with pytest.raises(ChainruleError) as caught:
        read_table(data, **options)
    text = said_of(caught.value)
    assert type(caught.value).__name__ == kind
    assert not [word for word in words if word not in text], text


def test_rows_know_their_lines(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b'a,b\n1,"x\ny"\n\n2,"p\r\nq\r"\n3,z\n')
    found = read_table(path)
    assert found.lines.tolist() == [2, 5, 8]
    later = found.take([2, 0]).take([1])
    assert (later.place(0), later.places(np.array([0]))) == ("rows.csv, line 2", "line 2")
    assert read_table({"a": [1, 2, 3]}).take([0, 2]).take(np.array([False, True])).place(0) == (
        "row 2"
    )
    with pytest.raises(ChainruleError):
        found.take([3])
    with pytest.raises(ChainruleError, match="did you mean 'a'"):
        found["A"]
    with pytest.raises(ChainruleError, match="did you mean"):
        read_table(tmp_path / "row.csv")


def frame():
    return pd.DataFrame(
        {
            "number": [1.5, None, 3],
            "text": ["x", None, "z"],
            "flag": [True, False, True],
            "when": pd.to_datetime(["2020-01-02", None, "2021-05-05"]),
            "kind": pd.Categorical(["u", "v", "u"]),
            "whole": [1, 2, 2**62],
        }
    )


def parquet():
    file = io.BytesIO()
    frame().to_parquet(file)
    return file.getvalue()


FRAMES = {
    "pandas": frame, "polars": lambda: pl.from_pandas(frame()), "Parquet": parquet,
    "pyarrow": lambda: pa.Table.from_pandas(frame()),
    "dict": lambda: {
        "number": [1.5, None, 3], "text": ["x", None, "z"], "flag": np.array([True, False, True]),
        "when": [pd.Timestamp("2020-01-02"), None, pd.Timestamp("2021-05-05")],
        "kind": np.array(["u", "v", "u"]), "whole": [1, 2, 2**62],
    },
}  # fmt: skip


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_frames_keep_their_types_and_nulls(make):
    found = read_table(make())
    assert found.names == tuple(frame().columns)
    kinds = [c.values.dtype for c in found]
    assert kinds == [np.float64, table.TEXT, bool, np.dtype("M8[us]"), table.TEXT, np.int64]
    gaps = [c.name for c in found if c.missing is not None and c.missing.tolist() == [0, 1, 0]]
    assert gaps == ["number", "text", "when"]
    assert found["whole"].values.tolist() == [1, 2, 2**62]
    assert found["when"].values[0] == np.datetime64("2020-01-02")


def test_arrays_come_by_field_or_by_number():
    pairs = np.array([(1, "x"), (2, "y")], [("n", int), ("s", "U1")])
    assert read_table(pairs)["s"].values.tolist() == ["x", "y"]
    square = read_table(np.eye(2))
    assert (square.names, square["column_2"].values.tolist()) == (("column_1", "column_2"), [0, 1])
    assert read_table(square) is square


@pytest.mark.parametrize(
    "source",
    [
        {}, {"a": []}, {"a": [1], "b": [1, 2]}, {"a": [1, "x"]}, {"a": [object()]}, {"a": 3},
        np.ones(3), np.ones((2, 2), complex), pd.DataFrame(), pl.DataFrame({"a": [1]}).lazy(), 7,
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused(source):
    with pytest.raises(ChainruleError) as caught:
        read_table(source)
    said_of(caught.value)
    with pytest.raises(ChainruleError):
        read_table(source, delimiter=";")


def test_a_package_that_is_not_there_is_named(monkeypatch):
    data = parquet()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ChainruleError, match=r"chainrule\[tables\]"):
        read_table(data)


def test_memory_is_counted_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(table, "free_bytes", lambda: 1000)
    for data in (b"a,b\n" + b"1,2\n" * 100, b'{"a": 1}\n' * 100):
        with pytest.raises(OutOfMemory, match="GiB"):
            read_table(data)


def in_groups():
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2, 3]}), file, row_group_size=1)
    return file.getvalue()


@pytest.mark.parametrize("data", [LATE, b'{"a": 1}\n' * 3000, in_groups()])
def test_progress_says_how_far_it_is(data):
    seen = []
    assert len(read_table(data, progress=lambda *at: seen.append(at))) >= 3
    assert len(seen) > 2
    assert seen[-1] == (len(data), len(data))
    assert seen == sorted(seen)


def test_nullable_types_of_pandas_and_odd_names():
    odd = pd.DataFrame({
        0: pd.array([1, None], "Int64"), "b": pd.array([True, None], "boolean"),
        "s": pd.array(["x", None], "string"), "day": [pd.Timestamp("2024-01-01", tz="CET"), None],
        "n": [decimal.Decimal("1.5"), None],
    })  # fmt: skip
    found = read_table(odd)
    assert found.names == ("0", "b", "s", "day", "n")
    assert all(c.missing.tolist() == [False, True] for c in found)
    assert [c.values[0] for c in found] == [1, True, "x", np.datetime64("2023-12-31T23"), 1.5]
    with pytest.raises(ChainruleError, match="one name"):
        read_table(pd.DataFrame([[1, 2]], columns=[1, "1"]))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_read_to_its_end(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(LATE,))
    writer.start()
    seen = []
    found = read_table(pipe, progress=lambda *at: seen.append(at))
    writer.join()
    assert (len(found), seen[-1]) == (3000, (len(LATE), len(LATE)))
    assert read_table(io.BytesIO(PLAIN), name="stdin").place(0) == "stdin, line 2"


def test_a_file_of_tabs_with_commas_is_told(tmp_path):
    """The name of a file says less than what it holds."""
    path = tmp_path / "x.tsv"
    path.write_bytes(PLAIN)
    assert read_table(path).names == ("size", "colour")
    with pytest.raises(ChainruleError, match="delimiter=','"):
        read_table(path, format="tsv")


def test_long_cells_are_read_and_the_limit_is_given_back(monkeypatch):
    before = csv.field_size_limit()
    assert len(read_table(b"a,b\n1," + b"x" * 200_000 + b"\n")["b"].values[0]) == 200_000
    monkeypatch.setattr(separated_module, "LONGEST_CELL", 100)
    with pytest.raises(ChainruleError, match="line 2"):
        read_table(b"a,b\n1," + b"x" * 200_000 + b"\n")
    assert csv.field_size_limit() == before


def test_the_penguins_are_the_published_ones(monkeypatch):
    found = chainrule.data.penguins()
    assert found.size_said == "344 rows, 8 columns"
    assert np.unique(found["species"].values, return_counts=True)[1].tolist() == [152, 68, 124]
    assert [c.name for c in found if "NA" in c.values.tolist()] == list(found.names[2:7])
    monkeypatch.setattr(sys.modules[penguins.__module__], "SHA256", "0" * 64)
    with pytest.raises(ChainruleError, match=r"penguins\.csv"):
        penguins()


CONTROLS = "".join(map(chr, [*range(9), *range(11, 13), *range(14, 32), 127]))
CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=CONTROLS), max_size=6)


@given(st.data(), st.integers(1, 4), st.sampled_from(",;\t|"))
@settings(max_examples=40)
def test_what_csv_writes_is_read(data, width, delimiter):
    cells = st.lists(CELL, min_size=width, max_size=width)
    rows = data.draw(st.lists(cells, min_size=1, max_size=5))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    starts = []
    for row in [[f"n{i}" for i in range(width)], *rows]:
        starts.append(len(LINE_END.findall(text.getvalue())) + 1)
        writer.writerow(row)
    found = read_table(text.getvalue().encode(), delimiter=delimiter, header=True)
    assert [list(r) for r in zip(*(c.values.tolist() for c in found), strict=True)] == rows
    assert found.lines.tolist() == starts[1:]


def reads_or_says(data, **options):
    try:
        found = read_table(data, **options)
    except ChainruleError as error:
        said_of(error)
        str(error).encode()
    else:
        assert len(found) > 0
        assert all(len(c.values) == len(found) for c in found)
        found.place(len(found) - 1).encode()
        understood_or_said(found)


def understood_or_said(found):
    """The rest of the way that a table goes."""
    try:
        schema = Schema.infer(found, found.names[-1])
        "".join(schema.describe()).encode()
        prep = Preprocessing.fit(found, schema)
        arrays = prep.transform(found)
    except ChainruleError as error:
        said_of(error)
        str(error).encode()
    else:
        assert np.isfinite(arrays.numeric).all()
        assert len(prep.inverse_target(arrays.target)) == len(found)


def fuzz(data, form, codec, header):
    options = {"format": form, "encoding": codec}
    reads_or_says(data, **options, **({"header": header} if form == "csv" else {}))


DRAWN = (torn(), st.sampled_from(["csv", "json lines"]), st.sampled_from(ENCODINGS),
         st.sampled_from([None, True, False]))  # fmt: skip


@given(*DRAWN)
@settings(max_examples=100)
def test_no_bytes_stop_the_reader(data, form, codec, header):
    fuzz(data, form, codec, header)


@pytest.mark.slow
@given(*DRAWN)
@settings(max_examples=4_000)
def test_no_bytes_stop_the_reader_long(data, form, codec, header):
    fuzz(data, form, codec, header)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell", ["1" * 10**6, " " * 10**6, "1," * 10**5, "-" * 10**6, '""' * 10**5]
)
def test_long_cells_take_no_longer_than_their_length(cell):
    reads_or_says(b"a;b\n" + cell.encode() + b";2\n" * 3)


def test_the_blocks_of_a_search_do_not_matter(monkeypatch):
    """A letter of two bytes may lie across the blocks in which the wrong byte is looked for."""
    for block in (1, 2, 3, 7):
        monkeypatch.setattr(encoding, "BLOCK", block)
        with pytest.raises(ChainruleError, match=r"0xff at offset 9, line 3"):
            read_table("é\né\nx\n".encode()[:6] + b"abc\xff")
