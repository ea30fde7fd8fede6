"""From a file to rows that networks can learn, with all that is said on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...data.tables import Schema, Table
from ...data.tables.target import encode_target
from ...train import Run
from ...train.files import MissingFileError
from ...train.tabular import TableFit
from ..app import UsageProblem
from ..terminal import Line, Terminal
from ..waiting import waiting
from .applied import split
from .choices import TableChoices, sha256_of
from .said import inferred, plan
from .wording import as_typed_badly


class Prepared(NamedTuple):
    """A fit of the rows to learn from, and the rows held out to the end: tested, None without.

    learned, true: the targets of both, as `encode_target` gives them.
    """

    schema: Schema
    fit: TableFit
    learned: Any
    tested: Table | None
    true: Any


def prepare(
    c: TableChoices, run: Run | None, say: Callable[[list[Line]], None], t: Terminal
) -> Prepared:
    """Reads the file of some choices, infers its columns, splits its rows.

    run: one that goes on, whose file must still be the same.  say: gets what was found.
    """
    if run is not None and sha256_of(c.data) != run.config.get("sha256"):
        raise UsageProblem(
            f"{c.data} is not the file any more that {run.name} was begun with",
            fix="the file as it was, or a new run", line="",
        )  # fmt: skip
    with as_typed_badly():
        table = _read(c)
        table, left_out = c.with_target(table)
        schema = c.schema(table)
        say(inferred(table, schema, left_out, t))
        mine, rest = split(table, schema, c)
        fit = TableFit(
            table.take(mine), schema=schema, recipe=c.recipe(), folds=c.folds_for(len(mine)),
            val_share=c.val_fraction, seed=c.seed,
        )  # fmt: skip
    say(plan(fit, len(rest), t))
    target = schema.target
    assert target is not None
    learned = encode_target(target, fit.table, schema.missing)
    if not len(rest):
        return Prepared(schema, fit, learned, None, None)
    tested = table.take(rest)
    return Prepared(schema, fit, learned, tested, encode_target(target, tested, schema.missing))


def _read(c: TableChoices) -> Table:
    with waiting("reading", "bytes") as progress:
        try:
            return c.table(progress)
        except MissingFileError:
            raise UsageProblem(f"no file {c.data!r}", fix="the path of a table", line="") from None
