"""Bases of what a recording knows when a function reaches it: the classes are of higher layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tracing import Trace


class Reached:
    """An object that is told where a function that is being recorded reaches it."""

    def _reached(self, trace: Trace) -> None:
        """It may note how it is now."""


class OptimizerLike(Reached):
    """What is compared as a whole: its settings are inputs of a program."""


class ModuleLike(Reached):
    """What is called, and has others like it below it."""

    forward: Callable[..., Any]
    modules: Callable[..., Any]
    named_children: Callable[..., Any]
