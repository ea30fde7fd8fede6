"""What runs a recorded program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..graph import Graph, run


class Executable(Protocol):
    """A program that is ready to run."""

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """The outputs, as new arrays; arrays of inputs that are updated are written in place.

        arrays: one for each input of the graph, of its shape and dtype, in any memory layout.
        Nothing is written before everything was computed, and nothing at all after an error.
        Two arrays may overlap only if neither is written.
        """
        ...


class Interpreted:
    """Runs a program line by line in NumPy."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """The outputs."""
        return list(run(self.graph, *arrays))


build = Interpreted
