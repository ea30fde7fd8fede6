"""Files that a run's model is applied to: written otherwise than the one learned from."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from cli_cases import QUICK, refused
from click.testing import CliRunner

from chainrule.cli.app import app
from chainrule.cli.tables.applied import cells_of
from chainrule.data.tables import Schema, read_table


def test_other_files_than_that_learned_from_may_be_written_otherwise(chainrule):
    """The encoding of the table learned from is no claim on files that say their own."""
    rows = [f"{['Köln', 'Bonn'][i % 2]},{i % 9},{i % 2}" for i in range(60)]
    text = "Ort,Größe,y\n" + "\n".join(rows) + "\n"
    Path("a.csv").write_text(text, "cp1252")
    words = ("train", "a.csv", "--target", "y", "--encoding", "cp1252", *QUICK)
    assert chainrule(*words).exit_code == 0
    expected = chainrule("predict", "a", "a.csv").stdout
    frame = pd.read_csv(io.StringIO(text))
    frame.to_parquet("b.parquet")
    frame.to_json("b.jsonl", orient="records", lines=True, force_ascii=False)
    for name, codec in (("b.csv", "utf-8"), ("c.csv", "utf-8-sig"), ("d.csv", "utf-16")):
        Path(name).write_text(text, codec)
    for name in ("b.parquet", "b.jsonl", "b.csv", "c.csv", "d.csv"):
        assert chainrule("predict", "a", name).stdout == expected, name
    told = CliRunner().invoke(app, ["predict", "a", "-"], input=text.encode("cp1252"))
    assert told.stdout == expected


def test_a_file_without_names_is_said_to_be_one(chainrule):
    Path("a.csv").write_text("".join(f"{i % 7},{i % 2}\n" for i in range(60)))
    assert chainrule("train", "a.csv", "--target", "column_2", *QUICK).exit_code == 0
    Path("b.csv").write_text("3\n")
    assert "--no-header" in " ".join(
        refused(chainrule("predict", "a", "b.csv", "--header")).split()
    )
    assert chainrule("predict", "a", "b.csv", "--no-header").stdout.count("\n") == 2


@pytest.mark.parametrize(
    ("columns", "told"), [(12, ""), (13, " and 1 more column"), (15, " and 3 more columns")]
)
def test_of_a_long_row_the_cells_that_are_not_shown_are_counted(columns, told):
    table = read_table({f"c{i}": np.arange(9) * (i + 1) / 7 for i in range(columns)})
    model = SimpleNamespace(preprocessing=SimpleNamespace(schema=Schema.infer(table)))
    said = cells_of(model, table, 2)
    assert said.startswith("row 2: c0 0.2857")
    assert said.partition("c11 ")[2].partition(" ")[1:] == (told[:1], told[1:])
