"""What a fix is worth in a table's fit, whose network, optimizer and schedule are its recipe's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..nn.tabular import ACTIVATIONS
from ..ops.core import is_number
from .finding import Fix

OF_RECIPE = {"layers": "hidden"}
"""Choices of `chainrule train` that a Recipe calls otherwise."""
COMPANION = "init"
"""Goes with another change where weights can be started otherwise; a recipe starts its own."""
MORE = ("weight_decay", "dropout", "layers")
"""What helps only as more than there is."""


def settings_among(fixes: Iterable[Fix], recipe: Mapping[str, Any]) -> list[Fix]:
    """The fixes that a table's fit can take up: settings of its recipe, and advice on the rows.

    recipe: the settings that it was trained with.

    >>> fixes = [Fix("clip", {"clip_grad_norm": 1.0}), Fix("slower", {"lr": 0.01}), Fix("rows")]
    >>> [fix.text for fix in settings_among(fixes, {"lr": 0.1})]
    ['slower', 'rows']
    """
    found = []
    for fix in fixes:
        changes = {name: new for name, new in fix.changes.items() if name != COMPANION}
        asked = bool(changes) or not fix.changes
        if asked and not fix.code and all(_takes(recipe, *x) for x in changes.items()):
            found.append(Fix(fix.text, changes))
    return found


def _takes(recipe: Mapping[str, Any], name: str, new: Any) -> bool:
    """Whether a recipe has such a setting, the value is one for it, and it changes something."""
    there = OF_RECIPE.get(name, name)
    if there not in recipe:
        return False
    old = recipe[there]
    if name == "activation" and new not in ACTIVATIONS:
        return False
    if name in MORE:
        return _size(new) > _size(old)
    return bool(new != old)


def _size(value: Any) -> float:
    """What is compared: of layers the widest."""
    if isinstance(value, (list, tuple)):
        return max(map(_size, value), default=0.0)
    return float(value) if is_number(value) else 0.0
