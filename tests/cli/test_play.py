"""`chainrule playground`: the page of a run, of a file, of the article."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_cases import refused

from chainrule.cli.replay import difference
from chainrule.train import open_run

FILE = """
x = [1.0]
y = [0.0]
loss = "half"
[[layers]]
weight = [[2.0]]
bias = [0.5]
"""


def test_without_a_run_it_is_the_article_s_network(chainrule):
    result = chainrule("playground")
    assert result.exit_code == 0, result.output
    assert "play.html" in result.stdout
    assert "all 9 gradients agree" in result.stderr
    assert "2-2-1" in Path("play.html").read_text()


def test_a_file_of_one_s_own(chainrule):
    Path("mine.toml").write_text(FILE)
    result = chainrule("playground", "mine.toml", "--json", "--moments", "0")
    trace = json.loads(result.stdout)
    assert trace["training"] is None
    assert trace["values"]["L"] == [0.5 * 2.5**2]
    assert not Path("play.html").exists()


def trace_of(chainrule, *words):
    result = chainrule("playground", *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_run_is_trained_again_to_the_same_bits(chainrule, xor_run):
    trace = trace_of(chainrule, xor_run, "--example", "3")
    training = trace["training"]
    assert "bit for bit" in training["says"]
    weights = open_run(xor_run).load_model()
    last = training["moments"][-1]
    assert last["at"] == "what the run kept"
    for key, name in (("W1", "fc1.weight"), ("W2", "out.weight")):
        kept = np.asarray(weights[name]).T.ravel()
        assert (np.asarray(last["weights"][key], np.float32) == kept).all()
        assert (np.asarray(trace["values"][key]) == kept).all()
    assert [m["at"] for m in training["moments"][:-1]] == [f"epoch {i}" for i in range(4)]
    assert trace["values"]["y"].index(1.0) == training["examples"]["y"][3]
    assert trace["example"] == 3


def test_a_run_with_other_weights_says_so(chainrule, xor_run):
    run = open_run(xor_run)
    weights = run.load_model()
    np.asarray(weights["fc1.bias"])[0] += 0.25
    run.save_model(weights, {})
    assert "largest difference 0.25" in trace_of(chainrule, xor_run)["training"]["says"]


def test_difference_of_the_same_is_nothing(chainrule, xor_run):
    from chainrule.cli import recipe

    run = open_run(xor_run)
    r = recipe.from_config(run.config, "run")
    parts = recipe.build(r)
    assert difference(parts.model, run) > 0
    parts.model.load_state_dict(run.load_model())
    assert difference(parts.model, run) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing-0001"], "no run"),
        (["--example", "3"], "--example picks a row"),
        (["--example", "-1"], "--example must be"),
        (["--moments", "x"], "--moments must be"),
        (["missing.toml"], "missing.toml"),
    ],
)
def test_what_is_typed_wrong(chainrule, words, message):
    code = 1 if words == ["missing.toml"] else 2
    assert message in refused(chainrule("playground", *words), code)


def test_a_row_that_is_not_there(chainrule, xor_run):
    assert "from 0 to 999" in refused(chainrule("playground", xor_run, "--example", "1000"))


def test_a_folder_that_is_not_there(chainrule):
    assert "mkdir" in refused(chainrule("playground", "-o", "no/where.html"), 3)


@pytest.mark.slow
def test_a_net_that_is_too_large_is_refused_with_what_to_do(chainrule):
    made = chainrule("train", "digits", "--layers", "8", "--steps", "3", "-q")
    assert made.exit_code == 0, made.output
    message = refused(chainrule("playground", "digits"))
    assert "64 inputs" in message
    assert "chainrule train moons --layers 8,8" in message
