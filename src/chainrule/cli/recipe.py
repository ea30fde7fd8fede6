"""A recipe: every choice of a training as plain values, and what is built from them.

A run folder keeps the recipe in config.json; the same recipe gives the same bits.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import click
import numpy as np

from .. import data, nn, optim
from ..data import TensorDataset, random_split
from ..errors import ArgumentError, FormatError, some_names
from ..ops.core import is_number
from ..optim import Optimizer, lr_scheduler
from ..tensor.core import Tensor, wrap
from ..tensor.create import tensor
from ..tensor.random import Generator, manual_seed
from ..train import Callback, EarlyStopping, Trainer
from .app import UsageProblem

SPLIT_SEED = 0
"""The validation rows are the same for every seed of a training."""
WARMUP = 0.05
"""Share of the steps in which the cosine schedule warms up."""


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, and how."""

    data: str
    layers: tuple[int, ...] = (256, 128)
    activation: str = "relu"
    dropout: float = 0.3
    init: str = "default"
    label_smoothing: float = 0.1
    optimizer: str = "adamw"
    lr: float = 3e-3
    momentum: float = 0.0
    weight_decay: float = 0.01
    clip_grad_norm: float | None = None
    schedule: str = "cosine"
    batch_size: int = 64
    epochs: int = 60
    steps: int | None = None
    tol: float | None = None
    val_fraction: float = 0.1
    patience: int | None = 20
    seed: int = 0
    eager: bool = False

    def to_config(self) -> dict[str, Any]:
        """For config.json."""
        return {**asdict(self), "layers": list(self.layers)}


SMALL: dict[str, Any] = {
    "layers": (16, 16), "activation": "tanh", "dropout": 0.0, "label_smoothing": 0.0,
    "optimizer": "adam", "lr": 0.01, "weight_decay": 0.0, "batch_size": 32, "val_fraction": 0.2,
}  # fmt: skip
DATA: dict[str, dict[str, Any]] = {
    "digits": {}, "moons": SMALL, "circles": SMALL, "spiral": SMALL | {"layers": (32, 32)},
    "xor": SMALL,
}  # fmt: skip
"""The data sets, with what differs from the defaults of `Recipe`."""

LR = {"sgd": 0.1, "adam": 3e-3, "adamw": 3e-3, "rmsprop": 1e-3, "adagrad": 1e-2}
"""The learning rate of each optimizer unless it is said."""
WITH_MOMENTUM = ("sgd", "rmsprop")

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "gelu": nn.GELU, "silu": nn.SiLU,
    "softplus": nn.Softplus, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "selu": nn.SELU,
    "mish": nn.Mish,
}  # fmt: skip

INITS: dict[str, Callable[[Tensor], Tensor] | None] = {
    "default": None, "xavier": nn.init.xavier_uniform_,
    "kaiming": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
}  # fmt: skip

OPTIMIZERS: dict[str, Callable[[Any, Recipe], Optimizer]] = {
    "sgd": lambda p, r: optim.SGD(p, r.lr, r.momentum, weight_decay=r.weight_decay),
    "adam": lambda p, r: optim.Adam(p, r.lr, weight_decay=r.weight_decay),
    "adamw": lambda p, r: optim.AdamW(p, r.lr, weight_decay=r.weight_decay),
    "rmsprop": lambda p, r: optim.RMSprop(
        p, r.lr, momentum=r.momentum, weight_decay=r.weight_decay
    ),
    "adagrad": lambda p, r: optim.Adagrad(p, r.lr, weight_decay=r.weight_decay),
}

SCHEDULES: dict[str, Callable[[Optimizer, Recipe, int], Any]] = {
    "cosine": lambda o, r, total: lr_scheduler.WarmupCosineLR(
        o, int(WARMUP * total), total, warmup_start=0.1
    ),
    "constant": lambda o, r, total: None,
    "linear": lambda o, r, total: lr_scheduler.LinearLR(o, 1.0, 0.0, total),
    "step": lambda o, r, total: lr_scheduler.StepLR(o, max(math.ceil(total / 3), 1)),
    "onecycle": lambda o, r, total: lr_scheduler.OneCycleLR(
        o, r.lr, total, cycle_momentum=r.optimizer in ("adam", "adamw") or r.momentum > 0
    ),
    "plateau": lambda o, r, total: lr_scheduler.ReduceLROnPlateau(o, patience=5),
}
BY_EPOCH = ("plateau",)


KINDS: dict[str, Any] = {
    "data": DATA, "activation": ACTIVATIONS, "init": INITS, "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}  # fmt: skip
"""The choices that are names."""


class Standardize(nn.Module):
    """y = (x - mean) / std, with numbers that belong to the model and are not learned."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("mean", tensor(mean))
        self.register_buffer("std", tensor(std))

    def forward(self, x: Tensor) -> Tensor:
        """x on the scale of the training data."""
        return (x - self.mean) / self.std


@dataclass
class Parts:
    """What a recipe makes."""

    model: nn.Sequential
    loss: nn.Module
    optimizer: Optimizer
    scheduler: Any
    schedule_by: str
    train: Any
    validation: Any
    test: TensorDataset
    total_steps: int
    steps_per_epoch: int


@dataclass(frozen=True)
class Sets:
    """Inputs (rows, features) and classes, to learn from and held out."""

    train: TensorDataset
    test: TensorDataset
    names: tuple[str, ...]


def load(name: str) -> Sets:
    """A data set with its fixed split."""
    if name == "digits":
        split = data.digits_split()
        train, test = (
            TensorDataset(part.tensors[0].reshape(len(part), 64), part.tensors[1]) for part in split
        )
        return Sets(train, test, data.load_digits().names)
    make = getattr(data, name)
    train, test = TensorDataset(*make(1000, seed=0)), TensorDataset(*make(400, seed=1))
    classes = int(train.tensors[1].max().item()) + 1
    return Sets(train, test, tuple(str(i) for i in range(classes)))


def model_of(r: Recipe, features: int, classes: int) -> nn.Sequential:
    """The network: scale, then fc1, activation, dropout, ..., out."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(scale=Standardize(0.0, 1.0))
    before = features
    for i, size in enumerate(r.layers, 1):
        parts[f"fc{i}"] = nn.Linear(before, size)
        parts[f"act{i}"] = ACTIVATIONS[r.activation]()
        if r.dropout:
            parts[f"drop{i}"] = nn.Dropout(r.dropout)
        before = size
    parts["out"] = nn.Linear(before, classes)
    start = INITS[r.init]
    if start is not None:
        for layer in parts.values():
            if isinstance(layer, nn.Linear):
                start(layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
    return nn.Sequential(parts)


def build(r: Recipe) -> Parts:
    """Everything that a Trainer needs, the weights drawn from the recipe's seed."""
    sets = load(r.data)
    x = sets.train.tensors[0]
    train: Any = sets.train
    validation: Any = None
    if r.val_fraction:
        if int(len(sets.train) * r.val_fraction) < 1:
            raise ArgumentError(
                f"--val-fraction {r.val_fraction:g} leaves no row to validate on",
                expected=f"at least one of {len(sets.train)} rows", fix="--val-fraction 0.1",
                line="",
            )  # fmt: skip
        shares = [1 - r.val_fraction, r.val_fraction]
        g = Generator().manual_seed(SPLIT_SEED)
        train, validation = random_split(sets.train, shares, generator=g)
    manual_seed(r.seed)
    model = model_of(r, x.shape[1], len(sets.names))
    values = np.asarray(x)
    model.get_submodule("scale").load_state_dict(
        {"mean": wrap(values.mean()), "std": wrap(values.std())}
    )
    per_epoch = math.ceil(len(train) / r.batch_size)
    total = r.epochs * per_epoch if r.steps is None else min(r.epochs * per_epoch, r.steps)
    optimizer = OPTIMIZERS[r.optimizer](model.named_parameters(), r)
    return Parts(
        model=model,
        loss=nn.CrossEntropyLoss(label_smoothing=r.label_smoothing),
        optimizer=optimizer,
        scheduler=SCHEDULES[r.schedule](optimizer, r, total),
        schedule_by="epoch" if r.schedule in BY_EPOCH else "step",
        train=train,
        validation=validation,
        test=sets.test,
        total_steps=total,
        steps_per_epoch=per_epoch,
    )


def trainer(parts: Parts, r: Recipe, callbacks: Sequence[Callback]) -> Trainer:
    """What trains a recipe's parts: the same bits, whoever looks on."""
    stopper = [] if r.patience is None else [EarlyStopping("val_loss", r.patience)]
    return Trainer(
        parts.model, parts.loss, parts.optimizer, scheduler=parts.scheduler,
        schedule_by=parts.schedule_by, metrics=["accuracy"], callbacks=[*stopper, *callbacks],
        seed=r.seed, clip_grad_norm=r.clip_grad_norm, compile=not r.eager,
    )  # fmt: skip


FOR_TABLES = (
    "predict", "evaluate", "compare", "report", "diagnose", "export", "lr-find", "verify-resume",
)  # fmt: skip
"""Commands that take a run of a table, too."""


def from_config(config: Any, where: str) -> Recipe:
    """The recipe in a config.json; raises where it is not one."""
    known = {f.name for f in fields(Recipe)}
    if isinstance(config, dict) and "table" in config:
        asking = click.get_current_context(silent=True)
        raise UsageProblem(
            f"{where} is a run of a table, and {asking.info_name if asking else 'this'} is for "
            "runs of data sets", line="", fix=f"{', '.join(FOR_TABLES)} take runs of tables",
        )  # fmt: skip
    held = config.get("recipe") if isinstance(config, dict) else None
    whole = isinstance(held, dict) and set(held) | {"eager"} == known
    if not isinstance(held, dict) or not whole or not _fits(held["data"], None, DATA):
        odd = sorted(set(held) ^ known) if isinstance(held, dict) else ["recipe"]
        raise FormatError(
            f"{where}: not a run of `chainrule train`",
            expected=f"a recipe with {some_names(sorted(known), 60)}",
            got=f"missing or unknown: {some_names(map(str, odd), 60)}",
            line="",
        )
    held = {**held, "eager": held.get("eager", True)}  # older runs knew no other way
    default = Recipe(held["data"])
    for name, value in held.items():
        if not _fits(value, getattr(default, name), KINDS.get(name)):
            raise FormatError(
                f"{where}/config.json: {name} is not what a run is made with", got=repr(value)[:40],
                line="",
            )  # fmt: skip
    return Recipe(**{**held, "layers": tuple(held["layers"])})


def _fits(value: Any, default: Any, names: Any) -> bool:
    if names is not None:
        return isinstance(value, str) and value in names
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, tuple):
        return isinstance(value, list) and all(type(n) is int and n > 0 for n in value)
    if default is None or value is None:  # a limit: none, or a number
        return value is None or (is_number(value) and value > 0)
    return is_number(value) and value >= 0 and (type(value) is int or type(default) is float)


BUILDING = """\
from chainrule.cli.recipe import build, from_config
from chainrule.train.files import read_json

parts = build(from_config(read_json(HERE / "nan.json")["config"], str(HERE)))
return parts.model, parts.loss, parts.optimizer"""
"""Lines that make a recipe's parts where a run's config is kept: see `train.Run.building`."""


def describe(model: nn.Module, r: Recipe) -> str:
    """`mlp 64-256-128-10 relu`."""
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    sizes = [linear[0].in_features, *(m.out_features for m in linear)]
    return f"mlp {'-'.join(map(str, sizes))} {r.activation if r.layers else 'linear'}"


def parameter_count(model: nn.Module) -> int:
    """Numbers that are learned."""
    return sum(p.numel() for p in model.parameters())
