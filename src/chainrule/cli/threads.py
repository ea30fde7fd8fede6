"""One BLAS thread for the commands: see `runtime/blas.py` for why."""

from __future__ import annotations

import os

from ..runtime.blas import set_blas_threads

ASKED = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
"""Who sets one of these knows what they want."""


def one_blas_thread() -> bool:
    """Asks the OpenBLAS in NumPy's wheel for one thread; False where there is none to ask."""
    return not any(os.environ.get(name) for name in ASKED) and set_blas_threads(1)
