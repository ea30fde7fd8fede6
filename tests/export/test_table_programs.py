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
    "%d %b %y": ["07 Jan 68", "1  sep 69", " 31 DEC 00 ", "29 Feb 96", ""],
    "%B %d, %Y": ["January 7, 2015", "may 31, 1999", "SEPTEMBER 01, 2024"],
    "%Y-%m": ["2015-06", "1999-12", "2024-1"],
    "%Y%m%d": ["20190525", "19991231"],
    "%m/%d/%Y": ["2/3/2023", "12/31/1999", "02/29/2000"],
}  # fmt: skip
NO_DATES = ["2023-02-29", "2023-13-01", "1900-02-29", "2023-1-01", "2023-01-01T24:00", "20230101",
            "2023-01-01 10:00:00.", "0000-01-01", "2023-01-01x", "2023-01-01 10", "x"]  # fmt: skip

OTHERS = ["32.1.2023 1:00", "2023-01-01", "13/1/2023", "1 Jan 5", "1 Xan 05", "2015-13",
          "Janus 7, 2015", "January 7,2015"]  # fmt: skip


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
    for bad in NO_DATES if form == "iso" else OTHERS:
        done = asked(tmp_path / "m", f'y,when\n1,"{texts[0]}"\n2,"{bad}"\n')
        assert done.returncode == 1, bad
        assert b"stdin, line 3: when: a cell is no date" in done.stderr, bad


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
        ("x,b\n", "no column word"), ("x,word\n1,u,3\n", "line 2: more cells"),
        ("x,word\n1,u\n2\n", "line 3: fewer cells"), ("x,word\n0x10,u\n", "line 2: x: a cell is"),
        ("x,word\ninf,u\n", "line 2: x: a cell is no number"),
        ("x,word\n1e999,u\n", "line 2: x: a number is too"),
        ("x,word\n1 2,u\n", "no number"),
        ("x;word\n1,5;u\n\n2.5;u\n", "stdin, line 4: x: a number has another decimal mark"),
        ('"x\n",word\n1,u\n', "no column x"), ('x,word\n1,"u\nv"\ny,u\n', "line 4: x: a cell"),
        ("x;word\n1.23,5;u\n", "no number"),
        ("x;word\n1234.567,5;u\n", "no number"),
        ("x;word\n1,2,3;u\n", "no number"), ('x,word\n"1,5",u\n', "no number"), ("", "no column"),
        (f"x,word\n1,{'u' * 5000}\n", "too long"),
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


WRITTEN = {",": ".", ";": ",", "\t": ",", "|": "."}


@pytest.mark.parametrize("sign", WRITTEN)
def test_the_program_finds_out_what_stands_between_cells(small, sign):
    """So `predict` does; a column's name may hold any other sign."""
    rows = [("1.5", "u"), ("-0.25", "v"), ("1234.5", "w"), ("3", "u"), ("", "v")]
    usual = asked(small, "\n".join(["x,word", *map(",".join, rows)]))
    assert not usual.stderr
    more = f"a{''.join(set(WRITTEN) - {sign})}b"
    head = sign.join([f'"{more}"', "x", "word"])
    written = [
        sign.join(["7", x.replace(".", WRITTEN[sign]).replace("1234,", "1.234,"), w])
        for x, w in rows
    ]
    found = asked(small, "\n".join([f"\ufeff{head}", *written]))
    assert (found.stderr, found.stdout) == (b"", usual.stdout)


def test_the_program_takes_a_file_and_tells_its_usage(small, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("x,word\n1,u\n")

    def run(*words):
        return subprocess.run(
            [small, *words], input=b"x,word\n1,u\n", capture_output=True, check=False
        )

    assert run(path).stdout == run("-").stdout == run().stdout != b""
    for word in ("-h", "--help"):
        assert run(word).stdout.startswith(b"usage: ")
        assert run(word).returncode == 0
    for words in (("-x",), (path, path)):
        assert run(*words).stderr.startswith(b"usage: ")
        assert run(*words).returncode == 2
    assert run(tmp_path / "none.csv").stderr.startswith(b"error: can't read ")
    path.write_text("x,word\n1,u\nno,u\n")
    assert f"{path}, line 3: x: a cell is no number".encode() in run(path).stderr


def test_the_comment_at_the_head_is_read_by_people(tmp_path):
    """Letters stand as they are; nothing ends the comment, turns the text or is a trigraph."""
    names = ["Fläche (m²)", "*/ int x; /*", "??/", "a\u202eb", "y"]
    lines = [f"{i % 7},{'Köln' if i % 3 else '日本'},{i % 5},{i % 4},{i % 2}" for i in range(40)]
    head = ",".join(f'"{n}"' for n in names)
    table = read(tmp_path, "\n".join([head, *lines]))
    chainrule.export_table_c(model_of(table, "y"), tmp_path / "m.c")
    text = (tmp_path / "m.c").read_text(encoding="utf-8")
    told = text[: text.index("*/")]
    assert all(part in told for part in ("'Fläche (m²)'", '"Köln"', '"日本"', "a\\u202eb"))
    assert "??" not in text
    done = asked(program(tmp_path / "m.c"), "\n".join([head, lines[0]]))
    assert not done.stderr
