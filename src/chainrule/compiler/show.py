"""What a program looks like on its way to machine code."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, ArgumentTypeError
from ..graph import Graph
from .llvm.build import assembly, host
from .llvm.emit import emit
from .llvm.target import Target
from .pipeline import STEPS, steps

STAGES = {"graph": "dce", "loops": "products", "llvm": "llvm", "asm": "object"}
"""stage -> the step that it is the result of."""


def show(f: Any, stage: str = "loops", target: Target | None = None) -> str:
    """The text of a program at a stage of its compilation.

    f       a Graph, or a compiled function that has been called (all of its programs are shown)
    stage   "graph": what is computed, for whole arrays, after simplifying; "loops": for one
            element, and in which loops; "llvm": in instructions; "asm": in those of the processor.
            Or the name of a step of `pipeline.STEPS`.
    target  the processor to compile for; this one unless given

    >>> import numpy as np
    >>> from chainrule import graph, ops
    >>> x = np.zeros((2, 3), np.float32)
    >>> print(show(graph.trace(lambda x: ops.relu(x) * 2.0, x, names=["x"])))
    program
      input x: float32[2,3]
      output out0: float32[2,3]
    nest out0 [i<6]
      out0[i // 3, i % 3] = relu(x[i // 3, i % 3]) * 2.0
    """
    name = STAGES.get(stage, stage)
    if name not in [step.name for step in STEPS]:
        raise ArgumentError(f"show: no stage is called {stage!r}", expected=", ".join(STAGES))
    return "\n\n".join(_text(g, name, target or host()) for g in _graphs_of(f))


def _graphs_of(f: Any) -> list[Graph]:
    if isinstance(f, Graph):
        return [f]
    graphs = getattr(f, "graphs", None)
    if graphs is None:
        raise ArgumentTypeError(
            "show: needs a Graph or a compiled function",
            got=type(f).__name__,
            fix="chainrule.compile(f), called once",
        )
    if not graphs:
        raise ArgumentError(
            "show: nothing is compiled yet", fix="call the function once with its arguments"
        )
    return list(graphs)


def _text(graph: Graph, wanted: str, target: Target) -> str:
    """The result of a step as text; later steps are not taken."""
    last = "products" if wanted in ("llvm", "object") else wanted
    form = next(form for name, form in steps(graph, target) if name == last)
    if last == wanted:
        return str(form)
    text = emit(form, target).text  # in one part: how many there are is a matter of threads
    return assembly(text, target) if wanted == "object" else text
