"""The commands, in this process: what they print, what they refuse, and with which exit code."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex

import click
import numpy as np
import pytest
from cli_cases import SMALL, refused
from hypothesis import given
from hypothesis import strategies as st

from chainrule.cli import recipe as recipes
from chainrule.cli.app import COMMANDS, FIRST_STEPS, app
from chainrule.cli.recipe import Recipe, build
from chainrule.cli.results import Outcome, results
from chainrule.cli.terminal import ASCII, Terminal, as_typed, rows, text_of
from chainrule.train.files import writing

NUMERIC = {"lr": "nan inf -1 0 x", "batch-size": "0 -3 1.5 x", "epochs": "0 x", "steps": "0 x",
           "seed": "-1 1.5 x", "dropout": "1 -0.1 nan x", "label-smoothing": "1 -1",
           "momentum": "1 -1", "weight-decay": "-1 nan", "tol": "0 -1", "patience": "0 1.5",
           "val-fraction": "1 -1 nan", "layers": "0 a 3, -1 1e3",
           "clip-grad-norm": "0 -1"}  # fmt: skip
NAMED = {"optimizer": "adamm", "activation": "rellu", "schedule": "cosin", "init": "kaimingg"}


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
        (["train", "xor", "--name", "a", "--no-save"], "--no-save makes none"),
        (["train", "xor", "--val-fraction", "0.0001"], "no row to validate on"),
        (["train", "xor", "--lr"], " train --help"),
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


@given(st.lists(st.text("ab-/.'", min_size=1, max_size=30), min_size=1), st.integers(20, 120))
def test_an_error_fits_the_terminal_and_keeps_every_word(listed, width):
    text = "error: " + " ".join(listed) + "\n  expected  " + " ".join(listed)
    shown = rows(text, width)
    assert shown.split() == text.split()
    longest = max(map(len, listed))
    assert all(len(x) <= max(width, 14 + longest) for x in shown.splitlines())


def test_an_error_is_wrapped_but_not_what_is_to_be_copied(chainrule):
    said = chainrule("train", "xor", "--momentum", "0.9", COLUMNS="40").stderr
    assert max(map(len, said.splitlines())) <= 40
    assert "\n            " in said, "a value goes on below its value"
    typed = "  try       chainrule train --resume digits-0001 --runs-dir /a/b/c"
    assert rows(typed, 40) == typed


def test_commands_are_said_as_they_have_to_be_typed(monkeypatch):
    text = "chainrule runs; chainrule train --help; chainrule is a name"
    monkeypatch.setattr("sys.argv", [".venv/bin/chainrule", "runs"])
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/chainrule")
    assert as_typed(text) == text
    monkeypatch.setattr("shutil.which", lambda name: None)
    venv = ".venv/bin/chainrule"
    assert as_typed(text) == f"{venv} runs; {venv} train --help; chainrule is a name"
    monkeypatch.setattr("sys.argv", ["/x/chainrule/__main__.py"])
    assert as_typed(text) == text


# ---------------------------------------------------------------- training


def test_log_lines_and_result(chainrule):
    result = chainrule("train", "xor", *SMALL)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    form = (r"epoch=\d+ loss=\d\.\d{4} val_loss=\d\.\d{4} val_acc=\d\.\d{3} lr=\S+ "
            r"worst=(fc1|out):\d\.\de-\d\d look=\d+ verdict=[a-z:-]+")  # fmt: skip
    found = [bool(re.fullmatch(form, line)) for line in lines[:5]]
    assert found == [True, False, True, True, False]
    assert re.fullmatch(r"steps: \S+( k)?/s (compiled|loaded) in \d\.\d s, 1 thread", lines[1])
    assert "held-out accuracy" in lines[5]
    assert "most confused" in result.stdout
    assert os.path.join("runs", "xor-0001") in result.stdout
    assert "chainrule explain xor-0001" in result.stdout
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


def test_what_it_was_ended_by(chainrule):
    ended = chainrule("train", "xor", *SMALL, "-q", "--tol", "9", "--epochs", "9").stdout
    assert "ended by convergence." in ended
    one = chainrule("train", "xor", *SMALL, "-q", "--steps", "1", "--val-fraction", "0").stdout
    assert "1 epoch, 1 step in" in one


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
    [pytest.param(o, v, marks=[pytest.mark.slow] if i else [])  # one of each kind is fast
     for o, values in (
        ("optimizer", recipes.OPTIMIZERS), ("schedule", recipes.SCHEDULES),
        ("activation", recipes.ACTIVATIONS), ("init", recipes.INITS),
    ) for i, v in enumerate(values)]
    + [("layers", "none"), ("tol", "10"), ("steps", "2"), ("val-fraction", "0"),
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
    assert "chainrule diagnose " in said
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


def test_no_room_is_found_before_anything_is_made(chainrule, tmp_path, monkeypatch):
    monkeypatch.setattr(writing.disk, "free_bytes", lambda path: 100_000)
    assert "100,000 bytes free" in refused(chainrule("train", "xor", *SMALL), code=3)
    assert list((tmp_path / "runs").iterdir()) == []


# ---------------------------------------------------------------- the result as text


@pytest.mark.parametrize("width", [34, 40, 60, 80, 120])
@pytest.mark.parametrize("plain", [False, True])
def test_results_fit(width, plain):
    o = Outcome(
        Recipe("digits"), "digits-0001", "runs/digits-0001", 0.99, 0.1,
        (np.eye(10, dtype=int) * 35 + 1).tolist(), tuple("0123456789"), (1.0, 13), 34, 54, 1134,
        "early stopping", 3.6, 0.011, "9.1 k/s compiled in 0.6 s, 2 threads", True, 0.6,
        False, 9100.0, 2, False,
    )  # fmt: skip
    t = Terminal(width=width, signs=ASCII, plain=plain)
    lines = [text_of(line) for line in results(o, t)]
    commands = [x for x in lines if x.startswith(("next", "run ", "chainrule "))]
    assert max(len(x) for x in lines if x not in commands) <= max(width, 50 if plain else 0)
    assert len([x for x in lines if "taken for" in x]) == 5
    shown = "\n".join(lines)
    assert shown.count("36") >= 10
    assert "weights of epoch 34" in " ".join(shown.split())
    assert shown.isascii()


@pytest.mark.parametrize(("folder", "layers"), [("runs", "4"), ("my runs", "40")])
def test_what_is_said_to_come_next_can_be_pasted(chainrule, folder, layers):
    """The playground where it can step through the network, else a prediction."""
    chosen = (*SMALL, "--runs-dir", folder, "--layers", layers)
    said = chainrule("train", "xor", *chosen, "-q", COLUMNS="100").stdout.splitlines()
    lines = [shlex.split(line)[1:] for line in said if line.startswith("next ")]
    last = "playground" if layers == "4" else "predict"
    assert [line[1] for line in lines] == ["explain", "diagnose", "report", last]
    for typed in lines:
        assert typed[2] == "xor-0001"
        assert chainrule(*typed[1:]).exit_code == 0


def test_no_command_is_listed_with_half_a_sentence(chainrule):
    assert "..." not in chainrule("--help", COLUMNS="80").stdout.replace("[ARGS]...", "")


def test_a_command_for_data_sets_says_so_of_a_table_with_its_options(chainrule, penguins):
    said = refused(chainrule("preflight", penguins, "--target", "species"))
    assert "is a table, and preflight is for data sets" in said
    assert "No such option" in chainrule("preflight", "xor", "--target", "x").stderr
