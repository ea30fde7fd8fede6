"""A recipe as the command that has it: what to type to train once more, with one thing changed."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from . import recipe as recipes
from .recipe import Recipe
from .train import choose


def changed(r: Recipe, changes: Mapping[str, Any]) -> Recipe | None:
    """The recipe with other choices; None where they change nothing or do not go together."""
    held = dict(changes)
    if "layers" in held:
        held["layers"] = tuple(held["layers"])
    if held.get("optimizer", r.optimizer) not in recipes.WITH_MOMENTUM:
        held["momentum"] = 0.0
    if "patience" in held and r.val_fraction == 0:
        return None
    new = dataclasses.replace(r, **held)
    return None if new == r else new


def command_of(r: Recipe) -> str:
    """`chainrule train digits --lr 0.001`: as short as it can be."""
    named = Recipe(r.data, **recipes.DATA[r.data]).optimizer != r.optimizer
    usual = choose(r.data, {"optimizer": r.optimizer} if named else {})
    parts = ["chainrule", "train", r.data]
    for f in dataclasses.fields(Recipe):
        value = getattr(r, f.name)
        said = named and f.name == "optimizer"
        if f.name == "data" or (value == getattr(usual, f.name) and not said):
            continue
        flag = f"--{f.name.replace('_', '-')}"
        if f.name == "eager":
            parts.append(flag)
        elif f.name == "patience" and value is None:
            parts.append("--no-early-stopping")
        elif f.name == "layers":
            parts += [flag, ",".join(map(str, value)) or "none"]
        else:
            parts += [flag, _spelled(value)]
    return shlex.join(parts)


def _spelled(value: Any) -> str:
    short = f"{value:g}" if isinstance(value, float) else str(value)
    return short if not isinstance(value, float) or float(short) == value else repr(value)
