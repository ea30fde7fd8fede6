"""Successive halving: many settings at once, the worse half leaves after each wave of the rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError, NonFiniteError
from ..progress import Bar
from .data import TabularData
from .ensemble import TabularEnsemble, moved
from .folds import checked, folds
from .judging import turn
from .members import Member, Members
from .recipe import Recipe
from .schedules import ends


class Halving:
    """What `successive_halving` found.

    table: a dict for each set of settings, the best first: config (its number in the list),
    settings, score (by the recipe's metric, the mean over the splits, the last that it got), epochs
    (how far it came), rung (how many cuts it lived through).  best: the settings of the first.
    ensemble: its networks, trained to the end.  programs: how many were compiled.
    """

    def __init__(
        self, table: list[dict[str, Any]], ensemble: TabularEnsemble, programs: int
    ) -> None:
        self.table, self.ensemble, self.programs = table, ensemble, programs

    @property
    def best(self) -> dict[str, Any]:
        """The settings of the winner."""
        return dict(self.table[0]["settings"])

    def __repr__(self) -> str:
        lines = [f"{'score':>10}  {'epochs':>6}  settings"]
        for row in self.table:
            told = ", ".join(f"{k}={_short(v)}" for k, v in row["settings"].items())
            lines.append(f"{row['score']:>10.5g}  {row['epochs']:>6}  {told}")
        return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def successive_halving(
    configs: Sequence[Mapping[str, Any]], data: TabularData, recipe: Recipe | None = None, *,
    splits: Sequence[Any] | None = None, keep: float = 0.5, seed: int = 0,
    on_rung: Callable[[list[dict[str, Any]]], Any] | None = None, progress: bool | None = None,
) -> Halving:  # fmt: skip
    """The best of many settings, with about a quarter of the steps that training all takes.

    All start together.  After each wave of the learning rate (epochs 17, 51 and 119 of 256, see
    `ends`), where it is 0 and weights are worth judging, the worse half leaves; who stays goes on
    as it would have alone, so the winner is trained when it is found, with the very numbers that
    `fit_tabular` with its settings and these splits gives.

    configs: changes of the recipe, as {'lr': 0.02, 'dropout': 0.3}.  Those that differ in lr,
    weight_decay, dropout and label_smoothing only are one program.  splits: as for fit_tabular; a
    config's score is the mean over them of the recipe's metric (None: a fifth of the rows held
    out, once).  keep: the share that stays (0.5), at least one.  seed: as for fit_tabular.
    on_rung: called with the table so far.  progress: a bar (None: where stderr is a terminal).

    Raises ArgumentError for unknown settings, different numbers of epochs or metrics, or splits
    without held-out rows; NonFiniteError where no network has finite numbers.
    Jamieson and Talwalkar 2016.

    >>> import numpy as np
    >>> from chainrule.train.tabular import Recipe, TabularData, successive_halving
    >>> x = np.random.default_rng(0).normal(size=(80, 2)).astype("float32")
    >>> data = TabularData(x, None, (x[:, 0] > 0).astype(int))
    >>> configs = [{"lr": lr} for lr in (0.0, 0.01, 0.04, 0.1)]
    >>> found = successive_halving(configs, data, Recipe(epochs=15, hidden=(16,)))
    >>> [row["epochs"] for row in found.table], found.programs
    ([15, 3, 1, 1], 3)
    """
    base = (recipe or Recipe()).of(data.task)
    recipes = _recipes(configs, base, data.task)
    if not 0.0 < keep < 1.0:
        raise ArgumentError("successive_halving: keep must be a share in (0, 1)", got=repr(keep))
    pairs = checked(data, folds(data, 5, seed)[:1] if splits is None else splits)
    if any(held_out is None for _, held_out in pairs):
        raise ArgumentError("successive_halving: every split needs held-out rows")
    race = Race(data, recipes, pairs, seed)
    rungs = ends(base.epochs)
    with Bar("tune", "epochs", live=progress) as bar:
        for rung, until in enumerate(rungs):
            race.run(until, moved(bar, base.epochs))
            race.rank(rung)
            if on_rung is not None:
                on_rung(race.table(configs))
            if until < rungs[-1]:
                race.cut(max(1, math.ceil(keep * len(race.order))))
    return Halving(race.table(configs), race.winner(), race.programs)


def _recipes(configs: Sequence[Mapping[str, Any]], base: Recipe, task: str) -> list[Recipe]:
    if not configs:
        raise ArgumentError("successive_halving: needs settings to compare",
                            expected="[{'lr': 0.02}, {'lr': 0.04}, ..]")  # fmt: skip
    recipes = [base.changed(c).of(task) for c in configs]
    for name, what in (("epochs", "number of epochs"), ("metric", "metric")):
        found = sorted({getattr(r, name) for r in recipes})
        if len(found) > 1:
            raise ArgumentError(f"successive_halving: all must have the same {what}",
                                got=", ".join(map(str, found)))  # fmt: skip
    return recipes


class Race:
    """The settings that are still in, by the program that trains them.

    order: their numbers, the best first.  groups: (numbers of settings, their networks: one for
    each split, one set behind the other).
    """

    def __init__(
        self, data: TabularData, recipes: list[Recipe], pairs: list[Any], seed: int
    ) -> None:
        self.data, self.recipes, self.splits = data, recipes, len(pairs)
        self.order = list(range(len(recipes)))
        self.turn = turn(recipes[0].measure)
        self.score, self.epochs = [self.turn * math.inf] * len(recipes), [0] * len(recipes)
        self.rung = [0] * len(recipes)
        alike: dict[Any, list[int]] = {}
        for n, r in enumerate(recipes):
            alike.setdefault(r.together, []).append(n)
        self.groups: list[tuple[list[int], Members]] = []
        for numbers in alike.values():
            listed = [
                Member(pair[0], pair[1], i, recipes[n])
                for n in numbers
                for i, pair in enumerate(pairs)
            ]
            self.groups.append((numbers, Members(data, listed, seed)))
        self.programs = len(self.groups)
        self.steps = sum(m.steps_an_epoch * len(m.members) for _, m in self.groups)

    def run(self, until: int, on_epoch: Callable[[dict[str, Any]], Any]) -> None:
        """Trains all to the end of an epoch."""
        for _, members in self.groups:
            members.run(until, on_epoch)

    def rank(self, rung: int) -> None:
        """Orders those that are in by the scores of their best epochs."""
        for numbers, members in self.groups:
            best = np.array(members.best).reshape(len(numbers), self.splits).mean(1)
            for n, score in zip(numbers, best.tolist(), strict=True):
                self.score[n], self.epochs[n], self.rung[n] = score, members.epoch, rung
        self.order.sort(key=lambda n: (self.turn * self.score[n], n))
        if not math.isfinite(self.score[self.order[0]]):
            raise NonFiniteError("successive_halving: no network has finite numbers",
                                 fix="lower learning rates", line="")  # fmt: skip

    def cut(self, count: int) -> None:
        """Lets the first `count` go on."""
        self.order = self.order[:count]
        groups = []
        for numbers, members in self.groups:
            stay = [i for i, n in enumerate(numbers) if n in self.order]
            if not stay:
                continue
            if len(stay) < len(numbers):
                members = members.only([i * self.splits + s for i in stay
                                        for s in range(self.splits)])  # fmt: skip
                self.programs += 1
            groups.append(([numbers[i] for i in stay], members))
        self.groups = groups

    def table(self, configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """All settings: who came furthest first, then by score."""
        places = sorted(
            range(len(configs)), key=lambda n: (-self.rung[n], self.turn * self.score[n], n)
        )
        return [
            {"config": n, "settings": dict(configs[n]), "score": self.score[n],
             "epochs": self.epochs[n], "rung": self.rung[n]}
            for n in places
        ]  # fmt: skip

    def winner(self) -> TabularEnsemble:
        """The networks of the best settings."""
        for numbers, members in self.groups:
            if self.order[0] in numbers:
                first = numbers.index(self.order[0]) * self.splits
                places = range(first, first + self.splits)
                model = members.finished()
                alone = type(model).stacked([model.member(k) for k in places])
                return TabularEnsemble(
                    alone, self.data.task, [members.best[k] for k in places],
                    [members.best_epoch[k] for k in places],
                )  # fmt: skip
        raise AssertionError("the winner is in one of the groups")
