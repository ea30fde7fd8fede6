"""The networks of a table as one model for other programs, without what prepares its columns."""

from __future__ import annotations

import json
from typing import Any

from ... import functional as F
from ...nn import Module
from ...tensor.core import Tensor
from ...tensor.create import tensor, zeros
from ...train.tabular import TableModel

APART = (
    "not part of this file: numeric holds scaled columns between -3 and 3, with 0 for a gap; "
    "categorical holds codes, 0 unknown, 1 missing, then the categories in order. "
    "chainrule.data.Preprocessing makes both from a table"
)


class Answering(Module):
    """What the networks of a table say on average, (B, C), as `TableModel.scores` does.

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
            self.register_buffer("mean", tensor(list(held.mean)))
            self.register_buffer("std", tensor(list(held.std)))

    def forward(self, numeric: Tensor | None = None, categorical: Tensor | None = None) -> Tensor:
        """The mean over the networks."""
        z = self.networks(numeric, categorical)
        if self.task == "classification":
            return F.softmax(z, -1).mean(0)
        if self.task == "multilabel":
            return F.sigmoid(z).mean(0)
        return z.mean(0) * self.std + self.mean


def exportable(model: TableModel) -> tuple[Module, tuple[Any, ...], dict[str, str]]:
    """(the networks as a module, an example of its inputs, what inputs and output are)."""
    held, target = model.preprocessing, model.target
    about: dict[str, str] = {}
    numbers, codes = held.numeric_names, held.categorical_names
    numeric = zeros(1, len(numbers)) if numbers else None
    if numbers:
        about["numeric"] = listed(numbers)
    example: tuple[Any, ...] = (numeric,)
    if codes:
        about["categorical"] = listed(codes)
        example = (numeric, tensor([[0] * len(codes)]))
    given = target.names if target.task == "regression" else target.labels
    what = "amounts" if target.task == "regression" else "probabilities"
    about["output"] = f"{what} of {listed(given)}"
    return Answering(model), example, {**about, "preprocessing": APART}


def listed(names: Any) -> str:
    """Names as a JSON list."""
    return json.dumps([str(n) for n in names], ensure_ascii=False)
