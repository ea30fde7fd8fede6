"""From a file to rows that networks can learn, with all that is said on the way."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from ...data.tables import Schema, Table
from ...data.tables.target import encode_target
from ...markup import counted
from ...train.files import MissingFileError
from ...train.tabular import TableFit
from ...train.tabular.folds import held_out_of
from ..app import UsageProblem
from ..settings import DATA
from ..terminal import Line, Terminal
from ..waiting import waiting
from .applied import split
from .choices import TableChoices
from .said import inferred, plan
from .wording import as_typed_badly


class Prepared(NamedTuple):
    """A fit of the rows to learn from, and the rows held out to the end: tested, None without.

    make: gives the fit anew.  learned, true: the targets of both, as `encode_target` gives them.
    """

    schema: Schema
    fit: TableFit
    make: Callable[[], TableFit]
    learned: Any
    tested: Table | None
    true: Any


def prepare(
    c: TableChoices, say: Callable[[list[Line]], None], t: Terminal, whole: str = ""
) -> Prepared:
    """Reads the file of some choices, infers its columns, splits its rows.

    say: gets what was found.  whole: where all columns are told, if that are many.
    """
    with as_typed_badly():
        table = _read(c)
        table, left_out = c.with_target(table)
        _check_rows(c, len(table))
        schema = c.schema(table)
        _check_used(c, schema)
        say(inferred(table, schema, left_out, t, whole))
        mine, rest = split(table, schema, c)
        folds = c.folds_for(len(mine))
        make = partial(
            TableFit, table.take(mine), schema=schema, recipe=c.recipe(), folds=folds,
            val_share=c.val_share if folds == 1 else None, seed=c.seed,
        )  # fmt: skip
        fit = make()
    say(plan(fit, len(rest), t))
    target = schema.target
    assert target is not None
    learned = encode_target(target, fit.table, schema.missing)
    if not len(rest):
        return Prepared(schema, fit, make, learned, None, None)
    tested = table.take(rest)
    return Prepared(
        schema, fit, make, learned, tested, encode_target(target, tested, schema.missing)
    )


def _read(c: TableChoices) -> Table:
    with waiting("reading", "bytes") as progress:
        try:
            return c.table(progress)
        except MissingFileError:
            raise _missing(c.data) from None


def _missing(data: str) -> UsageProblem:
    """Names the path that was looked for, and how another one is said."""
    asking = click.get_current_context(silent=True)
    held = asking is not None and asking.get_parameter_source(DATA) is ParameterSource.DEFAULT_MAP
    fix = "the path of a table, as seen from here"
    if asking is not None and held:
        fix = (f"chainrule {asking.info_name} TABLE --config FILE: a table that is named goes "
               "before the file's")  # fmt: skip
    return UsageProblem(
        f"no file {data!r}" + (", which the file of --config names" if held else ""), fix=fix,
        expected=f"a table at {os.path.abspath(data)}", line="",
    )  # fmt: skip


def _check_used(c: TableChoices, schema: Schema) -> None:
    """Raises for a choice that would do nothing with what is learned."""
    if c.label_smoothing and schema.target is not None and schema.target.task == "regression":
        raise UsageProblem(
            "--label-smoothing takes certainty from classes, and a regression has none",
            got=f"--label-smoothing {c.label_smoothing:g} for the target {c.target[0]!r}",
            fix="without --label-smoothing", line="",
        )  # fmt: skip


def _check_rows(c: TableChoices, rows: int) -> None:
    """Raises where they are too few for all that they are needed for."""
    if _enough(c, rows):
        return
    needed = next(n for n in itertools.count(rows + 1) if _enough(c, n))
    folds = c.folds_for(rows)
    how = f"{folds} networks each held out from others" if folds > 1 else "one network"
    raise UsageProblem(
        f"{c.data}: too few rows to learn from, to choose the best epoch by, and to be held out",
        expected=f"at least {needed} rows for {how}", got=counted(rows, "row"),
        fix="more rows" + (", or fewer --folds" if folds > 2 else ""), line="",
    )  # fmt: skip


def _enough(c: TableChoices, rows: int) -> bool:
    tested = held_out_of(rows, c.test_fraction)
    left = rows - tested
    if (c.test_fraction and not tested) or left < 2:
        return False
    folds = c.folds_for(left)
    return left >= folds if folds > 1 else 0 < held_out_of(left, c.val_share) < left
