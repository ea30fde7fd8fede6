"""What must hold after a step of the pipeline: an observer for `pipeline.observed`.

Tests switch it on.  It takes longer than compiling does, so nothing else does.
"""

from __future__ import annotations

from typing import Any

from ..graph import Graph
from ..graph.verify import verify as verify_graph
from .loops.program import Program
from .loops.verify import verify as verify_loops
from .loops.verify import verify_meaning


def verify_step(name: str, before: Any, after: Any) -> None:
    """Raises a GraphError or a LoopError where a step has left something wrong."""
    if isinstance(after, Graph):
        verify_graph(after)
    if isinstance(after, Program):
        if isinstance(before, Graph):
            verify_meaning(before, after)
        verify_loops(after)
