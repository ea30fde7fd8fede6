"""`chainrule predict`: rows in, classes out, and what is said of a file that does not fit."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import stat

import numpy as np
import pytest
from cli_cases import refused
from click.testing import CliRunner

from chainrule.cli import recipe as recipes
from chainrule.cli.app import app
from chainrule.train.files import load_tensors, save_tensors


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def test_predict_the_held_out_rows(chainrule, xor_run):
    result = chainrule("predict", xor_run)
    rows = rows_of(result.stdout)
    assert len(rows) == 400
    for row in rows:
        p = [float(row["p_0"]), float(row["p_1"])]
        assert math.isclose(sum(p), 1, rel_tol=1e-5)
        assert row["predicted"] == str(int(p[1] > p[0]))
    right = sum(r["predicted"] == r["true"] for r in rows)
    assert f"{right} right" in result.stderr
    tested = json.loads(chainrule("runs", xor_run, "--json").stdout)["test_accuracy"]
    assert tested == right / 400, "predict and train must agree"


def test_predict_a_file_as_the_held_out_rows(chainrule, xor_run, tmp_path):
    x = np.asarray(recipes.load("xor").test.tensors[0])
    text = "\n".join(",".join(repr(float(v)) for v in row) for row in x)
    (tmp_path / "x.csv").write_text("\ufeffleft,right\n" + text + "\n", encoding="utf-8")
    one = rows_of(chainrule("predict", xor_run, "x.csv").stdout)
    two = rows_of(chainrule("predict", xor_run).stdout)
    assert [r["p_1"] for r in one] == [r["p_1"] for r in two]


def test_predict_writes_whole_files(chainrule, xor_run, tmp_path):
    out = tmp_path / "out.csv"
    result = chainrule("predict", xor_run, "-o", "out.csv")
    assert result.stdout == ""
    assert out.read_text() == chainrule("predict", xor_run).stdout
    assert not stat.S_IMODE(out.stat().st_mode) & stat.S_IXUSR


def test_predict_does_not_write_over_what_it_reads(chainrule, xor_run, tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n")
    assert "write over" in refused(chainrule("predict", xor_run, "x.csv", "-o", "./x.csv"))
    assert (tmp_path / "x.csv").read_text() == "1,2\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("0.5;1.5\n-1;2\n", "read with ';' between the numbers\n"),
        ("0,5;1,5\n-1;2\n", "';' between the numbers and ',' as the decimal sign\n"),
        ("left;right\r\n0,5;1,5\r\n\r\n-1;2", "as the decimal sign\n"),
        ("x, y\tz\n0.5\t1.5\n-1\t2\n", "read with tabs between the numbers\n"),
        ('"0.5\n", 1.5\n-1, 2\n', "by xor-0001\n"),
    ],
)
def test_predict_finds_the_dialect_and_says_it(chainrule, xor_run, tmp_path, content, said):
    (tmp_path / "plain.csv").write_text("0.5,1.5\n-1,2\n")
    (tmp_path / "x.csv").write_text(content, newline="")
    result = chainrule("predict", xor_run, "x.csv")
    assert result.stdout == chainrule("predict", xor_run, "plain.csv").stdout
    assert result.stderr.endswith(said)


def test_predict_reads_stdin(chainrule, xor_run, tmp_path):
    (tmp_path / "x.csv").write_text("0.5,1.5\n")
    given = CliRunner().invoke(app, ["predict", xor_run, "-"], input="0.5,1.5\n")
    assert given.stdout == chainrule("predict", xor_run, "x.csv").stdout != ""


def test_a_name_without_number_is_the_newest_run_that_can_predict(chainrule, xor_run, tmp_path):
    shutil.copytree(tmp_path / "runs" / xor_run, tmp_path / "runs" / "xor-0002")
    (tmp_path / "runs" / "xor-0002" / "model.safetensors").unlink()
    result = chainrule("predict", "xor")
    assert result.stderr.endswith(f"by {xor_run}\n")
    assert chainrule("predict", "xor", "--index", "0").stderr == f"by {xor_run}\n"
    assert "no model yet" in refused(chainrule("predict", "xor-0002"), code=1)


def test_a_model_that_gives_no_numbers_is_said(chainrule, xor_run, tmp_path):
    path = tmp_path / "runs" / xor_run / "model.safetensors"
    weights = load_tensors(path)
    weights["out.weight"] = weights["out.weight"] * 3e38
    save_tensors(path, {**weights, "out.bias": weights["out.bias"] * 0 - math.inf})
    said = refused(chainrule("predict", xor_run), code=1)
    assert "no finite number for 400 of 400 rows" in said


def test_predict_into_a_folder_that_is_not_there_is_3(chainrule, xor_run):
    refused(chainrule("predict", xor_run, "-o", "no/out.csv"), code=3)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("1,2,3\n", ["line 1", "3 columns", "takes 2"]),
        ("1,2\n1\n", ["line 2", "1 column,", "takes 2"]),
        ("1,2\n1,abc\n", ["line 2, column 2", "'abc'"]),
        ("1,2\nnan,1\n", ["line 2, column 1", "'nan'"]),
        ("1 2\n", ["',', ';' or tabs between"]),
        ("nan,nan\n1,2\n", ["line 1, column 1", "'nan'"]),
        (",\n1,2\n", ["line 1, column 1", "''"]),
        ("1,1e39\n", ["line 1, column 2", "'1e39'"]),
        ("1," + "9" * 999, ["line 1, column 2", "9.."]),
        ("1," + "9" * 200_000, ["line 1", "limit"]),
        ('"1,2\n1,2\n', ["line 2", "quote is not closed"]),
        ("a,a\n1,2\n", ["line 1", "two columns are called 'a'", "columns 1, 2"]),
        ("1.5;2,5\n", ["column 2", "'2,5'"]),
        ("", ["no rows"]),
        ("a,b\n", ["no rows"]),
    ],
    ids=repr,
)
def test_predict_refuses_files_that_do_not_fit(chainrule, xor_run, tmp_path, content, parts):
    (tmp_path / "x.csv").write_text(content)
    said = refused(chainrule("predict", xor_run, "x.csv"))
    assert all(part in said for part in ["x.csv", *parts])


def test_predict_refuses_what_is_no_file_and_no_text(chainrule, xor_run, tmp_path):
    assert "no file" in refused(chainrule("predict", xor_run, "x.csv"))
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe1,2")
    assert "not UTF-8" in refused(chainrule("predict", xor_run, "x.csv"))


def test_predict_one_row(chainrule, xor_run):
    said = chainrule("predict", xor_run, "--index", "0").stdout
    assert re.search(r"predicted [01], true [01]: (right|wrong)", said)
    assert "from 0 to 399" in refused(chainrule("predict", xor_run, "--index", "400"))
    refused(chainrule("predict", xor_run, "--index", "0", "-o", "x.csv"))


@pytest.mark.slow
def test_predict_shows_a_digit_in_40_columns(chainrule):
    run = chainrule("train", "digits", "--layers", "4", "--epochs", "1", "-q", COLUMNS="40")
    assert max(map(len, run.stdout.splitlines())) <= 40
    said = chainrule("predict", "digits", "--index", "0", COLUMNS="40").stdout.splitlines()
    assert max(map(len, said)) <= 40
    assert len([x for x in said if re.search("[░▒▓█]", x)]) == 8
    plain = chainrule("predict", "digits", "--index", "0", "--plain").stdout
    assert plain.isascii()


@pytest.mark.slow
def test_digits_take_ink_from_0_to_1(chainrule, tmp_path):
    chainrule("train", "digits", "--layers", "4", "--epochs", "1", "-q")
    (tmp_path / "x.csv").write_text(",".join(["16"] * 64) + "\n")
    assert "divide by 16" in refused(chainrule("predict", "digits", "x.csv"))
    (tmp_path / "x.csv").write_text(",".join(["0.5"] * 65) + "\n")
    said = refused(chainrule("predict", "digits", "x.csv"))
    assert "65 columns, but the model takes 64" in said
    assert "leave out the column with the class" in said
