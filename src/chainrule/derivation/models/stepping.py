"""explain_optimizer(): a table of what an optimizer's next step does, entry by entry.

The step is made by a copy, so the numbers are those of `step()` itself; `explain(..., optimizer=)`
derives one of them by the optimizer's own rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import ArgumentError
from ...markup import aligned, block, number, table
from ...ops.core import quietly
from ...optim import Optimizer
from ...tensor.core import Tensor
from ..record import in_json
from .explanation import names_of, recorded
from .taking import stepped

EXPECTED = "a parameter that the loss depends on and the optimizer updates"


@dataclass
class Entry:
    """One number of a parameter and its step.

    slots: what the optimizer keeps of it, as this step leaves it.  step: the new value less the
    old.
    """

    parameter: str
    index: tuple[int, ...]
    value: float
    gradient: float
    slots: dict[str, float]
    step: float

    @property
    def name(self) -> str:
        """As `explain` takes it: fc1.weight[3,7]."""
        return f"{self.parameter}[{','.join(map(str, self.index))}]" if self.index else (
            self.parameter)  # fmt: skip


@dataclass
class Steps:
    """The largest steps of each parameter; prints as text, shows as HTML in a notebook.

    made: the steps that the optimizer made before, where it counts them.  clip: what clipping
    multiplies gradients by.
    promised: gradients times steps, summed over all entries: what the step promises the loss.
    """

    optimizer: str
    made: int | None
    clip: float
    promised: float
    entries: list[Entry] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The heads of the table."""
        slots = dict.fromkeys(s for e in self.entries for s in e.slots)
        return ["entry", "value", "gradient", *slots, "step"]

    def rows(self) -> list[list[Any]]:
        """The table: names and numbers; None where an entry has no such slot."""
        slots = self.columns[3:-1]
        return [[e.name, e.value, e.gradient, *(e.slots.get(s) for s in slots), e.step]
                for e in self.entries]  # fmt: skip

    @property
    def said(self) -> str:
        """What holds for all of it, as a sentence."""
        clip = f"; clipping multiplies every gradient by {self.clip:.4g}" if self.clip < 1 else ""
        which = "The next step" if self.made is None else f"Step {self.made + 1}"
        return (f"{which} of {self.optimizer}: the largest steps of each parameter"
                f"{clip}; it promises a change of the loss by {self.promised:.4g}.")  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON; nan and inf as texts."""
        return {
            "optimizer": self.optimizer, "clip": in_json(self.clip),
            "step": None if self.made is None else self.made + 1,
            "promised": in_json(self.promised),
            "entries": [
                {"parameter": e.parameter, "index": list(e.index), "value": in_json(e.value),
                 "gradient": in_json(e.gradient),
                 "slots": {k: in_json(v) for k, v in e.slots.items()}, "step": in_json(e.step)}
                for e in self.entries
            ],
        }  # fmt: skip

    def cells(self) -> list[list[str]]:
        """The rows as text."""
        return [[v if isinstance(v, str) else "-" if v is None else number(v) for v in row]
                for row in self.rows()]  # fmt: skip

    def __str__(self) -> str:
        return "\n".join([self.said, *aligned(self.columns, self.cells())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shown = table(self.columns, self.cells(), self.said, numbers=range(1, len(self.columns)))
        return block(f"{self.optimizer}, its next step", shown)


def explain_optimizer(
    loss: Any, model: Any, optimizer: Optimizer, *, clip_grad_norm: float | None = None,
    top: int = 3,
) -> Steps:  # fmt: skip
    """The next step of an optimizer: value, gradient, what it keeps, and step of the top entries.

    new value = value + step, with the step by the optimizer's own rule on a copy of it.

    loss, model: as for `explain`.  optimizer: of that model's parameters.  clip_grad_norm: the
    limit of the norm of all gradients before the step, or None.  top: so many entries of each
    parameter (3), those with the largest steps.

    Nothing is changed: no .grad, no parameter, no state.  Raises ArgumentError where the optimizer
    updates nothing that the loss depends on.  PyTorch has no such function.

    >>> import chainrule
    >>> from chainrule import nn, optim
    >>> _ = chainrule.manual_seed(0)
    >>> x, model = chainrule.tensor([[1.0, -2.0]]), nn.Linear(2, 1)
    >>> adam = optim.Adam(model.parameters(), lr=0.01)
    >>> found = chainrule.explain_optimizer(lambda: model(x).sum(), model, adam, top=1)
    >>> found.columns
    ['entry', 'value', 'gradient', 'exp_avg', 'exp_avg_sq', 'step']
    >>> [(e.name, e.gradient, round(e.step, 6)) for e in found.entries]
    [('weight[0,0]', 1.0, -0.01), ('bias[0]', 1.0, -0.01)]
    """
    if type(top) is not int or top < 1:
        raise ArgumentError("explain_optimizer: top must be a whole number >= 1", got=repr(top))
    named, paths = names_of(model)
    with quietly():
        recording = recorded(loss, named, paths)
        tensors = recording.tensors
        gradients = {tensors[n]: g for n, g in recording.backward.items()}
        twin, pairs, clip = stepped(optimizer, gradients, clip_grad_norm)
        own = {id(p): q for p, q in pairs}
        found = Steps(type(optimizer).__name__, _made(optimizer), clip, 0.0)
        for name, p in tensors.items():
            if p not in gradients or id(p) not in own:
                continue
            q = own[id(p)]
            moved = np.asarray(q._value, np.float64) - p._value
            found.promised += float((gradients[p] * moved).sum())
            found.sizes[name] = moved.size
            found.entries += _top(name, p, gradients[p], moved, twin.state.get(q, {}), top)
    if not found.entries:
        raise ArgumentError(
            f"explain_optimizer: {type(optimizer).__name__} updates nothing of this loss",
            expected=EXPECTED, fix="optimizer(model.parameters()) of the model that is explained",
        )  # fmt: skip
    return found


def _made(optimizer: Optimizer) -> int | None:
    if not optimizer.counts:
        return None
    return max((int(s.get("step", 0)) for s in optimizer.state.values()), default=0)


def _top(
    name: str, p: Tensor, g: Any, moved: Any, state: Mapping[str, Any], top: int
) -> list[Entry]:
    """The entries with the largest steps, the largest first; what is no number before them."""
    sizes = np.nan_to_num(np.abs(moved), nan=np.inf).ravel()
    places = np.argsort(-sizes, kind="stable")[:top]
    slots = {
        k: v
        for k, v in state.items()
        if k != "step" and isinstance(v, Tensor) and v.shape == p.shape
    }
    found = []
    for flat in places.tolist():
        at = tuple(map(int, np.unravel_index(flat, moved.shape)))
        found.append(Entry(
            name, at, float(p._value[at]), float(np.asarray(g)[at]),
            {k: float(v._value[at]) for k, v in slots.items()}, float(moved[at]),
        ))  # fmt: skip
    return found
