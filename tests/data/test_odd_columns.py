"""Columns of lists and of times, and columns without a name, from every kind of source."""

from __future__ import annotations

import datetime
import io

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_cases import said_of

from chainrule.data import Schema
from chainrule.data.tables import read_table
from chainrule.errors import ChainruleError

ODD = {
    "list": [[1, 2], [3], None], "struct": [{"q": 1}, None, {"q": 2}], "bytes": [b"a", None, b"b"],
    "lasts": [datetime.timedelta(seconds=90), None, datetime.timedelta(days=1)],
    "at": [datetime.time(0, 1, 30), None, datetime.time(23, 59, 59, 500000)], "x": [1, None, 3],
}  # fmt: skip


def odd_parquet():
    file = io.BytesIO()
    pq.write_table(pa.table(ODD), file)
    return file.getvalue()


ODD_KINDS = {
    "pyarrow": lambda: pa.table(ODD), "polars": lambda: pl.DataFrame(ODD), "dict": lambda: ODD,
    "pandas": lambda: pd.DataFrame(ODD).astype({"list": object}), "Parquet": odd_parquet,
}  # fmt: skip


@pytest.mark.parametrize("make", ODD_KINDS.values(), ids=ODD_KINDS)
def test_a_column_of_lists_stays_out_and_times_are_seconds(make):
    """One column that holds no cells does not keep the others from being read."""
    found = read_table(make())
    assert found.names == ("lasts", "at", "x")
    assert found.unread == {"list": "lists", "struct": "objects", "bytes": "bytes"}
    assert found.take([0, 2]).unread == found.unread
    assert "left out: 'struct', which holds objects" in found.said
    assert found["lasts"].values.tolist()[::2] == [90.0, 86400.0]
    assert found["at"].values.tolist()[::2] == [90.0, 86399.5]
    assert all(c.missing.tolist() == [False, True, False] for c in found)
    with pytest.raises(ChainruleError, match="column 'list' holds lists"):
        found["list"]
    for drop in ((), ("list",)):
        assert [f.name for f in Schema.infer(found, drop=drop).used] == ["lasts", "at", "x"]
    for target, kinds in (("list", {}), ("x", {"bytes": "numeric"})):
        with pytest.raises(ChainruleError, match=r"holds (lists|bytes)"):
            Schema.infer(found.take([0, 2]), target, kinds=kinds)


def test_lists_among_other_cells_are_refused_with_their_line():
    with pytest.raises(ChainruleError, match="no cell") as caught:
        read_table(b'{"a": 1}\n{"a": [1, 2]}\n')
    assert "bytes, line 2" in said_of(caught.value)
    found = read_table(b'{"a": 1, "b": [1, 2]}\n{"a": 2}\n')
    assert (found.names, found.unread) == (("a",), {"b": "lists"})


def test_names_are_read_without_blanks_from_every_kind_of_file():
    """A model that learned from CSV finds its columns in Parquet, and the other way round."""
    kinds = (
        b" a ,b\n1,2\n", b'{" a ": 1, "b": 2}\n', pd.DataFrame({" a ": [1], "b": [2]}),
        pl.DataFrame({" a ": [1], "b": [2]}),
    )  # fmt: skip
    assert all(read_table(kind).names == ("a", "b") for kind in kinds)
    for twice in (b'{"a": 1, " a": 2}\n', pd.DataFrame({"a": [1], " a": [2]}), b"a, a\n1,2\n"):
        with pytest.raises(ChainruleError, match="'a'"):
            read_table(twice)


def test_of_columns_without_names_the_last_is_told():
    found = read_table(b"1,2,3,4,5,6,7\n" * 9)
    for ask in (lambda: found["price"], lambda: Schema.infer(found, "column_8")):
        with pytest.raises(ChainruleError, match="column_1 to column_7") as caught:
            ask()
        assert "header=True" in said_of(caught.value)


def test_durations_of_numpy_are_seconds():
    found = read_table({"d": np.array([1500, "NaT"], "m8[ms]")})["d"]
    assert (found.values[0], found.missing.tolist()) == (1.5, [False, True])
