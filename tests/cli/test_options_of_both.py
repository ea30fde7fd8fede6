"""Options of commands for data sets and tables: what the help says of each is what it does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
import pytest
from cli_cases import refused

from chainrule.cli import lr_find, train, verify_resume
from chainrule.cli.app import UsageProblem
from chainrule.cli.options import Name, Number, Sizes
from chainrule.cli.tables.choices import TableChoices
from chainrule.cli.tables.choices import choose as of_table
from chainrule.cli.tables.options import FOR_BOTH, FOR_SETS, FOR_TABLES
from chainrule.cli.tables.rates import UNHEARD

COMMANDS = {"train": train, "lr-find": lr_find, "verify-resume": verify_resume}
TOGETHER = {"momentum": {"optimizer": "sgd"}}
"""What an option needs besides to be taken."""


def sections(text: str) -> dict[str, str]:
    """The help's parts by heading."""
    parts = re.split(rf"^({FOR_BOTH}|{FOR_SETS}|{FOR_TABLES}):\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def value_of(param: click.Option):
    """A value that is not the default."""
    if isinstance(param.type, Number):
        return param.type.convert("1" if param.type.whole else "0.05", param, None)
    if isinstance(param.type, Sizes):
        return (3,)
    if isinstance(param.type, Name):
        return "gelu" if param.name == "activation" else param.type.names[-1]
    if param.multiple:
        return ("a=numeric",)
    return param.name != "early_stopping" if param.is_flag else ";"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_says_which_options_go_with_what(chainrule, name):
    command = COMMANDS[name].command
    told = sections(chainrule(name, "--help").stdout)
    own = set(inspect.signature(command.callback).parameters)
    chosen = [p for p in command.params if p.name not in own and p.expose_value and not p.hidden]
    assert len(chosen) > 30
    for param in chosen:
        (heading,) = [h for h, text in told.items() if re.search(rf"{param.opts[0]}\b", text)]
        given = {param.name: value_of(param)}
        if name == "lr-find" and param.name in UNHEARD:
            assert heading == FOR_SETS
            continue  # see test_what_the_trials_of_a_table_do_not_hear_is_refused
        if heading == FOR_SETS:
            with pytest.raises(UsageProblem, match=f"{param.opts[0]} is not for tables"):
                of_table("a.csv", {"target": ("y",), **given})
        else:
            plain = TableChoices("a.csv", ("y",))
            assert of_table("a.csv", {"target": ("y",), **given}) != plain, param.name
        if heading == FOR_TABLES:
            with pytest.raises(UsageProblem, match=f"{param.opts[0]} goes with a table"):
                train.refuse_of_tables("xor", given)
        else:
            train.refuse_of_tables("xor", given)
            more = TOGETHER.get(param.name, {})
            assert train.choose("xor", more | given) != train.choose("xor", dict(more)), param.name


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--metric", "roc_auc"),
        ("--patience", "3"),
        ("--epochs", "9"),
        ("--no-early-stopping", None),
    ],
)
def test_what_the_trials_of_a_table_do_not_hear_is_refused(chainrule, penguins, flag, value):
    """What stands in a file is for the training that follows."""
    words = [flag] if value is None else [flag, value]
    said = refused(chainrule("lr-find", penguins, "--target", "species", *words))
    assert "is not for lr-find of a table" in said
    told = sections(chainrule("lr-find", "--help").stdout)
    assert flag not in told[FOR_TABLES] + told[FOR_BOTH]
    name = flag.removeprefix("--no-").removeprefix("--").replace("-", "_")
    held = {"metric": '"roc_auc"', "early_stopping": "false"}.get(name, value)
    Path("c.toml").write_text(f"{name} = {held}\n")
    quick = ("--layers", "4", "--trial-steps", "10")
    made = chainrule("lr-find", penguins, "--target", "species", "--config", "c.toml", *quick)
    assert made.exit_code == 0, made.output
    assert " ".join(words) in made.stdout.splitlines()[-1]


def test_a_sweep_is_not_for_tables(chainrule, penguins):
    words = (penguins, "--target", "species", "--sweep-steps", "20")
    assert "--sweep-steps" in sections(chainrule("lr-find", "--help").stdout)[FOR_SETS]
    assert "there is no sweep" in refused(chainrule("lr-find", *words))
