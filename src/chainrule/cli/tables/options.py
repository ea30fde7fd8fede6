"""The options of `train` that speak of a table."""

from __future__ import annotations

import os
from typing import Any

import click

from ...data.tables.target import TASKS
from ...train import Run
from ...train.metrics import METRICS
from ..app import UsageProblem, did_you_mean
from ..options import Name, Number, find_run
from ..recipe import DATA
from .choices import FEW_ROWS, FOLDS, TableChoices, choose, is_table, is_table_run, of_run

SIGNS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


class Source(click.ParamType):  # type: ignore[type-arg]
    """A data set by its name, or the path of a table."""

    name = "data"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value)
        if text.lower() in DATA:
            return text.lower()
        if is_table(text):
            return text
        if os.path.isdir(text):
            raise UsageProblem(
                f"{text!r} is a folder, and a table is one file", line="",
                fix=f"chainrule train {os.path.join(text, 'data.csv')} --target COLUMN",
            )  # fmt: skip
        near = did_you_mean(text.lower(), tuple(DATA))
        raise UsageProblem(
            f"there is no data set {text!r}, and no such file", got=repr(value),
            expected=f"{', '.join(DATA)}, or a table such as data.csv", fix=near, line="",
        )  # fmt: skip


class Sign(click.ParamType):  # type: ignore[type-arg]
    """One sign, or its name."""

    name = "sign"

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str:
        return "SIGN"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        sign = SIGNS.get(str(value), str(value))
        if len(sign) != 1:
            raise UsageProblem(f"{param.opts[-1]} must be one sign", got=repr(value), line="",
                               expected=f"a sign, or {', '.join(SIGNS)}")  # fmt: skip
        return sign


class Between(click.ParamType):  # type: ignore[type-arg]
    """A text between labels, or the name of a sign."""

    name = "text"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if not value:
            raise UsageProblem(f"{param.opts[-1]} must be a text", got="''", line="",
                               expected=f"a sign, or {', '.join(SIGNS)}")  # fmt: skip
        return SIGNS.get(str(value), str(value))


MISSING = click.option(
    "--missing", multiple=True, metavar="TEXT",
    help="Of a table: means no value, as NA, ? and an empty cell do.",
)  # fmt: skip
DELIMITER = click.option("--delimiter", type=Sign(), help="Between a table's cells [found out].")
DECIMAL = click.option("--decimal", type=Sign(), help="Before the decimals [found out].")
ENCODING = click.option("--encoding", metavar="NAME", help="Of a table's text [UTF-8].")


def reading_options(function: Any) -> Any:
    """How a table is written to which a run's model is applied."""
    for option in (ENCODING, DECIMAL, DELIMITER, MISSING):
        function = option(function)
    return function


def only_of_tables(reading: dict[str, Any]) -> None:
    """Raises for an option of `reading_options` where the run is not of a table."""
    odd = [f"--{name}" for name, value in reading.items() if value not in (None, ())]
    if odd:
        raise UsageProblem(f"{odd[0]} goes with a table", got=f"{odd[0]} with a data set",
                           fix=f"without {odd[0]}", line="")  # fmt: skip


def table_options(function: Any) -> Any:
    """What a table needs said, or may have said."""
    told = f"[{FOLDS} up to {FEW_ROWS} rows, else 1]"
    for option in reversed((
        click.option("--target", multiple=True, metavar="COLUMN",
                     help="Of a table: what is to be learned; more than once for several."),
        click.option("--drop", multiple=True, metavar="COLUMN", help="Of a table: leave it out."),
        click.option("--kind", multiple=True, metavar="COLUMN=KIND",
                     help="Of a table: numeric, categorical, boolean, date or drop."),
        MISSING,
        click.option("--skip-missing", is_flag=True, default=None,
                     help="Of a table: leave rows without a target out."),
        click.option("--task", type=Name(TASKS), help="Of a table [found out]."),
        click.option("--metric", type=Name(tuple(METRICS)), metavar="NAME",
                     help="Of a table: what chooses the best epoch (and by tune the best settings) "
                          "and says the result: accuracy, roc_auc, rmse, .. [fewest errors]."),
        click.option("--folds", type=Number(1, 100, whole=True),
                     help=f"Of a table: networks, each held out from other rows {told}."),
        click.option("--test-fraction", type=Number(0, 0.9),
                     help="Of a table: share of rows held out to the end [0.2]."),
        click.option("--separator", type=Between(),
                     help="Of a table: between the labels in a cell of the target [found out]."),
        DELIMITER, DECIMAL, ENCODING,
        click.option("--header/--no-header", default=None,
                     help="Whether a table's first line holds names [found out]."),
    )):  # fmt: skip
        function = option(function)
    return function


def asked_for(
    what: str, folder: str, given: dict[str, Any]
) -> tuple[TableChoices | None, Run | None]:
    """The choices of a table with what was typed, or of a run of one, with the run.

    None where it is something else: a data set, a run of one, or not there at all.
    """
    if is_table(what):
        return choose(what, given), None
    if given or what.lower() in DATA:
        return None, None
    run = find_run(what, folder)
    return (of_run(run, "begin a new run") if is_table_run(run.config) else None), run


ONLY_FOR_TABLES = (
    "target", "drop", "kind", "missing", "skip_missing", "task", "metric", "folds",
    "test_fraction", "delimiter", "decimal", "encoding", "header", "separator",
)  # fmt: skip
