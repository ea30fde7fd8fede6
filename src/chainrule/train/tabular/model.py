"""TableModel: networks with all that it takes to read a table; one file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...data.tables import read_table
from ...data.tables.preprocessing import Preprocessing
from ...errors import ArgumentError, ChainruleError, FormatError
from ...tensor.core import Tensor
from ..files import load_metadata, load_tensors, save_tensors
from .ensemble import TabularEnsemble

VERSION = 1
ABOUT = "table-model"
"""The entry of the file's metadata that holds everything but the weights."""


class TableModel:
    """Networks for the rows of a table, side by side, and how a table becomes their inputs.

    preprocessing: of columns to numbers, and of outputs back to labels or amounts.  networks: a
    TabularEnsemble, whose mean answers.  What it takes to predict is in one safetensors file:
    `save`, `load`.  Made by `TableFit`.

    >>> import chainrule
    >>> from chainrule.train.tabular import Recipe, TableFit
    >>> penguins = chainrule.data.penguins()
    >>> recipe = Recipe(epochs=8, hidden=(16,))
    >>> model = TableFit(penguins, "species", recipe=recipe, seed=0).run()
    >>> model.predict(penguins).shape, model.scores(penguins).shape
    ((344,), (344, 3))

    Differs from scikit-learn: a table goes in as it lies in the file, text, gaps and dates.
    """

    def __init__(self, preprocessing: Preprocessing, networks: TabularEnsemble) -> None:
        if preprocessing.schema.target is None:
            raise ArgumentError("TableModel: the schema has no target")
        self.preprocessing, self.networks = preprocessing, networks
        self.target = preprocessing.schema.target

    @property
    def members(self) -> int:
        """How many networks answer."""
        return len(self.networks)

    def scores(self, table: Any, *, unseen: str = "unknown") -> Any:
        """For every row (N, C) what the networks say on average, in float64.

        The probability of each class, of each label of a multilabel target, or the amounts of a
        regression in their unit.  table: whatever `read_table` takes; its target isn't read.
        unseen: see `Preprocessing.transform`.  Raises what that raises.
        """
        return self.judge(table, unseen=unseen)[0]

    def judge(self, table: Any, *, unseen: str = "unknown") -> tuple[Any, tuple[str, ...]]:
        """(scores, what differs in this table from the one that was learned from)."""
        held = read_table(table)
        arrays = self.preprocessing.transform(held, target=False, unseen=unseen)
        return self.of_arrays(arrays.numeric, arrays.categorical), arrays.said

    def of_arrays(
        self, numeric: Any, categorical: Any, *, progress: Callable[[int, int], Any] | None = None
    ) -> Any:
        """`scores` of what the preprocessing has made of rows.

        progress: called with the rows answered so far and all of them.
        """
        if not len(numeric):
            return np.zeros((0, self.target.outputs))
        mean = self.networks.predict_proba(numeric, categorical, progress=progress)
        if self.target.task != "regression":
            return mean
        return np.asarray(self.preprocessing.inverse_target(mean)).reshape(mean.shape)

    def predict(self, table: Any, *, unseen: str = "unknown") -> Any:
        """The class (N,), the labels, or the amounts of every row, as they stand in the target."""
        return self.decided(self.scores(table, unseen=unseen))

    def decided(self, scores: Any) -> Any:
        """Labels or amounts from `scores`."""
        if self.target.task == "regression":
            return scores[:, 0] if scores.shape[1] == 1 else scores
        chosen = scores > 0.5 if self.target.task == "multilabel" else scores.argmax(1)
        return self.preprocessing.inverse_target(chosen)

    # ------------------------------------------------------------ as a file

    def about(self) -> dict[str, str]:
        """The metadata of its file."""
        held = {"version": VERSION, "networks": self.networks.config,
                "preprocessing": self.preprocessing.to_json()}  # fmt: skip
        return {ABOUT: json.dumps(held)}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it to a file, whole or not at all; OutputError where that can't be written."""
        save_tensors(Path(path), self.networks.state_dict(), self.about())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TableModel:
        """What `save` wrote, bit for bit; FormatError for anything else.  Runs nothing of it."""
        weights = load_tensors(Path(path))
        return cls.restored(weights, load_metadata(Path(path)), os.fspath(path))

    @classmethod
    def restored(
        cls, weights: Mapping[str, Tensor], about: Mapping[str, str], where: str
    ) -> TableModel:
        """From the weights and the metadata of a file."""
        if ABOUT not in about:
            raise FormatError(f"{where}: not the model of a table", line="")
        try:
            held = json.loads(about[ABOUT])
            if held["version"] != VERSION:
                raise ValueError(f"version {str(held['version'])[:20]}, not {VERSION}")
            networks = TabularEnsemble.from_state(held["networks"], weights)
            model = cls(Preprocessing.from_json(held["preprocessing"]), networks)
        except (ChainruleError, KeyError, TypeError, ValueError) as error:
            raise FormatError(
                f"{where}: the model of a table, but not a whole one",
                got=f"{type(error).__name__}: {error}".splitlines()[0][:80], line="",
            ) from None  # fmt: skip
        return model

    def __repr__(self) -> str:
        name = ", ".join(self.target.names)
        widths = self.networks.model.settings["hidden"]
        return f"TableModel({name!r}: {self.target.task}, {self.members} x {widths})"
