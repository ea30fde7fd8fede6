"""The target of a table: its task, its labels, and both ways between labels and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ...errors import ArgumentError
from ...functional.arguments import choice
from ...markup import counted
from .cells import Cells
from .faults import need_numbers, need_truth
from .infer import is_texts
from .table import Table, closest, shorten, some_of
from .units import are_amounts, are_slips

TASKS = ("regression", "binary", "multiclass", "multilabel")
OF_CLASSES = ("accuracy", "log_loss", "roc_auc", "f1", "precision", "recall", "calibration_error")
METRICS_OF = {
    "regression": ("rmse", "mae", "mse", "r2"),
    "binary": OF_CLASSES,
    "multiclass": (*OF_CLASSES, "top_k"),
    "multilabel": ("f1", "accuracy", "precision", "recall", "roc_auc"),
}
"""The metrics of a task, the default first; those of multilabel are means over labels."""
MOST_CLASSES = 20
"""Whole numbers with more different values than this are amounts, not classes."""
MOST_TENTHS = 10
"""Of numbers with a point, as the source itself has them, more than this are amounts."""
ROWS_A_CLASS = 5
CLASSES = "task='multiclass' takes the texts as classes"
SEPARATORS = ("|", ";", ",")


@dataclass(frozen=True)
class Target:
    """What is to be predicted.

    names: the target columns. task: one of TASKS. metric: how good it is by default.
    labels: the classes in order, or the labels of a multilabel task. dtype: of the labels, as NumPy
    calls it, or "str". separator: between the labels of one cell.
    """

    names: tuple[str, ...]
    task: str
    metric: str
    labels: tuple[Any, ...] = ()
    dtype: str = "str"
    separator: str | None = None
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the model's file."""
        return {**asdict(self), "names": list(self.names), "labels": list(self.labels)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Target:
        """What `to_json` gave; KeyError, TypeError or ValueError for anything else."""
        t = cls(**{**data, "names": tuple(data["names"]), "labels": tuple(data["labels"])})
        texts = is_texts(
            [*t.names, t.metric, t.dtype, "x" if t.separator is None else t.separator, t.why]
        )
        if (
            not texts
            or not t.names
            or t.task not in TASKS
            or (t.task == "regression") == bool(t.labels)
        ):
            raise ValueError("a target that is none")
        if t.separator == "" or (t.separator is not None and t.task != "multilabel"):
            raise ValueError("a separator that is none")
        labelled = t.task != "multilabel" or t.separator is not None
        if labelled and t.labels and as_labels(t.labels, t.dtype).tolist() != list(t.labels):
            raise ValueError(f"labels that are no {t.dtype}")
        if not labelled and t.labels != t.names:
            raise ValueError("labels that are not the columns")
        return t

    @property
    def outputs(self) -> int:
        """How many numbers a model gives for a row: logits, or the values of a regression."""
        return len(self.names) if self.task == "regression" else len(self.labels)


def infer_target(
    table: Table,
    names: tuple[str, ...],
    missing: tuple[str, ...],
    task: str | None,
    metric: str | None,
    separator: str | None,
) -> Target:
    """The target as its cells have it, unless it is said; see `Schema.infer`."""
    if task is not None:
        choice("Schema.infer", "task", task, TASKS)
    if separator is not None and not (isinstance(separator, str) and separator):
        raise ArgumentError("Schema.infer: separator must be a text", got=repr(separator)[:40])
    cells = [Cells(table[name], missing, table.decimal) for name in names]
    if separator is not None and len(names) > 1:
        raise ArgumentError(
            "Schema.infer: a separator is of one target column", got=str(len(names))
        )
    if len(names) > 1:
        found = _of_several(table, names, cells, task)
    else:
        found = _of_one(table, names[0], cells[0], task, separator)
    able = METRICS_OF[found.task]
    if metric is not None:
        choice(f"Schema.infer, {found.task}", "metric", metric, able)
    return replace(found, metric=metric or able[0])


def _of_several(
    table: Table, names: tuple[str, ...], cells: list[Cells], task: str | None
) -> Target:
    for name, c in zip(names, cells, strict=True):
        refuse_missing(table, name, c.missing)
    if task in (None, "multilabel") and not any(len(c.truth[1]) for c in cells):
        for name, c in zip(names, cells, strict=True):
            _refuse_same(name, np.where(c.truth[0], "true", "false"))
        why = f"{len(names)} columns of true and false"
        return Target(names, "multilabel", "", names, "bool", None, why)
    if task == "multilabel":
        for name, c in zip(names, cells, strict=True):
            need_truth(table, name, c)
    if task not in (None, "regression"):
        raise ArgumentError(
            f"a {task} target is one column", expected="task='multilabel' or 'regression'",
            got=f"{len(names)} columns",
        )  # fmt: skip
    for name, c in zip(names, cells, strict=True):
        _refuse_same(name, need_numbers(table, name, c))
    return Target(names, "regression", "", why=f"{len(names)} columns of numbers")


def _of_one(
    table: Table, name: str, cells: Cells, task: str | None, separator: str | None
) -> Target:
    if separator is not None and not cells.column.is_text:
        raise ArgumentError(
            f"the target {shorten(name)!r} holds no texts to be cut by {separator!r}"[:100],
            got=str(cells.column.values.dtype),
        )
    between = separator or (_separator_of(cells) if task in (None, "multilabel") else None)
    if between is not None and task in (None, "multilabel"):
        labels = tuple(sorted({p for level in cells.levels[0] for p in pieces(level, between)}))
        _refuse_labels(name, cells, between, labels)
        why = f"texts such as {shorten(cells.levels[0][0])!r}, cut by {between!r}"
        return Target((name,), "multilabel", "", labels, "str", between, why)
    if task == "multilabel":
        raise ArgumentError(
            f"the target {shorten(name)!r} holds one label a row",
            expected="several columns of true and false, or labels with a sign between them",
            fix="task='multiclass', or separator=' ' with the sign between the labels",
        )
    if separator is not None:
        raise ArgumentError(f"a {task} target has no separator", got=repr(separator)[:40])
    refuse_missing(table, name, cells.missing)
    meant = _are_amounts(cells) or are_amounts(cells) or are_slips(cells)
    amounts = task is None and meant
    if task == "regression" or amounts:
        return _amounts(table, name, cells, None if task else CLASSES)
    return _classes(table, name, cells, task)


def _amounts(table: Table, name: str, cells: Cells, other: str | None) -> Target:
    values = need_numbers(table, name, cells, other)
    _refuse_same(name, values)
    values = np.unique(values)
    return Target((name,), "regression", "", why=f"{len(values)} different numbers")


def _classes(table: Table, name: str, cells: Cells, task: str | None) -> Target:
    labels, dtype = labels_of(cells)
    _refuse_one(name, labels, len(cells))
    counts = np.bincount(cells.levels[1], minlength=len(labels))
    if len(labels) > max(MOST_CLASSES, len(cells) / 2):
        raise ArgumentError(
            f"the target {shorten(name)!r} has almost another class in every row",
            expected="a number, or classes that come again",
            got=f"{len(labels)} classes in {len(cells)} rows",
            fix="another target, or task='regression' for numbers",
        )
    alone = np.flatnonzero(counts == 1)
    if 2 * len(alone) > len(labels) and _not_whole(cells):
        raise ArgumentError(
            f"the target {shorten(name)!r} holds numbers that are no classes",
            expected="classes, each in several rows",
            got=f"{len(labels)} different numbers in {counted(len(cells), 'row')}",
            fix="task='regression'",
        )
    if len(alone):
        row = int(np.flatnonzero(cells.levels[1] == alone[0])[0])
        raise ArgumentError(
            f"the target {shorten(name)!r} has a class with one row",
            expected="at least two rows of each: one to learn from, one to test on",
            got=f"{shorten(str(cells.levels[0][alone[0]]))!r} in {table.place(row)}"
            + (f", and {len(alone) - 1} more such classes" if len(alone) > 1 else ""),
            fix="leave those rows out, or give them another class",
        )
    found = "binary" if len(labels) == 2 else "multiclass"
    if task == "binary" and found != "binary":
        raise ArgumentError(
            f"the target {shorten(name)!r} has {len(labels)} classes", expected="two, for binary",
            fix="task='multiclass'",
        )  # fmt: skip
    order = np.argsort(-counts, kind="stable")[:4]
    most = ", ".join(f"{shorten(str(cells.levels[0][i]))} {counts[i]}" for i in order)
    why = f"{len(labels)} classes ({most}{', ..' if len(labels) > 4 else ''})"
    return Target((name,), task or found, "", labels, dtype, None, why)


def _not_whole(cells: Cells) -> bool:
    """Whether a column holds numbers alone, and not only whole ones."""
    if cells.column.values.dtype.kind in "bM":
        return False
    values, bad = cells.numbers
    return not len(bad) and bool((values != np.round(values)).any())


def _are_amounts(cells: Cells) -> bool:
    """Whether numbers are amounts: not whole, or of too many different values for classes."""
    kind = cells.column.values.dtype.kind
    if kind == "b":
        return False
    numbers, bad = cells.numbers
    values = np.unique(numbers[np.isfinite(numbers)])
    whole = bool((values == np.round(values)).all())
    if len(bad):
        return kind == "f"  # an infinity: to be refused with its row
    if len(values) <= 2:
        return len(values) == 1
    if kind == "f" and len(values) > MOST_TENTHS:
        return True
    return not whole or len(values) > min(MOST_CLASSES, len(cells) / ROWS_A_CLASS)


def labels_of(cells: Cells) -> tuple[tuple[Any, ...], str]:
    """The classes in the order of the levels' codes, and their type."""
    levels = cells.levels[0]
    if not cells.column.is_text:
        kind = cells.column.values.dtype.kind
        if kind == "M":
            raise ArgumentError(
                f"the target {shorten(cells.column.name)!r} is a date",
                expected="a number, or classes",
            )
        return tuple(levels), cells.column.values.dtype.name
    if all(t.lstrip("-").isdecimal() and len(t) < 19 and str(int(t)) == t for t in levels):
        return tuple(int(t) for t in levels), "int64"
    return tuple(levels), "str"


def _separator_of(cells: Cells) -> str | None:
    """A sign that cuts the texts into fewer, shorter ones; None where none does.

    Each of them comes again in another text, or stands alone in one, as 'none' does.
    """
    if not cells.column.is_text or not len(cells.numbers[1]):
        return None
    levels = cells.levels[0]
    alone = set(levels)
    for sign in SEPARATORS:
        parts = Counter(p for level in levels for p in pieces(level, sign))
        cut = sum(sign in level for level in levels)
        again = all(count > 1 or part in alone for part, count in parts.items())
        if cut and again and 1 < len(parts) < len(levels):
            return sign
    return None


def pieces(text: str, separator: str) -> list[str]:
    """The labels in a text."""
    return [p.strip() for p in text.split(separator) if p.strip()]


def refuse_missing(table: Table, name: str, missing: Any) -> None:
    """Raises where the target has no value, with the rows."""
    rows = np.flatnonzero(missing)
    if len(rows):
        raise ArgumentError(
            f"the target {shorten(name)!r} has no value in {counted(len(rows), 'row')}",
            expected="a value in each row",
            got=f"{table.source}, {table.places(rows)}",
            fix=f"with_values(table, {shorten(name)!r}) leaves those rows out",
        )


def _refuse_same(name: str, values: Any) -> None:
    """Raises where a target is the same number or truth value in every row."""
    if len(np.unique(values)) > 1:
        return
    texts = values.dtype.kind == "U"
    same = values[0] if texts else f"{values[0]:g}"
    where = "the only row" if len(values) == 1 else "every row"
    raise ArgumentError(
        f"the target {shorten(name)!r} is {same} in {where}: there is nothing to learn",
        expected="true in some rows, false in others"
        if texts
        else "at least two different numbers",
        got=f"{same} in {counted(len(values), 'row')}",
        fix="another target, or a file with other rows",
    )


def _refuse_labels(name: str, cells: Cells, separator: str, labels: tuple[str, ...]) -> None:
    """Raises where a separator makes no labels of the texts that could be learned."""
    levels, codes = cells.levels
    if not any(separator in level for level in levels):
        raise ArgumentError(
            f"no cell of the target {shorten(name)!r} holds the separator {separator!r}"[:100],
            expected="the sign between the labels of a row",
            got=f"texts such as {shorten(levels[0])!r}" if levels else "no text in any row",
            fix="task='multiclass', if each row has one label",
        )
    if len(labels) > max(MOST_CLASSES, len(codes) / 2):
        raise ArgumentError(
            f"the target {shorten(name)!r} has almost another label in every row",
            expected="labels that come again",
            got=f"{len(labels)} labels in {counted(len(codes), 'row')}, cut by {separator!r}",
            fix="another target, or the sign that stands between the labels",
        )
    held = [{*pieces(level, separator)} for level in levels]
    everywhere = set.intersection(*held) if not (codes < 0).any() else set()
    if everywhere >= set(labels):
        raise ArgumentError(
            f"the target {shorten(name)!r} has the same labels in every row: there is nothing to "
            "learn",
            expected="labels that some rows have and some have not",
            got=f"{some_of(labels, 40)} in {counted(len(codes), 'row')}",
            fix="another target, or a file with other rows",
        )


def _refuse_one(name: str, labels: Sequence[Any], rows: int) -> None:
    if len(labels) < 2:
        where = "the only row" if rows == 1 else "every row"
        raise ArgumentError(
            f"the target {shorten(name)!r} has one class, {shorten(str(labels[0]))!r}, in {where}: "
            "there is nothing to learn",
            expected="at least two different classes",
            got=f"one in {counted(rows, 'row')}",
            fix="another target, or a file with other rows",
        )


def encode_target(target: Target, table: Table, missing: tuple[str, ...]) -> Any:
    """The target of a table as numbers.

    Regression: (B, T) float64 as they are; classes: (B,) int64; multilabel: (B, L) float32.
    Raises where a value is missing, no number, or no label that was learned, with the line.
    """
    cells = [Cells(table[name], missing, table.decimal) for name in target.names]
    for name, c in zip(target.names, cells, strict=True):
        if target.separator is None:
            refuse_missing(table, name, c.missing)
    if target.task == "regression":
        columns = [need_numbers(table, n, c) for n, c in zip(target.names, cells, strict=True)]
        return np.stack(columns, 1)
    if target.task == "multilabel" and target.separator is None:
        columns = [need_truth(table, n, c) for n, c in zip(target.names, cells, strict=True)]
        return np.stack(columns, 1).astype(np.float32)
    levels, codes = cells[0].levels
    if target.separator is not None:
        rows = np.zeros((len(levels) + 1, len(target.labels)), np.float32)
        for i, level in enumerate(levels):
            for piece in pieces(level, target.separator):
                rows[i, _label(target, piece, table, codes, i)] = 1
        return rows[codes]
    known = np.array([_label(target, lv, table, codes, i) for i, lv in enumerate(levels)], np.int64)
    return known[codes]


def _label(target: Target, level: Any, table: Table, codes: Any, code: int) -> int:
    texts = [str(label) for label in target.labels]
    text = level_text(level)
    known = {level_text(label): i for i, label in enumerate(target.labels)}
    if text in known:
        return known[text]
    near = closest(text, texts)
    raise ArgumentError(
        f"the target {shorten(target.names[0])!r} has a class that was not learned",
        expected=some_of(texts),
        got=f"{shorten(text)!r} in {table.place(int(np.flatnonzero(codes == code)[0]))}",
        fix=f"did you mean {shorten(near)!r}?" if near else None,
    )


def level_text(level: Any) -> str:
    """A value as its text: 3 and 3.0 and '3' are one level, wherever they come from."""
    if isinstance(level, float) and level.is_integer():
        return str(int(level))
    return str(level)


def decode_target(target: Target, codes: Any) -> Any:
    """Labels in their own type from class indices (B,), or from 0 and 1 (B, L) by multilabel.

    A multilabel target of one column gives texts with the separator between the labels.
    """
    a = np.asarray(codes)
    if target.task != "multilabel":
        if len(a) and not (a.min() >= 0 and a.max() < len(target.labels)):
            raise ArgumentError(
                "a class index that is none", expected=f"0 to {len(target.labels) - 1}",
                got=f"{a.min()} to {a.max()}",
            )  # fmt: skip
        return as_labels(target.labels, target.dtype)[a.astype(np.int64)]
    if a.ndim != 2 or a.shape[1] != len(target.labels):
        raise ArgumentError(
            "the labels' columns do not fit the target", expected=f"(B, {len(target.labels)})",
            got=str(a.shape),
        )  # fmt: skip
    chosen = a > 0.5
    if target.separator is None:
        return chosen
    joined = [_joined(target.labels, row, target.separator) for row in chosen]
    return np.array(joined, object)


def _joined(labels: Sequence[str], row: Any, separator: str) -> str:
    return separator.join(label for label, said in zip(labels, row, strict=True) if said)


def as_labels(labels: Sequence[Any], dtype: str) -> Any:
    """Labels as an array of their type."""
    return np.array(labels, object if dtype == "str" else dtype)
