"""Optimizer: the walk over parameter groups; each rule is one method, written in ops.

A rule sees one value p with its gradient g and its state, and returns the new value:
`update(p, g, state, h) -> p'`.  It works element by element, so the base may hand it one tensor,
or all the small tensors of a group laid behind one another (see `layout`).
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError
from ..ops.core import arrays, current, quietly
from ..tensor.autograd import drop_gradients, enable_grad
from ..tensor.core import Tensor, wrap
from ..tensor.looking import no_trace
from ..tensor.reached import OptimizerLike
from .arguments import LeafError, OptimizerStateError, brief, brief_list, check_number
from .layout import Layout
from .untouched import note_optimizer

if TYPE_CHECKING:
    from ..tensor.tracing import Trace

Group = dict[str, Any]
State = dict[str, Any]
PLACES = frozenset({"params", "param_names"})
EXTRAS = PLACES | {"name", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"}
"""What a group may hold besides the settings: schedulers keep their marks there."""
WAYS = frozenset({"foreach", "fused", "capturable", "differentiable"})
"""PyTorch's settings that say how a step is carried out and not what it computes."""


class Optimizer(OptimizerLike):
    """Base of all optimizers: p' = update(p, g, state, settings) for every p with a gradient g.

    params: tensors, (name, tensor) pairs, or dicts {"params": ..., "lr": ..., ...}: groups with
    settings of their own.  Settings live in `param_groups` and may be changed between steps;
    `state[p]` holds what the rule keeps for p.  With names (`model.named_parameters()`) the state
    is saved and found again by name.

    A subclass lists its settings with defaults in `__init__`, checks them in `check`, says in
    `slots_of` what it keeps, and writes `update` in ops.

    >>> import chainrule
    >>> class SignDescent(chainrule.optim.Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...     def update(self, p, g, s, h):
    ...         return p - chainrule.ops.sign(g) * h["lr"]
    >>> w = chainrule.tensor([1.0, 2.0], requires_grad=True)
    >>> opt = SignDescent([w])
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.9000, 1.9000], requires_grad=True)
    """

    counts: ClassVar[bool] = True
    """Whether state[p]["step"] counts the updates of p."""
    fixed: ClassVar[frozenset[str]] = frozenset()
    """Number settings that decide how a step is carried out, such as a count of iterations."""

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = _plain(defaults)
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, State] = defaultdict(dict)
        self._names: dict[Tensor, str] = {}
        self._layouts: dict[int, Layout] = {}
        for group in self._as_groups(params):
            self.add_param_group(group)

    # ------------------------------------------------------------ the rule

    def check(self, group: Group) -> None:
        """Raises where a setting of a group is out of range."""
        check_number(type(self).__name__, "lr", group["lr"])

    def slots_of(self, group: Group) -> tuple[str, ...]:
        """Which values the rule keeps for every element, under the settings of a group."""
        return ()

    def initial(self, slot: str, group: Group) -> float | None:
        """What a slot starts with; None where the rule itself makes it, at its first step."""
        return 0.0

    def prepare(self, group: Group, step: int) -> Mapping[str, Any]:
        """The settings of a group for step 1, 2, ...: what `update` calls h.

        While a compiled function is recorded, numbers in `group` and `step` are nodes: operators
        and ops work on them, `math` does not (see `arguments.root`).
        """
        return group

    def update(self, p: Any, g: Any, s: State, h: Mapping[str, Any]) -> Any:
        """The new value of p; the new values of the slots are written into s."""
        raise NotImplementedError(f"{type(self).__name__} has no update(): write one")

    # ------------------------------------------------------------ groups

    def _as_groups(self, params: Any) -> list[Any]:
        if isinstance(params, (Tensor, dict, set, frozenset)) or not isinstance(params, Iterable):
            raise ArgumentTypeError(
                "params argument given to the optimizer should be an ordered iterable of Tensors "
                "or dicts",
                got=brief(params),
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
        owner = type(self).__name__
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise ArgumentTypeError(
                f"{owner}: a parameter group is a dict with 'params'", got=brief(param_group)
            )
        unknown = sorted(set(param_group) - set(self.defaults) - EXTRAS)
        if unknown:
            raise ArgumentError(
                f"{owner}: unknown setting {unknown[0]!r} in a parameter group",
                expected=", ".join(self.defaults),
            )
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else self._as_groups(params)[0]["params"]
        names = {p[1]: p[0] for p in params if _is_named(p)}
        tensors = [p[1] if _is_named(p) else p for p in params]
        self._check_parameters(tensors)
        if names and len(names) != len(tensors):
            raise ArgumentError(
                f"{owner}: all parameters of a group come with a name, or none does",
                got=f"{len(names)} names for {len(tensors)} parameters",
            )
        group = {**self.defaults, **_plain(param_group), "params": tensors}
        self.check(group)
        self._names.update(names)
        self.param_groups.append(group)

    def _check_parameters(self, tensors: list[Any]) -> None:
        held = {id(p) for g in self.param_groups for p in g["params"]}
        for i, p in enumerate(tensors):
            if not isinstance(p, Tensor):
                raise ArgumentTypeError(
                    f"optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__name__}",
                    got=f"{brief(p)} at place {i}",
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

    def name_parameters(self, named: Iterable[tuple[str, Tensor]]) -> None:
        """Tells the names of parameters, e.g. model.named_parameters(): for state by name."""
        held = {p for group in self.param_groups for p in group["params"]}
        self._names.update({p: name for name, p in named if p in held})

    # ------------------------------------------------------------ a step

    def _reached(self, trace: Trace) -> None:
        note_optimizer(trace, self)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops every gradient (or fills it with zeros)."""
        if current.trace is not None:
            note_optimizer(current.trace, self)
        for group in self.param_groups:
            drop_gradients(group["params"], set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient; a closure computes the loss first."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        trace = current.trace
        if trace is not None:
            from .recorded import recorded_step  # loaded when first used

            recorded_step(trace, self)
            return loss
        for group in self.param_groups:
            lr = group["lr"]
            if type(lr) is not float or not math.isfinite(lr):
                group["lr"] = self._rate(lr)
        outer = current.interpreter
        with quietly():
            current.interpreter = arrays
            try:
                for i, group in enumerate(self.param_groups):
                    layout = self._layouts.get(i)
                    if layout is None or not layout.fits(self, group):
                        layout = self._layouts[i] = Layout(self, group)
                    layout.step(self, group)
            finally:
                current.interpreter = outer
        return loss

    def _rate(self, lr: Any) -> float:
        """A learning rate that somebody set, as a Python number: it leaves float32 as it is."""
        check_number(type(self).__name__, "lr", lr, -math.inf)
        return float(lr)

    # ------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """A copy of settings and state.  Parameters are numbered as in PyTorch, and named where
        the names are known: {"state": {0: {...}}, "param_groups": [{"params": [0], ...}]}.
        """
        numbers: dict[Tensor, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers[p] = len(numbers)
            packed = {k: v for k, v in group.items() if k not in PLACES}
            packed["params"] = [numbers[p] for p in group["params"]]
            if all(p in self._names for p in group["params"]):
                packed["param_names"] = [self._names[p] for p in group["params"]]
            groups.append(packed)
        state = {
            number: {k: v.detach().clone() if isinstance(v, Tensor) else v for k, v in s.items()}
            for p, number in numbers.items()
            if (s := self.state.get(p))
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over settings and state; raises before anything changes where they do not fit.

        State is matched by name where both sides know the names of a group, else by position.
        """
        no_trace(f"{type(self).__name__}.load_state_dict()", "load outside the compiled function")
        if not isinstance(state_dict, Mapping) or {"state", "param_groups"} - set(state_dict):
            raise OptimizerStateError(
                f"{type(self).__name__}: this is not the state of an optimizer",
                expected="a dict with 'state' and 'param_groups'",
                got=brief(state_dict),
            )
        groups = state_dict["param_groups"]
        if len(groups) != len(self.param_groups):
            raise OptimizerStateError(
                "loaded state dict has a different number of parameter groups",
                expected=str(len(self.param_groups)),
                got=str(len(groups)),
            )
        owners: dict[int, Tensor] = {}
        for mine, theirs in zip(self.param_groups, groups, strict=True):
            owners.update(self._match(mine, theirs))
        fresh: dict[Tensor, State] = defaultdict(dict)
        for number, s in state_dict["state"].items():
            p = owners.get(int(number))
            if p is None:
                raise OptimizerStateError(
                    "loaded state dict holds state of a parameter that is in no group",
                    expected=f"a number in [0, {len(owners) - 1}]",
                    got=str(number),
                )
            place = self._names.get(p, f"parameter {number}")
            fresh[p] = {k: _loaded(p, place, k, v) for k, v in s.items() if v is not None}
        settings = [{k: v for k, v in g.items() if k not in WAYS | PLACES} for g in groups]
        for mine, new in zip(self.param_groups, settings, strict=True):
            self._check_settings(mine, new)
        for mine, new in zip(self.param_groups, settings, strict=True):
            mine.update(_plain(new))
        self.state = fresh

    def _match(self, mine: Group, theirs: Mapping[str, Any]) -> dict[int, Tensor]:
        """Which of a group's parameters each number of a saved group stands for."""
        params, numbers = mine["params"], [int(n) for n in theirs["params"]]
        listed: list[str] = theirs.get("param_names") or []
        by_name = {self._names[p]: p for p in params if p in self._names}
        named = bool(listed) and len(by_name) == len(params)
        strange = [n for n in listed if n not in by_name] if named else []
        strange += [n for n in by_name if n not in listed] if named else []
        if len(params) != len(numbers):
            raise OptimizerStateError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group",
                expected=f"{len(params)} parameters",
                got=f"{len(numbers)} parameters"
                + (f", the first that differs is {strange[0]!r}" if strange else ""),
                fix="the optimizer of the same model, with the same groups",
            )
        if strange:
            raise OptimizerStateError(
                f"loaded state dict holds state for {strange[0]!r}, which this optimizer does not "
                "have",
                expected=f"{len(params)} parameters: {brief_list(sorted(by_name))}",
                got=f"{len(numbers)} parameters, the first that differs is {strange[0]!r}",
                fix="the optimizer of the same model, with the same groups",
            )
        return dict(zip(numbers, [by_name[n] for n in listed] if named else params, strict=True))

    def _check_settings(self, mine: Group, new: Group) -> None:
        """Raises where the settings of a saved group are those of another kind of optimizer."""
        missing = [name for name in self.defaults if name not in new]
        if missing:
            raise OptimizerStateError(
                f"loaded state dict has no setting {missing[0]!r}, which {type(self).__name__} "
                "needs",
                got=brief_list(sorted(new)),
                fix=f"the state of an optimizer of the kind {type(self).__name__}",
            )
        lr = new["lr"]  # a schedule may have taken it below 0, as PyTorch's can
        usable = abs(lr) if isinstance(lr, (int, float, np.number)) else lr
        self.check({**mine, **_plain(new), "lr": usable})

    def __deepcopy__(self, memo: dict[int, Any]) -> Optimizer:
        out = type(self).__new__(type(self))
        memo[id(self)] = out
        for name, value in self.__dict__.items():
            out.__dict__[name] = {} if name == "_layouts" else copy.deepcopy(value, memo)
        return out

    def _repr_html_(self) -> str:
        from .html import optimizer_html

        return optimizer_html(self)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in sorted(group.items()) if k != "params"]
        return "\n".join([*lines, ")"])


def _is_named(p: Any) -> bool:
    return isinstance(p, tuple) and len(p) == 2 and isinstance(p[1], Tensor)


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """NumPy's numbers as Python's, which leave the type of float32 values as it is."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in settings.items()}


def _loaded(p: Tensor, place: str, name: str, v: Any) -> Any:
    """One entry of a loaded state, as a value of its own in the parameter's dtype."""
    if isinstance(v, Tensor):
        value = v._value
    elif hasattr(v, "__array__"):
        value = np.asarray(v)
    else:
        return v
    if name == "step":
        return int(value)
    if value.shape != p.shape:
        raise OptimizerStateError(
            f"loaded state dict: {name} of {place} does not fit",
            expected=str(p.shape),
            got=str(value.shape),
            fix="the optimizer of the same model; names (model.named_parameters()) find another "
            "order",
        )
    return wrap(value.astype(p.dtype))
