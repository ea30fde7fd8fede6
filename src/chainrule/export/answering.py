"""What a model of a table takes and gives in programs elsewhere: raw columns, answers, their names.

The ONNX file and the C file say the same in two languages; what they say is worked out here.
"""

from __future__ import annotations

import json
from itertools import product
from typing import Any, NamedTuple

from .. import functional as F
from ..data.tables.blocks import (
    FIRST,
    GONE,
    UNKNOWN,
    Block,
    BooleanBlock,
    CategoricalBlock,
    DateBlock,
    NumericBlock,
)
from ..data.tables.cells import TRUTH, as_float
from ..data.tables.target import as_labels
from ..dtypes import float64
from ..errors import ArgumentTypeError
from ..nn import Module
from ..tensor.core import Tensor
from ..tensor.create import tensor, zeros
from ..train.tabular import TableModel

NUMBER, TEXT, SECONDS = "number", "text", "seconds"
"""How a column is given."""
FIRST_SECOND, END = -62_135_596_800.0, 253_402_300_800.0
"""The years 1 to 9999 in seconds since 1970: what lies outside is in another unit."""
DAY = 86_400.0
FALSE, ABSENT, TRUE, NEITHER = range(4)
"""The codes of truth."""
OF_TRUTH = (-1.0, 0.0, 1.0)
"""What the networks get for the first three."""
SHOWN = 6
"""Of the categories of a column, so many are named."""


class Given(NamedTuple):
    """A column as another program gives it.

    codes: of texts, by how they are written; every other text has the code `other`.  gaps: numbers
    that stand for a missing one, beside nan.
    """

    block: Block
    kind: str
    codes: dict[str, int]
    other: int
    gaps: tuple[float, ...]

    @property
    def said(self) -> str:
        """What is given, in words."""
        if self.kind == NUMBER:
            others = "".join(f" or {v:g}" for v in self.gaps)
            return f"number, NaN{others} where missing"
        if self.kind == SECONDS:
            return "seconds since 1970-01-01 in UTC, NaN where missing"
        gone = GONE if isinstance(self.block, CategoricalBlock) else ABSENT
        spelled = [text for text, code in self.codes.items() if code == gone]
        empty = '""' if "" in spelled else listed(spelled[:1])[1:-1]
        if isinstance(self.block, CategoricalBlock):
            return f"text, {empty} where missing; {_some(self.block.levels)}; another is unknown"
        return f"text, {empty} where missing: true or false, yes or no, 1 or 0, ..."


def _some(levels: tuple[str, ...]) -> str:
    more = f" and {len(levels) - SHOWN} more" if len(levels) > SHOWN else ""
    return f"one of {listed(levels[:SHOWN])}{more}"


def need_model(owner: str, model: Any) -> None:
    """Raises for anything but the model of a table."""
    if not isinstance(model, TableModel):
        raise ArgumentTypeError(
            f"{owner}: needs the model of a table", expected="what TableFit(..).run() gives",
            got=type(model).__name__,
            fix="chainrule.onnx.export or export_c" if isinstance(model, Module) else None,
        )  # fmt: skip


def columns_of(model: TableModel) -> list[Given]:
    """The columns that it takes, in the table's order."""
    held = model.preprocessing
    spelled = held.schema.missing or ("",)  # some text must say that there is none
    return [_given(block, spelled) for block in held.blocks]


def _given(block: Block, spelled: tuple[str, ...]) -> Given:
    if isinstance(block, CategoricalBlock):
        codes = {level: code for code, level in enumerate(block.levels, FIRST)}
        return Given(block, TEXT, codes | dict.fromkeys(spelled, GONE), UNKNOWN, ())
    if isinstance(block, BooleanBlock):
        codes = {"1": TRUE, "0": FALSE}
        for word, said in TRUTH.items():
            cases = product(*((letter, letter.upper()) for letter in word))
            codes |= dict.fromkeys(map("".join, cases), TRUE if said else FALSE)
        return Given(block, TEXT, codes | dict.fromkeys(spelled, ABSENT), NEITHER, ())
    if isinstance(block, DateBlock):
        return Given(block, SECONDS, {}, 0, ())
    assert isinstance(block, NumericBlock)
    numbers = map(as_float, spelled)
    return Given(block, NUMBER, {}, 0, tuple(v for v in numbers if v is not None and v == v))


# ---------------------------------------------------------------- the networks


class Answering(Module):
    """What the networks of a table say on average, (B, C) float64, as `TableModel.scores` does.

    numeric (B, N) float32, categorical (B, K) int64: what the preprocessing makes of rows; None
    where the table has no such columns.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: TableModel) -> None:
        super().__init__()
        self.networks, self.task = model.networks.model, model.networks.task
        if self.task == "regression":
            held = model.preprocessing
            self.register_buffer("mean", tensor(list(held.mean), dtype=float64))
            self.register_buffer("std", tensor(list(held.std), dtype=float64))

    def forward(self, numeric: Tensor | None = None, categorical: Tensor | None = None) -> Tensor:
        """The mean over the networks."""
        z = self.networks(numeric, categorical)
        if self.task == "classification":
            z = F.softmax(z, -1)
        elif self.task == "multilabel":
            z = F.sigmoid(z)
        y = F.mean(z, 0, dtype=float64)
        return y * self.std + self.mean if self.task == "regression" else y


def prepared(model: TableModel) -> tuple[Any, ...]:
    """An example of what Answering takes: one row."""
    numbers, codes = model.preprocessing.numeric_names, model.preprocessing.categorical_names
    numeric = zeros(1, len(numbers)) if numbers else None
    return (numeric, tensor([[0] * len(codes)])) if codes else (numeric,)


# ---------------------------------------------------------------- what it answers


def labels_of(model: TableModel) -> Any:
    """The classes in order, (C,): whole numbers, truths, numbers, or texts as objects."""
    target = model.target
    return as_labels(target.labels, target.dtype)


def names_of(model: TableModel) -> list[str]:
    """What each number of an answer is of: a class, a label, or a target."""
    target = model.target
    given = target.names if target.task == "regression" else target.labels
    return [str(name) for name in given]


def listed(names: Any) -> str:
    """Names as a JSON list."""
    return json.dumps([str(n) for n in names], ensure_ascii=False)
