"""One column of a table as columns of a network's input: four kinds of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...errors import ArgumentError
from ...markup import counted
from .cells import Cells
from .faults import need_dates, need_numbers, need_truth
from .infer import Feature, is_texts
from .scaling import PARTS, Scaling, days_of, part_of, round_trip
from .table import Table, shorten, some_of
from .target import level_text

Applied = tuple[list[Any], Any]
"""(columns of numbers, a column of codes or None)."""
UNKNOWN, GONE, FIRST = 0, 1, 2
"""The codes of a category that is new, of one that is missing, and of the first that is known."""


@dataclass(frozen=True)
class Block:
    """A column by name, and whether one of its own says where it is missing."""

    kind: ClassVar[str]
    name: str
    indicator: bool

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of its numbers, but for the indicator."""
        return (self.name,)

    @property
    def numeric_names(self) -> tuple[str, ...]:
        """The names of all its numbers."""
        return self.parts + ((f"{self.name} is missing",) if self.indicator else ())

    @property
    def cardinality(self) -> int:
        """How many codes it has, if it has codes."""
        return 0

    def numbers(self, table: Table, cells: Cells) -> list[Any]:
        """Its numbers, but for the indicator: (rows,) float32 each."""
        raise NotImplementedError

    def apply(self, table: Table, cells: Cells, strict: bool, said: list[str]) -> Applied:
        """Its numbers and codes for a table; what is new is added to `said`."""
        numbers = self.numbers(table, cells)
        if self.indicator:
            numbers.append(cells.missing.astype(np.float32))
        elif cells.missing.any():
            count = counted(int(cells.missing.sum()), "row")
            said.append(f"{shorten(self.name)!r} is missing in {count}, and never was before")
        return numbers, None

    def to_json(self) -> dict[str, Any]:
        """For the model's file."""
        return {"kind": self.kind, "name": self.name, "indicator": self.indicator, **self.learned()}

    def learned(self) -> dict[str, Any]:
        """What `fit` learned from the rows."""
        return {}


@dataclass(frozen=True)
class NumericBlock(Block):
    """A number, scaled."""

    kind = "numeric"
    scaling: Scaling

    def numbers(self, table: Table, cells: Cells) -> list[Any]:
        """y = clipped (x - median) / spread."""
        return [self.scaling.apply(need_numbers(table, self.name, cells))]

    def learned(self) -> dict[str, Any]:
        """Median and spread."""
        return {"scaling": self.scaling.to_json()}


@dataclass(frozen=True)
class BooleanBlock(Block):
    """True 1, false -1, missing 0."""

    kind = "boolean"

    def numbers(self, table: Table, cells: Cells) -> list[Any]:
        """1, -1 and 0."""
        said = need_truth(table, self.name, cells)
        return [np.where(cells.missing, 0, np.where(said, 1, -1)).astype(np.float32)]


@dataclass(frozen=True)
class DateBlock(Block):
    """The day as a scaled number, and the parts that come round as points of a circle."""

    kind = "date"
    form: str | None
    scaling: Scaling
    rounds: tuple[str, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """Day, and sine and cosine of each part."""
        turns = [f"{self.name} {p} {f}" for p in self.rounds for f in ("sin", "cos")]
        return (f"{self.name} day", *turns)

    def numbers(self, table: Table, cells: Cells) -> list[Any]:
        """The trend, then the circles."""
        moments = need_dates(table, self.name, cells, self.form)
        out = [self.scaling.apply(days_of(moments))]
        for part in self.rounds:
            out.extend(round_trip(part_of(moments, part)))
        return out

    def learned(self) -> dict[str, Any]:
        """The form of the dates, their scale, and which parts differ."""
        return {"form": self.form, "scaling": self.scaling.to_json(), "rounds": list(self.rounds)}


@dataclass(frozen=True)
class CategoricalBlock(Block):
    """A category as a code."""

    kind = "categorical"
    levels: tuple[str, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """No numbers."""
        return ()

    @property
    def cardinality(self) -> int:
        """Unknown, missing, and the levels."""
        return FIRST + len(self.levels)

    def apply(self, table: Table, cells: Cells, strict: bool, said: list[str]) -> Applied:
        """The codes; a level that was not learned is unknown, or raises where `strict`."""
        found, at = cells.levels
        known = {level: i for i, level in enumerate(self.levels, FIRST)}
        of_level = [known.get(level_text(level), UNKNOWN) for level in found]
        codes = np.array([*of_level, GONE], np.int64)[at]
        rows = np.flatnonzero(codes == UNKNOWN)
        if not len(rows):
            return [], codes
        new = [level_text(lv) for lv, c in zip(found, of_level, strict=True) if c == UNKNOWN]
        shown = some_of([repr(n) for n in new], 60)
        if strict:
            raise ArgumentError(
                f"column {shorten(self.name)!r} holds a category that was not learned",
                expected=some_of(self.levels),
                got=f"{shown}, in {table.places(rows)}",
                fix="unseen='unknown' takes it as one that is not known",
            )
        said.append(f"{shorten(self.name)!r}: {counted(len(rows), 'row')} of unknown category: "
                    f"{shown}")  # fmt: skip
        return [], codes

    def learned(self) -> dict[str, Any]:
        """The levels, in order."""
        return {"levels": list(self.levels)}


def block_of(table: Table, cells: Cells, feature: Feature) -> Block:
    """What the rows of a table teach about a column."""
    name, gaps = feature.name, bool(cells.missing.any())
    if feature.kind == "numeric":
        values = need_numbers(table, name, cells)
        return NumericBlock(name, gaps, _scaling(values[~cells.missing]))
    if feature.kind == "boolean":
        need_truth(table, name, cells)
        return BooleanBlock(name, gaps)
    if feature.kind == "categorical":
        return CategoricalBlock(name, False, tuple(sorted(set(map(level_text, cells.levels[0])))))
    moments = need_dates(table, name, cells, feature.form)[~cells.missing]
    rounds = tuple(p for p in PARTS if len(np.unique(part_of(moments, p))) > 1)
    return DateBlock(name, gaps, feature.form, _scaling(days_of(moments)), rounds)


def _scaling(values: Any) -> Scaling:
    return Scaling.of(values) if len(values) else Scaling(0.0, 0.0)


def from_json(data: dict[str, Any]) -> Block:
    """The block that `to_json` gave; KeyError, TypeError or ValueError for anything else."""
    values = dict(data)
    block = {c.kind: c for c in (NumericBlock, BooleanBlock, DateBlock, CategoricalBlock)}
    cls = block[values.pop("kind")]
    if "scaling" in values:
        values["scaling"] = Scaling.from_json(values["scaling"])
    for key in ("rounds", "levels"):
        if key in values:
            values[key] = tuple(values[key])
    made = cls(**values)
    texts = [
        made.name,
        "" if values.get("form") is None else values["form"],
        *values.get("levels", ()),
    ]
    if not is_texts(texts) or not isinstance(made.indicator, bool):
        raise ValueError("a block that is none")
    if not set(values.get("rounds", ())) <= set(PARTS):
        raise ValueError("a part of a date that is none")
    return made
