"""Whether a state_dict fits, said in full before anything is changed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import ArgumentTypeError, ChainruleError, StateError
from ..tensor.core import Tensor
from ..tensor.create import as_tensor


class StateReport(NamedTuple):
    """Names that the model has and the state lacks, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def check_state(
    model: str, own: Mapping[str, Any], given: Mapping[str, Any], strict: bool
) -> StateReport:
    """Compares names and shapes; raises where loading would not be whole (or misshape anything)."""
    if not isinstance(given, Mapping):
        raise ArgumentTypeError(
            "load_state_dict: needs a mapping from names to tensors", got=type(given).__name__
        )
    missing = [k for k in own if k not in given]
    unexpected = [k for k in given if k not in own]
    misshaped = []
    for k in own:
        if k in given:
            if not hasattr(given[k], "shape"):
                raise ArgumentTypeError(
                    f"load_state_dict: {k} is not a tensor", got=type(given[k]).__name__
                )
            if tuple(given[k].shape) != own[k].shape:
                misshaped.append(k)
    wrong = bool(misshaped) or (strict and bool(missing or unexpected))
    if wrong:
        shapes = [f"{k} {tuple(given[k].shape)} for {own[k].shape}" for k in misshaped]
        raise StateError(
            f"Error(s) in loading state_dict for {model}",
            expected=f"missing: {_listed(missing)}" if missing else "every name and shape to match",
            got="; ".join(
                part
                for part in (
                    f"unexpected: {_listed(unexpected)}" if unexpected else "",
                    f"misshaped: {_listed(shapes)}" if misshaped else "",
                )
                if part
            )
            or None,
            fix=_suggestion(missing, unexpected) or _reshaping(own, given, misshaped),
        )
    return StateReport(missing, unexpected)


def loaded_values(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Tensor]:
    """What the state holds for the names of the model, as Tensors."""
    values = {}
    for name in own:
        if name in given:
            try:
                values[name] = as_tensor(given[name])
            except (ChainruleError, TypeError):
                raise ArgumentTypeError(
                    f"load_state_dict: {name} can't be made a tensor",
                    expected=f"numbers, such as {own[name].dtype.name}",
                    got=f"{type(given[name]).__name__} of {given[name].dtype}",
                ) from None
    return values


def _listed(names: list[str]) -> str:
    head = ", ".join(names[:4])
    return head + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _suggestion(missing: list[str], unexpected: list[str]) -> str | None:
    for name in missing:
        for other in unexpected:
            if other.endswith(f".{name}"):
                prefix = other[: -len(name)]
                return f"the names of the state start with {prefix!r}: cut it off"
            if name.endswith(f".{other}"):
                return f"the names of the state lack {name[: -len(other)]!r} in front"
        near = difflib.get_close_matches(name, unexpected, 1)
        if near:
            return f"is {near[0]!r} of the state {name!r} of the model?"
    return None


def _reshaping(own: Mapping[str, Any], given: Mapping[str, Any], names: list[str]) -> str | None:
    for k in names:
        if tuple(given[k].shape)[::-1] == own[k].shape:
            return f"{k}.T: it lies transposed"
    return None if names else "strict=False loads what fits and reports the rest"
