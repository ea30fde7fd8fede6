"""What is compared with PyTorch: optimizers on a small problem, and schedules, step by step.

The functions take a library (`torch` or `chainrule`, which share their names), so the script that
freezes and the tests that compare run the very same lines.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

STEPS, MIDDLE = 50, 25

rng = np.random.default_rng(3)
INPUT, TARGET = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
START = {
    "a": rng.normal(size=(3, 2)),
    "b": rng.normal(size=3),
    "late": rng.normal(size=4),
    "c": np.array(1.3),
    "idle": np.ones(2),
}


def loss_of(lib: Any, p: dict[str, Any], t: int) -> Any:
    """A small net with a quartic; `late` takes part in every third step, `idle` in none."""
    x, wanted = lib.tensor(INPUT, dtype=p["a"].dtype), lib.tensor(TARGET, dtype=p["a"].dtype)
    y = lib.tanh(x @ p["a"].T + p["b"]) * p["c"]
    loss = ((y - wanted) ** 2).mean() + 0.05 * (p["a"] ** 4).sum()
    return loss + (lib.sin(p["late"]) * p["late"]).sum() if t % 3 == 1 else loss


class Run(NamedTuple):
    """An optimizer and its settings; `second`: settings of a second group; `changes` by step."""

    kind: str
    settings: dict[str, Any]
    second: dict[str, Any] | None = None
    changes: dict[int, dict[str, Any]] = {}  # noqa: RUF012  (never written)

    @property
    def name(self) -> str:
        more = "" if self.second is None else f" {self.second}"
        changes = f" {self.changes}" if self.changes else ""
        inner = ", ".join(f"{k}={v}" for k, v in self.settings.items())
        return f"{self.kind}({inner}){more}{changes}"


RUNS = [
    Run("SGD", {"lr": 0.05}),
    Run("SGD", {"lr": 0.05, "weight_decay": 0.1}),
    Run("SGD", {"lr": 0.02, "momentum": 0.9}),
    Run("SGD", {"lr": 0.02, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    Run("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    Run("SGD", {"lr": 0.005, "momentum": 0.5, "maximize": True}),
    Run("SGD", {"lr": 0.02}, {"lr": 0.1, "momentum": 0.8, "dampening": 0.5}),
    Run("SGD", {"lr": 0.02}, None, {20: {"momentum": 0.9, "dampening": 0.5}, 30: {"lr": 0.05}}),
    Run("Adam", {"lr": 0.05}),
    Run("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    Run("Adam", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.01}),
    Run("Adam", {"lr": 0.02, "maximize": True, "weight_decay": 0.01}),
    Run("Adam", {"lr": 0.01}, {"lr": 0.1, "betas": (0.5, 0.9)}),
    Run("Adam", {"lr": 0.01}, None, {20: {"lr": 0.1}, 30: {"betas": (0.7, 0.99)}}),
    Run("AdamW", {"lr": 0.05}),
    Run("AdamW", {"lr": 0.05, "weight_decay": 0.3, "betas": (0.8, 0.95)}),
    Run("AdamW", {"lr": 0.05, "amsgrad": True}),
    Run("AdamW", {"lr": 0.02, "maximize": True}),
    Run("AdamW", {"lr": 0.01}, {"lr": 0.1, "weight_decay": 0.0}, {30: {"weight_decay": 0.2}}),
    Run("RMSprop", {"lr": 0.02}),
    Run("RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    Run("RMSprop", {"lr": 0.01, "momentum": 0.7}),
    Run("RMSprop", {"lr": 0.01, "centered": True}),
    Run("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.7, "weight_decay": 0.01}),
    Run("RMSprop", {"lr": 0.01, "maximize": True}),
    Run("RMSprop", {"lr": 0.01}, {"lr": 0.05, "alpha": 0.8}, {20: {"lr": 0.03}}),
    Run("Adagrad", {"lr": 0.1}),
    Run("Adagrad", {"lr": 0.2, "lr_decay": 0.05, "eps": 1e-3, "weight_decay": 0.1}),
    Run("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5}),
    Run("Adagrad", {"lr": 0.02, "maximize": True}),
    Run("Adagrad", {"lr": 0.1}, {"lr": 0.3, "lr_decay": 0.1}, {20: {"lr": 0.2}}),
]


def parameters(lib: Any, values: dict[str, Any] = START, dtype: str = "float64") -> dict[str, Any]:
    """The parameters of the problem, from arrays."""
    kind = getattr(lib, dtype)
    return {k: lib.tensor(v, dtype=kind, requires_grad=True) for k, v in values.items()}


def optimizer_of(lib: Any, run: Run, p: dict[str, Any]) -> Any:
    """The optimizer of a run, in one group or two."""
    kind = getattr(lib.optim, run.kind)
    if run.second is None:
        return kind(list(p.values()), **run.settings)
    first, rest = [p["a"], p["idle"]], [p["b"], p["late"], p["c"]]
    return kind([{"params": first}, {"params": rest, **run.second}], **run.settings)


def train(lib: Any, run: Run, opt: Any, p: dict[str, Any], steps: range) -> list[Any]:
    """All parameters, behind one another, after each step."""
    rows = []
    for t in steps:
        for group in opt.param_groups:
            group.update(run.changes.get(t, {}))
        opt.zero_grad()
        loss_of(lib, p, t).backward()
        opt.step()
        rows.append(flat(p))
    return rows


def flat(p: dict[str, Any]) -> Any:
    """All parameters as one array."""
    return np.concatenate([v.detach().numpy().copy().reshape(-1) for v in p.values()])


def unflat(row: Any) -> dict[str, Any]:
    """The parameters back from one array."""
    cuts = np.cumsum([v.size for v in START.values()])[:-1]
    parts = zip(START.items(), np.split(row, cuts), strict=True)
    return {name: part.reshape(v.shape) for (name, v), part in parts}


# ---------------------------------------------------------------- schedules


class Schedule(NamedTuple):
    """A schedule on an optimizer with two groups; `arguments(t)`: what step number t is given."""

    name: str
    make: Callable[[Any, Any], Any]
    steps: int = 60
    kind: str = "SGD"
    arguments: Callable[[int], tuple[Any, ...]] = lambda t: ()

    @property
    def of(self) -> str:
        return self.name.partition("(")[0]


def single(name: str, steps: int = 60, kind: str = "SGD", **settings: Any) -> Schedule:
    """A schedule made from its settings."""
    inner = ", ".join(f"{k}={v}" for k, v in settings.items())
    return Schedule(
        f"{name}({inner}) {kind}",
        lambda lib, opt: getattr(lib.optim.lr_scheduler, name)(opt, **settings),
        steps,
        kind,
    )


def sequence(milestones: list[int], *parts: tuple[str, dict[str, Any]]) -> Schedule:
    """Schedules one after the other."""

    def make(lib: Any, opt: Any) -> Any:
        s = lib.optim.lr_scheduler
        made = [getattr(s, name)(opt, **settings) for name, settings in parts]
        return s.SequentialLR(opt, made, milestones)

    return Schedule(f"SequentialLR({milestones}, {', '.join(n for n, _ in parts)})", make)


def chain(*parts: tuple[str, dict[str, Any]]) -> Schedule:
    """Schedules all at once."""

    def make(lib: Any, opt: Any) -> Any:
        s = lib.optim.lr_scheduler
        return s.ChainedScheduler([getattr(s, name)(opt, **settings) for name, settings in parts])

    return Schedule(f"ChainedScheduler({', '.join(n for n, _ in parts)})", make)


def chain_then_step(lib: Any, opt: Any) -> Any:
    """A chain as the first part of a sequence."""
    s = lib.optim.lr_scheduler
    first = s.ChainedScheduler([s.ConstantLR(opt, 0.5, 4), s.ExponentialLR(opt, 0.9)])
    return s.SequentialLR(opt, [first, s.StepLR(opt, 3, 0.5)], [10])


def two_by_hand(lib: Any, opt: Any) -> Any:
    """Two schedules on one optimizer, both stepped: chaining without a ChainedScheduler."""
    s = lib.optim.lr_scheduler
    parts = [s.LinearLR(opt, 0.25, total_iters=8), s.ExponentialLR(opt, 0.95)]

    class Both:
        def step(self) -> None:
            for part in parts:
                part.step()

        def get_last_lr(self) -> list[float]:
            return parts[-1].get_last_lr()

    return Both()


def warmup(steps: int, total: int, start: float, low: float) -> Schedule:
    """Warm-up and cosine; PyTorch puts it together from two schedules, up to the last step."""

    def make(lib: Any, opt: Any) -> Any:
        s = lib.optim.lr_scheduler
        if hasattr(s, "WarmupCosineLR"):
            return s.WarmupCosineLR(opt, steps, total, start, low)
        first = s.LambdaLR(opt, lambda t: start + (1 - start) * t / steps)
        return s.SequentialLR(opt, [first, s.CosineAnnealingLR(opt, total - steps, low)], [steps])

    return Schedule(f"WarmupCosineLR({steps}, {total}, {start}, {low})", make, total)


def plateau(measure: Callable[[int], float], **settings: Any) -> Schedule:
    """A schedule that is told a metric."""
    made = single("ReduceLROnPlateau", **settings)
    return made._replace(arguments=lambda t: (measure(t),))


def falling(t: int) -> float:
    """A loss that falls, stalls, falls a little and is nan once."""
    return float("nan") if t == 33 else max(3.0 - 0.2 * t, 1.0) - 0.002 * (t // 20)


SCHEDULES = [
    single("StepLR", step_size=7),
    single("StepLR", step_size=1, gamma=0.9),
    single("MultiStepLR", milestones=[30, 5, 5, 12], gamma=0.5),
    single("MultiStepLR", milestones=[0, 3], gamma=0.5),
    single("ConstantLR"),
    single("ConstantLR", factor=0.25, total_iters=12),
    single("ExponentialLR", gamma=0.93),
    single("LinearLR"),
    single("LinearLR", start_factor=1.0, end_factor=0.0, total_iters=30),
    single("LinearLR", start_factor=0.1, end_factor=0.7, total_iters=1),
    single("PolynomialLR", total_iters=20, power=2.5),
    single("PolynomialLR"),
    single("CosineAnnealingLR", T_max=9),
    single("CosineAnnealingLR", T_max=50, eta_min=0.01),
    single("CosineAnnealingLR", T_max=1),
    single("CosineAnnealingWarmRestarts", T_0=7),
    single("CosineAnnealingWarmRestarts", T_0=3, T_mult=2, eta_min=0.01),
    single("CosineAnnealingWarmRestarts", T_0=4, T_mult=3)._replace(
        name="CosineAnnealingWarmRestarts(T_0=4, T_mult=3) by points of time",
        arguments=lambda t: (t * 0.75,),
    ),
    Schedule(
        "LambdaLR(one for all)",
        lambda lib, opt: lib.optim.lr_scheduler.LambdaLR(opt, lambda t: 1 / (1 + t)),
    ),
    Schedule(
        "LambdaLR(one a group)",
        lambda lib, opt: lib.optim.lr_scheduler.LambdaLR(opt, [lambda t: 0.9**t, lambda t: t / 9]),
    ),
    Schedule(
        "MultiplicativeLR(one for all)",
        lambda lib, opt: lib.optim.lr_scheduler.MultiplicativeLR(opt, lambda t: 1 - 1 / (t + 2)),
    ),
    single("OneCycleLR", max_lr=0.5, total_steps=60),
    single("OneCycleLR", kind="Adam", max_lr=0.5, total_steps=60, three_phase=True),
    single("OneCycleLR", max_lr=0.5, total_steps=60, anneal_strategy="linear", pct_start=0.5),
    single("OneCycleLR", max_lr=[0.5, 0.1], epochs=6, steps_per_epoch=10, div_factor=10.0),
    single("OneCycleLR", 39, max_lr=0.5, total_steps=40, cycle_momentum=False),
    single(
        "OneCycleLR", 9, "Adam", max_lr=0.5, total_steps=9, base_momentum=[0.8, 0.7], pct_start=0.0
    ),
    sequence([5], ("LinearLR", {"start_factor": 0.2}), ("CosineAnnealingLR", {"T_max": 20})),
    sequence([4, 20], ("ConstantLR", {}), ("ExponentialLR", {"gamma": 0.9}), ("LinearLR", {})),
    sequence([0, 6], ("StepLR", {"step_size": 2}), ("PolynomialLR", {}), ("ConstantLR", {})),
    sequence([3], ("MultiStepLR", {"milestones": [1, 2]}), ("MultiStepLR", {"milestones": [0, 4]})),
    sequence(
        [6, 15],
        ("LinearLR", {}),
        ("CosineAnnealingWarmRestarts", {"T_0": 4}),
        ("StepLR", {"step_size": 3}),
    ),
    sequence([8], ("PolynomialLR", {}), ("OneCycleLR", {"max_lr": 0.5, "total_steps": 60})),
    chain(("StepLR", {"step_size": 6, "gamma": 0.5}), ("ExponentialLR", {"gamma": 0.97})),
    chain(
        ("LinearLR", {"total_iters": 9}), ("CosineAnnealingLR", {"T_max": 20}), ("ConstantLR", {})
    ),
    Schedule("SequentialLR(a chain first)", chain_then_step),
    Schedule("LinearLR(and ExponentialLR by hand)", two_by_hand),
    warmup(10, 60, 0.0, 0.0),
    warmup(5, 40, 0.2, 0.01),
    plateau(falling, patience=2, factor=0.5),
    plateau(falling, patience=0, factor=0.5, cooldown=3, threshold=0.05, threshold_mode="abs"),
    plateau(lambda t: -falling(t), mode="max", patience=3, factor=0.1, min_lr=[0.05, 0.001]),
    plateau(lambda t: 2 - falling(t), mode="max", patience=1, threshold_mode="abs", eps=0.02),
]


def scheduled(lib: Any, case: Schedule) -> tuple[Any, Any]:
    """An optimizer with two groups, and the schedule on it."""
    kind = getattr(lib.optim, case.kind)
    groups = [{"params": [v]} for v in parameters(lib).values()][:2]
    groups[1]["lr"] = 0.02
    more = {"momentum": 0.9} if case.kind == "SGD" else {}
    opt = kind(groups, lr=0.3, **more)
    return opt, case.make(lib, opt)


def row_of(opt: Any, scheduler: Any) -> list[float]:
    """lr and momentum of every group, and what the schedule says was set."""
    last = list(scheduler.get_last_lr())
    inertia = [g["betas"][0] if "betas" in g else g["momentum"] for g in opt.param_groups]
    return [*(g["lr"] for g in opt.param_groups), *inertia, *last]


def follow(case: Schedule, opt: Any, scheduler: Any, steps: range) -> list[list[float]]:
    """The rows of the steps of a schedule."""
    rows = []
    for t in steps:
        opt.step()
        scheduler.step(*case.arguments(t))
        rows.append(row_of(opt, scheduler))
    return rows


def sequence_of(lib: Any, case: Schedule) -> Any:
    """The rows of all steps of a schedule, beginning with its start."""
    opt, scheduler = scheduled(lib, case)
    return np.array(
        [row_of(opt, scheduler), *follow(case, opt, scheduler, range(1, case.steps + 1))]
    )


def public(module: Any, base: type) -> list[str]:
    """The names of a module's classes that derive from a base."""
    return [
        name
        for name, c in vars(module).items()
        if inspect.isclass(c) and issubclass(c, base) and c is not base
    ]


# ---------------------------------------------------------------- what is frozen


def array_of(value: Any) -> Any:
    """A copy of one entry of a state, which the next step overwrites."""
    return np.array(value.detach().numpy() if hasattr(value, "detach") else value)


def entries(lib: Any) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Every trajectory and sequence with `lib`, and the settings that its optimizers save."""
    found: dict[str, dict[str, Any]] = {}
    saved: dict[str, Any] = {}
    for run in RUNS:
        p = parameters(lib)
        opt = optimizer_of(lib, run, p)
        rows = train(lib, run, opt, p, range(1, MIDDLE + 1))
        state = opt.state_dict()
        held = {
            f"state/{number}/{key}": array_of(value)
            for number, s in state["state"].items()
            for key, value in s.items()
            if value is not None
        }
        saved[run.name] = [dict(group) for group in state["param_groups"]]
        rows += train(lib, run, opt, p, range(MIDDLE + 1, STEPS + 1))
        found[run.name] = {"values": np.array(rows), **held}
    for case in SCHEDULES:
        found[case.name] = {"rates": sequence_of(lib, case)}
    return found, {"param_groups": saved}
