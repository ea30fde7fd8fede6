"""Members: many networks of one shape as one program, each with its own rows and rates.

Parameters lie side by side, (M, ..), so that a step of all is one batched product a layer, and the
program is as large for 50 networks as for one.  What differs from member to member or from step to
step comes as data: the rows of each, and a table of learning rates, decays, dropouts.  No member
reads what belongs to another: its numbers are those that it has alone, bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import functional as F
from ...data.sampler import RandomSampler
from ...errors import ArgumentError
from ...jit import compile
from ...nn import TabularMLP, init
from ...nn.utils import skip_init
from ...ops.core import quietly
from ...optim import AdamW
from ...tensor.autograd import grad, no_grad
from ...tensor.core import Tensor, wrap
from ...tensor.random import Generator, drawing_from
from .data import TabularData
from .judging import check_metric, score, turn
from .losses import member_losses
from .recipe import Recipe
from .schedules import coslog, flat_cos

STARTING_ROWS = 4096
"""As many rows decide at most how the weights of a network start."""

LR, RATE, EPS, DECAY, DROPOUT, SMOOTHING = range(6)
"""The rows of a step's table of settings."""


class Member(NamedTuple):
    """One network: the rows it learns from and is judged by (None: by none), and its settings.

    number: with the seed it decides how the network starts and in which order it sees its rows.
    """

    train: Any
    held_out: Any
    number: int
    recipe: Recipe


def seed_of(seed: int, number: int) -> int:
    """The seed of a member."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0])


class Members:
    """Networks in training.  epoch, steps: how many they have made; made: of these, in the epoch
    that goes on.

    best, best_epoch: the score of each held-out part, by `Recipe.metric`, and when it was, 0 where
    there is none yet.
    done: whose patience has ended, or whose numbers are not finite any more (`diverged`).
    classes: their names, for a message about a part that has no row of one.
    """

    def __init__(
        self, data: TabularData, members: Sequence[Member], seed: int,
        classes: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        data.check_classes()
        recipe = members[0].recipe
        if any(m.recipe.together != recipe.together for m in members):
            raise ArgumentError("Members: these networks can't be trained as one",
                                expected="the same shapes, epochs and batch size")  # fmt: skip
        parts = {id(m.held_out): m.held_out for m in members if m.held_out is not None}
        check_metric(data, [p for p in parts.values() if len(p)], recipe.measure, classes)
        self.data, self.members, self.recipe = data, list(members), recipe
        self.generator = Generator().manual_seed(seed)
        self.seeds = [seed_of(seed, m.number) for m in members]
        models = [start(data, m, s) for m, s in zip(members, self.seeds, strict=True)]
        self._take(TabularMLP.stacked(models))
        count = len(members)
        self.epoch = self.steps = self.made = 0
        self.best, self.best_epoch = [turn(recipe.measure) * math.inf] * count, [0] * count
        self.improved = [0] * count  # the epoch of the last score that was better, not as good
        self.done, self.diverged = [False] * count, [False] * count
        self.history: list[dict[str, Any]] = []

    def _take(self, model: TabularMLP) -> None:
        """Networks whose training begins, and their programs."""
        self.model = model
        self.parameters = list(model.parameters())
        self.moments = [(_zeros(p), _zeros(p)) for p in self.parameters]
        self.kept = [p._value.copy() for p in self.parameters]
        self.samplers = [RandomSampler(range(len(m.train))) for m in self.members]
        for sampler, seed in zip(self.samplers, self.seeds, strict=True):
            sampler.seed = seed
        fewest = min(len(m.train) for m in self.members)
        self.batch = min(self.recipe.batch_size, fewest)
        self.steps_an_epoch = fewest // self.batch
        self.losses: list[Any] = []  # of the steps of the epoch that goes on, (steps, M)
        self.order: Any = None  # its rows, (steps, M, B), once they are drawn
        self.last: Any = None  # the losses of the last step, (M,)
        self.held_out = self._held_out()
        self.rule = AdamW(self.parameters, betas=self.recipe.betas)
        self.step, self.outputs = programs(self)

    def _held_out(self) -> Any:
        """The held-out rows (M, V), those of shorter parts filled up with their first."""
        parts = [m.held_out for m in self.members]
        if all(p is None for p in parts):
            return None
        if any(p is None or not len(p) for p in parts):
            raise ArgumentError("Members: some members have no held-out rows, others have")
        most = max(map(len, parts))
        rows = [np.concatenate([p, np.repeat(p[:1], most - len(p))]) for p in parts]
        return np.asarray(rows, np.int64)

    # ------------------------------------------------------------ training

    def run(self, until: int, on_epoch: Callable[[dict[str, Any]], Any] | None = None) -> None:
        """Trains to the end of an epoch, or until all are done."""
        while self.epoch < until and not all(self.done):
            if self.advance() and on_epoch is not None:
                on_epoch(self.history[-1])

    def advance(self, most: int | None = None, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Makes the steps that the epoch has left, or so many of them; whether that was its end.

        stopped: asked about every 50 ms whether to make no more of them.
        """
        left = self.steps_an_epoch - self.made
        with quietly(), drawing_from(self.generator):
            tables = self._tables(left if most is None else min(most, left))
            found = self.step.loop(tables, 1, on_turn=lambda done, steps: stopped())._value
        self.losses.append(found)
        self.last = found[-1]
        self.made += len(found)
        self.steps += len(found)
        if len(found) < left:
            return False
        self.close_epoch()
        return True

    def close_epoch(self) -> None:
        """Judges the networks after the epoch, or after the part of it that was made."""
        found = np.concatenate(self.losses).mean(0, dtype=np.float64)
        self.epoch += 1
        self.made, self.losses, self.order = 0, [], None
        with quietly(), drawing_from(self.generator):
            judged = self._judge(found)
        self.history.append({"epoch": self.epoch, "loss": found.tolist(), "score": judged})

    def lr_at(self, step: int) -> Any:
        """The learning rate of every member at a step, counted from 0: (M,)."""
        lr = np.array([m.recipe.lr for m in self.members], np.float64)
        return lr * coslog(self._share(step))

    def _share(self, step: int) -> float:
        """How much of the fit is done before a step."""
        return step / (self.recipe.epochs * self.steps_an_epoch)

    def _tables(self, count: int) -> tuple[Any, Any]:
        """(rows, settings) of the next steps of the epoch."""
        if self.order is None:
            steps, size = self.steps_an_epoch, self.batch
            orders = [
                np.asarray(m.train)[s.order(self.epoch)[: steps * size]].reshape(steps, 1, size)
                for m, s in zip(self.members, self.samplers, strict=True)
            ]
            self.order = np.concatenate(orders, 1)
        return self.order[self.made : self.made + count], self._settings(count)

    def _settings(self, count: int) -> Any:
        """(count, settings, M): see LR and those that follow."""
        each = [m.recipe for m in self.members]
        decay, dropout, smoothing = (
            np.array([getattr(r, name) for r in each], np.float64)
            for name in ("weight_decay", "dropout", "label_smoothing")
        )
        table = np.empty((count, 6, len(each)), np.float32)
        group = self.rule.param_groups[0]
        for i in range(count):
            now, flat = self.lr_at(self.steps + i), flat_cos(self._share(self.steps + i))
            h = self.rule.prepare({**group, "lr": now}, self.steps + i + 1)
            table[i] = [now, h["rate"], np.full_like(now, h["eps"]), decay * flat, dropout * flat,
                        smoothing]  # fmt: skip
        return table

    # ------------------------------------------------------------ judging

    def _judge(self, losses: Any) -> list[float] | None:
        """Scores of the held-out parts; keeps the weights of those that are as good as ever.

        Of epochs that are equally good the last counts: its learning rate is the lower one.
        """
        finite, sign = np.isfinite(losses), turn(self.recipe.measure)
        found = None
        if self.held_out is not None:
            given = self.outputs(self.held_out)._value
            found = [
                score(self.data, given[k][: len(m.held_out)], m.held_out, self.recipe.measure)
                for k, m in enumerate(self.members)
            ]
        for k in range(len(self.members)):
            if self.done[k]:
                continue
            value = found[k] if found is not None else 0.0
            if not finite[k] or not math.isfinite(value):
                self.done[k] = self.diverged[k] = True
            elif found is None or sign * value <= sign * self.best[k]:
                self._keep(k, value)
            self.done[k] = self.done[k] or (found is not None and self._waited(k))
        return found

    def _keep(self, k: int, value: float) -> None:
        sign = turn(self.recipe.measure)
        if sign * value < sign * self.best[k]:
            self.improved[k] = self.epoch
        self.best[k], self.best_epoch[k] = value, self.epoch
        if self.held_out is not None:
            for kept, p in zip(self.kept, self.parameters, strict=True):
                kept[k] = p._value[k]

    def _waited(self, k: int) -> bool:
        patience = self.recipe.patience
        return patience is not None and self.epoch > 2 * self.improved[k] + patience

    def finished(self) -> TabularMLP:
        """The networks with the weights of their best epochs, else with the last ones."""
        model = skip_init(TabularMLP, **self.model.settings, members=len(self.members))
        state = self.model.state_dict()
        if self.held_out is not None:
            names = [name for name, _ in self.model.named_parameters()]
            state |= zip(names, map(wrap, self.kept), strict=True)
        model.load_state_dict(state)
        return model.eval()

    def only(self, places: Sequence[int]) -> Members:
        """Some of the members, which go on as they would have."""
        rest = Members.__new__(Members)
        rest.data, rest.recipe = self.data, self.recipe
        for name in ("members", "seeds", "best", "best_epoch", "improved", "done", "diverged"):
            setattr(rest, name, [getattr(self, name)[k] for k in places])
        rest.epoch, rest.steps, rest.made, rest.history = self.epoch, self.steps, 0, []
        rest.generator = Generator()
        rest.generator.set_state(self.generator.get_state())
        steps = self.steps_an_epoch, self.batch
        rest._take(TabularMLP.stacked([self.model.member(k) for k in places]))
        rest.steps_an_epoch, rest.batch = steps
        rest.kept = [kept[list(places)] for kept in self.kept]
        for mine, old in zip(rest.moments, self.moments, strict=True):
            for a, b in zip(mine, old, strict=True):
                np.copyto(a._value, b._value[list(places)])
        return rest


def start(data: TabularData, member: Member, seed: int) -> TabularMLP:
    """A network as it is before the first step."""
    rows = np.asarray(member.train)
    with drawing_from(Generator().manual_seed(seed)):
        sampler = RandomSampler(range(len(rows)))
        few = rows[sampler.order(0)[:STARTING_ROWS]]
        with init.skipping():  # model.start draws
            model = member.recipe.network(data)
        arrays = (data.numeric, data.categorical)
        model.start(*(None if a is None else wrap(a[few]) for a in arrays))
        if model.target is not None:
            model.target.start(wrap(data.target[rows]))
    return model


def _zeros(p: Tensor) -> Tensor:
    return wrap(np.zeros(p.shape, p.dtype))


def programs(owner: Members) -> tuple[Any, Any]:
    """The compiled step(rows, settings), and outputs(rows) of networks as they are.

    rows (1, M, B) and settings (1, 6, M) of one step; it returns the losses (M,).
    """
    model, data, rule = owner.model, owner.data, owner.rule
    columns = [None if a is None else wrap(a) for a in (data.numeric, data.categorical)]
    loss_of = member_losses(data, model)
    factors = model.factors()
    learned = [(p, *factors[p], *m) for p, m in zip(owner.parameters, owner.moments, strict=True)]
    b1, b2 = owner.recipe.betas

    def step(rows: Tensor, settings: Tensor) -> Tensor:
        rows, h = rows[0], settings[0]
        model.train()
        with no_grad():
            drops: Iterable[Any] = model.drop
            for layer in drops:
                layer.rate.copy_(h[DROPOUT])
        found = model(*(None if x is None else x[rows] for x in columns))
        losses = loss_of(found, rows, h[SMOOTHING])
        gradients = grad(losses.sum(), [p for p, *_ in learned])
        with no_grad():
            for (p, faster, decaying, m, v), g in zip(learned, gradients, strict=True):
                lr, rate, eps, decay = (
                    F.reshape(h[i], (-1, *[1] * (len(p.shape) - 1))) for i in (LR, RATE, EPS, DECAY)
                )
                state = {"exp_avg": m, "exp_avg_sq": v}
                new = rule.update(p, g, state, {
                    "lr": lr * faster, "rate": rate * faster, "eps": eps, "b1": b1, "b2": b2,
                    "weight_decay": decay * decaying if decaying else 0.0, "amsgrad": False,
                })  # fmt: skip
                m.copy_(state["exp_avg"])
                v.copy_(state["exp_avg_sq"])
                p.copy_(new)
        return losses.detach()

    def outputs(rows: Tensor) -> Tensor:
        model.eval()
        return model(*(None if x is None else x[rows] for x in columns)).detach()

    return compile(step), compile(outputs)
