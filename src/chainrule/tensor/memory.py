"""What is said where a result does not fit into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ChainruleError
from ..ops.core import Spec

MEMINFO, STATM = Path("/proc/meminfo"), Path("/proc/self/statm")


class OutOfMemory(ChainruleError, MemoryError):
    """A result that does not fit into memory."""


def free_bytes() -> int | None:
    """The memory that this process could still get, where the system says so (Linux), else None."""
    held = [n for n in (_available(), _below_limit()) if n is not None]
    return min(held, default=None)


def _below_limit() -> int | None:
    """What is left of the address space that `ulimit -v` allows, if it limits it."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return None
        pages = int(STATM.read_text(encoding="ascii").split()[0])
        return max(limit - pages * resource.getpagesize(), 0)
    except (ImportError, OSError, ValueError, AttributeError):
        return None


def _available() -> int | None:
    try:
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def does_not_fit(name: str, spec: Spec, operands: Sequence[Any] = ()) -> OutOfMemory:
    """The error for a value of this shape; for a batch of examples it says how many would fit."""
    size = spec.size * spec.dtype.itemsize
    shapes = [v.shape for v in operands if hasattr(v, "shape")]
    fix = "a smaller batch: memory grows with its size"
    if not shapes:
        fix = "smaller sizes, or float32 in place of float64"
    elif spec.shape and any(shape[:1] == spec.shape[:1] for shape in shapes):
        row, free = size // spec.shape[0], free_bytes()
        if free is not None and 0 < (rows := free // row) < spec.shape[0]:
            fix += f" (at most {rows} rows of this one result fit into the {_gib(free)} free)"
    return OutOfMemory(
        f"{name}: unable to allocate {_gib(size)} for an array of shape {spec.shape}",
        got=", ".join(str(s) for s in shapes) or None,
        fix=fix,
    )


def step_does_not_fit(rows: int, error: MemoryError) -> OutOfMemory:
    """The error for a compiled training step on batches of so many rows."""
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)
    fix = "a smaller batch_size: memory grows with it"
    if shape is not None and dtype is not None:
        size, free = math.prod(shape) * dtype.itemsize, free_bytes()
        if free is not None and 0 < (fits := rows * free // max(size, 1)) < rows:
            fix = f"batch_size={fits} or less: about so many rows fit into the {_gib(free)} free"
    return OutOfMemory(
        f"the training step's own memory: {str(error)[:1].lower()}{str(error)[1:]}",
        got=f"batches of {rows} rows", fix=fix, line="",
    )  # fmt: skip


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def in_words_of(name: str, error: MemoryError) -> OutOfMemory:
    """NumPy's own words with the line and what to do, where many results are made in a row."""
    return OutOfMemory(f"{name}: {error}", fix="a smaller batch: memory grows with its size")
