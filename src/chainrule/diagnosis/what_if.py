"""what_if: the first steps of a training once more, as they were and with a change."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..errors import ArgumentError, ChainruleError
from ..markup import aligned, block, number, table
from ..train import Trainer
from ..train.files import worded
from .following import NextStep
from .tries import SETTINGS, not_again, of_function, of_trainer
from .trying import Replay

STEPS, MOST_LAYERS = 100, 12
OF_TRAINERS = ("lr", "clip_grad_norm", "optimizer", *SETTINGS)
"""Changes that are settings of a Trainer; others are arguments of the function that makes it."""
FOLLOWED = (("grad", "|grad|"), ("ratio", "update:weight"))
HEADS = ("", "as it was", "with the change")
FRESH = "Another optimizer begins with an empty state."


@dataclass
class WhatIf:
    """A training as it was and with a change: prints as a table, shows as HTML in a notebook.

    base, other: the replays of the first steps.  steps: how many were asked for.  following: the
    very next step of both (see `NextStep`); None where there is none.  note: what is to be said of
    it, or why there is none.
    """

    changes: dict[str, Any]
    steps: int
    base: Replay
    other: Replay
    following: tuple[NextStep, NextStep] | None = None
    note: str = ""
    layers: list[str] = field(init=False)

    def __post_init__(self) -> None:
        names = [n for r in (self.base, self.other) for look in r.looks for n in
                 (x.name for x in look.layers)]  # fmt: skip
        self.layers = list(dict.fromkeys(names))

    @property
    def title(self) -> str:
        """The change in words."""
        words = ", ".join(f"{k} = {v}" for k, v in self.changes.items())
        return f"What if {words}: the first {self.base.steps} steps"

    def rows(self) -> list[list[str]]:
        """The table: what, as it was, with the change."""
        both = (self.base, self.other)
        found = [
            ["loss before the first step", *(_said(r.first) for r in both)],
            [f"loss after step {self.base.steps}", *(r.failed or _said(r.last) for r in both)],
        ]
        for key, words in FOLLOWED:
            found += [[f"{words} of {n}, last look", *(_said(r.value((key, n))) for r in both)]
                      for n in self.layers[:MOST_LAYERS]]  # fmt: skip
        found.append(["verdict", *(verdict_of(r) for r in both)])
        return found + self._next_rows()

    def _next_rows(self) -> list[list[str]]:
        """The very next step."""
        if self.following is None:
            return []
        both, n = self.following, self.following[0].step
        found = [
            [f"lr of step {n}", *(_said(x.lr) for x in both)],
            [f"loss before step {n}", *(_said(x.before) for x in both)],
            [f"loss after step {n}", *(x.failed or _said(x.after) for x in both)],
        ]
        names = list(dict.fromkeys(x.name for one in both for x in one.layers))
        for key, words in (("grad", "|grad|"), ("update", "|update|")):
            found += [[f"{words} of {name}, step {n}",
                       *(_said(getattr(x.layer(name), key, None)) for x in both)]
                      for name in names[:MOST_LAYERS]]  # fmt: skip
        return found

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON."""
        return {
            "schema": "chainrule what-if 1", "changes": self.changes, "steps": self.steps,
            "as_it_was": self._replay(self.base), "changed": self._replay(self.other),
            "next": None if self.following is None else [x.to_json() for x in self.following],
            "note": self.note,
        }  # fmt: skip

    def _replay(self, r: Replay) -> dict[str, Any]:
        layers = [{"name": n, **{k: worded(r.value((k, n))) for k, _ in FOLLOWED}}
                  for n in self.layers]  # fmt: skip
        return {
            "steps": r.steps, "seconds": r.seconds, "failed": r.failed,
            "loss_first": worded(r.first), "loss_last": worded(r.last), "state": r.found.state,
            "findings": [{"id": f.id, "title": f.title, "severity": f.severity} for f in r.found],
            "layers": layers,
        }  # fmt: skip

    def __str__(self) -> str:
        rows = self.rows()  # a verdict may be long: it would tear the columns apart
        lines = [self.title, *aligned(HEADS, [r for r in rows if r[0] != "verdict"])]
        lines += [f"verdict {HEADS[1]}: {was}; {HEADS[2]}: {now}"
                  for what, was, now in rows if what == "verdict"]  # fmt: skip
        return "\n".join([*lines, self.note] if self.note else lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return block(self.title, table(HEADS, self.rows(), self.note, numbers=(1, 2)))


def verdict_of(r: Replay) -> str:
    """The state, and what was found."""
    return ": ".join([r.found.state, *([", ".join(f.title for f in r.found)] if r.found else [])])


def _said(v: float | None) -> str:
    return "-" if v is None else number(v)


def what_if(
    source: Trainer | Callable[..., Trainer], data: Any = None, *, steps: int = STEPS,
    batch_size: int = 32, **changes: Any,
) -> WhatIf:  # fmt: skip
    """The first steps of a training as they were, beside the same steps with a change; the next.

    The very next step is made both ways too: its loss on its rows before and after it, and how far
    it moves every layer.  It is the one that `fit` would make now, or the first of a training that
    a function makes; the schedule, the state of the optimizer and dropout are those of that step.

    source: a Trainer after its `fit`, with a `train.Watch` among its callbacks; nothing of it
    changes.  Or a function that gives a new Trainer each time, with `data` and `batch_size` as for
    `fit`.  steps: how many (100).  changes: lr, clip_grad_norm, momentum, weight_decay and
    optimizer ('adam') are set in the Trainer; any other, such as activation='tanh', is handed to
    the function by that name.

    Raises ArgumentError without a change, or for one that a Trainer does not have; StateError where
    the start is not known.  See `try_fixes`.  PyTorch has nothing like it.

    >>> import chainrule
    >>> from chainrule import nn, optim
    >>> from chainrule.train import Trainer
    >>> x = chainrule.linspace(-1, 1, 64).reshape(32, 2)
    >>> def make(activation=nn.ReLU):
    ...     _ = chainrule.manual_seed(0)
    ...     model = nn.Sequential(nn.Linear(2, 8), activation(), nn.Linear(8, 1))
    ...     return Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.01), seed=0)
    >>> data = (x, x.sum(1, keepdim=True))
    >>> found = chainrule.what_if(make, data, steps=20, lr=0.1, activation=nn.Tanh)
    >>> found.other.last < found.base.last
    True
    >>> was, now = found.following
    >>> was.step, now.after < now.before
    (1, True)
    """
    if not changes:
        raise ArgumentError("what_if: no change", fix="what_if(source, lr=0.1)")
    given = {k: v for k, v in changes.items() if k not in OF_TRAINERS}
    own = {k: v for k, v in changes.items() if k in OF_TRAINERS}
    if isinstance(source, Trainer):
        if given:
            raise ArgumentError(
                f"what_if: {', '.join(given)} is not a setting of a Trainer",
                expected=", ".join(OF_TRAINERS),
                fix=f"what_if(make_trainer, data, {next(iter(given))}=...), with a function that "
                "makes the Trainer and takes it",
            )  # fmt: skip
        start = changed = of_trainer(source, steps)
    elif callable(source) and data is not None:
        start = of_function(source, data, steps, batch_size)
        changed = of_function(functools.partial(source, **given), data, steps, batch_size)
    else:
        raise not_again("what_if", source, "chainrule.what_if(make_trainer, (x, y), lr=0.1)")
    named = {k: getattr(v, "__name__", v) for k, v in changes.items()}
    held = WhatIf(named, steps, start.of({}), changed.of(own))
    try:
        (was, said), (now, _) = start.step({}), changed.step(own)
    except ChainruleError as error:
        held.note = f"No next step is shown: {error.problem}."
        return held
    held.following = was, now
    fresh = "optimizer" in own and was.step > 1
    held.note = " ".join([*([said] if said else []), *([FRESH] if fresh else [])])
    return held
