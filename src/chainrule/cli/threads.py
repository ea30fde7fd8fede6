"""One BLAS thread for the commands.

The matmuls of a small network take microseconds.  Split over threads they are no faster, they
wait for each other whenever another program wants a core (measured: 37 s instead of 2 s), and
their last bits depend on the number of cores.  NumPy offers no switch, so its OpenBLAS is asked.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np

SETTERS = ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads",
           "openblas_set_num_threads64_", "openblas_set_num_threads")  # fmt: skip
ASKED = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""Who sets one of these knows what they want."""


def one_blas_thread() -> bool:
    """Asks the OpenBLAS in NumPy's wheel for one thread; False where there is none to ask."""
    if any(os.environ.get(name) for name in ASKED):
        return False
    package = Path(np.__file__).parent
    done = False
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            done = _set(path) or done
    return done


def _set(path: Path) -> bool:
    try:
        library = ctypes.CDLL(str(path))  # loaded already: this only finds it
    except OSError:
        return False
    for name in SETTERS:
        setter = getattr(library, name, None)
        if setter is not None:
            setter(1)
            return True
    return False
