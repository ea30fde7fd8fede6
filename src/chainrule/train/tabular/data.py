"""The arrays of a table as a network takes them, checked before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.finite import find_nonfinite
from ...errors import ArgumentError, ArgumentTypeError, IndexRangeError, NonFiniteError, ShapeError
from ...functional.arguments import choice
from ...markup import counted

TASKS = ("classification", "regression", "multilabel")


class TabularData:
    """Rows of a table: numbers (N, n), categories (N, K), and what is to be learned of them.

    numeric: numbers, centred and scaled, or None.  categorical: whole numbers, of column k in
    [0, cardinalities[k]), or None.  target: classes (N,) in [0, num_classes); for 'regression'
    numbers (N,) or (N, T); for 'multilabel' 0 and 1 (N, T).  task: 'classification'.  num_classes:
    as many as the largest class asks for.  unknown: whether category 0 stands for those that were
    not there to be learned, as in data.Preprocessing (True).  weight: what each row counts in the
    training loss, numbers >= 0 (N,) (None: 1 each).  unit: what 1 of each target of a regression
    is in the unit in which metrics say it, numbers > 0 (T,) (None: 1, the targets are in it).

    Raises ShapeError, NonFiniteError, IndexRangeError or ArgumentError for arrays that don't fit.

    >>> import numpy as np
    >>> from chainrule.train.tabular import TabularData
    >>> data = TabularData(np.zeros((4, 2)), None, [0, 1, 2, 1])
    >>> len(data), data.num_outputs
    (4, 3)
    """

    def __init__(
        self, numeric: Any, categorical: Any, target: Any, *, task: str = "classification",
        cardinalities: Sequence[int] = (), num_classes: int | None = None, unknown: bool = True,
        weight: Any = None, unit: Any = None,
    ) -> None:  # fmt: skip
        choice("TabularData", "task", task, TASKS)
        self.task, self.unknown = task, unknown
        self.cardinalities = [int(c) for c in cardinalities]
        self.numeric, self.categorical = inputs(numeric, categorical, self.cardinalities)
        first = self.numeric if self.numeric is not None else self.categorical
        self.rows = len(first)
        y = _array("target", target)
        if len(y) != self.rows:
            raise ShapeError("TabularData: inputs and target have different numbers of rows",
                             expected=f"{self.rows} rows", got=str(y.shape))  # fmt: skip
        if task == "classification":
            self.num_outputs = _classes(y, num_classes)
            self.target = y.astype(np.int64)
        else:
            self.target = _columns(y, task)
            self.num_outputs = self.target.shape[1]
        self.weight = None if weight is None else _weights(weight, self.rows)
        self.unit = np.ones(self.num_outputs) if unit is None else _units(unit, self.num_outputs)

    def __len__(self) -> int:
        return self.rows

    def check_classes(self) -> None:
        """Raises where all rows are of one class."""
        if self.task == "classification" and (self.target == self.target[0]).all():
            raise ArgumentError(
                "the target has one class: there is nothing to learn", line="",
                expected="at least two different classes",
                got=f"{self.target[0]} in all {self.rows} rows",
            )  # fmt: skip


def inputs(numeric: Any, categorical: Any, cardinalities: Sequence[int]) -> tuple[Any, Any]:
    """Numbers as float32 (N, n) and categories as int64 (N, K), each None where there are none."""
    x = None if numeric is None else _array("numeric", numeric)
    c = None if categorical is None else _array("categorical", categorical)
    x = None if x is None or not x.shape[-1] else x
    c = None if c is None or not c.shape[-1] else c
    if x is None and c is None:
        raise ArgumentError("TabularData: the table has no columns")
    for name, a in (("numeric", x), ("categorical", c)):
        if a is not None and (a.ndim != 2 or not len(a)):
            raise ShapeError(f"TabularData: {name} must be a row for every example",
                             expected="(N, columns) with N >= 1", got=str(a.shape))  # fmt: skip
    if x is not None and c is not None and len(x) != len(c):
        raise ShapeError("TabularData: numeric and categorical have different numbers of rows",
                         got=f"{len(x)} and {len(c)}")  # fmt: skip
    if x is not None:
        _check_finite("numeric", x)
        x = np.ascontiguousarray(x, np.float32)
    columns = 0 if c is None else c.shape[1]
    if columns != len(cardinalities):
        raise ShapeError("TabularData: cardinalities: one for each categorical column",
                         expected=f"{columns} of them", got=f"{len(cardinalities)}")  # fmt: skip
    return x, None if c is None else _categories(c, cardinalities)


def _array(name: str, value: Any) -> Any:
    a = np.asarray(getattr(value, "_value", value))
    if a.dtype.kind not in "biuf" or not a.ndim:
        raise ArgumentTypeError(f"TabularData: {name} must be an array of numbers",
                                got=f"{a.dtype} {a.shape}")  # fmt: skip
    return a


def _check_finite(name: str, a: Any) -> None:
    with np.errstate(over="ignore"):
        found = find_nonfinite(np.asarray(a, np.float32))
    if found.count:
        raise NonFiniteError(
            f"TabularData: {name} holds {counted(found.count, 'value')} "
            "not finite in float32",
            got=f"row {found.rows[0]}, column {found.columns[0]}",
            fix="fill missing values, scale large ones", line="",
        )  # fmt: skip


def _categories(c: Any, cardinalities: Sequence[int]) -> Any:
    if c.dtype.kind not in "iu":
        raise ArgumentTypeError("TabularData: categories must be whole numbers", got=str(c.dtype))
    bad = (c < 0) | (c >= np.asarray(cardinalities))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise IndexRangeError(
            f"TabularData: a category of column {column} is out of range",
            expected=f"0 to {cardinalities[column] - 1}", got=f"{c[row, column]} in row {row}",
        )  # fmt: skip
    return np.ascontiguousarray(c, np.int64)


def _classes(y: Any, num_classes: int | None) -> int:
    if y.ndim != 1 or y.dtype.kind not in "iub":
        raise ArgumentTypeError(
            "TabularData: the target must be classes, whole numbers (N,)",
            got=f"{y.dtype} {y.shape}, {len(np.unique(y))} different values",
            fix="task='regression'",
        )
    most = int(y.max())
    count = max(most + 1, 2) if num_classes is None else int(num_classes)
    if count < 2 or most >= count or int(y.min()) < 0:
        raise IndexRangeError("TabularData: a class is out of range", expected=f"0 to {count - 1}",
                              got=f"{int(y.min())} to {most}")  # fmt: skip
    return count


def _columns(y: Any, task: str) -> Any:
    """Targets (N, T) in float64."""
    y = y.reshape(-1, 1) if y.ndim == 1 else y
    if y.ndim != 2 or not y.shape[1]:
        raise ShapeError(f"TabularData: the target of a {task} task must be (N,) or (N, T)",
                         got=str(y.shape))  # fmt: skip
    _check_finite("target", y)
    if task == "multilabel" and not np.isin(y, (0, 1)).all():
        raise ArgumentError("TabularData: labels must be 0 or 1", got=str(np.unique(y)[:5]))
    return np.ascontiguousarray(y, np.float64)


def _weights(weight: Any, rows: int) -> Any:
    w = np.asarray(_array("weight", weight), np.float64)
    if w.shape != (rows,):
        raise ShapeError("TabularData: weight must be a number for each row",
                         expected=f"({rows},)", got=str(w.shape))  # fmt: skip
    if not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise ArgumentError("TabularData: weights must be finite, >= 0, and not all 0")
    return w


def _units(unit: Any, columns: int) -> Any:
    u = np.asarray(_array("unit", unit), np.float64)
    if u.shape != (columns,) or not (np.isfinite(u) & (u > 0)).all():
        raise ArgumentError("TabularData: unit must be a number above 0 for each target",
                            expected=f"{columns} of them", got=f"{u.tolist()}"[:80])  # fmt: skip
    return u
