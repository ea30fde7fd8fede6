"""The program in the C file of a table reads CSV and prints what `chainrule predict` prints."""

from __future__ import annotations

import csv
import io
import subprocess

import numpy as np
import pytest

import chainrule
from chainrule.export.answering import names_of
from compiler.in_c import needs_cc
from export.raw_tables import compared, made, mixed, model_of, program, read

pytestmark = needs_cc

FORMS = {
    "iso": ["2024-02-29", " 1969-12-31 ", "0001-01-01", "9999-12-31", "2000-02-29T23:59",
            "2023-03-01 00:00:01", "2023-03-01 00:00:01.25", "2023-03-01T10:11:12,000123Z",
            "1900-02-28 01:02+05:30", "2024-12-31T23:59:59.9-0100", "", "NA"],
    "%d.%m.%Y %H:%M": ["1.2.2023 7:05", "29.02.2024 23:59", "31.12.1950 0:0", ""],
    "%m/%d/%Y": ["2/3/2023", "12/31/1999", "02/29/2000"],
}  # fmt: skip
NO_DATES = ["2023-02-29", "2023-13-01", "1900-02-29", "2023-1-01", "2023-01-01T24:00", "20230101",
            "2023-01-01 10:00:00.", "0000-01-01", "2023-01-01x", "2023-01-01 10", "x"]  # fmt: skip


def asked(path, text):
    """What the program says of the rows of a CSV file."""
    return subprocess.run([path], input=text.encode(), capture_output=True, check=False)


@pytest.mark.parametrize("form", FORMS)
def test_the_program_reads_dates_in_their_form(form, tmp_path):
    texts = FORMS[form] * 5
    text = "\n".join(["when,y", *(f'"{t}",{i}.5' for i, t in enumerate(texts))]) + "\n"
    forms = {} if form == "iso" else {"forms": {"when": form}}
    table = read(tmp_path, text)
    model = model_of(table, "y", kinds={"when": "date"}, **forms)
    chainrule.export_table_c(model, tmp_path / "m.c")
    done = asked(program(tmp_path / "m.c"), text)
    assert not done.stderr
    found = np.array([line.split(b",")[1] for line in done.stdout.splitlines()[1:]], float)
    compared(model, table, [found.reshape(-1, 1)])
    for bad in NO_DATES if form == "iso" else ["32.1.2023 1:00", "2023-01-01", "13/1/2023"]:
        done = asked(tmp_path / "m", f"y,when\n1,{texts[0]}\n2,{bad}\n")
        assert done.returncode == 1, bad
        assert b"row 1: when: a cell is no date" in done.stderr, bad


def test_the_program_reads_csv_as_predict_does(tmp_path):
    """Quotes, quotes in quotes, commas, ends of lines, an order of its own, a mark at the start."""
    model, table, _ = made(tmp_path, "texts")
    chainrule.export_table_c(model, tmp_path / "m.c")
    made_program = program(tmp_path / "m.c")
    rows = list(csv.reader(io.StringIO(mixed())))
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([row[::-1] for row in rows])
    done = asked(made_program, "\ufeff" + text.getvalue() + "\r\n")
    assert not done.stderr
    head, *answers = csv.reader(io.StringIO(done.stdout.decode()))
    assert head == ["row", "predicted", *(f"p_{n}" for n in names_of(model))]
    assert [a[0] for a in answers] == [str(i) for i in range(len(table))]
    found = [np.array([a[1] for a in answers], object), np.array([a[2:] for a in answers], float)]
    compared(model, table, found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,b\n", "no column word"), ("x,word\n1,u,3\n", "row 0: more cells"),
        ("x,word\n1,u\n2\n", "row 1: fewer cells"), ("x,word\n0x10,u\n", "row 0: x: a cell is"),
        ("x,word\ninf,u\n", "row 0: x: a cell is no number"), ("x,word\n1e999,u\n", "infinite"),
        ("x,word\n1 2,u\n", "no number"), (f"x,word\n1,{'u' * 5000}\n", "too long"),
    ],
)  # fmt: skip
def test_the_program_refuses_what_it_can_not_read(small, text, said):
    done = asked(small, text)
    assert done.returncode == 1
    assert said in done.stderr.decode()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The program of a table with a number and a text."""
    folder = tmp_path_factory.mktemp("small")
    lines = [f"{i % 7},{'uvw'[i % 3]},{i % 2}" for i in range(40)]
    table = read(folder, "\n".join(["x,word,y", *lines]))
    chainrule.export_table_c(model_of(table, "y"), folder / "m.c")
    return program(folder / "m.c")
