"""The threads of NumPy's own matmul: NumPy offers no switch, so its OpenBLAS is asked.

The matmuls of a small network take microseconds.  Split over threads they are no faster, they wait
for each other whenever another program wants a core (measured: 37 s instead of 2 s), and their last
bits depend on the number of cores.  Compiled programs use none of it.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads",
         "openblas_{}_num_threads64_", "openblas_{}_num_threads")  # fmt: skip


@functools.cache
def _found() -> list[tuple[Any, Any]]:
    """The function that sets the number and the one that tells it, of each OpenBLAS of NumPy's."""
    package = Path(np.__file__).parent
    pairs = []
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            try:
                library = ctypes.CDLL(str(path))  # loaded already: this only finds it
            except OSError:
                continue
            for name in NAMES:
                setter = getattr(library, name.format("set"), None)
                getter = getattr(library, name.format("get"), None)
                if setter is not None and getter is not None:
                    pairs.append((setter, getter))
                    break
    return pairs


def set_blas_threads(number: int) -> bool:
    """Asks for so many threads; False where there is nothing to ask."""
    for setter, _ in _found():
        setter(number)
    return bool(_found())


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within the block NumPy's matmuls run on one thread, if it can be had."""
    before = [(setter, int(getter())) for setter, getter in _found()]
    many = [(setter, number) for setter, number in before if number != 1]
    for setter, _ in many:
        setter(1)
    try:
        yield
    finally:
        for setter, number in many:
            setter(number)
