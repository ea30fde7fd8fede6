"""What is said of a table: what was inferred, how rows were split, how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...data.tables import Schema, Table
from ...data.tables.infer import AS_ASKED
from ...errors import some_names
from ...markup import counted
from ...report.charts import figure, percent
from ...train.tabular import TableFit, TableModel
from ...train.tabular.judging import OWN, SCALED
from ..evaluate import Evaluation
from ..evaluate import lines_of as evaluation_lines
from ..options import in_folder
from ..terminal import Line, Terminal, as_typed, words
from .applied import Judged, cells_of
from .wording import of_columns

MOST_COLUMNS = 24
"""Of more columns than that the first are described, the rest counted."""


def inferred(
    table: Table, schema: Schema, left_out: int, t: Terminal, whole: str = ""
) -> list[Line]:
    """How the file was read, and what each column is taken for; whole: where all of them are."""
    said = [f"{table.size_said}; {'; '.join(table.said)}" if table.said else table.size_said]
    if left_out:
        said.append(f"left out: {counted(left_out, 'row')} without a target")
    told = [of_columns(line) for line in schema.describe()]
    more = len(told) - MOST_COLUMNS
    if more > 1:
        told = [*told[:MOST_COLUMNS], f"and {more} more{_gone(schema)}{whole}"]
    said += told
    return [line for text in said for line in words(text, t.width, indent="  ")]


def _gone(schema: Schema) -> str:
    """Which of the columns that are not described are left out, though nobody asked for it."""
    rest = schema.features[MOST_COLUMNS - 1 :]
    gone = [repr(f.name) for f in rest if f.kind == "drop" and f.why != AS_ASKED]
    return f" ({some_names(gone)} left out)" if gone else ""


def plan(fit: TableFit, tested: int, t: Terminal) -> list[Line]:
    """Rows, networks and the recipe's numbers."""
    count, r = len(fit.members.members), fit.recipe
    parts = f"{len(fit.data)} rows to learn from, {tested} held out to the end"
    own = " by labels right" if fit.task == "multilabel" else ""
    if fit.task == "regression" and fit.data.num_outputs > 1:
        own = f" by {in_words(SCALED)}: over all targets, each in its standard deviations"
    by = own if r.measure in OWN else f" by {in_words(r.measure)}"
    held = fit.members.members[0].held_out
    how = f"one network, {len(held)} of these rows held out from it to choose its best epoch{by}"
    if count > 1:
        how = f"{count} networks trained as one, each with another 1/{count} of the rows held out"
        how += by and f" to choose its best epoch{by}"
    net = f"mlp {'-'.join(map(str, r.hidden))} {r.activation}, {fit.parameters} params"
    rule = f"{net}, adamw lr {r.lr:g}, batch {fit.members.batch}, at most {r.epochs} epochs"
    return [*words(f"{parts}; {how}.", t.width), *words(rule, t.width), []]


def baseline(held: Evaluation, schema: Schema, learned: Any, true: Any) -> float | None:
    """The score of an answer that knows nothing: the most frequent class, or the mean."""
    target = schema.target
    assert target is not None
    if target.task == "regression":
        return held.of_mean
    if target.task == "multilabel":
        return None
    return float((np.asarray(true) == np.bincount(learned).argmax()).mean())


def guessed(schema: Schema, learned: Any, true: Any) -> dict[str, float]:
    """Of amounts, what the result says besides the scores: rows, and the median's mean error.

    The confusion matrix says as much of classes.
    """
    target = schema.target
    if target is None or target.task != "regression":
        return {}
    error = np.abs(np.asarray(true) - np.median(np.asarray(learned), 0)).mean()
    return {"test_rows": len(true), "guess_mae": float(error)}


def headline(held: Evaluation | None, base: float | None, fit: TableFit, t: Terminal) -> list[Line]:
    """The score of held-out rows against knowing nothing, then how it came about."""
    epochs = len(fit.rows)
    best = sorted(fit.members.best_epoch)
    kept = f"epoch {best[0]}" if best[0] == best[-1] else f"epochs {best[0]} to {best[-1]}"
    ended = (
        f"{counted(epochs, 'epoch')} in {fit.seconds:.1f} s, ended by {fit.stopped}; kept: {kept}."
    )
    if held is None:
        judged = {k: v for k, v in fit.rows[-1].items() if k.startswith("val_")}
        name, value = next(iter(judged.items()))
        said = f"{validation(name)} {figure(value)} in the last epoch"
        return [*words(said, t.width, "strong"), *words(ended, t.width)]
    return [*headline_of(held, base, fit.preprocessing.schema, t), *words(ended, t.width)]


def validation(name: str) -> str:
    """What a log calls val_log_loss, in words."""
    return f"validation {in_words(name.removeprefix('val_'))}"


def in_words(metric: str) -> str:
    """A metric's name as it is said."""
    return metric.replace("_", " ")


def headline_of(held: Evaluation, base: float | None, schema: Schema, t: Terminal) -> list[Line]:
    """The score of held-out rows by the target's metric, and what knowing nothing would get."""
    assert schema.target is not None
    metric = schema.target.metric
    if metric in held.scores and metric not in ("rmse", "accuracy"):
        value = held.scores[metric]
        found = "can't be said of these rows" if value is None else figure(value)
        return words(f"held-out {in_words(metric)} {found}", t.width, "strong")
    rmse = held.scores.get("rmse")
    share = held.scores.get("accuracy")
    if rmse is not None:
        said = f"held-out rmse {figure(rmse)}"
        said += "" if base is None else f" (the mean: {figure(base)})"
        if len(held.targets) > 1:
            said += f", both the mean over {len(held.targets)} targets"
    elif share is not None:
        said = f"held-out accuracy {percent(share, 2)}"
        said += "" if base is None else f" (the most frequent class: {percent(base, 2)})"
    else:
        said = f"held-out f1 {figure(held.scores.get('f1') or 0.0)}"
    return words(said, t.width, "strong")


def closely(model: TableModel, judged: Judged, index: int, t: Terminal) -> list[Line]:
    """One row: what it holds, what is predicted, how sure."""
    lines = words(cells_of(model, judged.table, index), t.width)
    scores, target = judged.scores[index], model.target
    decided = model.decided(judged.scores[index : index + 1])
    if target.task == "regression":
        pairs = zip(target.names, scores.tolist(), strict=True)
        return lines + [[(f"predicted {n} {figure(v, 6)}", "strong")] for n, v in pairs]
    if target.task == "multiclass" or target.task == "binary":
        lines.append([(f"predicted {decided[0]}", "strong")])
    for i in np.argsort(-scores, kind="stable")[:5].tolist():
        lines.append([(f"  {target.labels[i]}  {scores[i] * 100:6.2f} %", "")])
    return lines


def ended(
    held: Evaluation | None, base: float | None, fit: TableFit, path: Path | None, t: Terminal
) -> list[Line]:
    """The lines after a training on a table."""
    blank: list[Line] = [] if t.plain else [[]]
    lines = [*blank, *headline(held, base, fit, t), *blank]
    if held is not None:
        lines += [*evaluation_lines(held, t), *blank]
    if path is None:
        return [*lines, [("nothing was written (--no-save)", "")]]
    more = in_folder(str(path.parent))
    lines.append([(f"run   {path}", "strong")])
    for text in (f"chainrule predict {path.name} NEW.csv -o out.csv",
                 f"chainrule evaluate {path.name} OTHER.csv"):  # fmt: skip
        lines.append([("next  " + as_typed(text + more), "")])
    return lines
