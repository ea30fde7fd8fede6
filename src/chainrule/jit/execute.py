"""What runs a recorded program."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol

from ..graph import Graph


class Executable(Protocol):
    """A program that is ready to run."""

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """The outputs, as new arrays; arrays of inputs that are updated are written in place."""
        ...


def build(graph: Graph) -> Executable:
    """Native code for a program; the compiler is loaded when the first one is built."""
    made: Executable = importlib.import_module("chainrule.compiler").build(graph)
    return made
