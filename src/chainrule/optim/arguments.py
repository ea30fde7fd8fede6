"""Checks of settings: numbers in a range, counts, and what to say when they are not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, GradError, StateError
from ..graph.node import Node
from ..ops import sqrt
from ..ops.core import is_number
from ..tensor.core import Tensor


class LeafError(GradError, ArgumentError):
    """A tensor with history where a leaf is needed."""


class OptimizerStateError(StateError, ArgumentError):
    """A state_dict that does not fit the optimizer or the scheduler."""


class ResumeError(ArgumentError, KeyError):
    """A schedule that is to go on, for an optimizer that has none yet."""


def active(setting: Any) -> bool:
    """Whether a term with this factor is computed: not where the factor is 0, unless a recorded
    step is given it at every call, as a number or as a tensor with one for every member."""
    return isinstance(setting, (Node, Tensor)) or bool(setting)


def root(x: Any) -> Any:
    """The square root of a setting, as a Python number or as a node of a recorded step."""
    return math.sqrt(x) if is_number(x) else sqrt(x)


def brief(value: Any) -> str:
    """What a value is, in one short line."""
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def brief_list(names: list[str]) -> str:
    """The first few of some names."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def check_number(
    owner: str, name: str, value: Any, low: float = 0.0, high: float = math.inf,
    *, open_low: bool = False, open_high: bool = False,
) -> None:  # fmt: skip
    """Raises unless value is a finite number between low and high."""
    open_low = open_low or low == -math.inf
    open_high = open_high or high == math.inf
    bounds = f"{'(' if open_low else '['}{low}, {high}{')' if open_high else ']'}"
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise ArgumentTypeError(
            f"The {name!r} parameter of {owner} must be a number in the range {bounds}",
            got=brief(value),
        )
    inside = low < value if open_low else low <= value
    inside = inside and (value < high if open_high else value <= high)
    if not inside:
        raise ArgumentError(
            f"The {name!r} parameter of {owner} must be a float in the range {bounds}",
            got=f"{value!r}",
        )


def check_count(owner: str, name: str, value: Any, low: int = 1) -> None:
    """Raises unless value is a whole number of at least low."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise ArgumentError(
            f"The {name!r} parameter of {owner} must be an int in the range [{low}, inf)",
            got=brief(value),
        )
