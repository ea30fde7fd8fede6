"""From a recorded graph to native code, as one list of named steps (`pipeline.STEPS`).

    graph -> spell -> simplify -> dce -> loops -> products -> llvm -> object -> Executable

`show` prints the result of each.  Under tests `verify` looks at the result of each.
"""

from __future__ import annotations

import functools
from typing import Any

from ..graph import Graph
from ..runtime.executable import Executable
from .llvm import build as llvm_build
from .llvm.driver import driver
from .llvm.target import Target
from .pipeline import steps
from .show import show as show


@functools.cache
def _driver() -> Any:
    target = llvm_build.host()
    return llvm_build.Loaded(llvm_build.compile_text(driver(target), target), target, ("drive",))


def drive() -> int:
    """The address of the native loop, which all programs share (see `llvm.driver`)."""
    address: int = _driver().address["drive"]
    return address


def build(graph: Graph, target: Target | None = None) -> Executable:
    """Native code for a graph."""
    target = target or llvm_build.host()
    made = dict(steps(graph, target))
    program, emitted = made["products"], made["llvm"]
    loaded = llvm_build.Loaded(made["object"], target, ("step",))
    results: list[Any] = [(b.shape, b.dtype) for b in program.outputs]
    return Executable(
        loaded, loaded.address["step"], len(program.inputs), results, emitted.arena,
        emitted.shared_work,
    )  # fmt: skip
