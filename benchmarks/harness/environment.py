"""The machine, the versions, and the environment of every process; imports no contestant."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("chainrule", "numpy", "llvmlite", "torch", "jax", "jaxlib", "tinygrad", "scikit-learn")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "NPROC",  # JAX
    "NUM_CPU_THREADS", "CPU_COUNT",  # tinygrad
    "CHAINRULE_NUM_THREADS",
)  # fmt: skip
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONPATH")


def child_environment(threads: int, cache: str | None = None) -> dict[str, str]:
    """Threads as asked, NumPy's own choice of kernels, and where compilers keep their caches."""
    found = {k: v for k, v in os.environ.items() if k not in UNSET}
    found |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    if threads == 1:
        flags = f"{found.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
        found["XLA_FLAGS"] = flags.strip()
    if cache is not None:
        found |= dict.fromkeys(("XDG_CACHE_HOME", "HOME", "TMPDIR"), cache)
        found["TORCHINDUCTOR_CACHE_DIR"] = cache
        found["CACHEDB"] = str(Path(cache) / "tinygrad.db")
    return found


def processor() -> str:
    """The processor's model, as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """The version of every package that is installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """What a reader must know to compare figures."""
    return {
        "processor": processor(), "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(), "versions": versions(),
    }  # fmt: skip
