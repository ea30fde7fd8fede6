"""What runs a recorded program: native code, with the compiler loaded when it is first needed."""

from __future__ import annotations

import importlib
from typing import Any

from ..graph import Graph
from ..runtime.executable import RAN as RAN
from ..runtime.executable import Executable as Executable


def _compiler() -> Any:
    return importlib.import_module("chainrule.compiler")


def build(graph: Graph) -> Executable:
    """Native code for a program."""
    made: Executable = _compiler().build(graph)
    return made


def drive() -> int:
    """The address of the native loop, which all programs share."""
    address: int = _compiler().drive()
    return address
