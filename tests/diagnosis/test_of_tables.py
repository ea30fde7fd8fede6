"""What is advised to a table's fit can be had there: settings of its recipe, or words on rows."""

from __future__ import annotations

import re
from dataclasses import asdict, replace

import pytest
from stories import FAULTS, START

from chainrule.cli.tables.choices import NOT_FOR_TABLES, OF_RECIPE, TableChoices
from chainrule.cli.train import command
from chainrule.data import penguins
from chainrule.diagnosis import diagnose
from chainrule.train import Run
from chainrule.train.tabular import Recipe, TableFit

FITS = [
    Recipe().of("classification"), Recipe(hidden=(8,), dropout=0.0).of("regression"),
    Recipe(weight_decay=0.0, hidden=(), activation="relu", patience=5).of("multilabel"),
]  # fmt: skip
OPTIONS = {p.name for p in command.params} - set(NOT_FOR_TABLES)
OF_CODE = re.compile(r"nn\.|\binit\b|clip|Loss|optimizer|Adam|momentum|detach|Sampler|scaled")


@pytest.mark.parametrize("recipe", FITS)
@pytest.mark.parametrize("rule", sorted(FAULTS))
def test_every_fix_of_every_fault_is_a_setting_of_the_recipe(rule, recipe):
    for fault in FAULTS[rule]:
        held = replace(fault, recipe=asdict(recipe))
        assert {f.id for f in diagnose(held)} == {f.id for f in diagnose(fault)}
        for finding in diagnose(held):
            for fix in finding.fixes:
                assert set(fix.changes) <= OPTIONS & set(OF_RECIPE)
                assert not OF_CODE.search(fix.text), fix
                chosen = TableChoices("a.csv", ("b",), **fix.changes).recipe()
                assert not fix.changes or chosen != Recipe(patience=chosen.patience)


def test_what_is_more_is_offered_only_where_there_is_less():
    overfit = FAULTS["overfit"][0]

    def offered(**settings):
        held = replace(overfit, recipe=asdict(Recipe(**settings)))
        (finding,) = diagnose(held)
        assert finding.severity == "note", "a table's fit keeps the best epoch"
        return {name for fix in finding.fixes for name in fix.changes}

    assert offered() == {"dropout"}
    assert offered(dropout=0.4, weight_decay=0.0) == {"weight_decay"}
    assert offered(dropout=0.4) == set()


def test_a_larger_batch_is_nothing_where_one_holds_all_rows():
    swings = FAULTS["loss-oscillating"][0]
    for batches, found in ((1, False), (2, True)):
        held = replace(swings, recipe=asdict(Recipe()), start={**START, "batches": batches})
        (finding,) = diagnose(held)
        assert ({"batch_size": 1024} in [fix.changes for fix in finding.fixes]) is found


def test_a_fit_of_python_says_its_settings_in_its_run(tmp_path):
    fit = TableFit(penguins(), "species", recipe=Recipe(epochs=2, hidden=(4,)))
    run = Run(tmp_path / "a")
    fit.run(run)
    assert run.described["trainer"]["recipe"]["hidden"] == [4]
    run.write_result(**{**run.result, "error": "the loss is not finite", "advised_lr": 0.004})
    (finding,) = [f for f in diagnose(run) if f.id == "exploding"]
    assert [fix.changes for fix in finding.fixes] == [{"lr": 0.004}]
    assert "Trainer" not in diagnose(run).said
