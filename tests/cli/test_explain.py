"""`chainrule explain`."""

from __future__ import annotations

import json

import pytest

FILE = """
x = [0.5, 0.3]
y = [0.8]
[[layers]]
weight = [[0.5, 0.3], [0.2, 0.4]]
bias = [0.1, 0.2]
activation = "sigmoid"
[[layers]]
weight = [[0.6], [0.7]]
bias = [0.3]
activation = "sigmoid"
"""


def test_a_neuron(chainrule):
    text = chainrule("explain", "neuron", "--x", "1.5", "--w", "0.8", "--b=-0.2", "--y", "1",
                     "--act", "sigmoid", "--loss", "mse", "--lr", "0.1").output  # fmt: skip
    for number in ("0.731059", "0.072329", "-0.537883", "0.196612", "-0.158631", "-0.105754",
                   "0.815863", "-0.189425", "0.068769", "-3.635e-03", "-3.561e-03"):  # fmt: skip
        assert number in text


def test_the_case_study_and_the_same_from_a_file(chainrule, own_folder):
    (own_folder / "net.toml").write_text(FILE)
    first, second = (chainrule("explain", what, "--step") for what in ("seed221", "net.toml"))
    assert first.exit_code == second.exit_code == 0
    assert first.output == second.output
    assert "-0.019326" in first.output


def test_json(chainrule):
    data = json.loads(chainrule("explain", "seed221", "--json").output)
    assert data["schema"] == "chainrule derivation 1"
    lines = {line["name"]: line for s in data["sections"] for line in s["lines"]}
    assert lines["L"]["value"] == pytest.approx(0.0026368966648948637, rel=1e-14)


def test_digits_change_what_is_shown_and_nothing_else(chainrule):
    few, many = (chainrule("explain", "seed221", "--digits", d).output for d in ("3", "12"))
    assert "0.749" in few
    assert "0.748649277854" in many
    assert "promised ΔL" not in few


WRONG = {
    "no such file": (["nope.toml"], 1, "can't be read as TOML"),
    "a weight that is not there": (["seed221", "--weight", "W3[1]"], 2, "W1[1,1] to W2[2,1]"),
    "other lengths": (["neuron", "--x", "1,2"], 2, "equally many numbers"),
    "no number": (["neuron", "--x", "one"], 2, "numbers with commas"),
    "a neuron's option": (["seed221", "--x", "1"], 2, "explain neuron"),
    "a file's loss": (["seed221", "--loss", "half"], 2, "a file has its own"),
    "an unknown activation": (["neuron", "--act", "sigmod"], 2, "did you mean sigmoid"),
    "a rate of 0": (["neuron", "--lr", "0"], 2, "> 0"),
    "a file that is no network": (["bad.toml"], 1, "unknown: z"),
    "a file without layers": (["empty.toml"], 1, "missing"),
    "words for numbers": (["words.toml"], 1, "numbers in lists"),
    "layers that do not fit": (["fit.toml"], 1, "layer 1: the weights do not fit"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(name, chainrule, own_folder):
    (own_folder / "bad.toml").write_text(FILE.replace("x =", "z ="))
    (own_folder / "empty.toml").write_text("x = [1]\ny = [1]\n")
    (own_folder / "words.toml").write_text(FILE.replace("[0.5, 0.3]\ny", '["a", "b"]\ny'))
    (own_folder / "fit.toml").write_text(FILE.replace("x = [0.5, 0.3]", "x = [0.5]"))
    args, code, words = WRONG[name]
    result = chainrule("explain", *args)
    assert result.exit_code == code, result.output
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_an_example_is_checked(chainrule, own_folder):
    result = chainrule("check-example", "seed221")
    assert result.exit_code == 1
    assert "without b1[1]" in result.output
    assert "13 lines: 0 right, 6 wrong" in result.output
    (own_folder / "good.toml").write_text(FILE + '[claims]\n"L" = 0.002637\n"z1[1]" = 0.410\n')
    result = chainrule("check-example", "good.toml")
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "2 lines: 2 right, 0 wrong")
    plain = chainrule("check-example", "seed221", "--plain").output
    assert plain.isascii()
    assert "not claimed: dL/dW1, right: [[-0.001390" in plain
    for width in (40, 50, 80, 200):  # every verdict with its sign, every slip, every own number
        shown = chainrule("check-example", "seed221", COLUMNS=str(width)).output
        lines = shown.splitlines()
        assert max(map(len, lines)) <= width
        one = " ".join(shown.split())
        assert sum(line.startswith(("✖", "!", "x")) for line in lines) == 13
        assert one.count(" right for its own numbers") == 7
        assert len([x for x in lines if x.split()[2:3] == ["wrong"]]) == 6
        for words in ("0.02 instead of 0.2", "without b2 it would be", "1.041", "-0.028500"):
            assert words in one, (width, words)
    found = json.loads(chainrule("check-example", "seed221", "--json").output)
    assert found[0]["slip"] == "without b1[1]"
    (own_folder / "none.toml").write_text(FILE)
    assert chainrule("check-example", "none.toml").exit_code == 2
