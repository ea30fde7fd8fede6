"""A run's model of a table on rows: the held-out ones, or those of another file."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...data.tables import Table, read_table
from ...data.tables.cells import with_values
from ...data.tables.reading import usual_encoding
from ...data.tables.target import encode_target
from ...errors import ChainruleError
from ...markup import counted
from ...report.amounts import Amounts
from ...report.labels import Labels
from ...report.results import Held
from ...report.subject import Subject
from ...train import Run
from ...train.files import MissingFileError, load_metadata, open_file
from ...train.tabular import TableModel, hold_out
from ..app import UsageProblem
from ..evaluate import Evaluation, of_classes, of_labels, of_numbers
from ..waiting import waiting
from ..written import Answers, label, rounded
from .choices import TableChoices, from_config, of_pairs, of_run, sha256_of
from .wording import as_typed_badly

STDIN, HELD_OUT = "-", "held-out rows"
MOST_CELLS = 12
"""Of the cells of a row that are shown."""


class Judged(NamedTuple):
    """Rows of a table with what the model says of them; true: the target, where it was read."""

    table: Table
    scores: Any
    true: Any
    said: tuple[str, ...]
    on: str


def model_of(run: Run) -> TableModel:
    """The model in a run's folder."""
    weights = run.load_model()
    return TableModel.restored(weights, load_metadata(run.path / "model.safetensors"), run.name)


def split(table: Table, schema: Any, choices: TableChoices) -> tuple[Any, Any]:
    """(rows to learn from, rows held out to the end), the same for every seed."""
    rows = len(table)
    if not choices.test_fraction:
        return np.arange(rows), np.arange(0)
    labels = None
    if schema.target.task in ("binary", "multiclass"):
        labels = encode_target(schema.target, table, schema.missing)
    return hold_out(labels, rows, choices.test_fraction)


def own_rows(run: Run, model: TableModel, command: str) -> Table:
    """The rows of the run's own file that were held out; raises where it isn't the same file.

    command: the one that takes a file in its place.
    """
    choices = of_run(run, f"name a file with rows: chainrule {command} {run.name} FILE")
    table, _ = choices.with_target(choices.table())
    _, rows = split(table, model.preprocessing.schema, choices)
    if not len(rows):
        raise UsageProblem(f"{run.name} held no rows out (--test-fraction 0)",
                           fix="name a file with rows", line="")  # fmt: skip
    return table.take(rows)


def judge(
    run: Run, file: str | None, *, with_target: bool, reading: Mapping[str, Any] | None = None
) -> tuple[TableModel, Judged]:
    """The rows of a file, or the held-out ones, with what the run's model says.

    reading: what was typed of how the file is written: delimiter, decimal, encoding, header,
    missing, form; and skip_missing, whether rows without a target are left out.
    """
    given = {k: v for k, v in (reading or {}).items() if v not in (None, ())}
    if given and file is None:
        flag = f"--{next(iter(given)).replace('_', '-')}"
        raise UsageProblem(f"{flag} goes with a file of rows", got=f"{flag} without one",
                           fix=f"without {flag}", line="")  # fmt: skip
    known = given.pop("skip_missing", False)
    model = spelled(model_of(run), given.pop("missing", ()))
    model = with_forms(model, given.pop("form", ()))
    if file is None:
        own = own_rows(run, model, "evaluate" if with_target else "predict")
        return _judged(run, model, own, None, HELD_OUT, with_target)
    choices = from_config(run.config, str(run.path))
    with as_typed_badly():
        table = _read(file, choices, given)
        on = f"rows of {'stdin' if file == STDIN else Path(file).name}"
        if file != STDIN and sha256_of(file) == run.config.get("sha256"):
            on += ", from most of which it has learned"
        if known:
            rows = len(table)
            table = with_values(table, model.target.names, model.preprocessing.schema.missing)
            on += f" that have a target ({rows - len(table)} have none)"
        return _judged(run, model, table, file, on, with_target)


def spelled(model: TableModel, missing: tuple[str, ...]) -> TableModel:
    """A model that takes these texts too for missing values."""
    prep = model.preprocessing
    if not missing:
        return model
    schema = replace(prep.schema, missing=(*prep.schema.missing, *missing))
    return TableModel(replace(prep, schema=schema), model.networks)


def with_forms(model: TableModel, typed: tuple[str, ...]) -> TableModel:
    """A model that reads the dates of some columns in other forms; typed: COLUMN=FORM."""
    if not typed:
        return model
    with as_typed_badly():
        prep = model.preprocessing.with_forms(of_pairs("form", typed))
    return TableModel(prep, model.networks)


def _judged(
    run: Run, model: TableModel, table: Table, file: str | None, on: str, with_target: bool
) -> tuple[TableModel, Judged]:
    if not len(table):
        raise UsageProblem(f"{file}: no rows", line="")
    target = model.target
    there = all(name in table for name in target.names)
    if with_target and not there:
        gone = next(name for name in target.names if name not in table)
        raise UsageProblem(
            f"{file}: no column {gone!r} to compare with", expected=f"the target {gone!r}",
            fix=f"chainrule predict {run.name} {file}", line="",
        )  # fmt: skip
    true = None
    if with_target or (there and file is None):
        true = encode_target(target, table, model.preprocessing.schema.missing)
    with waiting("preparing", "columns") as progress:
        arrays = model.preprocessing.transform(table, target=False, progress=progress)
    with waiting("predicting", "rows") as progress:
        scores = model.of_arrays(arrays.numeric, arrays.categorical, progress=progress)
    return model, Judged(table, scores, true, (*table.said, *arrays.said), on)


def _read(file: str, choices: TableChoices, given: dict[str, Any]) -> Table:
    """A file in the encoding of the one that was learned from, unless it says another itself."""
    usual = None if "encoding" in given else choices.encoding
    if file == STDIN:
        held = io.BytesIO(sys.stdin.buffer.read())
        more = usual_encoding(held, "stdin", usual) if usual else {}
        return read_table(held, name="stdin", **more, **given)
    with waiting("reading", "bytes") as progress:
        try:
            with open_file(file) as opened:
                seen = usual if opened.seekable() else None
                more = usual_encoding(opened, file, seen) if seen else {}
            return read_table(file, progress=progress, **more, **given)
        except MissingFileError:
            raise UsageProblem(f"no file {file!r}", fix="the path of a table", line="") from None


def evaluation(run: str, model: TableModel, judged: Judged) -> Evaluation:
    """Scores of what the model says against what is true."""
    target = model.target
    if target.task == "regression":
        return of_numbers(run, judged.on, amounts_of(model, judged), target.metric)
    names = tuple(str(label) for label in target.labels)
    if target.task == "multilabel":
        return of_labels(run, judged.on, labels_of(model, judged), target.metric)
    return of_classes(run, judged.on, judged.scores, judged.true, names, target.metric)


def answers(model: TableModel, judged: Judged) -> Answers:
    """For every row its number, what is predicted, what is true, how sure it is.

    Of held-out rows also their line in the run's own file; the row, from 0, where it has no lines.
    """
    found = _answers(model, judged)
    if judged.on != HELD_OUT:
        return found
    table = judged.table
    name, places = ("file_row", table.numbers) if table.lines is None else ("line", table.lines)
    rows = [
        [row[0], place, *row[1:]] for row, place in zip(found.rows, places.tolist(), strict=True)
    ]
    return Answers([found.names[0], name, *found.names[1:]], rows)


def _answers(model: TableModel, judged: Judged) -> Answers:
    target, scores = model.target, judged.scores
    known = judged.true is not None
    if target.task == "regression":
        ends = [f"_{n}" for n in target.names] if len(target.names) > 1 else [""]
        heads = [f"{what}{end}" for what in ("predicted", "true")[: 1 + known] for end in ends]
        both = np.concatenate([scores, judged.true], 1) if known else scores
        return Answers(["row", *heads], [[i, *rounded(r, 9)] for i, r in enumerate(both.tolist())])
    names = [str(name) for name in target.labels]
    shares = [rounded(row, 6) for row in scores.tolist()]
    chances = [f"p_{n}" for n in names]
    if target.task == "multilabel":
        true = judged.true.astype(int).tolist() if known else [[]] * len(scores)
        rows = [[i, *(int(v > 0.5) for v in row), *true[i], *shares[i]]
                for i, row in enumerate(scores)]  # fmt: skip
        heads = [f"{what}_{n}" for what in ("predicted", "true")[: 1 + known] for n in names]
        return Answers(["row", *heads, *chances], rows)
    decided = model.decided(scores)
    rows = []
    for i, given in enumerate(shares):
        mine = [label(target.labels[judged.true[i]])] if known else []
        rows.append([i, label(decided[i]), *mine, *given])
    return Answers(["row", "predicted", *(["true"] if known else []), *chances], rows)


def reported(run: Run, s: Subject) -> Subject:
    """A run's subject with its columns, and what its model says of held-out rows.

    Without these rows, where the file is another or there are none.
    """
    schema = run.config.get("schema") or {}
    s.columns = list(schema.get("features") or [])
    s.of_table = True
    try:
        model, judged = judge(run, None, with_target=True)
    except ChainruleError:
        return s
    target = model.target
    if target.task == "regression":
        s.amounts = amounts_of(model, judged)
    elif target.task == "multilabel":
        s.labels = labels_of(model, judged)
    else:
        names = tuple(str(label) for label in target.labels)
        told = [cells_of(model, judged.table, i) for i in range(len(judged.table))]
        empty = np.zeros((len(told), 0))
        s.held = Held(empty, judged.true, judged.scores, names, told)
    return s


def amounts_of(model: TableModel, judged: Judged) -> list[Amounts]:
    """What is said of each amount of rows."""
    places = [judged.table.place(i) for i in range(len(judged.table))]
    return [
        Amounts(name, judged.true[:, k], judged.scores[:, k], places, model.preprocessing.mean[k])
        for k, name in enumerate(model.target.names)
    ]


def labels_of(model: TableModel, judged: Judged) -> Labels:
    """What is said of the labels of rows."""
    names = tuple(str(label) for label in model.target.labels)
    return Labels(judged.true, judged.scores, names, lambda i: cells_of(model, judged.table, i))


def cells_of(model: TableModel, table: Table, row: int) -> str:
    """A row in words: `penguins.csv, line 19: island Torgersen, bill_length_mm 42.5, ..`."""
    used = [f.name for f in model.preprocessing.schema.used]
    cells = ", ".join(f"{n} {table[n].values[row]}" for n in used[:MOST_CELLS])
    rest = len(used) - MOST_CELLS
    more = f" and {counted(rest, 'more column')}" if rest > 0 else ""
    return f"{table.place(row)}: {cells}{more}"
