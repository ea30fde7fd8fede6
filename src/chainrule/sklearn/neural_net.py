"""What NeuralNetClassifier and NeuralNetRegressor share: any Module, trained by a Trainer."""

from __future__ import annotations

import copy
import inspect
import weakref
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .. import nn
from ..dtypes import as_dtype
from ..errors import ArgumentError, ArgumentTypeError
from ..markup import counted
from ..tensor.autograd import no_grad
from ..tensor.core import wrap
from ..tensor.random import Generator, drawing_from
from ..train import LambdaCallback, Trainer
from ..train.evaluation import mode, predict
from ..train.inputs import EVALUATION_BATCH
from .calls import called
from .classes import labels_of
from .copies import Copied
from .inputs import checked, in_pairs, row_weights, split
from .kit import AT_A_TIME
from .parameters import COUNT, DTYPE, FLOATS, FRACTION, NOT_NEGATIVE, POSITIVE, check_parameters
from .solvers import OPTIMIZERS, SCHEDULES, as_arrays
from .stopping import Stopping

PARTS = ("module", "criterion", "optimizer", "scheduler")
MLP_NAMES = {
    "max_iter": "max_epochs", "learning_rate_init": "lr", "learning_rate": "scheduler",
    "solver": "optimizer", "loss": "criterion", "alpha": "optimizer__weight_decay",
}  # fmt: skip
"""What scikit-learn's MLP calls some arguments, and what they are called here."""
TRAINERS: Any = weakref.WeakKeyDictionary()
"""The trainer of each estimator fitted in this process: no part of it, never stored with it."""
LOSSES = {n: c for n, c in vars(nn).items() if n.endswith("Loss") and isinstance(c, type)}

AN_OUTPUT_EACH = (
    "CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "MSELoss", "L1Loss",
    "SmoothL1Loss", "HuberLoss",
)  # fmt: skip
"""Criteria that compare an output with each class, or with each column of y."""

CONSTRAINTS: dict[str, list[Any]] = {
    "module": [callable],
    "criterion": [StrOptions({"auto", *LOSSES}), callable],
    "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
    "scheduler": [StrOptions(set(SCHEDULES)), callable, None],
    "lr": [POSITIVE],
    "max_epochs": [COUNT],
    "batch_size": [COUNT],
    "shuffle": ["boolean"],
    "schedule_by": [StrOptions({"epoch", "step"})],
    "early_stopping": ["boolean"],
    "validation_fraction": [FRACTION],
    "n_iter_no_change": [COUNT],
    "tol": [NOT_NEGATIVE],
    "metrics": [list, tuple],
    "callbacks": [list, tuple, None],
    "clip_grad_norm": [POSITIVE, None],
    "accumulate": [Interval(Integral, 1, None, closed="left")],
    "ema": [Interval(Real, 0, 1, closed="neither"), None],
    "warm_start": ["boolean"],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
    "dtype": DTYPE,
}


class BaseNeuralNet(Copied, BaseEstimator):  # type: ignore[misc]
    """A fit of any Module; subclasses say what targets and losses are."""

    _parameter_constraints: ClassVar[dict[str, Any]] = CONSTRAINTS
    _instead: ClassVar[dict[str, str]] = {
        "module": "a class or a function that makes it, with module__... for its arguments",
        "criterion": "its class, with criterion__... for its arguments",
    }
    _solver_state: dict[str, Any]
    history_: list[dict[str, Any]]
    dtype_: str
    stopped_early_: bool

    def __init__(
        self, module: Any, *, criterion: Any = "auto", optimizer: Any = "Adam",
        lr: float = 0.005, max_epochs: int = 100, batch_size: int = 32, shuffle: bool = True,
        scheduler: Any = None, schedule_by: str = "epoch", early_stopping: bool = False,
        validation_fraction: float = 0.1, n_iter_no_change: int = 10, tol: float = 0.0,
        metrics: Any = (), callbacks: Any = None, clip_grad_norm: float | None = None,
        accumulate: int = 1, ema: float | None = None, warm_start: bool = False,
        verbose: Any = False, random_state: Any = None, dtype: Any = None, **options: Any,
    ) -> None:  # fmt: skip
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.scheduler = scheduler
        self.schedule_by = schedule_by
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.metrics = metrics
        self.callbacks = callbacks
        self.clip_grad_norm = clip_grad_norm
        self.accumulate = accumulate
        self.ema = ema
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state
        self.dtype = dtype
        for name, value in options.items():
            setattr(self, name, value)

    # ------------------------------------------------------------ arguments

    def _given(self) -> dict[str, Any]:
        """The arguments that are none of ours: module__hidden, or a slip of the pen."""
        own = self._get_param_names()
        found = {n: v for n, v in vars(self).items() if n not in own}
        return {n: v for n, v in found.items() if n[0] != "_" and n[-1] != "_"}

    def _check_given(self) -> None:
        """Raises for an argument that is neither ours nor one of a part."""
        for name in self._given():
            if _of_a_part(name):
                continue
            part, dunder, rest = name.partition("__")
            near = ([MLP_NAMES[name]] if name in MLP_NAMES
                    else get_close_matches(name, self._get_param_names(), 1))  # fmt: skip
            if dunder:
                near = [f"{p}__{rest}" for p in get_close_matches(part, PARTS, 1)]
            raise ArgumentTypeError(
                f"{type(self).__name__} has no argument {name!r}", line="",
                expected="its own, or those of " + ", ".join(f"{p}__..." for p in PARTS),
                fix=f"did you mean {near[0]!r}?" if near else f"module__{rest or name}",
            )  # fmt: skip

    def _check_used(self, held: tuple[Any, Any]) -> None:
        """Raises for an argument that would do nothing beside the others."""
        who = type(self).__name__
        spare = sorted(n for n in self._given() if n.startswith("scheduler__"))
        if spare and self.scheduler is None:
            raise ArgumentError(
                f"{who}: {spare[0]} is an argument of a scheduler, and there is none", line="",
                expected="scheduler='StepLR', or another of chainrule.optim.lr_scheduler",
                got="scheduler=None",
            )  # fmt: skip
        if self.metrics and not self.early_stopping and held[0] is None:
            raise ArgumentError(
                f"{who}: metrics are those of held-out rows, and none are held out", line="",
                expected="early_stopping=True, or fit(..., X_val=, y_val=)",
                got=f"metrics={list(self.metrics)!r}"[:80],
            )  # fmt: skip

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments, those of module, criterion, optimizer and scheduler with them."""
        return {**super().get_params(deep), **self._given()}

    def set_params(self, **params: Any) -> BaseNeuralNet:
        """Sets arguments by name: set_params(lr=0.1, module__hidden=20)."""
        given = self._given()
        others = {n for n in params if n in given or _of_a_part(n)}
        super().set_params(**{n: v for n, v in params.items() if n not in others})
        for name in others:
            setattr(self, name, params[name])
        return self

    def _options(self, part: str) -> dict[str, Any]:
        start = f"{part}__"
        return {n[len(start) :]: v for n, v in vars(self).items() if n.startswith(start)}

    # ------------------------------------------------------------ what subclasses say

    def _read(self, x: Any, y: Any, reset: bool, keep: bool) -> tuple[Any, Any]:
        """Inputs and targets as the criterion takes them; keep: whether known classes stay."""
        raise NotImplementedError

    def _criterion_name(self) -> str:
        """The criterion that 'auto' stands for."""
        raise NotImplementedError

    def _width(self, y: Any) -> int:
        """How many outputs the network should have."""
        raise NotImplementedError

    def _weighted(self, y: Any, w: Any) -> Any:
        """The rows' weights with those of their classes."""
        return w

    # ------------------------------------------------------------ the parts

    def _network(self, features: int, outputs: int) -> nn.Module:
        """A module of its own: a copy of an instance, or what a class or function makes."""
        options = self._options("module")
        if isinstance(self.module, nn.Module):
            if options:
                raise ArgumentError(
                    "module__... are arguments of a class or function that makes the module",
                    got=f"a {type(self.module).__name__} that is made already", line="",
                    fix=f"module={type(self.module).__name__}",
                )  # fmt: skip
            made = copy.deepcopy(self.module)
        else:
            known = inspect.signature(self.module).parameters
            sizes = {"in_features": features, "out_features": outputs}
            options = {n: v for n, v in sizes.items() if n in known} | options
            made = self._made("module", self.module, (), options)
        if not isinstance(made, nn.Module):
            raise ArgumentTypeError(
                f"{type(self).__name__}: module must be or make an nn.Module", line="",
                got=type(made).__name__,
            )  # fmt: skip
        return made.to(as_dtype(self.dtype_))

    def _made(self, name: str, kind: Any, first: tuple[Any, ...], options: Any) -> Any:
        return called(name, kind, first, options, f"{name}__{{0}}=..")

    def _check_outputs(self, network: nn.Module, row: Any, width: int) -> None:
        """Raises where the network has not an output for each target.

        A criterion of one's own, or an own step to probabilities, may do with others.
        """
        own = getattr(self, "predict_nonlinearity", "auto") != "auto"
        if own or (self.criterion != "auto" and type(self._loss()).__name__ not in AN_OUTPUT_EACH):
            return
        with mode(network, False), no_grad():
            given = int(np.prod(network(wrap(row)).shape[1:]))
        if given != width:
            of = "class" if is_classifier(self) and width > 1 else "column of y"
            raise ArgumentError(
                f"{type(self).__name__}: the module has {counted(given, 'output')} for a row",
                expected=f"{width}: one for each {of}", got=f"{given}, of {type(network).__name__}",
                fix=f"a module of {counted(width, 'output')}; a class or function that makes it "
                "is given out_features", line="",
            )  # fmt: skip

    def _loss(self) -> Any:
        """The criterion: made from a name or class, or as it is."""
        wanted = self._criterion_name() if self.criterion == "auto" else self.criterion
        kind = LOSSES[wanted] if isinstance(wanted, str) else wanted
        if not isinstance(kind, type):
            return kind
        return self._made("criterion", kind, (), self._options("criterion"))

    def _trainer(self, model: nn.Module, seed: int, held: bool) -> Trainer:
        """What trains a model."""
        kind = OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else self.optimizer
        options = self._options("optimizer")
        if isinstance(kind, type):
            options = {"lr": float(self.lr), **options}
        optimizer = self._made("optimizer", kind, (model.named_parameters(),), options)
        schedule = SCHEDULES.get(self.scheduler, self.scheduler) if self.scheduler else None
        if schedule is not None:
            options = self._options("scheduler")
            schedule = self._made("scheduler", schedule, (optimizer,), options)
        return Trainer(
            model, self._loss(), optimizer, scheduler=schedule,
            schedule_by=self.schedule_by, metrics=self.metrics, callbacks=self._callbacks(held),
            clip_grad_norm=self.clip_grad_norm, accumulate=int(self.accumulate), ema=self.ema,
            seed=seed,
        )  # fmt: skip

    def _callbacks(self, held: bool) -> list[Any]:
        found = list(self.callbacks or ())
        if self.early_stopping and held:
            found.append(Stopping("val_loss", int(self.n_iter_no_change), float(self.tol)))
        if self.verbose:
            found.append(LambdaCallback(on_epoch_end=_show))
        return found

    # ------------------------------------------------------------ a fit

    def _fit(
        self, x: Any, y: Any, sample_weight: Any, held: tuple[Any, Any], incremental: bool
    ) -> None:
        self._check_given()
        check_parameters(self)
        in_pairs(*held)
        self._check_used(held)
        first = not hasattr(self, "state_") or not (self.warm_start or incremental)
        x, y = self._read(x, y, first, incremental)
        if first:
            self.dtype_ = x.dtype.name
        w = self._weighted(y, row_weights(sample_weight, x, x.dtype))
        if incremental and not first and self.stopped_early_:
            return
        rng = check_random_state(self.random_state)
        (x, y, w), validation = self._split((x, y, w), held, rng)
        seeds = [int(n) for n in rng.randint(np.iinfo(np.int32).max, size=2)]
        trainer = TRAINERS.get(self) if incremental and not first else None
        if trainer is None:
            trainer = self._begin(x, y, seeds, validation is not None, first, incremental)
        assert trainer.generator is not None
        trainer.generator.manual_seed(seeds[1])
        before, stopping = len(trainer.history.rows), Stopping.of(trainer)
        if stopping is not None:
            stopping.by_call = incremental
        trainer.fit(
            (x, y), epochs=1 if incremental else int(self.max_epochs), validation=validation,
            batch_size=min(int(self.batch_size), len(x)), shuffle=bool(self.shuffle),
            sample_weight=None if (w == 1).all() else w,
        )  # fmt: skip
        self.n_outputs_ = self._width(y)
        new = [dict(row) for row in trainer.history.rows[before:]]
        self.history_ = new if first else [*self.history_, *new]
        self._finish(trainer)

    def _begin(
        self, x: Any, y: Any, seeds: list[int], held: bool, first: bool, incremental: bool
    ) -> Trainer:  # fmt: skip
        """A trainer for a new network, or for the fitted one."""
        with drawing_from(Generator().manual_seed(seeds[0])):
            network = self._network(x.shape[1], self._width(y))
            if not first:
                network.load_state_dict(self.state_)
            self._check_outputs(network, x[:1], self._width(y))
            trainer = self._trainer(network, seeds[1], held)
        if incremental and not first:
            held_state = self._solver_state
            trainer.optimizer.load_state_dict(held_state["optimizer"])
            if trainer.scheduler is not None:
                trainer.scheduler.load_state_dict(held_state["schedule"])
            stopping = Stopping.of(trainer)
            if stopping is not None and held_state["stopping"] is not None:
                stopping.take(held_state["stopping"])
            if trainer.ema is not None and held_state["weights"] is not None:
                network.load_state_dict(held_state["weights"])  # the average began as `state_`
        TRAINERS[self] = trainer
        return trainer

    def _split(
        self, rows: tuple[Any, Any, Any], held: tuple[Any, Any], rng: Any
    ) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
        """The rows to learn from, and those held out."""
        if held[0] is not None:
            xv, yv = self._read(*held, False, True)
            return rows, (xv, yv)
        if not self.early_stopping:
            return rows, None
        known = is_classifier(self) and rows[1].ndim == 1
        by = labels_of(self, rows[1]) if known else None
        parts = split(self, rows, rng, by)
        return tuple(parts[0::2]), tuple(parts[1:4:2])

    def _finish(self, trainer: Trainer) -> None:
        """The fitted attributes: arrays and numbers."""
        self.state_ = {n: t._value.copy() for n, t in trainer.evaluated_weights().items()}
        schedule, stopping, ema = trainer.scheduler, Stopping.of(trainer), trainer.ema
        own = {n: t._value.copy() for n, t in trainer.model.state_dict().items()} if ema else None
        self._solver_state = {
            "optimizer": as_arrays(trainer.optimizer),
            "schedule": schedule and schedule.state_dict(),
            "stopping": stopping and stopping.given(),
            "weights": own,  # where `state_` is their average
        }
        self.stopped_early_ = stopping is not None and stopping.ended
        self.n_iter_ = len(self.history_)

    # ------------------------------------------------------------ what comes of it

    def to_module(self) -> nn.Module:
        """The fitted network as a Module of its own, in evaluation mode."""
        check_is_fitted(self)
        with drawing_from(Generator().manual_seed(0)):
            network = self._network(self.n_features_in_, self.n_outputs_)
        network.load_state_dict(self.state_)
        return network.eval()

    def _outputs(self, x: Any) -> Any:
        """The network's outputs (rows, outputs) for X as the user has it."""
        check_is_fitted(self)
        rows = wrap(np.ascontiguousarray(self._inputs(x, reset=False), self.dtype_))
        found = predict(self.to_module(), (rows,), EVALUATION_BATCH)._value
        return found.reshape(len(found), -1)

    def _inputs(self, x: Any, *y: Any, reset: bool, **more: Any) -> Any:
        """Checked inputs, sparse ones written out; with targets, both."""
        floats = FLOATS if self.dtype is None else np.dtype(self.dtype)
        if not reset:
            floats = np.dtype(self.dtype_)
        found = checked(self, x, *y, dtype=floats, reset=reset, allow_nd=True, **more)
        x = found[0] if y else found
        if hasattr(x, "toarray"):
            if x.shape[0] * x.shape[1] > AT_A_TIME:
                raise ValueError(
                    f"a sparse X is written out here, and {x.shape[0]} x {x.shape[1]} numbers are "
                    f"more than the {AT_A_TIME} that may be. The MLPs write them out in parts."
                )
            x = x.toarray()
        x = np.ascontiguousarray(x)
        return (x, *found[1:]) if y else x

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _of_a_part(name: str) -> bool:
    """Whether an argument is one of module, criterion, optimizer or scheduler: module__hidden."""
    part, mark, own = name.partition("__")
    return part in PARTS and bool(mark and own)


def _show(trainer: Trainer) -> None:
    numbers = {k: v for k, v in trainer.row.items() if isinstance(v, (int, float))}
    print("  ".join(f"{k} {v:.5g}" for k, v in numbers.items() if k != "step"))
