"""The commands, in this process: what they print, what they refuse, and with which exit code."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import re
import stat

import click
import numpy as np
import pytest
from cli_cases import SMALL

from chainrule.cli import recipe as recipes
from chainrule.cli.app import COMMANDS, FIRST_STEPS, app
from chainrule.cli.recipe import Recipe, build
from chainrule.cli.results import Outcome, results
from chainrule.cli.terminal import ASCII, Terminal, text_of

NUMERIC = {"lr": "nan inf -1 0 x", "batch-size": "0 -3 1.5 x", "epochs": "0 x", "steps": "0 x",
           "seed": "-1 1.5 x", "dropout": "1 -0.1 nan x", "label-smoothing": "1 -1",
           "momentum": "1 -1", "weight-decay": "-1 nan", "tol": "0 -1", "patience": "0 1.5",
           "val-fraction": "1 -1 nan", "layers": "0 a 3, -1 1e3",
           "clip-grad-norm": "0 -1"}  # fmt: skip
NAMED = {"optimizer": "adamm", "activation": "rellu", "schedule": "cosin", "init": "kaimingg"}


def refused(result, code=2):
    """The message of a refusal: on stderr, short, without a traceback."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 6
    return result.stderr


# ---------------------------------------------------------------- the front door


def test_bare_says_what_to_do_first(chainrule):
    result = chainrule()
    assert (result.exit_code, result.stdout) == (0, FIRST_STEPS)
    assert "chainrule train digits" in result.stdout


@pytest.mark.parametrize("words", [["--help"], *[[c, "--help"] for c in COMMANDS]], ids=str)
def test_help_has_examples_or_lists_the_commands(chainrule, words):
    result = chainrule(*words)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert ("Examples:" in result.stdout) == (len(words) > 1)
    assert "--traceback" in result.stdout
    if len(words) == 1:
        assert all(c in result.stdout for c in COMMANDS)


def test_every_option_has_a_help_text(chainrule):
    for name in COMMANDS:
        command = app.get_command(click.Context(app), name)
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help, (name, option.name)


def test_version(chainrule):
    assert re.fullmatch(r"chainrule \d+\.\d+\.\d+\n", chainrule("--version").stdout)


# ---------------------------------------------------------------- wrong use


@pytest.mark.parametrize(
    ("option", "value"), [(o, v) for o, values in NUMERIC.items() for v in values.split()]
)
def test_a_number_outside_its_range_is_refused(chainrule, option, value, tmp_path):
    said = refused(chainrule("train", "xor", f"--{option}={value}"))
    assert f"--{option} must be" in said
    assert repr(value) in said
    assert not list(tmp_path.iterdir()), "something was written before the options were checked"


@pytest.mark.parametrize("option", NAMED)
def test_a_wrong_name_is_answered_with_the_nearest(chainrule, option):
    said = refused(chainrule("train", "xor", f"--{option}", NAMED[option]))
    near = NAMED[option][:-1] if option != "activation" else "relu"
    assert f"did you mean {'cosine' if near == 'cosi' else near}?" in said
    assert NAMED[option] in said


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["trian", "digits"], "did you mean train?"),
        (["train", "digitz"], "did you mean digits?"),
        (["train"], "which data?"),
        (["train", "xor", "--lerning-rate", "1"], "No such option"),
        (["train", "xor", "--momentum", "0.9"], "--optimizer sgd or rmsprop"),
        (["train", "xor", "--no-early-stopping", "--patience", "3"], "it is off"),
        (["train", "xor", "--val-fraction", "0", "--patience", "3"], "leaves none"),
        (["train", "xor", "--name", "a/b"], "letters, digits"),
        (["train", "--resume", "nothing"], "no run 'nothing'"),
        (["train", "xor", "--resume", "a", "--lr", "1"], "can't be changed"),
        (["predict"], "Missing argument"),
        (["predict", "nothing"], "no run 'nothing'"),
        (["runs", "nothing"], "no run 'nothing'"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_wrong_use(chainrule, words, part, tmp_path):
    assert part in refused(chainrule(*words))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["--traceback", "train"], ["train", "--traceback"]], ids=str)
def test_a_traceback_only_on_request_before_or_after_the_command(chainrule, words):
    result = chainrule(*words)
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr


# ---------------------------------------------------------------- training


def test_log_lines_and_result(chainrule):
    result = chainrule("train", "xor", *SMALL)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    form = (r"epoch=\d+ loss=\d\.\d{4} val_loss=\d\.\d{4} val_acc=\d\.\d{3} lr=\S+ "
            r"worst=(fc1|out):\d\.\de-\d\d verdict=[a-z:-]+")  # fmt: skip
    assert [bool(re.fullmatch(form, line)) for line in lines[:4]] == [True, True, True, False]
    assert "held-out accuracy" in lines[4]
    assert "most confused" in result.stdout
    assert os.path.join("runs", "xor-0001") in result.stdout
    assert "chainrule predict xor-0001" in result.stdout
    assert "\x1b" not in result.stdout


def test_json_is_all_there_is_on_stdout(chainrule):
    result = chainrule("train", "xor", *SMALL, "--json")
    found = json.loads(result.stdout)
    matrix = np.array(found["matrix"])
    assert matrix.sum() == found["rows"] == 400
    assert found["accuracy"] == matrix.trace() / 400 == found["right"] / 400
    assert found["epochs"] == 3
    assert found["recipe"]["layers"] == [4]
    assert result.stderr.startswith("epoch=1 ")


def test_quiet_says_only_the_result(chainrule):
    result = chainrule("train", "xor", *SMALL, "--quiet")
    assert "epoch=" not in result.output
    assert "held-out accuracy" in result.stdout


def test_plain_has_no_drawing(chainrule):
    said = chainrule("train", "xor", *SMALL, "--plain", FORCE_COLOR="1").stdout
    assert said.isascii()
    assert "\x1b" not in said
    assert "|" not in said
    assert "Class 0: " in said


def test_force_color_colours_and_no_color_does_not(chainrule):
    assert "\x1b[" in chainrule("train", "xor", *SMALL, "-q", FORCE_COLOR="1").stdout
    both = chainrule("train", "xor", *SMALL, "-q", FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b" not in both.stdout


def test_no_save_writes_nothing(chainrule, tmp_path):
    assert chainrule("train", "xor", *SMALL, "--no-save").exit_code == 0
    assert not list(tmp_path.iterdir())


def test_same_seed_same_bits(chainrule, tmp_path):
    outputs = [chainrule("train", "xor", *SMALL, "--seed", "3").stdout for _ in range(2)]
    weights = [(tmp_path / "runs" / f"xor-000{i}" / "model.safetensors").read_bytes()
               for i in (1, 2)]  # fmt: skip
    assert weights[0] == weights[1]
    log = [[x for x in o.splitlines() if x.startswith("epoch=")] for o in outputs]
    assert log[0] == log[1]
    chainrule("train", "xor", *SMALL, "--seed", "4")
    other = (tmp_path / "runs" / "xor-0003" / "model.safetensors").read_bytes()
    assert other != weights[0]


@pytest.mark.parametrize("show", [["-q"], ["--plain"], []], ids=str)
def test_watching_changes_no_bit(chainrule, tmp_path, show):
    chainrule("train", "spiral", *SMALL, "--dropout", "0.2", "--name", "a", *show)
    r = dataclasses.replace(
        Recipe("spiral", **recipes.DATA["spiral"]), layers=(4,), epochs=3, batch_size=200,
        dropout=0.2,
    )  # fmt: skip
    parts = build(r)
    from chainrule.train import EarlyStopping, Trainer, open_run

    trainer = Trainer(
        parts.model, parts.loss, parts.optimizer, scheduler=parts.scheduler, schedule_by="step",
        callbacks=[EarlyStopping("val_loss", 20)], seed=0,
    )  # fmt: skip
    trainer.fit(parts.train, validation=parts.validation, epochs=3, batch_size=200)
    saved = open_run("a").load_model()
    for name, value in parts.model.state_dict().items():
        assert np.array_equal(np.asarray(value), np.asarray(saved[name])), name


@pytest.mark.parametrize(
    ("option", "value"),
    [(o, v) for o, values in (
        ("optimizer", recipes.OPTIMIZERS), ("schedule", recipes.SCHEDULES),
        ("activation", recipes.ACTIVATIONS), ("init", recipes.INITS),
    ) for v in values] + [("layers", "none"), ("tol", "10"), ("steps", "2"), ("val-fraction", "0"),
                          ("clip-grad-norm", "0.1"), ("label-smoothing", "0.1")],
)  # fmt: skip
def test_every_choice_works_and_is_kept(chainrule, tmp_path, option, value):
    result = chainrule("train", "xor", *SMALL, f"--{option}", value, "--json", "-q")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    kept = found["recipe"][option.replace("-", "_")]
    assert str(kept) == value or kept in ([], float(value) if value[0].isdigit() else None)
    if option == "steps":
        assert found["steps"] == 2
    if option == "tol":
        assert found["stopped"] == "converged"
    config = json.loads((tmp_path / found["path"] / "config.json").read_bytes())
    assert config["config"]["recipe"] == found["recipe"]


def test_a_failed_run_is_1_and_noted(chainrule):
    result = chainrule(
        "train", "xor", *SMALL, "-q", "--optimizer", "sgd", "--lr", "1e30",
        "--schedule", "constant", "--layers", "8,8", "--activation", "relu",
    )  # fmt: skip
    said = refused(result, code=1)
    assert "not finite" in said
    assert ".py:" not in said, "a command line has no line of the user's to name"
    (row,) = json.loads(chainrule("runs", "--json").stdout)
    assert row["state"] == "failed"


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.exists("/proc"), reason="root may write")
def test_an_unwritable_folder_is_3(chainrule):
    said = refused(chainrule("train", "xor", *SMALL, "--runs-dir", "/proc/nope"), code=3)
    assert "/proc/nope" in said


def test_a_folder_that_is_a_file_is_3(chainrule, tmp_path):
    (tmp_path / "runs").write_text("")
    refused(chainrule("train", "xor", *SMALL), code=3)


def test_resume_refuses_a_finished_run(chainrule, xor_run):
    assert "finished" in refused(chainrule("train", "--resume", xor_run))


# ---------------------------------------------------------------- predict


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


def test_predict_into_a_folder_that_is_not_there_is_3(chainrule, xor_run):
    refused(chainrule("predict", xor_run, "-o", "no/out.csv"), code=3)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("1,2,3\n", ["line 1", "3 columns", "takes 2"]),
        ("1,2\n1\n", ["line 2", "1 columns", "takes 2"]),
        ("1,2\n1,abc\n", ["line 2, column 2", "'abc'"]),
        ("1,2\nnan,1\n", ["line 2, column 1", "'nan'"]),
        ("1;2\n", ["commas between the numbers"]),
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


def test_predict_shows_a_digit_in_40_columns(chainrule):
    run = chainrule("train", "digits", "--layers", "4", "--epochs", "1", "-q", COLUMNS="40")
    assert max(map(len, run.stdout.splitlines())) <= 40
    said = chainrule("predict", "digits", "--index", "0", COLUMNS="40").stdout.splitlines()
    assert max(map(len, said)) <= 40
    assert len([x for x in said if re.search("[░▒▓█]", x)]) == 8
    plain = chainrule("predict", "digits", "--index", "0", "--plain").stdout
    assert plain.isascii()


def test_digits_take_ink_from_0_to_1(chainrule, tmp_path):
    chainrule("train", "digits", "--layers", "4", "--epochs", "1", "-q")
    (tmp_path / "x.csv").write_text(",".join(["16"] * 64) + "\n")
    assert "divide by 16" in refused(chainrule("predict", "digits", "x.csv"))
    (tmp_path / "x.csv").write_text(",".join(["0.5"] * 65) + "\n")
    said = refused(chainrule("predict", "digits", "x.csv"))
    assert "65 columns, but the model takes 64" in said
    assert "leave out the column with the class" in said


# ---------------------------------------------------------------- runs


def test_runs(chainrule, xor_run):
    table = chainrule("runs").stdout.splitlines()
    assert len(table) == 2
    assert table[1].startswith(xor_run)
    (row,) = json.loads(chainrule("runs", "--json").stdout)
    assert (row["name"], row["epochs"], row["state"]) == (xor_run, 3, "epochs")
    one = chainrule("runs", "xor").stdout
    assert f"name: {xor_run}" in one
    assert "model: mlp 2-4-2 tanh" in one
    for width in ("40", "60", "80", "120"):
        assert max(map(len, chainrule("runs", COLUMNS=width).stdout.splitlines())) <= int(width)


def test_no_runs_yet(chainrule):
    assert "chainrule train digits" in chainrule("runs").stdout
    assert json.loads(chainrule("runs", "--json").stdout) == []


def test_a_damaged_run_does_not_hide_the_others(chainrule, xor_run, tmp_path):
    chainrule("train", "xor", *SMALL)
    (tmp_path / "runs" / xor_run / "config.json").write_text("{")
    states = [r["state"] for r in json.loads(chainrule("runs", "--json").stdout)]
    assert states[0].startswith("damaged")
    assert states[1] == "epochs"
    assert chainrule("predict", xor_run).exit_code == 1


# ---------------------------------------------------------------- the result as text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("plain", [False, True])
def test_results_fit(width, plain):
    o = Outcome(
        Recipe("digits"), "digits-0001", "runs/digits-0001", 0.99, 0.1,
        (np.eye(10, dtype=int) * 35 + 1).tolist(), tuple("0123456789"), (1.0, 13), 54, 1134,
        "early stopping", 3.6, 0.011,
    )  # fmt: skip
    t = Terminal(width=width, signs=ASCII, plain=plain)
    lines = [text_of(line) for line in results(o, t)]
    commands = [x for x in lines if x.startswith(("next", "run "))]
    assert max(len(x) for x in lines if x not in commands) <= max(width, 50 if plain else 0)
    assert len([x for x in lines if "taken for" in x]) == 5
    shown = "\n".join(lines)
    assert shown.count("36") >= 10
    assert shown.isascii()
