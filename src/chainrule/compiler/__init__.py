"""From a recorded graph to native code, compiled once and kept.

    graph -> spell -> simplify -> dce -> loops -> products -> llvm -> object -> Executable

`pipeline.STEPS` is the list of these steps; `show` prints the result of each.  What was compiled
before is found in memory or in the `cache`, and then neither the steps nor LLVM are even imported.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from ..graph import Graph
from ..runtime.executable import Executable, Times
from . import cache as cache
from .compiled import Compiled, Native, from_header, to_header
from .hardware import host, processor
from .key import key_of, name_of
from .llvm.target import Target

if TYPE_CHECKING:
    from .show import show as show

_loaded: WeakValueDictionary[str, Native] = WeakValueDictionary()


def build(graph: Graph, target: Target | None = None) -> Executable:
    """Native code for a graph; `target` is the processor at hand unless given."""
    times = Times()
    target = target or host()
    key = key_of(graph, target, processor())
    native = _native(
        key, target, times, lambda: _pipeline().compile_graph(graph, target, times), counted=True
    )
    executable = native.executable()
    executable.times = times
    return executable


def drive() -> int:
    """The address of the native loop, which all programs share (see `llvm.driver`)."""
    return _driver().address


@functools.cache
def _driver() -> Native:
    target = host()
    key = name_of("drive", repr(target), str(processor()))
    return _native(key, target, Times(), lambda: _pipeline().compile_driver(target))


def _native(
    key: str | None, target: Target, times: Times, compiled: Callable[[], Compiled],
    counted: bool = False,
) -> Native:  # fmt: skip
    """Code in memory: compiled before, in this process or another, or now, and then kept."""
    found = None
    if key is not None:
        found = _loaded.get(key)
    if key is not None and found is None:
        with times.step("link"):
            found = cache.read(
                key,
                lambda header, parts: Native(Compiled(from_header(header), parts), target),
                program=counted,
            )
    times.cached = found is not None
    if found is None:
        made = compiled()
        with times.step("link"):
            found = Native(made, target)
        if key is not None:
            cache.write(key, to_header(made.facts), made.objects)
    return found if key is None else _loaded.setdefault(key, found)


def _pipeline() -> ModuleType:
    """What compiles, and with it LLVM: imported only now, see above."""
    from . import pipeline

    return pipeline


def __getattr__(name: str) -> Any:
    if name != "show":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = importlib.import_module(".show", __name__).show
    globals()["show"] = found  # the function, and not the module that an import puts here
    return found
