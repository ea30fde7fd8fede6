"""How the parameters of a group are laid out for the update: small ones together, large ones cut.

A call of NumPy on a tiny array costs the same as on a thousand numbers, so the small parameters of
a group are copied into one buffer, updated in one go, and copied back.  The results of a call on a
very large array leave the caches, and the system hands out their memory page by page, so large
parameters are updated block by block.  Rules work element by element: the bits are always those of
an update tensor by tensor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import Site, user_site
from ..grad import clock
from ..tensor.core import Tensor, wrap
from .arguments import OptimizerStateError

if TYPE_CHECKING:
    from .optimizer import Group, Optimizer, State

SMALL = 4096
"""Tensors of up to this many elements are laid behind one another for the update, ..."""
TOGETHER = 65536
"""... up to this many bytes: the copies must stay cheaper than the calls that they save."""
BLOCK = 262144
"""The bytes of a large parameter that are updated in one go."""


class Layout:
    """The parameters of a group that have a gradient, in batches that are updated in one go."""

    def __init__(self, optimizer: Optimizer, group: Group) -> None:
        self.params = list(group["params"])
        self.slots = optimizer.slots_of(group)
        self.waiting = [p for p in self.params if p._grad is None]
        self.held: list[tuple[Tensor, Any, State]] = []
        self.batches: list[Batch] = []
        small: dict[Any, list[Tensor]] = defaultdict(list)
        for p in self.params:
            if p._grad is None:
                continue
            s = optimizer.state[p]
            prepare_state(optimizer, group, p, s, self.slots)
            self.held.append((p, p._value, s))
            if p._value.size <= SMALL:
                ages = (s.get("step"), *(slot in s for slot in self.slots))
                small[p.dtype, ages].append(p)
            else:
                self.batches.append(Batch(optimizer, [p], self.slots))
        for (dtype, _), members in small.items():
            for part in _parts_of(members, TOGETHER // dtype.itemsize):
                self.batches.append(Batch(optimizer, part, self.slots))

    def fits(self, optimizer: Optimizer, group: Group) -> bool:
        """Whether nothing was exchanged since: gradients, values, state, settings."""
        params = group["params"]
        if len(params) != len(self.params) or not all(map(is_, params, self.params)):
            return False
        state = optimizer.state
        for p, value, s in self.held:
            if p._grad is None or p._value is not value or state.get(p) is not s:
                return False
        for p in self.waiting:
            if p._grad is not None:
                return False
        for batch in self.batches:
            if not batch.is_current():
                return False
        return self.slots == optimizer.slots_of(group)

    def step(self, optimizer: Optimizer, group: Group) -> None:
        """One update of all."""
        now, site = next(clock), user_site(2)
        for batch in self.batches:
            batch.step(optimizer, group, now, site)


def prepare_state(
    optimizer: Optimizer, group: Group, p: Tensor, s: State, slots: tuple[str, ...]
) -> None:
    """Makes what the rule keeps for a new parameter, and follows a change of its dtype."""
    if optimizer.counts:
        s.setdefault("step", 0)
    for slot in slots:
        start = optimizer.initial(slot, group)
        if slot not in s:
            if start is not None:
                s[slot] = wrap(np.full(p.shape, start, p.dtype))
        elif s[slot].shape != p.shape:
            raise OptimizerStateError(
                f"{type(optimizer).__name__}: a parameter changed its shape, its state did not",
                expected=f"{slot} of shape {p.shape}",
                got=str(s[slot].shape),
                fix=f"optimizer.state.pop(parameter), so that {slot} starts anew",
            )
        elif s[slot].dtype != p.dtype:
            s[slot] = wrap(s[slot]._value.astype(p.dtype))


def _parts_of(params: list[Tensor], most: int) -> Iterator[list[Tensor]]:
    """Parameters in parts of at most so many elements together."""
    part: list[Tensor] = []
    room = most
    for p in params:
        room -= p._value.size
        if part and room < 0:
            yield part
            part, room = [], most - p._value.size
        part.append(p)
    yield part


class Batch:
    """Parameters that are updated together, with one step count; a large one block by block."""

    def __init__(self, optimizer: Optimizer, params: list[Tensor], slots: tuple[str, ...]) -> None:
        self.params = params
        self.states = [optimizer.state[p] for p in params]
        self.counts = optimizer.counts
        self.count = int(self.states[0].get("step", 0))
        self.single = len(params) == 1
        self.values: State = {}
        self.shown: list[tuple[State, str, Tensor]] = []
        self.blocks: list[Any] = [...]
        if self.single:
            value = params[0]._value
            length = BLOCK // value.itemsize
            if value.size > length and value.flags.c_contiguous:
                starts = range(0, value.size, length)
                self.blocks = [slice(i, i + length) for i in starts]
        else:
            size = sum(p._value.size for p in params)
            self.p, self.g = (np.empty(size, params[0].dtype) for _ in "pg")
            self.parts = list(zip(params, self._cut(self.p), self._cut(self.g), strict=True))
        for slot in slots:
            if slot not in self.states[0]:
                self.values[slot] = None  # the rule makes it at its first step
            elif self.single:
                self._hold(slot, np.ascontiguousarray(self.states[0][slot]._value))
            else:
                self._hold(slot, np.concatenate([s[slot]._value.ravel() for s in self.states]))

    def _cut(self, whole: Any) -> list[Any]:
        """The part of a buffer that belongs to each parameter, in its shape."""
        parts, start = [], 0
        for p in self.params:
            size = p._value.size
            parts.append(whole[start : start + size].reshape(p.shape))
            start += size
        return parts

    def _hold(self, slot: str, whole: Any) -> None:
        """Keeps a buffer; each parameter's state is its part of it, readable and writable."""
        if self.single:
            parts = [whole.reshape(self.params[0].shape)]
            self.values[slot] = parts[0] if len(self.blocks) == 1 else whole.reshape(-1)
        else:
            parts = self._cut(whole)
            self.values[slot] = whole
        for s, part in zip(self.states, parts, strict=True):
            s[slot] = shown = wrap(part)
            self.shown.append((s, slot, shown))

    def is_current(self) -> bool:
        """Whether the state is still what this batch put there: no entry was exchanged."""
        for s, slot, shown in self.shown:
            if s.get(slot) is not shown:
                return False
        if self.counts:
            for s in self.states:
                if s.get("step") != self.count:
                    return False
        return True

    def step(self, optimizer: Optimizer, group: Group, now: int, site: Site | None) -> None:
        """The rule on the whole batch; parameters are written in place."""
        count = self.count + 1
        h = optimizer.prepare(group, count)
        p, g = self._gather()
        fresh = {slot: np.empty_like(p) for slot, held in self.values.items() if held is None}
        slots = {**self.values, **fresh} if fresh else self.values
        if len(self.blocks) == 1:
            self._update(optimizer, group, h, p, g, slots, fresh)
        else:
            for cut in self.blocks:
                parts = {slot: held[cut] for slot, held in slots.items()}
                self._update(optimizer, group, h, p[cut], g[cut], parts, fresh)
        for slot, made in fresh.items():
            self._hold(slot, made)
        if not self.single:
            for t, part, _ in self.parts:
                t._value[...] = part
        self.count = count
        if self.counts:
            for s in self.states:
                s["step"] = count
        for t in self.params:
            cell = t._shared_cell()
            cell.changed, cell.site = now, site

    def _update(
        self, optimizer: Optimizer, group: Group, h: Any, p: Any, g: Any, slots: State,
        fresh: State,
    ) -> None:  # fmt: skip
        """The rule on p, g and slots of one shape; its results are written into p and slots."""
        new_slots = {slot: None if slot in fresh else held for slot, held in slots.items()}
        new = optimizer.update(p, -g if group.get("maximize") else g, new_slots, h)
        for slot, held in slots.items():
            if new_slots[slot] is not held:
                held[...] = new_slots[slot]
        p[...] = new

    def _gather(self) -> tuple[Any, Any]:
        if self.single:
            t = self.params[0]
            p, g = t._value, t._grad._value  # type: ignore[union-attr]
            return (p, g) if len(self.blocks) == 1 else (p.reshape(-1), g.reshape(-1))
        for t, p, g in self.parts:
            p[...] = t._value
            g[...] = t._grad._value  # type: ignore[union-attr]
        return self.p, self.g
