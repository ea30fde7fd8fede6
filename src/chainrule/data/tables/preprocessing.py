"""`Preprocessing`: a table as arrays for a network, with all that it takes to do it again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ...errors import ArgumentError, ArgumentTypeError, FormatError
from ...functional.arguments import choice
from ...markup import counted
from .blocks import Block, DateBlock, block_of, from_json
from .cells import Cells
from .schema import Schema, refuse_form
from .table import Table, closest, need_memory, refuse_unknown, shorten, some_of
from .target import decode_target, encode_target

VERSION = 1
LARGEST_TARGET = 1e100
MOST_GONE = 4
"""Of the columns that are missing, so many are named."""
UNSEEN = ("unknown", "error")


class Arrays(NamedTuple):
    """numeric (B, N) float32; categorical (B, K) int64 codes; target, or None; said: what is new.

    The target is (B, T) float32 standardised for a regression, (B,) int64 classes, or (B, L)
    float32 of 0 and 1 for a multilabel task.
    """

    numeric: Any
    categorical: Any
    target: Any
    said: tuple[str, ...]


@dataclass(frozen=True)
class Preprocessing:
    """A table as arrays: learned from the rows to train on, applied to any.

    A number x becomes y = z / sqrt(1 + (z/3)^2) with z = (x - median) / (q0.75 - q0.25), between -3
    and 3; a missing one the median, y = 0, with a column 'x is missing' of 0 and 1 where some were
    missing in the rows that it was learned from. True and false are 1 and -1, missing 0. A date is
    its day as such a number, and month, weekday and hour as points of a circle, where they differ.
    A category is a code: 0 unknown, 1 missing, then the categories in order; `cardinalities` says
    how many codes a column has, for an embedding. The target of a regression is standardised,
    (y - mean) / std; classes are whole numbers from 0.

    >>> import chainrule
    >>> from chainrule.data import Preprocessing, Schema
    >>> table = chainrule.data.penguins()
    >>> schema = Schema.infer(table, "species")
    >>> prep = Preprocessing.fit(table, schema)
    >>> arrays = prep.transform(table)
    >>> arrays.numeric.shape, arrays.categorical.shape, prep.cardinalities
    ((344, 9), (344, 2), (5, 4))
    >>> prep.numeric_names[:2], prep.inverse_target(arrays.target[:1]).tolist()
    (('bill_length_mm', 'bill_length_mm is missing'), ['Adelie'])

    Unlike scikit-learn's ColumnTransformer it is one object that goes into the model's file as
    JSON, keeps every bit on the way, and takes columns by name in any order.
    """

    schema: Schema
    blocks: tuple[Block, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @classmethod
    def fit(cls, table: Table, schema: Schema) -> Preprocessing:
        """Learns medians, spreads and categories from the rows of a table.

        Raises ArgumentError for cells that are not what the schema says, OutOfMemory before arrays
        are made that would not fit.
        """
        if not isinstance(schema, Schema):
            raise ArgumentTypeError("Preprocessing.fit needs a Schema", got=type(schema).__name__)
        if not len(table):
            raise ArgumentError("Preprocessing.fit: a table without rows")
        _need_columns(table, schema)
        blocks = tuple(
            block_of(table, Cells(table[f.name], schema.missing, table.decimal), f)
            for f in schema.used
        )
        made = cls(schema, blocks)
        made._check_memory(len(table))
        if schema.target is None or schema.target.task != "regression":
            return made
        y = made._amounts(table)
        pairs = [_mean_and_std(column.tolist()) for column in y.T]
        return cls(schema, blocks, tuple(m for m, _ in pairs), tuple(s for _, s in pairs))

    @property
    def numeric_names(self) -> tuple[str, ...]:
        """What each column of `Arrays.numeric` holds."""
        return tuple(n for b in self.blocks for n in b.numeric_names)

    @property
    def categorical_names(self) -> tuple[str, ...]:
        """The column of the table behind each column of `Arrays.categorical`."""
        return tuple(b.name for b in self.blocks if b.cardinality)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """How many codes each categorical column has, unknown and missing included."""
        return tuple(b.cardinality for b in self.blocks if b.cardinality)

    def transform(
        self, table: Table, *, target: bool | None = None, unseen: str = "unknown",
        progress: Callable[[int, int], Any] | None = None,
    ) -> Arrays:  # fmt: skip
        """The arrays of a table; additional columns and another order of them change nothing.

        target: whether the target is encoded (default: where the table has it). unseen: what a
        category is that was not learned: "unknown", code 0, counted and said; or an "error".
        progress: called with the columns made so far and all of them.

        Raises ArgumentError for a column that is missing, with the closest name, for a cell that is
        not what its column holds and for a class that was not learned, with the line.
        """
        choice("transform", "unseen", unseen, UNSEEN)
        _need_columns(table, self.schema)
        self._check_memory(len(table))
        rows, said = len(table), _differences(table, self.schema)
        numeric = np.empty((rows, len(self.numeric_names)), np.float32)
        codes = np.empty((rows, len(self.cardinalities)), np.int64)
        n = k = 0
        for done, block in enumerate(self.blocks, 1):
            cells = Cells(table[block.name], self.schema.missing, table.decimal)
            parts, code = block.apply(table, cells, unseen == "error", said)
            for part in parts:
                numeric[:, n] = part
                n += 1
            if code is not None:
                codes[:, k] = code
                k += 1
            if progress is not None:
                progress(done, len(self.blocks))
        return Arrays(numeric, codes, self._target(table, target), tuple(said))

    def with_forms(self, forms: Mapping[str, str]) -> Preprocessing:
        """The same that reads the dates of some columns in other forms: `{"sold": "%d.%m.%Y"}`.

        Raises ArgumentError for a column that holds no dates, and for what is no form.
        """
        dates = [f.name for f in self.schema.used if f.kind == "date"]
        for name, form in forms.items():
            if name not in dates:
                refuse_unknown(name, dates, "the model knows no column of dates")
            refuse_form(name, form)
        features = tuple(replace(f, form=forms.get(f.name, f.form)) for f in self.schema.features)
        blocks = tuple(
            replace(b, form=forms.get(b.name, b.form)) if isinstance(b, DateBlock) else b
            for b in self.blocks
        )
        return replace(self, schema=replace(self.schema, features=features), blocks=blocks)

    def _target(self, table: Table, asked: bool | None) -> Any:
        found = self.schema.target
        if asked and found is None:
            raise ArgumentError("transform: the schema has no target", fix="target=False")
        there = found is not None and all(name in table for name in found.names)
        if found is None or not (there if asked is None else asked):
            return None
        if found.task != "regression":
            return encode_target(found, table, self.schema.missing)
        y = self._amounts(table)
        return ((y - np.array(self.mean)) / np.array(self.std)).astype(np.float32)

    def _amounts(self, table: Table) -> Any:
        assert self.schema.target is not None
        y = encode_target(self.schema.target, table, self.schema.missing)
        if np.abs(y).max(initial=0.0) > LARGEST_TARGET:
            row, column = np.argwhere(np.abs(y) > LARGEST_TARGET)[0].tolist()
            raise ArgumentError(
                f"the target {shorten(self.schema.target.names[column])!r} is too large a number",
                expected=f"at most {LARGEST_TARGET:g}",
                got=f"{y[row, column]:g} in {table.place(row)}",
                fix="another unit",
            )
        return y

    def inverse_target(self, y: Any) -> Any:
        """What `transform` made of the target, back: amounts in their unit, labels in their type.

        y: (B, T) or (B,) of a regression gives float64 of that shape; (B,) class indices give (B,)
        labels, where they are texts as objects; (B, L) of a multilabel task gives (B, L) bool, or
        texts as they were in one column.
        """
        found = self.schema.target
        if found is None:
            raise ArgumentError("inverse_target: the schema has no target")
        if found.task != "regression":
            return decode_target(found, y)
        a = np.asarray(y, np.float64)
        if a.shape[1:] != (len(self.mean),) and not (a.ndim == 1 and len(self.mean) == 1):
            raise ArgumentError(
                "inverse_target: not the shape of this target",
                expected=f"(B, {len(self.mean)})", got=str(a.shape),
            )  # fmt: skip
        mean, std = (np.array(v) if a.ndim == 2 else v[0] for v in (self.mean, self.std))
        return a * std + mean

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON can hold it: `chainrule.schemas.schema("preprocessing")`."""
        return {
            "version": VERSION,
            "schema": self.schema.to_json(),
            "blocks": [b.to_json() for b in self.blocks],
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_json(cls, data: Any) -> Preprocessing:
        """What `to_json` gave, with the same bits; FormatError for anything else."""
        try:
            if data["version"] != VERSION:
                raise ValueError(f"version {str(data['version'])[:20]}, not {VERSION}")
            schema = Schema.from_json(data["schema"])
            blocks = tuple(from_json(b) for b in data["blocks"])
            if [b.name for b in blocks] != [f.name for f in schema.used]:
                raise ValueError("its blocks are not those of its schema")
            mean, std = ([float(v) for v in data[k]] for k in ("mean", "std"))
            amounts = schema.target is not None and schema.target.task == "regression"
            outputs = schema.target.outputs if schema.target is not None and amounts else 0
            if len(mean) != outputs or len(std) != outputs:
                raise ValueError("mean and std are not those of its target")
            if not all(map(math.isfinite, mean)) or not all(0 < s < math.inf for s in std):
                raise ValueError("mean and std are not finite")
            return cls(schema, blocks, tuple(mean), tuple(std))
        except FormatError:
            raise
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise FormatError(
                "not the preprocessing of a table", expected="what Preprocessing.to_json gives",
                got=f"{type(error).__name__}: {error}"[:80],
            ) from None  # fmt: skip

    def _check_memory(self, rows: int) -> None:
        columns = len(self.numeric_names), len(self.cardinalities)
        need_memory(
            f"arrays of {rows:,} rows, {columns[0]} numbers and {columns[1]} categories each,",
            rows * (4 * columns[0] + 8 * columns[1]),
            "fewer rows at once, or kinds={name: 'drop'} for columns that say little",
        )


def _need_columns(table: Table, schema: Schema) -> None:
    gone = [f.name for f in schema.used if f.name not in table]
    if not gone:
        return
    for name in gone:
        if name in table.unread:
            table[name]  # says what it holds
    known = {f.name for f in schema.used}
    others = [n for n in table.names if n not in known]
    met = {f.name for f in schema.features} | set(schema.target.names if schema.target else ())
    new = next((n for n in table.names if n not in met), None)
    first = f"; the first that is new: {shorten(new)!r}" if new is not None else ""
    shown = gone[:MOST_GONE]
    more = f" and {len(gone) - len(shown)} more" if len(gone) > len(shown) else ""
    raise ArgumentError(
        f"{table.source} has no column {', '.join(repr(shorten(n)) for n in shown)}{more}",
        expected=f"the {counted(len(known), 'column')} that the model learned from",
        got=f"{counted(len(table.names), 'column')}: {some_of(table.names, 60)}{first}",
        fix=_other_names({name: closest(name, others) for name in shown}),
    )


def _other_names(near: dict[str, str | None]) -> str:
    """What to try for columns that are missing, each with the nearest name, where there is one."""
    pairs = {shorten(name): shorten(other) for name, other in near.items() if other}
    if not pairs:
        return "a file with these columns, under the names that were learned"
    if len(near) == 1:
        return f"is {next(iter(pairs.values()))!r} the same under another name?"
    told = ", ".join(f"{other!r} for {name!r}" for name, other in pairs.items())
    return f"the same under other names? {told}"


def _differences(table: Table, schema: Schema) -> list[str]:
    """What differs from the table that was learned from, and changes nothing."""
    used = [f.name for f in schema.used]
    known = {f.name for f in schema.features}
    known |= set(schema.target.names) if schema.target else set()
    extra = [n for n in table.names if n not in known]
    said = []
    if extra:
        shown = some_of([repr(n) for n in extra], 60)
        said.append(
            f"not used: {counted(len(extra), 'column')} that "
            f"{'was' if len(extra) == 1 else 'were'} not there before: {shown}"
        )
    taken = set(used)
    if [n for n in table.names if n in taken] != used:
        said.append("the columns are in another order: taken by name")
    return said


def _mean_and_std(y: list[float]) -> tuple[float, float]:
    """In whatever order the rows come: the sums are exact."""
    mean = math.fsum(y) / len(y)
    variance = math.fsum((v - mean) ** 2 for v in y) / len(y)
    return mean, math.sqrt(variance) or 1.0
