"""Constructor arguments: what each may be, and what is said of one that it may not be."""

from __future__ import annotations

import re
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import (
    Hidden,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
)

from ..errors import ArgumentError, ArgumentTypeError
from ..train.callbacks import Callback, EarlyStopping
from .network import ACTIVATIONS
from .solvers import MODES, OPTIMIZERS, OWN, SCHEDULES

FLOATS = (np.float64, np.float32)
FRACTION = Interval(Real, 0, 1, closed="left")
POSITIVE = Interval(Real, 0, None, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
CLASS_WEIGHT = [StrOptions({"balanced"}), dict, list, None]
DTYPE = [StrOptions({"float32", "float64"}), Options(type, set(FLOATS)), None]
COUNT = Interval(Integral, 1, None, closed="left")

MLP: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", COUNT],
    "activation": [StrOptions(set(ACTIVATIONS)), callable, list, tuple],
    "solver": [StrOptions({"lbfgs", *OWN, *OPTIMIZERS}), callable],
    "alpha": [NOT_NEGATIVE],
    "batch_size": [StrOptions({"auto"}), COUNT],
    "learning_rate": [StrOptions({*MODES, *SCHEDULES}), callable],
    "learning_rate_init": [POSITIVE],
    "power_t": [NOT_NEGATIVE],
    "max_iter": [COUNT],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [NOT_NEGATIVE],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [FRACTION],
    "beta_1": [FRACTION],
    "beta_2": [FRACTION],
    "epsilon": [POSITIVE],
    "n_iter_no_change": [COUNT, Options(Real, {np.inf})],
    "max_fun": [COUNT],
    "solver_params": [dict, None],
    "learning_rate_params": [dict, None],
    "early_stopping_metric": [StrOptions({"score", "loss"})],
    "dropout": [FRACTION, list, tuple],
    "batch_norm": ["boolean"],
    "callbacks": [list, tuple, None],
    "dtype": DTYPE,
}
"""Of both MLPs; the first 23 are scikit-learn's, and take what they take there."""

NAMED = re.compile(r"The '(\w+)' parameter of")


def check_parameters(est: Any) -> None:
    """Raises scikit-learn's error for an argument out of its range, with the nearest name."""
    try:
        est._validate_params()
    except InvalidParameterError as error:
        found = NAMED.match(str(error))
        value = getattr(est, found[1]) if found else None
        if found is None or not isinstance(value, str):
            raise
        near = nearest(value, est._parameter_constraints[found[1]])
        hint = f" Did you mean {near!r}?" if near else ""
        raise InvalidParameterError(f"{error}{hint}") from None


def nearest(value: str, constraints: list[Any]) -> str | None:
    """The allowed text that looks most like a value."""
    allowed: set[str] = set()
    for constraint in constraints:
        inner = constraint.constraint if isinstance(constraint, Hidden) else constraint
        if isinstance(inner, StrOptions):
            allowed |= inner.options
    plain = {name.lower(): name for name in sorted(allowed)}  # of Adam and adam the latter
    near = get_close_matches(value.lower(), plain, 1)
    return plain[near[0]] if near else None


def check_layers(est: Any) -> None:
    """Raises for an activation or a dropout of one layer that is none."""
    for name, fits, expected in (
        ("activation", _is_activation, "a name or a function"),
        ("dropout", _is_share, "a number in [0, 1)"),
    ):
        values = getattr(est, name)
        for i, value in enumerate(values if isinstance(values, (list, tuple)) else ()):
            if not fits(value):
                raise InvalidParameterError(_layer_text(est, name, i, value, expected))


def _layer_text(est: Any, name: str, i: int, value: Any, expected: str) -> str:
    near = nearest(value, MLP[name]) if isinstance(value, str) else None
    return (
        f"The {name!r} parameter of {type(est).__name__} must have {expected} for each layer. "
        f"Got {value!r} for layer {i} instead." + (f" Did you mean {near!r}?" if near else "")
    )


def _is_activation(value: Any) -> bool:
    return value in ACTIVATIONS if isinstance(value, str) else callable(value)


def _is_share(value: Any) -> bool:
    return isinstance(value, (float, int, np.number)) and bool(0 <= value < 1)


def check_monitors(est: Any, validated: bool) -> None:
    """Raises for an EarlyStopping that waits for a number which no epoch has."""
    names = ("loss", "lr", *(("val_loss", "val_score") if validated else ()))
    for callback in est.callbacks or ():
        if isinstance(callback, EarlyStopping) and callback.monitor not in names:
            waits = callback.monitor in ("val_loss", "val_score")
            raise ArgumentError(
                f"{type(est).__name__}: EarlyStopping waits for {callback.monitor!r}, which no "
                "epoch has", expected=", ".join(names), got=f"EarlyStopping({callback.monitor!r})",
                fix="early_stopping=True, or fit(..., X_val=, y_val=)" if waits else None, line="",
            )  # fmt: skip


def hidden_sizes(est: Any) -> tuple[int, ...]:
    """The sizes of the hidden layers; scikit-learn's error where one is no size."""
    sizes = est.hidden_layer_sizes
    found = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
    for i, n in enumerate(found):
        number = isinstance(n, (int, float, np.number)) and not isinstance(n, bool)
        whole = number and float(n).is_integer()
        if not whole or n <= 0:
            which = "" if found == [sizes] else f" for layer {i}"
            raise ValueError(
                f"hidden_layer_sizes must be > 0, whole numbers, got {str(found)[:60]}: "
                f"{str(n)[:20]}{which} is none."
            )
    return tuple(int(n) for n in found)


def check_class_weight(est: Any) -> None:
    """Raises for the weight of a class that is no finite number >= 0."""
    given = getattr(est, "class_weight", None)
    for each in given if isinstance(given, list) else [given]:
        for label, weight in (each if isinstance(each, dict) else {}).items():
            if not isinstance(weight, (int, float, np.number)) or not 0 <= weight < np.inf:
                raise InvalidParameterError(
                    f"The 'class_weight' parameter of {type(est).__name__} must have a finite "
                    f"number >= 0 for each class. Got {weight!r} for class {label!r} instead."
                )


def check_used(est: Any) -> None:
    """Raises for an argument that would do nothing beside the others.

    Those of scikit-learn are left alone: there, momentum may be given with 'adam'.
    """
    own = isinstance(est.solver, str) and est.solver in (*OWN, "lbfgs")
    mode = isinstance(est.learning_rate, str) and est.learning_rate in MODES
    lbfgs = isinstance(est.solver, str) and est.solver == "lbfgs"
    dropped = bool(np.any(np.asarray(est.dropout, dtype=float)))
    for wrong, name, goes_with in (
        (est.solver_params and own, "solver_params",
         "a solver of chainrule.optim, as solver='Adam'; 'adam' and 'sgd' have arguments here, "
         "as beta_1 and momentum"),
        (est.learning_rate_params and mode, "learning_rate_params",
         "a schedule, as learning_rate='StepLR'; 'invscaling' has power_t"),
        (lbfgs and not mode, "learning_rate", "a solver that goes by epochs, not lbfgs"),
        (lbfgs and dropped, "dropout",
         "a solver that goes by epochs: lbfgs needs the same loss each time at the same weights"),
    ):  # fmt: skip
        if wrong:
            beside = "learning_rate" if name == "learning_rate_params" else "solver"
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(est).__name__} goes with {goes_with}. "
                f"Got {name}={str(getattr(est, name))[:60]} with "
                f"{beside}={getattr(est, beside)!r} instead."
            )


def check_callbacks(est: Any) -> None:
    """Raises for a callback that is none, and for one that waits for what will not come."""
    who = type(est).__name__
    for callback in est.callbacks or ():
        kind = type(callback).__name__
        if not isinstance(callback, Callback):
            raise ArgumentTypeError(
                f"The 'callbacks' parameter of {who} must hold Callbacks",
                expected="chainrule.train.Callback", got=kind, line="",
                fix="chainrule.train.LambdaCallback(on_epoch_end=function)",
            )  # fmt: skip
        by_step = getattr(callback.on_step_end, "__func__", None) is not Callback.on_step_end
        if by_step:
            raise ArgumentError(
                f"{who} tells callbacks of epochs, not of steps", line="",
                got=f"{kind}, which has on_step_end", fix="NeuralNetClassifier or -Regressor",
            )  # fmt: skip
        if est.solver == "lbfgs":
            raise ArgumentError(
                f"{who}: lbfgs has no epochs to tell callbacks of", got=kind, fix="solver='adam'",
                line="",
            )  # fmt: skip
