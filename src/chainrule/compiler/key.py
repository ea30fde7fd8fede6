"""The name under which compiled code is kept: everything that it depends on, as one checksum."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from collections.abc import Iterator

from ..dtypes import get_default_dtype
from ..graph import Graph, fingerprint
from ..version import __version__
from .llvm.target import Target

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MAKERS = ("dtypes.py", "ops", "graph", "runtime", "compiler")
"""What of this package decides on the code that is made."""


def key_of(graph: Graph, target: Target, processor: str | None) -> str | None:
    """The name of a graph's code for a processor; None where it must not be kept."""
    text = fingerprint(graph)
    if text is None:
        return None
    return name_of("code", repr(target), str(processor), get_default_dtype().name, text)


def name_of(kind: str, *facts: str) -> str | None:
    """A name for what follows from these facts, from the compiler, and from LLVM."""
    makers = _makers()
    if makers is None:
        return None
    text = "\0".join([makers, *facts])
    return f"{kind}-{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()}"


@functools.cache
def _makers() -> str | None:
    """The version, LLVM's, and the checksum of the compiler's own files; None if one is hidden."""
    try:
        spec = importlib.util.find_spec("llvmlite")  # this does not import it
        places = [] if spec is None else list(spec.submodule_search_locations or ())
        llvm = _content(os.path.join(places[0], "_version.py")) if places else b""
        sums = hashlib.sha256()
        for path in _files():
            content = _content(path)
            sums.update(b"%s %d\n" % (os.path.relpath(path, PACKAGE).encode(), len(content)))
            sums.update(content)
    except OSError:
        return None
    return f"{__version__} {hashlib.sha256(llvm).hexdigest()} {sums.hexdigest()}"


def _files() -> Iterator[str]:
    for name in MAKERS:
        path = os.path.join(PACKAGE, name)
        if name.endswith(".py"):
            yield path
        else:
            yield from _below(path)


def _below(folder: str) -> Iterator[str]:
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.endswith(".py"):
            yield path
        elif "." not in name and name != "__pycache__" and os.path.isdir(path):
            yield from _below(path)


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()
