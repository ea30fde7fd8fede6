"""Optimizers and schedules: scikit-learn's own rules, and anything that chainrule.optim has."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from .. import optim
from ..errors import ArgumentTypeError
from ..ops import sqrt
from ..optim.arguments import check_number
from ..optim.lr_scheduler import LRScheduler
from ..optim.optimizer import Group, Optimizer, State
from ..tensor.core import Tensor


class VelocitySGD(Optimizer):
    """v' = momentum v - lr g;  p' = p + v', or p + momentum v' - lr g with nesterov.

    scikit-learn's SGD: the lr is part of the velocity, so a new lr acts on later gradients only.
    The same as optim.SGD for as long as the lr stays.  lr > 0, momentum in [0, 1], nesterov: bool.
    """

    counts = False

    def __init__(self, params: Any, lr: float, momentum: float, nesterov: bool) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov})

    def check(self, group: Group) -> None:
        check_number("SGD", "lr", group["lr"])
        check_number("SGD", "momentum", group["momentum"])

    def slots_of(self, group: Group) -> tuple[str, ...]:
        return ("velocity",)

    def update(self, p: Any, g: Any, s: State, h: Mapping[str, Any]) -> Any:
        v = s["velocity"] = s["velocity"] * h["momentum"] - g * h["lr"]
        return p + (v * h["momentum"] - g * h["lr"] if h["nesterov"] else v)


class PlainEpsilonAdam(optim.Adam):
    """p' = p - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps): eps is not scaled by the bias.

    scikit-learn's Adam, which is the short form at the end of section 2 of Kingma and Ba 2014.
    Arguments and state are those of optim.Adam.
    """

    def prepare(self, group: Group, step: int) -> State:
        return {**super().prepare(group, step), "eps": group["eps"]}

    def update(self, p: Any, g: Any, s: State, h: Mapping[str, Any]) -> Any:
        m = s["exp_avg"] = s["exp_avg"] * h["b1"] + g * (1 - h["b1"])
        v = s["exp_avg_sq"] = s["exp_avg_sq"] * h["b2"] + g * g * (1 - h["b2"])
        return p - m / (sqrt(v) + h["eps"]) * h["rate"]


def _classes(module: Any, base: type) -> dict[str, Any]:
    found = {n: c for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, base)}
    return {n: c for n, c in found.items() if c is not base}


OPTIMIZERS: dict[str, Any] = _classes(optim, Optimizer)
SCHEDULES: dict[str, Any] = _classes(optim.lr_scheduler, LRScheduler)
OWN = ("sgd", "adam")
MODES = ("constant", "invscaling", "adaptive")


def own_settings(est: Any) -> dict[str, Any]:
    """The settings of scikit-learn's two solvers, as an estimator has them."""
    if est.solver == "sgd":
        momentum, nesterov = float(est.momentum), bool(est.nesterovs_momentum)
        return {"lr": float(est.learning_rate_init), "momentum": momentum, "nesterov": nesterov}
    betas = float(est.beta_1), float(est.beta_2)
    return {"lr": float(est.learning_rate_init), "betas": betas, "eps": float(est.epsilon)}


def make_optimizer(est: Any, named: Any) -> Optimizer:
    """The optimizer that `solver` names, is, or makes, for named parameters."""
    if est.solver in OWN:
        kind: Any = VelocitySGD if est.solver == "sgd" else PlainEpsilonAdam
        return kind(named, **own_settings(est))
    options = dict(est.solver_params or {})
    wanted = OPTIMIZERS[est.solver] if isinstance(est.solver, str) else est.solver
    if isinstance(wanted, type):
        options = {"lr": float(est.learning_rate_init), **options}
    return _made("solver", wanted, named, options, Optimizer)


def make_schedule(est: Any, optimizer: Optimizer, before: int, rows: int) -> Any:
    """What `learning_rate` names, is, or makes; None where nothing follows the epochs.

    before, rows: rows learned from so far, and in an epoch: 'invscaling' goes by them.
    """
    mode = est.learning_rate
    if mode == "invscaling" and est.solver != "adam":
        return InverseScaling(optimizer, est.power_t, before, rows)
    if isinstance(mode, str) and mode in MODES:
        return None
    wanted = SCHEDULES[mode] if isinstance(mode, str) else mode
    return _made("learning_rate", wanted, optimizer, est.learning_rate_params or {}, LRScheduler)


def as_arrays(optimizer: Optimizer) -> dict[str, Any]:
    """The state_dict of an optimizer, in numbers and arrays: what `load_state_dict` takes."""
    found = optimizer.state_dict()
    for state in found["state"].values():
        state.update({k: v._value for k, v in state.items() if isinstance(v, Tensor)})
    return found


def _made(name: str, wanted: Any, first: Any, options: Mapping[str, Any], kind: type) -> Any:
    check_options(f"{name}_params", wanted, (first,), options)
    made = wanted(first, **options)
    if not isinstance(made, kind):
        raise ArgumentTypeError(
            f"the function given as {name} made something else",
            expected=f"an instance of {kind.__name__}", got=type(made).__name__, line="",
        )  # fmt: skip
    return made


def check_options(
    name: str, wanted: Any, first: tuple[Any, ...], options: Mapping[str, Any]
) -> None:
    """Raises where arguments don't fit what is to be made with them, before it is made.

    name: what the arguments are called.  first: what is given to it besides.
    """
    try:
        signature = inspect.signature(wanted)
    except (TypeError, ValueError):  # of C code
        return
    try:
        signature.bind(*first, **options)
    except TypeError as error:
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        known = [p.name for p in signature.parameters.values() if p.kind not in kinds]
        called = getattr(wanted, "__name__", type(wanted).__name__)
        raise ArgumentTypeError(
            f"{name} must be the arguments of {called}", line="",
            got=str(error).removeprefix("got "),
            expected=", ".join(n for n in known[len(first) :] if n != "lr") or "none",
        ) from None  # fmt: skip


class InverseScaling(LRScheduler):
    """lr = lr_0 / (t + 1)^power, with t the rows learned from by the end of an epoch.

    before: rows learned from before the first of these epochs.  rows: of an epoch.
    """

    def __init__(self, optimizer: Optimizer, power: float, before: int, rows: int) -> None:
        self.power, self.before, self.rows = power, before, rows
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        """The lr of every group after `last_epoch` epochs; the first one is lr_0."""
        if not self.last_epoch:
            return self.base_lrs
        seen = self.before + self.rows * self.last_epoch
        return [lr / (seen + 1) ** self.power for lr in self.base_lrs]


class ByEpoch:
    """A schedule that goes by epochs, as one that goes by steps: every `steps`-th step counts."""

    def __init__(self, inner: LRScheduler, steps: int) -> None:
        self.inner, self.steps, self.made = inner, steps, 0

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer whose lr is set."""
        return self.inner.optimizer

    def step(self) -> None:
        """Counts a step; the last one of an epoch moves the schedule."""
        self.made += 1
        if self.made % self.steps == 0:
            self.inner.step()

    def state_dict(self) -> dict[str, Any]:
        """Where it stands."""
        return {"made": self.made, "inner": self.inner.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes back to where it stood."""
        self.made = state["made"]
        self.inner.load_state_dict(state["inner"])
