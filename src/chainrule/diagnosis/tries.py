"""try_fixes: the fixes that are a Trainer's own settings, tried from where its training began."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .. import optim
from ..errors import ArgumentTypeError, ChainruleError, StateError
from ..nn import Module
from ..tensor.random import Generator, drawing_from, get_rng_state, set_rng_state
from ..train import Trainer, Watch
from ..train.rates import FIELDS, highest_rate
from ..train.state import capture, restore
from ..train.watch.watch import EVERY
from .finding import NOTE, Finding
from .following import NextStep, awake, next_step
from .show import Block, as_html, as_text
from .trial import Trial, best_of
from .trying import STEPS, Replay, compared, often, replay
from .verdict import Diagnosis, diagnose

SETTINGS = ("momentum", "weight_decay")
"""Settings of an optimizer, by the names that its parameter groups know them by."""
CLASSES = {n.lower(): n for n in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")}


@dataclass
class Tried:
    """The findings, and for each its fixes as they were tried: `trials`, in the same order.

    It prints as text, shows as HTML in a notebook, and `to_json()` gives terms of JSON.
    """

    found: Diagnosis
    steps: int
    trials: list[list[Trial]] = field(default_factory=list)

    def blocks(self) -> list[Block]:
        """What is shown, in any form."""
        blocks = self.found.blocks()
        of_findings = [b for b in blocks if b.severity in ("error", "warning", "note")]
        for block, trials in zip(of_findings, self.trials, strict=False):
            entries = [*block.entries, *(("tried", t.said) for t in trials)]
            best = best_of(trials)
            block.entries = entries if best is None else [*entries, ("keep it", best.command)]
        return blocks

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON."""
        held = self.found.to_json()
        for entry, trials in zip(held["findings"], self.trials, strict=True):
            entry["tried"] = [t.to_json() for t in trials]
        return held

    def __str__(self) -> str:
        return as_text(self.blocks())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.blocks(), "Diagnosis, with its fixes tried")


def try_fixes(
    source: Trainer | Callable[[], Trainer], data: Any = None, *, steps: int = STEPS,
    batch_size: int = 32, thresholds: Mapping[str, float] | None = None,
) -> Tried:  # fmt: skip
    """Judges a training, and tries its fixes: the first steps again, each with one change.

    source: a Trainer after its `fit`, which had a `train.Watch` among its callbacks: that kept the
    start; nothing of the Trainer changes.  Or a function without arguments that gives a new Trainer
    each time, with `data` and `batch_size` as for `fit`; then the training without a fix is judged.
    steps: of each try (200).  thresholds: see `diagnose`.

    What can be tried is lr, clip_grad_norm, the optimizer (where there is no schedule of it) and
    its settings; other fixes are told in words.  Tries have the model, loss, schedule, order of
    the data and random numbers of the training, but none of its callbacks and no run.
    Raises StateError where the start is not known.  PyTorch has nothing like it.

    >>> import chainrule
    >>> from chainrule import nn, optim
    >>> from chainrule.train import Trainer, Watch
    >>> _ = chainrule.manual_seed(0)
    >>> model, x = nn.Linear(2, 1), chainrule.randn(64, 2)
    >>> optimizer = optim.SGD(model.parameters(), 3.0)
    >>> trainer = Trainer(model, nn.MSELoss(), optimizer, callbacks=[Watch()], seed=0)
    >>> _ = trainer.fit((x, x.sum(1, keepdim=True)), epochs=5)
    >>> tried = chainrule.try_fixes(trainer, steps=40)
    >>> [(t.command, t.outcome) for t in tried.trials[-1]]
    [('lr=0.01', 'gone'), ('clip_grad_norm=1.0', 'no better')]
    """
    if isinstance(source, Trainer):
        start = of_trainer(source, steps)
        found = diagnose(source, thresholds)
    elif callable(source) and data is not None:
        start = of_function(source, data, steps, batch_size)
        found = start.of({}).found
    else:
        raise not_again("try_fixes", source, "chainrule.try_fixes(make_trainer, (x, y))")
    return Tried(found, steps, [_trials(f, start) for f in found])


def not_again(who: str, source: Any, fix: str) -> ArgumentTypeError:
    """What is said of a source that is no training, or is a function without its data."""
    return ArgumentTypeError(
        f"{who}: not something that can be trained again",
        expected="a Trainer after fit(), or a function that gives a new one, and its data",
        got=type(source).__name__ + ("" if callable(source) else " without data"), fix=fix,
    )  # fmt: skip


class Start:
    """Where a training begins: `made` replays it with some changes.

    step: makes the training's very next step with some changes; gives what is to be said of it too.
    """

    def __init__(
        self, made: Callable[[Mapping[str, Any]], Replay],
        step: Callable[[Mapping[str, Any]], tuple[NextStep, str]],
    ) -> None:  # fmt: skip
        self.made, self.step = made, step
        self.held: dict[str, Replay] = {}

    def of(self, changes: Mapping[str, Any]) -> Replay:
        """The replay with some changes.  Raises ChainruleError where it can't be made."""
        key = repr(sorted(changes.items()))
        if key not in self.held:
            self.held[key] = self.made(changes)
        return self.held[key]


def _trials(finding: Finding, start: Start) -> list[Trial]:
    found = []
    for place, fix in enumerate(finding.fixes, 1):
        if finding.severity == NOTE or not fix.changes:
            continue
        with suppress(UntriedError):
            other: Replay | str
            try:
                other = start.of(fix.changes)
            except UntriedError:
                raise
            except ChainruleError as error:
                other = error.problem
            words = ", ".join(f"{k}={v!r}" for k, v in fix.changes.items())
            found.append(compared(finding, place, words, start.of({}), other))
    return found


def of_function(make: Callable[[], Trainer], data: Any, steps: int, batch_size: int) -> Start:
    """The start of a training that a function makes; its next step is the first."""
    state = get_rng_state()

    def afresh(use: Callable[[Trainer], Any]) -> Any:
        after = get_rng_state()
        set_rng_state(state)
        try:
            trainer = make()
            if not isinstance(trainer, Trainer) or trainer.step or trainer.run is not None:
                raise ArgumentTypeError(
                    "try_fixes: the function must give a new Trainer without a run each time",
                    got=f"{type(trainer).__name__}"
                    + (f" after step {trainer.step}" if getattr(trainer, "step", 0) else ""),
                )  # fmt: skip
            return use(trainer)
        finally:
            set_rng_state(after)

    def made(changes: Mapping[str, Any]) -> Replay:
        held = copy.copy(data)  # a loader stands where it was left
        found: Replay = afresh(
            lambda t: _tried(t, changes, steps, EVERY, held, batch_size=batch_size)
        )
        return found

    def step(changes: Mapping[str, Any]) -> tuple[NextStep, str]:
        one: NextStep = afresh(
            lambda t: next_step(_changed(t, changes, []), data, batch_size=batch_size)
        )
        return one, ""

    return Start(made, step)


def of_trainer(source: Trainer, steps: int) -> Start:
    """The start of a training that is over.  Raises StateError where it is not known."""
    watch = next((c for c in source.callbacks if isinstance(c, Watch)), None)
    state = watch.origin if watch is not None else None
    if watch is None or state is None or source.loader is None or source.first_step:
        raise StateError(
            "try_fixes: the start of this training is not known",
            expected="a Trainer with a Watch among its callbacks, after its first fit()",
            fix="Trainer(..., callbacks=[Watch()]); or a function that makes the Trainer: "
            "try_fixes(make_trainer, data)",
        )  # fmt: skip
    data, how = _data_of(source)

    def made(changes: Mapping[str, Any]) -> Replay:
        with drawing_from(Generator()):
            twin = _twin(source, state)
            return _tried(twin, changes, steps, watch.every, copy.copy(data), **how)

    def step(changes: Mapping[str, Any]) -> tuple[NextStep, str]:
        now = capture(source)
        with drawing_from(Generator()):
            twin = _twin(source, {**now, "loader": _onward(source, now["loader"])})
            said = awake(twin)
            again = _changed(twin, changes, [])
            again.step, again.epoch = twin.step, twin.epoch
            return next_step(again, data, **how), said

    return Start(made, step)


def _data_of(source: Trainer) -> tuple[Any, dict[str, Any]]:
    """What `fit` is to be given to have the batches of a training again, and how."""
    loader = source.loader
    assert loader is not None
    if source.weighted is None:
        return loader, {}
    *x, w, y = loader.dataset.tensors  # weights go with arrays, so `fit` has made this loader
    how = {"batch_size": loader.batch_size, "shuffle": loader.seed is not None}
    return (*x, y), {**how, "sample_weight": w}


def _onward(source: Trainer, loader: dict[str, Any]) -> dict[str, Any]:
    """Where the loader stands before the next step: a batch that failed was not taken."""
    failed = source.history.stopped == "failed" and not source.trained
    position = source.batch if failed else loader["position"]
    assert source.loader is not None
    return onward({**loader, "position": position}, len(source.loader))


def onward(loader: dict[str, Any], batches: int) -> dict[str, Any]:
    """A loader's state from which a batch follows: after an epoch's last the next epoch begins."""
    if loader["position"] < batches:
        return loader
    return {**loader, "epoch": loader["epoch"] + 1, "position": 0}


def _twin(source: Trainer, state: dict[str, Any]) -> Trainer:
    """A Trainer of copies, where the other one was before its first step."""
    loss = source.loss
    parts = (source.model, loss if isinstance(loss, Module) else None, source.optimizer,
             source.scheduler)  # fmt: skip
    model, own, optimizer, scheduler = copy.deepcopy(parts)
    twin = Trainer(
        model, loss if own is None else own, optimizer, scheduler=scheduler,
        schedule_by=source.schedule_by, clip_grad_norm=source.clip_grad_norm,
        clip_grad_value=source.clip_grad_value, accumulate=source.accumulate,
        ema=None if source.ema is None else source.ema.decay, seed=source.seed,
        compile=source.compile,
    )  # fmt: skip
    restore(twin, copy.deepcopy({**state, "callbacks": []}))
    return twin


def _tried(
    trainer: Trainer, changes: Mapping[str, Any], steps: int, every: int, data: Any, **how: Any
) -> Replay:
    """Some steps of a Trainer with changed settings."""
    watch = Watch(often(every, steps))
    again = _changed(trainer, changes, [watch], trainer.compile)
    return replay(again, watch, lambda: again.fit(data, steps=steps, **how))


def _changed(
    trainer: Trainer, changes: Mapping[str, Any], callbacks: list[Any], compile: bool = False
) -> Trainer:
    """A Trainer of the same parts with changed settings, before its first step."""
    again = Trainer(
        trainer.model, trainer.loss, _optimizer(trainer, changes), scheduler=trainer.scheduler,
        schedule_by=trainer.schedule_by,
        clip_grad_norm=changes.get("clip_grad_norm", trainer.clip_grad_norm),
        clip_grad_value=trainer.clip_grad_value, accumulate=trainer.accumulate,
        ema=None if trainer.ema is None else trainer.ema.decay, seed=trainer.seed,
        compile=compile, callbacks=callbacks,
    )  # fmt: skip
    again.pending = trainer.pending
    return again


class UntriedError(StateError):
    """A change that is no setting of a Trainer."""


def _optimizer(trainer: Trainer, changes: Mapping[str, Any]) -> Any:
    """The optimizer of a Trainer that was not used yet, with changed settings."""
    optimizer = trainer.optimizer
    groups = optimizer.param_groups
    kind = changes.get("optimizer")
    for name in changes:
        known = name in ("lr", "clip_grad_norm", "optimizer") or (
            name in SETTINGS and all(name in g for g in groups)
        )
        if not known or (kind is not None and trainer.scheduler is not None):
            raise UntriedError(f"{name} is not a setting of this trainer")
    if kind is not None:
        new = getattr(optim, CLASSES.get(kind, kind))
        return new([{"params": g["params"]} for g in groups],
                   **{k: v for k, v in changes.items() if k in ("lr", *SETTINGS)})  # fmt: skip
    for name in SETTINGS:
        for group in groups if name in changes else ():
            group[name] = changes[name]
    highest = highest_rate(groups)
    if "lr" in changes and highest:
        _scale(groups, trainer.scheduler, changes["lr"] / highest)
    return optimizer


def _scale(groups: Any, scheduler: Any, factor: float) -> None:
    """All rates times a factor, those that a schedule goes by too."""
    for group in groups:
        for name in (*FIELDS, "min_lr"):
            if name in group:
                group[name] *= factor
    for part in (scheduler, *getattr(scheduler, "_schedulers", ())):
        for name in ("base_lrs", "_last_lr"):
            if hasattr(part, name):
                setattr(part, name, [lr * factor for lr in getattr(part, name)])
