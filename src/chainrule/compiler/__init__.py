"""From a recorded graph to native code, compiled once and kept.

    graph -> spell -> simplify -> dce -> loops -> llvm -> objects -> Executable

`pipeline` is the list of these steps; `show` prints the result of each.  What was compiled before
is found in memory or in the `cache`, and then neither the steps nor LLVM are even imported.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from ..graph import Graph
from ..runtime.executable import Executable, Times
from . import cache as cache
from .compiled import Compiled, Native, from_header, to_header
from .hardware import host, processor
from .key import key_of
from .llvm.target import Target

_loaded: WeakValueDictionary[str, Native] = WeakValueDictionary()


def build(graph: Graph, target: Target | None = None) -> Executable:
    """Native code for a graph; `target` is the processor at hand unless given."""
    times = Times()
    target = target or host()
    key = key_of(graph, target, processor())
    native = _found(key, target, times)
    if native is None:
        native = _made(graph, key, target, times)
    if key is not None:
        native = _loaded.setdefault(key, native)
    executable = native.executable()
    executable.times = times
    return executable


def _found(key: str | None, target: Target, times: Times) -> Native | None:
    """What was compiled before, in this process or another."""
    if key is None:
        return None
    native = _loaded.get(key)
    if native is None:
        with times.step("link"):
            native = cache.read(
                key, lambda header, parts: Native(Compiled(from_header(header), parts), target)
            )
    times.cached = native is not None
    return native


def _made(graph: Graph, key: str | None, target: Target, times: Times) -> Native:
    """What is compiled now, and kept."""
    from .pipeline import compile_graph  # only now: see above

    compiled = compile_graph(graph, target, times)
    with times.step("link"):
        native = Native(compiled, target)
    if key is not None:
        cache.write(key, to_header(compiled.facts), compiled.objects)
    return native
