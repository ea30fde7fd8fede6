"""An optimizer's steps as part of a compiled function.

The rule is recorded once for every parameter.  Its numbers are inputs of the program: the settings
are read afresh from `param_groups` at every call, and so is the count of updates.  What keeps its
shape but not its value (lr, betas, weight decay, ...) compiles nothing again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..dtypes import bool_, float64, int64
from ..errors import TraceError, user_site
from ..graph.node import Node
from ..ops import where
from ..ops.core import Spec, current, interpret
from ..tensor.core import Tensor, wrap
from .layout import prepare_state
from .untouched import note_optimizer

if TYPE_CHECKING:
    from ..tensor.tracing import Trace
    from .optimizer import Group, Optimizer, State


def recorded_step(trace: Trace, optimizer: Optimizer) -> None:
    """Adds one update of every parameter that has a gradient to the program."""
    note_optimizer(trace, optimizer)
    trace.check_untouched(optimizer)
    part = trace.parts.get(optimizer)
    if part is None:
        part = trace.parts[optimizer] = Steps(optimizer)
    part.record(trace)


class Setting(NamedTuple):
    """A number of a group, or one of a tuple of numbers (betas)."""

    group: int
    name: str
    place: int | None


class Age:
    """Parameters of a group that have been updated equally often, and share a count."""

    def __init__(self, group: int, slots: tuple[str, ...], count: int, fresh: bool) -> None:
        self.group = group
        self.slots = slots
        self.count = count
        self.is_new = fresh  # the rule makes some slots itself, and has not done so yet
        self.members: list[tuple[Tensor, State]] = []
        self.known: list[tuple[State, str, Tensor]] = []  # slots as they were last seen
        self.array = np.zeros((), np.int64)
        self.new_array = np.zeros((), np.bool_)
        self.start: Node | None = None
        self.node: Node | None = None  # the count at this point of the program
        self.fresh: Node | None = None
        self.updates = 0


class Steps:
    """All steps of one optimizer in one program."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.settings: dict[Setting, Node] = {}
        self.statics: list[tuple[Group, dict[str, Any]]] = []
        self.params: list[list[Tensor]] = []
        self.slots: list[tuple[str, ...]] = []
        self.ages: list[Age] = []
        self.age_of: dict[Tensor, Age] = {}
        self.slot_inputs: list[tuple[State, str]] = []
        self.buffer = np.zeros(0)
        self.scalars: list[Any] = []
        self.last: list[Any] = []
        self.created: list[Callable[[], None]] = []
        self.inputs: list[Node] = []

    # ------------------------------------------------------------ recording

    def record(self, trace: Trace) -> None:
        """The rule on every parameter."""
        optimizer = self.optimizer
        if not self.params:
            for i, group in enumerate(optimizer.param_groups):
                self._open(trace, i, group)
        site = user_site(3)
        for i, group in enumerate(optimizer.param_groups):
            stepped: list[Age] = []
            h: dict[Age, Any] = {}
            for p in group["params"]:
                g = trace.gradient(p)
                if g is None:
                    continue
                trace.pin(p)
                trace.consumed[p] = site
                age = self.age_of.get(p) or self._join(trace, i, group, p)
                try:
                    with interpret(current.compute):
                        if age not in h:
                            stepped.append(age)
                            h[age] = self._prepare(i, group, age)
                        self._update(trace, group, p, trace.value(g), age, h[age])
                except TraceError as error:
                    error.fix = "the rule in operators and ops; optim.arguments.active(factor) for "
                    error.fix += "`if factor`; `fixed` names numbers that are part of the program"
                    raise
                p._note_write(site)
            for age in stepped:
                age.updates += 1

    def _open(self, trace: Trace, i: int, group: Group) -> None:
        """Makes inputs of the numbers of a group, and notes everything else."""
        from .optimizer import EXTRAS, PLACES

        statics = {}
        for name, value in group.items():
            if name in PLACES | EXTRAS:
                continue
            if name not in self.optimizer.fixed and _is_setting(value):
                self._input(trace, Setting(i, name, None))
            elif isinstance(value, (tuple, list)) and value and all(map(_is_setting, value)):
                for j in range(len(value)):
                    self._input(trace, Setting(i, name, j))
            else:
                statics[name] = value
        self.statics.append((group, statics))
        self.params.append(list(group["params"]))
        self.slots.append(self.optimizer.slots_of(group))

    def _input(self, trace: Trace, setting: Setting) -> None:
        name = setting.name if setting.place is None else f"{setting.name}_{setting.place}"
        number = f"{name}_{setting.group}" if setting.group else name
        self.settings[setting] = trace.input(Spec((), float64), self, number, weak=True)

    def _join(self, trace: Trace, i: int, group: Group, p: Tensor) -> Age:
        """Makes the state of a parameter an input, and finds those that are as old as it is."""
        optimizer = self.optimizer
        new = p not in optimizer.state
        s = optimizer.state[p]
        before = dict(s)
        trace.undo.append(partial(_put_back, optimizer, p, s, before, new))
        prepare_state(optimizer, group, p, s, self.slots[i])
        made = [slot for slot in self.slots[i] if slot not in s]
        for slot in made:
            s[slot] = wrap(np.zeros(p.shape, p.dtype))
        count = s.get("step", 0)
        for age in self.ages:
            if (age.group, age.count, age.is_new) == (i, count, bool(made)):
                break
        else:
            age = Age(i, self.slots[i], count, bool(made))
            self.ages.append(age)
            if optimizer.counts:
                age.start = age.node = trace.input(Spec((), int64), self, "step", weak=True)
            if made:
                age.fresh = trace.input(Spec((), bool_), self, "first_step")
        for slot in self.slots[i]:
            name = f"{trace.names.get(p, 'p')}.{slot}"
            trace.lift(s[slot], self, name)
            self.slot_inputs.append((s, slot))
            age.known.append((s, slot, s[slot]))
        age.members.append((p, s))
        self.age_of[p] = age
        return age

    def _prepare(self, i: int, group: Group, age: Age) -> Any:
        """h: the settings of a group at this update."""
        shown = dict(group)
        for setting, node in self.settings.items():
            if setting.group != i:
                continue
            if setting.place is None:
                shown[setting.name] = node
            else:
                held = shown[setting.name] if setting.place else []
                shown[setting.name] = [*held, node]
        step: Any = 1
        if age.node is not None:
            step = age.node = age.node + 1
        return self.optimizer.prepare(shown, step)

    def _update(self, trace: Trace, group: Group, p: Tensor, g: Node, age: Age, h: Any) -> None:
        optimizer = self.optimizer
        s = optimizer.state[p]
        x = trace.value(p)
        g = -g if group.get("maximize") else g
        held = {slot: trace.value(s[slot]) for slot in age.slots}
        slots: dict[str, Any] = dict(held)
        new = optimizer.update(x, g, slots, h)
        if age.fresh is not None and not age.updates:
            # the program serves the first step too: there the rule finds no value in its slots
            first = dict.fromkeys(slots)
            for slot in slots:
                if optimizer.initial(slot, group) is not None:
                    first[slot] = held[slot]
            first_new = optimizer.update(x, g, first, h)
            new = where(age.fresh, first_new, new)
            slots = {slot: where(age.fresh, first[slot], slots[slot]) for slot in slots}
        for slot in age.slots:
            if slots[slot] is not held[slot]:
                trace.write(s[slot], slots[slot])
        trace.write(p, new)

    # ------------------------------------------------------------ what the program asks

    def finish(self, trace: Trace) -> list[tuple[Node, Node]]:
        """The updates of inputs that no tensor stands for: the counts."""
        self.inputs = [*self.settings.values()]
        for age in self.ages:
            self.inputs += [n for n in (age.start, age.fresh) if n is not None]
        self.buffer = np.zeros(len(self.settings))
        self.scalars = [self.buffer[i : i + 1].reshape(()) for i in range(len(self.buffer))]
        self.last = [None] * len(self.settings)
        for s, slot in self.slot_inputs:
            start = trace.places[s[slot]].memory.start
            assert start is not None
            self.inputs.append(start)
        pairs = [(age.start, age.node) for age in self.ages]
        return [(a, b) for a, b in pairs if a is not None and b is not None]

    def changed(self) -> str | None:
        """Why the program can't be used as it is, or None; settings are taken up on the way."""
        optimizer = self.optimizer
        owner = type(optimizer).__name__
        if len(optimizer.param_groups) != len(self.params):
            return f"{owner} has another number of parameter groups"
        for i, group in enumerate(optimizer.param_groups):
            params, held = group["params"], self.params[i]
            if len(params) != len(held) or not all(map(is_, params, held)):
                return f"group {i} of {owner} holds other parameters"
            for name, value in self.statics[i][1].items():
                now = group.get(name)
                if now is not value and now != value:
                    return f"{name} of group {i} of {owner} changed from {value!r} to {now!r}"
        reason = self._take_settings(owner)
        if reason is not None:
            return reason
        for age in self.ages:
            reason = self._take_state(owner, age)
            if reason is not None:
                return reason
        return None

    def _take_settings(self, owner: str) -> str | None:
        groups = self.optimizer.param_groups
        last = self.last
        for i, (number, name, place) in enumerate(self.settings):
            value = groups[number][name]
            if place is not None:
                if not isinstance(value, (tuple, list)) or place >= len(value):
                    return f"{name} of group {number} of {owner} holds fewer numbers"
                value = value[place]
            if value is last[i]:
                continue
            if name == "lr" and (type(value) is not float or not math.isfinite(value)):
                value = groups[number]["lr"] = self.optimizer._rate(value)
            elif not _is_setting(value):
                return f"{name} of group {number} of {owner} is no number any more"
            slots = self.optimizer.slots_of(groups[number])
            if slots != self.slots[number]:
                return (
                    f"{name} = {value!r} in group {number} of {owner} keeps other values "
                    f"({', '.join(slots) or 'none'})"
                )
            self.buffer[i] = value
            last[i] = value
        return None

    def _take_state(self, owner: str, age: Age) -> str | None:
        """Follows what was loaded or taken away, and how often each parameter was updated."""
        optimizer = self.optimizer
        state, counts = optimizer.state, optimizer.counts
        count: int | None = None
        for p, s in age.members:
            if state.get(p) is not s:
                return self._rejoin(age)
            if counts:
                now = s.get("step", 0)
                if count is None:
                    count = now
                elif now != count:
                    return f"the parameters of {owner} have not all been updated equally often"
        for s, slot, tensor in age.known:
            if s.get(slot) is not tensor:
                return self._rejoin(age)
        if counts and count is not None:
            age.count = count
            age.array[...] = count
        return None

    def _rejoin(self, age: Age) -> str | None:
        """Takes up a state that was exchanged; makes what is missing as an eager step would."""
        optimizer = self.optimizer
        group = optimizer.param_groups[age.group]
        made: set[bool] = set()
        members = []
        exchanged: dict[int, State] = {}
        for p, old in age.members:
            new = p not in optimizer.state
            s = optimizer.state[p]
            before = dict(s)
            self.created.append(partial(_put_back, optimizer, p, s, before, new))
            prepare_state(optimizer, group, p, s, age.slots)
            missing = [slot for slot in age.slots if slot not in s]
            if missing and age.fresh is None:
                self.failed()
                return f"{missing[0]} of a parameter is to be made anew"
            for slot in missing:
                s[slot] = wrap(np.zeros(p.shape, p.dtype))
            made.add(bool(missing))
            exchanged[id(old)] = s
            members.append((p, s))
        if len(made) > 1:
            self.failed()
            return "some parameters take their first step, others not"
        age.members = members
        age.is_new = made == {True}
        age.known = [(exchanged[id(s)], slot, exchanged[id(s)][slot]) for s, slot, _ in age.known]
        self.slot_inputs = [(exchanged.get(id(s), s), slot) for s, slot in self.slot_inputs]
        return self._take_state(type(optimizer).__name__, age)

    def alternates(self, other: Any) -> bool:
        """Whether one count and one state serve these steps and those of another program."""
        return type(other) is Steps and self._made_of() == other._made_of()

    def _made_of(self) -> Any:
        ages = [(a.group, a.start is None, a.fresh is None, [id(p) for p, _ in a.members])
                for a in self.ages]  # fmt: skip
        slots = [(id(s), slot) for s, slot in self.slot_inputs]
        return id(self.optimizer), list(self.settings), ages, slots

    def arrays(self) -> list[Any]:
        """What the program is given, in the order of `inputs`."""
        found = list(self.scalars)
        for age in self.ages:
            if age.start is not None:
                found.append(age.array)
            if age.fresh is not None:
                age.new_array[...] = age.is_new
                found.append(age.new_array)
        found += [s[slot]._value for s, slot in self.slot_inputs]
        return found

    @property
    def is_first(self) -> bool:
        """Whether the next run is the first update of some parameters, which runs after it are not:
        the program is told so once a turn."""
        return any(age.is_new for age in self.ages if age.fresh is not None)

    def done(self, times: int = 1) -> None:
        """After that many runs: the counts in `state` are those that the program has written.

        It may be called again, where an interrupt came in between.
        """
        if self.created:
            self.created.clear()
        for age in self.ages:
            age.is_new = False
            if age.start is not None:
                age.count = int(age.array)
                for _, s in age.members:
                    s["step"] = age.count

    def failed(self) -> None:
        """After a run that has changed nothing."""
        while self.created:
            self.created.pop()()


def _is_setting(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _put_back(optimizer: Optimizer, p: Tensor, s: State, before: State, new: bool) -> None:
    s.clear()
    s.update(before)
    if new:
        optimizer.state.pop(p, None)
