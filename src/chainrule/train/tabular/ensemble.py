"""TabularEnsemble: networks that answer together, and `fit_tabular`, which trains them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ... import functional as F
from ...errors import NonFiniteError
from ...jit import compile
from ...nn import TabularMLP
from ...nn.utils import skip_init
from ...ops.core import quietly
from ...tensor.autograd import no_grad
from ...tensor.core import Tensor, wrap
from ..progress import Bar
from .data import TabularData, inputs
from .folds import checked, folds
from .members import Member, Members
from .recipe import Recipe

ROWS, FEW = 1024, 32
"""Rows that are answered at a time: many, or a few."""

HELD_OUT = 5
"""A single network is judged by a part of so many of the rows."""


class TabularEnsemble:
    """Networks whose mean answers: of probabilities, or of a regression's numbers.

    model: a TabularMLP with members, in evaluation mode.  task: see TabularData.  scores,
    best_epochs: of each member on its held-out rows, by `Recipe.metric` (empty where unknown).
    history: a row an epoch.  `state_dict` and `config` are all that it takes to make it again
    (`from_state`).
    """

    def __init__(
        self, model: TabularMLP, task: str, scores: Sequence[float] = (),
        best_epochs: Sequence[int] = (), history: Sequence[dict[str, Any]] = (),
    ) -> None:  # fmt: skip
        self.model, self.task = model.eval(), task
        self.scores, self.best_epochs = list(scores), list(best_epochs)
        self.history = list(history)
        self._answer = compile(self._outputs)

    def __len__(self) -> int:
        return self.model.members or 1

    def __repr__(self) -> str:
        told = ", ".join(f"{s:.4g}" for s in self.scores) or "unknown"
        return f"TabularEnsemble({len(self)} x {self.task}; on held-out rows: {told})"

    def _outputs(self, numeric: Tensor | None, categorical: Tensor | None) -> Tensor:
        """What the members say (M, B, C), as probabilities where there are classes or labels."""
        z = self.model(numeric, categorical).detach()
        if self.task == "classification":
            return F.softmax(z, -1)
        return F.sigmoid(z) if self.task == "multilabel" else z

    def predict_members(
        self, numeric: Any, categorical: Any = None, *,
        progress: Callable[[int, int], Any] | None = None,
    ) -> Any:  # fmt: skip
        """The answers of each member, float32 (M, N, C): probabilities, or a regression's numbers.

        numeric, categorical: as for TabularData.  progress: called with the rows answered so far
        and all of them.  An answer does not depend on the other rows, but for rounding: up to 32
        rows at once have a program of their own.
        """
        arrays = inputs(numeric, categorical, self.model.settings["cardinalities"])
        rows = len(next(a for a in arrays if a is not None))
        size = ROWS if rows > FEW else FEW  # each is a program of its own
        parts = []
        with quietly(), no_grad():
            for first in range(0, rows, size):
                part = [None if a is None else _filled(a[first : first + size], size)
                        for a in arrays]  # fmt: skip
                parts.append(self._answer(*part)._value[:, : rows - first])
                if progress is not None:
                    progress(min(first + size, rows), rows)
        return np.concatenate(parts, 1)

    def predict_proba(
        self, numeric: Any, categorical: Any = None, *,
        progress: Callable[[int, int], Any] | None = None,
    ) -> Any:  # fmt: skip
        """The mean of the members' answers, float64 (N, C); see `predict_members`."""
        found = self.predict_members(numeric, categorical, progress=progress)
        return found.mean(0, dtype=np.float64)

    def predict(self, numeric: Any, categorical: Any = None) -> Any:
        """Classes (N,), labels 0 and 1 (N, C), or the numbers of a regression (N, T)."""
        mean = self.predict_proba(numeric, categorical)
        if self.task == "classification":
            return mean.argmax(1)
        return (mean > 0.5).astype(np.int64) if self.task == "multilabel" else mean

    # ------------------------------------------------------------ kept

    @property
    def config(self) -> dict[str, Any]:
        """What `from_state` needs besides the state: numbers, texts and lists, fit for JSON."""
        return {
            "network": dict(self.model.settings), "members": len(self), "task": self.task,
            "scores": self.scores, "best_epochs": self.best_epochs,
        }  # fmt: skip

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and target scales, with a leading axis of members."""
        return self.model.state_dict()

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Any]) -> TabularEnsemble:
        """The ensemble whose `config` and `state_dict` these are."""
        model = skip_init(TabularMLP, **config["network"], members=config["members"])
        model.load_state_dict(dict(state))
        return cls(model, config["task"], config["scores"], config["best_epochs"])


def _filled(a: Any, size: int) -> Tensor:
    """Rows, and the first again up to the size of a program."""
    return wrap(np.concatenate([a, np.repeat(a[:1], size - len(a), 0)]) if len(a) < size else a)


def fit_tabular(
    data: TabularData, recipe: Recipe | None = None, *, members: int = 5,
    splits: Sequence[Any] | None = None, seed: int = 0,
    on_epoch: Callable[[dict[str, Any]], Any] | None = None, progress: bool | None = None,
) -> TabularEnsemble:  # fmt: skip
    """Trains networks for a table, all as one program, each with a part of the rows held out.

    members: of k, each learns from all parts but one of k `folds` (5); one alone is judged by a
    fifth of the rows.  splits: instead of members, a pair (rows, held-out rows or None) for each;
    without held-out rows the last weights count, else those of the epoch that is best by
    `recipe.metric`, of equally good ones the last.  seed: decides folds, weights, orders and
    dropout: the same bits on every run and any number of threads.  on_epoch: called with each row
    of the history: epoch, loss and score of every member.
    progress: a bar with rate and time left (None: where stderr is a terminal).

    A member is, bit by bit, the network that comes of it alone, `Members(data, [member], seed)`, in
    batches of the same size.  Raises ArgumentError for a metric that has no value on held-out rows,
    such as roc_auc on rows of one class, NonFiniteError where a network has no epoch with finite
    numbers.  Holzmüller, Grinsztajn and Steinwart 2024, 'Better by Default'.

    >>> import numpy as np
    >>> from chainrule.train.tabular import Recipe, TabularData, fit_tabular
    >>> x = np.random.default_rng(0).normal(size=(80, 2)).astype("float32")
    >>> data = TabularData(x, None, (x[:, 0] > 0).astype(int))
    >>> ensemble = fit_tabular(data, Recipe(epochs=8, hidden=(16,)), members=2)
    >>> len(ensemble), ensemble.predict(x[:3]).shape
    (2, (3,))
    """
    recipe = (recipe or Recipe()).of(data.task)
    if splits is None:
        splits = folds(data, max(members, HELD_OUT if members == 1 else 2), seed)[:members]
    pairs = checked(data, splits)
    listed = [Member(*pair, number, recipe) for number, pair in enumerate(pairs)]
    together = Members(data, listed, seed)
    with Bar("fit", "epochs", live=progress) as bar:
        together.run(recipe.epochs, _both(moved(bar, recipe.epochs), on_epoch))
    check_finite(together)
    judged = together.held_out is not None
    return TabularEnsemble(
        together.finished(), data.task, together.best if judged else (),
        together.best_epoch if judged else (), together.history,
    )  # fmt: skip


def moved(bar: Bar, total: int) -> Callable[[dict[str, Any]], None]:
    """What moves a bar with every row of the history."""

    def call(row: dict[str, Any]) -> None:
        held = row["score"]
        bar.at(row["epoch"], total, f"held out {sum(held) / len(held):.4g}" if held else "")

    return call


def _both(
    first: Callable[[dict[str, Any]], Any], second: Callable[[dict[str, Any]], Any] | None
) -> Callable[[dict[str, Any]], Any]:
    def call(row: dict[str, Any]) -> None:
        first(row)
        if second is not None:
            second(row)

    return call


def check_finite(together: Members) -> None:
    """Raises where a network has nothing to show."""
    lost = [
        k for k, gone in enumerate(together.diverged) if gone
        and (together.held_out is None or not together.best_epoch[k])
    ]  # fmt: skip
    if lost:
        raise NonFiniteError(
            f"fit_tabular: network {lost[0]} has numbers that are not finite",
            got=f"in epoch {together.epoch if together.held_out is None else 1}",
            fix=f"a lower lr than {together.members[lost[0]].recipe.lr}",
            line="",
        )  # fmt: skip
