"""Optimizer: the walk over parameter groups; each rule is one method, written in ops.

A rule sees one value p with its gradient g and its state, and returns the new value and the new
state: `update(p, g, state, h) -> p'`.  It is elementwise, so the base may hand it one tensor, or
all the small tensors of a group laid behind one another: the same bits, in a tenth of the calls.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, GradError, StateError
from ..ops.core import arrays, interpret, quietly
from ..tensor.autograd import enable_grad
from ..tensor.core import Tensor, wrap

Group = dict[str, Any]
State = dict[str, Any]
SMALL = 16384
"""Tensors of up to this many elements are laid behind one another for the update."""


def check_number(
    owner: str, name: str, value: Any, low: float = 0.0, high: float = math.inf,
    *, open_low: bool = False, open_high: bool = False,
) -> None:  # fmt: skip
    """Raises unless value is a finite number between low and high."""
    bounds = (
        f"{'(' if open_low else '['}{low}, {high}{')' if open_high or high == math.inf else ']'}"
    )
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise ArgumentTypeError(
            f"The {name!r} parameter of {owner} must be a number in the range {bounds}",
            got=f"{type(value).__name__} {value!r}",
        )
    inside = low < value if open_low else low <= value
    inside = inside and (value < high if open_high or high == math.inf else value <= high)
    if not inside:
        raise ArgumentError(
            f"The {name!r} parameter of {owner} must be a float in the range {bounds}",
            got=f"{value!r}",
        )


class Optimizer:
    """Base of all optimizers.

    params: tensors, (name, tensor) pairs, or dicts of both with their own settings (groups).
    A subclass lists its settings with defaults in `__init__`, checks them in `check`, says in
    `slots` what it keeps a tensor, and writes `update`.
    """

    slots: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, State] = defaultdict(dict)
        self.names: dict[int, str] = {}
        self._layouts: dict[int, Layout] = {}
        self._step_count = 0
        for group in self._as_groups(params):
            self.add_param_group(group)

    # ------------------------------------------------------------ the rule

    def check(self, group: Group) -> None:
        """Raises where a setting of a group is out of range."""

    def slots_of(self, group: Group) -> tuple[str, ...]:
        """Which values the rule keeps for every element, under the settings of a group."""
        return self.slots

    def initial(self, slot: str, group: Group) -> float:
        """What a slot starts with."""
        return 0.0

    def prepare(self, group: Group, step: int) -> State:
        """The settings of a group as plain numbers for step 1, 2, ...: what `update` calls h."""
        return group

    def update(self, p: Any, g: Any, s: State, h: Mapping[str, Any]) -> Any:
        """The new value of p; the new values of the slots are written into s."""
        raise NotImplementedError

    # ------------------------------------------------------------ groups

    def _as_groups(self, params: Any) -> list[Group]:
        if isinstance(params, (Tensor, dict)):
            raise ArgumentTypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts",
                got=type(params).__name__,
                fix="[tensor], or model.parameters()",
            )
        listed = list(params)
        if not listed:
            raise ArgumentError(
                "optimizer got an empty parameter list",
                fix="was the generator used up before? are submodules in a plain list instead of "
                "an nn.ModuleList?",
            )
        return listed if isinstance(listed[0], dict) else [{"params": listed}]

    def add_param_group(self, param_group: Group) -> None:
        """Adds parameters with settings of their own; what is not said comes from the defaults."""
        if not isinstance(param_group, dict):
            raise ArgumentTypeError(
                "add_param_group: a group is a dict", got=type(param_group).__name__
            )
        unknown = set(param_group) - set(self.defaults) - {"params", "initial_lr", "name"}
        if unknown:
            raise ArgumentError(
                f"{type(self).__name__}: unknown setting {sorted(unknown)[0]!r} in a group",
                expected=", ".join(self.defaults),
            )
        group = {**self.defaults, **param_group}
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        if not params:
            raise ArgumentError("optimizer got an empty parameter list", got="an empty group")
        tensors = []
        for p in params:
            if isinstance(p, tuple) and len(p) == 2:
                self.names[id(p[1])] = p[0]
                p = p[1]
            tensors.append(p)
        self._check_parameters(tensors)
        group["params"] = tensors
        self.check(group)
        self.param_groups.append(group)

    def _check_parameters(self, tensors: list[Any]) -> None:
        held = {id(p) for g in self.param_groups for p in g["params"]}
        for i, p in enumerate(tensors):
            if not isinstance(p, Tensor):
                raise ArgumentTypeError(
                    f"optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__name__}",
                    got=f"{p!r} at place {i}"[:80],
                )
            if not p.is_leaf:
                raise LeafError(
                    "can't optimize a non-leaf Tensor",
                    got=f"place {i}: {p.grad_fn!r}",
                    fix="the tensor that it was computed from, or .detach().requires_grad_()",
                )
            if id(p) in held:
                raise ArgumentError(
                    "some parameters appear in more than one parameter group, or twice in one",
                    got=f"place {i}, shape {p.shape}",
                )
            held.add(id(p))

    # ------------------------------------------------------------ a step

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops every gradient (or fills it with zeros)."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                elif p._grad is not None:
                    p._grad = p._grad.detach().zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient; a closure computes the loss first."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._step_count += 1
        with quietly(), interpret(arrays):
            for i, group in enumerate(self.param_groups):
                ready = [p for p in group["params"] if p._grad is not None]
                if ready:
                    self._layout(i, group, ready).step(self, group)
        return loss

    def _layout(self, i: int, group: Group, ready: list[Tensor]) -> Layout:
        layout = self._layouts.get(i)
        key = tuple([id(p) for p in ready])
        if layout is None or layout.key != key:
            layout = self._layouts[i] = Layout(self, group, ready, key)
        return layout

    # ------------------------------------------------------------ state

    def state_dict(self, names: Mapping[int, str] | None = None) -> dict[str, Any]:
        """Settings and state.  Parameters are numbered as in PyTorch, and named where known."""
        named = self.names if names is None else names
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers[id(p)] = len(numbers)
            packed = {k: v for k, v in group.items() if k != "params"}
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            if any(id(p) in named for p in group["params"]):
                packed["param_names"] = [named.get(id(p), "") for p in group["params"]]
            groups.append(packed)
        state = {
            numbers[id(p)]: {k: (wrap(v.copy()) if isinstance(v, np.ndarray) else v)
                             for k, v in s.items()}
            for p, s in self.state.items()
            if s
        }  # fmt: skip
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over settings and state; raises before anything changes where they do not fit.

        State is matched by name where both sides know names, else by position.
        """
        groups = state_dict["param_groups"]
        self._check_state(groups)
        by_number: dict[int, Tensor] = {}
        for mine, theirs in zip(self.param_groups, groups, strict=True):
            by_name = {self.names.get(id(p)): p for p in mine["params"]}
            listed = theirs.get("param_names")
            for place, number in enumerate(theirs["params"]):
                named = by_name.get(listed[place]) if listed else None
                by_number[number] = mine["params"][place] if named is None else named
        fresh: dict[Tensor, State] = defaultdict(dict)
        for number, s in state_dict["state"].items():
            p = by_number[int(number)]
            fresh[p] = {k: _loaded(p, k, v) for k, v in s.items()}
        for mine, theirs in zip(self.param_groups, groups, strict=True):
            mine.update({k: v for k, v in theirs.items() if k not in ("params", "param_names")})
        self.state = fresh
        self._layouts.clear()

    def _check_state(self, groups: Any) -> None:
        if len(groups) != len(self.param_groups):
            raise StateError(
                "loaded state dict has a different number of parameter groups",
                expected=str(len(self.param_groups)),
                got=str(len(groups)),
            )
        for mine, theirs in zip(self.param_groups, groups, strict=True):
            a, b = len(mine["params"]), len(theirs["params"])
            if a != b:
                raise StateError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    "optimizer's group",
                    expected=f"{a} parameters",
                    got=f"{b} parameters",
                    fix="the optimizer of the same model, with the same groups",
                )
            known = {self.names.get(id(p)) for p in mine["params"]}
            if None not in known:
                for name in theirs.get("param_names", ()):
                    if name and name not in known:
                        raise StateError(
                            f"loaded state dict holds state for {name!r}, which this optimizer "
                            "does not have",
                            expected=", ".join(sorted(str(k) for k in known))[:80],
                        )

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])


class LeafError(GradError, ArgumentError):
    """A tensor with history where a leaf is needed."""


def _loaded(p: Tensor, name: str, v: Any) -> Any:
    if not isinstance(v, (Tensor, np.ndarray)):
        return v
    value = v._value if isinstance(v, Tensor) else v
    if name == "step" or (value.ndim == 0 and p.ndim):
        return int(value)
    if value.shape != p.shape:
        raise StateError(
            f"loaded state {name!r} does not fit its parameter",
            expected=str(p.shape),
            got=str(value.shape),
        )
    return value.astype(p.dtype)


class Layout:
    """How the parameters of a group are laid out for the update: small ones behind one another.

    The state of every parameter is a part of one buffer a slot, so it can still be read and saved
    by parameter.
    """

    def __init__(
        self, optimizer: Optimizer, group: Group, ready: list[Tensor], key: tuple[int, ...]
    ) -> None:
        self.key = key
        self.params = ready
        self.slots = optimizer.slots_of(group)
        self.batches: list[Batch] = []
        small: dict[tuple[Any, int], list[Tensor]] = defaultdict(list)
        for p in ready:
            s = optimizer.state[p]
            s.setdefault("step", 0)
            for slot in self.slots:
                if slot not in s:
                    s[slot] = np.full(p.shape, optimizer.initial(slot, group), p.dtype)
            if p._value.size <= SMALL:
                small[p.dtype, s["step"]].append(p)
            else:
                self.batches.append(Batch(optimizer, [p], self.slots))
        for members in small.values():
            self.batches.append(Batch(optimizer, members, self.slots))

    def step(self, optimizer: Optimizer, group: Group) -> None:
        """One update of all."""
        for batch in self.batches:
            batch.step(optimizer, group)


class Batch:
    """Parameters that are updated in one go, with one step count."""

    def __init__(self, optimizer: Optimizer, params: list[Tensor], slots: tuple[str, ...]) -> None:
        self.params = params
        self.states = [optimizer.state[p] for p in params]
        self.count = int(self.states[0]["step"])
        self.values: State = {}
        for slot in slots:
            parts = [s[slot] for s in self.states]
            whole = parts[0] if len(parts) == 1 else np.concatenate([v.reshape(-1) for v in parts])
            self.values[slot] = whole
            self._share(slot, whole)

    def _share(self, slot: str, whole: Any) -> None:
        """Makes each parameter's state the part of the buffer that belongs to it."""
        if len(self.params) == 1:
            self.states[0][slot] = whole
            return
        start = 0
        for p, s in zip(self.params, self.states, strict=True):
            size = p._value.size
            s[slot] = whole[start : start + size].reshape(p.shape)
            start += size

    def step(self, optimizer: Optimizer, group: Group) -> None:
        """The rule on the whole batch; parameters are written in place."""
        params = self.params
        self.count += 1
        h = optimizer.prepare(group, self.count)
        single = len(params) == 1
        if single:
            p, g = params[0]._value, params[0]._grad._value  # type: ignore[union-attr]
        else:
            p = np.concatenate([t._value.reshape(-1) for t in params])
            g = np.concatenate([t._grad._value.reshape(-1) for t in params])  # type: ignore[union-attr]
        if group.get("maximize"):
            g = -g
        slots = dict(self.values)
        new = optimizer.update(p, g, slots, h)
        for name, held in self.values.items():
            if slots[name] is not held:
                np.copyto(held, slots[name])
        start = 0
        for t, s in zip(params, self.states, strict=True):
            s["step"] = self.count
            value = t._value
            size = value.size
            np.copyto(value, new if single else new[start : start + size].reshape(value.shape))
            start += size
            t._note_write()
