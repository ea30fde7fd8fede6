"""Worked examples of others: what is right, what is carried, what is wrong, and the slip."""

from __future__ import annotations

import pytest

from chainrule.derivation.derive import Deriving
from chainrule.derivation.example import CARRIED, NOT_CLAIMED, RIGHT, WRONG, Example
from chainrule.derivation.naming import ASCII, Naming
from chainrule.derivation.network import Layer, Network
from chainrule.derivation.record import CASE_STUDY, case_study, read
from chainrule.errors import FormatError

SECOND_ARTICLE = {
    "z1[1]": (WRONG, "without b1[1]"),
    "z1[2]": (WRONG, "b1[2] taken as 0.02 instead of 0.2"),
    "a1[1]": (WRONG, "cut off instead of rounded"),
    "a1[2]": (CARRIED, ""),
    "z2": (WRONG, "without b2 it would be 0.741000, which is near"),
    "yhat": (CARRIED, ""),
    "L": (CARRIED, ""),
    "delta2": (WRONG, "cut off instead of rounded"),
    "delta1[1]": (CARRIED, ""),
    "delta1[2]": (CARRIED, ""),
    "dL/dW2[1]": (CARRIED, ""),
    "dL/dW2[2]": (
        WRONG,
        "a1[1] = a1[2] = 0.57, so it cannot differ from dL/dW2[1]; with delta2 = "
        "-0.057486, as its own formula gives, it is -0.032767",
    ),
    "dL/db2": (CARRIED, ""),
}


def test_the_second_article():
    network, claims = read(CASE_STUDY)
    found = {c.name: (c.verdict, c.slip) for c in Example(network, claims).check().lines}
    assert found == SECOND_ARTICLE
    own = {c.name: c.own for c in Example(network, claims).check()}
    assert own["z2"] == pytest.approx(1.041)
    assert own["delta2"] == pytest.approx(-0.057486)
    assert own["dL/dW2[2]"] == pytest.approx(-0.0285)


def test_the_gradients_that_an_example_leaves_out_are_given():
    found = Example(*read(CASE_STUDY)).check()
    assert found.missing == [
        "not claimed: dL/dW1, right: [[-0.001390, -0.001601], [-0.000834, -0.000961]]",
        "not claimed: dL/db1, right: [-0.002780, -0.003202]",
    ]
    assert sum(c.verdict == NOT_CLAIMED for c in found) == 6
    some = Example(case_study(), {"dL/dW1[1,1]": "-0.00139", "dL/dW2[1]": "-0.0116"}).check()
    assert "not claimed: dL/dW2[2] = -0.011893 (right values)" in some.missing
    assert not Example(case_study(), {"z1[1]": "0.41"}).check().missing


def test_in_a_notebook_an_example_is_a_table():
    example = Example(*read(CASE_STUDY))
    page = example.check()._repr_html_()
    assert page.count("<tr>") == len(SECOND_ARTICLE) + 1
    for words in ("without b1[1]", "0.001601", "1.041", "right for its own numbers"):
        assert words in page
    assert "<table" in example._repr_html_()


def right_claims(digits=6):
    network = case_study()
    name = Naming(Deriving(network).derivation("", []), ASCII)
    return {
        name(p): f"{network.at(p):.{digits}f}" for n in network.nodes for p in network.places(n)
    }


@pytest.mark.parametrize("digits", [3, 6, 12])
def test_what_is_right_is_right(digits):
    assert all(c.verdict == RIGHT for c in Example(case_study(), right_claims(digits)).check())


PLANTED = {
    "z2 without its bias": ("z2", "0.791421", "without b2"),
    "a turned sign": ("delta2", "0.019326", "the sign is turned"),
    "1/(1 + e^z)": ("a1[1]", "0.398912", "the sign in sigma is turned"),
    "a turned bias": ("z2", "0.491421", "the sign of b2 is turned"),
    "half the loss": ("delta2", "-0.009663", "half as large"),
    "twice": ("dL/db2", "-0.038651", "twice as large"),
    "the other unit": ("a1[1]", "0.615384", "that is a1[2]"),
    "a factor left out": ("dL/dW2[1]", "-0.019326", "without the factor a1[1]"),
    "a point in the wrong place": ("z2", "0.821421", "b2 taken as 0.03 instead of 0.3"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_slip_is_told(case):
    name, claimed, words = PLANTED[case]
    found = {c.name: c for c in Example(case_study(), {**right_claims(), name: claimed}).check()}
    assert found[name].verdict == WRONG
    assert found[name].slip.startswith(words)


def test_the_prediction_may_be_called_as_other_layers_are():
    (one,) = Example(case_study(), {"a2": "0.749"}).check().lines
    (other,) = Example(case_study(), {"yhat": "0.749"}).check().lines
    assert (one.name, one.verdict, one.right) == ("a2", RIGHT, other.right)
    first = Layer([[1.0, 2.0]], [0.0, 0.0], "tanh")
    second = Layer([[1.0, 2.0], [3.0, 4.0]], [0.0, 0.0], "sigmoid")
    wide = Network([0.5], [first, second], [0.0, 1.0])
    assert [c.name for c in Example(wide, {"a2[2]": "1", "dL/da2[1]": "0"}).check().lines]
    with pytest.raises(FormatError, match=r"yhat\[1\], yhat\[2\]"):
        Example(wide, {"a3": "1"})


@pytest.mark.parametrize("claims", [{"z3": "1"}, {"z1": "1"}, {"L": "one"}, {"L": "nan"}])
def test_what_claims_nothing_is_refused(claims):
    with pytest.raises(FormatError):
        Example(case_study(), claims)


def test_yaml_and_json_say_the_same_as_toml(tmp_path):
    yaml = pytest.importorskip("yaml")
    import json
    import tomllib

    data = tomllib.loads(CASE_STUDY.read_text(encoding="utf-8"), parse_float=str)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(data))
    (tmp_path / "a.json").write_text(json.dumps(data))
    for name in ("a.yaml", "a.json"):
        network, claims = read(tmp_path / name)
        found = {c.name: (c.verdict, c.slip) for c in Example(network, claims).check().lines}
        assert found == SECOND_ARTICLE


BAD_YAML = ["[1, 2", "!!python/object/apply:os.getcwd []", "- 1\n- 2", "x: [1]\ny: 3", "\t"]


@pytest.mark.parametrize("text", BAD_YAML)
def test_a_file_that_is_no_network_is_refused(text, tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(FormatError):
        read(tmp_path / "a.yaml")
