"""The options of `train` that speak of a table."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from ...data.tables.target import METRICS_OF, TASKS
from ...nn.tabular import ACTIVATIONS
from ...train import Run
from ...train.tabular.recipe import OF_TASK
from ..app import Command, UsageProblem, did_you_mean
from ..options import Name, Number, find_run, shown
from ..recipe import DATA
from .choices import (
    EMBEDDED,
    FEW_ROWS,
    FOLDS,
    NOT_FOR_TABLES,
    OF_RECIPE,
    PATIENCE,
    VAL_SHARE,
    TableChoices,
    choose,
    is_table,
    is_table_run,
    of_run,
)  # fmt: skip

SIGNS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


ONLY_FOR_TABLES = (
    "target", "drop", "kind", "form", "missing", "skip_missing", "task", "metric", "folds",
    "test_fraction", "delimiter", "decimal", "encoding", "header", "separator",
)  # fmt: skip


class OfBoth(Command):
    """A command for data sets and tables: its help says which options go with which.

    not_for_tables: the options that are refused for a table.
    """

    not_for_tables: tuple[str, ...] = NOT_FOR_TABLES

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options for both first; what else a table takes is told beside a data set's."""
        held: dict[str, list[tuple[str, str]]] = {FOR_BOTH: [], FOR_SETS: [], FOR_TABLES: []}
        for param in self.get_params(ctx):
            record, name = param.get_help_record(ctx), param.name or ""
            if isinstance(param, click.Option) and record is not None:
                flag, text = record
                usual = usual_of_tables(name)
                text = text.replace("].", f"; tables {usual}].") if usual else text
                held[self.heading_of(name)].append((flag, text))
        for heading, records in held.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def heading_of(self, name: str) -> str:
        """Under which heading an option stands, by what is refused with which data."""
        if name in self.not_for_tables:
            return FOR_SETS
        return FOR_TABLES if name in ONLY_FOR_TABLES else FOR_BOTH


FOR_BOTH, FOR_SETS, FOR_TABLES = "Options", "Options for data sets only", "Options for tables only"


def usual_of_tables(name: str) -> str:
    """What a training on a table takes where an option is not said; empty where it is no choice.

    >>> usual_of_tables("lr"), usual_of_tables("layers")
    ('0.04, regression 0.2', '256,256,256')
    """
    if name == "val_fraction":
        return f"{VAL_SHARE:g}, and one network where it is given"
    if name == "patience":
        return f"{PATIENCE} + the best epoch: to epoch 2 x best + {PATIENCE}"
    if name not in OF_RECIPE:
        return ""
    value = getattr(TableChoices("").recipe(), OF_RECIPE[name])
    if value is None:
        classes, amounts = (OF_TASK[t][OF_RECIPE[name]] for t in ("classification", "regression"))
        value = f"{_short(classes)}, regression {_short(amounts)}"
    if name == "activation":
        value += f"; only {', '.join(ACTIVATIONS)}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else _short(value)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class Source(click.ParamType):  # type: ignore[type-arg]
    """A data set by its name, or the path of a table."""

    name = "data"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value)
        if text.lower() in DATA:
            return text.lower()
        if text.lower() in EMBEDDED:
            return text.lower()
        if is_table(text):
            return text
        if os.path.isdir(text):
            raise UsageProblem(
                f"{text!r} is a folder, and a table is one file", line="",
                fix=f"chainrule train {os.path.join(text, 'data.csv')} --target COLUMN",
            )  # fmt: skip
        near = did_you_mean(text.lower(), (*DATA, *EMBEDDED))
        raise UsageProblem(
            f"there is no data set {shown(text)}, and no such file", fix=near, line="",
            expected=f"{', '.join((*DATA, *EMBEDDED))}, or a table such as data.csv",
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


class Metric(Name):
    """A metric of a task."""

    def __init__(self) -> None:
        super().__init__(tuple(dict.fromkeys(itertools.chain(*METRICS_OF.values()))))

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        try:
            return super().convert(value, param, ctx)
        except UsageProblem as problem:
            amounts, classes = (", ".join(METRICS_OF[t]) for t in ("regression", "multiclass"))
            problem.expected = f"of amounts {amounts}; of classes {classes}"
            raise


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
SKIP_MISSING = click.option("--skip-missing", is_flag=True, default=None,
                            help="Leave rows without a target out.")  # fmt: skip
DELIMITER = click.option("--delimiter", type=Sign(), help="Between a table's cells [found out].")
DECIMAL = click.option("--decimal", type=Sign(), help="Before the decimals [found out].")
ENCODING = click.option("--encoding", metavar="NAME", help="Of a table's text [UTF-8].")


FORM = click.option(
    "--form", multiple=True, metavar="COLUMN=FORM",
    help="Of a column's dates, where not as they were learned: %d.%m.%Y, %m/%d/%y, ISO.",
)  # fmt: skip
HEADER = click.option(
    "--header/--no-header", default=None, help="Whether the first line holds names [found out]."
)


def reading_options(function: Any) -> Any:
    """How a table is written to which a run's model is applied."""
    for option in (HEADER, ENCODING, DECIMAL, DELIMITER, FORM, MISSING):
        function = option(function)
    return function


def only_of_tables(reading: dict[str, Any]) -> None:
    """Raises for an option of `reading_options` where the run is not of a table."""
    odd = [
        f"--{name.replace('_', '-')}" for name, value in reading.items() if value not in (None, ())
    ]
    if odd:
        raise UsageProblem(f"{odd[0]} goes with a table", got=f"{odd[0]} with a data set",
                           fix=f"without {odd[0]}", line="")  # fmt: skip


def table_options(function: Any) -> Any:
    """What a table needs said, or may have said."""
    told = f"[{FOLDS} up to {FEW_ROWS} rows, else 1; 1 with a share to validate on]"
    return table_options_with(folds=told)(function)


def table_options_with(*, folds: str, judged: bool = True) -> Callable[[Any], Any]:
    """`table_options` of a command.

    folds: how many it takes unless it is said, in brackets.  judged: whether it offers --metric.
    """
    return partial(_table_options, folds, judged)


def _table_options(told: str, judged: bool, function: Any) -> Any:
    for option in reversed((
        click.option("--target", multiple=True, metavar="COLUMN",
                     help="What is to be learned; more than once for several."),
        click.option("--drop", multiple=True, metavar="COLUMN", help="Leave it out."),
        click.option("--kind", multiple=True, metavar="COLUMN=KIND",
                     help="What a column is: numeric, categorical, boolean, date or drop."),
        click.option("--form", multiple=True, metavar="COLUMN=FORM",
                     help="Of its dates: %d.%m.%y; %Y year, %m month, %d day, %b Jan, %B January, "
                          "%H:%M:%S time [found out]."),
        MISSING,
        SKIP_MISSING,
        click.option("--task", type=Name(TASKS), help="What the target is [found out]."),
        click.option("--metric", type=Metric(), metavar="NAME", hidden=not judged,
                     help="What chooses the best epoch (and by tune the best settings) and says "
                          "the result: accuracy, roc_auc, rmse, .. [fewest errors]."),
        click.option("--folds", type=Number(1, 100, whole=True),
                     help=f"Networks, each held out from other rows {told}."),
        click.option("--test-fraction", type=Number(0, 0.9),
                     help="Share of rows held out to the end [0.2]."),
        click.option("--separator", type=Between(),
                     help="Between the labels in a cell of the target [found out]."),
        DELIMITER, DECIMAL, ENCODING, HEADER,
    )):  # fmt: skip
        function = option(function)
    return function


def asked_for(
    what: str, folder: str, given: dict[str, Any]
) -> tuple[TableChoices | None, Run | None]:
    """The choices of a table with what was typed, or of a run of one, with the run.

    None where it is something else: a data set, a run of one, or not there at all.
    """
    if is_table(what) and (given or what not in EMBEDDED):  # without choices it is a run's name
        return choose(what, given), None
    if given or what.lower() in DATA:
        return None, None
    run = find_run(what, folder)
    return (of_run(run, "begin a new run") if is_table_run(run.config) else None), run
