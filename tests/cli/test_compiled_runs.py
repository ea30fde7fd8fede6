"""`chainrule train` compiles: the same answer as --eager, and what it took is on record."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cli_cases import SMALL, refused

import chainrule as library
from chainrule.cli import recipe as recipes
from chainrule.cli.recipe import Recipe
from chainrule.cli.view.draw import way
from chainrule.cli.view.facts import Facts
from chainrule.cli.view.screen import Plain
from chainrule.train import open_run


@pytest.fixture(autouse=True)
def threads():
    before = library.get_num_threads()
    yield
    library.set_num_threads(before)


def test_eager_gives_the_same_losses(chainrule):
    chainrule("train", "xor", *SMALL, "-q")
    chainrule("train", "xor", *SMALL, "-q", "--eager")
    compiled, eager = (open_run(f"xor-000{i}") for i in (1, 2))
    for name in ("loss", "val_loss", "grad_norm"):
        found, wanted = ([row[name] for row in r.rows] for r in (compiled, eager))
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert (compiled.config["recipe"]["eager"], eager.config["recipe"]["eager"]) == (False, True)
    a, b = compiled.result, eager.result
    assert (a["compiled"], b["compiled"]) == (True, False)
    assert a["compile_seconds"] > 0 == b["compile_seconds"]
    assert b["compile_cached"] is False
    assert isinstance(a["compile_cached"], bool)
    assert (a["threads"], b["threads"]) == (1, None)
    assert a["steps_per_second"] > 0 < b["steps_per_second"]
    kept = [json.loads((r.path / "config.json").read_text())["trainer"] for r in (compiled, eager)]
    assert [k["compile"] for k in kept] == [True, False]


@pytest.mark.parametrize("way", [[], ["--eager"]], ids=["compiled", "eager"])
def test_json_says_how_it_was_made(chainrule, way):
    found = json.loads(chainrule("train", "xor", *SMALL, *way, "--json", "--no-save").stdout)
    assert found["compiled"] is not bool(way)
    assert ("eager" in found["way"]) is bool(way)
    assert found["steps_per_second"] > 0


def test_threads(chainrule):
    assert chainrule("train", "xor", *SMALL, "-q", "--threads", "1").exit_code == 0
    assert library.get_num_threads() == 1
    assert "--threads must be" in refused(chainrule("train", "xor", "--threads", "0"))


def test_a_resumed_run_is_made_as_it_was_begun(chainrule):
    said = refused(chainrule("train", "--resume", "xor-0001", "--eager"))
    assert "--eager can't be changed" in said


def test_runs_from_before_there_was_a_choice_are_eager():
    held = Recipe("xor", **recipes.DATA["xor"]).to_config()
    assert recipes.from_config({"recipe": held}, "there").eager is False
    del held["eager"]
    assert recipes.from_config({"recipe": held}, "there").eager is True
    with pytest.raises(library.errors.FormatError, match="eager is not"):
        recipes.from_config({"recipe": {**held, "eager": 1}}, "there")


def test_the_way_out_is_told_in_terms_of_the_command_line(chainrule, monkeypatch):
    def branching(self, x):
        return x if x.sum() > 0 else -x

    monkeypatch.setattr(recipes.Standardize, "forward", branching)
    result = chainrule("train", "xor", *SMALL, "-q", "--no-save")
    assert result.exit_code == 1
    assert "the truth of a tensor" in result.stderr
    assert result.stderr.rstrip().endswith("or --eager")


def test_plain_says_it_once(capsys):
    import sys

    screen = Plain(sys.stdout)
    facts = Facts(compiled=True, compile_s=1.25, threads=2, steps_per_s=1500.0, epochs=2)
    screen.epoch(facts)
    screen.epoch(facts)
    facts.cached = True
    assert way(facts) == "1.5 k/s loaded in 1.2 s, 2 threads"
    assert capsys.readouterr().out.count("Steps: 1.5 k/s compiled in 1.2 s, 2 threads.") == 1
