"""What is said where a result does not fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ChainruleError
from ..ops.core import Spec

MEMINFO = Path("/proc/meminfo")


class OutOfMemory(ChainruleError, MemoryError):
    """A result that does not fit into memory."""


def free_bytes() -> int | None:
    """The memory that the system could still give, where it says so (Linux), else None."""
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


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def in_words_of(name: str, error: MemoryError) -> OutOfMemory:
    """NumPy's own words with the line and what to do, where many results are made in a row."""
    return OutOfMemory(f"{name}: {error}", fix="a smaller batch: memory grows with its size")
